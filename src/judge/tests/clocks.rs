//! When the clock of each flow starts, and what is about a pod of the same name that is gone.

use std::collections::BTreeMap;

use super::*;
use crate::judge::ends::Ends;
use crate::model::endpoint::Family;

#[test]
fn a_flow_is_timed_from_the_last_change_or_from_when_both_its_agents_ran() {
    let script = enforced(pods(), Fact::Dropped);
    let (a, x, s) = (script.end("a"), script.end("x"), script.end("s"));
    // The stage's clock starts at 1,000 ms; the policy holds from 1,100 ms on.
    let table = [
        (950, None, 150, "only others were added"),
        (950, Some(a), 150, "neither end of this flow is the pod that was added"),
        (950, Some(x), 100, "its source ran later"),
        (950, Some(s), 100, "its destination ran later"),
        (1000, Some(x), 100, "both at once"),
    ];
    for (sent, added, least, why) in table {
        let running: BTreeMap<_, _> = added.into_iter().map(|id| (id, at(1000))).collect();
        let mut judge = script.judge(meant(&script)).starting(at(sent), &running);
        let now = script.play(&mut judge);
        assert_eq!(judge.ending(now), Ending::Converged, "{why}");
        let took = judged(&script, &judge, now, "x", "s").time_to_enforce.unwrap();
        assert!(took >= least * MS && took <= (least + 20) * MS, "{why}: {took:?}");
        let after = judge.converged.unwrap().after;
        assert!(after >= 100 * MS && after <= 120 * MS, "{why}: the stage counts from its own start: {after:?}");
    }
}

#[test]
fn what_a_flow_met_before_its_pod_ran_is_no_part_of_the_stage() {
    let script = pods();
    let x = script.end("x");
    let script = enforced(script, Fact::Dropped);
    let barred = barred(&script);
    let script = script.reality(move |flow, launch| {
        let absent = (flow.source == x || flow.destination == x) && launch < at(1000);
        if absent || (barred(flow) && launch >= at(1000)) { Fact::Dropped } else { Fact::Arrives }
    });
    let running = BTreeMap::from([(x, at(1000))]);
    let mut judge = script.judge(meant(&script)).starting(at(900), &running);
    let now = script.play(&mut judge);
    let judgement = judged(&script, &judge, now, "a", "x");
    assert_eq!((judgement.call(), judgement.time_to_enforce), (Call::Ok, Some(Duration::ZERO)), "{judgement:?}");
    assert_eq!(judgement.windows, []);
}

#[test]
fn attempts_of_a_removed_pod_are_none_of_the_one_that_is_added_under_its_name() {
    let script = pods();
    let (x, s) = (script.end("x"), script.end("s"));
    let barred = barred(&script);
    let script = script
        .reality(move |flow, launch| if barred(flow) && launch >= at(1000) { Fact::Dropped } else { Fact::Arrives });
    let id = script.id("x", "s");
    // Another life of an agent counts its attempts from far above.
    let renumbered = |sighting: Sighting| match sighting {
        Sighting::Tried { flow, first_number, count, first, last, left_within, slowest, outcome }
            if flow == id && first >= at(1000) =>
        {
            let first_number = first_number + (1 << 20);
            Sighting::Tried { flow, first_number, count, first, last, left_within, slowest, outcome }
        }
        other => other,
    };
    for end in [x, s] {
        let mut judge = script.judge(meant(&script)).starting(at(980), &BTreeMap::from([(end, at(1000))]));
        let mut now = at(0);
        for (told, sighting) in script.sightings() {
            now = told;
            judge.see(&renumbered(sighting));
            if judge.standing(now).converged.is_some() {
                break;
            }
        }
        assert_eq!(judge.ending(now), Ending::Converged);
        let judgement = judged(&script, &judge, now, "x", "s");
        assert_eq!((judgement.windows.as_slice(), judgement.unseen), (&[][..], 0), "{judgement:?}");
        assert_eq!(judgement.time_to_enforce, Some(Duration::ZERO));
    }
}

#[test]
fn a_flow_whose_clock_started_early_has_no_more_time_than_any_other() {
    let mut script = enforced(pods(), Fact::Dropped);
    script.rules.converge_within = 400 * MS;
    for (sent, call) in [(800, Call::Ok), (600, Call::Leak)] {
        let mut judge = script.judge(meant(&script)).starting(at(sent), &BTreeMap::new());
        let now = script.play(&mut judge);
        assert_eq!(judge.ending(now), Ending::Converged);
        assert_eq!(judged(&script, &judge, now, "x", "s").call(), call, "sent at {sent} ms, wrong until 1,100 ms");
    }
}

#[test]
fn nothing_that_was_told_of_a_removed_pod_is_about_the_next_one_of_its_name() {
    let id = EndpointId(1);
    let port = super::super::script::PORT;
    let dialled = |from, until| Sighting::SelfDialled {
        endpoint: id,
        family: Family::V4,
        port,
        first: at(from),
        last: at(until),
        outcome: Outcome::Reached,
    };
    let lost = |since| Sighting::Lost { endpoint: id, since: at(since), why: "killed".into() };
    for renewed in [false, true] {
        let mut ends = Ends::new(2);
        ends.see(&dialled(100, 400));
        ends.see(&lost(450));
        if renewed {
            ends.renew(id, at(600));
        }
        // Told late, of the time before.
        ends.see(&dialled(410, 440));
        ends.see(&lost(450));
        ends.see(&dialled(650, 700));
        let listener = (id, Family::V4, port);
        assert_eq!(ends.lost(id).is_some(), !renewed);
        assert_eq!(ends.lived_through(listener, at(430), at(680)), !renewed, "two lives are not one");
        assert!(ends.lived_through(listener, at(660), at(680)), "what the new one shows counts");
    }
}
