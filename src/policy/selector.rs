//! Label selectors as written (apimachinery `LabelSelector`).

use std::collections::BTreeMap;

/// A label selector whose keys, values and operators were checked as the API server checks them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct LabelSelector {
    /// `matchLabels`.
    pub match_labels: BTreeMap<String, String>,
    /// `matchExpressions`, in the order written.
    pub match_expressions: Vec<Requirement>,
}

/// One entry of `matchExpressions`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Requirement {
    /// `key`.
    pub key: String,
    /// `operator` with its `values`.
    pub operator: Operator,
}

/// The operators there are. In and NotIn have at least one value: the API server refuses an empty list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Operator {
    /// The label is there and has one of these values.
    In(Vec<String>),
    /// The label is not there, or has none of these values.
    NotIn(Vec<String>),
    /// The label is there.
    Exists,
    /// The label is not there.
    DoesNotExist,
}
