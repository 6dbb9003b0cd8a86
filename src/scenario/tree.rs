//! YAML as a tree in which every value knows where it stands.

use std::borrow::Cow;

use serde_json::Value as Json;

use super::text::Span;

/// A value and its place.
#[derive(Debug, Clone)]
pub(in crate::scenario) struct Node {
    /// Where it stands: of a block collection its first entry, of a flow collection over several lines its first line.
    pub span: Span,
    /// The value.
    pub value: Value,
}

/// A value.
#[derive(Debug, Clone)]
pub(in crate::scenario) enum Value {
    /// A scalar, and whether it was quoted.
    Scalar(String, Style),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order written, its keys as text and each there once.
    Map(Vec<(Key, Node)>),
}

/// A key of a map.
#[derive(Debug, Clone)]
pub(in crate::scenario) struct Key {
    /// Where it stands.
    pub span: Span,
    /// Its text.
    pub text: String,
    /// Whether it was quoted.
    pub style: Style,
}

/// How a scalar was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::scenario) enum Style {
    /// Bare: its text decides what it is.
    Plain,
    /// In quotes, as a block or tagged `!!str`: a string whatever its text.
    Quoted,
}

/// What a bare scalar is. Words are read by YAML 1.2's core schema: `y`, `on` and `no` are strings. Numbers are read as
/// kubectl reads them, by YAML 1.1 with Go's prefixes: `0b11` and `1_000` are numbers.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::scenario) enum Resolved<'n> {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Another number; nothing here takes one, but a manifest may hold one where it is not read.
    Number(&'n str),
    /// Anything else.
    Text(&'n str),
}

impl Value {
    /// What it is, as a sentence has it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
            Self::Scalar(text, style) => match resolve(text, *style) {
                Resolved::Null => "nothing",
                Resolved::Bool(_) => "a boolean",
                Resolved::Integer(_) | Resolved::Number(_) => "a number",
                Resolved::Text(_) => "text",
            },
        }
    }

    /// Whether nothing was written.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Scalar(text, style) if resolve(text, *style) == Resolved::Null)
    }
}

/// What a scalar is.
pub(in crate::scenario) fn resolve(text: &str, style: Style) -> Resolved<'_> {
    if style == Style::Quoted {
        return Resolved::Text(text);
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Resolved::Null,
        "true" | "True" | "TRUE" => return Resolved::Bool(true),
        "false" | "False" | "FALSE" => return Resolved::Bool(false),
        _ => {}
    }
    // Between the digits of a number, `_` says nothing.
    let plain: Cow<'_, str> = match text.bytes().find(|b| !matches!(b, b'-' | b'+')) {
        Some(b'0'..=b'9') if text.contains('_') => Cow::Owned(text.replace('_', "")),
        _ => Cow::Borrowed(text),
    };
    let digits = plain.strip_prefix(['-', '+']).unwrap_or(&plain);
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        // A leading zero makes an octal number for some readers and a decimal one for others.
        if digits.len() > 1 && digits.starts_with('0') {
            return Resolved::Number(text);
        }
        return plain.parse().map_or(Resolved::Number(text), Resolved::Integer);
    }
    for (prefixes, radix) in [(["0x", "0X"], 16), (["0o", "0O"], 8), (["0b", "0B"], 2)] {
        let Some(rest) = prefixes.iter().find_map(|prefix| digits.strip_prefix(prefix)) else { continue };
        if !rest.is_empty() && rest.chars().all(|c| c.is_digit(radix)) {
            let sign = if plain.starts_with('-') { "-" } else { "" };
            return i64::from_str_radix(&format!("{sign}{rest}"), radix)
                .map_or(Resolved::Number(text), Resolved::Integer);
        }
    }
    let numeric = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.bytes().any(|b| b.is_ascii_digit())
        && digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    let special = matches!(digits, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN");
    if special || (numeric && plain.parse::<f64>().is_ok()) {
        return Resolved::Number(text);
    }
    Resolved::Text(text)
}

/// The boolean that YAML 1.1, which kubectl reads, takes a bare word for. Source: the YAML 1.1 type repository, "bool".
pub(in crate::scenario) fn boolean_to_kubectl(text: &str) -> Option<bool> {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "true" | "True" | "TRUE" => Some(true),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

impl Key {
    /// What kubectl makes of a bare key that is no text to it, where that is another key than the one written.
    pub fn as_kubectl_reads_it(&self) -> Option<String> {
        if self.style == Style::Quoted {
            return None;
        }
        let read = match (resolve(&self.text, self.style), boolean_to_kubectl(&self.text)) {
            (_, Some(value)) => value.to_string(),
            (Resolved::Integer(number), _) => number.to_string(),
            (Resolved::Null, _) => "nothing".to_owned(),
            (Resolved::Number(_), _) => "another number".to_owned(),
            (Resolved::Bool(_) | Resolved::Text(_), _) => return None,
        };
        (read != self.text).then_some(read)
    }
}

impl Node {
    /// The value as JSON, as an API server would be sent it.
    pub fn to_json(&self) -> Json {
        match &self.value {
            Value::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Value::Map(entries) => {
                Json::Object(entries.iter().map(|(key, value)| (key.text.clone(), value.to_json())).collect())
            }
            Value::Scalar(text, style) => match resolve(text, *style) {
                Resolved::Text(text) if *style == Style::Plain && boolean_to_kubectl(text).is_some() => {
                    Json::from(boolean_to_kubectl(text))
                }
                Resolved::Null => Json::Null,
                Resolved::Bool(value) => Json::Bool(value),
                Resolved::Integer(value) => Json::from(value),
                Resolved::Number(number) => number
                    .parse::<f64>()
                    .ok()
                    .and_then(serde_json::Number::from_f64)
                    .map_or_else(|| Json::from(number), Json::Number),
                Resolved::Text(text) => Json::from(text),
            },
        }
    }

    /// The value under a key of a map.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(k, _)| k.text == key).map(|(_, value)| value),
            Value::List(_) | Value::Scalar(..) => None,
        }
    }

    /// The text of a scalar that is text.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text, style) => match resolve(text, *style) {
                Resolved::Text(text) => Some(text),
                Resolved::Null | Resolved::Bool(_) | Resolved::Integer(_) | Resolved::Number(_) => None,
            },
            Value::List(_) | Value::Map(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_scalars_are_what_yaml_1_2_says() {
        let rows = [
            ("y", Resolved::Text("y"), "a boolean only to YAML 1.1"),
            ("no", Resolved::Text("no"), "likewise"),
            ("on", Resolved::Text("on"), "likewise"),
            ("true", Resolved::Bool(true), "a boolean"),
            ("~", Resolved::Null, "nothing"),
            ("", Resolved::Null, "nothing"),
            ("80", Resolved::Integer(80), "a number"),
            ("-1", Resolved::Integer(-1), "a number"),
            ("080", Resolved::Number("080"), "octal to some, decimal to others"),
            ("0x10", Resolved::Integer(16), "hexadecimal"),
            ("0b1010000", Resolved::Integer(80), "binary"),
            ("-0o17", Resolved::Integer(-15), "octal"),
            ("1_000", Resolved::Integer(1000), "grouped"),
            ("0_8", Resolved::Number("0_8"), "a leading zero, grouped"),
            ("1_0.5", Resolved::Number("1_0.5"), "a float, grouped"),
            ("0b12", Resolved::Text("0b12"), "not binary"),
            ("0x", Resolved::Text("0x"), "no digits"),
            ("_1", Resolved::Text("_1"), "does not begin with a digit"),
            ("1_a", Resolved::Text("1_a"), "a letter"),
            ("1e400", Resolved::Number("1e400"), "a float beyond what fits"),
            ("1e3", Resolved::Number("1e3"), "a float"),
            ("99999999999999999999", Resolved::Number("99999999999999999999"), "a number that is too big"),
            ("10.0.0.1", Resolved::Text("10.0.0.1"), "an address"),
            ("5432/tcp", Resolved::Text("5432/tcp"), "a port"),
            ("1-2", Resolved::Text("1-2"), "no number"),
            ("22:22", Resolved::Text("22:22"), "a base 60 number only to YAML 1.1"),
        ];
        for (text, expected, why) in rows {
            assert_eq!(resolve(text, Style::Plain), expected, "`{text}`: {why}");
            assert_eq!(resolve(text, Style::Quoted), Resolved::Text(text), "`{text}` in quotes is text");
        }
    }
}
