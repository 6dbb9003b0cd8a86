//! Flows to Services mean what the flows to the pods behind them mean.

use std::sync::Arc;

use super::build::{Lab, np, pods, port, rule, unknown};
use crate::model::endpoint::Addresses;
use crate::model::flow::{CellSet, Flow, FlowTable};
use crate::model::prediction::Direction::Egress;
use crate::model::prediction::{Reason, ReasonId};
use crate::model::verdict::{Meaning, Verdict};
use crate::oracle::predict;
use crate::policy::Policy;
use crate::scenario::world::{Service, ServicePort};

/// Two pods behind the Service `shop/web`, 80 leading to 8080; one of them has a label of its own.
fn shop() -> Lab {
    let mut lab = Lab::new()
        .namespace("shop", "")
        .namespace("other", "")
        .pod("shop/one", "app=web,first=yes", "8080/tcp,http=80/tcp")
        .pod("shop/two", "app=web", "8080/tcp")
        .pod("shop/client", "app=client", "8080/tcp")
        .pod("other/one", "app=web", "8080/tcp");
    let id = lab.id("shop/web");
    let ports = vec![ServicePort { port: port("80/tcp"), target: port("8080/tcp").number }];
    let selects = super::build::labels("app=web");
    let service = Service { namespace: "shop".into(), selects, ports, addresses: Addresses::default() };
    lab.world.services.insert(id, service);
    lab
}

/// Meaning and both reasons of a flow to the Service.
fn asked(mut lab: Lab, from: &str, at: &str) -> (Meaning, Option<Reason>, Option<Reason>) {
    let flow = lab.flow(from, "shop/web", at);
    let beside = lab.flow("shop/client", "shop/one", "80/tcp");
    let cells = Arc::new(CellSet::new(Arc::new(FlowTable::new([flow, beside])), |_| true));
    let predictions = predict(&lab.world, &cells);
    let id = cells.table().find(&flow).unwrap();
    let prediction = predictions.matrix().get(id).unwrap();
    let reason = |id: ReasonId| predictions.reason(id);
    (prediction.meaning, reason(prediction.egress), reason(prediction.ingress))
}

#[test]
fn a_service_means_what_all_behind_it_mean() {
    let on_web = || np("shop/p", "app=web");
    let ports = |text: &str| rule().at(&[text]);
    let first_only = np("shop/q", "first=yes").ingress(vec![]).make();
    let allowed = Meaning::Known(Verdict::Allowed);
    let denied = Meaning::Known(Verdict::Denied);
    let rows: Vec<(&str, Vec<Policy>, &str, Meaning)> = vec![
        ("no policy", vec![], "shop/client", allowed),
        ("all behind are closed", vec![on_web().ingress(vec![]).make()], "shop/client", denied),
        ("the port there is open", vec![on_web().ingress(vec![ports("8080")]).make()], "shop/client", allowed),
        ("the Service's own number is open", vec![on_web().ingress(vec![ports("80")]).make()], "shop/client", denied),
        ("one behind is closed, the other open", vec![first_only.clone()], "shop/client", Meaning::Unknown),
        (
            "the source is closed itself",
            vec![np("shop/p", "app=client").types(&[Egress]).make()],
            "shop/client",
            denied,
        ),
        (
            "the source may send to one of them",
            vec![np("shop/p", "app=client").egress(vec![rule().from(vec![pods("first=yes")])]).make()],
            "shop/client",
            Meaning::Unknown,
        ),
        (
            "a policy nobody knows touches them",
            vec![unknown("Other", Some("shop"), "x")],
            "other/one",
            Meaning::Unknown,
        ),
        ("the Service may lead back to the source", vec![], "shop/two", Meaning::Unknown),
        ("a pod of another namespace is not behind it", vec![], "other/one", allowed),
    ];
    for (why, policies, from, expected) in rows {
        assert_eq!(asked(shop().under(policies), from, "80/tcp").0, expected, "{why}");
    }
}

#[test]
fn the_reason_is_the_shared_one_or_how_many_say_what() {
    let (_, egress, ingress) = asked(shop(), "shop/client", "80/tcp");
    assert_eq!((egress, ingress), (Some(Reason::NotIsolated), Some(Reason::NotIsolated)), "all say the same");
    let one_closed = shop().under(vec![np("shop/q", "first=yes").ingress(vec![]).make()]);
    let behind = |allowing, denying, unknown, itself| Some(Reason::Behind { allowing, denying, unknown, itself });
    let (_, egress, ingress) = asked(one_closed, "shop/client", "80/tcp");
    assert_eq!((egress, ingress), (Some(Reason::NotIsolated), behind(1, 1, 0, 0)));
    let (_, egress, ingress) = asked(shop(), "shop/two", "80/tcp");
    assert_eq!((egress, ingress), (behind(1, 0, 0, 1), behind(1, 0, 0, 1)), "one is the source itself");
    let (meaning, ..) = asked(shop(), "shop/client", "81/tcp");
    assert_eq!(meaning, Meaning::Unknown, "a port it has not leads nowhere");
}

#[test]
fn other_cells_mean_the_same_beside_a_service() {
    let policies = vec![np("shop/p", "app=web").ingress(vec![rule().from(vec![pods("app=client")])]).make()];
    let mut lab = shop().under(policies);
    let plain = predict(&lab.world, &lab.cells());
    let to_service = lab.flow("shop/client", "shop/web", "80/tcp");
    let flows: Vec<Flow> = lab.cells().iter().map(|(_, flow)| *flow).collect();
    let all = Arc::new(CellSet::new(Arc::new(FlowTable::new(flows.iter().copied().chain([to_service]))), |_| true));
    let beside = predict(&lab.world, &all);
    for (id, flow, prediction) in plain.matrix().iter() {
        let same = all.table().find(flow).and_then(|id| beside.matrix().get(id)).unwrap();
        assert_eq!(prediction.meaning, same.meaning, "{flow:?}");
        assert_eq!(plain.reason(prediction.ingress), beside.reason(same.ingress), "{id:?}");
    }
}
