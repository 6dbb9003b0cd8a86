//! YAML as a tree in which every value knows where it stands.

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
}

/// How a scalar was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::scenario) enum Style {
    /// Bare: its text decides what it is.
    Plain,
    /// In quotes, as a block or tagged `!!str`: a string whatever its text.
    Quoted,
}

/// What a bare scalar is, by YAML 1.2's core schema: `y`, `on` and `no` are strings.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::scenario) enum Resolved<'n> {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number in decimal.
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
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        // A leading zero makes an octal number for some readers and a decimal one for others.
        if digits.len() > 1 && digits.starts_with('0') {
            return Resolved::Number(text);
        }
        return text.parse().map_or(Resolved::Number(text), Resolved::Integer);
    }
    let hex = digits.strip_prefix("0x").is_some_and(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_hexdigit()));
    let octal = digits.strip_prefix("0o").is_some_and(|d| !d.is_empty() && d.bytes().all(|b| matches!(b, b'0'..=b'7')));
    let numeric = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.bytes().any(|b| b.is_ascii_digit())
        && digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    let special = matches!(digits, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN");
    if hex || octal || special || (numeric && text.parse::<f64>().is_ok()) {
        return Resolved::Number(text);
    }
    Resolved::Text(text)
}

/// Whether YAML 1.1, which kubectl reads, takes this bare word for a boolean.
pub(in crate::scenario) fn is_boolean_to_kubectl(text: &str) -> bool {
    matches!(text, "yes" | "Yes" | "YES" | "no" | "No" | "NO" | "on" | "On" | "ON" | "off" | "Off" | "OFF")
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
