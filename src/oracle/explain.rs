//! The story of one flow.

mod entries;
mod nearest;
mod words;

use super::stance::{Stance, rules, stance};
use super::unknown;
use crate::model::endpoint::{EndpointId, EndpointKind, Family};
use crate::model::explanation::{Condition, Explanation, Met, Party, PolicyStory, RuleStory, Side, Standing, Types};
use crate::model::flow::{Flow, NamedFlow};
use crate::model::labels::Labels;
use crate::model::port::Port;
use crate::model::prediction::{Direction, Reason, RuleRef};
use crate::model::verdict::Meaning;
use crate::policy::network_policy::{NetworkPolicy, Rule};
use crate::policy::{Clause, Policy};
use crate::scenario::world::{Pod, World};

/// Tells why a flow is allowed or denied: every policy that could have a say, every rule of those that do, every
/// condition with what it met. The flow need not be a cell: any port may be asked about.
///
/// `name_of` gives endpoints their names. Meaning and reasons are those that [`predict`](super::predict) gives.
pub fn explain(world: &World, flow: &Flow, name_of: impl Fn(EndpointId) -> String) -> Explanation {
    let source = End::of(world, flow.source, flow.family, name_of(flow.source));
    let destination = End::of(world, flow.destination, flow.family, name_of(flow.destination));
    let egress = side(world, Direction::Egress, &source, &destination, flow.port);
    let ingress = side(world, Direction::Ingress, &source, &destination, flow.port);
    Explanation {
        flow: NamedFlow {
            from: source.party.name.clone(),
            to: destination.party.name.clone(),
            family: flow.family,
            port: flow.port,
        },
        meaning: Meaning::of_sides(egress.reason.verdict(), ingress.reason.verdict()),
        source: source.party,
        destination: destination.party,
        egress,
        ingress,
    }
}

/// One end of the flow.
struct End<'w> {
    party: Party,
    pod: Option<&'w Pod>,
    family: Family,
}

impl<'w> End<'w> {
    fn of(world: &'w World, id: EndpointId, family: Family, name: String) -> Self {
        let pod = world.pods.get(&id);
        let kind = if pod.is_some() {
            Some(EndpointKind::Pod)
        } else if world.outside.contains_key(&id) {
            Some(EndpointKind::Outside)
        } else {
            world.services.contains_key(&id).then_some(EndpointKind::Service)
        };
        let party = Party {
            name,
            kind,
            namespace: pod.map(|pod| pod.namespace.clone()),
            labels: pod.map(|pod| pod.labels.clone()).unwrap_or_default(),
            namespace_labels: pod.and_then(|pod| world.namespaces.get(&pod.namespace)).cloned().unwrap_or_default(),
            address: world.addresses(id).and_then(|addresses| addresses.of(family)),
        };
        Self { party, pod, family }
    }
}

/// The flow as the rules of one direction see it.
struct Asked<'a, 'w> {
    direction: Direction,
    peer: &'a End<'w>,
    destination: &'a End<'w>,
    port: Port,
}

fn side(world: &World, direction: Direction, source: &End<'_>, destination: &End<'_>, port: Port) -> Side {
    let (subject, peer) = match direction {
        Direction::Egress => (source, destination),
        Direction::Ingress => (destination, source),
    };
    let nothing = |reason| Side { direction, reason, policies: Vec::new(), elsewhere: 0, nearest: None };
    let pod = match (subject.pod, subject.party.kind) {
        (Some(pod), _) => pod,
        (None, Some(_)) => return nothing(Reason::NoPod),
        (None, None) => return nothing(Reason::Unknown { by: Vec::new() }),
    };
    let asked = Asked { direction, peer, destination, port };
    let mut policies = Vec::new();
    let mut elsewhere = 0;
    for policy in &world.policies {
        match policy {
            Policy::Network(policy) if policy.namespace == pod.namespace => {
                policies.push(policy_story(policy, &pod.labels, &asked));
            }
            Policy::Network(_) => elsewhere += 1,
            Policy::Unknown(_) => {}
        }
    }
    let reason = reason(&policies, direction);
    let nearest = match &reason {
        Reason::Isolated { .. } => nearest::find(&policies, direction),
        Reason::NoPod
        | Reason::NotIsolated
        | Reason::Allowed { .. }
        | Reason::Behind { .. }
        | Reason::Unknown { .. } => None,
    };
    let unknown = unknown::touching(world, &pod.namespace);
    let reason = if unknown.is_empty() { reason } else { Reason::Unknown { by: unknown } };
    Side { direction, reason, policies, elsewhere, nearest }
}

/// What the NetworkPolicies say.
fn reason(policies: &[PolicyStory], direction: Direction) -> Reason {
    let isolating = || {
        policies.iter().filter(|story| match story.standing {
            Standing::Isolates { .. } => true,
            Standing::OtherDirection { .. } | Standing::SelectsOthers => false,
        })
    };
    let matching = isolating().flat_map(|story| {
        story.rules.iter().filter(|rule| rule.met == Met::Yes).map(|rule| RuleRef {
            policy: story.policy.clone(),
            direction,
            rule: rule.rule,
            peer: rule.peers.first_met(),
            port: rule.ports.first_met(),
        })
    });
    let (by, allowed): (Vec<_>, Vec<_>) = (isolating().map(|story| story.policy.clone()).collect(), matching.collect());
    match (by.is_empty(), allowed.is_empty()) {
        (true, _) => Reason::NotIsolated,
        (false, true) => Reason::Isolated { by },
        (false, false) => Reason::Allowed { by: allowed },
    }
}

fn policy_story(policy: &NetworkPolicy, labels: &Labels, asked: &Asked<'_, '_>) -> PolicyStory {
    let conditions: Vec<Condition> = entries::pod_labels(&policy.pod_selector, labels);
    let by = match &policy.policy_types {
        Clause::Given(types) if !types.is_empty() => Types::Stated,
        Clause::Given(_) | Clause::Absent => Types::Defaulted,
    };
    let list = rules(policy, asked.direction);
    let standing = match (Met::of(&conditions), stance(policy, asked.direction)) {
        (Met::No, _) => Standing::SelectsOthers,
        (Met::Yes, Stance::Isolates) => Standing::Isolates { by },
        (Met::Yes, Stance::Silent) => {
            Standing::OtherDirection { by, inert: u32::try_from(list.len()).unwrap_or(u32::MAX) }
        }
    };
    let rules = match standing {
        Standing::Isolates { .. } => {
            (0..).zip(list).map(|(place, rule)| rule_story(policy, place, rule, asked)).collect()
        }
        Standing::OtherDirection { .. } | Standing::SelectsOthers => Vec::new(),
    };
    PolicyStory {
        policy: policy.reference(),
        selector: words::selector(&policy.pod_selector),
        conditions,
        standing,
        rules,
    }
}

fn rule_story(policy: &NetworkPolicy, place: u32, rule: &Rule, asked: &Asked<'_, '_>) -> RuleStory {
    let peers = entries::list(&rule.peers, |peer| entries::peer(policy, peer, asked.peer));
    let ports = entries::list(&rule.ports, |port| entries::port(port, asked.port, asked.destination));
    let met = Met::all(peers.met() == Met::Yes && ports.met() == Met::Yes);
    RuleStory { rule: place, peers, ports, met }
}
