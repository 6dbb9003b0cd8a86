//! One policy set, read twice.

use std::fmt;

use leakproof::model::flow::{Flow, FlowId, NamedFlow};
use leakproof::model::matrix::Matrix;
use leakproof::model::verdict::Verdict;
use leakproof::oracle;
use leakproof::scenario::world::World;

use crate::ground::{Ground, probed};

/// A cell on which two readings differ.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Disagreement {
    pub id: FlowId,
    pub flow: NamedFlow,
    pub oracle: Verdict,
    pub lab: Verdict,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: the oracle says {}, the lab says {}", self.flow, self.oracle, self.lab)
    }
}

/// What the oracle says of every cell. It knows every policy that is generated here, so no cell is unknown to it.
pub fn meaning(ground: &Ground, world: &World) -> Matrix<Verdict> {
    let predictions = oracle::predict(world, &ground.cells);
    predictions.matrix().map(|_, flow, prediction| {
        let verdict = prediction.meaning.verdict();
        verdict.unwrap_or_else(|| panic!("the oracle has no word on {}", ground.named(flow)))
    })
}

/// The probed cells on which the second reading differs.
pub fn compare(
    ground: &Ground,
    oracle: &Matrix<Verdict>,
    mut lab: impl FnMut(FlowId, &Flow) -> Option<Verdict>,
) -> Vec<Disagreement> {
    let mut all = Vec::new();
    for (id, flow, expected) in oracle.iter().filter(|(_, flow, _)| probed(flow)) {
        if let Some(seen) = lab(id, flow).filter(|seen| seen != expected) {
            all.push(Disagreement { id, flow: ground.named(flow), oracle: *expected, lab: seen });
        }
    }
    all
}
