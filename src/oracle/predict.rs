//! Meaning for every cell at once.

use std::sync::Arc;

use super::aims::Aims;
use super::side::reasons_of_side;
use super::view::View;
use super::{planned, services};
use crate::model::flow::CellSet;
use crate::model::matrix::Matrix;
use crate::model::prediction::{Direction, Prediction, Predictions, ReasonId};
use crate::model::reasons::Reasons;
use crate::model::verdict::Meaning;
use crate::scenario::world::World;

/// What the policies of a world say about each of the cells, with the policies and rules that decided it.
///
/// Both sides must let a flow through: the source's for egress, the destination's for ingress. Selectors become sets of
/// pods first, pods that the same policies isolate are answered together, and a reason names the first matching entry
/// of each rule that matches. The time grows with the cells, and with the policies that isolate one pod, 64 at a time.
///
/// An endpoint of a cell that is not in the world makes its meaning unknown.
///
/// A flow to a Service is judged after the translation of its address: see `services`.
pub fn predict(world: &World, cells: &Arc<CellSet>) -> Predictions {
    let predictions = services::predict(world, cells).unwrap_or_else(|| predict_direct(world, cells));
    let resting = planned::resting(world, &predictions);
    predictions.resting(resting)
}

/// The same where no cell leads to a Service.
pub(in crate::oracle) fn predict_direct(world: &World, cells: &Arc<CellSet>) -> Predictions {
    let view = View::of(world);
    let aims = Aims::of(&view, cells);
    let mut reasons = Reasons::default();
    let egress = reasons_of_side(&view, cells, &aims, Direction::Egress, &mut reasons);
    let ingress = reasons_of_side(&view, cells, &aims, Direction::Ingress, &mut reasons);
    let verdicts: Vec<_> = reasons.verdicts().collect();
    let mut sides = egress.into_iter().zip(ingress);
    let matrix = Matrix::build(Arc::clone(cells), |_, _| {
        // Each side has one reason for each cell, in the cells' order.
        let (egress, ingress) = sides.next().unwrap_or((UNREAD, UNREAD));
        let verdict = |id: ReasonId| verdicts.get(id.0 as usize).copied().flatten();
        Prediction { meaning: Meaning::of_sides(verdict(egress), verdict(ingress)), egress, ingress }
    });
    Predictions::new(matrix, reasons)
}

/// A number that no reason has.
const UNREAD: ReasonId = ReasonId(u32::MAX);
