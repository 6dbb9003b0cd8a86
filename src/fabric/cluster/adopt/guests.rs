//! Who would take a probe pod for one of theirs though it is never ready: a Service that publishes addresses which are
//! not ready would send it connections, and a PodDisruptionBudget would count it as one that is down.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::DynamicObject;
use kube::core::{Selector, SelectorExt};
use serde_json::Value;

use super::super::error::ClusterError;
use super::super::kinds;
use super::super::server::Server;
use crate::model::labels::Labels;
use crate::scenario::Scenario;

/// What Services were told by before there was a field for it.
const TOLERATE: &str = "service.alpha.kubernetes.io/tolerate-unready-endpoints";

/// A sentence for each.
pub(super) async fn find(
    server: &Server,
    scenario: &Scenario,
    adopted: &BTreeSet<String>,
) -> Result<Vec<String>, ClusterError> {
    let probes = probes(scenario);
    let mut told = Vec::new();
    for namespace in adopted {
        let Some(probes) = probes.get(namespace.as_str()) else { continue };
        let (service, budget) = (kinds::service(), kinds::disruption_budget());
        let (services, budgets) =
            tokio::try_join!(server.list_in(&service, namespace), server.list_in(&budget, namespace))?;
        told.extend(services.iter().filter_map(|service| {
            let selected = sent_to_unready(service).then(|| among(probes, |labels| routes(service, labels)))?;
            let name = service.metadata.name.as_deref().unwrap_or_default();
            (!selected.is_empty()).then(|| {
                format!(
                    "Service `{namespace}/{name}` publishes addresses that are not ready, and would send connections to \
                     the probe pods of {}",
                    selected.join(", ")
                )
            })
        }));
        told.extend(budgets.iter().filter_map(|budget| {
            let selected = among(probes, |labels| counts(budget, labels));
            let name = budget.metadata.name.as_deref().unwrap_or_default();
            (!selected.is_empty()).then(|| {
                format!(
                    "PodDisruptionBudget `{namespace}/{name}` would count the probe pods of {} as pods that are down, and \
                     may forbid every eviction meanwhile",
                    selected.join(", ")
                )
            })
        }));
    }
    Ok(told)
}

/// The probes of each namespace, with all labels that each ever has.
type Probes<'a> = BTreeMap<&'a str, Vec<(&'a str, &'a Labels)>>;

fn probes(scenario: &Scenario) -> Probes<'_> {
    let worlds = scenario.stages().iter().map(|stage| &stage.world).chain([scenario.bare()]);
    let mut probes: Probes<'_> = BTreeMap::new();
    for (id, pod) in worlds.flat_map(|world| &world.pods) {
        probes.entry(&pod.namespace).or_default().push((scenario.name_of(*id), &pod.labels));
    }
    probes
}

/// The probes that somebody selects, each once.
fn among(probes: &[(&str, &Labels)], selects: impl Fn(&Labels) -> bool) -> Vec<String> {
    let names: BTreeSet<&str> = probes.iter().filter(|(_, labels)| selects(labels)).map(|(name, _)| *name).collect();
    names.into_iter().map(|name| format!("`{name}`")).collect()
}

fn sent_to_unready(service: &DynamicObject) -> bool {
    let published = service.data.pointer("/spec/publishNotReadyAddresses").and_then(Value::as_bool);
    let annotations = service.metadata.annotations.as_ref();
    published == Some(true) || annotations.and_then(|all| all.get(TOLERATE)).is_some_and(|value| value == "true")
}

fn routes(service: &DynamicObject, labels: &Labels) -> bool {
    let selector = service.data.pointer("/spec/selector").and_then(Value::as_object);
    // Without a selector its endpoints are written by hand.
    selector.is_some_and(|selector| {
        !selector.is_empty() && selector.iter().all(|(key, value)| labels.get(key) == value.as_str())
    })
}

/// Without a selector a budget counts nobody, with an empty one everybody. One that cannot be read might count anybody.
fn counts(budget: &DynamicObject, labels: &Labels) -> bool {
    let Some(selector) = budget.data.pointer("/spec/selector").filter(|selector| !selector.is_null()) else {
        return false;
    };
    let selector = serde_json::from_value::<LabelSelector>(selector.clone()).ok().map(Selector::try_from);
    match selector {
        Some(Ok(selector)) => selector.matches(&labels.0),
        Some(Err(_)) | None => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(spec: Value) -> DynamicObject {
        serde_json::from_value(json!({ "metadata": { "name": "x" }, "spec": spec })).unwrap()
    }

    fn labels() -> Labels {
        Labels::from_iter([("app".to_owned(), "db".to_owned())])
    }

    #[test]
    fn a_service_takes_pods_that_are_not_ready_only_where_it_says_so() {
        let rows = [
            (json!({ "selector": { "app": "db" } }), false, "the usual one"),
            (json!({ "selector": { "app": "db" }, "publishNotReadyAddresses": true }), true, "one for peers"),
            (json!({ "selector": { "app": "web" }, "publishNotReadyAddresses": true }), false, "for others"),
            (json!({ "publishNotReadyAddresses": true }), false, "without a selector"),
        ];
        for (spec, taken, why) in rows {
            let service = object(spec);
            assert_eq!(sent_to_unready(&service) && routes(&service, &labels()), taken, "{why}");
        }
        let mut old = object(json!({ "selector": { "app": "db" } }));
        old.metadata.annotations = Some([(TOLERATE.to_owned(), "true".to_owned())].into());
        assert!(sent_to_unready(&old), "as it was said long ago");
    }

    #[test]
    fn a_budget_counts_whom_its_selector_selects() {
        let rows = [
            (json!({}), false, "without a selector"),
            (json!({ "selector": {} }), true, "an empty selector"),
            (json!({ "selector": { "matchLabels": { "app": "db" } } }), true, "by label"),
            (json!({ "selector": { "matchLabels": { "app": "web" } } }), false, "by another label"),
            (
                json!({ "selector": { "matchExpressions": [ { "key": "app", "operator": "NotIn", "values": [ "web" ] } ] } }),
                true,
                "by expression",
            ),
            (
                json!({ "selector": { "matchExpressions": [ { "key": "tier", "operator": "Exists" } ] } }),
                false,
                "by a label it has not",
            ),
        ];
        for (spec, counted, why) in rows {
            assert_eq!(counts(&object(spec), &labels()), counted, "{why}");
        }
    }
}
