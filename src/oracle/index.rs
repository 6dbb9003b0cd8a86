//! Label selectors, met by many objects at once.

use std::collections::HashMap;

use super::bits::Bits;
use crate::model::labels::Labels;
use crate::policy::selector::{LabelSelector, Operator, Requirement};

/// Which of a list of objects carry which label: a selector is then a few operations on sets, however many objects
/// there are.
#[derive(Debug)]
pub(in crate::oracle) struct Index<'w> {
    everything: Bits,
    keys: HashMap<&'w str, Carriers<'w>>,
}

/// Who carries one label.
#[derive(Debug)]
struct Carriers<'w> {
    with_any_value: Bits,
    with_value: HashMap<&'w str, Bits>,
}

impl<'w> Index<'w> {
    /// Reads objects by number and labels. Numbers are below `size`; those that do not come up carry nothing and are
    /// selected by nothing.
    pub(in crate::oracle) fn of(size: usize, objects: impl Iterator<Item = (usize, &'w Labels)>) -> Self {
        let mut everything = Bits::none(size);
        let mut keys = HashMap::new();
        for (number, labels) in objects {
            everything.insert(number);
            for (key, value) in &labels.0 {
                let carriers = keys
                    .entry(key.as_str())
                    .or_insert_with(|| Carriers { with_any_value: Bits::none(size), with_value: HashMap::new() });
                carriers.with_any_value.insert(number);
                carriers.with_value.entry(value.as_str()).or_insert_with(|| Bits::none(size)).insert(number);
            }
        }
        Self { everything, keys }
    }

    /// All objects that the selector selects; an empty one selects all.
    pub(in crate::oracle) fn select(&self, selector: &LabelSelector) -> Bits {
        let mut selected = self.everything.clone();
        for (key, value) in &selector.match_labels {
            match self.keys.get(key.as_str()).and_then(|carriers| carriers.with_value.get(value.as_str())) {
                Some(carriers) => selected.keep(carriers),
                None => selected.drop_all_of(&self.everything),
            }
        }
        for requirement in &selector.match_expressions {
            self.narrow(&mut selected, requirement);
        }
        selected
    }

    fn narrow(&self, selected: &mut Bits, requirement: &Requirement) {
        let carriers = self.keys.get(requirement.key.as_str());
        let among = |values: &[String]| {
            let mut any = selected.clone();
            any.drop_all_of(&self.everything);
            for value in values {
                if let Some(these) = carriers.and_then(|carriers| carriers.with_value.get(value.as_str())) {
                    any.add(these);
                }
            }
            any
        };
        match (&requirement.operator, carriers) {
            (Operator::In(values), _) => {
                let any = among(values);
                selected.keep(&any);
            }
            (Operator::NotIn(values), _) => {
                let any = among(values);
                selected.drop_all_of(&any);
            }
            (Operator::Exists, Some(carriers)) => selected.keep(&carriers.with_any_value),
            (Operator::Exists, None) => selected.drop_all_of(&self.everything),
            (Operator::DoesNotExist, Some(carriers)) => selected.drop_all_of(&carriers.with_any_value),
            (Operator::DoesNotExist, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::apimachinery::pkg::apis::meta::v1 as kubernetes;
    use kube::core::{Selector, SelectorExt};
    use proptest::prelude::*;

    use super::*;
    use crate::oracle::labels;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn one_by_one(selector: &LabelSelector, on: &Labels) -> bool {
        selector.match_labels.iter().all(|(key, value)| on.get(key) == Some(value))
            && selector.match_expressions.iter().all(|requirement| labels::holds(requirement, on))
    }

    /// The selector as the client library has it, with a matcher of its own.
    fn as_kube_reads_it(selector: &LabelSelector, on: &Labels) -> bool {
        let expressions = selector.match_expressions.iter().map(|requirement| {
            let (operator, values) = match &requirement.operator {
                Operator::In(values) => ("In", Some(values.clone())),
                Operator::NotIn(values) => ("NotIn", Some(values.clone())),
                Operator::Exists => ("Exists", None),
                Operator::DoesNotExist => ("DoesNotExist", None),
            };
            kubernetes::LabelSelectorRequirement { key: requirement.key.clone(), operator: operator.into(), values }
        });
        let whole = kubernetes::LabelSelector {
            match_labels: Some(selector.match_labels.clone()),
            match_expressions: Some(expressions.collect()),
        };
        Selector::try_from(whole).unwrap().matches(&on.0)
    }

    #[test]
    fn each_operator_selects_what_kubernetes_says() {
        let empty = Vec::<String>::new;
        let values = |list: &[&str]| list.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>();
        let rows = [
            (Operator::In(values(&["a", "b"])), [true, false, false, false], "In: one of the values"),
            (Operator::In(values(&[""])), [false, false, true, false], "In: an empty value is a value"),
            (Operator::NotIn(values(&["a"])), [false, true, true, true], "NotIn: another value, or no label"),
            (Operator::NotIn(values(&["a", "c", ""])), [false, false, false, true], "NotIn: no label is left"),
            (Operator::Exists, [true, true, true, false], "Exists: any value, the empty one too"),
            (Operator::DoesNotExist, [false, false, false, true], "DoesNotExist: no label"),
            (Operator::In(empty()), [false; 4], "In without values: nothing, were it ever let through"),
            (Operator::NotIn(empty()), [true; 4], "NotIn without values: everything, were it ever let through"),
        ];
        let objects = [labels(&[("k", "a")]), labels(&[("k", "c")]), labels(&[("k", "")]), labels(&[("other", "a")])];
        let index = Index::of(4, objects.iter().enumerate());
        for (operator, expected, why) in rows {
            let requirement = Requirement { key: "k".into(), operator };
            let selector = LabelSelector { match_labels: BTreeMap::new(), match_expressions: vec![requirement] };
            let found: Vec<bool> = (0..4).map(|n| index.select(&selector).iter().any(|m| m == n)).collect();
            assert_eq!(found, expected, "{why}");
            let singly: Vec<bool> = objects.iter().map(|on| one_by_one(&selector, on)).collect();
            assert_eq!(singly, expected, "{why}, one by one");
        }
    }

    fn any_labels() -> impl Strategy<Value = Labels> {
        prop::collection::btree_map("[abc]", "[xy]?", 0..4).prop_map(Labels)
    }

    fn any_selector() -> impl Strategy<Value = LabelSelector> {
        let values = || prop::collection::vec("[xyz]?", 1..4);
        let operator = prop_oneof![
            values().prop_map(Operator::In),
            values().prop_map(Operator::NotIn),
            Just(Operator::Exists),
            Just(Operator::DoesNotExist),
        ];
        let requirement = ("[abcd]", operator).prop_map(|(key, operator)| Requirement { key, operator });
        (prop::collection::btree_map("[abcd]", "[xyz]?", 0..3), prop::collection::vec(requirement, 0..4))
            .prop_map(|(match_labels, match_expressions)| LabelSelector { match_labels, match_expressions })
    }

    proptest! {
        #[test]
        fn three_readings_of_a_selector_agree(
            objects in prop::collection::vec(any_labels(), 1..100),
            selector in any_selector(),
        ) {
            let index = Index::of(objects.len(), objects.iter().enumerate());
            let indexed: Vec<usize> = index.select(&selector).iter().collect();
            let read = |by: fn(&LabelSelector, &Labels) -> bool| -> Vec<usize> {
                (0..objects.len()).filter(|n| by(&selector, &objects[*n])).collect()
            };
            prop_assert_eq!(&indexed, &read(as_kube_reads_it));
            prop_assert_eq!(&indexed, &read(one_by_one));
        }
    }
}
