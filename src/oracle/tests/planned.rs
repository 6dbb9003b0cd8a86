//! A meaning rests on planned addresses exactly where another address there would turn it round.

use std::net::IpAddr;
use std::sync::Arc;

use proptest::prelude::*;

use super::build::{Lab, block, np, pods, rule};
use super::generated::world;
use crate::model::endpoint::{Addresses, EndpointId, Family};
use crate::model::flow::{CellSet, Flow, FlowTable};
use crate::model::verdict::Meaning;
use crate::oracle::predict;
use crate::scenario::world::World;

fn alone(flow: &Flow) -> Arc<CellSet> {
    Arc::new(CellSet::new(Arc::new(FlowTable::new([*flow])), |_| true))
}

/// What a flow means, and the ends on whose planned addresses that rests.
fn read(world: &World, flow: &Flow) -> (Meaning, Vec<EndpointId>) {
    let predictions = predict(world, &alone(flow));
    let (id, _, prediction) = predictions.matrix().iter().next().unwrap();
    (prediction.meaning, predictions.planned(id).iter().map(|(end, _)| *end).collect())
}

/// The world with another address for one endpoint.
fn moved(world: &World, id: EndpointId, address: IpAddr) -> World {
    let mut world = world.clone();
    let addresses = match address {
        IpAddr::V4(v4) => Addresses { v4: Some(v4), v6: None },
        IpAddr::V6(v6) => Addresses { v4: None, v6: Some(v6) },
    };
    world.set_addresses(id, addresses);
    world
}

/// One address of every range that the generated blocks tell apart, and one in none of them.
fn addresses(family: Family) -> Vec<IpAddr> {
    let texts: Vec<String> = match family {
        Family::V4 => (0..16).map(|tail| format!("10.0.0.{tail}")).chain(["192.0.2.1".to_owned()]).collect(),
        Family::V6 => (0..16).map(|tail| format!("fd00::{tail:x}")).chain(["2001:db8::1".to_owned()]).collect(),
    };
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// Whether the meaning is another one with some other addresses in the place of those of `ends`.
fn turns(world: &World, flow: &Flow, ends: &[EndpointId]) -> bool {
    let (meaning, _) = read(world, flow);
    let mut worlds = vec![world.clone()];
    for end in ends {
        let moved =
            |world: &World| addresses(flow.family).into_iter().map(|to| moved(world, *end, to)).collect::<Vec<_>>();
        worlds = worlds.iter().flat_map(moved).collect();
    }
    worlds.iter().any(|world| read(world, flow).0 != meaning)
}

#[test]
fn the_address_that_decides_is_told_and_no_other() {
    let lab = |peers: Vec<crate::policy::network_policy::Peer>| {
        let mut lab = Lab::xyz().under(vec![np("x/p", "pod=a").ingress(vec![rule().from(peers)]).make()]);
        let (a, b) = (lab.id("x/a"), lab.id("x/b"));
        lab.world.planned = [a, b].map(|id| (id, Family::V4)).into();
        lab
    };
    let rows: [(_, &[&str], &str); 8] = [
        (vec![block("10.0.0.0/8", &[])], &["x/b"], "let in by its address alone"),
        (vec![block("192.0.2.0/24", &[])], &["x/b"], "kept out by its address alone"),
        (vec![block("0.0.0.0/0", &[])], &[], "every address is let in"),
        (vec![block("0.0.0.0/0", &["192.0.2.0/24"])], &["x/b"], "every address but some"),
        (
            vec![block("0.0.0.0/0", &["192.0.2.0/24"]), block("192.0.2.0/25", &[])],
            &["x/b"],
            "half of the hole is filled",
        ),
        (vec![block("0.0.0.0/0", &["192.0.2.0/24"]), block("192.0.0.0/16", &[])], &[], "the hole is filled"),
        (vec![block("10.0.0.0/8", &[]), pods("pod=b")], &[], "its labels let it in too"),
        (vec![pods("pod=c")], &[], "no address is asked for"),
    ];
    for (peers, expected, why) in rows {
        let mut lab = lab(peers);
        let flow = lab.flow("x/b", "x/a", "80/tcp");
        let (_, ends) = read(&lab.world, &flow);
        assert_eq!(ends.iter().map(|id| lab.name(*id)).collect::<Vec<_>>(), expected, "{why}");
        let unplanned = lab.flow("x/c", "x/a", "80/tcp");
        assert_eq!(read(&lab.world, &unplanned).1, [], "{why}, of an address that the file gives");
    }
}

#[test]
fn a_side_that_denies_whatever_the_address_is_decides_alone() {
    let ingress = || np("x/in", "pod=a").ingress(vec![rule().from(vec![block("192.0.2.0/24", &[])])]).make();
    let nothing = || np("x/out", "pod=b").types(&[crate::model::prediction::Direction::Egress]).make();
    for (policies, rests) in [(vec![ingress()], true), (vec![ingress(), nothing()], false)] {
        let mut lab = Lab::xyz().under(policies);
        let b = lab.id("x/b");
        lab.world.planned = [(b, Family::V4)].into();
        let flow = lab.flow("x/b", "x/a", "80/tcp");
        assert_eq!(!read(&lab.world, &flow).1.is_empty(), rests);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn another_address_turns_a_meaning_round_just_where_it_rests_on_one(
        lab in world(),
        place in any::<prop::sample::Index>(),
        fixed in any::<prop::sample::Index>(),
    ) {
        let mut world = lab.world.clone();
        let ids: Vec<EndpointId> = world.endpoints().collect();
        world.planned = ids.iter().flat_map(|id| [(*id, Family::V4), (*id, Family::V6)]).collect();
        // The file gives one address.
        let given = ids[fixed.index(ids.len())];
        world.planned.retain(|(id, _)| *id != given);
        let flows: Vec<Flow> = lab.cells().iter().map(|(_, flow)| *flow).filter(|f| f.source != f.destination).collect();
        let predicted = predict(&world, &lab.cells());
        // One flow that rests on an address, where there is one, and one of all.
        let resting = predicted.matrix().iter().find(|(id, ..)| !predicted.planned(*id).is_empty()).map(|(_, f, _)| *f);
        let any = (!flows.is_empty()).then(|| flows[place.index(flows.len())]);
        for flow in resting.into_iter().chain(any).filter(|flow| flow.source != flow.destination) {
            let (meaning, ends) = read(&world, &flow);
            prop_assert!(ends.is_empty() || meaning != Meaning::Unknown);
            let planned = [flow.source, flow.destination].into_iter().filter(|id| world.planned.contains(&(*id, flow.family)));
            let planned: Vec<EndpointId> = planned.collect();
            prop_assert_eq!(!ends.is_empty(), meaning != Meaning::Unknown && turns(&world, &flow, &planned), "{:?}", flow);
            prop_assert_eq!(!ends.is_empty(), turns(&world, &flow, &ends), "{:?}", flow);
        }
    }
}
