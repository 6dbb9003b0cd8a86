//! The meanings that the Kubernetes end-to-end suite for NetworkPolicy tests, each a row: facts about the API that every
//! implementation has to share. The world is `x`, `y`, `z` with pods `a`, `b`, `c`; the subject is `x/a` or namespace `x`.

use super::build::{Lab, block, both, namespaces, np, pods, rule};
use super::{Row, check, row};
use crate::model::port::Protocol;
use crate::model::prediction::Direction::{Egress, Ingress};

#[test]
fn denying_and_allowing_all() {
    let everything = || vec![rule()];
    let rows = [
        row("default-deny-ingress: nothing reaches x", vec![np("x/deny", "").types(&[Ingress]).make()], |_, to, _| {
            !to.starts_with("x/")
        }),
        row(
            "default-deny-all: nothing reaches x or leaves it",
            vec![np("x/deny", "").types(&[Ingress, Egress]).make()],
            |from, to, _| !from.starts_with("x/") && !to.starts_with("x/"),
        ),
        row(
            "allow-all changes nothing",
            vec![np("x/allow", "").types(&[Ingress, Egress]).ingress(everything()).egress(everything()).make()],
            |_, _, _| true,
        ),
        row(
            "deny egress from all pods of a namespace: x cannot send",
            vec![np("x/deny", "").types(&[Egress]).make()],
            |from, _, _| !from.starts_with("x/"),
        ),
        row(
            "deny egress by podSelector: only x/a cannot send",
            vec![np("x/deny", "pod=a").types(&[Egress]).make()],
            |from, _, _| from != "x/a",
        ),
        row(
            "deny ingress from other namespaces: an empty podSelector as peer is the own namespace",
            vec![np("x/own", "").ingress(vec![rule().from(vec![pods("")])]).make()],
            |from, to, _| !to.starts_with("x/") || from.starts_with("x/"),
        ),
        row(
            "deny-all beside allow-all to x/a: x/a is open, the rest of x is shut",
            vec![np("x/deny", "").types(&[Ingress]).make(), np("x/open", "pod=a").ingress(everything()).make()],
            |_, to, _| !to.starts_with("x/") || to == "x/a",
        ),
    ];
    rows.iter().for_each(|row| check(&Lab::xyz(), row));
}

/// A policy that lets these peers into `x/a`.
fn into_a(peers: Vec<crate::policy::network_policy::Peer>) -> Vec<crate::policy::Policy> {
    vec![np("x/into-a", "pod=a").ingress(vec![rule().from(peers)]).make()]
}

#[test]
fn choosing_peers() {
    let rows = [
        row("pods of the own namespace by label: only x/b", into_a(vec![pods("pod=b")]), |from, to, _| {
            to != "x/a" || from == "x/b"
        }),
        row("all namespaces by an empty namespaceSelector", into_a(vec![namespaces("")]), |_, _, _| true),
        row("another namespace: only y", into_a(vec![namespaces("ns=y")]), |from, to, _| {
            to != "x/a" || from.starts_with("y/")
        }),
        row("pods by matchExpressions: x/b", into_a(vec![pods("pod in (b)")]), |from, to, _| {
            to != "x/a" || from == "x/b"
        }),
        row("namespaces by matchExpressions: y", into_a(vec![namespaces("ns in (y)")]), |from, to, _| {
            to != "x/a" || from.starts_with("y/")
        }),
        row(
            "podSelector or namespaceSelector: two entries add up",
            into_a(vec![pods("pod=b"), namespaces("ns=y")]),
            |from, to, _| to != "x/a" || from == "x/b" || from.starts_with("y/"),
        ),
        row(
            "podSelector and namespaceSelector: one entry with both is an intersection",
            into_a(vec![both("ns=y", "pod=b")]),
            |from, to, _| to != "x/a" || from == "y/b",
        ),
        row(
            "several selectors with In and NotIn: b and c outside of x",
            into_a(vec![both("ns not in (x)", "pod in (b,c)")]),
            |from, to, _| to != "x/a" || ["y/b", "y/c", "z/b", "z/c"].contains(&from),
        ),
        row("any of several podSelectors: x/b and x/c", into_a(vec![pods("pod=b"), pods("pod=c")]), |from, to, _| {
            to != "x/a" || from == "x/b" || from == "x/c"
        }),
        row("one pod of another namespace: y/a", into_a(vec![both("ns=y", "pod=a")]), |from, to, _| {
            to != "x/a" || from == "y/a"
        }),
        row(
            "a namespace by the label the API server gives it",
            into_a(vec![namespaces("kubernetes.io/metadata.name=y")]),
            |from, to, _| to != "x/a" || from.starts_with("y/"),
        ),
        row(
            "egress to every namespace but one, by that label and NotIn",
            vec![
                np("x/out", "pod=a")
                    .types(&[Egress])
                    .egress(vec![rule().from(vec![namespaces("kubernetes.io/metadata.name not in (y)")])])
                    .make(),
            ],
            |from, to, _| from != "x/a" || !to.starts_with("y/"),
        ),
    ];
    rows.iter().for_each(|row| check(&Lab::xyz(), row));
}

#[test]
fn ports_and_protocols() {
    let from_y = || rule().from(vec![namespaces("ns=y")]);
    let into = |rules| vec![np("x/into-a", "pod=a").ingress(rules).make()];
    let rows = [
        row("by port: only y, only on 81", into(vec![from_y().at(&["81/tcp"])]), |from, to, port| {
            to != "x/a" || (from.starts_with("y/") && port.to_string() == "81/tcp")
        }),
        row(
            "overlapping policies add up port by port",
            vec![
                np("x/80", "pod=a").ingress(vec![rule().from(vec![namespaces("")]).at(&["80/tcp"])]).make(),
                np("x/81", "pod=a").ingress(vec![from_y().at(&["81/tcp"])]).make(),
            ],
            |from, to, port| match port.to_string().as_str() {
                _ if to != "x/a" => true,
                "80/tcp" => true,
                "81/tcp" => from.starts_with("y/"),
                _ => false,
            },
        ),
        row("a named port: serve-80-tcp", into(vec![rule().at(&["serve-80-tcp"])]), |_, to, port| {
            to != "x/a" || port.to_string() == "80/tcp"
        }),
        row(
            "a named port from one namespace",
            into(vec![rule().from(vec![namespaces("ns=x")]).at(&["serve-80-tcp"])]),
            |from, to, port| to != "x/a" || (from.starts_with("x/") && port.to_string() == "80/tcp"),
        ),
        row(
            "egress at one named port",
            vec![np("x/out", "pod=a").types(&[Egress]).egress(vec![rule().at(&["serve-80-tcp"])]).make()],
            |from, _, port| from != "x/a" || port.to_string() == "80/tcp",
        ),
        row("any port of one protocol: TCP and no other", into(vec![rule().at(&["/tcp"])]), |_, to, port| {
            to != "x/a" || port.protocol == Protocol::Tcp
        }),
        row(
            "an SCTP rule opens SCTP and no TCP, and isolates the pod",
            into(vec![rule().at(&["80/sctp"])]),
            |_, to, port| to != "x/a" || port.to_string() == "80/sctp",
        ),
        row("a UDP rule opens no TCP", into(vec![rule().at(&["81/udp"])]), |_, to, port| {
            to != "x/a" || port.to_string() == "81/udp"
        }),
        row("by port over UDP: only y, only on 81", into(vec![from_y().at(&["81/udp"])]), |from, to, port| {
            to != "x/a" || (from.starts_with("y/") && port.to_string() == "81/udp")
        }),
        row("by port over SCTP: only y, only on 81", into(vec![from_y().at(&["81/sctp"])]), |from, to, port| {
            to != "x/a" || (from.starts_with("y/") && port.to_string() == "81/sctp")
        }),
    ];
    rows.iter().for_each(|row| check(&Lab::xyz(), row));
}

#[test]
fn policies_together() {
    let b = || vec![rule().from(vec![pods("pod=b")])];
    let rows = [
        row(
            "several ingress policies: the one that allows all wins",
            vec![np("x/some", "pod=a").ingress(b()).make(), np("x/all", "pod=a").ingress(vec![rule()]).make()],
            |_, _, _| true,
        ),
        row(
            "several egress policies: the one that allows all wins",
            vec![
                np("x/some", "pod=a").types(&[Egress]).egress(b()).make(),
                np("x/all", "pod=a").types(&[Egress]).egress(vec![rule()]).make(),
            ],
            |_, _, _| true,
        ),
        row(
            "ingress and egress in one policy",
            vec![np("x/both", "pod=a").types(&[Ingress, Egress]).ingress(b()).egress(b()).make()],
            |from, to, _| (to != "x/a" || from == "x/b") && (from != "x/a" || to == "x/b"),
        ),
        row(
            "a client's egress denial stands although the server lets it in",
            vec![np("x/in", "pod=a").ingress(vec![rule()]).make(), np("y/deny", "pod=a").types(&[Egress]).make()],
            |from, _, _| from != "y/a",
        ),
        row(
            "egress to one pod of another namespace",
            vec![np("x/out", "pod=a").types(&[Egress]).egress(vec![rule().from(vec![both("ns=y", "pod=a")])]).make()],
            |from, to, _| from != "x/a" || to == "y/a",
        ),
        row(
            "ingress and egress are controlled apart",
            vec![
                np("x/in", "pod=a").ingress(b()).make(),
                np("x/out", "pod=a").types(&[Egress]).egress(vec![rule().from(vec![namespaces("ns=z")])]).make(),
            ],
            |from, to, _| (to != "x/a" || from == "x/b") && (from != "x/a" || to.starts_with("z/")),
        ),
    ];
    rows.iter().for_each(|row| check(&Lab::xyz(), row));
}

#[test]
fn changes_over_time() {
    let only_y = || into_a(vec![namespaces("ns=y")]);
    let only_b = || into_a(vec![both("", "pod=b")]);
    let rows = [
        (Lab::xyz(), row("an allow-all", into_a(vec![namespaces("")]), |_, _, _| true)),
        (Lab::xyz(), row("which is replaced by a denial", into_a(vec![pods("none=such")]), |_, to, _| to != "x/a")),
        (
            Lab::xyz().namespace("z", "ns=y"),
            row("a namespace's new label lets it in", only_y(), |from, to, _| {
                to != "x/a" || from.starts_with("y/") || from.starts_with("z/")
            }),
        ),
        (
            Lab::xyz().relabel_pod("z/c", "pod=b"),
            row("a pod's new label lets it in", only_b(), |from, to, _| {
                to != "x/a" || from.ends_with("/b") || from == "z/c"
            }),
        ),
        (
            Lab::xyz().relabel_pod("x/c", "pod=a"),
            row("a pod's new label isolates it", only_b(), |from, to, _| {
                !["x/a", "x/c"].contains(&to) || from.ends_with("/b")
            }),
        ),
        (Lab::xyz().relabel_pod("x/a", ""), row("and losing the label frees it", only_b(), |_, _, _| true)),
        (
            Lab::xyz().without("x/b"),
            row("a pod that is gone lets nobody in by its label", only_b(), |from, to, _| {
                to != "x/a" || from.ends_with("/b")
            }),
        ),
        (Lab::xyz(), row("a policy that was deleted says nothing", vec![], |_, _, _| true)),
    ];
    rows.iter().for_each(|(lab, row)| check(lab, row));
}

#[test]
fn address_blocks() {
    // Pods in order of making: x/a is 10.0.0.1 and fd00::1, z/c is 10.0.0.9 and fd00::9.
    let out = |name: &str, peers| np(name, "pod=a").types(&[Egress]).egress(vec![rule().from(peers)]).make();
    let v4_only = |rows: &[Row]| {
        for row in rows {
            let mut lab = Lab::xyz();
            lab.world.pods.values_mut().for_each(|pod| pod.addresses.v6 = None);
            check(&lab, row);
        }
    };
    v4_only(&[
        row("egress to one pod's address", vec![out("x/cidr", vec![block("10.0.0.5/32", &[])])], |from, to, _| {
            from != "x/a" || to == "y/b"
        }),
        row(
            "an except takes one pod out of a block",
            vec![out("x/cidr", vec![block("10.0.0.0/24", &["10.0.0.5/32"])])],
            |from, to, _| from != "x/a" || to != "y/b",
        ),
        row(
            "which another rule's block lets through again",
            vec![
                out("x/cidr", vec![block("10.0.0.0/24", &["10.0.0.5/32"])]),
                out("x/open", vec![block("10.0.0.5/32", &[])]),
            ],
            |_, _, _| true,
        ),
    ]);
}
