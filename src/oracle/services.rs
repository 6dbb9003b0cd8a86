//! Flows to Services.
//!
//! Policies see such a flow after its address was translated: from the source to one of the pods behind, at that pod's
//! port. Which pod nobody can say beforehand, so the flow has a meaning only where it means the same for all of them. A
//! Service that may lead back to its source has none: that way no policy speaks of.

use std::collections::HashMap;
use std::sync::Arc;

use super::predict::predict_direct;
use crate::model::flow::{CellSet, Flow, FlowTable};
use crate::model::matrix::Matrix;
use crate::model::prediction::{Prediction, Predictions, Reason, ReasonId};
use crate::model::reasons::Reasons;
use crate::model::verdict::{Meaning, Verdict};
use crate::scenario::world::World;

/// Meaning for every cell, those to Services among them; none where no cell leads to one.
pub(in crate::oracle) fn predict(world: &World, cells: &Arc<CellSet>) -> Option<Predictions> {
    if !cells.iter().any(|(_, flow)| world.services.contains_key(&flow.destination)) {
        return None;
    }
    let flows = cells.iter().flat_map(|(_, flow)| match translated(world, flow) {
        Some(behind) => behind,
        None => vec![*flow],
    });
    let table = Arc::new(FlowTable::new(flows));
    let all = Arc::new(CellSet::new(Arc::clone(&table), |_| true));
    let direct = predict_direct(world, &all);
    let of_flow = |flow: &Flow| table.find(flow).and_then(|id| direct.matrix().get(id)).copied();
    let mut join = Join::of(direct.reasons().clone());
    let matrix = Matrix::build(Arc::clone(cells), |_, flow| match translated(world, flow) {
        None => of_flow(flow).unwrap_or_else(|| join.nothing()),
        Some(behind) => {
            let itself = behind.iter().filter(|one| one.source == one.destination).count();
            join.one(&behind.iter().filter_map(of_flow).collect::<Vec<_>>(), itself as u32)
        }
    });
    Some(Predictions::new(matrix, join.reasons))
}

/// The flows that one to a Service may become; none where it leads to none.
pub(in crate::oracle) fn translated(world: &World, flow: &Flow) -> Option<Vec<Flow>> {
    let service = world.services.get(&flow.destination)?;
    let target = service.ports.iter().find(|port| port.port == flow.port).map(|port| port.behind());
    let behind = world.behind(service);
    Some(target.map_or(Vec::new(), |port| behind.map(|destination| Flow { destination, port, ..*flow }).collect()))
}

/// Joins what is said of the pods behind a Service.
struct Join {
    reasons: Reasons,
    verdicts: Vec<Option<Verdict>>,
    kept: HashMap<[u32; 4], ReasonId>,
}

impl Join {
    fn of(reasons: Reasons) -> Self {
        let verdicts = reasons.verdicts().collect();
        Self { reasons, verdicts, kept: HashMap::new() }
    }

    fn one(&mut self, behind: &[Prediction], itself: u32) -> Prediction {
        let meaning = match behind.split_first() {
            Some((first, others)) if itself == 0 && others.iter().all(|one| one.meaning == first.meaning) => {
                first.meaning
            }
            Some(_) | None => Meaning::Unknown,
        };
        let egress = self.side(behind.iter().map(|one| one.egress), itself);
        let ingress = self.side(behind.iter().map(|one| one.ingress), itself);
        Prediction { meaning, egress, ingress }
    }

    /// One side's reason: the first's where all say the same, else how many say what.
    fn side(&mut self, mut ids: impl Iterator<Item = ReasonId> + Clone, itself: u32) -> ReasonId {
        let mut counts = [0, 0, 0, itself];
        for id in ids.clone() {
            let place = match self.verdicts.get(id.0 as usize).copied().flatten() {
                Some(Verdict::Allowed) => 0,
                Some(Verdict::Denied) => 1,
                None => 2,
            };
            counts[place] += 1;
        }
        if let Some(first) = ids.next()
            && counts.iter().filter(|count| **count > 0).count() == 1
        {
            return first;
        }
        let [allowing, denying, unknown, itself] = counts;
        let reasons = &mut self.reasons;
        *self.kept.entry(counts).or_insert_with(|| reasons.keep(Reason::Behind { allowing, denying, unknown, itself }))
    }

    /// For a cell that nothing was said of, which cannot be.
    fn nothing(&mut self) -> Prediction {
        let id = self.side(std::iter::empty(), 0);
        Prediction { meaning: Meaning::Unknown, egress: id, ingress: id }
    }
}
