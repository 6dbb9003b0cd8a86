//! What is wrong with a selector: where, and what its author probably meant.

use std::fmt;
use std::ops::Range;

use super::{MAX_LABEL, MAX_TEXT};

/// Why a text is no selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct SelectorError {
    /// What is wrong.
    pub problem: Problem,
    /// The bytes concerned; empty at the end of the text.
    pub span: Range<usize>,
}

/// What can be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// It is longer than [`MAX_TEXT`].
    TooLong,
    /// A new line, a carriage return or another blank that the language does not know.
    Blank(char),
    /// A character that starts nothing.
    Character(char),
    /// A `=`, `&` or `|` that stands alone.
    Single(char),
    /// A quote that is not closed.
    Unterminated,
    /// A label name longer than [`MAX_LABEL`].
    LongLabel,
    /// After a label there is none of the operators.
    NoOperator(Option<String>),
    /// After an operator there is no quoted value.
    NoValue {
        /// The operator.
        operator: &'static str,
        /// The word that stands there, if one does.
        found: Option<String>,
    },
    /// After `in` or `not in` there is no `{`.
    NoSet,
    /// A set goes on with neither `,` nor `}`, or ends without `}`.
    OpenSet,
    /// `has`, `all` or `global` and then a blank and `(`.
    SpaceBeforeParenthesis(String),
    /// `has(` without a label.
    NoLabel,
    /// `has(`, `all(` or `global(` without its `)`.
    OpenCall(&'static str),
    /// A term was expected, and something else stands there.
    NoTerm(Option<String>),
    /// A `(` that is not closed.
    OpenParenthesis,
    /// A `)` that nothing opened.
    StrayParenthesis,
    /// After a term there is something else than `&&`, `||` or the end.
    NoConnective(String),
}

impl SelectorError {
    /// What to write instead, where that can be guessed.
    pub fn hint(&self) -> Option<String> {
        let hint = match &self.problem {
            Problem::Single(sign) => format!("write `{sign}{sign}`"),
            Problem::Blank('\n' | '\r') => "write the selector on one line; in YAML use `>-` or quotes, not `|`".into(),
            Problem::Blank(_) => "only spaces and tabs may stand between the parts".into(),
            Problem::Unterminated => "a value ends with the quote it began with; there are no escapes".into(),
            Problem::NoOperator(Some(word)) if word == "not" => "write `not in {…}`".into(),
            Problem::NoOperator(Some(word)) if word == "starts" || word == "ends" => format!("write `{word} with '…'`"),
            Problem::NoOperator(None) => {
                "write `has(label)` to ask whether the label is there, or compare it: `label == 'value'`".into()
            }
            Problem::NoOperator(Some(_)) => {
                "the operators are ==, !=, in, not in, contains, starts with and ends with".into()
            }
            Problem::NoValue { found: Some(word), .. } => format!("put the value in quotes: '{word}'"),
            Problem::NoValue { found: None, .. } => "a value stands in quotes: 'value'".into(),
            Problem::NoSet => "write a set: {'a', 'b'}".into(),
            Problem::OpenSet => "values stand in quotes, with commas between them and `}` at the end".into(),
            Problem::SpaceBeforeParenthesis(word) => format!("write `{word}(` without a space"),
            Problem::NoConnective(_) => "join terms with && or ||".into(),
            Problem::NoLabel => "write `has(label)`, the label without quotes".into(),
            Problem::TooLong
            | Problem::Character(_)
            | Problem::LongLabel
            | Problem::OpenCall(_)
            | Problem::NoTerm(_)
            | Problem::OpenParenthesis
            | Problem::StrayParenthesis => return None,
        };
        Some(hint)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "the selector is longer than {MAX_TEXT} bytes"),
            Self::Blank('\n') => f.write_str("a new line is not white space in a selector"),
            Self::Blank('\r') => f.write_str("a carriage return is not white space in a selector"),
            Self::Blank(blank) => write!(f, "{blank:?} is not white space in a selector"),
            Self::Character(character) => write!(f, "{character:?} means nothing in a selector"),
            Self::Single(sign) => write!(f, "`{sign}` alone is no operator"),
            Self::Unterminated => f.write_str("the quote is not closed"),
            Self::LongLabel => write!(f, "a label name has at most {MAX_LABEL} bytes"),
            Self::NoOperator(Some(word)) => write!(f, "`{word}` is no operator"),
            Self::NoOperator(None) => f.write_str("a label alone is no term: an operator is missing"),
            Self::NoValue { operator, found: Some(word) } => {
                write!(f, "after `{operator}` comes a value in quotes, not `{word}`")
            }
            Self::NoValue { operator, found: None } => write!(f, "after `{operator}` comes a value in quotes"),
            Self::NoSet => f.write_str("a set in braces is missing"),
            Self::OpenSet => f.write_str("the set is not closed"),
            Self::SpaceBeforeParenthesis(word) => write!(f, "no space may stand between `{word}` and `(`"),
            Self::NoLabel => f.write_str("`has(` needs a label name"),
            Self::OpenCall(word) => write!(f, "`{word}(` is not closed"),
            Self::NoTerm(Some(found)) => write!(f, "a term is missing before `{found}`"),
            Self::NoTerm(None) => f.write_str("a term is missing at the end"),
            Self::OpenParenthesis => f.write_str("the parenthesis is not closed"),
            Self::StrayParenthesis => f.write_str("nothing opened this parenthesis"),
            Self::NoConnective(found) => write!(f, "`&&` or `||` is missing before `{found}`"),
        }
    }
}
