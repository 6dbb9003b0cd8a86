//! A value for every cell.

use std::sync::Arc;

use super::flow::{CellSet, Flow, FlowId};

/// A total table over the cells of one stage: rows are sources, columns destinations (with family and port). It is
/// built from a function over all cells, so no cell can be missing.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix<T> {
    cells: Arc<CellSet>,
    values: Vec<T>,
}

impl<T> Matrix<T> {
    /// Asks `value` for every cell.
    pub fn build(cells: Arc<CellSet>, mut value: impl FnMut(FlowId, &Flow) -> T) -> Self {
        let values = cells.iter().map(|(id, flow)| value(id, flow)).collect();
        Self { cells, values }
    }

    /// The value of a cell; `None` if the flow is no cell of this stage.
    pub fn get(&self, id: FlowId) -> Option<&T> {
        self.cells.place(id).map(|place| &self.values[place])
    }

    /// The value of a cell, to be changed.
    pub fn get_mut(&mut self, id: FlowId) -> Option<&mut T> {
        self.cells.place(id).map(|place| &mut self.values[place])
    }

    /// Every cell with its value, in order of id.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (FlowId, &Flow, &T)> {
        self.cells.iter().zip(&self.values).map(|((id, flow), value)| (id, flow, value))
    }

    /// A matrix over the same cells, each value made from this one's.
    pub fn map<U>(&self, mut value: impl FnMut(FlowId, &Flow, &T) -> U) -> Matrix<U> {
        let values = self.iter().map(|(id, flow, old)| value(id, flow, old)).collect();
        Matrix { cells: Arc::clone(&self.cells), values }
    }

    /// The cells it is laid over.
    pub fn cells(&self) -> &Arc<CellSet> {
        &self.cells
    }
}
