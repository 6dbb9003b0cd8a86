//! Random policy sets over a world: every feature of NetworkPolicy, mostly aimed at what is there.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use ipnet::IpNet;
use leakproof::model::labels::Labels;
use leakproof::model::port::Protocol;
use leakproof::model::prediction::Direction;
use leakproof::policy::network_policy::{IpBlock, NetworkPolicy, Peer, PortClause, PortMatch, Rule};
use leakproof::policy::selector::{LabelSelector, Operator, Requirement};
use leakproof::policy::{Clause, Policy};
use leakproof::scenario::world::World;

use crate::dice::Dice;
use crate::ground::{
    Ground, METADATA_NAME, NAMESPACE_KEYS, NUMBERS, POD_KEYS, PORT_NAMES, namespace_labels, pod_labels,
};
use crate::manifest;

/// The world of one policy set: the ground, some labels drawn anew, and policies.
pub fn set(ground: &Ground, dice: &mut Dice) -> World {
    let mut world = ground.world.clone();
    for pod in world.pods.values_mut() {
        if dice.happens(15) {
            pod.labels = pod_labels(dice);
        }
    }
    for (name, labels) in &mut world.namespaces {
        if dice.happens(15) {
            *labels = namespace_labels(name, dice);
        }
    }
    let count = dice.between(1, 6);
    let drawn: BTreeMap<(String, String), NetworkPolicy> = (0..count)
        .map(|place| policy(&world, &format!("p{place}"), dice))
        .map(|policy| ((policy.namespace.clone(), policy.name.clone()), policy))
        .collect();
    world.policies = drawn.into_values().map(in_force).collect();
    world
}

/// The policy with its manifest.
pub fn in_force(mut policy: NetworkPolicy) -> Policy {
    policy.manifest = manifest::of(&policy);
    Policy::Network(Arc::new(policy))
}

fn policy(world: &World, name: &str, dice: &mut Dice) -> NetworkPolicy {
    let homes: Vec<&String> = world.pods.values().map(|pod| &pod.namespace).collect();
    let namespace = if dice.happens(97) {
        (*dice.pick(&homes)).clone()
    } else {
        let all: Vec<&String> = world.namespaces.keys().collect();
        (*dice.pick(&all)).clone()
    };
    let policy_types = match dice.below(100) {
        0..35 => Clause::Absent,
        35..55 => Clause::Given(vec![Direction::Ingress]),
        55..70 => Clause::Given(vec![Direction::Egress]),
        70..80 => Clause::Given(vec![Direction::Ingress, Direction::Egress]),
        80..90 => Clause::Given(vec![Direction::Egress, Direction::Ingress]),
        _ => Clause::Given(vec![]),
    };
    let in_namespace: Vec<&Labels> =
        world.pods.values().filter(|pod| pod.namespace == namespace).map(|pod| &pod.labels).collect();
    NetworkPolicy {
        pod_selector: selector(&POD_KEYS, &in_namespace, dice),
        policy_types,
        ingress: rules(world, dice),
        egress: rules(world, dice),
        manifest: serde_json::Value::Null,
        name: name.to_owned(),
        namespace,
    }
}

fn rules(world: &World, dice: &mut Dice) -> Clause<Rule> {
    match dice.below(100) {
        0..25 => Clause::Absent,
        25..35 => Clause::Given(vec![]),
        _ => Clause::Given((0..dice.between(1, 3)).map(|_| rule(world, dice)).collect()),
    }
}

fn rule(world: &World, dice: &mut Dice) -> Rule {
    let peers = match dice.below(100) {
        0..12 => Clause::Absent,
        12..20 => Clause::Given(vec![]),
        _ => Clause::Given((0..dice.between(1, 3)).map(|_| peer(world, dice)).collect()),
    };
    let ports = match dice.below(100) {
        0..30 => Clause::Absent,
        30..40 => Clause::Given(vec![]),
        _ => Clause::Given((0..dice.between(1, 3)).map(|_| port_clause(dice)).collect()),
    };
    Rule { peers, ports }
}

fn peer(world: &World, dice: &mut Dice) -> Peer {
    let pods: Vec<&Labels> = world.pods.values().map(|pod| &pod.labels).collect();
    match dice.below(100) {
        0..25 => Peer::Pods(selector(&POD_KEYS, &pods, dice)),
        25..45 => Peer::Namespaces(namespace_selector(world, dice)),
        45..65 => Peer::PodsInNamespaces {
            namespaces: namespace_selector(world, dice),
            pods: selector(&POD_KEYS, &pods, dice),
        },
        _ => Peer::Block(block(world, dice)),
    }
}

fn namespace_selector(world: &World, dice: &mut Dice) -> LabelSelector {
    let labels: Vec<&Labels> = world.namespaces.values().collect();
    if dice.happens(15) {
        let names: Vec<String> = world.namespaces.keys().cloned().collect();
        let key = METADATA_NAME.to_owned();
        return if dice.happens(50) {
            LabelSelector { match_labels: BTreeMap::from([(key, dice.pick(&names).clone())]), ..Default::default() }
        } else {
            let operator = Operator::In(dice.some(&names, 2));
            LabelSelector { match_expressions: vec![Requirement { key, operator }], ..Default::default() }
        };
    }
    selector(&NAMESPACE_KEYS, &labels, dice)
}

/// A selector, two times in three made from the labels of something that is there.
fn selector(keys: &[(&str, &[&str])], existing: &[&Labels], dice: &mut Dice) -> LabelSelector {
    let (labels, expressions) =
        dice.weigh(&[(22, (0, 0)), (30, (1, 0)), (13, (2, 0)), (20, (0, 1)), (7, (0, 2)), (8, (1, 1))]);
    let model = if existing.is_empty() || dice.happens(33) { None } else { Some(*dice.pick(existing)) };
    let mut match_labels = BTreeMap::new();
    for (key, values) in dice.some(keys, labels) {
        match model {
            Some(model) => match model.get(key) {
                Some(value) => match_labels.insert(key.to_owned(), value.to_owned()),
                None => None,
            },
            None => match_labels.insert(key.to_owned(), (*dice.pick(values)).to_owned()),
        };
    }
    let match_expressions = (0..expressions)
        .map(|_| {
            let (key, values) = *dice.pick(keys);
            let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
            let count = dice.between(1, values.len().min(2));
            let operator = match dice.below(100) {
                0..35 => Operator::In(dice.some(&values, count)),
                35..65 => Operator::NotIn(dice.some(&values, count)),
                65..82 => Operator::Exists,
                _ => Operator::DoesNotExist,
            };
            Requirement { key: key.to_owned(), operator }
        })
        .collect();
    LabelSelector { match_labels, match_expressions }
}

/// A block around somebody's address; its exceptions are around addresses within.
fn block(world: &World, dice: &mut Dice) -> IpBlock {
    let all: Vec<IpAddr> =
        world.endpoints().filter_map(|id| world.addresses(id)).flat_map(|a| a.iter().collect::<Vec<_>>()).collect();
    let around = *dice.pick(&all);
    let prefix = if around.is_ipv4() {
        *dice.pick(&[0u8, 8, 14, 16, 22, 24, 25, 28, 30, 31, 32])
    } else {
        *dice.pick(&[0u8, 16, 32, 48, 62, 64, 121, 124, 126, 127, 128])
    };
    let cidr = net(around, prefix);
    let mut except: Vec<IpNet> = Vec::new();
    if dice.happens(55) {
        let within: Vec<IpAddr> = all.into_iter().filter(|address| cidr.contains(address)).collect();
        for _ in 0..dice.between(1, 2) {
            let address = *dice.pick(&within);
            let smaller: Vec<u8> = [14u8, 16, 24, 25, 28, 30, 31, 32, 62, 64, 124, 127, 128]
                .into_iter()
                .filter(|length| *length > cidr.prefix_len() && *length <= cidr.max_prefix_len())
                .collect();
            if !smaller.is_empty() {
                let one = net(address, *dice.pick(&smaller));
                if !except.contains(&one) {
                    except.push(one);
                }
            }
        }
    }
    IpBlock { cidr, except }
}

fn net(address: IpAddr, prefix: u8) -> IpNet {
    IpNet::new(address, prefix).expect("every prefix of the pools fits its family").trunc()
}

fn port_clause(dice: &mut Dice) -> PortClause {
    let protocol =
        dice.weigh(&[(40, None), (25, Some(Protocol::Tcp)), (25, Some(Protocol::Udp)), (10, Some(Protocol::Sctp))]);
    let number = i32::from(*dice.pick(&NUMBERS));
    let port = match dice.below(100) {
        0..15 => None,
        15..50 => Some(PortMatch::Number(clamp(number))),
        50..75 => Some(PortMatch::Name((*dice.pick(&PORT_NAMES)).to_owned())),
        _ => {
            // The edges lie at a served port or one beside it.
            let first = number - *dice.pick(&[0, 0, 1, 2, 50]) + *dice.pick(&[0, 0, 0, 1]);
            let last = i32::from(*dice.pick(&NUMBERS)) + *dice.pick(&[-1, 0, 0, 1, 5]);
            let (first, last) = (first.min(last), first.max(last));
            Some(PortMatch::Range(clamp(first), clamp(last)))
        }
    };
    PortClause { protocol, port }
}

fn clamp(number: i32) -> NonZeroU16 {
    NonZeroU16::new(number.clamp(1, 65_535) as u16).expect("at least one")
}
