//! Cases as people write them: manifests, and whole scenario files that `leakproof run` takes.
//!
//! YAML is written as block mappings with JSON values in them (every JSON value is one in YAML), so nothing has to be
//! quoted by rules of our own.

use std::fmt::Write as _;

use ipnet::IpNet;
use leakproof::model::port::Protocol;
use leakproof::model::prediction::Direction;
use leakproof::model::verdict::Verdict;
use leakproof::policy::network_policy::{NetworkPolicy, Peer, PortClause, PortMatch, Rule};
use leakproof::policy::selector::{LabelSelector, Operator};
use leakproof::policy::{Clause, Policy};
use leakproof::scenario::world::World;
use serde_json::{Map, Value, json};

use crate::ground::{Ground, METADATA_NAME};
use crate::reading::Disagreement;

/// The manifest of a policy.
pub fn of(policy: &NetworkPolicy) -> Value {
    let mut spec = Map::new();
    spec.insert("podSelector".into(), selector(&policy.pod_selector));
    let word = |direction: &Direction| match direction {
        Direction::Ingress => json!("Ingress"),
        Direction::Egress => json!("Egress"),
    };
    put(&mut spec, "policyTypes", &policy.policy_types, word);
    put(&mut spec, "ingress", &policy.ingress, |one| rule(one, "from"));
    put(&mut spec, "egress", &policy.egress, |one| rule(one, "to"));
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": { "name": policy.name, "namespace": policy.namespace },
        "spec": spec,
    })
}

fn put<T>(map: &mut Map<String, Value>, key: &str, clause: &Clause<T>, value: impl Fn(&T) -> Value) {
    match clause {
        Clause::Absent => {}
        Clause::Given(all) => {
            map.insert(key.into(), all.iter().map(value).collect());
        }
    }
}

fn rule(rule: &Rule, peers: &str) -> Value {
    let mut map = Map::new();
    put(&mut map, peers, &rule.peers, peer);
    put(&mut map, "ports", &rule.ports, port);
    Value::Object(map)
}

fn peer(peer: &Peer) -> Value {
    match peer {
        Peer::Pods(pods) => json!({ "podSelector": selector(pods) }),
        Peer::Namespaces(namespaces) => json!({ "namespaceSelector": selector(namespaces) }),
        Peer::PodsInNamespaces { namespaces, pods } => {
            json!({ "namespaceSelector": selector(namespaces), "podSelector": selector(pods) })
        }
        Peer::Block(block) => {
            let mut map = Map::from_iter([("cidr".into(), json!(block.cidr.to_string()))]);
            if !block.except.is_empty() {
                map.insert("except".into(), block.except.iter().map(IpNet::to_string).collect());
            }
            json!({ "ipBlock": map })
        }
    }
}

fn port(clause: &PortClause) -> Value {
    let mut map = Map::new();
    if let Some(protocol) = clause.protocol {
        let word = match protocol {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
            Protocol::Sctp => "SCTP",
        };
        map.insert("protocol".into(), json!(word));
    }
    match &clause.port {
        None => {}
        Some(PortMatch::Number(number)) => {
            map.insert("port".into(), json!(number.get()));
        }
        Some(PortMatch::Range(first, last)) => {
            map.insert("port".into(), json!(first.get()));
            map.insert("endPort".into(), json!(last.get()));
        }
        Some(PortMatch::Name(name)) => {
            map.insert("port".into(), json!(name));
        }
    }
    Value::Object(map)
}

fn selector(selector: &LabelSelector) -> Value {
    let mut map = Map::new();
    if !selector.match_labels.is_empty() {
        map.insert("matchLabels".into(), json!(selector.match_labels));
    }
    if !selector.match_expressions.is_empty() {
        let expressions = selector.match_expressions.iter().map(|requirement| match &requirement.operator {
            Operator::In(values) => json!({ "key": requirement.key, "operator": "In", "values": values }),
            Operator::NotIn(values) => json!({ "key": requirement.key, "operator": "NotIn", "values": values }),
            Operator::Exists => json!({ "key": requirement.key, "operator": "Exists" }),
            Operator::DoesNotExist => json!({ "key": requirement.key, "operator": "DoesNotExist" }),
        });
        map.insert("matchExpressions".into(), expressions.collect());
    }
    Value::Object(map)
}

/// A scenario file with this world, expecting what the oracle says of the cells in dispute; the comments hold both
/// readings.
pub fn scenario(ground: &Ground, world: &World, about: &str, disputed: &[Disagreement]) -> String {
    let mut text = String::from("# Found by tests/agreement.rs. Two readings differ:\n");
    for one in disputed {
        line(&mut text, format_args!("#   {one}"));
    }
    line(&mut text, format_args!("version: 1\nabout: {}\nfamilies: [ ipv4, ipv6 ]\nnamespaces:", json!(about)));
    for (name, labels) in &world.namespaces {
        let mut own = labels.0.clone();
        own.remove(METADATA_NAME);
        line(&mut text, format_args!("  {name}: {}", json!({ "labels": own })));
    }
    text.push_str("pods:\n");
    for (id, pod) in &world.pods {
        let value = json!({
            "namespace": pod.namespace,
            "labels": pod.labels,
            "serves": pod.serves.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "node": pod.node.0,
            "address": pod.addresses.v4,
            "address6": pod.addresses.v6,
        });
        line(&mut text, format_args!("  {}: {value}", ground.name(*id)));
    }
    if !world.outside.is_empty() {
        text.push_str("outside:\n");
    }
    for (id, outside) in &world.outside {
        let value = json!({
            "serves": outside.serves.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "address": outside.addresses.v4,
            "address6": outside.addresses.v6,
        });
        line(&mut text, format_args!("  {}: {value}", ground.name(*id)));
    }
    text.push_str("policies:\n");
    for policy in &world.policies {
        let manifest = match policy {
            Policy::Network(policy) => of(policy),
            Policy::Unknown(policy) => policy.manifest.clone(),
        };
        line(&mut text, format_args!("- {manifest}"));
    }
    if !disputed.is_empty() {
        text.push_str("expect:\n");
    }
    for one in disputed {
        let flow = &one.flow;
        let family = serde_json::to_value(flow.family).unwrap_or_default();
        let value = json!({
            "from": flow.from, "to": flow.to, "port": flow.port.to_string(), "family": family,
            "verdict": match one.oracle { Verdict::Allowed => "allowed", Verdict::Denied => "denied" },
        });
        line(&mut text, format_args!("- {value}"));
    }
    text
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    writeln!(text, "{arguments}").expect("a string takes everything");
}
