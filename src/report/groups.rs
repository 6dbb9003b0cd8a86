//! Cells that share a sentence, told together.

use std::collections::{BTreeSet, HashMap};

use crate::model::document::{Cell, Stage};
use crate::model::finding::{Call, Finding};
use crate::model::flow::NamedFlow;
use crate::model::observation::Witness;

use super::story::{self, Story};
use super::text::plural;
use super::wrong_times::Context;

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
    let mut places: HashMap<String, usize> = HashMap::new();
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

/// Groups by sentence, where two that differ only in numbers are one: `1 to 5 attempts arrived`.
pub fn by_pattern<'a>(pairs: impl IntoIterator<Item = (&'a NamedFlow, String)>) -> Vec<Group<'a>> {
    let mut places: HashMap<Vec<Option<String>>, usize> = HashMap::new();
    let mut groups: Vec<(Vec<Part>, Vec<&'a NamedFlow>)> = Vec::new();
    for (flow, sentence) in pairs {
        let parts: Vec<Part> = sentence.split(' ').map(Part::read).collect();
        let pattern = parts.iter().map(Part::word).collect();
        let place = *places.entry(pattern).or_insert(groups.len());
        match groups.get_mut(place) {
            Some((known, flows)) => {
                known.iter_mut().zip(parts).for_each(|(known, part)| known.widen(part));
                flows.push(flow);
            }
            None => groups.push((parts, vec![flow])),
        }
    }
    let told = |parts: Vec<Part>| parts.iter().map(Part::tell).collect::<Vec<_>>().join(" ");
    groups.into_iter().map(|(parts, flows)| Group { sentence: told(parts), flows }).collect()
}

/// A word of a sentence: itself, or the range that a number takes over the sentences of a group.
#[derive(Debug, Clone, PartialEq)]
enum Part {
    Word(String),
    Number { least: (f64, String), most: (f64, String) },
}

impl Part {
    fn read(word: &str) -> Self {
        match word.parse::<f64>() {
            Ok(number) if word.starts_with(|c: char| c.is_ascii_digit()) => {
                let number = (number, word.to_owned());
                Self::Number { least: number.clone(), most: number }
            }
            Ok(_) | Err(_) => Self::Word(word.to_owned()),
        }
    }

    /// The word itself; none for a number, which may be any.
    fn word(&self) -> Option<String> {
        match self {
            Self::Word(word) => Some(word.clone()),
            Self::Number { .. } => None,
        }
    }

    fn widen(&mut self, other: Self) {
        if let (Self::Number { least, most }, Self::Number { least: low, most: high }) = (self, other) {
            if low.0 < least.0 {
                *least = low;
            }
            if high.0 > most.0 {
                *most = high;
            }
        }
    }

    fn tell(&self) -> String {
        match self {
            Self::Word(word) => word.clone(),
            Self::Number { least, most } if least == most => least.1.clone(),
            Self::Number { least, most } => format!("{} to {}", least.1, most.1),
        }
    }
}

/// Cells that could not be seen or judged, by reason.
pub fn unsure(stage: &Stage) -> Vec<Group<'_>> {
    by_pattern(stage.cells.iter().filter_map(|cell| Some((&cell.flow, reason_of_unsureness(cell)?))))
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

/// All denials of a stage that rest on a weak witness, together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weakness<'a> {
    /// How many there are; at least one.
    pub cells: u64,
    /// Who is cut off, in order of name.
    pub cut_off: BTreeSet<&'a str>,
}

/// So many of those who are cut off are named.
const CUT_OFF: usize = 4;

impl Weakness<'_> {
    /// `16 denials rest on a weak witness: `a` and `b` are cut off both ways; …`
    pub fn sentence(&self) -> String {
        let denials = plural(self.cells, "denial rests", "denials rest");
        let names = self.cut_off.iter().take(CUT_OFF).map(|name| format!("`{name}`"));
        let mut names: Vec<String> = names.collect();
        if let Some(more) = self.cut_off.len().checked_sub(CUT_OFF).filter(|more| *more > 0) {
            names.push(format!("{more} more"));
        }
        let (last, first) =
            names.split_last().map_or((String::new(), Vec::new()), |(last, first)| (last.clone(), first.to_vec()));
        match first.as_slice() {
            [] => format!(
                "{denials} on a weak witness: {last} is cut off both ways; only this run's baseline and its own agent \
                 speak for it"
            ),
            first => format!(
                "{denials} on a weak witness: {} and {last} are cut off both ways; only this run's baseline and their \
                 own agents speak for them",
                first.join(", ")
            ),
        }
    }
}

/// What rests on weak witnesses in a stage; none where nothing does.
pub fn weakness(stage: &Stage) -> Option<Weakness<'_>> {
    let mut weakness = Weakness { cells: 0, cut_off: BTreeSet::new() };
    for cell in &stage.cells {
        if let Some(Witness::Weak { cut_off }) = &cell.witness {
            weakness.cells += 1;
            weakness.cut_off.extend(cut_off.iter().map(String::as_str));
        }
    }
    (weakness.cells > 0).then_some(weakness)
}

/// Remarks on cells, but for those that are the reason of an inconclusive one or say what the witness says already.
pub fn notes(stage: &Stage) -> Vec<Group<'_>> {
    by_pattern(stage.cells.iter().filter_map(|cell| match (&cell.note, cell.call) {
        (Some(_), Call::Inconclusive) => None,
        (Some(_), _) if matches!(cell.witness, Some(Witness::Weak { .. })) => None,
        (Some(note), _) => Some((&cell.flow, note.clone())),
        (None, _) => None,
    }))
}

/// Findings under their stories, in order of first appearance; those that share one differ in nothing but their flow.
pub fn by_story(findings: &[Finding]) -> Vec<(Story, Vec<&Finding>)> {
    let mut places = HashMap::new();
    let mut groups: Vec<(Story, Vec<&Finding>)> = Vec::new();
    for finding in findings {
        let told = story::tell(finding, &Context::default());
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
    use crate::report::fixture::{flow, troubled};

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
    fn sentences_that_differ_only_in_numbers_are_told_once_with_their_range() {
        let flows: Vec<NamedFlow> = ["a", "b", "c", "d", "e"].map(|name| flow(name, "s", "80/tcp")).into();
        let sentences = [
            "3 attempts arrived; dark for 12.5 ms",
            "1 attempts arrived; dark for 598.4 ms",
            "reached, but from 10.0.0.1 instead",
            "reached, but from 10.0.0.2 instead",
            "3 attempts arrived; dark for 9.1 ms",
        ];
        let groups = by_pattern(flows.iter().zip(sentences.map(str::to_owned)));
        let told: Vec<_> = groups.iter().map(|group| (group.flows.len(), group.sentence.as_str())).collect();
        assert_eq!(
            told,
            [
                (3, "1 to 3 attempts arrived; dark for 9.1 to 598.4 ms"),
                (1, "reached, but from 10.0.0.1 instead"),
                (1, "reached, but from 10.0.0.2 instead"),
            ],
            "an address is no number"
        );
    }

    #[test]
    fn weak_witnesses_are_told_in_one_sentence() {
        let mut document = troubled();
        let stage = &mut document.stages[1];
        let told = |stage: &Stage| weakness(stage).map(|weakness| weakness.sentence());
        assert!(told(stage).unwrap().starts_with("3 denials rest on a weak witness: `impostor` is cut off both ways"));
        for (place, cell) in stage.cells.iter_mut().enumerate() {
            cell.witness = Some(Witness::Weak { cut_off: vec![format!("pod-{}", place % 6), "store".into()] });
        }
        let sentence = told(stage).unwrap();
        let expected = "50 denials rest on a weak witness: `pod-0`, `pod-1`, `pod-2`, `pod-3` and 3 more are cut off";
        assert!(sentence.starts_with(expected), "{sentence}");
        stage.cells.iter_mut().for_each(|cell| cell.witness = None);
        assert_eq!(told(stage), None);
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
