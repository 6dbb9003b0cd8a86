//! Reads typed values off a tree. Where a value is wrong that goes to the log and reading goes on, so that one pass
//! finds everything.

use std::borrow::Cow;

use super::diagnostic::Code;
use super::log::{Draft, Log, error, nearest};
use super::text::Span;
use super::tree::{Key, Node, Resolved, Style, Value, boolean_to_kubectl, resolve};

/// A value with its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::scenario) struct At<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

impl<T> At<T> {
    /// Puts a value at a place.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }

    /// Another value at the same place.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> At<U> {
        At { value: f(self.value), span: self.span }
    }
}

/// Whose rules hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::scenario) enum Dialect {
    /// The scenario's own: a key with nothing behind it is a mistake.
    Scenario,
    /// A Kubernetes manifest: an optional key with nothing behind it is as good as absent, since the API server drops
    /// it. Bare words are read as kubectl reads them, by YAML 1.1.
    Manifest,
}

/// A map whose keys are read one by one. What has not been asked for when it is closed is unknown.
pub(in crate::scenario) struct Fields<'n> {
    entries: &'n [(Key, Node)],
    known: Vec<&'static str>,
    what: Cow<'static, str>,
    span: Span,
    dialect: Dialect,
}

impl<'n> Fields<'n> {
    /// Opens a map. `what` names it in sentences: ``pod `data-store` ``.
    pub fn open(node: &'n Node, what: impl Into<Cow<'static, str>>, dialect: Dialect, log: &mut Log) -> Option<Self> {
        let what = what.into();
        match &node.value {
            Value::Map(entries) => Some(Self { entries, known: Vec::new(), what, span: node.span, dialect }),
            Value::List(_) | Value::Scalar(..) => {
                let mut draft = error(Code::WrongType, format!("{what} must be a map, not {}", node.value.kind()));
                if node.value.is_null() {
                    draft = draft.help("write `{}` for one that holds nothing");
                }
                log.push(draft.at(node.span));
                None
            }
        }
    }

    /// Speaks of another place than the map's first entry where something is missing.
    pub fn placed(mut self, span: Span) -> Self {
        self.span = span;
        self
    }

    /// Where to speak of the whole.
    pub fn span(&self) -> Span {
        self.span
    }

    fn entry(&mut self, key: &'static str) -> Option<&'n (Key, Node)> {
        self.known.push(key);
        self.entries.iter().find(|(k, _)| k.text == key)
    }

    /// The value under a key that may be left out.
    pub fn optional(&mut self, key: &'static str) -> Option<&'n Node> {
        let (_, node) = self.entry(key)?;
        if self.dialect == Dialect::Manifest && node.value.is_null() { None } else { Some(node) }
    }

    /// Where the key itself stands.
    pub fn key_span(&self, key: &str) -> Span {
        self.entries.iter().find(|(k, _)| k.text == key).map_or(self.span, |(k, _)| k.span)
    }

    /// The value under a key that must be there.
    pub fn required(&mut self, key: &'static str, log: &mut Log) -> Option<&'n Node> {
        let found = self.optional(key);
        if found.is_none()
            && let Some((found, _)) = self.entries.iter().find(|(k, _)| k.text == key)
        {
            // A chart renders this from a value that nobody set. Taken as absent, it could turn one peer into every peer.
            log.push(
                error(Code::Missing, format!("{} has nothing behind `{key}`", self.what))
                    .note(found.span, "a value must follow"),
            );
        } else if found.is_none() {
            let slips = self.entries.iter().any(|(k, _)| nearest(&k.text, [key]).is_some());
            // Where a key is misspelt, that alone is said.
            if !slips {
                log.push(error(Code::Missing, format!("{} has no `{key}`", self.what)).note(self.span, "here"));
            }
        }
        found
    }

    /// Says which keys were not asked for. Returns those asked for, to be held against the schema.
    pub fn close(self, log: &mut Log) {
        for (key, _) in self.entries {
            if self.known.contains(&key.text.as_str()) {
                continue;
            }
            if log.is_full() {
                log.push(error(Code::UnknownKey, String::new()));
                continue;
            }
            let unused = self.known.iter().filter(|known| !self.entries.iter().any(|(k, _)| k.text == **known));
            let hint = nearest(&key.text, unused.copied());
            let known = self.known.iter().map(|known| format!("`{known}`")).collect::<Vec<_>>().join(", ");
            log.push(
                error(Code::UnknownKey, format!("{} has no key `{}`", self.what, key.text))
                    .note(key.span, "unknown key")
                    .help(hint.unwrap_or_else(|| format!("known here: {known}"))),
            );
        }
    }
}

/// The entries of a map from names to values.
pub(in crate::scenario) fn entries<'n>(node: &'n Node, what: &str, log: &mut Log) -> &'n [(Key, Node)] {
    match &node.value {
        Value::Map(entries) => entries,
        Value::List(_) | Value::Scalar(..) => {
            let mut draft = error(Code::WrongType, format!("{what} must be a map, not {}", node.value.kind()));
            if node.value.is_null() {
                draft = draft.help("leave the key out, or write `{}`");
            }
            log.push(draft.at(node.span));
            &[]
        }
    }
}

/// The items of a list.
pub(in crate::scenario) fn items<'n>(node: &'n Node, what: &str, log: &mut Log) -> &'n [Node] {
    match &node.value {
        Value::List(items) => items,
        Value::Map(_) | Value::Scalar(..) => {
            let mut draft = error(Code::WrongType, format!("{what} must be a list, not {}", node.value.kind()));
            draft = if node.value.is_null() {
                draft.help("leave the key out, or write `[]`")
            } else {
                draft.help("write `[ ... ]`, or `- ` before each entry")
            };
            log.push(draft.at(node.span));
            &[]
        }
    }
}

/// A text.
pub(in crate::scenario) fn text(node: &Node, what: &str, dialect: Dialect, log: &mut Log) -> Option<At<String>> {
    if let Value::Scalar(raw, style) = &node.value
        && let Resolved::Text(text) = resolve(raw, *style)
    {
        if dialect == Dialect::Manifest && *style == Style::Plain && boolean_to_kubectl(text).is_some() {
            log.push(bare_boolean(what, text).at(node.span));
            return None;
        }
        return Some(At::new(text.to_owned(), node.span));
    }
    let mut draft = error(Code::WrongType, format!("{what} must be text, not {}", node.value.kind())).at(node.span);
    if let Value::Scalar(raw, _) = &node.value
        && !node.value.is_null()
    {
        draft = draft.help(format!("write `\"{raw}\"`"));
    }
    log.push(draft);
    None
}

/// A bare word that kubectl takes for a boolean, where text is wanted: an API server refuses it.
pub(in crate::scenario) fn bare_boolean(what: &str, word: &str) -> Draft {
    error(Code::WrongType, format!("{what} must be text; kubectl reads a bare `{word}` as a boolean"))
        .help(format!("write `\"{word}\"`"))
}

/// A whole number within bounds.
pub(in crate::scenario) fn integer(node: &Node, what: &str, range: (i64, i64), log: &mut Log) -> Option<At<i64>> {
    let (low, high) = range;
    if let Value::Scalar(raw, style) = &node.value
        && let Resolved::Integer(number) = resolve(raw, *style)
    {
        if (low..=high).contains(&number) {
            return Some(At::new(number, node.span));
        }
        log.push(error(Code::InvalidValue, format!("{what} must be from {low} to {high}, not {number}")).at(node.span));
        return None;
    }
    let found = match &node.value {
        Value::Scalar(raw, Style::Plain)
            if raw.len() > 1 && raw.starts_with('0') && raw.bytes().all(|b| b.is_ascii_digit()) =>
        {
            format!("`{raw}`: with a leading zero it is octal to some readers and decimal to others")
        }
        other => other.kind().to_owned(),
    };
    let mut draft = error(Code::WrongType, format!("{what} must be a whole number, not {found}")).at(node.span);
    if let Value::Scalar(raw, _) = &node.value
        && let Ok(number) = raw.parse::<i64>()
        && (low..=high).contains(&number)
    {
        draft = draft.help(format!("write `{number}`"));
    }
    log.push(draft);
    None
}

/// One of some words.
pub(in crate::scenario) fn choice<T: Copy>(
    node: &Node,
    what: &str,
    words: &[(&'static str, T)],
    dialect: Dialect,
    log: &mut Log,
) -> Option<At<T>> {
    let text = text(node, what, dialect, log)?;
    let found = words.iter().find(|(word, _)| *word == text.value);
    if let Some((_, value)) = found {
        return Some(At::new(*value, text.span));
    }
    let all = words.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    log.push(
        error(Code::InvalidValue, format!("{what} must be one of {all}, not `{}`", text.value))
            .at(text.span)
            .help_maybe(nearest(&text.value, words.iter().map(|(word, _)| *word))),
    );
    None
}
