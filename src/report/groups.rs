//! Cells that share a sentence, told together.

use crate::model::document::{Cell, Stage};
use crate::model::finding::{Call, Finding};
use crate::model::flow::NamedFlow;
use crate::model::observation::Witness;

use super::story::{self, Story};

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

/// Findings under their stories, in order of first appearance; those that share one differ in nothing but their flow.
pub fn by_story(findings: &[Finding]) -> Vec<(Story, Vec<&Finding>)> {
    let mut places = std::collections::HashMap::new();
    let mut groups: Vec<(Story, Vec<&Finding>)> = Vec::new();
    for finding in findings {
        let told = story::tell(finding);
        let place = *places.entry(told.clone()).or_insert(groups.len());
        match groups.get_mut(place) {
            Some((_, alike)) => alike.push(finding),
            None => groups.push((told, vec![finding])),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::troubled;

    #[test]
    fn cells_are_grouped_by_what_is_said_of_them() {
        let document = troubled();
        let stage = &document.stages[1];
        let told = |groups: Vec<Group>| {
            groups.iter().map(|group| (group.flows.len(), group.sentence.clone())).collect::<Vec<_>>()
        };
        assert_eq!(told(unsure(stage)), [(2, "not seen: the agent got no processor time".to_owned())]);
        assert_eq!(told(weak(stage)).len(), 1, "all three weak witnesses have one sentence");
        assert_eq!(told(notes(stage)).len(), 1, "a rejection is noted");
        assert_eq!(told(unsupported(stage)), [(1, "not supported here: this kernel has no SCTP".to_owned())]);
    }

    #[test]
    fn findings_that_differ_only_in_their_flow_share_a_story() {
        let mut findings = troubled().stages[1].findings.clone();
        let mut same = findings[0].clone();
        same.flow.from = "plain".into();
        findings.push(same);
        let sizes: Vec<usize> = by_story(&findings).iter().map(|(_, alike)| alike.len()).collect();
        assert_eq!(sizes, [2, 1, 1]);
    }
}
