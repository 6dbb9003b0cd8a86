//! Label selectors, met by one object's labels.

use crate::model::labels::Labels;
use crate::policy::selector::{Operator, Requirement};

/// Whether one `matchExpressions` entry holds. NotIn holds where the label is absent, as Kubernetes has it.
pub(in crate::oracle) fn holds(requirement: &Requirement, labels: &Labels) -> bool {
    let value = labels.get(&requirement.key);
    match &requirement.operator {
        Operator::In(values) => value.is_some_and(|value| values.iter().any(|v| v == value)),
        Operator::NotIn(values) => value.is_none_or(|value| values.iter().all(|v| v != value)),
        Operator::Exists => value.is_some(),
        Operator::DoesNotExist => value.is_none(),
    }
}
