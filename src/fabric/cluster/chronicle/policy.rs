//! Policies, and other objects that decide flows, in words: made, changed and deleted, and by whom.

use std::collections::BTreeSet;

use kube::api::DynamicObject;

use super::follow::Reader;
use crate::fabric::Happened;
use crate::model::happening::About;
use crate::model::moment::Moment;

/// One kind of them.
pub(super) struct Policies {
    kind: String,
    /// Those that stand in a namespace count in these.
    namespaces: BTreeSet<String>,
}

impl Policies {
    /// Of one kind.
    pub(super) fn new(kind: &str, namespaces: &BTreeSet<String>) -> Self {
        Self { kind: kind.to_owned(), namespaces: namespaces.clone() }
    }
}

/// What of an object is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    subject: String,
    generation: Option<i64>,
    version: String,
    /// Whoever wrote some of its fields, each with when they last did, to the second.
    writers: BTreeSet<(String, String)>,
    leaving: bool,
}

impl Facts {
    /// Who wrote last, and when, going by who wrote before.
    fn writer(&self, before: Option<&Self>) -> Option<&(String, String)> {
        let fresh = self.writers.iter().filter(|writer| before.is_none_or(|before| !before.writers.contains(*writer)));
        fresh.max_by_key(|(_, when)| when.as_str())
    }
}

impl Reader for Policies {
    type Object = DynamicObject;
    type Facts = Facts;

    fn read(&self, object: &DynamicObject) -> Option<Facts> {
        let meta = &object.metadata;
        let name = meta.name.as_deref()?;
        let subject = match meta.namespace.as_deref() {
            Some(namespace) if !self.namespaces.contains(namespace) => return None,
            Some(namespace) => format!("{} {namespace}/{name}", self.kind),
            None => format!("{} {name}", self.kind),
        };
        let written = meta.managed_fields.iter().flatten().filter(|entry| entry.subresource.is_none());
        Some(Facts {
            subject,
            generation: meta.generation,
            version: meta.resource_version.clone().unwrap_or_default(),
            writers: written
                .filter_map(|entry| Some((entry.manager.clone()?, entry.time.as_ref()?.0.to_string())))
                .collect(),
            leaving: meta.deletion_timestamp.is_some(),
        })
    }

    fn tell(&mut self, before: Option<&Facts>, after: Option<&Facts>, at: Moment) -> Vec<Happened> {
        let Some(now) = after.or(before) else { return Vec::new() };
        let told = |what: &str, writer: Option<&(String, String)>| {
            let what = writer.map_or_else(|| what.to_owned(), |(who, _)| format!("{what} by {who}"));
            let stamped = writer.map(|(_, when)| when.clone());
            Happened { stamped, ..Happened::new(at, About::Policy, now.subject.as_str(), what) }
        };
        match (before, after) {
            (None, Some(after)) => vec![told("was created", after.writer(None))],
            (Some(_), None) => vec![told("was deleted", None)],
            (Some(before), Some(after)) if after.leaving && !before.leaving => {
                vec![told("is being deleted, and waits for a finalizer", None)]
            }
            (Some(before), Some(after)) => {
                // Where a kind counts its changes, one that it does not count left its meaning alone.
                let what = match (before.generation, after.generation) {
                    (Some(earlier), Some(later)) if earlier == later => "had its metadata or status changed",
                    (Some(_), Some(_)) | (None, _) | (_, None) => "was changed",
                };
                vec![told(what, after.writer(Some(before)))]
            }
            (None, None) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn policies() -> Policies {
        Policies::new("NetworkPolicy", &["shop".to_owned()].into())
    }

    fn read(
        namespace: Option<&str>,
        generation: Option<i64>,
        version: &str,
        writers: &[(&str, &str)],
    ) -> Option<Facts> {
        let fields: Vec<Value> = writers
            .iter()
            .map(|(manager, time)| json!({ "manager": manager, "operation": "Update", "time": time, "fieldsType": "FieldsV1" }))
            .collect();
        let object = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": { "name": "web", "namespace": namespace, "generation": generation, "resourceVersion": version,
                "managedFields": fields },
        });
        policies().read(&serde_json::from_value(object).unwrap())
    }

    fn told(before: Option<&Facts>, after: Option<&Facts>) -> Vec<String> {
        let all = policies().tell(before, after, Moment(1));
        let stamped = |stamped: Option<String>| stamped.map(|at| format!(" at {at}")).unwrap_or_default();
        all.into_iter().map(|one| format!("{}: {}{}", one.subject, one.what, stamped(one.stamped))).collect()
    }

    #[test]
    fn a_policy_is_told_of_with_whoever_changed_it() {
        let (first, second) = ("2026-11-27T04:00:00Z", "2026-11-27T04:05:00Z");
        let made = read(Some("shop"), Some(1), "7", &[("leakproof", first)]).unwrap();
        let edited = read(Some("shop"), Some(2), "8", &[("leakproof", first), ("kubectl-edit", second)]).unwrap();
        let labelled = read(Some("shop"), Some(1), "8", &[("leakproof", first), ("kubectl-label", second)]).unwrap();
        let third = "2026-11-27T04:06:00Z";
        let own = read(Some("shop"), Some(3), "9", &[("kubectl-edit", second), ("leakproof", third)]).unwrap();
        let table = [
            (None, Some(&made), "was created by leakproof at 2026-11-27T04:00:00Z", "made"),
            (Some(&made), Some(&edited), "was changed by kubectl-edit at 2026-11-27T04:05:00Z", "by somebody else"),
            (
                Some(&made),
                Some(&labelled),
                "had its metadata or status changed by kubectl-label at 2026-11-27T04:05:00Z",
                "no new generation",
            ),
            (Some(&edited), Some(&own), "was changed by leakproof at 2026-11-27T04:06:00Z", "by ourselves"),
            (Some(&made), None, "was deleted", "deleted"),
        ];
        for (before, after, expected, why) in table {
            assert_eq!(told(before, after), [format!("NetworkPolicy shop/web: {expected}")], "{why}");
        }
        let uncounted = |version| read(None, None, version, &[]).unwrap();
        assert_eq!(told(Some(&uncounted("1")), Some(&uncounted("2"))), ["NetworkPolicy web: was changed"]);
    }

    #[test]
    fn policies_in_namespaces_of_others_are_none_of_ours() {
        assert_eq!(read(Some("bank"), Some(1), "1", &[]), None);
        assert!(read(None, Some(1), "1", &[]).is_some(), "one outside namespaces bears on everybody");
    }
}
