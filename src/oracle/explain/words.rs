//! Parts of a policy in words.

use crate::model::port::{Port, Protocol};
use crate::oracle::ports::protocol;
use crate::policy::network_policy::{IpBlock, NetworkPolicy, Peer, PortClause, PortMatch};
use crate::policy::selector::{LabelSelector, Operator, Requirement};

/// A selector as `kubectl` writes them: `app=web, tier in (a, b), !debug`; nothing for an empty one.
pub(super) fn selector(selector: &LabelSelector) -> String {
    let labels = selector.match_labels.iter().map(|(key, value)| label(key, value));
    labels.chain(selector.match_expressions.iter().map(requirement)).collect::<Vec<_>>().join(", ")
}

/// A label: `app=web`; an empty value is shown as one.
pub(super) fn label(key: &str, value: &str) -> String {
    if value.is_empty() { format!("{key}=\"\"") } else { format!("{key}={value}") }
}

/// An entry of `matchExpressions`.
pub(super) fn requirement(requirement: &Requirement) -> String {
    let key = &requirement.key;
    let list = |values: &[String]| {
        values.iter().map(|v| if v.is_empty() { "\"\"" } else { v.as_str() }).collect::<Vec<_>>().join(", ")
    };
    match &requirement.operator {
        Operator::In(values) => format!("{key} in ({})", list(values)),
        Operator::NotIn(values) => format!("{key} not in ({})", list(values)),
        Operator::Exists => format!("{key} with any value"),
        Operator::DoesNotExist => format!("no label {key}"),
    }
}

/// An entry of `from` or `to`.
pub(super) fn peer(policy: &NetworkPolicy, peer: &Peer) -> String {
    let pods = |pods: &LabelSelector| match selector(pods) {
        all if all.is_empty() => "every pod".to_owned(),
        some => format!("pods with {some}"),
    };
    let of = |namespaces: &LabelSelector| match selector(namespaces) {
        all if all.is_empty() => "in every namespace".to_owned(),
        some => format!("in namespaces with {some}"),
    };
    match peer {
        Peer::Pods(selector) => format!("{} in {}, the policy's own namespace", pods(selector), policy.namespace),
        Peer::Namespaces(namespaces) => format!("every pod {}", of(namespaces)),
        Peer::PodsInNamespaces { namespaces, pods: selector } => format!("{} {}", pods(selector), of(namespaces)),
        Peer::Block(block) => format!("addresses in {}", self::block(block)),
    }
}

/// An `ipBlock`.
fn block(block: &IpBlock) -> String {
    if block.except.is_empty() {
        return block.cidr.to_string();
    }
    let except: Vec<_> = block.except.iter().map(ToString::to_string).collect();
    format!("{} except {}", block.cidr, except.join(", "))
}

/// An entry of `ports`.
pub(super) fn port(clause: &PortClause) -> String {
    let protocol = protocol(clause);
    let entry = match &clause.port {
        None => format!("every {protocol} port"),
        Some(PortMatch::Number(number)) => Port { number: *number, protocol }.to_string(),
        Some(PortMatch::Range(first, last)) => format!("{first}-{last}/{protocol}"),
        Some(PortMatch::Name(name)) => format!("the {protocol} port named `{name}`"),
    };
    match clause.protocol {
        Some(Protocol::Tcp | Protocol::Udp | Protocol::Sctp) => entry,
        None => format!("{entry} (no protocol given, so tcp)"),
    }
}
