//! Whether labels match a selector, as "Labels and Selectors" in the Kubernetes documentation has it.

use crate::model::labels::Labels;
use crate::policy::selector::{LabelSelector, Operator};

/// Every requirement must hold; a selector without any matches everything.
pub(super) fn matches(selector: &LabelSelector, labels: &Labels) -> bool {
    let pairs = selector.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value));
    pairs
        && selector
            .match_expressions
            .iter()
            .all(|requirement| holds(&requirement.operator, labels.get(&requirement.key)))
}

/// Whether a label's value, where it is there, is as the operator wants it. A missing label is in no list, so `NotIn`
/// takes it.
fn holds(operator: &Operator, value: Option<&str>) -> bool {
    match operator {
        Operator::In(values) => value.is_some_and(|value| values.iter().any(|wanted| wanted == value)),
        Operator::NotIn(values) => value.is_none_or(|value| values.iter().all(|unwanted| unwanted != value)),
        Operator::Exists => value.is_some(),
        Operator::DoesNotExist => value.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::selector::Requirement;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn each_operator_takes_what_the_documentation_says() {
        let values = || vec!["red".to_owned(), "blue".to_owned()];
        let (red, green, none) = (labels(&[("colour", "red")]), labels(&[("colour", "green")]), labels(&[]));
        let rows = [
            (Operator::In(values()), &red, true, "the value is listed"),
            (Operator::In(values()), &green, false, "another value is not"),
            (Operator::In(values()), &none, false, "a missing label is in no list"),
            (Operator::NotIn(values()), &red, false, "the value is listed"),
            (Operator::NotIn(values()), &green, true, "another value is taken"),
            (Operator::NotIn(values()), &none, true, "and so is a missing label"),
            (Operator::Exists, &red, true, "there, whatever its value"),
            (Operator::Exists, &none, false, "not there"),
            (Operator::DoesNotExist, &red, false, "there"),
            (Operator::DoesNotExist, &none, true, "not there"),
        ];
        for (operator, labels, expected, why) in rows {
            let selector = LabelSelector {
                match_labels: Default::default(),
                match_expressions: vec![Requirement { key: "colour".into(), operator: operator.clone() }],
            };
            assert_eq!(matches(&selector, labels), expected, "{operator:?} on {labels}: {why}");
        }
    }

    #[test]
    fn requirements_must_hold_together() {
        let selector = LabelSelector {
            match_labels: [("role".to_owned(), "web".to_owned())].into(),
            match_expressions: vec![Requirement { key: "old".into(), operator: Operator::DoesNotExist }],
        };
        let rows = [
            (labels(&[("role", "web")]), true, "both hold"),
            (labels(&[("role", "web"), ("old", "")]), false, "the pair holds, the expression does not"),
            (labels(&[("role", "db")]), false, "the expression holds, the pair does not"),
            (labels(&[]), false, "the pair's label is missing"),
        ];
        for (labels, expected, why) in rows {
            assert_eq!(matches(&selector, &labels), expected, "{why}");
        }
        assert!(matches(&LabelSelector::default(), &labels(&[])), "an empty selector matches even no labels");
    }
}
