//! Policies that are in force in a cluster though no scenario names them. A run makes its namespaces itself, so its pods are
//! reached by kinds that stand outside namespaces, a global default deny, say, and by what a cluster puts into every new
//! namespace of its own accord. They change what flows mean, so they are named before anything is judged.

mod reach;

use std::collections::BTreeSet;

use futures::future::join_all;
use kube::api::DynamicObject;
use kube::core::ApiResource;
use serde_json::Value;

use super::kinds;
use super::mark::RUN;
use super::server::Server;
use crate::model::endpoint::EndpointId;
use crate::model::foreign::ForeignPolicy;
use crate::model::prediction::PolicyRef;
use crate::scenario::Scenario;
use reach::Reach;

/// The kinds that decide flows, among those that stand outside namespaces.
const DECIDING: [&str; 4] =
    ["GlobalNetworkPolicy", "ClusterNetworkPolicy", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy"];
/// Tiers that an operator keeps for Calico's own pods.
const ITS_OWN: [&str; 2] = ["calico-system", "allow-tigera"];

/// So many pods are named one by one.
const NAMED: usize = 8;

/// Policies of others.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Sentences on them, and on what cannot be told.
    pub(super) told: Vec<String>,
    /// Those that are known to select pods of the run.
    pub(super) policies: Vec<ForeignPolicy>,
}

/// Every such policy that is neither this scenario's nor of a run of ours, and which probe pods it selects.
pub(super) async fn find(server: &Server, scenario: &Scenario, run: &str) -> Found {
    let (found, told) = in_force(server).await;
    let mut others = Found { told, policies: Vec::new() };
    others.read(&found, scenario, run);
    others
}

impl Found {
    fn read(&mut self, objects: &[(ApiResource, DynamicObject)], scenario: &Scenario, run: &str) {
        let named: Vec<PolicyRef> =
            scenario.stages().iter().flat_map(|stage| &stage.world.policies).map(|policy| policy.reference()).collect();
        let mut seen: BTreeSet<(&str, &str)> = BTreeSet::new();
        let mut idle = Vec::new();
        for (kind, object) in objects {
            let kind = kind.kind.as_str();
            // Two groups may serve the same object, with its tier before its name in one of them.
            if !is_foreign(kind, object, &named) || !seen.insert((kind, untiered(object))) {
                continue;
            }
            let name = format!("{kind} `{}`", object.metadata.name.as_deref().unwrap_or_default());
            if kind != "GlobalNetworkPolicy" {
                self.told.push(of_other_kind(&name, object));
                continue;
            }
            match reach::of(object, scenario, run) {
                Reach::Dropped(why) => self.told.push(format!(
                    "{name} of this cluster has a selector that does not parse ({why}): Calico drops the whole policy"
                )),
                Reach::Pods { bare, later, vanished } => {
                    self.told.extend(
                        vanished.iter().map(|why| format!("{name}: {why}; Calico leaves it out, so it selects more")),
                    );
                    if bare.is_empty() && later.is_empty() {
                        idle.push(name);
                        continue;
                    }
                    let mut selects = Vec::new();
                    if !bare.is_empty() {
                        selects.push(pods(&bare, scenario));
                    }
                    if !later.is_empty() {
                        selects.push(format!("in later steps {}", pods(&later, scenario)));
                    }
                    self.told.push(format!(
                        "{name} is in force in this cluster and selects {}; it is in no scenario: what flows mean here is \
                         known without it",
                        selects.join(", and ")
                    ));
                    self.policies.push(ForeignPolicy { name, selects: bare });
                }
            }
        }
        if !idle.is_empty() {
            self.told
                .push(format!("in force in this cluster, but selecting none of the probe pods: {}", idle.join(", ")));
        }
        self.told.sort();
        self.told.dedup();
    }
}

/// Pods by name.
fn pods(ids: &BTreeSet<EndpointId>, scenario: &Scenario) -> String {
    let all = scenario.bare().pods.len();
    if ids.len() == all && all > 1 && ids.iter().all(|id| scenario.bare().pods.contains_key(id)) {
        return format!("all {all} probe pods");
    }
    let names: Vec<&str> = ids.iter().take(NAMED).map(|id| scenario.name_of(*id)).collect();
    let more = ids.len().saturating_sub(NAMED);
    if more > 0 { format!("{} and {more} more", names.join(", ")) } else { names.join(", ") }
}

/// A sentence for each NetworkPolicy that somebody else has put into namespaces of this run. Whoever does so does it a
/// moment after a namespace was made, so this is asked once the pods run.
pub(super) async fn inside(server: &Server, namespaces: impl Iterator<Item = &str>) -> Vec<String> {
    let kind = kinds::network_policy();
    let lists = namespaces.map(|namespace| {
        let kind = &kind;
        async move { (namespace, server.list_in(kind, namespace).await) }
    });
    let mut told = Vec::new();
    for (namespace, list) in join_all(lists).await {
        match list {
            Ok(objects) => told.extend(objects.iter().filter_map(|object| {
                let marked = object.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(RUN));
                let name = object.metadata.name.as_deref().filter(|_| !marked)?;
                Some(format!(
                    "somebody else has put NetworkPolicy `{name}` into `{namespace}`, a namespace of this run, and it is in \
                     no scenario: what flows mean here is known without it"
                ))
            })),
            Err(error) => told.push(format!("whether policies of others are in `{namespace}` cannot be told: {error}")),
        }
    }
    told
}

/// Every object that decides flows and stands outside namespaces, but for what an operator keeps for itself; and what
/// could not be looked at, a sentence each.
pub(super) async fn in_force(server: &Server) -> (Vec<(ApiResource, DynamicObject)>, Vec<String>) {
    let kinds = match kinds::cluster_wide_policies(server).await {
        Ok(kinds) => kinds,
        Err(error) => {
            let told = format!("whether policies of others reach the pods of this run cannot be told: {error}");
            return (Vec::new(), vec![told]);
        }
    };
    let deciding: Vec<ApiResource> = kinds.into_iter().filter(|kind| DECIDING.contains(&kind.kind.as_str())).collect();
    let lists = join_all(deciding.iter().map(|kind| server.list(kind, ""))).await;
    let (mut found, mut told) = (Vec::new(), Vec::new());
    for (kind, list) in deciding.iter().zip(lists) {
        match list {
            Ok(objects) => {
                let theirs = objects.into_iter().filter(|object| !ITS_OWN.contains(&tier(object)));
                found.extend(theirs.map(|object| (kind.clone(), object)));
            }
            Err(error) => {
                told.push(format!("whether a {} reaches the pods of this run cannot be told: {error}", kind.kind));
            }
        }
    }
    (found, told)
}

fn tier(object: &DynamicObject) -> &str {
    object.data.pointer("/spec/tier").and_then(Value::as_str).unwrap_or_default()
}

/// A policy's name without its tier in front.
pub(super) fn untiered(object: &DynamicObject) -> &str {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let tier = object.data.pointer("/spec/tier").and_then(Value::as_str).unwrap_or("default");
    name.strip_prefix(tier).and_then(|rest| rest.strip_prefix('.')).unwrap_or(name)
}

fn is_foreign(kind: &str, object: &DynamicObject, named: &[PolicyRef]) -> bool {
    let Some(name) = object.metadata.name.as_deref() else { return false };
    let marked = object.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(RUN));
    let ours = named.iter().any(|policy| policy.kind == kind && policy.namespace.is_none() && policy.name == name);
    !marked && !ours && !ITS_OWN.contains(&tier(object))
}

/// A sentence for a policy whose subject is not read.
fn of_other_kind(name: &str, object: &DynamicObject) -> String {
    let selects = match object.data.pointer("/spec/subject") {
        Some(Value::Object(subject)) if !subject.is_empty() => format!(", for {}", Value::Object(subject.clone())),
        Some(_) | None => String::new(),
    };
    format!("{name} is in force in this cluster{selects}, and in no scenario: what flows mean here is known without it")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::model::document::Strictness;

    fn object(name: &str, spec: Value, run: Option<&str>) -> (ApiResource, DynamicObject) {
        let labels = run.map(|run| json!({ RUN: run }));
        let object = serde_json::from_value(json!({
            "apiVersion": "projectcalico.org/v3", "kind": "GlobalNetworkPolicy",
            "metadata": { "name": name, "labels": labels }, "spec": spec,
        }));
        let kind = kube::core::GroupVersionKind::gvk("projectcalico.org", "v3", "GlobalNetworkPolicy");
        (ApiResource::from_gvk(&kind), object.unwrap())
    }

    #[test]
    fn a_policy_of_somebody_else_is_named_with_the_pods_it_selects() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/ai-data-pipeline.yaml");
        let scenario = crate::scenario::load(&file, Strictness::Strict).unwrap();
        let stores = "selects data-store, data-store-2; it is in no scenario";
        let rows: [(Value, &str, &str); 12] = [
            (json!({}), "selects all 6 probe pods", "one without a selector"),
            (json!({ "selector": "all()" }), "selects all 6 probe pods", "a default deny"),
            (json!({ "selector": "role == 'data-store'", "namespaceSelector": "all()" }), "", "both"),
            (
                json!({ "selector": "role == 'data-store'",
                "namespaceSelector": "kubernetes.io/metadata.name == 'ai-data-pipeline'" }),
                stores,
                "both",
            ),
            (json!({ "namespaceSelector": "team == 'payments'" }), "none of the probe pods", "other namespaces"),
            (json!({ "namespaceSelector": "projectcalico.org/name == 'ai-staging'" }), "selects impostor;", "by name"),
            (json!({ "serviceAccountSelector": "projectcalico.org/name != 'default'" }), "none of", "other accounts"),
            (json!({ "selector": "role = 'data-store'" }), "drops the whole policy", "no selector"),
            (json!({ "selector": "role == 'data-store'", "preDNAT": true }), "none of", "for host endpoints"),
            (json!({ "namespaceSelector": "team" }), "leaves it out, so it selects more", "it vanishes"),
            (json!({ "namespaceSelector": "team" }), "selects all 6 probe pods", "and so it selects all"),
            (json!({ "tier": "calico-system" }), "", "for Calico's own pods"),
        ];
        for (spec, expected, why) in rows {
            let mut found = Found::default();
            found.read(
                &[object("x", spec.clone(), None), object("default.x", spec.clone(), None)],
                &scenario,
                "cafe0001",
            );
            assert!(found.told.iter().any(|told| told.contains(expected)) || expected.is_empty(), "{why}: {found:?}");
            assert_eq!(
                found.policies.is_empty(),
                !found.told.iter().any(|told| told.contains("and selects ")),
                "{why}"
            );
            assert!(found.policies.len() < 2, "{why}: it is one policy: {found:?}");
        }
        let mut found = Found::default();
        found.read(&[object("x", json!({}), Some("cafe0002"))], &scenario, "cafe0001");
        found.read(&[object("y", json!({ "tier": "calico-system" }), None)], &scenario, "cafe0001");
        assert_eq!(found, Found::default(), "another run's, and one for Calico's own pods");
    }
}
