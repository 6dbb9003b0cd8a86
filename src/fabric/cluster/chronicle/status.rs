//! What Calico's operator says of its parts: available, progressing, degraded.

use std::collections::BTreeMap;

use kube::api::DynamicObject;
use serde_json::Value;

use super::follow::Reader;
use crate::fabric::Happened;
use crate::model::happening::About;
use crate::model::moment::Moment;

/// All objects of the kind TigeraStatus.
pub(super) struct Statuses;

/// What of one is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    name: String,
    /// By type: whether it is so, and why.
    conditions: BTreeMap<String, (bool, String)>,
}

impl Facts {
    fn is(&self, condition: &str) -> bool {
        self.conditions.get(condition).is_some_and(|(so, _)| *so)
    }

    /// `available`, `not available, progressing: pods are not ready`.
    fn words(&self) -> String {
        let mut words = vec![if self.is("Available") { "available" } else { "not available" }.to_owned()];
        for condition in ["Progressing", "Degraded"] {
            if let Some((true, why)) = self.conditions.get(condition) {
                let why = if why.is_empty() { String::new() } else { format!(": {why}") };
                words.push(format!("{}{why}", condition.to_lowercase()));
            }
        }
        words.join(", ")
    }

    fn is_well(&self) -> bool {
        self.is("Available") && !self.is("Progressing") && !self.is("Degraded")
    }
}

impl Reader for Statuses {
    type Object = DynamicObject;
    type Facts = Facts;

    fn read(&self, object: &DynamicObject) -> Option<Facts> {
        let conditions = object.data.pointer("/status/conditions").and_then(Value::as_array);
        let text = |condition: &Value, field: &str| condition[field].as_str().unwrap_or_default().to_owned();
        let read = |condition: &Value| {
            let why = Some(text(condition, "message")).filter(|why| !why.is_empty());
            let why = why.unwrap_or_else(|| text(condition, "reason"));
            (text(condition, "type"), (text(condition, "status") == "True", why))
        };
        Some(Facts {
            name: object.metadata.name.clone()?,
            conditions: conditions.into_iter().flatten().map(read).collect(),
        })
    }

    fn tell(&mut self, before: Option<&Facts>, after: Option<&Facts>, at: Moment) -> Vec<Happened> {
        let Some(now) = after.or(before) else { return Vec::new() };
        let told = |what: String| Happened::new(at, About::Rollout, format!("TigeraStatus {}", now.name), what);
        match (before.map(Facts::words), after) {
            (_, None) => vec![told("was deleted".into()).ending()],
            (words, Some(after)) if words.as_ref() != Some(&after.words()) => {
                let happened = told(format!("is {}", after.words()));
                vec![if after.is_well() { happened.ending() } else { happened.beginning("not well") }]
            }
            (_, Some(_)) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::happening::Turn;

    fn status(available: &str, progressing: &str, why: &str) -> Facts {
        let object = json!({
            "apiVersion": "operator.tigera.io/v1", "kind": "TigeraStatus", "metadata": { "name": "calico" },
            "status": { "conditions": [
                { "type": "Available", "status": available, "reason": "AllObjectsAvailable" },
                { "type": "Progressing", "status": progressing, "message": why },
                { "type": "Degraded", "status": "False" },
            ] },
        });
        Statuses.read(&serde_json::from_value(object).unwrap()).unwrap()
    }

    #[test]
    fn an_operators_word_is_told_when_it_changes() {
        let well = status("True", "False", "");
        let busy = status("True", "True", "1 of 3 pods are updated");
        let told = Statuses.tell(Some(&well), Some(&busy), Moment(1));
        assert_eq!(told[0].what, "is available, progressing: 1 of 3 pods are updated");
        assert_eq!(told[0].turn, Turn::Begins { state: "not well".into() });
        let again = Statuses.tell(Some(&busy), Some(&well), Moment(2));
        assert_eq!((again[0].what.as_str(), &again[0].turn), ("is available", &Turn::Ends));
        assert_eq!(Statuses.tell(Some(&well), Some(&status("True", "False", "all is well")), Moment(3)), []);
    }
}
