//! What a policy set makes use of, so that a fuzz that tries nothing is noticed.

use leakproof::model::labels::Labels;
use leakproof::model::port::Protocol;
use leakproof::model::prediction::Direction;
use leakproof::policy::network_policy::{NetworkPolicy, Peer, PortClause, PortMatch, Rule};
use leakproof::policy::selector::{LabelSelector, Operator};
use leakproof::policy::{Clause, Policy};
use leakproof::scenario::world::World;

use crate::ground::METADATA_NAME;

/// Every feature, in the order of the printed table.
pub const ALL: &[&str] = &[
    "podSelector empty",
    "podSelector with labels",
    "peer podSelector alone",
    "peer namespaceSelector alone",
    "peer with both selectors",
    "peer ipBlock IPv4",
    "peer ipBlock IPv6",
    "ipBlock except IPv4",
    "ipBlock except IPv6",
    "namespace by its name",
    "matchLabels one",
    "matchLabels several",
    "In",
    "NotIn",
    "Exists",
    "DoesNotExist",
    "matchLabels and matchExpressions",
    "selector for an empty value",
    "port number",
    "port name",
    "port range",
    "protocol without port",
    "port without protocol",
    "entry without protocol and port",
    "TCP entry",
    "UDP entry",
    "SCTP entry",
    "policyTypes absent",
    "policyTypes empty",
    "policyTypes Ingress",
    "policyTypes Egress",
    "policyTypes both",
    "ingress absent",
    "ingress empty",
    "egress absent",
    "egress empty",
    "from or to absent",
    "from or to empty",
    "ports absent",
    "ports empty",
    "rules for an unnamed direction",
    "several policies on one pod",
    "policy that selects nobody",
];

/// The places in [`ALL`] of those that a world's policies use.
pub fn of(world: &World) -> Vec<usize> {
    let mut used = vec![false; ALL.len()];
    let mut mark = |name: &str| {
        let place = ALL.iter().position(|known| *known == name);
        used[place.unwrap_or_else(|| panic!("the feature `{name}` is not in the table"))] = true;
    };
    let policies = world.policies.iter().filter_map(|policy| match policy {
        Policy::Network(policy) => Some(policy),
        Policy::Unknown(_) => None,
    });
    let mut selected_by = vec![0; world.pods.len()];
    for policy in policies {
        whole(policy, &mut mark);
        let mut selected = 0;
        for (place, pod) in world.pods.values().enumerate() {
            if pod.namespace == policy.namespace && roughly_matches(&policy.pod_selector, &pod.labels) {
                selected_by[place] += 1;
                selected += 1;
            }
        }
        if selected == 0 {
            mark("policy that selects nobody");
        }
    }
    if selected_by.iter().any(|count| *count > 1) {
        mark("several policies on one pod");
    }
    used.iter().enumerate().filter(|(_, used)| **used).map(|(place, _)| place).collect()
}

fn whole(policy: &NetworkPolicy, mark: &mut impl FnMut(&str)) {
    let empty = policy.pod_selector == LabelSelector::default();
    mark(if empty { "podSelector empty" } else { "podSelector with labels" });
    selector(&policy.pod_selector, mark);
    match &policy.policy_types {
        Clause::Absent => mark("policyTypes absent"),
        Clause::Given(types) => mark(match types.as_slice() {
            [] => "policyTypes empty",
            [Direction::Ingress] => "policyTypes Ingress",
            [Direction::Egress] => "policyTypes Egress",
            _ => "policyTypes both",
        }),
    }
    let sides = [
        (Direction::Ingress, &policy.ingress, "ingress absent", "ingress empty"),
        (Direction::Egress, &policy.egress, "egress absent", "egress empty"),
    ];
    for (direction, rules, absent, none) in sides {
        let Clause::Given(rules) = rules else {
            mark(absent);
            continue;
        };
        if rules.is_empty() {
            mark(none);
        } else if let Clause::Given(types) = &policy.policy_types
            && !types.is_empty()
            && !types.contains(&direction)
        {
            mark("rules for an unnamed direction");
        }
        for rule in rules {
            of_rule(rule, mark);
        }
    }
}

fn of_rule(rule: &Rule, mark: &mut impl FnMut(&str)) {
    match &rule.peers {
        Clause::Absent => mark("from or to absent"),
        Clause::Given(peers) if peers.is_empty() => mark("from or to empty"),
        Clause::Given(peers) => {
            for peer in peers {
                of_peer(peer, mark);
            }
        }
    }
    match &rule.ports {
        Clause::Absent => mark("ports absent"),
        Clause::Given(ports) if ports.is_empty() => mark("ports empty"),
        Clause::Given(ports) => {
            for port in ports {
                of_port(port, mark);
            }
        }
    }
}

fn of_peer(peer: &Peer, mark: &mut impl FnMut(&str)) {
    match peer {
        Peer::Pods(pods) => {
            mark("peer podSelector alone");
            selector(pods, mark);
        }
        Peer::Namespaces(namespaces) => {
            mark("peer namespaceSelector alone");
            selector(namespaces, mark);
        }
        Peer::PodsInNamespaces { namespaces, pods } => {
            mark("peer with both selectors");
            selector(namespaces, mark);
            selector(pods, mark);
        }
        Peer::Block(block) => {
            let (plain, except) = if block.cidr.addr().is_ipv4() {
                ("peer ipBlock IPv4", "ipBlock except IPv4")
            } else {
                ("peer ipBlock IPv6", "ipBlock except IPv6")
            };
            mark(plain);
            if !block.except.is_empty() {
                mark(except);
            }
        }
    }
}

fn of_port(port: &PortClause, mark: &mut impl FnMut(&str)) {
    match &port.port {
        Some(PortMatch::Number(_)) => mark("port number"),
        Some(PortMatch::Range(..)) => mark("port range"),
        Some(PortMatch::Name(_)) => mark("port name"),
        None if port.protocol.is_some() => mark("protocol without port"),
        None => mark("entry without protocol and port"),
    }
    match port.protocol {
        None if port.port.is_some() => mark("port without protocol"),
        None => {}
        Some(Protocol::Tcp) => mark("TCP entry"),
        Some(Protocol::Udp) => mark("UDP entry"),
        Some(Protocol::Sctp) => mark("SCTP entry"),
    }
}

fn selector(selector: &LabelSelector, mark: &mut impl FnMut(&str)) {
    match selector.match_labels.len() {
        0 => {}
        1 => mark("matchLabels one"),
        _ => mark("matchLabels several"),
    }
    if !selector.match_labels.is_empty() && !selector.match_expressions.is_empty() {
        mark("matchLabels and matchExpressions");
    }
    let named = selector.match_expressions.iter().any(|requirement| requirement.key == METADATA_NAME);
    if named || selector.match_labels.contains_key(METADATA_NAME) {
        mark("namespace by its name");
    }
    let mut values: Vec<&String> = selector.match_labels.values().collect();
    for requirement in &selector.match_expressions {
        match &requirement.operator {
            Operator::In(listed) => {
                mark("In");
                values.extend(listed);
            }
            Operator::NotIn(listed) => {
                mark("NotIn");
                values.extend(listed);
            }
            Operator::Exists => mark("Exists"),
            Operator::DoesNotExist => mark("DoesNotExist"),
        }
    }
    if values.iter().any(|value| value.is_empty()) {
        mark("selector for an empty value");
    }
}

/// For counting only: no verdict comes from this.
fn roughly_matches(selector: &LabelSelector, labels: &Labels) -> bool {
    selector.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
        && selector.match_expressions.iter().all(|one| match &one.operator {
            Operator::In(values) => labels.get(&one.key).is_some_and(|v| values.iter().any(|w| w == v)),
            Operator::NotIn(values) => !labels.get(&one.key).is_some_and(|v| values.iter().any(|w| w == v)),
            Operator::Exists => labels.get(&one.key).is_some(),
            Operator::DoesNotExist => labels.get(&one.key).is_none(),
        })
}
