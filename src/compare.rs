//! Two runs held against each other, cell by cell: before and after an upgrade, one packet filter against another, lab
//! against cluster.
//!
//! Cells are matched by stage and flow. What two runs of the same thing cannot be expected to share (counts of attempts,
//! times within the resolution) is no difference.

mod watch;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::comparison::{
    CellChange, Change, Comparison, FORMAT, FactChange, Readings, Sameness, Seen, Side, StageChange, TimeChange,
};
use crate::model::document::{Cell, Document, Stage};
use crate::model::flow::NamedFlow;
use crate::model::observation::{Observation, Refusal};

/// Times that differ by less than this are never told: even an idle machine's scheduler takes so long.
const NEVER_LESS_US: u64 = 100_000;
/// Nor those that differ by less than so many turns of a cell.
const TURNS: u64 = 4;

/// Compares two runs.
pub fn compare(before: &Document, after: &Document) -> Comparison {
    let resolution = before.settings.interval_us.max(after.settings.interval_us);
    let later: HashMap<&str, &Stage> = after.stages.iter().map(|stage| (stage.name.as_str(), stage)).collect();
    let earlier: BTreeSet<&str> = before.stages.iter().map(|stage| stage.name.as_str()).collect();
    let stages: Vec<StageChange> = before
        .stages
        .iter()
        .filter_map(|stage| Some(compare_stage(stage, later.get(stage.name.as_str())?, resolution)))
        .collect();
    let names = |stages: Vec<&Stage>| stages.into_iter().map(|stage| stage.name.clone()).collect::<Vec<_>>();
    let mut comparison = Comparison {
        format: FORMAT.into(),
        before: side(before),
        after: side(after),
        facts: facts(before, after),
        stages,
        stages_only_before: names(
            before.stages.iter().filter(|stage| !later.contains_key(stage.name.as_str())).collect(),
        ),
        stages_only_after: names(after.stages.iter().filter(|stage| !earlier.contains(stage.name.as_str())).collect()),
        watch: watch::compare(before, after),
        outcome: Sameness::Same,
    };
    comparison.outcome = outcome(&comparison);
    comparison
}

fn outcome(comparison: &Comparison) -> Sameness {
    let stage_differs = |stage: &StageChange| {
        !stage.changed.is_empty() || !stage.only_before.is_empty() || !stage.only_after.is_empty()
    };
    let Comparison { stages, stages_only_before, stages_only_after, watch, .. } = comparison;
    let watch_differs = watch.as_ref().is_some_and(|watch| watch.outcome == Sameness::Different);
    if watch_differs
        || stages.iter().any(stage_differs)
        || !stages_only_before.is_empty()
        || !stages_only_after.is_empty()
    {
        Sameness::Different
    } else {
        Sameness::Same
    }
}

fn side(document: &Document) -> Side {
    Side {
        run: document.run.clone(),
        leakproof: document.leakproof.clone(),
        started: document.started.clone(),
        scenario: document.scenario.name.clone(),
        fabric: document.fabric.summary.clone(),
        fault: document.fabric.fault.clone(),
        interval_us: document.settings.interval_us,
        exit: document.exit,
    }
}

fn facts(before: &Document, after: &Document) -> Vec<FactChange> {
    let names: BTreeSet<&String> = before.fabric.facts.keys().chain(after.fabric.facts.keys()).collect();
    let value = |document: &Document, name: &String| document.fabric.facts.get(name).cloned();
    names
        .into_iter()
        .map(|name| FactChange {
            name: name.clone(),
            value: Change { before: value(before, name), after: value(after, name) },
        })
        .filter(|fact| fact.value.before != fact.value.after)
        .collect()
}

fn compare_stage(before: &Stage, after: &Stage, resolution: u64) -> StageChange {
    let (earlier, later) = (by_flow(before), by_flow(after));
    let both: Vec<(&NamedFlow, Change<&Cell>)> = earlier
        .iter()
        .filter_map(|(flow, before)| Some((*flow, Change { before: *before, after: *later.get(flow)? })))
        .collect();
    let mut changed: Vec<CellChange> = both
        .iter()
        .map(|(flow, cell)| CellChange { flow: (*flow).clone(), readings: readings(cell) })
        .filter(|change| change.readings.differ())
        .collect();
    // As the second run calls them, the gravest first; among equals by what changed, so that what belongs together
    // stands together.
    changed.sort_by_key(|change| (std::cmp::Reverse(gravity(&change.readings)), change.readings, change.flow.clone()));
    let mut times: Vec<TimeChange> = both
        .iter()
        .filter_map(|(flow, cell)| {
            let us = Change { before: cell.before.time_to_enforce_us?, after: cell.after.time_to_enforce_us? };
            telling(us, resolution).then(|| TimeChange { flow: (*flow).clone(), us })
        })
        .collect();
    times.sort_by_key(|time| (std::cmp::Reverse(time.us.before.abs_diff(time.us.after)), time.flow.clone()));
    let only = |these: &BTreeMap<&NamedFlow, &Cell>, those: &BTreeMap<&NamedFlow, &Cell>| {
        these.keys().filter(|flow| !those.contains_key(*flow)).map(|flow| (*flow).clone()).collect::<Vec<_>>()
    };
    StageChange {
        name: before.name.clone(),
        cells: both.len() as u64,
        convergence: Change { before: before.convergence.clone(), after: after.convergence.clone() },
        changed,
        times,
        median_us: Change { before: median(before), after: median(after) },
        only_before: only(&earlier, &later),
        only_after: only(&later, &earlier),
    }
}

fn by_flow(stage: &Stage) -> BTreeMap<&NamedFlow, &Cell> {
    stage.cells.iter().map(|cell| (&cell.flow, cell)).collect()
}

fn readings(cell: &Change<&Cell>) -> Readings {
    let Change { before, after } = cell;
    Readings {
        intent: Change { before: before.intent, after: after.intent },
        meaning: Change { before: before.meaning, after: after.meaning },
        reality: Change { before: seen(&before.reality), after: seen(&after.reality) },
        call: Change { before: before.call, after: after.call },
    }
}

fn seen(observation: &Observation) -> Seen {
    match observation {
        Observation::Reached | Observation::Delivered => Seen::Reached,
        Observation::Translated { .. } => Seen::Translated,
        Observation::Silent { .. } => Seen::Silent,
        Observation::Refused { how: Refusal::Reset, .. } | Observation::HalfOpen => Seen::HalfOpen,
        Observation::Refused { how: Refusal::Refused | Refusal::Prohibited, .. } => Seen::Refused,
        Observation::SomeoneElse { .. } => Seen::SomeoneElse,
        Observation::Mixed { .. } => Seen::Mixed,
        Observation::Unreachable { .. } => Seen::Unreachable,
        Observation::Unsupported { .. } => Seen::Unsupported,
        Observation::NotSeen { .. } => Seen::NotSeen,
    }
}

/// The graver of both runs' calls.
fn gravity(readings: &Readings) -> u8 {
    readings.call.before.gravity().max(readings.call.after.gravity())
}

/// Whether two times differ by more than chance: one at least twice the other, and farther apart than the turns of a
/// cell and a busy machine explain.
fn telling(us: Change<u64>, resolution: u64) -> bool {
    let (short, long) = (us.before.min(us.after), us.before.max(us.after));
    let apart = long - short;
    apart > NEVER_LESS_US && apart > resolution.saturating_mul(TURNS) && long / 2 >= short
}

/// The middle of the times that cells took which took any.
fn median(stage: &Stage) -> Option<u64> {
    let mut times: Vec<u64> =
        stage.cells.iter().filter_map(|cell| cell.time_to_enforce_us).filter(|us| *us > 0).collect();
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::finding::Call;
    use crate::model::verdict::{Intent, Meaning, Verdict};
    use crate::report::fixture::{flow, pipeline, troubled};

    /// What a cell's readings became, in short.
    fn told(comparison: &Comparison) -> Vec<String> {
        let changed =
            comparison.stages.iter().flat_map(|stage| stage.changed.iter().map(move |change| (stage, change)));
        changed
            .map(|(stage, change)| {
                let Readings { reality, call, .. } = change.readings;
                let (from, to) = (call.before, call.after);
                format!("{}: {}: {} to {}, {from} to {to}", stage.name, change.flow, reality.before, reality.after)
            })
            .collect()
    }

    fn cell<'a>(document: &'a mut Document, from: &str, to: &str, at: &str) -> &'a mut Cell {
        let wanted = flow(from, to, at);
        document.stages[1].cells.iter_mut().find(|cell| cell.flow == wanted).unwrap()
    }

    #[test]
    fn a_run_does_not_differ_from_itself() {
        for document in [pipeline(), troubled()] {
            let comparison = compare(&document, &document);
            assert_eq!(told(&comparison), Vec::<String>::new());
            assert_eq!(comparison.outcome, Sameness::Same);
            assert_eq!(comparison.facts, []);
            assert_eq!(comparison.stages.iter().map(|stage| stage.cells).collect::<Vec<_>>(), [50, 50]);
        }
    }

    #[test]
    fn what_two_runs_cannot_share_is_no_difference() {
        type Jitter = fn(&mut Cell);
        let table: [(Jitter, &str); 4] = [
            (|cell| cell.attempts += 40, "how many attempts there were"),
            (|cell| cell.slowest_us = Some(9_000), "how long a reply took"),
            (|cell| cell.reality = Observation::Delivered, "a reply that was lost on its way back"),
            (|cell| cell.time_to_enforce_us = Some(90_000), "a time within what a busy machine explains"),
        ];
        for (jitter, why) in table {
            let mut after = pipeline();
            jitter(cell(&mut after, "intruder", "plain", "8080/tcp"));
            let comparison = compare(&pipeline(), &after);
            assert_eq!((told(&comparison), comparison.outcome), (Vec::new(), Sameness::Same), "{why}");
            assert_eq!(comparison.stages[1].times, [], "{why}");
        }
    }

    #[test]
    fn each_reading_that_changed_is_found_both_ways() {
        type Turn = fn(&mut Cell);
        type Expected = fn(&Readings) -> bool;
        let table: [(Turn, Expected, &str); 5] = [
            (|cell| cell.intent = Intent::Stated(Verdict::Allowed), |r| r.intent.before != r.intent.after, "intent"),
            (|cell| cell.meaning = Meaning::Unknown, |r| r.meaning.before != r.meaning.after, "meaning"),
            (|cell| cell.reality = Observation::Reached, |r| r.reality.before != r.reality.after, "reality"),
            (
                |cell| cell.reality = Observation::Refused { how: Refusal::Refused, after_us: 1 },
                |r| r.reality.before == Seen::Silent || r.reality.after == Seen::Silent,
                "the form of a denial",
            ),
            (|cell| cell.call = Call::Inconclusive, |r| r.call.before != r.call.after, "its call"),
        ];
        for (turn, expected, why) in table {
            let (before, mut after) = (pipeline(), pipeline());
            turn(cell(&mut after, "intruder", "data-store-1", "5432/tcp"));
            for comparison in [compare(&before, &after), compare(&after, &before)] {
                assert_eq!(comparison.outcome, Sameness::Different, "{why}");
                let changed: Vec<_> = comparison.stages.iter().flat_map(|stage| &stage.changed).collect();
                assert_eq!(changed.len(), 1, "{why}: that cell and no other");
                assert!(expected(&changed[0].readings), "{why}");
            }
        }
    }

    #[test]
    fn the_gravest_change_comes_first_and_like_changes_stand_together() {
        let comparison = compare(&pipeline(), &troubled());
        let told = told(&comparison);
        assert!(told[0].ends_with("intruder -> data-store-1:5432/tcp: silent to reached, ok to leak"), "{told:#?}");
        assert!(told[1].ends_with("ok to wrong server") && told[2].ends_with("ok to outage"), "{told:#?}");
        assert_eq!(told.iter().filter(|line| line.ends_with("reached to not seen, ok to inconclusive")).count(), 2);
    }

    #[test]
    fn cells_and_stages_that_only_one_run_has_are_named() {
        let mut after = pipeline();
        after.stages[1].cells.retain(|cell| cell.flow != flow("intruder", "plain", "8080/tcp"));
        after.stages[0].name = "before".into();
        let comparison = compare(&pipeline(), &after);
        assert_eq!(comparison.stages[0].only_before, [flow("intruder", "plain", "8080/tcp")]);
        assert_eq!(
            (comparison.stages_only_before, comparison.stages_only_after),
            (vec!["baseline".into()], vec!["before".into()])
        );
        assert_eq!(comparison.outcome, Sameness::Different);
        let back = compare(&after, &pipeline());
        assert_eq!(back.stages[0].only_after, [flow("intruder", "plain", "8080/tcp")]);
    }

    #[test]
    fn a_time_to_enforce_that_grew_is_told_but_does_not_count() {
        let mut after = pipeline();
        cell(&mut after, "intruder", "data-store-1", "5432/tcp").time_to_enforce_us = Some(4_400_000);
        let comparison = compare(&pipeline(), &after);
        let times = &comparison.stages[1].times;
        assert_eq!(times.len(), 1);
        assert_eq!((&times[0].flow, times[0].us.after), (&flow("intruder", "data-store-1", "5432/tcp"), 4_400_000));
        assert_eq!(comparison.outcome, Sameness::Same);
        after.settings.interval_us = 2_000_000;
        assert_eq!(compare(&pipeline(), &after).stages[1].times, [], "unless cells were tried too seldom to tell");
    }

    #[test]
    fn versions_that_differ_are_named() {
        let mut after = pipeline();
        after.fabric.facts.insert("kernel".into(), "6.19".into());
        after.fabric.facts.insert("cni-version".into(), "3.32.1".into());
        let facts = compare(&pipeline(), &after).facts;
        let change =
            |before: Option<&str>, after: &str| Change { before: before.map(Into::into), after: Some(after.into()) };
        assert_eq!(
            facts,
            [
                FactChange { name: "cni-version".into(), value: change(None, "3.32.1") },
                FactChange { name: "kernel".into(), value: change(Some("6.18"), "6.19") },
            ]
        );
        assert_eq!(
            compare(&pipeline(), &after).outcome,
            Sameness::Same,
            "which by itself is no difference in any flow"
        );
    }
}
