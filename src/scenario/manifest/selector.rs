//! Label selectors.

use super::KUBERNETES;
use crate::model::labels::check_value;
use crate::policy::selector::{LabelSelector, Operator, Requirement};
use crate::scenario::decode::{Fields, choice, items, text};
use crate::scenario::diagnostic::Code;
use crate::scenario::log::{Log, error};
use crate::scenario::raw::read::{Own, check_label_key, labels_in};
use crate::scenario::tree::Node;

#[derive(Clone, Copy)]
enum Word {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

const WORDS: [(&str, Word); 4] =
    [("In", Word::In), ("NotIn", Word::NotIn), ("Exists", Word::Exists), ("DoesNotExist", Word::DoesNotExist)];

/// Reads a selector. What could not be read of it goes to the log, so that it is never used half read.
pub(super) fn read(node: &Node, what: &'static str, log: &mut Log) -> LabelSelector {
    let Some(mut fields) = Fields::open(node, what, KUBERNETES, log) else { return LabelSelector::default() };
    let match_labels =
        fields.optional("matchLabels").map(|node| labels_in(node, KUBERNETES, Own::Refused, log).0).unwrap_or_default();
    let match_expressions = fields
        .optional("matchExpressions")
        .map(|node| items(node, "`matchExpressions`", log).iter().filter_map(|item| requirement(item, log)).collect())
        .unwrap_or_default();
    fields.close(log);
    LabelSelector { match_labels, match_expressions }
}

fn requirement(node: &Node, log: &mut Log) -> Option<Requirement> {
    let mut fields = Fields::open(node, "an entry of `matchExpressions`", KUBERNETES, log)?;
    let key = fields.required("key", log).and_then(|node| text(node, "`key`", KUBERNETES, log));
    if let Some(key) = &key {
        check_label_key(&key.value, key.span, Own::Refused, log);
    }
    let word = fields.required("operator", log).and_then(|node| choice(node, "`operator`", &WORDS, KUBERNETES, log));
    let given = fields.optional("values");
    let values: Option<Vec<String>> = given.map(|node| values(node, log));
    let at = given.map_or(fields.span(), |node| node.span);
    fields.close(log);
    let (key, word) = (key?, word?);
    let some = values.as_ref().is_some_and(|values| !values.is_empty());
    let operator = match word.value {
        Word::In | Word::NotIn if !some => {
            let name = if matches!(word.value, Word::In) { "In" } else { "NotIn" };
            let draft = error(Code::Missing, format!("`{name}` needs at least one of `values`"));
            log.push(draft.at(if given.is_some() { at } else { word.span }));
            return None;
        }
        Word::Exists | Word::DoesNotExist if some => {
            let name = if matches!(word.value, Word::Exists) { "Exists" } else { "DoesNotExist" };
            log.push(error(Code::InvalidValue, format!("`{name}` takes no `values`")).at(at));
            return None;
        }
        Word::In => Operator::In(values.unwrap_or_default()),
        Word::NotIn => Operator::NotIn(values.unwrap_or_default()),
        Word::Exists => Operator::Exists,
        Word::DoesNotExist => Operator::DoesNotExist,
    };
    Some(Requirement { key: key.value, operator })
}

fn values(node: &Node, log: &mut Log) -> Vec<String> {
    let mut all = Vec::new();
    for item in items(node, "`values`", log) {
        if let Some(value) = text(item, "an entry of `values`", KUBERNETES, log) {
            if let Err(why) = check_value(&value.value) {
                log.push(error(Code::InvalidValue, format!("the label value `{}` {why}", value.value)).at(value.span));
            }
            all.push(value.value);
        }
    }
    all
}
