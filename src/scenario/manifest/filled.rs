//! Keys that a server fills in: checked for their type, and left out of what is created.

use super::KUBERNETES;
use crate::scenario::decode::{Fields, integer, text};
use crate::scenario::diagnostic::Code;
use crate::scenario::log::{Log, error, warning};
use crate::scenario::tree::{Node, Value};

/// What a server takes under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A text.
    Text,
    /// A time, as RFC 3339 writes it.
    Time,
    /// A whole number.
    Integer,
    /// A list of anything.
    List,
    /// A map of anything.
    Map,
}

/// Takes keys that a server fills in, and says that they are left out.
pub(super) fn drop_filled(fields: &mut Fields<'_>, keys: &[(&'static str, Shape)], log: &mut Log) {
    let mut found = Vec::new();
    for (key, shape) in keys {
        if let Some(node) = fields.optional(key) {
            check(node, key, *shape, log);
            found.push(*key);
        }
    }
    if let Some(first) = found.first() {
        let names = found.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
        let verb = if found.len() == 1 { "is" } else { "are" };
        let message = format!("{names} {verb} the server's to fill: left out");
        log.push(warning(Code::Ignored, message).at(fields.key_span(first)));
    }
}

/// Says where a value is not what a server takes under its key.
pub(super) fn check(node: &Node, key: &str, shape: Shape, log: &mut Log) {
    let what = format!("`{key}`");
    let wanted = match (shape, &node.value) {
        (Shape::List, Value::List(_)) | (Shape::Map, Value::Map(_)) => return,
        (Shape::List, _) => "a list",
        (Shape::Map, _) => "a map",
        (Shape::Text, _) => {
            text(node, &what, KUBERNETES, log);
            return;
        }
        (Shape::Integer, _) => {
            integer(node, &what, (i64::MIN, i64::MAX), log);
            return;
        }
        (Shape::Time, _) => {
            if let Some(at) = text(node, &what, KUBERNETES, log)
                && at.value.parse::<jiff::Timestamp>().is_err()
            {
                let message = format!("{what} must be a time such as `2026-01-31T12:00:00Z`, not `{}`", at.value);
                log.push(error(Code::InvalidValue, message).at(at.span));
            }
            return;
        }
    };
    log.push(error(Code::WrongType, format!("{what} must be {wanted}, not {}", node.value.kind())).at(node.span));
}
