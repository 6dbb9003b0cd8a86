use super::*;
use crate::model::finding::Call;
use crate::model::verdict::{Intent, Meaning, Verdict};
use crate::report::fixture::{flow, pipeline, troubled};

/// What a cell's readings became, in short.
fn told(comparison: &Comparison) -> Vec<String> {
    let changed = comparison.stages.iter().flat_map(|stage| stage.changed.iter().map(move |change| (stage, change)));
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
    let table: [(Turn, fn(&Readings) -> bool, &str); 5] = [
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
    assert_eq!(compare(&pipeline(), &after).outcome, Sameness::Same, "which by itself is no difference in any flow");
}
