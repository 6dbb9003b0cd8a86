//! Policies in, verdicts of the compiled rules out: a sentence per row.

use std::net::Ipv4Addr;
use std::num::{NonZeroU8, NonZeroU16};

use super::*;
use crate::model::endpoint::Addresses;
use crate::model::labels::Labels;
use crate::model::port::{Protocol, ServedPort};
use crate::policy::network_policy::{IpBlock, Peer, PortClause, PortMatch};
use crate::policy::selector::LabelSelector;
use crate::policy::unknown::UnknownPolicy;
use crate::scenario::world::Outside;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn with(pairs: &[(&str, &str)]) -> LabelSelector {
    LabelSelector { match_labels: labels(pairs).0, match_expressions: Vec::new() }
}

fn all() -> LabelSelector {
    LabelSelector::default()
}

fn number(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}

fn serves(name: &str, at: u16, protocol: Protocol) -> ServedPort {
    ServedPort { port: Port { number: number(at), protocol }, name: Some(name.to_owned()) }
}

const A: EndpointId = EndpointId(0);
const B: EndpointId = EndpointId(1);
const C: EndpointId = EndpointId(2);
const OUT: EndpointId = EndpointId(9);

fn address(id: EndpointId) -> Ipv4Addr {
    if id == OUT { Ipv4Addr::new(198, 51, 100, 7) } else { Ipv4Addr::new(10, 0, 0, 10 + id.0 as u8) }
}

/// Pods `A` and `B` in namespace `x`, `C` in `y`; `A` and `C` on node 1, `B` on node 2; and something outside.
fn world(policies: Vec<NetworkPolicy>) -> World {
    let pod = |id, namespace: &str, pairs: &[(&str, &str)], node, serves: Vec<ServedPort>| {
        let addresses = Addresses { v4: Some(address(id)), v6: None };
        let node = NodeOrdinal(NonZeroU8::new(node).unwrap());
        (id, Pod { namespace: namespace.into(), labels: labels(pairs), serves, node, addresses })
    };
    World {
        planned: Default::default(),
        services: BTreeMap::new(),
        namespaces: [("x", labels(&[("team", "blue")])), ("y", labels(&[("team", "red")]))]
            .map(|(name, labels)| (name.to_owned(), labels))
            .into(),
        pods: [
            pod(
                A,
                "x",
                &[("app", "a")],
                1,
                vec![serves("web", 80, TCP), serves("web", 88, TCP), serves("dns", 53, UDP)],
            ),
            pod(B, "x", &[("app", "b")], 2, vec![serves("web", 8080, TCP), serves("web", 8088, TCP)]),
            pod(C, "y", &[("app", "a")], 1, vec![serves("web", 80, Protocol::Udp)]),
        ]
        .into(),
        outside: [(OUT, Outside { serves: Vec::new(), addresses: Addresses { v4: Some(address(OUT)), v6: None } })]
            .into(),
        policies: policies.into_iter().map(|policy| Policy::Network(Arc::new(policy))).collect(),
    }
}

/// A policy of namespace `x` that selects `A`.
fn policy() -> NetworkPolicy {
    NetworkPolicy {
        namespace: "x".into(),
        name: "policy".into(),
        pod_selector: with(&[("app", "a")]),
        policy_types: Clause::Absent,
        ingress: Clause::Absent,
        egress: Clause::Absent,
        manifest: serde_json::Value::Null,
    }
}

fn rule(peers: Clause<Peer>, ports: Clause<PortClause>) -> Rule {
    Rule { peers, ports }
}

fn into_a(peers: Clause<Peer>, ports: Clause<PortClause>) -> NetworkPolicy {
    NetworkPolicy { ingress: Clause::Given(vec![rule(peers, ports)]), ..policy() }
}

fn out_of_a(peers: Clause<Peer>, ports: Clause<PortClause>) -> NetworkPolicy {
    NetworkPolicy {
        policy_types: Clause::Given(vec![Direction::Egress]),
        egress: Clause::Given(vec![rule(peers, ports)]),
        ..policy()
    }
}

fn entry(protocol: Option<Protocol>, port: Option<PortMatch>) -> Clause<PortClause> {
    Clause::Given(vec![PortClause { protocol, port }])
}

fn block(cidr: &str, except: &[&str]) -> Clause<Peer> {
    let except = except.iter().map(|hole| hole.parse().unwrap()).collect();
    Clause::Given(vec![Peer::Block(IpBlock { cidr: cidr.parse().unwrap(), except })])
}

fn peers(peer: Peer) -> Clause<Peer> {
    Clause::Given(vec![peer])
}

const TCP: Protocol = Protocol::Tcp;
const UDP: Protocol = Protocol::Udp;
const SCTP: Protocol = Protocol::Sctp;
const ABSENT_PEERS: Clause<Peer> = Clause::Absent;
const ABSENT_PORTS: Clause<PortClause> = Clause::Absent;

/// Whether a packet that opens a connection passes every node on its way.
fn passes(world: &World, from: EndpointId, to: EndpointId, protocol: Protocol, at: u16) -> bool {
    let rules = compile(world, world);
    let (source, destination) = (IpAddr::V4(address(from)), IpAddr::V4(address(to)));
    let mut nodes: Vec<NodeOrdinal> =
        [from, to].iter().filter_map(|id| world.pods.get(id)).map(|pod| pod.node).collect();
    nodes.dedup();
    nodes.iter().flat_map(|node| rules.nodes.get(node).into_iter().flatten()).all(|guard| {
        let (mine, peer) = match guard.direction {
            Direction::Egress => (source, destination),
            Direction::Ingress => (destination, source),
        };
        let lets_through = |allow: &Allow| match allow {
            Allow::Across { peers, ports } => {
                let peer = match peers {
                    Peering::Anyone => true,
                    Peering::These(set) => set.contains(peer),
                };
                let port = match ports {
                    Porting::Anything => true,
                    Porting::These(ranges) => {
                        ranges.iter().any(|r| r.protocol == protocol && (r.first..=r.last).contains(&at))
                    }
                };
                peer && port
            }
            Allow::Servers(servers) => servers.contains(&(destination, Port { number: number(at), protocol })),
        };
        !guard.pods.contains(&mine) || guard.allows.iter().any(lets_through)
    })
}

type Flow = (EndpointId, EndpointId, Protocol, u16);

fn check(rows: Vec<(NetworkPolicy, Flow, bool, &str)>) {
    for (policy, (from, to, protocol, at), expected, why) in rows {
        let world = world(vec![policy]);
        assert_eq!(passes(&world, from, to, protocol, at), expected, "{why}");
    }
}

#[test]
fn the_types_of_a_policy_default_by_its_rules() {
    let types = |types: &[Direction], ingress, egress| NetworkPolicy {
        policy_types: Clause::Given(types.to_vec()),
        ingress,
        egress,
        ..policy()
    };
    let none = || Clause::Given(Vec::new());
    let open = || Clause::Given(vec![rule(ABSENT_PEERS, ABSENT_PORTS)]);
    let absent = |ingress, egress| NetworkPolicy { ingress, egress, ..policy() };
    check(vec![
        (absent(Clause::Absent, Clause::Absent), (B, A, TCP, 80), false, "no types, no rules: isolates for ingress"),
        (absent(Clause::Absent, Clause::Absent), (A, B, TCP, 80), true, "but not for egress"),
        (absent(Clause::Absent, none()), (A, B, TCP, 80), true, "an empty egress list is no egress rule"),
        (absent(Clause::Absent, open()), (B, A, TCP, 80), false, "an egress rule does not take ingress away"),
        (absent(open(), none()), (B, A, TCP, 80), true, "an open ingress rule lets in"),
        (types(&[], Clause::Absent, none()), (B, A, TCP, 80), false, "an empty list of types is as none"),
        (types(&[Direction::Egress], Clause::Absent, Clause::Absent), (A, B, TCP, 80), false, "egress without rules"),
        (types(&[Direction::Egress], none(), open()), (B, A, TCP, 80), true, "egress alone does not isolate ingress"),
        (types(&[Direction::Ingress], open(), none()), (A, B, TCP, 80), true, "and the other way round"),
        (policy(), (B, C, TCP, 80), true, "the same labels in another namespace are not selected"),
        (policy(), (A, B, TCP, 80), true, "and neither are other labels in this one"),
    ]);
    // Egress rules without types isolate for egress too: whatever they do not name is denied.
    let to_c = absent(Clause::Absent, Clause::Given(vec![rule(block("10.0.0.12/32", &[]), ABSENT_PORTS)]));
    check(vec![
        (to_c.clone(), (A, C, TCP, 80), true, "the egress rule's peer"),
        (to_c, (A, B, TCP, 80), false, "another one, without types, is denied"),
    ]);
}

#[test]
fn each_form_of_peer_picks_whom_the_documentation_says() {
    let pods = |pairs| peers(Peer::Pods(with(pairs)));
    let namespaces = |pairs| peers(Peer::Namespaces(with(pairs)));
    let both = |ns, p| peers(Peer::PodsInNamespaces { namespaces: with(ns), pods: with(p) });
    let a = |peers| into_a(peers, ABSENT_PORTS);
    check(vec![
        (a(pods(&[("app", "b")])), (B, A, TCP, 80), true, "a pod selector picks by label"),
        (a(pods(&[("app", "a")])), (C, A, TCP, 80), false, "but only in the policy's own namespace"),
        (a(pods(&[])), (B, A, TCP, 80), true, "an empty one picks all of it"),
        (a(pods(&[])), (C, A, TCP, 80), false, "and nothing beside it"),
        (a(pods(&[])), (OUT, A, TCP, 80), false, "nor what is no pod"),
        (a(namespaces(&[("team", "red")])), (C, A, TCP, 80), true, "a namespace selector picks every pod there"),
        (a(namespaces(&[("team", "red")])), (B, A, TCP, 80), false, "and nowhere else"),
        (a(namespaces(&[])), (C, A, TCP, 80), true, "an empty one picks all namespaces"),
        (a(namespaces(&[])), (OUT, A, TCP, 80), false, "which what is outside has none of"),
        (a(both(&[("team", "red")], &[("app", "a")])), (C, A, TCP, 80), true, "both together must hold"),
        (a(both(&[("team", "red")], &[("app", "b")])), (C, A, TCP, 80), false, "the pod selector does not"),
        (a(both(&[("team", "red")], &[("app", "b")])), (B, A, TCP, 80), false, "the namespace selector does not"),
        (a(block("10.0.0.0/24", &[])), (B, A, TCP, 80), true, "a block picks pods by address too"),
        (a(block("10.0.0.0/24", &["10.0.0.11/32"])), (B, A, TCP, 80), false, "less its exceptions"),
        (a(block("198.51.100.0/24", &[])), (OUT, A, TCP, 80), true, "and what is outside"),
        (a(Clause::Given(Vec::new())), (OUT, A, TCP, 80), true, "an empty list takes anyone"),
        (a(ABSENT_PEERS), (OUT, A, TCP, 80), true, "and so does none"),
        (out_of_a(pods(&[("app", "b")]), ABSENT_PORTS), (A, B, TCP, 80), true, "egress looks at the destination"),
        (out_of_a(pods(&[("app", "b")]), ABSENT_PORTS), (A, C, TCP, 80), false, "and denies the others"),
    ]);
    // An exception is taken out of its own block only.
    let twice = Clause::Given(vec![
        Peer::Block(IpBlock { cidr: "10.0.0.0/24".parse().unwrap(), except: vec!["10.0.0.11/32".parse().unwrap()] }),
        Peer::Pods(with(&[("app", "b")])),
    ]);
    check(vec![(a(twice), (B, A, TCP, 80), true, "what one entry excepts, another may pick")]);
}

#[test]
fn ports_are_matched_by_protocol_number_range_and_name() {
    let a = |ports| into_a(ABSENT_PEERS, ports);
    let name = |name: &str| Some(PortMatch::Name(name.into()));
    let range = |first, last| Some(PortMatch::Range(number(first), number(last)));
    let exactly = |at| Some(PortMatch::Number(number(at)));
    check(vec![
        (a(entry(None, exactly(80))), (B, A, TCP, 80), true, "a number is TCP where the manifest does not say"),
        (a(entry(None, exactly(80))), (B, A, UDP, 80), false, "so not UDP"),
        (a(entry(None, exactly(80))), (B, A, TCP, 81), false, "nor another number"),
        (a(entry(Some(UDP), exactly(53))), (B, A, UDP, 53), true, "UDP where it says so"),
        (a(entry(Some(SCTP), exactly(53))), (B, A, SCTP, 53), true, "and SCTP"),
        (a(entry(Some(UDP), None)), (B, A, UDP, 7), true, "no port is every port of the protocol"),
        (a(entry(Some(UDP), None)), (B, A, TCP, 7), false, "and of no other"),
        (a(entry(None, None)), (B, A, TCP, 7), true, "an empty entry is every TCP port"),
        (a(entry(None, None)), (B, A, UDP, 7), false, "and no UDP port"),
        (a(entry(None, range(80, 82))), (B, A, TCP, 80), true, "the first of a range"),
        (a(entry(None, range(80, 82))), (B, A, TCP, 82), true, "the last of it"),
        (a(entry(None, range(80, 82))), (B, A, TCP, 83), false, "one past it"),
        (a(entry(None, range(80, 82))), (B, A, TCP, 79), false, "one before it"),
        (a(entry(None, name("web"))), (B, A, TCP, 80), true, "a name is the selected pod's port"),
        (a(entry(None, name("web"))), (B, A, TCP, 88), true, "and each of them, where it is the name of several"),
        (a(entry(None, name("web"))), (B, A, TCP, 8080), false, "not the peer's"),
        (a(entry(None, name("dns"))), (B, A, UDP, 53), false, "a name of another protocol names nothing"),
        (a(entry(Some(UDP), name("dns"))), (B, A, UDP, 53), true, "unless it is asked for"),
        (a(entry(None, name("none"))), (B, A, TCP, 80), false, "a name nobody has names nothing"),
        (a(Clause::Given(Vec::new())), (B, A, UDP, 7), true, "an empty list is every port"),
    ]);
    let out = |peers, ports| out_of_a(peers, ports);
    let web = || entry(None, name("web"));
    check(vec![
        (out(ABSENT_PEERS, web()), (A, B, TCP, 8080), true, "on the way out a name is each destination's own"),
        (out(ABSENT_PEERS, web()), (A, B, TCP, 8088), true, "each of its ports of that name"),
        (out(ABSENT_PEERS, web()), (A, B, TCP, 80), false, "not the source's"),
        (out(ABSENT_PEERS, web()), (A, C, TCP, 80), false, "of the protocol asked for"),
        (out(ABSENT_PEERS, entry(Some(UDP), name("web"))), (A, C, UDP, 80), true, "which the manifest may give"),
        (out(ABSENT_PEERS, web()), (A, OUT, TCP, 80), false, "what is outside has no names"),
        (out(peers(Peer::Pods(with(&[("app", "a")]))), web()), (A, B, TCP, 8080), false, "and only at the peers"),
        (out(block("10.0.0.11/32", &[]), web()), (A, B, TCP, 8080), true, "which a block may pick"),
        (out(block("10.0.0.0/24", &["10.0.0.11/32"]), web()), (A, B, TCP, 8080), false, "or except"),
        (out(ABSENT_PEERS, entry(None, exactly(443))), (A, OUT, TCP, 443), true, "a number is the same everywhere"),
    ]);
}

#[test]
fn policies_add_up_and_both_sides_must_allow() {
    let from_b = into_a(peers(Peer::Pods(with(&[("app", "b")]))), ABSENT_PORTS);
    let deny = NetworkPolicy { pod_selector: all(), ..policy() };
    let b_out = NetworkPolicy {
        pod_selector: with(&[("app", "b")]),
        policy_types: Clause::Given(vec![Direction::Egress]),
        ..policy()
    };
    let rows = [
        (vec![deny.clone()], (B, A), false, "a policy that selects all pods denies all"),
        (vec![deny.clone(), from_b.clone()], (B, A), true, "what another one allows is allowed"),
        (vec![from_b.clone(), deny.clone()], (B, A), true, "in whatever order they come"),
        (vec![from_b.clone()], (C, A), false, "and nothing else is"),
        (vec![from_b.clone(), b_out.clone()], (B, A), false, "the source's side must allow too"),
        (vec![b_out], (B, A), false, "even if the destination is open"),
        (vec![deny], (A, C), true, "a namespace's policies do not reach into another"),
    ];
    for (policies, (from, to), expected, why) in rows {
        assert_eq!(passes(&world(policies), from, to, TCP, 80), expected, "{why}");
    }
}

#[test]
fn pods_with_the_same_guard_share_it_on_each_node() {
    let deny = NetworkPolicy { pod_selector: all(), ..policy() };
    let rules = compile(&world(vec![deny]), &world(Vec::new()));
    let counts: Vec<(u8, usize, usize)> = rules
        .nodes
        .iter()
        .map(|(node, guards)| (node.0.get(), guards.len(), guards.iter().map(|g| g.pods.len()).sum()))
        .collect();
    assert_eq!(counts, [(1, 1, 1), (2, 1, 1)], "one guard and one pod of the namespace on each node");
}

#[test]
fn empty_sets_keep_the_guard_but_let_no_pod_through() {
    let from_b = into_a(peers(Peer::Pods(with(&[("app", "b")]))), ABSENT_PORTS);
    let rules = compile(&world(vec![from_b]), &World::default());
    let guards: Vec<&Guard> = rules.nodes.values().flatten().collect();
    assert_eq!(guards.len(), 1, "the pod is isolated all the same");
    assert_eq!(guards[0].allows, BTreeSet::new(), "and nobody is known who may come");
}

#[test]
fn a_policy_of_another_kind_is_enforced_by_nobody_here() {
    let reference = crate::model::prediction::PolicyRef {
        kind: "GlobalNetworkPolicy".into(),
        namespace: None,
        name: "deny-all".into(),
    };
    let unknown =
        UnknownPolicy { reference, api_version: "projectcalico.org/v3".into(), manifest: serde_json::Value::Null };
    let world = World { policies: vec![Policy::Unknown(Arc::new(unknown))], ..world(Vec::new()) };
    assert_eq!(compile(&world, &world), Rules::default(), "and nothing else is");
}
