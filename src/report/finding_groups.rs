//! Findings that have one cause, told together: same result, cause, deciding rule, node and window.

use std::collections::{BTreeSet, HashMap};
use std::mem::{Discriminant, discriminant};

use crate::model::document::{Cell, Document, Stage};
use crate::model::finding::{Blame, Call, Contradiction, Finding, Subject, Window};
use crate::model::observation::Observation;
use crate::model::prediction::Reason;
use crate::model::verdict::{Intent, Meaning};

use super::drops;
use super::duration::human_us;
use super::groups;
use super::story::{self, Story};
use super::text::plural;
use super::wrong_times::{self, Context, WrongTime};

/// Findings with one cause.
#[derive(Debug, Clone, PartialEq)]
pub struct FindingGroup<'a> {
    /// The findings, in the order of the document; never empty.
    pub findings: Vec<&'a Finding>,
    /// What holds for all of them. `next` speaks of the first flow.
    pub story: Story,
    /// What was seen, in words; none where nobody looked.
    pub seen: Option<String>,
    /// `node-2 did not enforce for 900 ms to 1.1 s: 12 flows`; none for a single finding.
    pub title: Option<String>,
}

/// What findings of one group have in common, apart from their windows.
#[derive(PartialEq)]
struct Cause<'a> {
    subject: Subject,
    call: Call,
    contradiction: Contradiction,
    intent: Intent,
    meaning: Meaning,
    reality: Option<Discriminant<Observation>>,
    blame: Blame,
    because: &'a str,
    nodes: Nodes<'a>,
}

/// The nodes that a finding is about.
#[derive(PartialEq)]
enum Nodes<'a> {
    /// The policies deny the flow on these nodes, and on no other.
    Denying(BTreeSet<&'a str>),
    /// The node of the destination; none where that is not known. No reason names the node that decided.
    Destination(Option<&'a str>),
}

/// The findings of a stage in groups, in order of first appearance.
pub fn of_stage<'a>(document: &'a Document, stage: &'a Stage) -> Vec<FindingGroup<'a>> {
    let nodes: HashMap<&str, &str> = document
        .endpoints
        .iter()
        .filter_map(|endpoint| Some((endpoint.name.as_str(), endpoint.node.as_deref()?)))
        .collect();
    let cells: HashMap<_, &Cell> = stage.cells.iter().map(|cell| (&cell.flow, cell)).collect();
    let mut groups: Vec<(Cause, Vec<&Finding>)> = Vec::new();
    for finding in &stage.findings {
        let cause = Cause {
            subject: finding.subject,
            call: finding.call,
            contradiction: finding.contradiction,
            intent: finding.intent,
            meaning: finding.meaning,
            reality: finding.reality.as_ref().map(discriminant),
            blame: finding.blame,
            because: &finding.because,
            nodes: nodes_of(finding, cells.get(&finding.flow).copied(), stage, &nodes),
        };
        let place = groups.iter().position(|(known, alike)| {
            *known == cause
                && alike.iter().all(|other| same_time(other, finding))
                && alike.first().is_some_and(|other| same_server(other, finding))
        });
        match place.and_then(|place| groups.get_mut(place)) {
            Some((_, alike)) => alike.push(finding),
            None => groups.push((cause, vec![finding])),
        }
    }
    let context = Context::of(document);
    groups.into_iter().filter_map(|(cause, findings)| grouped(&cause, findings, &context)).collect()
}

/// Findings that share every word of their story, without a title: what a prediction says has no node and no time.
pub fn by_story(findings: &[Finding]) -> Vec<FindingGroup<'_>> {
    groups::by_story(findings)
        .into_iter()
        .map(|(story, findings)| {
            let seen = findings.first().and_then(|finding| story::seen_of(finding));
            FindingGroup { findings, story, seen, title: None }
        })
        .collect()
}

/// Titles of all groups of a run that hold more than one finding, in the order of the document.
pub fn titles(document: &Document) -> Vec<String> {
    document.stages.iter().flat_map(|stage| of_stage(document, stage)).filter_map(|group| group.title).collect()
}

fn nodes_of<'a>(finding: &Finding, cell: Option<&Cell>, stage: &Stage, nodes: &HashMap<&str, &'a str>) -> Nodes<'a> {
    let node = |name: &str| nodes.get(name).copied();
    let denies = |number: u32| {
        let reason = usize::try_from(number).ok().and_then(|place| stage.reasons.get(place));
        matches!(reason, Some(Reason::Isolated { .. }))
    };
    let enforced = matches!(finding.blame, Blame::Network | Blame::PolicyNotEnforced);
    if let (Call::Leak, true, Some(cell)) = (finding.call, enforced, cell) {
        let ends = [(cell.egress, &finding.flow.from), (cell.ingress, &finding.flow.to)];
        let denying: Vec<Option<&str>> =
            ends.into_iter().filter(|(side, _)| denies(*side)).map(|(_, name)| node(name)).collect();
        // Every denying end must have a known node: a title that names one node of two would accuse it alone.
        if let Some(denying) = denying.into_iter().collect::<Option<BTreeSet<&str>>>()
            && !denying.is_empty()
        {
            return Nodes::Denying(denying);
        }
    }
    Nodes::Destination(node(&finding.flow.to))
}

/// Another server is the same cause only where the same one answered.
fn same_server(one: &Finding, other: &Finding) -> bool {
    match (&one.reality, &other.reality) {
        (Some(Observation::SomeoneElse { who: one }), Some(Observation::SomeoneElse { who: other })) => one == other,
        _ => true,
    }
}

/// Whether each window of one overlaps the window at the same place of the other. What was wrong before convergence is left
/// aside where something was wrong after it.
fn same_time(one: &Finding, other: &Finding) -> bool {
    let (one, other) = (one.windows_that_count(), other.windows_that_count());
    one.len() == other.len()
        && one.iter().zip(other).all(|(one, other)| {
            one.call == other.call
                && one.before_convergence == other.before_convergence
                && one.standing == other.standing
                && one.seen_by() == other.seen_by()
                && earliest(one) <= latest(other)
                && earliest(other) <= latest(one)
        })
}

fn earliest(window: &Window) -> u64 {
    window.right_before_us.unwrap_or(window.first_wrong_us)
}

fn latest(window: &Window) -> u64 {
    window.right_after_us.unwrap_or(u64::MAX)
}

fn grouped<'a>(cause: &Cause, findings: Vec<&'a Finding>, context: &Context) -> Option<FindingGroup<'a>> {
    let first = *findings.first()?;
    let mut story = story::tell(first, context);
    let mut shown = story::seen_of(first);
    let count = findings.len();
    if count == 1 {
        return Some(FindingGroup { findings, story, seen: shown, title: None });
    }
    story.readings = in_common(&findings, |finding| Some(story::tell(finding, context).readings)).unwrap_or_default();
    shown = in_common(&findings, story::seen_of);
    story.took_effect = in_common(&findings, wrong_times::took_effect);
    if findings.iter().any(|finding| finding.next != first.next) {
        story.next = format!("for {}: {}", first.flow, first.next);
    }
    if findings.iter().any(|finding| finding.windows != first.windows) {
        story.windows = (0..story.windows.len()).filter_map(|place| window_of_all(&findings, place, context)).collect();
    }
    let title = Some(title(cause, &findings));
    Some(FindingGroup { findings, story, seen: shown, title })
}

/// One sentence for all, numbers as ranges; where the sentences differ in more, each once. None where none has any.
fn in_common(findings: &[&Finding], tell: impl Fn(&Finding) -> Option<String>) -> Option<String> {
    let told = groups::by_pattern(findings.iter().filter_map(|finding| Some((&finding.flow, tell(finding)?))));
    (!told.is_empty()).then(|| told.into_iter().map(|group| group.sentence).collect::<Vec<_>>().join("; or "))
}

/// The windows after convergence at one place of all the findings: when the first began, when the last ended, how long each
/// was, and what changed at the time of the first.
fn window_of_all<'a>(findings: &[&'a Finding], place: usize, context: &Context) -> Option<WrongTime> {
    let after = |finding: &&'a Finding| finding.windows.iter().filter(|window| !window.before_convergence).nth(place);
    let windows: Vec<&Window> = findings.iter().filter_map(after).collect();
    let first = windows.iter().min_by_key(|window| window.first_wrong_us)?;
    let until = windows.iter().map(|window| window.last_wrong_us).max()?;
    let each = lasted(windows.iter().map(|window| vec![*window]))?;
    // Each flow has ends of its own.
    let counted: BTreeSet<String> = windows.iter().map(|window| drops::aside(window)).collect();
    let counted = counted.into_iter().collect::<String>();
    let (from, until, besides) = (human_us(first.first_wrong_us), human_us(until), context.besides(first));
    Some(WrongTime {
        sentence: format!("{} from {from} to {until}{besides}, each flow {each}{counted}", first.call),
        beside: context.beside(first),
    })
}

/// How long each of several was wrong, from the least of the shortest to the most of the longest.
fn lasted<'w>(windows: impl Iterator<Item = Vec<&'w Window>> + Clone) -> Option<String> {
    let least = windows.clone().map(|windows| windows.iter().map(|window| window.least_us()).sum::<u64>()).min()?;
    let longest = |window: &&Window| Some(window.right_after_us?.saturating_sub(window.right_before_us?));
    let most = windows.map(|windows| windows.iter().map(longest).sum::<Option<u64>>()).collect::<Option<Vec<u64>>>();
    Some(match most.and_then(|most| most.into_iter().max()) {
        Some(most) => format!("for {} to {}", human_us(least), human_us(most)),
        None if least == 0 => "for an unknown time".into(),
        None => format!("for at least {}", human_us(least)),
    })
}

fn title(cause: &Cause, findings: &[&Finding]) -> String {
    let flows = plural(findings.len() as u64, "flow", "flows");
    let watched = findings.iter().all(|finding| !finding.windows.is_empty());
    let time = watched.then(|| lasted(findings.iter().map(|finding| finding.windows_that_count()))).flatten();
    let time = time.map(|time| format!(" {time}")).unwrap_or_default();
    let to = match &cause.nodes {
        Nodes::Denying(nodes) => {
            let nodes = nodes.iter().copied().collect::<Vec<_>>().join(" and ");
            return format!("{nodes} did not enforce{time}: {flows}");
        }
        Nodes::Destination(Some(node)) => format!(" to {node}"),
        Nodes::Destination(None) => String::new(),
    };
    match cause.call {
        Call::Leak => format!("{flows}{to} worked that should not{time}"),
        Call::Outage => format!("{flows}{to} did not work that should{time}"),
        Call::WrongServer => format!("the wrong server answered {flows}{to}{time}"),
        Call::Contradiction | Call::Ok | Call::Inconclusive | Call::Unjudged | Call::Unsupported => {
            format!("{flows}{to}: {}{time}", cause.call)
        }
    }
}

#[cfg(test)]
mod tests;
