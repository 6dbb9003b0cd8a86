//! What the cells of a stage aim at, counted once each.

use std::collections::HashMap;

use super::ports::Aim;
use super::view::{Occupant, View};
use crate::model::flow::CellSet;
use crate::model::port::Port;

/// Every different [`Aim`] of a stage, and which one each cell has. There are few however many cells there are, so a
/// rule's ports are read a few times and not once a cell.
#[derive(Debug)]
pub(in crate::oracle) struct Aims<'w> {
    all: Vec<Aim<'w>>,
    of_cell: Vec<u32>,
}

impl<'w> Aims<'w> {
    /// Reads the cells' destinations and ports.
    pub(in crate::oracle) fn of(view: &View<'w>, cells: &CellSet) -> Self {
        let mut all = Vec::new();
        let mut numbers: HashMap<Aim<'w>, u32> = HashMap::new();
        // A destination has few ports, so looking through them is quicker than hashing.
        let mut seen: Vec<Vec<(Port, u32)>> = vec![Vec::new(); view.size()];
        let of_cell = cells
            .iter()
            .map(|(_, flow)| {
                let place = view.place(flow.destination);
                let Some(known) = seen.get_mut(place) else { return 0 };
                if let Some((_, number)) = known.iter().find(|(port, _)| *port == flow.port) {
                    return *number;
                }
                let aim = match view.occupant(place) {
                    Occupant::Pod(pod) => Aim::at_pod(flow.port, &pod.serves),
                    Occupant::Outside(_) | Occupant::Nobody => Aim::nameless(flow.port),
                };
                let number = *numbers.entry(aim).or_insert_with_key(|aim| {
                    all.push(aim.clone());
                    all.len() as u32 - 1
                });
                known.push((flow.port, number));
                number
            })
            .collect();
        Self { all, of_cell }
    }

    /// Every aim, by number.
    pub(in crate::oracle) fn all(&self) -> &[Aim<'w>] {
        &self.all
    }

    /// The number of the aim of the cell at a place of the set.
    pub(in crate::oracle) fn of_cell(&self, cell: usize) -> usize {
        self.of_cell.get(cell).map_or(0, |number| *number as usize)
    }
}
