//! The grid that conformance generators walk through: every kind of peer and port, alone and in pairs, in both
//! directions, and policies that conflict. Expectations are made from one predicate for each part.

use super::build::{Lab, at, block, both, namespaces, np, pods, rule};
use super::disagreements;
use crate::model::port::{Port, Protocol};
use crate::model::prediction::Direction::{self, Egress, Ingress};
use crate::policy::network_policy::{NetworkPolicy, Peer, PortClause, Rule};
use crate::policy::{Clause, Policy};

/// The subject of every policy here.
const SUBJECT: &str = "x/a";

/// A peer entry of a policy in `x`, and which endpoints it takes.
type PeerPart = (&'static str, fn() -> Peer, fn(&str) -> bool);

/// Ten kinds of peer entry. Pods are 10.0.0.1 (x/a) to 10.0.0.9 (z/c).
const PEERS: [PeerPart; 10] = [
    ("empty pods, no namespaces", || pods(""), |peer| peer.starts_with("x/")),
    ("pods by label, no namespaces", || pods("pod=b"), |peer| peer == "x/b"),
    ("no pods, empty namespaces", || namespaces(""), |_| true),
    ("empty pods, empty namespaces", || both("", ""), |_| true),
    ("pods by label, empty namespaces", || both("", "pod=b"), |peer| peer.ends_with("/b")),
    ("no pods, namespaces by label", || namespaces("ns=y"), |peer| peer.starts_with("y/")),
    ("empty pods, namespaces by label", || both("ns=y", ""), |peer| peer.starts_with("y/")),
    ("pods by label, namespaces by label", || both("ns=y", "pod=b"), |peer| peer == "y/b"),
    ("a block", || block("10.0.0.4/30", &[]), |peer| ["y/a", "y/b", "y/c", "z/a"].contains(&peer)),
    ("a block with except", || block("10.0.0.4/30", &["10.0.0.5/32"]), |peer| ["y/a", "y/c", "z/a"].contains(&peer)),
];

/// A port entry, and which ports it takes of the subjects here, which all name theirs alike.
type PortPart = (&'static str, fn() -> PortClause, fn(Port) -> bool);

const fn of(port: Port, protocol: Protocol) -> bool {
    matches!(
        (port.protocol, protocol),
        (Protocol::Tcp, Protocol::Tcp) | (Protocol::Udp, Protocol::Udp) | (Protocol::Sctp, Protocol::Sctp)
    )
}

const PORTS: [PortPart; 19] = [
    ("nothing", || at(""), |p| of(p, Protocol::Tcp)),
    ("tcp", || at("/tcp"), |p| of(p, Protocol::Tcp)),
    ("udp", || at("/udp"), |p| of(p, Protocol::Udp)),
    ("sctp", || at("/sctp"), |p| of(p, Protocol::Sctp)),
    ("80", || at("80"), |p| of(p, Protocol::Tcp) && p.number.get() == 80),
    ("80/udp", || at("80/udp"), |p| of(p, Protocol::Udp) && p.number.get() == 80),
    ("81/tcp", || at("81/tcp"), |p| of(p, Protocol::Tcp) && p.number.get() == 81),
    ("81/sctp", || at("81/sctp"), |p| of(p, Protocol::Sctp) && p.number.get() == 81),
    ("a name", || at("serve-80-tcp"), |p| of(p, Protocol::Tcp) && p.number.get() == 80),
    ("a name with its protocol", || at("serve-81-udp/udp"), |p| of(p, Protocol::Udp) && p.number.get() == 81),
    ("a name over sctp", || at("serve-80-sctp/sctp"), |p| of(p, Protocol::Sctp) && p.number.get() == 80),
    ("a name of another protocol", || at("serve-80-udp/tcp"), |_| false),
    ("a name whose protocol is left out and is not tcp", || at("serve-80-udp"), |_| false),
    ("a name nobody serves", || at("serve-82-tcp/tcp"), |_| false),
    ("a number nobody serves", || at("79/tcp"), |_| false),
    ("80 to 81", || at("80-81/tcp"), |p| of(p, Protocol::Tcp)),
    ("81 to 82 over udp", || at("81-82/udp"), |p| of(p, Protocol::Udp) && p.number.get() == 81),
    ("82 to 90", || at("82-90/tcp"), |_| false),
    ("1 to 80", || at("1-80"), |p| of(p, Protocol::Tcp) && p.number.get() == 80),
];

/// One family only, so that a block's predicate needs no family.
fn lab() -> Lab {
    let mut lab = Lab::xyz();
    lab.world.pods.values_mut().for_each(|pod| pod.addresses.v6 = None);
    lab
}

fn policy(name: &str, on: &str, direction: Direction, rules: Vec<Rule>) -> Policy {
    let policy: NetworkPolicy = np(name, on).types(&[direction]);
    match direction {
        Ingress => policy.ingress(rules).make(),
        Egress => policy.egress(rules).make(),
    }
}

/// Subject and peer of a flow in a direction.
fn ends<'n>(direction: Direction, from: &'n str, to: &'n str) -> (&'n str, &'n str) {
    match direction {
        Ingress => (to, from),
        Egress => (from, to),
    }
}

fn holds(says: &str, policies: Vec<Policy>, allowed: impl Fn(&str, &str, Port) -> bool) {
    let wrong = disagreements(&lab().under(policies), allowed);
    assert!(wrong.is_empty(), "{says}\n{}", wrong.into_iter().take(5).collect::<Vec<_>>().join("\n"));
}

#[test]
fn every_kind_of_peer_alone_and_in_pairs_in_both_directions() {
    for direction in [Ingress, Egress] {
        for (place, (first, one, takes)) in PEERS.iter().enumerate() {
            for (second, other, also) in &PEERS[place..] {
                let rules = vec![rule().from(vec![one(), other()])];
                holds(
                    &format!("{direction}: {first}, and {second}"),
                    vec![policy("x/p", "pod=a", direction, rules)],
                    |from, to, _| {
                        let (subject, peer) = ends(direction, from, to);
                        subject != SUBJECT || takes(peer) || also(peer)
                    },
                );
            }
        }
    }
}

#[test]
fn every_kind_of_port_alone_and_beside_the_next_in_both_directions() {
    for direction in [Ingress, Egress] {
        for (place, (first, one, takes)) in PORTS.iter().enumerate() {
            let (second, other, also) = &PORTS[(place + 5) % PORTS.len()];
            let alone = Rule { peers: Clause::Absent, ports: Clause::Given(vec![one()]) };
            holds(
                &format!("{direction}: {first}"),
                vec![policy("x/p", "pod=a", direction, vec![alone])],
                |from, to, port| ends(direction, from, to).0 != SUBJECT || takes(port),
            );
            let both = Rule { peers: Clause::Absent, ports: Clause::Given(vec![one(), other()]) };
            holds(
                &format!("{direction}: {first}, and {second}"),
                vec![policy("x/p", "pod=a", direction, vec![both])],
                |from, to, port| ends(direction, from, to).0 != SUBJECT || takes(port) || also(port),
            );
        }
    }
}

#[test]
fn every_target() {
    let targets: [(&str, fn(&str) -> bool); 7] = [
        ("", |_| true),
        ("pod=a", |pod| pod == "a"),
        ("pod in (a,b)", |pod| pod != "c"),
        ("pod not in (a)", |pod| pod != "a"),
        ("pod", |_| true),
        ("!pod", |_| false),
        ("pod=a; pod not in (a)", |_| false),
    ];
    for namespace in ["x", "y", "z"] {
        for (selector, selected) in targets {
            for direction in [Ingress, Egress] {
                holds(
                    &format!("{direction} of `{selector}` in {namespace}"),
                    vec![policy(&format!("{namespace}/p"), selector, direction, vec![])],
                    |from, to, _| {
                        let (subject, _) = ends(direction, from, to);
                        let (of, pod) = subject.split_once('/').unwrap();
                        !(of == namespace && selected(pod))
                    },
                );
            }
        }
    }
}

#[test]
fn conflicts_by_pod_and_by_address() {
    // The client is y/a at 10.0.0.4, the server x/a at 10.0.0.1. Each side is open, shut, or open by label or address.
    let rules: [(&str, Vec<Rule>, bool); 6] = [
        ("nothing", vec![], false),
        ("everything", vec![rule()], true),
        ("the other by label", vec![rule().from(vec![both("", "pod=a")])], true),
        ("the other by address", vec![rule().from(vec![block("10.0.0.0/29", &[])])], true),
        ("all but the other by address", vec![rule().from(vec![block("10.0.0.0/8", &["10.0.0.0/29"])])], false),
        (
            "all but the other by address, and the other by label",
            vec![rule().from(vec![block("10.0.0.0/8", &["10.0.0.0/29"])]), rule().from(vec![both("", "pod=a")])],
            true,
        ),
    ];
    for (server_says, server_rules, lets_in) in &rules {
        for (client_says, client_rules, lets_out) in &rules {
            let mut lab = lab().under(vec![
                policy("x/server", "pod=a", Ingress, server_rules.clone()),
                policy("y/client", "pod=a", Egress, client_rules.clone()),
            ]);
            assert_eq!(super::readings_apart(&lab), [""; 0]);
            let flow = lab.flow("y/a", "x/a", "80/tcp");
            let told = crate::oracle::explain(&lab.world, &flow, |id| lab.name(id));
            let sides = [told.egress.reason.verdict(), told.ingress.reason.verdict()];
            let verdict = |open: bool| {
                Some(if open {
                    crate::model::verdict::Verdict::Allowed
                } else {
                    crate::model::verdict::Verdict::Denied
                })
            };
            assert_eq!(
                sides,
                [verdict(*lets_out), verdict(*lets_in)],
                "server lets in {server_says}, client lets out {client_says}"
            );
        }
    }
}
