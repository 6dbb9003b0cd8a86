//! Two manifests of one object, field by field.
//!
//! A server fills in what was left out of a NetworkPolicy and drops what is empty, so both sides are first written the
//! way it writes them. Other kinds are servers' of their own, which fill in more: of these only what the file says is
//! looked for.

use serde_json::{Map, Value};

use crate::model::drift::Drift;

/// So many fields of one object are told one by one.
const TOLD: usize = 12;

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sides {
    /// What either side says.
    Both,
    /// What the file says.
    File,
}

/// How the `spec` of a NetworkPolicy differs.
pub(super) fn network_policy(object: &str, file: &Value, cluster: &Value) -> Vec<Drift> {
    let spec = |manifest: &Value| as_served(manifest.get("spec").cloned().unwrap_or(Value::Null));
    between(object, "spec", &spec(file), &spec(cluster), Sides::Both)
}

/// How two values differ.
pub(super) fn between(object: &str, path: &str, file: &Value, cluster: &Value, sides: Sides) -> Vec<Drift> {
    let mut found = Vec::new();
    walk(path, Some(file), Some(cluster), sides, &mut found);
    let more = found.len().saturating_sub(TOLD);
    let told = found.into_iter().take(TOLD).map(|(path, file, cluster)| Drift::Field {
        object: object.to_owned(),
        path,
        file,
        cluster,
    });
    let more = (more > 0).then(|| Drift::More { object: object.to_owned(), fields: more });
    told.chain(more).collect()
}

type Difference = (String, Option<Value>, Option<Value>);

fn walk(path: &str, file: Option<&Value>, cluster: Option<&Value>, sides: Sides, found: &mut Vec<Difference>) {
    match (file, cluster) {
        (Some(Value::Object(file)), Some(Value::Object(cluster))) => {
            let mut keys: Vec<&String> = file.keys().collect();
            if sides == Sides::Both {
                keys.extend(cluster.keys().filter(|key| !file.contains_key(*key)));
            }
            for key in keys {
                walk(&below(path, key), file.get(key), cluster.get(key), sides, found);
            }
        }
        (Some(Value::Array(file)), Some(Value::Array(cluster))) => {
            for place in 0..file.len().max(cluster.len()) {
                walk(&format!("{path}[{place}]"), file.get(place), cluster.get(place), sides, found);
            }
        }
        _ if file == cluster => {}
        _ => found.push((path.to_owned(), file.cloned(), cluster.cloned())),
    }
}

/// The way to a key; one with a dot in it is put in quotes.
fn below(path: &str, key: &str) -> String {
    if key.contains(['.', '/']) { format!("{path}[\"{key}\"]") } else { format!("{path}.{key}") }
}

/// A NetworkPolicy's `spec` as the API server gives it.
fn as_served(spec: Value) -> Value {
    let Value::Object(mut spec) = spec else { return as_served(Value::Object(Map::new())) };
    spec.entry("podSelector").or_insert_with(|| Value::Object(Map::new()));
    spec.retain(|key, value| !value.is_null() && (key == "policyTypes" || !is_empty_list(value)));
    let egress = spec.get("egress").is_some_and(|rules| !is_empty_list(rules));
    let types = spec.entry("policyTypes").or_insert(Value::Array(Vec::new()));
    if let Value::Array(types) = types {
        if types.is_empty() {
            types.push("Ingress".into());
            types.extend(egress.then(|| "Egress".into()));
        }
        types.sort_by_key(ToString::to_string);
    }
    for rules in ["ingress", "egress"] {
        for rule in spec.get_mut(rules).and_then(Value::as_array_mut).into_iter().flatten() {
            for port in rule.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
                if let Value::Object(port) = port {
                    port.entry("protocol").or_insert_with(|| "TCP".into());
                }
            }
        }
    }
    let mut spec = Value::Object(spec);
    drop_empty(&mut spec);
    spec
}

fn is_empty_list(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

/// Takes out what a server does not keep: nulls, empty lists, and empty maps of labels. An empty selector is another
/// thing than none, and stays.
fn drop_empty(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(drop_empty);
            map.retain(|key, value| {
                let no_labels = key == "matchLabels" && value.as_object().is_some_and(Map::is_empty);
                !value.is_null() && !is_empty_list(value) && !no_labels
            });
        }
        Value::Array(all) => all.iter_mut().for_each(drop_empty),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(file: Value, cluster: Value) -> Vec<String> {
        let (file, cluster) = (json!({ "spec": file }), json!({ "spec": cluster }));
        network_policy("policy shop/db", &file, &cluster).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_a_server_fills_in_or_drops_is_no_difference() {
        let rows = [
            (json!({}), json!({ "podSelector": {}, "policyTypes": [ "Ingress" ] }), "everything left out"),
            (
                json!({ "podSelector": { "matchLabels": {} }, "ingress": [] }),
                json!({ "podSelector": {}, "policyTypes": [ "Ingress" ] }),
                "what is empty",
            ),
            (
                json!({ "podSelector": {}, "egress": [ {} ] }),
                json!({ "podSelector": {}, "egress": [ {} ], "policyTypes": [ "Ingress", "Egress" ] }),
                "the types follow from the rules",
            ),
            (
                json!({ "podSelector": {}, "policyTypes": [ "Egress", "Ingress" ] }),
                json!({ "podSelector": {}, "policyTypes": [ "Ingress", "Egress" ] }),
                "their order means nothing",
            ),
            (
                json!({ "podSelector": {}, "ingress": [ { "ports": [ { "port": 80 } ], "from": [] } ] }),
                json!({ "podSelector": {}, "policyTypes": [ "Ingress" ],
                    "ingress": [ { "ports": [ { "port": 80, "protocol": "TCP" } ] } ] }),
                "a port is TCP's where nothing is said",
            ),
        ];
        for (file, cluster, why) in rows {
            assert_eq!(told(file, cluster), [] as [&str; 0], "{why}");
        }
    }

    #[test]
    fn every_field_that_means_something_else_is_told() {
        let rows = [
            (
                json!({ "ingress": [ { "ports": [ { "port": 5432 } ] } ] }),
                json!({ "ingress": [ { "ports": [ { "port": 5433 } ] } ] }),
                vec!["policy shop/db: `spec.ingress[0].ports[0].port` is 5432 in the file and 5433 in the cluster"],
                "a port",
            ),
            (
                json!({ "ingress": [ { "from": [ { "namespaceSelector": {}, "podSelector": {} } ] } ] }),
                json!({ "ingress": [ { "from": [ { "podSelector": {} } ] } ] }),
                vec![
                    "policy shop/db: `spec.ingress[0].from[0].namespaceSelector` is {} in the file and not there in \
                     the cluster",
                ],
                "an empty selector is another thing than none",
            ),
            (
                json!({ "ingress": [ {} ] }),
                json!({}),
                vec!["policy shop/db: `spec.ingress` is [{}] in the file and not there in the cluster"],
                "a rule for everything is another thing than no rule",
            ),
            (
                json!({ "podSelector": { "matchLabels": { "app.kubernetes.io/name": "db" } } }),
                json!({ "podSelector": { "matchLabels": { "app.kubernetes.io/name": "web" } } }),
                vec![
                    "policy shop/db: `spec.podSelector.matchLabels[\"app.kubernetes.io/name\"]` is \"db\" in the file \
                     and \"web\" in the cluster",
                ],
                "a key with dots",
            ),
            (
                json!({ "policyTypes": [ "Ingress" ] }),
                json!({ "policyTypes": [ "Ingress", "Egress" ] }),
                vec![
                    "policy shop/db: `spec.policyTypes[0]` is \"Ingress\" in the file and \"Egress\" in the cluster",
                    "policy shop/db: `spec.policyTypes[1]` is not there in the file and \"Ingress\" in the cluster",
                ],
                "another type",
            ),
        ];
        for (file, cluster, expected, why) in rows {
            assert_eq!(told(file, cluster), expected, "{why}");
        }
    }

    #[test]
    fn of_other_kinds_only_what_the_file_says_is_looked_for() {
        let file = json!({ "selector": "all()", "types": [ "Ingress" ] });
        let cluster = json!({ "selector": "all()", "types": [ "Egress" ], "tier": "default", "order": 5 });
        let found = between("policy x", "spec", &file, &cluster, Sides::File);
        let told: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["policy x: `spec.types[0]` is \"Ingress\" in the file and \"Egress\" in the cluster"]);
    }

    #[test]
    fn a_flood_of_differences_is_counted() {
        let many: Vec<Value> = (1..=20).map(|port| json!({ "port": port, "protocol": "TCP" })).collect();
        let others: Vec<Value> = (101..=120).map(|port| json!({ "port": port, "protocol": "TCP" })).collect();
        let file = json!({ "spec": { "ingress": [ { "ports": many } ] } });
        let cluster = json!({ "spec": { "ingress": [ { "ports": others } ] } });
        let found = network_policy("policy x", &file, &cluster);
        assert_eq!(found.len(), TOLD + 1);
        assert_eq!(found.last(), Some(&Drift::More { object: "policy x".into(), fields: 8 }));
    }
}
