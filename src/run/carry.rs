//! Which flows of a stage a world can carry at all. The others are probed by nobody and judged by nobody: they are
//! *unsupported*, said so with what is lacking, and counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::fabric::Placement;
use crate::judge::{Judgement, Row};
use crate::model::endpoint::EndpointId;
use crate::model::finding::{Call, Contradiction};
use crate::model::flow::{CellSet, Flow, FlowId};
use crate::model::matrix::Matrix;
use crate::model::observation::Observation;
use crate::model::prediction::Predictions;
use crate::model::verdict::Intent;
use crate::model::watch::Standing;

/// A stage's cells, sorted.
pub(super) struct Load {
    /// What is probed and judged.
    pub(super) carried: Arc<CellSet>,
    lacking: BTreeMap<FlowId, String>,
}

/// What the policies mean with the addresses that the scenario planned, and with those that the fabric gave.
pub(super) struct Readings<'a> {
    pub(super) planned: &'a Predictions,
    pub(super) real: &'a Predictions,
    pub(super) intent: &'a Matrix<Intent>,
}

/// Sorts a stage's cells by what the fabric says it cannot carry, by what the world has placed, and by whether what the author expects rests on addresses that
/// the world does not give.
pub(super) fn sort(
    cells: &Arc<CellSet>,
    placed: &BTreeMap<EndpointId, Placement>,
    readings: Option<&Readings<'_>>,
    beyond: impl Fn(&Flow) -> Option<String>,
) -> Load {
    let lacking: BTreeMap<FlowId, String> = cells
        .iter()
        .filter_map(|(id, flow)| {
            let lacks = beyond(flow).or_else(|| lacks(flow, placed));
            Some((id, lacks.or_else(|| rests_on_addresses(id, readings?))?))
        })
        .collect();
    if lacking.is_empty() {
        return Load { carried: Arc::clone(cells), lacking };
    }
    Load { carried: Arc::new(cells.only(|id, _| !lacking.contains_key(&id))), lacking }
}

fn lacks(flow: &Flow, placed: &BTreeMap<EndpointId, Placement>) -> Option<String> {
    for end in [flow.source, flow.destination] {
        match placed.get(&end) {
            None => return Some("a stand-in for outside addresses".to_owned()),
            Some(placement) if placement.addresses.of(flow.family).is_none() => return Some(flow.family.to_string()),
            Some(_) => {}
        }
    }
    None
}

/// An expectation that was written for other addresses than there are says nothing about these.
fn rests_on_addresses(id: FlowId, readings: &Readings<'_>) -> Option<String> {
    let stated = matches!(readings.intent.get(id), Some(Intent::Stated(_)));
    let differs = readings.planned.meaning(id) != readings.real.meaning(id);
    (stated && differs).then(|| "the addresses that the scenario gives its endpoints".to_owned())
}

impl Load {
    /// What was judged of the carried cells, and the others.
    pub(super) fn fill(&self, cells: &Arc<CellSet>, judged: Matrix<Judgement>) -> Matrix<Judgement> {
        if self.lacking.is_empty() {
            return judged;
        }
        Matrix::build(Arc::clone(cells), |id, _| match (judged.get(id), self.lacking.get(&id)) {
            (Some(judgement), None) => judgement.clone(),
            (_, lacking) => unsupported(lacking.cloned().unwrap_or_default()),
        })
    }
}

fn unsupported(what: String) -> Judgement {
    Judgement {
        observation: Observation::Unsupported { what },
        verdict: None,
        row: Row { call: Call::Unsupported, contradiction: Contradiction::None, blame: None },
        witness: None,
        time_to_enforce: None,
        slowest: None,
        attempts: 0,
        unseen: 0,
        unobserved: None,
        windows: Vec::new(),
        standing: Standing::default(),
        passing: None,
        note: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge;
    use crate::model::document::Strictness;
    use crate::model::endpoint::Addresses;
    use crate::oracle;
    use crate::scenario::Scenario;

    /// Everything but what is outside, at other addresses than planned.
    fn elsewhere(scenario: &Scenario) -> BTreeMap<EndpointId, Placement> {
        let place = |(number, id): (usize, &EndpointId)| {
            let addresses = Addresses { v4: Some(std::net::Ipv4Addr::from(0x0a09_0000 + number as u32)), v6: None };
            (*id, Placement { node: None, addresses, token: String::new() })
        };
        scenario.bare().pods.keys().enumerate().map(place).collect()
    }

    fn sorted(name: &str) -> (Scenario, Load) {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("scenarios/{name}.yaml"));
        let scenario = crate::scenario::load(&file, Strictness::Normal).unwrap();
        let placed = elsewhere(&scenario);
        let stage = &scenario.stages()[0];
        let mut after = stage.world.clone();
        placed.iter().for_each(|(id, placement)| after.set_addresses(*id, placement.addresses));
        let (planned, real) = (oracle::predict(&stage.world, &stage.cells), oracle::predict(&after, &stage.cells));
        let readings = Readings { planned: &planned, real: &real, intent: &stage.intent };
        let load = sort(&stage.cells, &placed, Some(&readings), |_| None);
        (scenario, load)
    }

    #[test]
    fn a_scenario_without_addresses_is_carried_whole() {
        let (scenario, load) = sorted("ai-data-pipeline");
        assert_eq!(*load.carried, *scenario.stages()[0].cells);
    }

    #[test]
    fn what_is_outside_or_rests_on_addresses_is_unsupported_and_counted() {
        let (scenario, load) = sorted("ip-block");
        let stage = &scenario.stages()[0];
        let id = |from, to| {
            let pair = (scenario.find(from).unwrap(), scenario.find(to).unwrap());
            stage.cells.iter().find(|(_, flow)| (flow.source, flow.destination) == pair).unwrap().0
        };
        for (from, carried, why) in [
            ("partner", false, "it is outside"),
            ("inside", false, "the block that lets it in is not where it is"),
            ("except", true, "it is denied wherever it is"),
        ] {
            assert_eq!(load.carried.place(id(from, "db")).is_some(), carried, "{why}");
        }
        let blank = Matrix::build(Arc::clone(&load.carried), |_, _| Judgement {
            verdict: Some(crate::model::verdict::Verdict::Allowed),
            row: Row { call: Call::Ok, contradiction: Contradiction::None, blame: None },
            ..unsupported(String::new())
        });
        let counts = judge::counts(&load.fill(&stage.cells, blank), &stage.intent);
        assert_eq!(counts.cells, stage.cells.len() as u64);
        assert_eq!(counts.unsupported, (stage.cells.len() - load.carried.len()) as u64);
        assert_eq!(counts.ok, load.carried.len() as u64);
    }

    #[test]
    fn a_family_that_nobody_has_is_unsupported() {
        let (scenario, load) = sorted("ipv6");
        assert!(load.carried.iter().all(|(_, flow)| flow.family == crate::model::endpoint::Family::V4));
        assert!(load.carried.len() < scenario.stages()[0].cells.len());
    }
}
