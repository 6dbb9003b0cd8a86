//! A watch in words: what was watched, which flows were wrong and by how much, what became of connections that were open
//! all along, and of pods that were born meanwhile. Every report tells them alike.

mod connections;
mod newborns;

use std::collections::{BTreeMap, HashSet};

use crate::model::document::Document;
use crate::model::finding::{Call, Finding, Window};
use crate::model::flow::NamedFlow;
use crate::model::happening::{About, Beside, Happening, Lies, Turn};
use crate::model::watch::{KnownInfo, KnownOutcome, Standing, WatchInfo};

use super::duration::human_us;
use super::groups::{self, Group};
use super::text::{number, plural};

pub use connections::{established, fate, gap, held};
pub use newborns::{newborn, newborn_remark, newborns};

/// A flow that was wrong while watched, in one way and with one standing.
#[derive(Debug, Clone, PartialEq)]
pub struct Watched<'a> {
    /// The flow.
    pub flow: &'a NamedFlow,
    /// As what.
    pub call: Call,
    /// What it counts as.
    pub standing: Standing,
    /// Its windows, in order of time; never empty.
    pub windows: Vec<&'a Window>,
}

/// Flows that were wrong while watched: what counts first, the gravest first, then in order of flow.
pub fn flows(document: &Document) -> Vec<Watched<'_>> {
    let Some(watch) = &document.watch else { return Vec::new() };
    let mut flows: BTreeMap<(u8, std::cmp::Reverse<u8>, &NamedFlow), Watched> = BTreeMap::new();
    for cell in document.stages.iter().flat_map(|stage| &stage.cells) {
        for window in cell.windows.iter().filter(|window| window.last_wrong_us >= watch.from_us) {
            let key = (window.standing.rank(), std::cmp::Reverse(window.call.gravity()), &cell.flow);
            let fresh =
                || Watched { flow: &cell.flow, call: window.call, standing: window.standing, windows: Vec::new() };
            flows.entry(key).or_insert_with(fresh).windows.push(window);
        }
    }
    flows.into_values().collect()
}

/// Flows that were wrong in one way and are findings, which tell their windows.
#[derive(Debug, Clone, PartialEq)]
pub struct Found<'a> {
    /// As what.
    pub call: Call,
    /// The flows, under the one sentence that holds for all of them.
    pub group: Group<'a>,
}

/// Flows that were wrong while watched: those that are findings together, and the others each for itself.
pub fn found_and_others(document: &Document) -> (Vec<Found<'_>>, Vec<Watched<'_>>) {
    let findings: HashSet<&NamedFlow> =
        document.stages.iter().flat_map(|stage| &stage.findings).map(|finding| &finding.flow).collect();
    let is_found = |flow: &Watched| flow.standing == Standing::Counted && findings.contains(flow.flow);
    let (mut told, others): (Vec<Watched>, Vec<Watched>) = flows(document).into_iter().partition(is_found);
    let mut found = Vec::new();
    while let Some(call) = told.first().map(|flow| flow.call) {
        let (alike, rest): (Vec<Watched>, Vec<Watched>) = told.into_iter().partition(|flow| flow.call == call);
        let groups = groups::by_pattern(alike.iter().map(|flow| (flow.flow, flow.sentence())));
        found.extend(groups.into_iter().map(|group| Found { call, group }));
        told = rest;
    }
    (found, others)
}

impl Watched<'_> {
    /// The status word: that of its call where it counts.
    pub fn word(&self) -> &'static str {
        match self.standing {
            Standing::Counted => self.call.word(),
            Standing::Undecided => Call::Inconclusive.word(),
            Standing::WithinBudget => "budget",
            Standing::Known => "known",
        }
    }

    /// Attempts that saw it.
    pub fn attempts(&self) -> u64 {
        self.windows.iter().map(|window| u64::from(window.attempts)).sum()
    }

    /// The shortest it can have been wrong, all windows together.
    pub fn least_us(&self) -> u64 {
        self.windows.iter().map(|window| window.least_us()).sum()
    }

    /// The longest; none where a window has no right attempt on one of its sides.
    pub fn most_us(&self) -> Option<u64> {
        self.windows
            .iter()
            .map(|window| Some(window.right_after_us?.saturating_sub(window.right_before_us?)))
            .sum::<Option<u64>>()
    }

    /// `at least 300 ms and at most 500 ms`, `at least 300 ms`, `of unknown length`.
    pub fn lasted(&self) -> String {
        match (self.least_us(), self.most_us()) {
            (0, Some(most)) => format!("at most {}", human_us(most)),
            (least, Some(most)) => format!("at least {} and at most {}", human_us(least), human_us(most)),
            (0, None) => "of unknown length".into(),
            (least, None) => format!("at least {}", human_us(least)),
        }
    }

    /// `outage in 3 windows, at least 900 ms and at most 1.5 s together, seen by 9 attempts: within its budget`.
    pub fn sentence(&self) -> String {
        let windows = plural(self.windows.len() as u64, "window", "windows");
        let together = if self.windows.len() > 1 { " together" } else { "" };
        let attempts = plural(self.attempts(), "attempt", "attempts");
        let standing = standing(self.standing, self.call);
        format!("{} in {windows}, {}{together}, seen by {attempts}: {standing}", self.call, self.lasted())
    }
}

/// What a window counts as, in words.
pub fn standing(standing: Standing, call: Call) -> &'static str {
    match (standing, call) {
        (Standing::Counted, _) => "more than its budget",
        (Standing::Undecided, _) => "perhaps more than its budget, perhaps not",
        (Standing::WithinBudget, _) => "within its budget",
        (Standing::Known, _) => "known, and put up with",
    }
}

/// So much of what lies beside a window is told; the JSON holds more.
pub const NAMED: usize = 3;

/// What happened beside a window, each in a few words: `while calico-node on worker2 was restarting (pod x was told to
/// end, 300 ms before)`.
pub fn beside(window: &Window, events: &[Happening]) -> Vec<String> {
    window.beside.iter().filter_map(|beside| Some(lying(*beside, events.get(beside.event as usize)?))).collect()
}

fn lying(beside: Beside, event: &Happening) -> String {
    let Happening { subject, what, .. } = event;
    let apart = human_us(beside.apart_us);
    match (beside.lies, &event.turn) {
        (Lies::During, Turn::Begins { state }) => format!("while {subject} was {state} ({what}, {apart} before)"),
        (Lies::During | Lies::Before, _) => format!("{subject}: {what}, {apart} before"),
        (Lies::Within, _) => format!("{subject}: {what}, {apart} into it"),
        (Lies::After, _) => format!("{subject}: {what}, heard of {apart} after it"),
        (Lies::Unknown, _) => format!("{subject}: {what}, some time in a gap of the log"),
    }
}

/// The first of them in one sentence; none where nothing is known to have happened.
pub fn beside_in_short(window: &Window, events: &[Happening], named: usize) -> Option<String> {
    in_short(&beside(window, events), named)
}

/// The first of several in one sentence, and how many more there are; none of none.
pub fn in_short(all: &[String], named: usize) -> Option<String> {
    let mut told: Vec<String> = all.iter().take(named).cloned().collect();
    if let Some(more @ 1..) = all.len().checked_sub(named) {
        told.push(format!("and {more} more"));
    }
    (!told.is_empty()).then(|| told.join("; "))
}

/// What happened, when it was heard of, and how sure that is: `1 min 37 s: calico-node on worker2: pod x is ready (some
/// time since 1 min 36 s)`.
pub fn happening(event: &Happening) -> String {
    let at = human_us(event.at_us);
    let since = event.since_us.map(|since| format!(" (some time since {})", human_us(since))).unwrap_or_default();
    format!("{at}: {}: {}{since}", event.subject, event.what)
}

/// How much happened around it, by what it happened to; none where nothing did.
pub fn around(events: &[Happening]) -> Option<String> {
    let counted = About::ALL.into_iter().filter_map(|about| {
        let count = events.iter().filter(|event| event.about == about).count();
        (count > 0).then(|| format!("{} {}", about.word(), number(count as u64)))
    });
    let all = plural(events.len() as u64, "thing", "things");
    (!events.is_empty()).then(|| format!("{all} happened around it: {}", counted.collect::<Vec<_>>().join(", ")))
}

/// How long it was watched, and until what: `1 h long; waited for the command, and quiet after it`.
pub fn span(watch: &WatchInfo) -> String {
    format!("{} long; waited for {}", human_us(watch.until_us.saturating_sub(watch.from_us)), watch.waited_for)
}

/// How well it could be seen.
pub fn sight(watch: &WatchInfo) -> String {
    let unseen = match watch.unseen {
        0 => "every one of them could see".to_owned(),
        unseen => format!("{} more could not see", number(unseen)),
    };
    let long = match watch.persistent {
        0 => String::new(),
        long => format!("; {} on denied flows", plural(long, "long attempt", "long attempts")),
    };
    format!(
        "{} seen, {unseen}; every flow tried once in {}{long}",
        plural(watch.seen, "attempt", "attempts"),
        human_us(watch.interval_us)
    )
}

/// What is told of a watch without a window. That no flow was wrong at any time is said only where nothing else is wrong.
pub fn no_flow_was_wrong(document: &Document) -> String {
    let findings = document.stages.iter().flat_map(|stage| &stage.findings);
    let (flows, besides): (Vec<&Finding>, Vec<&Finding>) = findings.partition(|finding| finding.subject.is_flow());
    let mut told = Vec::new();
    if !flows.is_empty() {
        told.push(format!("{} of flows from before the watch", plural(flows.len() as u64, "finding", "findings")));
    }
    if !besides.is_empty() {
        let findings = plural(besides.len() as u64, "finding", "findings");
        told.push(format!("{findings} of connections held open or of newborn pods"));
    }
    match (told.is_empty(), document.exit) {
        (true, 0) => "no flow was wrong at any time".into(),
        (true, _) => "no flow was seen to be wrong while watched".into(),
        (false, _) => format!("no attempt was wrong while watched; {}", told.join("; ")),
    }
}

/// What was not observed, with what was not wrong besides: `no window in 40 flows; at most 2.3 s of 95 s not observed (34
/// flows, 32.4 s to 34.7 s)`; none where every flow was observed throughout.
pub fn unobserved(document: &Document) -> Option<String> {
    let watch = document.watch.as_ref()?;
    let unobserved = watch.unobserved.as_ref()?;
    let windows = match flows(document).len() {
        0 => format!("no window in {}; ", plural(unobserved.of, "flow", "flows")),
        _ => String::new(),
    };
    let budget = match (unobserved.over, watch.budgets.max_unobserved_us) {
        (0, 0) => "no longer than each flow may be wrong".to_owned(),
        (0, most) => format!("within the {} a flow may go unobserved", human_us(most)),
        (over, 0) => format!("no time may go unobserved, so {} inconclusive", plural(over, "flow is", "flows are")),
        (over, most) => format!(
            "{} inconclusive: longer than the {} a flow may go unobserved",
            plural(over, "flow is", "flows are"),
            human_us(most)
        ),
    };
    Some(format!(
        "{windows}at most {} of {} not observed ({}, {} to {}): {budget}",
        human_us(unobserved.longest_us),
        human_us(watch.until_us.saturating_sub(watch.from_us)),
        plural(unobserved.flows, "flow", "flows"),
        human_us(unobserved.from_us),
        human_us(unobserved.until_us)
    ))
}

/// What was put up with.
pub fn budgets(watch: &WatchInfo) -> String {
    let allowed = |us: u64, what: &str| match us {
        0 => format!("no {what}"),
        us => format!("{} of {what}", human_us(us)),
    };
    let (outage, leak) = (watch.budgets.max_outage_us, watch.budgets.max_leak_us);
    format!(
        "a flow's budget is {} and {}, unless its expectation says otherwise",
        allowed(outage, "outage"),
        allowed(leak, "leak")
    )
}

/// The command under watch and how it ended; none where there was none.
pub fn command(watch: &WatchInfo) -> Option<String> {
    let command = watch.command.as_ref()?;
    let line = command.argv.join(" ");
    Some(match (&command.status, command.ended_us) {
        (Some(status), Some(ended)) => {
            format!("command `{line}`: {status} after {}", human_us(ended.saturating_sub(command.began_us)))
        }
        (Some(status), None) => format!("command `{line}`: {status}"),
        (None, _) => format!("command `{line}` had not ended"),
    })
}

/// An entry of the `known:` list and what came of it.
pub fn known(known: &KnownInfo) -> String {
    let outcome = match known.outcome {
        KnownOutcome::Happened => "happened, and is put up with",
        KnownOutcome::Passed => "did not happen: the entry may go",
        KnownOutcome::Expired => "its day is over, so it counts",
    };
    format!("{} of {} until {} ({}): {outcome}", known.call, known.flows, known.until, known.reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::watch::Fate;
    use crate::model::watch::{Budgets, Unobserved};
    use crate::report::fixture::{pipeline, troubled, watched};

    #[test]
    fn what_was_not_observed_is_told_with_what_it_makes_of_the_watch() {
        let mut document = pipeline();
        let watch = watched().watch.unwrap();
        let told = |document: &mut Document, over, most| {
            let unobserved = Unobserved {
                flows: 34,
                of: 40,
                longest_us: 2_300_000,
                from_us: 32_400_000,
                until_us: 34_700_000,
                over,
            };
            let budgets = Budgets { max_unobserved_us: most, ..watch.budgets };
            document.watch = Some(WatchInfo { unobserved: Some(unobserved), budgets, ..watch.clone() });
            unobserved_in(document)
        };
        let lead = "no window in 40 flows; at most 2.3 s of 5 min not observed (34 flows, 32.4 s to 34.7 s): ";
        let table = [
            (0, 5_000_000, "within the 5.0 s a flow may go unobserved"),
            (34, 0, "no time may go unobserved, so 34 flows are inconclusive"),
            (1, 2_000_000, "1 flow is inconclusive: longer than the 2.0 s a flow may go unobserved"),
        ];
        for (over, most, expected) in table {
            assert_eq!(told(&mut document, over, most), format!("{lead}{expected}"));
        }
    }

    fn unobserved_in(document: &Document) -> String {
        unobserved(document).unwrap()
    }

    #[test]
    fn a_connection_or_a_newborn_that_sets_the_code_is_a_finding_in_every_report() {
        let mut document = pipeline();
        let watch = watched().watch.unwrap();
        let stalled = watch.established.iter().filter(|held| held.fate == Fate::Stalled).cloned().collect();
        let budgets = Budgets { max_outage_us: 0, ..watch.budgets };
        let shut = watch.newborns.last().cloned().into_iter().collect();
        let watch = WatchInfo { established: stalled, newborns: shut, budgets, ..watch };
        crate::judge::add_watch_findings(document.stages.last_mut().unwrap(), &watch);
        document.watch = Some(watch);
        document.causes = crate::judge::causes(&document);
        document.exit = crate::judge::exit_of(&document.causes);
        assert_eq!(document.exit, 10);
        let mut reports: Vec<(&str, Vec<u8>)> =
            ["terminal", "JUnit", "Markdown", "HTML", "JSON"].map(|n| (n, Vec::new())).into();
        let style = crate::report::terminal::Style { width: 400, ..Default::default() };
        crate::report::terminal::render(&document, style, &mut reports[0].1).unwrap();
        crate::report::junit::render(&document, &mut reports[1].1).unwrap();
        crate::report::markdown::render(&document, &mut reports[2].1).unwrap();
        crate::report::html::render(&document, &mut reports[3].1).unwrap();
        reports[4].1 = serde_json::to_vec(&document).unwrap();
        for (name, bytes) in reports {
            let text = String::from_utf8(bytes).unwrap();
            for expected in ["held open for 1500 ms", "a new pod like ai-processing on node-1"] {
                assert!(text.contains(expected), "{name}: no finding says {expected}");
            }
            for wrong in ["no flow was wrong", "Nothing to look at"] {
                assert!(!text.contains(wrong), "{name} says {wrong} beside an outage");
            }
        }
    }

    #[test]
    fn no_report_says_that_nothing_was_wrong_beside_an_exit_code_that_says_otherwise() {
        let style = crate::report::terminal::Style { width: 400, ..Default::default() };
        let mut kinds = vec![("watched", watched()), ("pipeline", pipeline()), ("troubled", troubled())];
        for (_, document) in &mut kinds[1..] {
            document.watch = watched().watch;
        }
        for (what, document) in &kinds {
            for exit in [0, 5, 6, 7, 10, 11] {
                let document = Document { exit, ..document.clone() };
                let mut reports: [(&str, Vec<u8>); 4] =
                    ["terminal", "JUnit", "Markdown", "HTML"].map(|name| (name, Vec::new()));
                crate::report::terminal::render(&document, style, &mut reports[0].1).unwrap();
                crate::report::junit::render(&document, &mut reports[1].1).unwrap();
                crate::report::markdown::render(&document, &mut reports[2].1).unwrap();
                crate::report::html::render(&document, &mut reports[3].1).unwrap();
                let finding = document.stages.iter().any(|stage| !stage.findings.is_empty());
                for (name, bytes) in reports {
                    let text = String::from_utf8(bytes).unwrap();
                    let calm = text.contains("no flow was wrong at any time");
                    assert!(!calm || (exit == 0 && !finding), "{what}, exit {exit}, {name}");
                }
            }
        }
        let quiet = Document { watch: watched().watch, ..pipeline() };
        assert_eq!(no_flow_was_wrong(&quiet), "no flow was wrong at any time", "the exit code is 0");
    }

    #[test]
    fn flows_that_are_findings_are_told_together_and_the_others_each() {
        let mut document = watched();
        let stage = document.stages.last_mut().unwrap();
        let finding = stage.findings[0].clone();
        for (place, cell) in stage.cells.iter_mut().filter(|cell| cell.flow.from == "impostor").enumerate() {
            let mut window = finding.windows[1].clone();
            window.attempts += place as u32;
            cell.windows.push(window);
            stage.findings.push(Finding { flow: cell.flow.clone(), ..finding.clone() });
        }
        let count = stage.findings.len();
        let (found, others) = found_and_others(&document);
        let [one] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((one.call, one.group.flows.len()), (Call::Leak, count));
        assert!(one.group.sentence.contains("seen by 3 to "), "{}", one.group.sentence);
        assert_eq!(others.len(), 3);
        assert_eq!(count + others.len(), flows(&document).len(), "none is left out");
    }

    #[test]
    fn flows_that_count_come_first_and_windows_are_added_up() {
        let document = watched();
        let told: Vec<String> =
            flows(&document).iter().map(|flow| format!("{} {}: {}", flow.word(), flow.flow, flow.sentence())).collect();
        assert_eq!(
            told,
            [
                "LEAK intruder -> data-store-2:9000/tcp: leak in 1 window, at least 200 ms and at most 400 ms, \
                 seen by 3 attempts: more than its budget",
                "UNSURE plain -> impostor:8080/tcp: outage in 1 window, at least 1.9 s and at most 2.1 s, seen by 20 \
                 attempts: perhaps more than its budget, perhaps not",
                "budget ai-processing -> data-store-1:5432/tcp: outage in 2 windows, at least 700 ms and at most 1.1 s \
                 together, seen by 9 attempts: within its budget",
                "known data-store-1 -> impostor:8080/tcp: outage in 1 window, at least 3.0 s, seen by 31 attempts: \
                 known, and put up with",
            ]
        );
    }

    #[test]
    fn what_lies_beside_a_window_is_told_as_no_more_than_that() {
        let document = watched();
        let flows = flows(&document);
        assert_eq!(
            beside(flows[0].windows[0], &document.events),
            [
                "while calico-node on node-1 was restarting (pod calico-node-x7k was told to end, 6.0 s before)",
                "NetworkPolicy ai-staging/open: was created by kubectl, 40 ms into it",
                "calico-node on node-1: pod calico-node-q2m is ready, heard of 1.8 s after it",
                "while the command was running (was started, 1 min 32 s before)",
            ]
        );
        assert!(beside_in_short(flows[0].windows[0], &document.events, 1).unwrap().ends_with("; and 3 more"));
        assert_eq!(
            beside_in_short(flows[1].windows[0], &document.events, 1),
            None,
            "nothing is known to lie beside it"
        );
        assert_eq!(
            happening(&document.events[3]),
            "1 min 37 s: calico-node on node-1: pod calico-node-q2m is ready (some time since 1 min 36 s)"
        );
        assert_eq!(
            around(&document.events).unwrap(),
            "5 things happened around it: command 2, network plugin 2, policies 1"
        );
    }

    #[test]
    fn windows_before_the_watch_are_time_to_enforce_and_not_told_here() {
        let mut document = watched();
        assert!(document.stages[1].cells.iter().filter(|cell| !cell.windows.is_empty()).count() > 4);
        document.watch = None;
        assert_eq!(flows(&document), []);
    }

    #[test]
    fn the_sentences_say_what_came_of_it() {
        let document = watched();
        let watch = document.watch.as_ref().unwrap();
        assert_eq!(span(watch), "5 min long; waited for the command, and quiet after it");
        assert_eq!(
            sight(watch),
            "149,988 attempts seen, 12 more could not see; every flow tried once in 100 ms; 480 long attempts on denied \
             flows"
        );
        assert_eq!(
            budgets(watch),
            "a flow's budget is 2.0 s of outage and no leak, unless its expectation says otherwise"
        );
        assert_eq!(command(watch).unwrap(), "command `./upgrade-calico 3.32.1`: exit 0 after 4 min");
        assert_eq!(
            established(watch).unwrap(),
            "5 connections held open throughout: 2 survived, 1 stalled for a while, 1 ended before, 1 could not be seen"
        );
        assert_eq!(
            newborns(watch).unwrap(),
            "4 pods born while watching; connected after 900 ms to 8.8 s; 2 never connected; 1 was open where it should \
             not be"
        );
        let known: Vec<String> = document.known.iter().map(known).collect();
        assert!(
            known[0].ends_with("happened, and is put up with") && known[1].ends_with("the entry may go"),
            "{known:?}"
        );
    }
}
