//! Making a failing case small: leave something out, and keep it left out if the readings still differ.

use std::num::NonZeroU16;

use leakproof::policy::Clause;
use leakproof::policy::network_policy::{IpBlock, NetworkPolicy, Peer, PortClause, PortMatch, Rule};
use leakproof::policy::selector::{LabelSelector, Operator};
use leakproof::scenario::world::World;

use crate::rewrite::{network_policies, with_policies};

/// Leaves out what can be left out while `fails` says that the world still fails; asks it at most `most` times.
/// Biggest parts first. Gives the smallest world found, and whether there was time to try everything.
pub fn shrink(world: &World, most: usize, mut fails: impl FnMut(&World) -> bool) -> (World, Thoroughness) {
    let mut best = world.clone();
    let mut asked = 0;
    'smaller: loop {
        // Whatever was tried before this place would fail no more, or so it is taken until the end: a last pass makes
        // sure of it.
        for smaller in smaller(&best) {
            if asked == most {
                return (best, Thoroughness::CutShort);
            }
            asked += 1;
            if fails(&smaller) {
                best = smaller;
                continue 'smaller;
            }
        }
        return (best, Thoroughness::Complete);
    }
}

/// Whether everything was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thoroughness {
    /// Nothing more can be left out by itself.
    Complete,
    /// There was no time to find out.
    CutShort,
}

/// Every world that is smaller by one part.
pub fn smaller(world: &World) -> Vec<World> {
    let all: Vec<NetworkPolicy> = network_policies(world).cloned().collect();
    let mut out = Vec::new();
    for place in 0..all.len() {
        let mut fewer = all.clone();
        fewer.remove(place);
        out.push(with_policies(world, fewer));
    }
    for id in world.pods.keys() {
        let mut fewer = world.clone();
        fewer.pods.remove(id);
        out.push(fewer);
    }
    for id in world.outside.keys() {
        let mut fewer = world.clone();
        fewer.outside.remove(id);
        out.push(fewer);
    }
    for (place, policy) in all.iter().enumerate() {
        for simpler in policy_without(policy) {
            let mut changed = all.clone();
            changed[place] = simpler;
            out.push(with_policies(world, changed));
        }
    }
    for name in world.namespaces.keys() {
        let lived_in = world.pods.values().any(|pod| pod.namespace == *name);
        let governed = all.iter().any(|policy| policy.namespace == *name);
        if !lived_in && !governed {
            let mut fewer = world.clone();
            fewer.namespaces.remove(name);
            out.push(fewer);
        }
    }
    for (id, pod) in &world.pods {
        for key in pod.labels.0.keys() {
            let mut bare = world.clone();
            bare.pods.get_mut(id).expect("it is there").labels.0.remove(key);
            out.push(bare);
        }
        if pod.serves.len() > 1 {
            for place in 0..pod.serves.len() {
                let mut bare = world.clone();
                bare.pods.get_mut(id).expect("it is there").serves.remove(place);
                out.push(bare);
            }
        }
    }
    for (name, labels) in &world.namespaces {
        for key in labels.0.keys().filter(|key| *key != crate::ground::METADATA_NAME) {
            let mut bare = world.clone();
            bare.namespaces.get_mut(name).expect("it is there").0.remove(key);
            out.push(bare);
        }
    }
    out
}

fn policy_without(policy: &NetworkPolicy) -> Vec<NetworkPolicy> {
    let mut out = Vec::new();
    for ingress in clause_without(&policy.ingress, rule_without) {
        out.push(NetworkPolicy { ingress, ..policy.clone() });
    }
    for egress in clause_without(&policy.egress, rule_without) {
        out.push(NetworkPolicy { egress, ..policy.clone() });
    }
    for policy_types in clause_without(&policy.policy_types, |_| vec![]) {
        out.push(NetworkPolicy { policy_types, ..policy.clone() });
    }
    for pod_selector in selector_without(&policy.pod_selector) {
        out.push(NetworkPolicy { pod_selector, ..policy.clone() });
    }
    out
}

/// The list gone; one entry gone; one entry simpler.
fn clause_without<T: Clone>(clause: &Clause<T>, simpler: impl Fn(&T) -> Vec<T>) -> Vec<Clause<T>> {
    let Clause::Given(all) = clause else { return Vec::new() };
    let mut out = vec![Clause::Absent];
    out.extend(each_removed(all).into_iter().map(Clause::Given));
    for (place, one) in all.iter().enumerate() {
        for other in simpler(one) {
            let mut changed = all.clone();
            changed[place] = other;
            out.push(Clause::Given(changed));
        }
    }
    out
}

fn each_removed<T: Clone>(all: &[T]) -> Vec<Vec<T>> {
    (0..all.len())
        .map(|place| {
            let mut fewer = all.to_vec();
            fewer.remove(place);
            fewer
        })
        .collect()
}

fn rule_without(rule: &Rule) -> Vec<Rule> {
    let peers = clause_without(&rule.peers, peer_without).into_iter().map(|peers| Rule { peers, ..rule.clone() });
    let ports = clause_without(&rule.ports, port_without).into_iter().map(|ports| Rule { ports, ..rule.clone() });
    peers.chain(ports).collect()
}

fn peer_without(peer: &Peer) -> Vec<Peer> {
    match peer {
        Peer::Pods(pods) => selector_without(pods).into_iter().map(Peer::Pods).collect(),
        Peer::Namespaces(namespaces) => selector_without(namespaces).into_iter().map(Peer::Namespaces).collect(),
        Peer::PodsInNamespaces { namespaces, pods } => {
            let mut out = vec![Peer::Pods(pods.clone()), Peer::Namespaces(namespaces.clone())];
            out.extend(
                selector_without(namespaces)
                    .into_iter()
                    .map(|namespaces| Peer::PodsInNamespaces { namespaces, pods: pods.clone() }),
            );
            out.extend(
                selector_without(pods)
                    .into_iter()
                    .map(|pods| Peer::PodsInNamespaces { namespaces: namespaces.clone(), pods }),
            );
            out
        }
        Peer::Block(block) => each_removed(&block.except)
            .into_iter()
            .map(|except| Peer::Block(IpBlock { cidr: block.cidr, except }))
            .collect(),
    }
}

fn port_without(clause: &PortClause) -> Vec<PortClause> {
    let mut out = Vec::new();
    if clause.protocol.is_some() {
        out.push(PortClause { protocol: None, ..clause.clone() });
    }
    if clause.port.is_some() {
        out.push(PortClause { port: None, ..clause.clone() });
    }
    if let Some(PortMatch::Range(first, last)) = clause.port {
        let number = |number: NonZeroU16| PortClause { port: Some(PortMatch::Number(number)), ..clause.clone() };
        out.extend([number(first), number(last)]);
    }
    out
}

fn selector_without(selector: &LabelSelector) -> Vec<LabelSelector> {
    let mut out = Vec::new();
    for key in selector.match_labels.keys() {
        let mut simpler = selector.clone();
        simpler.match_labels.remove(key);
        out.push(simpler);
    }
    for match_expressions in each_removed(&selector.match_expressions) {
        out.push(LabelSelector { match_expressions, ..selector.clone() });
    }
    for (place, requirement) in selector.match_expressions.iter().enumerate() {
        let (values, rebuild): (_, fn(Vec<String>) -> Operator) = match &requirement.operator {
            Operator::In(values) => (values, Operator::In),
            Operator::NotIn(values) => (values, Operator::NotIn),
            Operator::Exists | Operator::DoesNotExist => continue,
        };
        if values.len() > 1 {
            for fewer in each_removed(values) {
                let mut simpler = selector.clone();
                simpler.match_expressions[place].operator = rebuild(fewer);
                out.push(simpler);
            }
        }
    }
    out
}
