//! A third reading of NetworkPolicy: the sentences of the API documentation one after the other, for one flow, with
//! nothing shared with the rest of the room and no thought for speed.

use std::net::IpAddr;

use crate::model::endpoint::EndpointId;
use crate::model::flow::Flow;
use crate::model::labels::Labels;
use crate::model::port::Protocol;
use crate::model::prediction::{Direction, PolicyRef, Reason, RuleRef};
use crate::model::verdict::{Meaning, Verdict};
use crate::policy::network_policy::{IpBlock, NetworkPolicy, Peer, PortClause, PortMatch, Rule};
use crate::policy::selector::{LabelSelector, Operator};
use crate::policy::{Clause, Policy};
use crate::scenario::world::World;

pub(super) struct Naive {
    pub(super) meaning: Meaning,
    pub(super) egress: Reason,
    pub(super) ingress: Reason,
}

pub(super) fn read(world: &World, flow: &Flow) -> Naive {
    let egress = side(world, flow, Direction::Egress);
    let ingress = side(world, flow, Direction::Ingress);
    // "For a connection from a source pod to a destination pod to be allowed, both the egress policy on the source pod
    // and the ingress policy on the destination pod need to allow the connection."
    let meaning = if matches!(egress, Reason::Unknown { .. }) || matches!(ingress, Reason::Unknown { .. }) {
        Meaning::Unknown
    } else if matches!(egress, Reason::Isolated { .. }) || matches!(ingress, Reason::Isolated { .. }) {
        Meaning::Known(Verdict::Denied)
    } else {
        Meaning::Known(Verdict::Allowed)
    };
    Naive { meaning, egress, ingress }
}

fn side(world: &World, flow: &Flow, direction: Direction) -> Reason {
    let (subject, peer) =
        if direction == Direction::Egress { (flow.source, flow.destination) } else { (flow.destination, flow.source) };
    let Some(pod) = world.pods.get(&subject) else {
        return if world.outside.contains_key(&subject) { Reason::NoPod } else { Reason::Unknown { by: vec![] } };
    };
    let mut unknown: Vec<PolicyRef> = Vec::new();
    let mut isolating: Vec<&NetworkPolicy> = Vec::new();
    for policy in &world.policies {
        match policy {
            Policy::Unknown(policy) => match &policy.reference.namespace {
                Some(namespace) if *namespace != pod.namespace => {}
                _ => unknown.push(policy.reference.clone()),
            },
            Policy::Network(policy) => {
                if policy.namespace == pod.namespace
                    && types(policy).contains(&direction)
                    && selects(&policy.pod_selector, &pod.labels)
                {
                    isolating.push(policy);
                }
            }
        }
    }
    if !unknown.is_empty() {
        return Reason::Unknown { by: unknown };
    }
    if isolating.is_empty() {
        return Reason::NotIsolated;
    }
    let mut by = Vec::new();
    for policy in &isolating {
        let rules = if direction == Direction::Egress { &policy.egress } else { &policy.ingress };
        if let Clause::Given(rules) = rules {
            for (number, rule) in rules.iter().enumerate() {
                if let (Some(peer), Some(port)) =
                    (peer_entry(world, flow, policy, rule, peer), port_entry(world, flow, rule))
                {
                    by.push(RuleRef { policy: policy.reference(), direction, rule: number as u32, peer, port });
                }
            }
        }
    }
    if by.is_empty() {
        Reason::Isolated { by: isolating.iter().map(|policy| policy.reference()).collect() }
    } else {
        Reason::Allowed { by }
    }
}

fn types(policy: &NetworkPolicy) -> Vec<Direction> {
    if let Clause::Given(types) = &policy.policy_types
        && !types.is_empty()
    {
        return types.clone();
    }
    let mut types = vec![Direction::Ingress];
    if let Clause::Given(rules) = &policy.egress
        && !rules.is_empty()
    {
        types.push(Direction::Egress);
    }
    types
}

/// The first entry that matches; `Some(None)` where there is no list.
fn peer_entry(
    world: &World,
    flow: &Flow,
    policy: &NetworkPolicy,
    rule: &Rule,
    peer: EndpointId,
) -> Option<Option<u32>> {
    let entries = match &rule.peers {
        Clause::Given(entries) if !entries.is_empty() => entries,
        _ => return Some(None),
    };
    let pod = world.pods.get(&peer);
    let address = world.addresses(peer).and_then(|addresses| addresses.of(flow.family));
    let labels_of = |namespace: &str| world.namespaces.get(namespace).cloned().unwrap_or_default();
    for (number, entry) in entries.iter().enumerate() {
        let takes = match (entry, pod) {
            (Peer::Block(block), _) => address.is_some_and(|address| in_block(block, address)),
            (_, None) => false,
            (Peer::Pods(pods), Some(pod)) => pod.namespace == policy.namespace && selects(pods, &pod.labels),
            (Peer::Namespaces(namespaces), Some(pod)) => selects(namespaces, &labels_of(&pod.namespace)),
            (Peer::PodsInNamespaces { namespaces, pods }, Some(pod)) => {
                selects(namespaces, &labels_of(&pod.namespace)) && selects(pods, &pod.labels)
            }
        };
        if takes {
            return Some(Some(number as u32));
        }
    }
    None
}

fn port_entry(world: &World, flow: &Flow, rule: &Rule) -> Option<Option<u32>> {
    let entries = match &rule.ports {
        Clause::Given(entries) if !entries.is_empty() => entries,
        _ => return Some(None),
    };
    entries.iter().position(|entry| port_matches(world, flow, entry)).map(|number| Some(number as u32))
}

fn port_matches(world: &World, flow: &Flow, entry: &PortClause) -> bool {
    if flow.port.protocol != entry.protocol.unwrap_or(Protocol::Tcp) {
        return false;
    }
    match &entry.port {
        None => true,
        Some(PortMatch::Number(number)) => flow.port.number == *number,
        Some(PortMatch::Range(first, last)) => flow.port.number >= *first && flow.port.number <= *last,
        Some(PortMatch::Name(name)) => world.pods.get(&flow.destination).is_some_and(|pod| {
            pod.serves.iter().any(|served| served.port == flow.port && served.name.as_ref() == Some(name))
        }),
    }
}

/// By arithmetic on the addresses' bits.
fn in_block(block: &IpBlock, address: IpAddr) -> bool {
    let within = |net: &ipnet::IpNet| {
        let (net_bits, own_bits, width) = match (net.addr(), address) {
            (IpAddr::V4(net), IpAddr::V4(own)) => (u128::from(net.to_bits()), u128::from(own.to_bits()), 32),
            (IpAddr::V6(net), IpAddr::V6(own)) => (net.to_bits(), own.to_bits(), 128),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
        };
        let rest = width - u32::from(net.prefix_len());
        rest == 128 || net_bits >> rest == own_bits >> rest
    };
    within(&block.cidr) && !block.except.iter().any(within)
}

fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    let exact = selector.match_labels.iter().all(|(key, value)| labels.0.get(key) == Some(value));
    exact
        && selector.match_expressions.iter().all(|requirement| {
            let value = labels.0.get(&requirement.key);
            match &requirement.operator {
                Operator::In(values) => matches!(value, Some(value) if values.contains(value)),
                Operator::NotIn(values) => !matches!(value, Some(value) if values.contains(value)),
                Operator::Exists => value.is_some(),
                Operator::DoesNotExist => value.is_none(),
            }
        })
}
