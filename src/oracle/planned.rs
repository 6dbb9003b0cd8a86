//! Which meanings rest on addresses that leakproof chose.
//!
//! An endpoint whose address the file leaves out has a planned one until a fabric gives it another. Where an `ipBlock`
//! decides a flow, the same policies could say the opposite of another address, so that is told with the meaning.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::labels::holds;
use super::peers::in_block;
use super::ports::{Aim, takes};
use super::services::translated;
use super::stance::{Stance, entries, rules, stance};
use crate::model::endpoint::{EndpointId, Family};
use crate::model::flow::{Flow, FlowId};
use crate::model::labels::Labels;
use crate::model::prediction::{Direction, Predictions};
use crate::model::verdict::{Meaning, Verdict};
use crate::policy::Policy;
use crate::policy::network_policy::{IpBlock, Peer, Rule};
use crate::policy::selector::LabelSelector;
use crate::scenario::world::World;

/// The planned addresses that each meaning rests on: with some other ones in their place, the policies say the opposite.
pub(in crate::oracle) fn resting(
    world: &World,
    predictions: &Predictions,
) -> BTreeMap<FlowId, Vec<(EndpointId, IpAddr)>> {
    let mut subjects = Subjects { world, known: HashMap::new() };
    let mut all = BTreeMap::new();
    if world.planned.is_empty() || !has_block(world) {
        return all;
    }
    for (id, flow, prediction) in predictions.matrix().iter() {
        let Meaning::Known(verdict) = prediction.meaning else { continue };
        let flows = translated(world, flow).unwrap_or_else(|| vec![*flow]);
        let mut ends: Vec<EndpointId> = flows.iter().flat_map(|flow| subjects.deciding(flow, verdict)).collect();
        ends.sort_unstable();
        ends.dedup();
        let address = |end| world.addresses(end).and_then(|addresses| addresses.of(flow.family));
        let ends: Vec<_> = ends.into_iter().filter_map(|end| Some((end, address(end)?))).collect();
        if !ends.is_empty() {
            all.insert(id, ends);
        }
    }
    all
}

fn has_block(world: &World) -> bool {
    world.policies.iter().any(|policy| match policy {
        Policy::Network(policy) => [Direction::Ingress, Direction::Egress]
            .iter()
            .flat_map(|direction| rules(policy, *direction))
            .flat_map(|rule| entries(&rule.peers))
            .any(|peer| matches!(peer, Peer::Block(_))),
        Policy::Unknown(_) => false,
    })
}

/// The rules that isolate each pod, looked up once.
struct Subjects<'w> {
    world: &'w World,
    known: HashMap<(EndpointId, Direction), Option<Rules<'w>>>,
}

/// The rules of the policies that isolate a pod in one direction, each with its policy's namespace.
type Rules<'w> = Vec<(&'w str, &'w Rule)>;

/// What one side of a flow says.
struct Side {
    allowed: bool,
    /// Whether it says the opposite of some other address of the peer, whose address is planned.
    movable: bool,
}

impl<'w> Subjects<'w> {
    /// The ends of a flow whose planned addresses make its verdict.
    fn deciding(&mut self, flow: &Flow, verdict: Verdict) -> Vec<EndpointId> {
        let egress = (self.side(flow, Direction::Egress), flow.destination);
        let ingress = (self.side(flow, Direction::Ingress), flow.source);
        let sides = [egress, ingress];
        let movable = |sides: &[&(Side, EndpointId)]| {
            sides.iter().filter(|(side, _)| side.movable).map(|(_, end)| *end).collect()
        };
        match verdict {
            Verdict::Allowed => movable(&sides.iter().collect::<Vec<_>>()),
            Verdict::Denied => {
                let denying: Vec<_> = sides.iter().filter(|(side, _)| !side.allowed).collect();
                // A side that denies whatever the address is decides alone.
                if denying.iter().all(|(side, _)| side.movable) { movable(&denying) } else { Vec::new() }
            }
        }
    }

    fn side(&mut self, flow: &Flow, direction: Direction) -> Side {
        let (subject, peer) = match direction {
            Direction::Egress => (flow.source, flow.destination),
            Direction::Ingress => (flow.destination, flow.source),
        };
        let world = self.world;
        let rules = self.known.entry((subject, direction)).or_insert_with(|| isolating(world, subject, direction));
        let Some(rules) = rules else { return Side { allowed: true, movable: false } };
        let aim = match world.pods.get(&flow.destination) {
            Some(pod) => Aim::at_pod(flow.port, &pod.serves),
            None => Aim::nameless(flow.port),
        };
        let mut blocks = Vec::new();
        for (namespace, rule) in rules {
            let ports = entries(&rule.ports);
            if !ports.is_empty() && !ports.iter().any(|port| takes(port, &aim)) {
                continue;
            }
            let peers = entries(&rule.peers);
            if peers.is_empty() || peers.iter().any(|entry| selects(world, namespace, entry, peer)) {
                return Side { allowed: true, movable: false };
            }
            blocks.extend(peers.iter().filter_map(|peer| match peer {
                Peer::Block(block) => Some(block),
                Peer::Pods(_) | Peer::Namespaces(_) | Peer::PodsInNamespaces { .. } => None,
            }));
        }
        let held = |address| blocks.iter().any(|block| in_block(block, Some(address)));
        let address = world.addresses(peer).and_then(|addresses| addresses.of(flow.family));
        let allowed = address.is_some_and(held);
        let planned = world.planned.contains(&(peer, flow.family));
        let movable = planned && boundaries(&blocks, flow.family).any(|address| held(address) != allowed);
        Side { allowed, movable }
    }
}

/// The rules that hold for a pod; none where it is not isolated.
fn isolating(world: &World, subject: EndpointId, direction: Direction) -> Option<Rules<'_>> {
    let pod = world.pods.get(&subject)?;
    let policies = world.policies.iter().filter_map(|policy| match policy {
        Policy::Network(policy) => Some(policy),
        Policy::Unknown(_) => None,
    });
    let mut isolating = policies
        .filter(|policy| policy.namespace == pod.namespace && matches(&policy.pod_selector, &pod.labels))
        .filter(|policy| stance(policy, direction) == Stance::Isolates)
        .peekable();
    isolating.peek()?;
    Some(
        isolating
            .flat_map(|policy| rules(policy, direction).iter().map(|rule| (policy.namespace.as_str(), rule)))
            .collect(),
    )
}

/// Whether an entry of `from` or `to` selects a pod by labels.
fn selects(world: &World, namespace: &str, peer: &Peer, id: EndpointId) -> bool {
    let Some(pod) = world.pods.get(&id) else { return false };
    let none = Labels::default();
    let around = world.namespaces.get(&pod.namespace).unwrap_or(&none);
    match peer {
        Peer::Pods(pods) => pod.namespace == namespace && matches(pods, &pod.labels),
        Peer::Namespaces(namespaces) => matches(namespaces, around),
        Peer::PodsInNamespaces { namespaces, pods } => matches(namespaces, around) && matches(pods, &pod.labels),
        Peer::Block(_) => false,
    }
}

fn matches(selector: &LabelSelector, labels: &Labels) -> bool {
    selector.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
        && selector.match_expressions.iter().all(|requirement| holds(requirement, labels))
}

/// One address of each range in which all addresses are alike to these blocks.
fn boundaries<'b>(blocks: &'b [&IpBlock], family: Family) -> impl Iterator<Item = IpAddr> + 'b {
    let first = match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let networks = blocks.iter().flat_map(|block| [block.cidr].into_iter().chain(block.except.iter().copied()));
    let own = networks.filter(move |network| Family::of(network.addr()) == family);
    [first].into_iter().chain(own.flat_map(|network| [Some(network.network()), after(network)].into_iter().flatten()))
}

/// The first address behind a network.
fn after(network: IpNet) -> Option<IpAddr> {
    match network.broadcast() {
        IpAddr::V4(last) => u32::from(last).checked_add(1).map(|next| IpAddr::V4(next.into())),
        IpAddr::V6(last) => u128::from(last).checked_add(1).map(|next| IpAddr::V6(next.into())),
    }
}
