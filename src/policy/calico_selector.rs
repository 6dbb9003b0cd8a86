//! Calico's selector language: `team == 'payments' && !has(legacy)`.
//!
//! Source: the grammar that Calico 3.31.7 and 3.32.1 accept (`libcalico-go/lib/selector`); tests replay recorded answers
//! of Calico's own parser. No step recurses, whatever the text: neither parsing, evaluation, printing, comparison nor drop.
//!
//! - `scan` splits the text into tokens; `parse` builds the tree; `print` gives the canonical form
//! - `subject` combines the selectors of a GlobalNetworkPolicy as Calico does

mod error;
mod parse;
mod print;
mod scan;
mod subject;
#[cfg(test)]
mod tests;

use std::ops::Range;

pub use error::{Problem, SelectorError};
pub use subject::{GlobalSubject, NAMESPACE_PREFIX, SERVICE_ACCOUNT_PREFIX};

/// Calico refuses longer label names.
pub const MAX_LABEL: usize = 512;
/// A longer text is refused: an API server stores no object of this size, so no cluster can hold such a selector.
pub const MAX_TEXT: usize = 2 << 20;

/// A selector that was parsed.
///
/// The nodes stand in post-order: every operator comes after its operands, and the last node is the root. Two selectors
/// are equal if their trees are, wherever the parts stood in the text.
#[derive(Debug, Clone)]
pub struct Selector {
    nodes: Vec<Node>,
}

/// One node of the tree.
#[derive(Debug, Clone)]
pub struct Node {
    /// What it tests, or how it combines the nodes before it.
    pub kind: NodeKind,
    /// The bytes of the text that it was read from. A blank selector's only node has an empty span.
    pub span: Range<usize>,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeKind {
    /// `all()`, or a blank selector.
    All,
    /// `global()`. It is true wherever it is evaluated; Calico gives it a meaning in `namespaceSelector` only, by its text.
    Global,
    /// `has(label)`.
    Has(String),
    /// A label compared with one value.
    Compare {
        /// The label's name.
        label: String,
        /// How it is compared.
        operator: Comparison,
        /// With what.
        value: String,
    },
    /// A label compared with a set: `in`, or `not in`.
    Set {
        /// The label's name.
        label: String,
        /// Whether it is `not in`.
        negated: bool,
        /// The values, sorted and without duplicates.
        values: Vec<String>,
    },
    /// `!`, of one operand.
    Not,
    /// `&&`, of so many operands.
    And(usize),
    /// `||`, of so many operands.
    Or(usize),
}

/// The operators that compare a label with one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `==`.
    Equal,
    /// `!=`: true without the label too.
    NotEqual,
    /// `contains`.
    Contains,
    /// `starts with`.
    StartsWith,
    /// `ends with`.
    EndsWith,
}

impl Comparison {
    /// It as Calico prints it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Contains => "contains",
            Self::StartsWith => "starts with",
            Self::EndsWith => "ends with",
        }
    }

    fn holds(self, found: Option<&str>, value: &str) -> bool {
        match self {
            Self::Equal => found == Some(value),
            Self::NotEqual => found != Some(value),
            Self::Contains => found.is_some_and(|found| found.contains(value)),
            Self::StartsWith => found.is_some_and(|found| found.starts_with(value)),
            Self::EndsWith => found.is_some_and(|found| found.ends_with(value)),
        }
    }
}

impl Selector {
    /// Parses a text. Blank, that is empty or only spaces and tabs, is `all()`.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        parse::parse(text)
    }

    /// The nodes in post-order; the last one is the root.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Whether it selects an object whose labels `value_of` looks up.
    ///
    /// Without the label, `!=` and `not in` are true and every other operator is false.
    pub fn matches<'l>(&self, value_of: impl Fn(&str) -> Option<&'l str>) -> bool {
        let mut stack: Vec<bool> = Vec::new();
        for node in &self.nodes {
            let holds = match &node.kind {
                NodeKind::All | NodeKind::Global => true,
                NodeKind::Has(label) => value_of(label).is_some(),
                NodeKind::Compare { label, operator, value } => operator.holds(value_of(label), value),
                NodeKind::Set { label, negated, values } => {
                    let found = value_of(label);
                    let inside = found.is_some_and(|found| values.binary_search_by(|v| v.as_str().cmp(found)).is_ok());
                    inside != *negated
                }
                NodeKind::Not => !stack.pop().unwrap_or_default(),
                NodeKind::And(count) => operands(&mut stack, *count).iter().all(|holds| *holds),
                NodeKind::Or(count) => operands(&mut stack, *count).iter().any(|holds| *holds),
            };
            stack.push(holds);
        }
        stack.pop().unwrap_or_default()
    }
}

/// The last `count` results, taken off.
fn operands(stack: &mut Vec<bool>, count: usize) -> Vec<bool> {
    stack.split_off(stack.len().saturating_sub(count))
}

impl PartialEq for Selector {
    fn eq(&self, other: &Self) -> bool {
        self.nodes.iter().map(|node| &node.kind).eq(other.nodes.iter().map(|node| &node.kind))
    }
}

impl Eq for Selector {}
