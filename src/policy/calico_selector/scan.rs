//! Reads a selector's text from left to right. Which words are operators depends on the place, so the parser asks for
//! what may stand there.

use std::ops::Range;

use super::error::{Problem, SelectorError};
use super::{Comparison, MAX_LABEL};

/// Of a word that an error names, no more than so many characters.
const SHOWN: usize = 40;

/// What stands after a label.
pub(super) enum Operator {
    /// One that takes a value.
    Compare(Comparison),
    /// `in`, or, negated, `not in`.
    Set { negated: bool },
}

/// A place in the text.
pub(super) struct Scanner<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Scanner<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    /// The byte it stands at.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The text before a byte.
    pub(super) fn before(&self, at: usize) -> &'t str {
        self.text.get(..at).unwrap_or_default()
    }

    /// The text from here on.
    pub(super) fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The next byte after blanks, which are passed over.
    pub(super) fn peek(&mut self) -> Option<u8> {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t']).len();
        self.rest().bytes().next()
    }

    /// Takes a text if it stands right here.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let there = self.rest().starts_with(text);
        if there {
            self.at += text.len();
        }
        there
    }

    /// The letters of a label name that stand right here, possibly none.
    fn word(&self) -> &'t str {
        let rest = self.rest();
        let end = rest.bytes().position(|byte| !in_label(byte)).unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default()
    }

    /// Takes a label name, if one stands right here.
    pub(super) fn label(&mut self) -> Result<Option<&'t str>, SelectorError> {
        let word = self.word();
        if word.len() > MAX_LABEL {
            return Err(self.wrong(Problem::LongLabel, word.len()));
        }
        self.at += word.len();
        Ok(Some(word).filter(|word| !word.is_empty()))
    }

    /// Takes a quoted value, if one comes next.
    pub(super) fn value(&mut self) -> Result<Option<&'t str>, SelectorError> {
        let quote = match self.peek() {
            Some(b'\'') => '\'',
            Some(b'"') => '"',
            Some(_) | None => return Ok(None),
        };
        let inside = self.rest().get(1..).unwrap_or_default();
        let Some(length) = inside.find(quote) else {
            return Err(self.wrong(Problem::Unterminated, self.rest().len()));
        };
        self.at += length + 2;
        Ok(inside.get(..length))
    }

    /// Takes the operator that has to come after a label that ended right here.
    pub(super) fn operator(&mut self, label: Range<usize>) -> Result<Operator, SelectorError> {
        let compare = |comparison| Ok(Operator::Compare(comparison));
        match self.peek() {
            Some(b'=') if self.take("==") => return compare(Comparison::Equal),
            Some(b'!') if self.take("!=") => return compare(Comparison::NotEqual),
            Some(b'=') => return Err(self.wrong(Problem::Single('='), 1)),
            Some(b'(') => {
                let word = self.text.get(label.clone()).unwrap_or_default();
                if matches!(word, "has" | "all" | "global") && self.at > label.end {
                    let problem = Problem::SpaceBeforeParenthesis(word.to_owned());
                    return Err(SelectorError { problem, span: label.start..self.at + 1 });
                }
            }
            Some(_) | None => {}
        }
        if self.words("contains", "") {
            return compare(Comparison::Contains);
        }
        if self.words("starts", "with") {
            return compare(Comparison::StartsWith);
        }
        if self.words("ends", "with") {
            return compare(Comparison::EndsWith);
        }
        if self.words("not", "in") {
            return Ok(Operator::Set { negated: true });
        }
        if self.words("in", "") {
            return Ok(Operator::Set { negated: false });
        }
        let word = self.word();
        if !word.is_empty() {
            return Err(self.wrong(Problem::NoOperator(Some(short(word))), word.len()));
        }
        self.foreign()?;
        Err(SelectorError { problem: Problem::NoOperator(None), span: label })
    }

    /// Takes a keyword of one or two words. Between two there may be blanks or nothing; the boundary after two is looked
    /// for past the blanks, as Calico does: `a starts with x` has no operator.
    fn words(&mut self, first: &str, second: &str) -> bool {
        let Some(mut rest) = self.rest().strip_prefix(first) else { return false };
        if !second.is_empty() {
            let Some(after) = rest.trim_start_matches([' ', '\t']).strip_prefix(second) else { return false };
            rest = after.trim_start_matches([' ', '\t']);
        }
        if rest.bytes().next().is_some_and(in_label) {
            return false;
        }
        self.at = self.text.len() - rest.len();
        true
    }

    /// Refuses what stands nowhere outside quotes.
    pub(super) fn foreign(&mut self) -> Result<(), SelectorError> {
        let Some(byte) = self.peek() else { return Ok(()) };
        let rest = self.rest();
        let character = rest.chars().next().unwrap_or_default();
        let problem = match byte {
            b'=' if !rest.starts_with("==") => Problem::Single('='),
            b'&' if !rest.starts_with("&&") => Problem::Single('&'),
            b'|' if !rest.starts_with("||") => Problem::Single('|'),
            b'(' | b')' | b'{' | b'}' | b',' | b'=' | b'!' | b'&' | b'|' | b'\'' | b'"' => return Ok(()),
            _ if in_label(byte) => return Ok(()),
            _ if character.is_whitespace() => Problem::Blank(character),
            _ => Problem::Character(character),
        };
        Err(self.wrong(problem, character.len_utf8()))
    }

    /// What stands here, for an error to name: a word, a sign of two characters, or one character. None at the end.
    pub(super) fn found(&mut self) -> Option<String> {
        self.peek()?;
        let word = self.word();
        if !word.is_empty() {
            return Some(short(word));
        }
        let two = self.rest().get(..2).filter(|two| matches!(*two, "==" | "!=" | "&&" | "||"));
        two.map(ToOwned::to_owned).or_else(|| self.rest().chars().next().map(String::from))
    }

    /// An error of the next `length` bytes.
    pub(super) fn wrong(&self, problem: Problem, length: usize) -> SelectorError {
        SelectorError { problem, span: self.at..self.at + length }
    }

    /// An error about what stands here.
    pub(super) fn wrong_here(&mut self, problem: impl FnOnce(Option<String>) -> Problem) -> SelectorError {
        if let Err(foreign) = self.foreign() {
            return foreign;
        }
        let found = self.found();
        let length = found.as_ref().map_or(0, String::len).min(self.rest().len());
        self.wrong(problem(found), length)
    }
}

fn in_label(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'/' | b'-')
}

fn short(word: &str) -> String {
    word.chars().take(SHOWN).collect()
}
