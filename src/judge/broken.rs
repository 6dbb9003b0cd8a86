//! What follows from a baseline that did not work: what is told of it, which policy of somebody else is the likely cause,
//! and which later denials prove nothing.

use std::collections::HashSet;

use crate::model::finding::Call;
use crate::model::flow::{Flow, FlowId};
use crate::model::foreign::ForeignPolicy;
use crate::model::matrix::Matrix;
use crate::model::observation::Observation;
use crate::model::verdict::Verdict;

use super::baseline::how;
use super::judgement::Judgement;
use super::rules::Who;
use super::table::Row;

/// So many flows or pods are named one by one.
const NAMED: usize = 3;

/// A flow that was not reached in the baseline, and what was seen instead.
pub type BrokenFlow = (FlowId, Flow, Observation);

/// One sentence for all flows of which the same was seen.
pub fn complaints(broken: &[BrokenFlow], who: &Who) -> Vec<String> {
    let mut groups: Vec<(String, Vec<&BrokenFlow>)> = Vec::new();
    for cell in broken {
        let key = match &cell.2 {
            // How many attempts there were is no difference.
            Observation::Silent { .. } => "silent".to_owned(),
            Observation::Mixed { .. } => "some attempts arrived, some did not".to_owned(),
            other => how(other),
        };
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, cells)) => cells.push(cell),
            None => groups.push((key, vec![cell])),
        }
    }
    let sentence = |(key, cells): (String, Vec<&BrokenFlow>)| match cells.as_slice() {
        [(_, flow, seen)] => format!("{}: {}", who.named(flow), how(seen)),
        several => {
            let names: Vec<String> = several.iter().map(|(_, flow, _)| who.named(flow).to_string()).collect();
            format!("{} flows: {key}: {}", several.len(), some(&names))
        }
    };
    groups.into_iter().map(sentence).collect()
}

/// A sentence for each policy of somebody else that selects an end of flows that did not work.
pub fn likely_causes(broken: &[BrokenFlow], foreign: &[ForeignPolicy], who: &Who) -> Vec<String> {
    let cause = |policy: &ForeignPolicy| {
        let touched = |(_, flow, _): &&BrokenFlow| {
            policy.selects.contains(&flow.source) || policy.selects.contains(&flow.destination)
        };
        let count = broken.iter().filter(touched).count();
        let pods: Vec<String> = policy.selects.iter().map(|id| who.name(*id).to_owned()).collect();
        (count > 0).then(|| {
            format!(
                "{} is the likely cause: it selects {}, and {count} of {} flows that did not work go into or out of these \
                 pods",
                policy.name,
                some(&pods),
                broken.len()
            )
        })
    };
    foreign.iter().filter_map(cause).collect()
}

/// Has no denial count of a flow that never worked in the baseline: it may be denied by something else than the policies
/// that are judged.
pub fn distrust(judgements: &mut Matrix<Judgement>, never_worked: &HashSet<FlowId>) {
    for id in never_worked {
        let Some(judgement) = judgements.get_mut(*id) else { continue };
        if judgement.row.call != Call::Ok || judgement.verdict != Some(Verdict::Denied) {
            continue;
        }
        judgement.row = Row { call: Call::Inconclusive, blame: None, ..judgement.row };
        let why =
            "it did not work in the baseline either: what denies it may be something else than the scenario's policies";
        judgement.note = Some(match judgement.note.take() {
            Some(note) => format!("{note}; {why}"),
            None => why.to_owned(),
        });
    }
}

/// The first of these by name, and how many more there are.
fn some(names: &[String]) -> String {
    let more = names.len().saturating_sub(NAMED);
    let first = names.get(..names.len() - more).unwrap_or_default().join(", ");
    if more > 0 { format!("{first} and {more} more") } else { first }
}
