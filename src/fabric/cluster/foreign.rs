//! Policies that are in force in a cluster though no scenario names them. A run makes its namespaces itself, so its pods are
//! reached by kinds that stand outside namespaces, a global default deny, say, and by what a cluster puts into every new
//! namespace of its own accord. They change what flows mean, so they are named before anything is judged.

use futures::future::join_all;
use kube::api::DynamicObject;
use kube::core::ApiResource;
use serde_json::Value;

use super::kinds;
use super::mark::RUN;
use super::server::Server;
use crate::model::prediction::PolicyRef;

/// The kinds that decide flows, among those that stand outside namespaces.
const DECIDING: [&str; 4] =
    ["GlobalNetworkPolicy", "ClusterNetworkPolicy", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy"];
/// Tiers that an operator keeps for Calico's own pods.
const ITS_OWN: [&str; 2] = ["calico-system", "allow-tigera"];

/// A sentence for each such policy that is neither this scenario's nor of a run of ours, and one where that cannot be told.
pub(super) async fn find(server: &Server, named: &[PolicyRef]) -> Vec<String> {
    let (found, mut told) = in_force(server).await;
    told.extend(found.iter().filter_map(|(kind, object)| foreign(&kind.kind, object, named)));
    told.sort();
    told.dedup();
    told
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

fn foreign(kind: &str, object: &DynamicObject, named: &[PolicyRef]) -> Option<String> {
    let name = object.metadata.name.as_deref()?;
    let marked = object.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(RUN));
    let ours = named.iter().any(|policy| policy.kind == kind && policy.namespace.is_none() && policy.name == name);
    if marked || ours || ITS_OWN.contains(&tier(object)) {
        return None;
    }
    let spec = object.data.get("spec");
    let selector = spec.and_then(|spec| spec.get("selector").or_else(|| spec.get("subject")));
    let selects = match selector {
        Some(Value::String(text)) if !text.is_empty() => format!(", for `{text}`"),
        Some(Value::Object(subject)) if !subject.is_empty() => format!(", for {}", Value::Object(subject.clone())),
        Some(_) | None => ", for every pod".to_owned(),
    };
    Some(format!(
        "{kind} `{name}` is in force in this cluster{selects}, and in no scenario: what flows mean here is known without it"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(name: &str, spec: Value, run: Option<&str>) -> DynamicObject {
        let labels = run.map(|run| json!({ RUN: run }));
        serde_json::from_value(json!({
            "apiVersion": "projectcalico.org/v3", "kind": "GlobalNetworkPolicy",
            "metadata": { "name": name, "labels": labels }, "spec": spec,
        }))
        .unwrap()
    }

    #[test]
    fn a_policy_of_somebody_else_is_named_with_what_it_selects() {
        let own = [PolicyRef { kind: "GlobalNetworkPolicy".into(), namespace: None, name: "mine".into() }];
        let rows = [
            (object("deny", json!({ "selector": "all()" }), None), Some("for `all()`"), "a default deny"),
            (object("deny", json!({}), None), Some("for every pod"), "one without a selector"),
            (object("mine", json!({}), None), None, "the scenario's own"),
            (object("x", json!({}), Some("cafe0001")), None, "another run's"),
            (object("x", json!({ "tier": "calico-system" }), None), None, "for Calico's own pods"),
        ];
        for (object, expected, why) in rows {
            let told = foreign("GlobalNetworkPolicy", &object, &own);
            match expected {
                None => assert_eq!(told, None, "{why}"),
                Some(text) => assert!(told.as_deref().is_some_and(|told| told.contains(text)), "{why}: {told:?}"),
            }
        }
    }
}
