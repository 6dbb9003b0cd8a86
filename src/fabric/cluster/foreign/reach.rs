//! Which probe pods a GlobalNetworkPolicy of somebody else selects, read as Calico reads it.

use std::collections::{BTreeMap, BTreeSet};

use kube::api::DynamicObject;
use serde_json::Value;

use super::super::mark::RUN;
use crate::model::endpoint::EndpointId;
use crate::policy::calico_selector::{GlobalSubject, NAMESPACE_PREFIX, SERVICE_ACCOUNT_PREFIX, Selector};
use crate::scenario::Scenario;
use crate::scenario::world::World;

/// The service account of every probe pod.
const ACCOUNT: &str = "default";

/// What a policy selects.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// These pods of the bare world, and these in later steps only. The sentences say what of it does not parse.
    Pods { bare: BTreeSet<EndpointId>, later: BTreeSet<EndpointId>, vanished: Vec<String> },
    /// Nothing: Calico drops the policy, for this reason.
    Dropped(String),
}

/// Reads the selectors of a policy against the pods of a scenario.
pub(super) fn of(object: &DynamicObject, scenario: &Scenario, run: &str) -> Reach {
    let field = |name: &str| object.data.pointer(&format!("/spec/{name}")).and_then(Value::as_str).unwrap_or_default();
    let flag = |name: &str| object.data.pointer(&format!("/spec/{name}")).and_then(Value::as_bool).unwrap_or_default();
    let subject = GlobalSubject::new(field("selector"), field("namespaceSelector"), field("serviceAccountSelector"));
    let selector = match subject.selector {
        Ok(selector) => selector,
        Err(error) => return Reach::Dropped(error.to_string()),
    };
    let vanished = subject.vanished.into_iter().map(|(field, error)| format!("its {field} does not parse ({error})"));
    // Calico asks these two at host endpoints only.
    let spares_pods = flag("doNotTrack") || flag("preDNAT");
    let selected = |world: &World| if spares_pods { BTreeSet::new() } else { selected(&selector, world, run) };
    let bare = selected(scenario.bare());
    let later = scenario.stages().iter().flat_map(|stage| selected(&stage.world)).filter(|id| !bare.contains(id));
    Reach::Pods { later: later.collect(), vanished: vanished.collect(), bare }
}

fn selected(selector: &Selector, world: &World, run: &str) -> BTreeSet<EndpointId> {
    let selects = |id: &EndpointId| {
        let labels = labels(*id, world, run);
        selector.matches(|label| labels.get(label).map(String::as_str))
    };
    world.pods.keys().copied().filter(selects).collect()
}

/// The labels that Calico gives a pod's endpoint. Where a label of the pod's own has the same name as one that it inherits
/// of its namespace, its own counts.
fn labels(id: EndpointId, world: &World, run: &str) -> BTreeMap<String, String> {
    let Some(pod) = world.pods.get(&id) else { return BTreeMap::new() };
    let text = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let mut labels = BTreeMap::from([
        text(&format!("{NAMESPACE_PREFIX}{RUN}"), run),
        text(&format!("{NAMESPACE_PREFIX}projectcalico.org/name"), &pod.namespace),
        text(&format!("{SERVICE_ACCOUNT_PREFIX}projectcalico.org/name"), ACCOUNT),
    ]);
    let inherited = world.namespaces.get(&pod.namespace).into_iter().flat_map(|labels| &labels.0);
    labels.extend(inherited.map(|(key, value)| (format!("{NAMESPACE_PREFIX}{key}"), value.clone())));
    labels.insert(RUN.to_owned(), run.to_owned());
    labels.extend(pod.labels.0.iter().map(|(key, value)| (key.clone(), value.clone())));
    labels.extend([
        text("projectcalico.org/namespace", &pod.namespace),
        text("projectcalico.org/orchestrator", "k8s"),
        text("projectcalico.org/serviceaccount", ACCOUNT),
    ]);
    labels
}
