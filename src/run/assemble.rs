//! The document of a run, put together from what the rooms give.

use std::collections::BTreeMap;

use crate::exit::Exit;
use crate::fabric::Placement;
use crate::model::document::{Cell, Counts, Document, EndpointInfo, Stage};
use crate::model::endpoint::EndpointId;
use crate::model::finding::{Call, Contradiction};
use crate::model::labels::Labels;
use crate::model::verdict::Intent;
use crate::scenario::world::World;
use crate::scenario::{Change, Scenario};

/// Every endpoint the scenario ever names, as it was when it first appeared.
pub(super) fn endpoints(scenario: &Scenario, placed: &BTreeMap<EndpointId, Placement>) -> Vec<EndpointInfo> {
    let worlds: Vec<&World> =
        std::iter::once(scenario.bare()).chain(scenario.stages().iter().map(|stage| &stage.world)).collect();
    let describe = |(place, endpoint): (usize, &crate::scenario::Endpoint)| {
        let id = EndpointId(place as u32);
        let world = worlds.iter().find(|world| world.addresses(id).is_some());
        let pod = world.and_then(|world| world.pods.get(&id));
        let placement = placed.get(&id);
        EndpointInfo {
            name: endpoint.name.clone(),
            kind: endpoint.kind,
            namespace: pod.map(|pod| pod.namespace.clone()),
            labels: pod.map_or_else(Labels::default, |pod| pod.labels.clone()),
            node: placement.and_then(|p| p.node.clone()).or_else(|| pod.map(|pod| pod.node.to_string())),
            addresses: placement
                .map(|p| p.addresses)
                .or_else(|| world.and_then(|world| world.addresses(id)))
                .unwrap_or_default(),
            serves: world.map(|world| world.serves(id).to_vec()).unwrap_or_default(),
        }
    };
    scenario.endpoints().iter().enumerate().map(describe).collect()
}

/// A change in words.
pub(super) fn in_words(change: &Change, scenario: &Scenario) -> String {
    match change {
        Change::CreatePolicy(policy) => format!("create {}", policy.reference()),
        Change::ReplacePolicy(policy) => format!("replace {}", policy.reference()),
        Change::DeletePolicy(policy) => format!("delete {policy}"),
        Change::RelabelPod(pod, labels) => format!("relabel pod {}: {labels}", scenario.name_of(*pod)),
        Change::RelabelNamespace(namespace, labels) => format!("relabel namespace {namespace}: {labels}"),
        Change::AddPod(pod, _) => format!("add pod {}", scenario.name_of(*pod)),
        Change::RemovePod(pod) => format!("remove pod {}", scenario.name_of(*pod)),
    }
}

/// Sums over cells.
pub(super) fn count(cells: &[Cell]) -> Counts {
    let mut counts = Counts { cells: cells.len() as u64, ..Counts::default() };
    for cell in cells {
        *match cell.call {
            Call::Ok => &mut counts.ok,
            Call::Leak => &mut counts.leaks,
            Call::Outage => &mut counts.outages,
            Call::WrongServer => &mut counts.wrong_servers,
            Call::Inconclusive => &mut counts.inconclusive,
            Call::Unjudged => &mut counts.unjudged,
            Call::Unsupported => &mut counts.unsupported,
            // Nothing but meaning and intent was looked at; it is counted just below.
            Call::Contradiction => continue,
        } += 1;
    }
    counts.unstated = cells.iter().filter(|cell| cell.intent == Intent::Unstated).count() as u64;
    counts.contradictions = cells
        .iter()
        .filter(|cell| matches!((cell.intent.verdict(), cell.meaning.verdict()), (Some(i), Some(m)) if i != m))
        .count() as u64;
    counts
}

/// The gravest of what a run came to.
pub(super) fn exit_of(document: &Document) -> Exit {
    let mut gravest = if document.left_behind.is_empty() { Exit::Ok } else { Exit::LeftBehind };
    if document.aborted.is_some() {
        gravest = gravest.max(if document.stages.is_empty() { Exit::NoWorld } else { Exit::Inconclusive });
    }
    for stage in &document.stages {
        gravest = gravest.max(exit_of_stage(stage));
    }
    gravest
}

fn exit_of_stage(stage: &Stage) -> Exit {
    let counts = &stage.counts;
    let found = |call| stage.findings.iter().any(|finding| finding.call == call);
    if counts.leaks > 0 || counts.wrong_servers > 0 || found(Call::Leak) || found(Call::WrongServer) {
        Exit::Leak
    } else if counts.outages > 0 || found(Call::Outage) {
        Exit::Outage
    } else if counts.contradictions > 0
        || stage.findings.iter().any(|finding| finding.contradiction == Contradiction::Present)
    {
        Exit::Contradiction
    } else if counts.inconclusive > 0 || counts.unjudged > 0 {
        Exit::Inconclusive
    } else {
        Exit::Ok
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_call_of_a_stage_decides() {
        let table = [
            (Counts { ok: 5, cells: 5, ..Counts::default() }, Exit::Ok, "all as meant"),
            (Counts { unsupported: 2, ..Counts::default() }, Exit::Ok, "what cannot be carried is counted, not judged"),
            (Counts { unjudged: 1, ..Counts::default() }, Exit::Inconclusive, "nothing says how it should be"),
            (Counts { inconclusive: 1, contradictions: 1, ..Counts::default() }, Exit::Contradiction, "5 before 6"),
            (Counts { contradictions: 1, outages: 1, ..Counts::default() }, Exit::Outage, "10 before 5"),
            (Counts { outages: 1, leaks: 1, ..Counts::default() }, Exit::Leak, "11 before 10"),
            (Counts { outages: 1, wrong_servers: 1, ..Counts::default() }, Exit::Leak, "a wrong server is as a leak"),
        ];
        for (counts, expected, why) in table {
            let stage = Stage {
                name: "policies".into(),
                changes: Vec::new(),
                sent_us: 0,
                acknowledged_us: 0,
                convergence: crate::model::document::Convergence::Interrupted,
                cells: Vec::new(),
                findings: Vec::new(),
                counts,
                reasons: Vec::new(),
            };
            assert_eq!(exit_of_stage(&stage), expected, "{why}");
        }
    }
}
