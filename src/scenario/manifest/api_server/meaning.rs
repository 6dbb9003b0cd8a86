//! What a policy means, written as `tests/api-server/record` writes it.

use serde_json::{Value, json};

use crate::model::port::Protocol;
use crate::model::prediction::Direction;
use crate::policy::network_policy::{NetworkPolicy, Peer, PortClause, PortMatch, Rule};
use crate::policy::selector::{LabelSelector, Operator};
use crate::policy::{Clause, Policy};

pub(super) fn policy_meaning(policy: &Policy) -> Value {
    match policy {
        Policy::Network(policy) => meaning(policy),
        other => json!({ "kind": other.reference().kind }),
    }
}

/// A policy with the server's defaults, as the recording program writes it.
fn meaning(policy: &NetworkPolicy) -> Value {
    let egress = matches!(&policy.egress, Clause::Given(rules) if !rules.is_empty());
    let types = match &policy.policy_types {
        Clause::Given(types) if !types.is_empty() => types.clone(),
        _ if egress => vec![Direction::Ingress, Direction::Egress],
        _ => vec![Direction::Ingress],
    };
    let types: Vec<&str> = [(Direction::Egress, "Egress"), (Direction::Ingress, "Ingress")]
        .into_iter()
        .filter_map(|(direction, word)| types.contains(&direction).then_some(word))
        .collect();
    let rules = |rules: &Clause<Rule>| {
        list(rules, |rule| json!({ "peers": list(&rule.peers, peer), "ports": list(&rule.ports, port) }))
    };
    json!({
        "kind": "NetworkPolicy", "namespace": policy.namespace, "name": policy.name, "types": types,
        "pods": selector(&policy.pod_selector), "ingress": rules(&policy.ingress), "egress": rules(&policy.egress),
    })
}

fn list<T>(clause: &Clause<T>, write: impl Fn(&T) -> Value) -> Value {
    match clause {
        Clause::Absent => json!([]),
        Clause::Given(all) => all.iter().map(write).collect(),
    }
}

fn peer(peer: &Peer) -> Value {
    let (pods, namespaces, block) = match peer {
        Peer::Pods(pods) => (selector(pods), Value::Null, Value::Null),
        Peer::Namespaces(namespaces) => (Value::Null, selector(namespaces), Value::Null),
        Peer::PodsInNamespaces { namespaces, pods } => (selector(pods), selector(namespaces), Value::Null),
        Peer::Block(block) => {
            (Value::Null, Value::Null, json!({ "cidr": block.cidr.to_string(), "except": block.except }))
        }
    };
    json!({ "pods": pods, "namespaces": namespaces, "block": block })
}

fn port(clause: &PortClause) -> Value {
    let protocol = match clause.protocol {
        None | Some(Protocol::Tcp) => "TCP",
        Some(Protocol::Udp) => "UDP",
        Some(Protocol::Sctp) => "SCTP",
    };
    let (port, end) = match &clause.port {
        None => (Value::Null, Value::Null),
        Some(PortMatch::Number(number)) => (json!(number), Value::Null),
        Some(PortMatch::Range(first, last)) => (json!(first), json!(last)),
        Some(PortMatch::Name(name)) => (json!(name), Value::Null),
    };
    json!({ "protocol": protocol, "port": port, "end": end })
}

fn selector(selector: &LabelSelector) -> Value {
    let expressions = selector.match_expressions.iter().map(|requirement| {
        let (operator, values): (_, &[String]) = match &requirement.operator {
            Operator::In(values) => ("In", values),
            Operator::NotIn(values) => ("NotIn", values),
            Operator::Exists => ("Exists", &[]),
            Operator::DoesNotExist => ("DoesNotExist", &[]),
        };
        json!({ "key": requirement.key, "operator": operator, "values": values })
    });
    json!({ "labels": selector.match_labels, "expressions": expressions.collect::<Vec<_>>() })
}
