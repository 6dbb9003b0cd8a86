//! One side of every cell: why it lets the flow through, or not.

use std::collections::HashMap;

use super::aims::Aims;
use super::group::Group;
use super::peers::Columns;
use super::speakers::Speakers;
use super::unknown;
use super::view::{Occupant, View};
use crate::model::endpoint::EndpointId;
use crate::model::flow::{CellSet, Flow};
use crate::model::prediction::{Direction, Reason, ReasonId};
use crate::model::reasons::Reasons;

/// The reason of every cell in one direction, by the cell's place in the set.
///
/// Goes through the pods group by group, so that only one group's tables are in memory at a time.
pub(in crate::oracle) fn reasons_of_side(
    view: &View<'_>,
    cells: &CellSet,
    aims: &Aims<'_>,
    direction: Direction,
    reasons: &mut Reasons,
) -> Vec<ReasonId> {
    let columns = Columns::of(view);
    let speakers = Speakers::of(view, columns, aims.all(), direction, reasons);
    let subjects = Subjects::of(view, cells, direction);
    let standing = Standing::of(view, &speakers, reasons);
    let mut sides = vec![ReasonId(0); cells.len()];
    let mut groups: Vec<Vec<usize>> = vec![Vec::new(); speakers.lists()];
    for place in 0..view.size() {
        match standing.of_place.get(place) {
            Some(Answer::Same(reason)) => subjects.cells(place).iter().for_each(|c| sides[*c as usize] = *reason),
            Some(Answer::ByGroup(group)) => groups[*group].push(place),
            None => {}
        }
    }
    for (number, members) in groups.iter().enumerate().filter(|(_, members)| !members.is_empty()) {
        let asked = members.iter().map(|place| subjects.cells(*place).len()).sum();
        let mut group = Group::of(speakers.on_list(number), columns.size(), aims.all().len(), asked, reasons);
        for cell in members.iter().flat_map(|place| subjects.cells(*place)) {
            let cell = *cell as usize;
            let Some(flow) = flow_at(cells, cell) else { continue };
            let peer = view.place(peer(flow, direction));
            let column = columns.of_peer(peer, flow.family);
            sides[cell] = group.reason(column, aims.of_cell(cell), reasons);
        }
    }
    sides
}

/// The end of a flow whose policies decide in a direction.
fn subject(flow: &Flow, direction: Direction) -> EndpointId {
    match direction {
        Direction::Egress => flow.source,
        Direction::Ingress => flow.destination,
    }
}

/// The other end.
fn peer(flow: &Flow, direction: Direction) -> EndpointId {
    match direction {
        Direction::Egress => flow.destination,
        Direction::Ingress => flow.source,
    }
}

fn flow_at(cells: &CellSet, place: usize) -> Option<&Flow> {
    cells.id(place).and_then(|id| cells.table().get(id))
}

/// Cells by the place of their subject.
struct Subjects {
    cells: Vec<u32>,
    ends: Vec<usize>,
}

impl Subjects {
    /// Sorts by counting.
    fn of(view: &View<'_>, cells: &CellSet, direction: Direction) -> Self {
        let place = |flow: &Flow| view.place(subject(flow, direction));
        let mut ends = vec![0; view.size()];
        for (_, flow) in cells.iter() {
            ends[place(flow)] += 1;
        }
        let mut before = 0;
        for end in &mut ends {
            before += std::mem::replace(end, before);
        }
        let mut sorted = vec![0; cells.len()];
        for (number, (_, flow)) in (0..).zip(cells.iter()) {
            let next = &mut ends[place(flow)];
            sorted[*next] = number;
            *next += 1;
        }
        Self { cells: sorted, ends }
    }

    /// The cells of one subject.
    fn cells(&self, place: usize) -> &[u32] {
        let start = if place == 0 { 0 } else { self.ends[place - 1] };
        &self.cells[start..self.ends[place]]
    }
}

/// How each place answers.
struct Standing {
    of_place: Vec<Answer>,
}

enum Answer {
    /// In one way to everybody.
    Same(ReasonId),
    /// As the policies of its group say.
    ByGroup(usize),
}

impl Standing {
    fn of(view: &View<'_>, speakers: &Speakers, reasons: &mut Reasons) -> Self {
        let no_pod = reasons.keep(Reason::NoPod);
        let not_isolated = reasons.keep(Reason::NotIsolated);
        let not_there = reasons.keep(Reason::Unknown { by: Vec::new() });
        let mut touched: HashMap<&str, Option<ReasonId>> = HashMap::new();
        let of_place = (0..view.size())
            .map(|place| match view.occupant(place) {
                Occupant::Nobody => Answer::Same(not_there),
                Occupant::Outside(_) => Answer::Same(no_pod),
                Occupant::Pod(pod) => {
                    let unknown = *touched.entry(&pod.namespace).or_insert_with_key(|namespace| {
                        let by = unknown::touching(view.world(), namespace);
                        (!by.is_empty()).then(|| reasons.keep(Reason::Unknown { by }))
                    });
                    match (unknown, speakers.list_of(place)) {
                        (Some(unknown), _) => Answer::Same(unknown),
                        (None, Some(list)) => Answer::ByGroup(list),
                        (None, None) => Answer::Same(not_isolated),
                    }
                }
            })
            .collect();
        Self { of_place }
    }
}
