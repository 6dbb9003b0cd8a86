//! Kubernetes manifests, read strictly into [`crate::policy`]: what the API server would refuse is refused, and what it
//! would quietly drop is said.

#[cfg(test)]
mod api_server;
mod filled;
mod metadata;
mod network_policy;
mod selector;

use std::sync::Arc;

use super::decode::{At, Dialect, Fields, entries, items, text};
use super::diagnostic::{Code, Diagnostic, Refusal};
use super::labels::{Own, check_bare_key};
use super::log::{Log, error, nearest, warning};
use super::text::Span;
use super::tree::{Node, Value};
use super::yaml;
use crate::model::labels::{Labels, check_key};
use crate::model::prediction::PolicyRef;
use crate::policy::Policy;
use crate::policy::unknown::UnknownPolicy;
use filled::Shape;

const KUBERNETES: Dialect = Dialect::Manifest;

/// Groups whose kinds are policies, or bear on them. What they mean is not known here.
const POLICY_GROUPS: [&str; 3] = ["projectcalico.org", "crd.projectcalico.org", "policy.networking.k8s.io"];

/// One manifest.
#[derive(Debug)]
pub(in crate::scenario) enum Manifest {
    /// A Namespace: its labels count.
    Namespace {
        /// Its name.
        name: At<String>,
        /// Its labels.
        labels: Labels,
    },
    /// A policy.
    Policy {
        /// The policy.
        policy: Policy,
        /// Where its name stands.
        name: Span,
        /// Where its namespace stands, or its name where it has none.
        namespace: Span,
    },
}

/// Reads one document: a manifest, or a `List` of them.
pub(in crate::scenario) fn read(node: &Node, log: &mut Log) -> Vec<Manifest> {
    let mut all = Vec::new();
    read_into(node, log, &mut all);
    all
}

fn read_into(node: &Node, log: &mut Log, all: &mut Vec<Manifest>) {
    let Some(mut fields) = Fields::open(node, "a manifest", KUBERNETES, log) else { return };
    let version = fields.required("apiVersion", log).and_then(|node| text(node, "`apiVersion`", KUBERNETES, log));
    let kind = fields.required("kind", log).and_then(|node| text(node, "`kind`", KUBERNETES, log));
    let (Some(version), Some(kind)) = (version, kind) else { return };
    let group = version.value.split_once('/').map(|(group, _)| group).unwrap_or_default();
    match (version.value.as_str(), kind.value.as_str()) {
        ("v1", "List") | ("networking.k8s.io/v1", "NetworkPolicyList") => list(fields, log, all),
        ("v1", "Namespace") => all.extend(namespace(fields, log)),
        ("networking.k8s.io/v1", "NetworkPolicy") => all.extend(network_policy::read(node, fields, log)),
        _ if POLICY_GROUPS.contains(&group) => all.extend(unknown(node, fields, &version, &kind, log)),
        (_, "NetworkPolicy" | "Namespace" | "List") => {
            let right = if kind.value == "NetworkPolicy" { "networking.k8s.io/v1" } else { "v1" };
            let message = format!("there is no {} in `{}`", kind.value, version.value);
            log.push(error(Code::UnknownKind, message).at(version.span).help(format!("write `{right}`")));
        }
        _ => {
            let message = format!("a {} is no policy", kind.value);
            let hint = nearest(&kind.value, ["NetworkPolicy", "Namespace", "List"])
                .unwrap_or_else(|| "a scenario's manifests are policies, and namespaces for their labels".to_owned());
            log.push(error(Code::UnknownKind, message).at(kind.span).help(hint));
        }
    }
}

fn list(mut fields: Fields<'_>, log: &mut Log, all: &mut Vec<Manifest>) {
    if let Some(node) = fields.optional("metadata") {
        filled::check(node, "metadata", Shape::Map, log);
        for (key, shape) in metadata::FILLED {
            if let Some(node) = node.get(key).filter(|node| !node.value.is_null()) {
                filled::check(node, key, shape, log);
            }
        }
    }
    let found = fields.required("items", log);
    fields.close(log);
    let Some(found) = found else { return };
    for item in items(found, "`items`", log) {
        // A list within a list could go on for long, and no server takes one.
        if item.get("kind").and_then(Node::text) == Some("List") {
            log.push(error(Code::UnknownKind, "a List holds no other List").at(item.span));
        } else {
            read_into(item, log, all);
        }
    }
}

fn namespace(mut fields: Fields<'_>, log: &mut Log) -> Option<Manifest> {
    let metadata = metadata::read(&mut fields, Own::Refused, log);
    if let Some(spec) = fields.optional("spec") {
        namespace_spec(spec, log);
    }
    if let Some(status) = fields.optional("status") {
        namespace_status(status, log);
    }
    filled::drop_filled(&mut fields, &[("spec", Shape::Map), ("status", Shape::Map)], log);
    fields.close(log);
    let metadata = metadata?;
    metadata::check_finalizers(&metadata.finalizers, log);
    if let Err(why) = crate::model::labels::check_dns_label(&metadata.name.value) {
        let message = format!("the namespace name `{}` {why}", metadata.name.value);
        log.push(error(Code::InvalidValue, message).at(metadata.name.span));
    }
    Some(Manifest::Namespace { name: metadata.name, labels: metadata.labels })
}

/// Checks the `spec` of a Namespace, which says nothing that matters here.
fn namespace_spec(node: &Node, log: &mut Log) {
    if let Value::Map(_) = node.value
        && let Some(mut fields) = Fields::open(node, "`spec`", KUBERNETES, log)
    {
        let finalizers = fields.optional("finalizers").map(|node| metadata::finalizers(node, log)).unwrap_or_default();
        metadata::check_finalizers(&finalizers, log);
        fields.close(log);
    }
}

/// Checks the `status` of a Namespace, which is not created either.
fn namespace_status(node: &Node, log: &mut Log) {
    if let Value::Map(_) = node.value
        && let Some(mut fields) = Fields::open(node, "`status`", KUBERNETES, log)
    {
        for (key, shape) in [("phase", Shape::Text), ("conditions", Shape::List)] {
            if let Some(node) = fields.optional(key) {
                filled::check(node, key, shape, log);
            }
        }
        fields.close(log);
    }
}

fn unknown(
    node: &Node,
    mut fields: Fields<'_>,
    version: &At<String>,
    kind: &At<String>,
    log: &mut Log,
) -> Option<Manifest> {
    let metadata = metadata::read(&mut fields, Own::Taken, log)?;
    // The rest is another server's business.
    log.push(
        warning(Code::UnknownKind, format!("what a {} means is not known here", kind.value))
            .note(kind.span, "kept, and given to a cluster as it is")
            .help("expectations are judged against what is seen; flows it could touch have no meaning"),
    );
    // Two servers have a NetworkPolicy: the other one is called as kubectl calls it.
    let group = version.value.split_once('/').map(|(group, _)| group).unwrap_or_default();
    let namespaced = matches!(
        kind.value.as_str(),
        "NetworkPolicy" | "StagedNetworkPolicy" | "StagedKubernetesNetworkPolicy" | "NetworkSet"
    );
    let called = if kind.value == "NetworkPolicy" { format!("{}.{group}", kind.value) } else { kind.value.clone() };
    let given = metadata.namespace.as_ref().map(|at| at.value.clone());
    let namespace = given.or_else(|| namespaced.then(|| "default".to_owned()));
    let reference = PolicyRef { kind: called, namespace, name: metadata.name.value.clone() };
    let policy = UnknownPolicy { reference, api_version: version.value.clone(), manifest: clean(node) };
    let at = metadata.namespace.as_ref().map_or(metadata.name.span, |at| at.span);
    Some(Manifest::Policy { policy: Policy::Unknown(Arc::new(policy)), name: metadata.name.span, namespace: at })
}

/// The manifest without what a server fills in.
fn clean(node: &Node) -> serde_json::Value {
    let mut json = node.to_json();
    if let Some(object) = json.as_object_mut() {
        object.remove("status");
        if let Some(metadata) = object.get_mut("metadata").and_then(|m| m.as_object_mut()) {
            for (key, _) in metadata::FILLED {
                metadata.remove(key);
            }
        }
    }
    json
}

/// Reads one policy from JSON, as an API server gives it. `origin` names it in diagnostics, which show the JSON.
///
/// # Errors
/// Where it is no policy, or none that this version knows all of.
pub fn policy_from_json(value: &serde_json::Value, origin: &str) -> Result<(Policy, Vec<Diagnostic>), Refusal> {
    let mut log = Log::default();
    // JSON is YAML too, and printed it has lines to point at.
    let printed = serde_json::to_string_pretty(value).unwrap_or_default();
    let (file, text) = log.add_text(origin, printed);
    let documents = yaml::parse(file, text.content(), &mut log);
    let mut found = documents.iter().flat_map(|document| read(document, &mut log)).collect::<Vec<_>>();
    let policy = match (found.pop(), found.is_empty()) {
        (Some(Manifest::Policy { policy, .. }), true) => Some(policy),
        (Some(_), _) => {
            log.push(error(Code::UnknownKind, "this is not one policy"));
            None
        }
        (None, _) => {
            if log.errors() == 0 {
                log.push(error(Code::UnknownKind, "there is no policy"));
            }
            None
        }
    };
    let warnings = log.finish(origin)?;
    match policy {
        Some(policy) => Ok((policy, warnings)),
        // Nothing was found and nothing was said: the log above is never empty then.
        None => Err(Refusal { file: origin.to_owned(), diagnostics: warnings, omitted: 1 }),
    }
}

/// The keys of a map that holds text, for annotations: read, and otherwise left alone.
fn texts(node: &Node, what: &str, log: &mut Log) {
    for (key, node) in entries(node, what, log) {
        check_bare_key(key, log);
        // In annotations the API server takes upper case in a prefix too.
        if let Err(why) = check_key(&key.text.to_lowercase()) {
            log.push(error(Code::InvalidValue, format!("the key of {what} `{}` {why}", key.text)).at(key.span));
        }
        if !matches!(node.value, Value::Scalar(..)) {
            let message = format!("{what} `{}` must be text, not {}", key.text, node.value.kind());
            log.push(error(Code::WrongType, message).at(node.span));
        } else {
            text(node, &format!("{what} `{}`", key.text), KUBERNETES, log);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::port::Protocol;
    use crate::model::prediction::Direction;
    use crate::policy::Clause;
    use crate::policy::network_policy::{IpBlock, Peer, PortClause, PortMatch, Rule};
    use crate::policy::selector::{LabelSelector, Operator, Requirement};

    fn selector(pairs: &[(&str, &str)]) -> LabelSelector {
        let match_labels = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        LabelSelector { match_labels, ..LabelSelector::default() }
    }

    fn spec(spec: serde_json::Value) -> std::sync::Arc<crate::policy::network_policy::NetworkPolicy> {
        let manifest = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": { "name": "x" }, "spec": spec,
        });
        match policy_from_json(&manifest, "NetworkPolicy x")
            .map_err(|e| e.render(super::super::diagnostic::Colour::Never))
        {
            Ok((Policy::Network(policy), _)) => policy,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn absent_null_and_empty_lists_stay_apart_as_the_api_server_has_them() {
        let rows = [
            (json!({}), Clause::Absent, "left out"),
            (json!({ "ingress": null }), Clause::Absent, "null is as good as left out"),
            (json!({ "ingress": [] }), Clause::Given(vec![]), "empty"),
            (
                json!({ "ingress": [ {} ] }),
                Clause::Given(vec![Rule { peers: Clause::Absent, ports: Clause::Absent }]),
                "a rule for everything",
            ),
            (
                json!({ "ingress": [ { "from": [], "ports": [] } ] }),
                Clause::Given(vec![Rule { peers: Clause::Given(vec![]), ports: Clause::Given(vec![]) }]),
                "a rule with empty lists",
            ),
        ];
        for (given, ingress, why) in rows {
            assert_eq!(spec(given).ingress, ingress, "{why}");
        }
        assert_eq!(spec(json!({ "policyTypes": [] })).policy_types, Clause::Given(vec![]));
        assert_eq!(spec(json!({})).policy_types, Clause::Absent);
        assert_eq!(spec(json!({})).namespace, "default", "a manifest without a namespace is put into `default`");
    }

    #[test]
    fn every_form_of_peer_and_port_is_read() {
        let policy = spec(json!({
            "podSelector": { "matchLabels": { "role": "db" }, "matchExpressions": [
                { "key": "a", "operator": "In", "values": [ "x", "y" ] },
                { "key": "b", "operator": "NotIn", "values": [ "" ] },
                { "key": "c", "operator": "Exists" },
                { "key": "d", "operator": "DoesNotExist", "values": [] },
            ] },
            "policyTypes": [ "Egress", "Ingress" ],
            "egress": [ {
                "to": [
                    { "podSelector": {} },
                    { "namespaceSelector": {} },
                    { "podSelector": { "matchLabels": { "r": "1" } }, "namespaceSelector": { "matchLabels": { "n": "2" } } },
                    { "ipBlock": { "cidr": "10.1.2.3/8", "except": [ "10.1.0.0/16" ] } },
                    { "ipBlock": { "cidr": "fd00::/8" }, "podSelector": null },
                ],
                "ports": [
                    {},
                    { "port": 80 },
                    { "protocol": "UDP", "port": "dns" },
                    { "protocol": "SCTP", "port": 1000, "endPort": 1000 },
                ],
            } ],
        }));
        let words = |all: &[&str]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        let expected = [
            ("a", Operator::In(words(&["x", "y"]))),
            ("b", Operator::NotIn(words(&[""]))),
            ("c", Operator::Exists),
            ("d", Operator::DoesNotExist),
        ];
        let expected = expected.map(|(key, operator)| Requirement { key: key.to_owned(), operator });
        assert_eq!(policy.pod_selector.match_expressions, expected);
        assert_eq!(policy.pod_selector.match_labels, selector(&[("role", "db")]).match_labels);
        assert_eq!(policy.policy_types, Clause::Given(vec![Direction::Egress, Direction::Ingress]));
        let Clause::Given(rules) = &policy.egress else { panic!("{:?}", policy.egress) };
        let block = |cidr: &str, except: &[&str]| {
            let except = except.iter().map(|one| one.parse().unwrap()).collect();
            Peer::Block(IpBlock { cidr: cidr.parse().unwrap(), except })
        };
        let peers = vec![
            Peer::Pods(selector(&[])),
            Peer::Namespaces(selector(&[])),
            Peer::PodsInNamespaces { namespaces: selector(&[("n", "2")]), pods: selector(&[("r", "1")]) },
            block("10.0.0.0/8", &["10.1.0.0/16"]),
            block("fd00::/8", &[]),
        ];
        let number = |n| std::num::NonZeroU16::new(n).unwrap();
        let ports = vec![
            PortClause { protocol: None, port: None },
            PortClause { protocol: None, port: Some(PortMatch::Number(number(80))) },
            PortClause { protocol: Some(Protocol::Udp), port: Some(PortMatch::Name("dns".to_owned())) },
            PortClause { protocol: Some(Protocol::Sctp), port: Some(PortMatch::Range(number(1000), number(1000))) },
        ];
        assert_eq!(rules, &[Rule { peers: Clause::Given(peers), ports: Clause::Given(ports) }]);
    }

    #[test]
    fn what_a_server_fills_in_is_left_out_and_said() {
        let manifest = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {
                "name": "x", "namespace": "a", "uid": "1", "resourceVersion": "2", "generation": 3,
                "creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": [ { "manager": "kubectl" } ],
                "labels": { "leakproof.dev/run": "r" }, "annotations": { "note": "yes" },
            },
            "spec": { "podSelector": {} },
            "status": {},
        });
        let (policy, warnings) = policy_from_json(&manifest, "NetworkPolicy a/x").unwrap();
        let expected = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {
                "name": "x", "namespace": "a", "labels": { "leakproof.dev/run": "r" }, "annotations": { "note": "yes" },
            },
            "spec": { "podSelector": {} },
        });
        assert_eq!(policy.manifest(), &expected);
        let lines: Vec<String> = warnings.iter().map(Diagnostic::line).collect();
        let uid = lines.iter().find(|line| line.contains("`uid`")).unwrap();
        assert!(uid.starts_with("NetworkPolicy a/x:"), "{uid}");
        assert_eq!(lines.len(), 2, "one for `metadata`, one for `status`: {lines:?}");
    }

    #[test]
    fn what_is_not_one_whole_policy_is_refused() {
        let policy = json!({ "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": { "name": "x" }, "spec": { "podSelector": {}, "hosts": [ "a" ] } });
        let rows = [
            (policy, "`spec` has no key `hosts`", "a field of a newer API"),
            (json!({}), "a manifest has no `apiVersion`", "an empty object"),
            (json!(null), "there is no policy", "nothing"),
            (json!([]), "a manifest must be a map, not a list", "a list"),
            (
                json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "x" } }),
                "this is not one policy",
                "a namespace",
            ),
            (json!({ "apiVersion": "v1", "kind": "List", "items": [] }), "there is no policy", "an empty list"),
        ];
        for (value, message, why) in rows {
            let refusal = policy_from_json(&value, "live").expect_err(why);
            assert_eq!(refusal.diagnostics[0].message, message, "{why}");
        }
    }

    #[test]
    fn policies_of_other_servers_are_kept_whole() {
        let manifest = json!({ "apiVersion": "projectcalico.org/v3", "kind": "NetworkPolicy",
            "metadata": { "name": "x", "namespace": "a" }, "spec": { "selector": "all()", "order": 10.5 } });
        let (policy, warnings) = policy_from_json(&manifest, "live").unwrap();
        assert_eq!(policy.manifest(), &manifest);
        assert_eq!(policy.reference().to_string(), "NetworkPolicy.projectcalico.org a/x");
        assert_eq!(warnings.len(), 1);
    }
}
