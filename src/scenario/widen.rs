//! A scenario with more endpoints than its file names: those of the run itself, and pods that are born meanwhile.

use std::sync::Arc;

use super::versioned::ByRelease;
use super::{Endpoint, Scenario, Stage};
use crate::model::flow::{CellSet, Flow, FlowTable};
use crate::model::matrix::Matrix;
use crate::model::verdict::Intent;

impl Scenario {
    /// The same scenario with these endpoints, which begin with its own, and these flows besides its own. No stage has
    /// another cell or another intent than before; what is new is a cell of none.
    pub(in crate::scenario) fn widened(&self, endpoints: Vec<Endpoint>, flows: &[Flow]) -> Self {
        let old = &self.flows;
        let table = Arc::new(FlowTable::new(old.iter().map(|(_, flow)| *flow).chain(flows.iter().copied())));
        let again = |cells: &CellSet| {
            let had = |flow: &Flow| old.find(flow).is_some_and(|id| cells.place(id).is_some());
            Arc::new(CellSet::new(Arc::clone(&table), had))
        };
        let stages = self.stages.iter().map(|stage| {
            let cells = again(&stage.cells);
            let same = |intent: &Matrix<Intent>| {
                Matrix::build(Arc::clone(&cells), |_, flow| {
                    old.find(flow).and_then(|id| intent.get(id)).copied().unwrap_or(Intent::Unstated)
                })
            };
            let intent = same(&stage.intent);
            let by_release = stage.by_release.iter().map(|by| ByRelease { intent: same(&by.intent), ..by.clone() });
            Stage { by_release: by_release.collect(), intent, cells: Arc::clone(&cells), ..stage.clone() }
        });
        let stages = stages.collect();
        let baseline = again(&self.baseline);
        Self { endpoints, flows: table, stages, baseline, ..self.clone() }
    }
}
