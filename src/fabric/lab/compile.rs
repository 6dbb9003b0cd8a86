//! Policies to rules: the lab's own reading of NetworkPolicy, written from the Kubernetes documentation ("Network
//! Policies" and the API reference of networking.k8s.io/v1) and shared with no other room.
//!
//! The result says, for every node, which of its pods are guarded in which direction, and what their guards let
//! through. It is plain data: [`super::nft`] turns it into messages for the kernel.

mod addresses;
mod peers;
mod ports;
mod selector;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

pub(super) use addresses::AddressSet;
pub(super) use ports::PortRange;

use crate::model::endpoint::{EndpointId, NodeOrdinal};
use crate::model::port::Port;
use crate::model::prediction::Direction;
use crate::policy::network_policy::{NetworkPolicy, Rule};
use crate::policy::{Clause, Policy};
use crate::scenario::world::{Pod, World};
use peers::Peers;
use ports::Ports;

/// What every node enforces.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Rules {
    /// By node; a node that enforces nothing is missing.
    pub(super) nodes: BTreeMap<NodeOrdinal, Vec<Guard>>,
}

/// What is let through to or from some pods of one node. Pods with the same guard share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Guard {
    /// The side it stands on.
    pub(super) direction: Direction,
    /// The addresses of the pods it guards.
    pub(super) pods: BTreeSet<IpAddr>,
    /// What passes; everything else does not.
    pub(super) allows: BTreeSet<Allow>,
}

/// Something that a guard lets through.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Allow {
    /// Any of these peers at any of these ports.
    Across {
        /// The other side's addresses.
        peers: Peering,
        /// The destination's ports.
        ports: Porting,
    },
    /// Exactly these destinations: a port's name may mean another number on each.
    Servers(Arc<BTreeSet<(IpAddr, Port)>>),
}

/// Peers of a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Peering {
    /// Whoever it is.
    Anyone,
    /// Those at these addresses.
    These(Arc<AddressSet>),
}

/// Ports of a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Porting {
    /// Any port of any protocol, and what has no ports.
    Anything,
    /// These.
    These(Arc<Vec<PortRange>>),
}

/// Reads the policies of `world`. Selectors pick peers among `members`: the same world, unless a fault is to have an
/// outdated idea of who is there. What is no NetworkPolicy is passed over: the flows it could touch are told to be
/// beyond the lab.
pub(super) fn compile(world: &World, members: &World) -> Rules {
    let policies: Vec<Reading<'_>> = world
        .policies
        .iter()
        .filter_map(|policy| match policy {
            Policy::Network(policy) => Some(Reading::new(policy, members)),
            Policy::Unknown(_) => None,
        })
        .collect();
    let mut shared: BTreeMap<(NodeOrdinal, Direction, BTreeSet<Allow>), BTreeSet<IpAddr>> = BTreeMap::new();
    for pod in world.pods.values() {
        for direction in [Direction::Egress, Direction::Ingress] {
            if let Some(allows) = guard(&policies, pod, direction) {
                shared.entry((pod.node, direction, allows)).or_default().extend(pod.addresses.iter());
            }
        }
    }
    let mut rules = Rules::default();
    for ((node, direction, allows), pods) in shared {
        rules.nodes.entry(node).or_default().push(Guard { direction, pods, allows });
    }
    rules
}

/// A policy with its peers looked up once, whatever number of pods it selects.
struct Reading<'a> {
    policy: &'a NetworkPolicy,
    ingress: Vec<(&'a Rule, Peers)>,
    egress: Vec<(&'a Rule, Peers)>,
}

impl<'a> Reading<'a> {
    fn new(policy: &'a NetworkPolicy, members: &World) -> Self {
        let look_up = |clause: &'a Clause<Rule>| match clause {
            // An absent list and an empty one both let nothing through.
            Clause::Absent => Vec::new(),
            Clause::Given(rules) => {
                rules.iter().map(|rule| (rule, Peers::look_up(&rule.peers, &policy.namespace, members))).collect()
            }
        };
        Self { policy, ingress: look_up(&policy.ingress), egress: look_up(&policy.egress) }
    }

    fn selects(&self, pod: &Pod) -> bool {
        pod.namespace == self.policy.namespace && selector::matches(&self.policy.pod_selector, &pod.labels)
    }

    fn isolates(&self, direction: Direction) -> bool {
        directions(self.policy).contains(&direction)
    }
}

/// The directions a policy speaks about. Where it does not say: ingress always, egress where it has an egress rule.
/// An empty list of types is what the API server fills in too, so it says nothing either.
fn directions(policy: &NetworkPolicy) -> Vec<Direction> {
    match &policy.policy_types {
        Clause::Given(types) if !types.is_empty() => types.clone(),
        Clause::Given(_) | Clause::Absent => match &policy.egress {
            Clause::Given(rules) if !rules.is_empty() => vec![Direction::Ingress, Direction::Egress],
            Clause::Given(_) | Clause::Absent => vec![Direction::Ingress],
        },
    }
}

/// What the policies let through for one pod; none where no policy selects it, and everything passes.
fn guard(policies: &[Reading<'_>], pod: &Pod, direction: Direction) -> Option<BTreeSet<Allow>> {
    let mut selecting = policies.iter().filter(|p| p.isolates(direction) && p.selects(pod)).peekable();
    selecting.peek()?;
    let mut allows = BTreeSet::new();
    for reading in selecting {
        match direction {
            Direction::Ingress => {
                for (rule, peers) in &reading.ingress {
                    // A named port is the selected pod's own.
                    allow(peers, ports::at(&rule.ports, &pod.serves), &mut allows);
                }
            }
            Direction::Egress => {
                for (rule, peers) in &reading.egress {
                    allow(peers, ports::numbered(&rule.ports), &mut allows);
                    // A named port is each destination's own.
                    let servers = peers.serving(&ports::names(&rule.ports));
                    if !servers.is_empty() {
                        allows.insert(Allow::Servers(Arc::new(servers)));
                    }
                }
            }
        }
    }
    Some(allows)
}

/// Adds what a rule lets through, unless that is nothing.
fn allow(peers: &Peers, ports: Ports, allows: &mut BTreeSet<Allow>) {
    let peers = match &peers.addresses {
        Some(addresses) if addresses.is_empty() => return,
        Some(addresses) => Peering::These(Arc::clone(addresses)),
        None => Peering::Anyone,
    };
    let ports = match ports {
        Ports::Anything => Porting::Anything,
        Ports::These(ranges) if ranges.is_empty() => return,
        Ports::These(ranges) => Porting::These(Arc::new(ranges)),
    };
    allows.insert(Allow::Across { peers, ports });
}

/// The pods of a world, for peers to be looked up among.
fn pods(world: &World) -> impl Iterator<Item = (EndpointId, &Pod)> {
    world.pods.iter().map(|(id, pod)| (*id, pod))
}

#[cfg(test)]
mod tests;
