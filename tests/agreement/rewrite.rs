//! Going through all policies of a world and writing parts of them anew.
//!
//! A list that was not empty and has nothing left takes its rule with it: an empty list would let everybody in.

use std::collections::BTreeMap;

use leakproof::model::prediction::Direction;
use leakproof::policy::network_policy::{IpBlock, NetworkPolicy, Peer, PortClause, Rule};
use leakproof::policy::selector::LabelSelector;
use leakproof::policy::{Clause, Policy};
use leakproof::scenario::world::World;

use crate::draw::in_force;

/// The NetworkPolicies of a world; no other kind is generated.
pub fn network_policies(world: &World) -> impl Iterator<Item = &NetworkPolicy> {
    world.policies.iter().filter_map(|policy| match policy {
        Policy::Network(policy) => Some(policy.as_ref()),
        Policy::Unknown(_) => None,
    })
}

/// The world under other policies, put in the order a world has them.
pub fn with_policies(world: &World, all: impl IntoIterator<Item = NetworkPolicy>) -> World {
    let sorted: BTreeMap<_, _> = all.into_iter().map(|p| ((p.namespace.clone(), p.name.clone()), p)).collect();
    World { policies: sorted.into_values().map(in_force).collect(), ..world.clone() }
}

pub fn policies(world: &World, into: impl Fn(&NetworkPolicy) -> Vec<NetworkPolicy>) -> World {
    with_policies(world, network_policies(world).flat_map(into).collect::<Vec<_>>())
}

pub fn rules(world: &World, into: impl Fn(&NetworkPolicy, Direction, &Rule) -> Vec<Rule>) -> World {
    policies(world, |policy| {
        let side = |direction, rules: &Clause<Rule>| match rules {
            Clause::Absent => Clause::Absent,
            Clause::Given(rules) => Clause::Given(rules.iter().flat_map(|r| into(policy, direction, r)).collect()),
        };
        let ingress = side(Direction::Ingress, &policy.ingress);
        let egress = side(Direction::Egress, &policy.egress);
        vec![NetworkPolicy { ingress, egress, ..policy.clone() }]
    })
}

pub fn peers(world: &World, into: impl Fn(&NetworkPolicy, &Peer) -> Vec<Peer>) -> World {
    rules(world, |policy, _, rule| {
        let Clause::Given(peers) = &rule.peers else { return vec![rule.clone()] };
        let left: Vec<Peer> = peers.iter().flat_map(|peer| into(policy, peer)).collect();
        if left.is_empty() && !peers.is_empty() {
            return Vec::new();
        }
        vec![Rule { peers: Clause::Given(left), ports: rule.ports.clone() }]
    })
}

pub fn blocks(world: &World, into: impl Fn(&IpBlock) -> Vec<IpBlock>) -> World {
    peers(world, |_, peer| match peer {
        Peer::Block(block) => into(block).into_iter().map(Peer::Block).collect(),
        Peer::Pods(_) | Peer::Namespaces(_) | Peer::PodsInNamespaces { .. } => vec![peer.clone()],
    })
}

pub fn ports(world: &World, into: impl Fn(&NetworkPolicy, Direction, &PortClause) -> Vec<PortClause>) -> World {
    rules(world, |policy, direction, rule| {
        let Clause::Given(ports) = &rule.ports else { return vec![rule.clone()] };
        let left: Vec<PortClause> = ports.iter().flat_map(|port| into(policy, direction, port)).collect();
        if left.is_empty() && !ports.is_empty() {
            return Vec::new();
        }
        vec![Rule { peers: rule.peers.clone(), ports: Clause::Given(left) }]
    })
}

/// Every selector: of the policies themselves, and of their peers.
pub fn selectors(world: &World, into: impl Fn(&LabelSelector) -> LabelSelector) -> World {
    let own =
        policies(world, |policy| vec![NetworkPolicy { pod_selector: into(&policy.pod_selector), ..policy.clone() }]);
    peers(&own, |_, peer| {
        vec![match peer {
            Peer::Pods(pods) => Peer::Pods(into(pods)),
            Peer::Namespaces(namespaces) => Peer::Namespaces(into(namespaces)),
            Peer::PodsInNamespaces { namespaces, pods } => {
                Peer::PodsInNamespaces { namespaces: into(namespaces), pods: into(pods) }
            }
            Peer::Block(block) => Peer::Block(block.clone()),
        }]
    })
}
