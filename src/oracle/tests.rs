//! The oracle held against what the API says: tables, a naive third reading, and the words of a story.

mod build;
mod catalogue;
mod edges;
mod generated;
mod grid;
mod naive;
mod planned;
mod services;
mod story;

use std::collections::BTreeSet;

use super::{explain, predict};
use crate::model::port::Port;
use crate::model::verdict::{Meaning, Verdict};
use crate::policy::Policy;
use build::Lab;

/// One row: what it says, under which policies, and who may connect to whom at which port. Names are `namespace/pod`.
struct Row {
    says: &'static str,
    policies: Vec<Policy>,
    allowed: fn(&str, &str, Port) -> bool,
}

fn row(says: &'static str, policies: Vec<Policy>, allowed: fn(&str, &str, Port) -> bool) -> Row {
    Row { says, policies, allowed }
}

/// Holds every cell of the world against the row, in all three readings.
fn check(lab: &Lab, row: &Row) {
    let lab = lab.clone().under(row.policies.clone());
    let wrong = disagreements(&lab, row.allowed);
    assert!(wrong.is_empty(), "{}\n{}", row.says, wrong.into_iter().take(10).collect::<Vec<_>>().join("\n"));
}

/// Where a world does not mean what it should, or the readings of it differ.
fn disagreements(lab: &Lab, allowed: impl Fn(&str, &str, Port) -> bool) -> Vec<String> {
    let mut wrong = readings_apart(lab);
    let predictions = predict(&lab.world, &lab.cells());
    for (_, flow, prediction) in predictions.matrix().iter() {
        let (from, to) = (lab.name(flow.source), lab.name(flow.destination));
        let expected = if allowed(&from, &to, flow.port) { Verdict::Allowed } else { Verdict::Denied };
        if prediction.meaning != Meaning::Known(expected) {
            let found = prediction.meaning;
            wrong.push(format!("{from} -> {to}:{} {}: should be {expected}, is {found:?}", flow.port, flow.family));
        }
    }
    wrong
}

/// Where the three readings of a world differ, in meaning or in reasons.
fn readings_apart(lab: &Lab) -> Vec<String> {
    let predictions = predict(&lab.world, &lab.cells());
    let mut wrong = Vec::new();
    for (_, flow, prediction) in predictions.matrix().iter() {
        let named =
            format!("{} -> {}:{} {}", lab.name(flow.source), lab.name(flow.destination), flow.port, flow.family);
        let naive = naive::read(&lab.world, flow);
        let told = explain(&lab.world, flow, |id| lab.name(id));
        let reasons = [prediction.egress, prediction.ingress].map(|id| predictions.reason(id));
        if prediction.meaning != naive.meaning {
            wrong.push(format!("{named}: predicted {:?}, naively {:?}", prediction.meaning, naive.meaning));
        }
        if told.meaning != prediction.meaning {
            wrong.push(format!("{named}: predicted {:?}, told {:?}", prediction.meaning, told.meaning));
        }
        let stories = [Some(told.egress.reason), Some(told.ingress.reason)];
        if reasons != stories {
            wrong.push(format!("{named}: predicted by {reasons:?}, told by {stories:?}"));
        }
        if reasons != [Some(naive.egress), Some(naive.ingress)] {
            wrong.push(format!("{named}: predicted by {reasons:?}, naively by something else"));
        }
    }
    wrong
}

#[test]
fn cells_share_their_reasons() {
    use build::{np, pods, rule};
    let world = |count: u32| {
        let named = |n| format!("x/p{n}");
        let pod = |lab: Lab, n| lab.pod(&named(n), if n % 2 == 0 { "app=a" } else { "app=b" }, "80/tcp");
        let policies = vec![
            np("x/all", "").ingress(vec![rule().from(vec![pods("app=a")])]).make(),
            np("x/some", "app=b").ingress(vec![rule().from(vec![pods("app=b")])]).make(),
        ];
        (0..count).fold(Lab::new().namespace("x", ""), pod).under(policies)
    };
    let reasons = |lab: &Lab| {
        let predictions = predict(&lab.world, &lab.cells());
        let used: BTreeSet<_> = predictions.matrix().iter().flat_map(|(_, _, p)| [p.egress.0, p.ingress.0]).collect();
        (used.len(), predictions.reasons().len())
    };
    // Not isolated for egress; and for ingress a into a, b into a, a into b, b into b.
    assert_eq!(reasons(&world(4)).0, 5, "one for each way a side can be decided");
    assert_eq!(reasons(&world(4)), reasons(&world(40)), "they do not grow with cells");
}
