//! Labels, with the syntax the API server enforces.
//!
//! Source: Kubernetes documentation, "Labels and Selectors", section "Syntax and character set".

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The labels of one object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Labels(pub BTreeMap<String, String>);

impl Labels {
    /// The value under `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }
}

impl FromIterator<(String, String)> for Labels {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no labels");
        }
        for (place, (key, value)) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}{key}={value}")?;
        }
        Ok(())
    }
}

/// Why a text is not what the API server would take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// Nothing where something must be.
    #[error("must not be empty")]
    Empty,
    /// Over the limit, in bytes.
    #[error("is longer than {limit} characters")]
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// Not the characters allowed, or not at the ends.
    #[error("must consist of letters, digits, `-`, `_` or `.`, and begin and end with a letter or digit")]
    Characters,
    /// Not a DNS label (RFC 1123).
    #[error("must consist of lower case letters, digits or `-`, and begin and end with a letter or digit")]
    DnsLabel,
    /// Not a DNS subdomain (RFC 1123).
    #[error("must consist of lower case letters, digits, `-` or `.`, and begin and end with a letter or digit")]
    DnsSubdomain,
    /// More than one `/` in a key.
    #[error("has more than one `/`")]
    Slashes,
}

/// Checks a label key: an optional DNS subdomain prefix and `/`, then a name of at most 63 characters.
///
/// # Errors
/// Says which rule the key breaks.
pub fn check_key(key: &str) -> Result<(), SyntaxError> {
    let mut parts = key.rsplitn(2, '/');
    let name = parts.next().unwrap_or_default();
    if let Some(prefix) = parts.next() {
        if prefix.contains('/') {
            return Err(SyntaxError::Slashes);
        }
        check_subdomain(prefix)?;
    }
    if name.is_empty() {
        return Err(SyntaxError::Empty);
    }
    check_name(name)
}

/// Checks a label value: empty, or a name of at most 63 characters.
///
/// # Errors
/// Says which rule the value breaks.
pub fn check_value(value: &str) -> Result<(), SyntaxError> {
    if value.is_empty() { Ok(()) } else { check_name(value) }
}

/// Checks an object name that must be a DNS label (namespaces, and the pods of a scenario): RFC 1123, 63 characters.
///
/// # Errors
/// Says which rule the name breaks.
pub fn check_dns_label(name: &str) -> Result<(), SyntaxError> {
    if name.is_empty() {
        return Err(SyntaxError::Empty);
    }
    if name.len() > 63 {
        return Err(SyntaxError::TooLong { limit: 63 });
    }
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let ends = !name.starts_with('-') && !name.ends_with('-');
    if name.bytes().all(inner) && ends { Ok(()) } else { Err(SyntaxError::DnsLabel) }
}

/// Checks an object name that must be a DNS subdomain (policies): RFC 1123, 253 characters.
///
/// # Errors
/// Says which rule the name breaks.
pub fn check_subdomain(name: &str) -> Result<(), SyntaxError> {
    if name.is_empty() {
        return Err(SyntaxError::Empty);
    }
    if name.len() > 253 {
        return Err(SyntaxError::TooLong { limit: 253 });
    }
    let label = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if name.split('.').all(label) { Ok(()) } else { Err(SyntaxError::DnsSubdomain) }
}

fn check_name(name: &str) -> Result<(), SyntaxError> {
    if name.len() > 63 {
        return Err(SyntaxError::TooLong { limit: 63 });
    }
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let end = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    let ends = end(name.bytes().next()) && end(name.bytes().last());
    if name.bytes().all(inner) && ends { Ok(()) } else { Err(SyntaxError::Characters) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_follow_the_api_servers_rules() {
        let long = "a".repeat(64);
        let keys = [
            ("role", Ok(()), "a plain name"),
            ("app.kubernetes.io/name", Ok(()), "a prefix and a name"),
            ("A_b.C-9", Ok(()), "every character a name may hold"),
            ("", Err(SyntaxError::Empty), "no key"),
            ("example.com/", Err(SyntaxError::Empty), "a prefix without a name"),
            ("/name", Err(SyntaxError::Empty), "a slash without a prefix"),
            ("a/b/c", Err(SyntaxError::Slashes), "two slashes"),
            ("Example.com/name", Err(SyntaxError::DnsSubdomain), "a prefix in upper case"),
            ("-role", Err(SyntaxError::Characters), "a dash in front"),
            ("bad key!", Err(SyntaxError::Characters), "a blank"),
            (long.as_str(), Err(SyntaxError::TooLong { limit: 63 }), "64 characters"),
        ];
        for (key, expected, why) in keys {
            assert_eq!(check_key(key), expected, "{why}");
        }
        assert_eq!(check_value(""), Ok(()), "a value may be empty");
        assert_eq!(check_value("a b"), Err(SyntaxError::Characters), "a value holds no blank");
    }
}
