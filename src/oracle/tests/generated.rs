//! Worlds nobody would write, in which all three readings have to agree, cell by cell and reason by reason.

use proptest::prelude::*;

use super::build::{Lab, unknown};
use super::readings_apart;
use crate::model::port::{Port, Protocol, ServedPort};
use crate::model::prediction::Direction;
use crate::policy::network_policy::{IpBlock, NetworkPolicy, Peer, PortClause, PortMatch, Rule};
use crate::policy::selector::{LabelSelector, Operator, Requirement};
use crate::policy::{Clause, Policy};

const NAMESPACES: [&str; 3] = ["n0", "n1", "n2"];
const NAMES: [&str; 3] = ["web", "dns", "sql"];

fn protocol() -> impl Strategy<Value = Protocol> {
    prop_oneof![3 => Just(Protocol::Tcp), 2 => Just(Protocol::Udp), 1 => Just(Protocol::Sctp)]
}

fn number() -> impl Strategy<Value = std::num::NonZeroU16> {
    (1..6_u16).prop_map(|n| std::num::NonZeroU16::new(n).unwrap())
}

fn served() -> impl Strategy<Value = Vec<ServedPort>> {
    let one = (number(), protocol(), prop::option::of(prop::sample::select(&NAMES[..]))).prop_map(
        |(number, protocol, name)| ServedPort { port: Port { number, protocol }, name: name.map(Into::into) },
    );
    prop::collection::vec(one, 0..4)
}

fn selector() -> impl Strategy<Value = LabelSelector> {
    let values = || prop::collection::vec("[pqr]?", 1..3);
    let operator = prop_oneof![
        values().prop_map(Operator::In),
        values().prop_map(Operator::NotIn),
        Just(Operator::Exists),
        Just(Operator::DoesNotExist),
    ];
    let requirement = ("[ab]", operator).prop_map(|(key, operator)| Requirement { key, operator });
    let some = (prop::collection::btree_map("[ab]", "[pq]", 0..2), prop::collection::vec(requirement, 0..2))
        .prop_map(|(match_labels, match_expressions)| LabelSelector { match_labels, match_expressions });
    prop_oneof![1 => Just(LabelSelector::default()), 3 => some]
}

/// Blocks around the pods' addresses 10.0.0.1 and on, fd00::1 and on.
fn block() -> impl Strategy<Value = IpBlock> {
    let net = |v6: bool, tail: u32, prefix: u8| -> ipnet::IpNet {
        let text = if v6 { format!("fd00::{tail:x}/{}", 96 + prefix) } else { format!("10.0.0.{tail}/{prefix}") };
        text.parse::<ipnet::IpNet>().unwrap().trunc()
    };
    (
        any::<bool>(),
        0..12_u32,
        prop::sample::select(vec![0_u8, 28, 29, 30, 31, 32]),
        prop::collection::vec((0..12_u32, 29..33_u8), 0..3),
    )
        .prop_map(move |(v6, tail, prefix, except)| {
            let cidr = net(v6, tail, prefix);
            // The API server refuses an except that is not inside.
            let except = except.into_iter().map(|(tail, prefix)| net(v6, tail, prefix)).filter(|e| cidr.contains(e));
            IpBlock { cidr, except: except.collect() }
        })
}

fn peer() -> impl Strategy<Value = Peer> {
    prop_oneof![
        selector().prop_map(Peer::Pods),
        selector().prop_map(Peer::Namespaces),
        (selector(), selector()).prop_map(|(namespaces, pods)| Peer::PodsInNamespaces { namespaces, pods }),
        block().prop_map(Peer::Block),
    ]
}

fn port() -> impl Strategy<Value = PortClause> {
    let what = prop_oneof![
        number().prop_map(PortMatch::Number),
        (number(), number()).prop_map(|(a, b)| PortMatch::Range(a.min(b), a.max(b))),
        prop::sample::select(&NAMES[..]).prop_map(|name| PortMatch::Name(name.into())),
    ];
    (prop::option::of(protocol()), prop::option::weighted(0.8, what))
        .prop_map(|(protocol, port)| PortClause { protocol, port })
}

fn clause<T: std::fmt::Debug + Clone>(
    entry: impl Strategy<Value = T>,
    most: usize,
) -> impl Strategy<Value = Clause<T>> {
    prop_oneof![1 => Just(Clause::Absent), 4 => prop::collection::vec(entry, 0..=most).prop_map(Clause::Given)]
}

fn policy() -> impl Strategy<Value = NetworkPolicy> {
    let rule = || (clause(peer(), 3), clause(port(), 3)).prop_map(|(peers, ports)| Rule { peers, ports });
    let types = prop_oneof![
        Just(Clause::Absent),
        Just(Clause::Given(vec![])),
        Just(Clause::Given(vec![Direction::Ingress])),
        Just(Clause::Given(vec![Direction::Egress])),
        Just(Clause::Given(vec![Direction::Ingress, Direction::Egress])),
    ];
    (prop::sample::select(&NAMESPACES[..]), selector(), types, clause(rule(), 3), clause(rule(), 3)).prop_map(
        |(namespace, pod_selector, policy_types, ingress, egress)| NetworkPolicy {
            namespace: namespace.into(),
            name: String::new(),
            pod_selector,
            policy_types,
            ingress,
            egress,
            manifest: serde_json::Value::Null,
        },
    )
}

fn stranger() -> impl Strategy<Value = Policy> {
    prop::option::of(prop::sample::select(&NAMESPACES[..])).prop_map(|namespace| unknown("Odd", namespace, "odd"))
}

pub(super) fn world() -> impl Strategy<Value = Lab> {
    let labels = || prop::collection::btree_map("[ab]", "[pqr]?", 0..3);
    let pods = prop::collection::vec((prop::sample::select(&NAMESPACES[..]), labels(), served()), 1..7);
    let outside = prop::collection::vec((1..250_u8, any::<bool>(), served()), 0..3);
    (
        prop::collection::vec(labels(), 3),
        pods,
        outside,
        prop::collection::vec(policy(), 0..6),
        prop::option::weighted(0.15, stranger()),
    )
        .prop_map(|(namespaces, pods, outside, policies, stranger)| {
            let mut lab = Lab::new();
            for (name, labels) in NAMESPACES.iter().zip(namespaces) {
                lab = lab.namespace(name, "");
                lab.world.namespaces.get_mut(*name).unwrap().0.extend(labels);
            }
            for (number, (namespace, labels, serves)) in pods.into_iter().enumerate() {
                let name = format!("{namespace}/p{number}");
                lab = lab.pod(&name, "", "");
                let id = lab.id(&name);
                let pod = lab.world.pods.get_mut(&id).unwrap();
                pod.labels.0 = labels;
                pod.serves = serves;
            }
            for (number, (tail, v6, serves)) in outside.into_iter().enumerate() {
                let name = format!("out{number}");
                let address = if v6 { format!("fd00::{tail:x}") } else { format!("10.0.0.{tail}") };
                lab = lab.outside(&name, &address, "");
                let id = lab.id(&name);
                lab.world.outside.get_mut(&id).unwrap().serves = serves;
            }
            let named = policies.into_iter().enumerate().map(|(number, policy)| {
                let name = format!("policy-{number}");
                NetworkPolicy { name, ..policy }.make()
            });
            lab.under(named.chain(stranger).collect())
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn three_readings_of_a_world_agree(lab in world()) {
        let apart = readings_apart(&lab);
        prop_assert!(apart.is_empty(), "{}\n{:#?}", apart[0], lab.world.policies);
    }
}
