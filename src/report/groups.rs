//! Cells that share a sentence, told together.

use crate::model::document::{Cell, Stage};
use crate::model::finding::Call;
use crate::model::flow::NamedFlow;
use crate::model::observation::Witness;

use super::story;

/// Flows under the one sentence that holds for all of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Group<'a> {
    /// The sentence.
    pub sentence: String,
    /// The flows, in the order they came; never empty.
    pub flows: Vec<&'a NamedFlow>,
}

/// Groups by sentence, in order of first appearance.
pub fn by_sentence<'a>(pairs: impl IntoIterator<Item = (&'a NamedFlow, String)>) -> Vec<Group<'a>> {
    let mut places: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
    let mut groups: Vec<Group<'a>> = Vec::new();
    for (flow, sentence) in pairs {
        let place = *places.entry(sentence.clone()).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.flows.push(flow),
            None => groups.push(Group { sentence, flows: vec![flow] }),
        }
    }
    groups
}

/// Cells that could not be seen or judged, by reason.
pub fn unsure(stage: &Stage) -> Vec<Group<'_>> {
    by_sentence(stage.cells.iter().filter_map(|cell| Some((&cell.flow, reason_of_unsureness(cell)?))))
}

/// Why nothing can be said of a cell; none where something can.
pub fn reason_of_unsureness(cell: &Cell) -> Option<String> {
    match cell.call {
        Call::Inconclusive => Some(cell.note.clone().unwrap_or_else(|| story::seen(&cell.reality))),
        Call::Unjudged => Some("seen, but neither intent nor meaning says how it should be".into()),
        Call::Ok | Call::Leak | Call::Outage | Call::WrongServer | Call::Contradiction | Call::Unsupported => None,
    }
}

/// Flows this world cannot carry, by what it lacks.
pub fn unsupported(stage: &Stage) -> Vec<Group<'_>> {
    let cells = stage.cells.iter().filter(|cell| cell.call == Call::Unsupported);
    by_sentence(cells.map(|cell| (&cell.flow, story::seen(&cell.reality))))
}

/// Denials that rest on a weak witness, by who is cut off.
pub fn weak(stage: &Stage) -> Vec<Group<'_>> {
    by_sentence(stage.cells.iter().filter_map(|cell| match &cell.witness {
        Some(witness @ Witness::Weak { .. }) => Some((&cell.flow, story::witness(witness))),
        Some(Witness::Strong { .. } | Witness::Indirect { .. }) | None => None,
    }))
}

/// Remarks on cells, but for those that are the reason of an inconclusive one or say what the witness says already.
pub fn notes(stage: &Stage) -> Vec<Group<'_>> {
    by_sentence(stage.cells.iter().filter_map(|cell| match (&cell.note, cell.call) {
        (Some(_), Call::Inconclusive) => None,
        (Some(_), _) if matches!(cell.witness, Some(Witness::Weak { .. })) => None,
        (Some(note), _) => Some((&cell.flow, note.clone())),
        (None, _) => None,
    }))
}
