//! Edges that no common catalogue has: absent against empty, both families, outsiders, names that differ from pod to pod,
//! kinds nobody knows.

use std::sync::Arc;

use super::build::{Lab, block, both, namespaces, np, pods, rule, unknown};
use super::{check, disagreements, naive, readings_apart, row};
use crate::model::endpoint::{EndpointId, Family};
use crate::model::flow::{CellSet, Flow, FlowTable};
use crate::model::port::Protocol;
use crate::model::prediction::Direction::{Egress, Ingress};
use crate::model::prediction::{PolicyRef, Reason, RuleRef};
use crate::model::verdict::{Meaning, Verdict};
use crate::oracle::{explain, predict};
use crate::policy::Clause;
use crate::policy::network_policy::Rule;

/// Two pods in a namespace, one in another, one address outside of each family.
fn small() -> Lab {
    Lab::new()
        .namespace("shop", "team=red")
        .namespace("other", "team=blue")
        .pod("shop/db", "app=db", "sql=5432/tcp,53/udp")
        .pod("shop/web", "app=web", "http=8080/tcp")
        .pod("other/web", "app=web", "http=80/tcp")
        .outside("office", "203.0.113.7", "443/tcp")
        .outside("office6", "2001:db8::7", "443/tcp")
}

#[test]
fn absent_is_not_empty_where_it_matters_and_is_where_not() {
    let on_db = || np("shop/p", "app=db");
    let with = |peers, ports| Rule { peers, ports };
    use Clause::{Absent, Given};
    let rows = [
        row("no ingress list: nobody", vec![on_db().make()], |_, to, _| to != "shop/db"),
        row("an empty ingress list: nobody", vec![on_db().ingress(vec![]).make()], |_, to, _| to != "shop/db"),
        row(
            "one rule without lists: anybody, the outside too",
            vec![on_db().ingress(vec![rule()]).make()],
            |_, _, _| true,
        ),
        row("an empty from: anybody", vec![on_db().ingress(vec![with(Given(vec![]), Absent)]).make()], |_, _, _| true),
        row("empty ports: every port", vec![on_db().ingress(vec![with(Absent, Given(vec![]))]).make()], |_, _, _| true),
        row(
            "a podSelector as peer is no outsider, even an empty one",
            vec![on_db().ingress(vec![rule().from(vec![pods("")])]).make()],
            |from, to, _| to != "shop/db" || from.starts_with("shop/"),
        ),
        row(
            "an empty namespaceSelector is every pod, and no outsider",
            vec![on_db().ingress(vec![rule().from(vec![namespaces("")])]).make()],
            |from, to, _| to != "shop/db" || from.contains('/'),
        ),
        row(
            "an empty namespaceSelector beside a podSelector is that label in every namespace",
            vec![on_db().ingress(vec![rule().from(vec![both("", "app=web")])]).make()],
            |from, to, _| to != "shop/db" || from.ends_with("/web"),
        ),
        row(
            "a podSelector alone is not that label in other namespaces",
            vec![on_db().ingress(vec![rule().from(vec![pods("app=web")])]).make()],
            |from, to, _| to != "shop/db" || from == "shop/web",
        ),
        row(
            "an empty podSelector selects every pod of the policy's namespace, and none of another",
            vec![np("shop/deny", "").make()],
            |_, to, _| !to.starts_with("shop/"),
        ),
        row("a policy in a namespace without pods says nothing", vec![np("empty/deny", "").make()], |_, _, _| true),
    ];
    rows.iter().for_each(|row| check(&small(), row));
}

#[test]
fn policy_types_decide_which_lists_count() {
    let to_web = || vec![rule().from(vec![pods("app=web")])];
    let both_ways = |from: &str, to: &str| (to != "shop/db") && (from != "shop/db" || to == "shop/web");
    assert!(both_ways("shop/db", "shop/web"), "the closure below repeats this");
    let rows = [
        row(
            "egress rules without types speak for both directions",
            vec![np("shop/p", "app=db").egress(to_web()).make()],
            |from, to, _| to != "shop/db" && (from != "shop/db" || to == "shop/web"),
        ),
        row(
            "an empty list of types is no list",
            vec![np("shop/p", "app=db").types(&[]).egress(to_web()).make()],
            |from, to, _| to != "shop/db" && (from != "shop/db" || to == "shop/web"),
        ),
        row(
            "an empty egress list without types leaves egress open",
            vec![np("shop/p", "app=db").egress(vec![]).make()],
            |_, to, _| to != "shop/db",
        ),
        row(
            "egress rules without the type Egress are inert",
            vec![np("shop/p", "app=db").types(&[Ingress]).egress(to_web()).make()],
            |_, to, _| to != "shop/db",
        ),
        row(
            "ingress rules without the type Ingress are inert, and ingress stays open",
            vec![np("shop/p", "app=db").types(&[Egress]).ingress(to_web()).egress(to_web()).make()],
            |from, to, _| from != "shop/db" || to == "shop/web",
        ),
        row(
            "Egress without rules denies all egress",
            vec![np("shop/p", "app=db").types(&[Egress]).make()],
            |from, _, _| from != "shop/db",
        ),
    ];
    rows.iter().for_each(|row| check(&small(), row));
}

#[test]
fn blocks_match_addresses_whoever_has_them() {
    // shop/db is 10.0.0.1 and fd00::1, shop/web 10.0.0.2, other/web 10.0.0.3.
    let into_db = |peers| vec![np("shop/p", "app=db").ingress(vec![rule().from(peers)]).make()];
    let v4 = |lab: Lab| {
        let mut lab = lab;
        lab.world.pods.values_mut().for_each(|pod| pod.addresses.v6 = None);
        lab.without_outside("office6")
    };
    let rows = [
        row("a block takes a pod by its address", into_db(vec![block("10.0.0.2/32", &[])]), |from, to, _| {
            to != "shop/db" || from == "shop/web"
        }),
        row("and an outsider", into_db(vec![block("203.0.113.0/24", &[])]), |from, to, _| {
            to != "shop/db" || from == "office"
        }),
        row(
            "an except takes out of it, an outsider here",
            into_db(vec![block("0.0.0.0/0", &["203.0.113.0/24"])]),
            |from, to, _| to != "shop/db" || from != "office",
        ),
        row("several excepts", into_db(vec![block("0.0.0.0/0", &["203.0.113.0/24", "10.0.0.2/31"])]), |_, to, _| {
            to != "shop/db"
        }),
        row(
            "an except is not a denial: another entry of the same list lets the pod in",
            into_db(vec![block("0.0.0.0/0", &["10.0.0.2/32"]), pods("app=web")]),
            |_, _, _| true,
        ),
        row(
            "an except that covers the whole block leaves nothing",
            into_db(vec![block("10.0.0.0/8", &["10.0.0.0/8"])]),
            |_, to, _| to != "shop/db",
        ),
        row(
            "a block whose address has host bits is the whole network",
            into_db(vec![block("10.0.0.77/24", &[])]),
            |from, to, _| to != "shop/db" || from.contains('/'),
        ),
        row("a block of the other family takes nobody here", into_db(vec![block("::/0", &[])]), |_, to, _| {
            to != "shop/db"
        }),
        row(
            "egress to an outsider by block only",
            vec![
                np("shop/p", "").types(&[Egress]).egress(vec![rule().from(vec![block("203.0.113.7/32", &[])])]).make(),
            ],
            |from, to, _| !from.starts_with("shop/") || to == "office",
        ),
    ];
    rows.iter().for_each(|row| check(&v4(small()), row));
}

#[test]
fn a_family_is_not_the_other() {
    let lab = small().under(vec![
        np("shop/p", "app=db").ingress(vec![rule().from(vec![block("0.0.0.0/0", &[])])]).make(),
        np("other/p", "").ingress(vec![rule().from(vec![block("fd00::/64", &["fd00::2/128"])])]).make(),
    ]);
    assert_eq!(readings_apart(&lab), [""; 0]);
    let predictions = predict(&lab.world, &lab.cells());
    for (_, flow, prediction) in predictions.matrix().iter() {
        let (from, to) = (lab.name(flow.source), lab.name(flow.destination));
        let allowed = match (to.as_str(), flow.family) {
            ("shop/db", family) => family == Family::V4,
            ("other/web", Family::V4) => false,
            ("other/web", Family::V6) => from == "shop/db",
            _ => true,
        };
        let expected = if allowed { Verdict::Allowed } else { Verdict::Denied };
        assert_eq!(prediction.meaning, Meaning::Known(expected), "{from} -> {to} over {}", flow.family);
    }
}

#[test]
fn names_of_ports_are_the_destinations_own() {
    let lab = || {
        Lab::new()
            .namespace("shop", "")
            .pod("shop/old", "app=web", "http=80/tcp,81/tcp")
            .pod("shop/new", "app=web", "http=8080/tcp,80/tcp")
            .pod("shop/dns", "app=dns", "dns=53/tcp,dns=53/udp,other=5353/udp")
            .pod("shop/bare", "app=web", "8080/tcp")
            .pod("shop/client", "app=client", "http=9999/tcp")
            .outside("office", "203.0.113.7", "http=80/tcp")
    };
    let rows = [
        row(
            "ingress: http is 80 on one pod and 8080 on the next, and nothing on a pod without the name",
            vec![np("shop/p", "app=web").ingress(vec![rule().at(&["http"])]).make()],
            |_, to, port| match (to, port.to_string().as_str()) {
                ("shop/old", at) => at == "80/tcp",
                ("shop/new", at) => at == "8080/tcp",
                ("shop/bare", _) => false,
                _ => true,
            },
        ),
        row(
            "egress: the name is looked up at each destination, and an outsider has none",
            vec![np("shop/p", "app=client").types(&[Egress]).egress(vec![rule().at(&["http"])]).make()],
            |from, to, port| match (from, to, port.to_string().as_str()) {
                ("shop/client", "shop/old", at) => at == "80/tcp",
                ("shop/client", "shop/new", at) => at == "8080/tcp",
                ("shop/client", _, _) => false,
                _ => true,
            },
        ),
        row(
            "a name of two protocols, asked for without one, is TCP",
            vec![np("shop/p", "app=dns").ingress(vec![rule().at(&["dns"])]).make()],
            |_, to, port| to != "shop/dns" || port.to_string() == "53/tcp",
        ),
        row(
            "and asked for with UDP, UDP",
            vec![np("shop/p", "app=dns").ingress(vec![rule().at(&["dns/udp"])]).make()],
            |_, to, port| to != "shop/dns" || port.to_string() == "53/udp",
        ),
        row(
            "a name that is served over another protocol only opens nothing",
            vec![np("shop/p", "app=dns").ingress(vec![rule().at(&["other/tcp"])]).make()],
            |_, to, _| to != "shop/dns",
        ),
        row(
            "a name is not the source's: the client's http matters to nobody",
            vec![np("shop/p", "app=web").ingress(vec![rule().from(vec![pods("app=client")]).at(&["http"])]).make()],
            |from, to, port| match (from, to, port.to_string().as_str()) {
                ("shop/client", "shop/old", at) => at == "80/tcp",
                ("shop/client", "shop/new", at) => at == "8080/tcp",
                (_, "shop/old" | "shop/new" | "shop/bare", _) => false,
                _ => true,
            },
        ),
        row(
            "a number needs no name and no listener: rules speak of ports, not of servers",
            vec![np("shop/p", "app=web").ingress(vec![rule().at(&["9999"])]).make()],
            |_, to, port| !["shop/old", "shop/new", "shop/bare"].contains(&to) || port.to_string() == "9999/tcp",
        ),
    ];
    rows.iter().for_each(|row| check(&lab(), row));
}

#[test]
fn ranges_end_where_they_say() {
    let serves = "79/tcp,80/tcp,85/tcp,90/tcp,91/tcp,80/udp,85/udp";
    let lab = Lab::new().namespace("n", "").pod("n/a", "app=a", serves).pod("n/b", "", "1/tcp");
    let into = |ports: &[&str]| vec![np("n/p", "app=a").ingress(vec![rule().at(ports)]).make()];
    let rows = [
        row("first and last belong to a range, one past does not", into(&["80-90/tcp"]), |_, to, port| {
            to != "n/a" || (port.protocol == Protocol::Tcp && (80..=90).contains(&port.number.get()))
        }),
        row("without a protocol it is TCP", into(&["80-90"]), |_, to, port| {
            to != "n/a" || (port.protocol == Protocol::Tcp && (80..=90).contains(&port.number.get()))
        }),
        row("over UDP it is not TCP", into(&["80-84/udp"]), |_, to, port| to != "n/a" || port.to_string() == "80/udp"),
        row("a range of one port is that port", into(&["85-85/tcp"]), |_, to, port| {
            to != "n/a" || port.to_string() == "85/tcp"
        }),
        row("a range and a number add up", into(&["80-80/tcp", "91/tcp"]), |_, to, port| {
            to != "n/a" || ["80/tcp", "91/tcp"].contains(&port.to_string().as_str())
        }),
        row("an entry with a protocol alone is all its ports", into(&["/udp"]), |_, to, port| {
            to != "n/a" || port.protocol == Protocol::Udp
        }),
        row("an entry with nothing at all is all of TCP", into(&[""]), |_, to, port| {
            to != "n/a" || port.protocol == Protocol::Tcp
        }),
    ];
    rows.iter().for_each(|row| check(&lab, row));
}

#[test]
fn a_rules_peers_and_ports_belong_together() {
    let lab = Lab::new()
        .namespace("n", "")
        .pod("n/a", "app=a", "80/tcp,81/tcp")
        .pod("n/b", "app=b", "80/tcp")
        .pod("n/c", "app=c", "80/tcp");
    let crossed = vec![
        np("n/p", "app=a")
            .ingress(vec![rule().from(vec![pods("app=b")]).at(&["80"]), rule().from(vec![pods("app=c")]).at(&["81"])])
            .make(),
    ];
    check(
        &lab,
        &row("b at 80 and c at 81 is not b at 81", crossed, |from, to, port| {
            to != "n/a" || (from == "n/b" && port.number.get() == 80) || (from == "n/c" && port.number.get() == 81)
        }),
    );
}

#[test]
fn reasons_name_every_policy_and_the_first_entries_that_match() {
    let mut lab = small().under(vec![
        np("shop/a", "app=db")
            .ingress(vec![rule().from(vec![pods("app=none"), namespaces("")]).at(&["5432", "/tcp"])])
            .make(),
        np("shop/b", "")
            .ingress(vec![rule().from(vec![namespaces("team=green")]), rule().from(vec![pods("app=web")])])
            .make(),
        np("shop/c", "app=web").make(),
    ]);
    let name = |n: &str| PolicyRef { kind: "NetworkPolicy".into(), namespace: Some("shop".into()), name: n.into() };
    let by = |n: &str, rule, peer, port| RuleRef { policy: name(n), direction: Ingress, rule, peer, port };
    let rows = [
        (
            "shop/web",
            "shop/db",
            "5432/tcp",
            Reason::Allowed { by: vec![by("a", 0, Some(1), Some(0)), by("b", 1, Some(0), None)] },
        ),
        (
            "shop/web",
            "shop/db",
            "443/tcp",
            Reason::Allowed { by: vec![by("a", 0, Some(1), Some(1)), by("b", 1, Some(0), None)] },
        ),
        ("other/web", "shop/db", "5432/tcp", Reason::Allowed { by: vec![by("a", 0, Some(1), Some(0))] }),
        ("other/web", "shop/db", "53/udp", Reason::Isolated { by: vec![name("a"), name("b")] }),
        ("office", "shop/web", "8080/tcp", Reason::Isolated { by: vec![name("b"), name("c")] }),
        ("shop/db", "office", "443/tcp", Reason::NoPod),
        ("shop/db", "other/web", "80/tcp", Reason::NotIsolated),
    ];
    let cells = lab.cells();
    let predictions = predict(&lab.world, &cells);
    for (from, to, at, expected) in rows {
        let flow = lab.flow(from, to, at);
        let prediction = *predictions.matrix().get(cells.table().find(&flow).unwrap()).unwrap();
        assert_eq!(predictions.reason(prediction.ingress), Some(expected), "{from} -> {to}:{at}");
    }
    assert_eq!(readings_apart(&lab), [""; 0]);
}

#[test]
fn kinds_nobody_knows_make_meaning_unknown_where_they_could_touch() {
    let deny = || np("shop/deny", "app=db").make();
    let rows = [
        (
            vec![deny(), unknown("CiliumNetworkPolicy", Some("shop"), "l7")],
            (|from, to| from.starts_with("shop/") || to.starts_with("shop/")) as fn(&str, &str) -> bool,
            "one in a namespace touches what enters or leaves that namespace's pods, even what a NetworkPolicy denies",
        ),
        (
            vec![deny(), unknown("GlobalNetworkPolicy", None, "all")],
            |from, to| from.contains('/') || to.contains('/'),
            "one without a namespace touches every pod, and nothing between outsiders",
        ),
        (
            vec![deny(), unknown("CiliumNetworkPolicy", Some("empty"), "l7")],
            |_, _| false,
            "one where no pod is touches nothing",
        ),
    ];
    for (policies, touched, says) in rows {
        let lab = small().under(policies);
        assert_eq!(readings_apart(&lab), [""; 0], "{says}");
        for (_, flow, prediction) in predict(&lab.world, &lab.cells()).matrix().iter() {
            let (from, to) = (lab.name(flow.source), lab.name(flow.destination));
            let unknown = prediction.meaning == Meaning::Unknown;
            assert_eq!(unknown, touched(&from, &to), "{says}: {from} -> {to}");
        }
    }
}

#[test]
fn what_is_not_there_is_unknown_and_nothing_panics() {
    let lab = small().under(vec![
        np("shop/p", "").ingress(vec![rule()]).make(),
        np("other/p", "").ingress(vec![rule().from(vec![namespaces("")])]).make(),
    ]);
    let ghost = EndpointId(77);
    let known = EndpointId(0);
    let flow =
        |source, destination| Flow { source, destination, family: Family::V6, port: super::build::port("80/tcp") };
    let table = Arc::new(FlowTable::new([flow(ghost, known), flow(known, ghost), flow(ghost, EndpointId(78))]));
    let predictions = predict(&lab.world, &Arc::new(CellSet::new(table, |_| true)));
    assert_eq!(predictions.matrix().iter().len(), 3);
    for (_, flow, prediction) in predictions.matrix().iter() {
        assert_eq!(prediction.meaning, Meaning::Unknown, "an endpoint that is not in the world");
        assert_eq!(explain(&lab.world, flow, |id| lab.name(id)).meaning, Meaning::Unknown);
        assert_eq!(naive::read(&lab.world, flow).meaning, Meaning::Unknown);
    }
    let nothing = Arc::new(CellSet::new(Arc::new(FlowTable::new([])), |_| true));
    assert_eq!(predict(&lab.world, &nothing).matrix().iter().len(), 0, "a world without cells");
    assert!(predict(&Default::default(), &nothing).matrix().iter().next().is_none(), "no world at all");
}

#[test]
fn a_pod_whose_namespace_is_not_listed_counts_as_in_one_without_labels() {
    let mut lab = small().under(vec![
        np("shop/own", "").ingress(vec![rule().from(vec![pods("")])]).make(),
        np("other/every", "").ingress(vec![rule().from(vec![namespaces("")])]).make(),
    ]);
    lab.world.namespaces.clear();
    let wrong = disagreements(&lab, |from, to, _| match to {
        to if to.starts_with("shop/") => from.starts_with("shop/"),
        to if to.starts_with("other/") => from.contains('/'),
        _ => true,
    });
    assert_eq!(wrong, [""; 0]);
}
