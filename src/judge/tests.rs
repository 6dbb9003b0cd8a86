use super::script::{Fact, MS, Script, at};
use super::*;
use crate::model::document::Strictness;
use crate::model::finding::Contradiction;
use crate::model::flow::Flow;
use crate::model::observation::{Observation, Outcome, Witness};
use crate::model::verdict::DenyForm;
use crate::model::watch::Standing;
use Verdict::{Allowed, Denied};

/// Four pods; `a` may reach `s`, `x` may not, everything else may.
fn pods() -> Script {
    Script::new(&["a", "b", "s", "x"])
}

fn barred(script: &Script) -> impl Fn(&Flow) -> bool + Clone + 'static {
    let (x, s) = (script.end("x"), script.end("s"));
    move |flow: &Flow| flow.source == x && flow.destination == s
}

fn meant(script: &Script) -> impl Fn(&Flow) -> Verdict + 'static {
    let barred = barred(script);
    move |flow| if barred(flow) { Denied } else { Allowed }
}

/// Enforced at 1,100 ms, in the given way.
fn enforced(script: Script, how: Fact) -> Script {
    let barred = barred(&script);
    script.reality(move |flow, launch| if barred(flow) && launch >= at(1100) { how } else { Fact::Arrives })
}

fn judged(script: &Script, judge: &Judge, now: Moment, from: &str, to: &str) -> Judgement {
    judge.verdicts(now).get(script.id(from, to)).unwrap().clone()
}

#[test]
fn a_policy_enforced_late_converges_with_the_time_it_took() {
    let script = enforced(pods(), Fact::Dropped);
    let mut judge = script.judge(meant(&script));
    let now = script.play(&mut judge);
    let converged = judge.converged.unwrap();
    assert!(converged.after >= 100 * MS && converged.after <= 120 * MS, "{converged:?}: launch of the first silence");
    // Everything launched in a window after the last wrong attempt, and its deadline, has to be over.
    assert!(now >= at(1100 + 100 + 100) && now <= at(1350), "{now:?}");
    let verdicts = judge.verdicts(now);
    for (id, flow, judgement) in verdicts.iter() {
        assert_eq!(judgement.call(), Call::Ok, "{flow:?}");
        if id == script.id("x", "s") {
            assert_eq!(judgement.verdict, Some(Denied));
            assert!(matches!(judgement.observation, Observation::Silent { attempts } if attempts >= 4));
            assert_eq!(
                judgement.witness,
                Some(Witness::Strong { answered: "a".into(), source: "x answered a at 80/tcp".into() })
            );
            assert_eq!(judgement.time_to_enforce, Some(converged.after));
            assert_eq!(judgement.windows.len(), 1, "what was wrong before is kept as a window");
        } else {
            assert_eq!(judgement.verdict, Some(Allowed));
            assert_eq!(judgement.time_to_enforce, Some(Duration::ZERO));
            assert_eq!(judgement.windows, []);
        }
    }
    assert_eq!(findings(&verdicts, &judge.intent, &judge.meaning, &judge.who, |_, _| String::new()), []);
}

#[test]
fn each_way_of_being_wrong_has_its_call() {
    use Fact::*;
    // What happens on the barred flow for good, with which rules; what it is called; and how it ends.
    type Change = fn(&mut Script);
    let none: Change = |_| ();
    let drop: Change = |script| script.rules.deny = DenyForm::Drop;
    let reject: Change = |script| script.rules.deny = DenyForm::Reject;
    let table: [(Fact, Change, Call, Ending, &str); 14] = [
        (Dropped, none, Call::Ok, Ending::Converged, "silence with a witness is a denial"),
        (Rejected, none, Call::Ok, Ending::Converged, "a rejection too, unless the scenario wants a drop"),
        (Rejected, drop, Call::Inconclusive, Ending::TimedOut, "deny: drop, and it was rejected"),
        (Dropped, reject, Call::Inconclusive, Ending::TimedOut, "deny: reject, and it was dropped"),
        (Rejected, reject, Call::Ok, Ending::Converged, "deny: reject, and it was rejected"),
        (Arrives, none, Call::Leak, Ending::TimedOut, "never enforced"),
        (OneWay, none, Call::Leak, Ending::TimedOut, "it arrives, whatever its source hears"),
        (HalfOpen, none, Call::Leak, Ending::TimedOut, "a handshake is a hole"),
        (Reset, none, Call::Leak, Ending::TimedOut, "a handshake is a hole, though it was reset after"),
        (Translated, none, Call::Leak, Ending::TimedOut, "reached with another source address is reached"),
        (ArrivesAndForgotten, none, Call::Leak, Ending::TimedOut, "the destination's record alone proves a leak"),
        (SomeoneElse, none, Call::WrongServer, Ending::TimedOut, "somebody answers in its place"),
        (NoRoute, none, Call::Inconclusive, Ending::TimedOut, "no route is no denial"),
        (Starved, none, Call::Inconclusive, Ending::TimedOut, "a starved source saw nothing"),
    ];
    for (fact, change, expected, ending, why) in table {
        let mut script = enforced(pods(), fact);
        change(&mut script);
        let mut judge = script.judge(meant(&script));
        let now = script.play(&mut judge);
        assert_eq!(judge.ending(now), ending, "{why}");
        assert_eq!(judged(&script, &judge, now, "x", "s").call(), expected, "{why}");
        assert_eq!(judged(&script, &judge, now, "a", "s").call(), Call::Ok, "{why}: the others are well");
    }
}

#[test]
fn lost_records_are_not_silence() {
    let sentences = [
        (1, "no attempt in the final window is on record"),
        (2, "only 2 of the 4 silent attempts that a denial takes could be counted: records are missing"),
    ];
    for (kept, sentence) in sentences {
        let script = pods();
        let barred = barred(&script);
        let script = script.reality(move |flow, launch| match (barred(flow), (launch.0 / 20_000_000) % kept) {
            (false, _) => Fact::Arrives,
            (true, 0) => Fact::DroppedAndForgotten,
            (true, _) => Fact::Dropped,
        });
        let mut judge = script.judge(meant(&script));
        let now = script.play(&mut judge);
        let judgement = judged(&script, &judge, now, "x", "s");
        assert_eq!(judgement.call(), Call::Inconclusive, "{judgement:?}");
        let Observation::NotSeen { why } = judgement.observation else { panic!("{judgement:?}") };
        assert!(why == sentence || why == sentence.replace("only 2", "only 3"), "{why}");
    }
}

#[test]
fn each_way_of_not_being_reached_has_its_call() {
    use Fact::*;
    // `a` to `s` is allowed; this happens to it from 1,100 ms on.
    let table: [(Fact, Call, &str); 10] = [
        (Dropped, Call::Outage, "silence where allowed is right"),
        (Rejected, Call::Outage, "refused, though the listener answers others"),
        (OneWay, Call::Ok, "it arrives: allowed, and noted"),
        (Translated, Call::Ok, "reached with another source address: allowed, and noted"),
        (HalfOpen, Call::Inconclusive, "a handshake without proof is no service"),
        (Reset, Call::Inconclusive, "nor is a reset after it"),
        (NoRoute, Call::Outage, "no way there any more is out, though denied by nobody"),
        (SomeoneElse, Call::WrongServer, "somebody answers in its place"),
        (Starved, Call::Inconclusive, "nothing was seen"),
        (DroppedAndForgotten, Call::Inconclusive, "nothing is known"),
    ];
    for (fact, expected, why) in table {
        let script = pods();
        let (a, s) = (script.end("a"), script.end("s"));
        let barred = barred(&script);
        let script = script.reality(move |flow, launch| {
            if barred(flow) {
                Dropped
            } else if flow.source == a && flow.destination == s && launch >= at(1100) {
                fact
            } else {
                Arrives
            }
        });
        let mut judge = script.judge(meant(&script));
        let now = script.play_out(&mut judge);
        // Where it was right long enough before, the stage converged; that does not make the end right.
        let judgement = judged(&script, &judge, now, "a", "s");
        assert_eq!(judgement.call(), expected, "{why}: {judgement:?}");
        assert_eq!(judged(&script, &judge, now, "x", "s").call(), Call::Ok, "{why}: the others are well");
        if matches!(fact, OneWay | Translated | HalfOpen | Reset) {
            assert!(judgement.note.is_some(), "{why}: a person is told");
        }
    }
}

#[test]
fn a_denial_needs_a_witness() {
    // What else happens while `x` to `s` is dropped; whether the baseline saw everything; how strict; what comes of it.
    type Reality = fn(&Script) -> Box<dyn Fn(&Flow, Moment) -> Fact>;
    type Listens = fn(&Script) -> Box<dyn Fn(EndpointId, Moment) -> bool>;
    type Expected = fn(&Option<Witness>) -> bool;
    let only_barred: Reality = |script| {
        let barred = barred(script);
        Box::new(move |flow, _| if barred(flow) { Fact::Dropped } else { Fact::Arrives })
    };
    let into_s: Reality = |script| {
        let s = script.end("s");
        Box::new(move |flow, _| if flow.destination == s { Fact::Dropped } else { Fact::Arrives })
    };
    let around_s: Reality = |script| {
        let s = script.end("s");
        Box::new(move |flow, _| if flow.destination == s || flow.source == s { Fact::Dropped } else { Fact::Arrives })
    };
    let around_x: Reality = |script| {
        let x = script.end("x");
        Box::new(move |flow, _| if flow.destination == x || flow.source == x { Fact::Dropped } else { Fact::Arrives })
    };
    let everything: Reality = |_| Box::new(|_, _| Fact::Dropped);
    let refused: Reality = |script| {
        let s = script.end("s");
        Box::new(move |flow, _| if flow.destination == s { Fact::Rejected } else { Fact::Arrives })
    };
    // The sources of what arrives are too starved to tell of it; only the destinations do.
    let untold: Reality = |script| {
        let barred = barred(script);
        Box::new(move |flow, _| if barred(flow) { Fact::Dropped } else { Fact::ArrivesAndForgotten })
    };
    let all: Listens = |_| Box::new(|_, _| true);
    let s_deaf: Listens = |script| {
        let s = script.end("s");
        Box::new(move |end, _| end != s)
    };
    let refused_late: Reality = |script| {
        let barred = barred(script);
        Box::new(move |flow, _| if barred(flow) { Fact::Rejected } else { Fact::Arrives })
    };
    let s_stops: Listens = |script| {
        let s = script.end("s");
        Box::new(move |end, now| end != s || now < at(950))
    };
    let strong: Expected = |witness| matches!(witness, Some(Witness::Strong { .. }));
    let indirect: Expected = |witness| matches!(witness, Some(Witness::Indirect { .. }));
    let weak_s: Expected = |witness| *witness == Some(Witness::Weak { cut_off: vec!["s".into()] });
    let weak_x: Expected = |witness| *witness == Some(Witness::Weak { cut_off: vec!["x".into()] });
    let weak_both: Expected = |witness| *witness == Some(Witness::Weak { cut_off: vec!["x".into(), "s".into()] });
    let none: Expected = |witness| witness.is_none();
    use Strictness::{Normal, Strict};
    let (ok, unsure) = (Call::Ok, Call::Inconclusive);
    let table: [(Reality, Listens, bool, Strictness, Expected, Call, &str); 15] = [
        (refused_late, all, true, Normal, strong, ok, "refused, while the listener answers others and itself"),
        (refused_late, s_deaf, true, Normal, none, unsure, "refused by a listener that fails to answer itself"),
        (only_barred, all, true, Normal, strong, ok, "the listener answered others, the source reached others"),
        (only_barred, s_deaf, true, Normal, strong, ok, "an answer to others outweighs a failed self-dial"),
        (untold, all, true, Normal, strong, ok, "what others delivered over connections is as good as what they told"),
        (into_s, all, true, Normal, indirect, ok, "nobody gets in, but it answers itself and gets out"),
        (into_s, s_deaf, true, Normal, none, unsure, "nobody gets in, and it does not answer itself either"),
        (refused, all, true, Normal, indirect, ok, "refused, and the listener answers itself at that port"),
        (refused, s_deaf, true, Normal, none, unsure, "refused: by a dead listener, for all we know"),
        (refused, s_stops, true, Normal, none, unsure, "it answered itself before, but no longer"),
        (around_s, all, true, Normal, weak_s, ok, "cut off both ways: the baseline and its self-dial speak for it"),
        (around_s, all, true, Strict, weak_s, unsure, "which is not enough for --strict"),
        (around_s, all, false, Normal, none, unsure, "nor is it without a baseline"),
        (around_x, all, true, Normal, weak_x, ok, "a source that is cut off both ways"),
        (everything, all, true, Normal, weak_both, ok, "everything is cut off"),
    ];
    for (reality, listens, proven, strictness, expected, call, why) in table {
        let mut script = pods();
        script.reality = reality(&script);
        script.listens = listens(&script);
        script.proven = proven;
        script.rules.strictness = strictness;
        let real = reality(&script);
        let arrives = |fact| matches!(fact, Fact::Arrives | Fact::ArrivesAndForgotten);
        let mut judge = script.judge(move |flow| if arrives(real(flow, at(2000))) { Allowed } else { Denied });
        let now = script.play(&mut judge);
        let judgement = judged(&script, &judge, now, "x", "s");
        assert!(expected(&judgement.witness), "{why}: {:?}", judgement.witness);
        assert_eq!(judgement.call(), call, "{why}: {:?}", judgement.note);
        assert_eq!(judgement.verdict, (call == ok).then_some(Denied), "{why}");
    }
}

#[test]
fn blind_and_lost_agents_make_no_denial() {
    type Change = fn(&mut Script);
    let table: [(Change, Call, Ending, &str); 5] = [
        (
            |script| script.blind = vec![(script.end("x"), at(1000), at(3400))],
            Call::Inconclusive,
            Ending::TimedOut,
            "a source that cannot see proves nothing by silence",
        ),
        (
            |script| script.blind = vec![(script.end("s"), at(1000), at(3400))],
            Call::Inconclusive,
            Ending::TimedOut,
            "nor does a destination that could not have noticed an arrival",
        ),
        (
            |script| script.blind = vec![(script.end("s"), at(1150), at(1250))],
            Call::Ok,
            Ending::Converged,
            "blindness that passes only takes time",
        ),
        (
            |script| script.lost = vec![(script.end("x"), at(1150))],
            Call::Inconclusive,
            Ending::Converged,
            "a lost source is not waited for, and ends inconclusive",
        ),
        (
            |script| script.lost = vec![(script.end("s"), at(1150))],
            Call::Inconclusive,
            Ending::Converged,
            "a lost destination is not waited for either",
        ),
    ];
    for (change, call, ending, why) in table {
        let mut script = enforced(pods(), Fact::Dropped);
        change(&mut script);
        let mut judge = script.judge(meant(&script));
        let now = script.play(&mut judge);
        assert_eq!(judge.ending(now), ending, "{why}");
        let judgement = judged(&script, &judge, now, "x", "s");
        assert_eq!(judgement.call(), call, "{why}: {judgement:?}");
        assert_eq!(judgement.verdict.is_some(), call == Call::Ok, "{why}");
    }
}

#[test]
fn after_convergence_nothing_is_forgiven() {
    // What happens between 2,000 ms and the given end, to whom; what the cell is called, and what its window says.
    let table: [(&str, Fact, u64, Call, u32, &str); 5] = [
        ("x", Fact::Arrives, 2060, Call::Leak, 3, "a leak of three attempts"),
        ("x", Fact::Arrives, 2020, Call::Leak, 1, "a leak of one attempt"),
        ("a", Fact::Dropped, 2020, Call::Outage, 1, "an outage of one attempt"),
        ("a", Fact::Dropped, 2400, Call::Outage, 20, "an outage of twenty"),
        ("a", Fact::NoRoute, 2400, Call::Outage, 20, "no way there, where there was one: out for whoever uses it"),
    ];
    for (who, fact, end, call, attempts, why) in table {
        let script = pods();
        let (end, cell) = (at(end), script.id(who, "s"));
        let (set, barred) = (script.set.clone(), barred(&script));
        let script = script.reality(move |flow, launch| {
            let this = set.table().find(flow) == Some(cell);
            match (this && launch >= at(2000) && launch < end, barred(flow)) {
                (true, _) => fact,
                (false, true) => Fact::Dropped,
                (false, false) => Fact::Arrives,
            }
        });
        let mut judge = script.judge(meant(&script));
        let now = script.play_out(&mut judge);
        assert!(judge.converged.is_some(), "{why}");
        let flow = script.who().named(script.set.table().get(cell).unwrap());
        let [(opened, as_what, Turn::Opened), (closed, _, Turn::Closed { lasted })] = &judge.news()[..] else {
            panic!("{why}: one window, that opened and closed")
        };
        assert_eq!((opened, closed, *as_what), (&flow, &flow, call), "{why}");
        assert!(*lasted >= end.since(at(2000)), "{why}: {lasted:?}");
        let judgement = judged(&script, &judge, now, who, "s");
        assert_eq!(judgement.call(), call, "{why}: {judgement:?}");
        let [window] = &judgement.windows[..] else { panic!("{why}: {:?}", judgement.windows) };
        assert_eq!(window.attempts, attempts, "{why}");
        let (before, after) = (window.right_before_us.unwrap(), window.right_after_us.unwrap());
        assert_eq!(after - before, u64::from(attempts + 1) * 20_000, "{why}: the bounds are the attempts around it");
        assert_eq!(window.last_wrong_us - window.first_wrong_us, u64::from(attempts - 1) * 20_000, "{why}");
        let others = judge.verdicts(now);
        let wrong = others.iter().filter(|(_, _, judgement)| judgement.call() != Call::Ok).count();
        assert_eq!(wrong, 1, "{why}: nothing else is found");
    }
}

#[test]
fn a_long_attempt_that_gets_through_is_a_leak_though_no_short_one_did() {
    let script = enforced(pods(), Fact::Dropped);
    let mut judge = script.judge(meant(&script));
    let now = script.play_out(&mut judge);
    let flow = script.id("x", "s");
    let long = |outcome| Sighting::Persisted { flow, launched: at(1900), ended: at(2900), outcome };
    judge.see(&long(Outcome::Silent));
    assert_eq!(judged(&script, &judge, now, "x", "s").call(), Call::Ok, "it did not get through");
    judge.see(&Sighting::Persisted {
        flow: script.id("a", "s"),
        launched: at(1900),
        ended: at(1901),
        outcome: Outcome::Reached,
    });
    assert_eq!(judged(&script, &judge, now, "a", "s").call(), Call::Ok, "it may");
    judge.see(&long(Outcome::Reached));
    let judgement = judged(&script, &judge, now, "x", "s");
    assert_eq!(judgement.call(), Call::Leak, "{judgement:?}");
    let window = judgement.windows.last().unwrap();
    assert_eq!((window.attempts, window.right_after_us), (1, None), "nobody knows how long it was open");
    assert_eq!(judge.persistent(), 3);
    assert!(judge.news().iter().any(|(_, call, turn)| (*call, *turn) == (Call::Leak, Turn::Opened)));
}

#[test]
fn budgets_and_what_is_known_decide_what_a_window_counts_as() {
    // x reaches s from 2,000 to 2,060 ms: three attempts of a leak of 40 to 80 ms.
    let table = [
        (0, false, Call::Leak, Standing::Counted, "nothing may leak"),
        (30, false, Call::Leak, Standing::Counted, "even its lower bound is over the budget"),
        (60, false, Call::Leak, Standing::Counted, "its upper bound is, and nobody can show that it was short enough"),
        (200, false, Call::Ok, Standing::WithinBudget, "it is within the budget"),
        (0, true, Call::Ok, Standing::Known, "it is known"),
    ];
    for (budget, known, call, standing, why) in table {
        let script = pods();
        let barred = barred(&script);
        let cell = script.id("x", "s");
        let script = script.reality(move |flow, launch| {
            let open = launch >= at(2000) && launch < at(2060);
            if barred(flow) && !open { Fact::Dropped } else { Fact::Arrives }
        });
        let tolerance = Tolerance {
            usual: Allowance { outage: Duration::ZERO, leak: budget * MS },
            known: known.then_some((cell, Call::Leak)).into_iter().collect(),
            ..Tolerance::default()
        };
        let mut judge = script.judge(meant(&script)).tolerating(tolerance);
        let now = script.play_out(&mut judge);
        assert!(judge.converged.is_some(), "{why}");
        let judgement = judged(&script, &judge, now, "x", "s");
        assert_eq!(judgement.call(), call, "{why}: {judgement:?}");
        assert_eq!(judgement.windows.last().map(|window| window.standing), Some(standing), "{why}: {judgement:?}");
    }
}

#[test]
fn a_listener_that_dies_while_watched_is_no_outage() {
    let script = pods();
    let (s, barred) = (script.end("s"), barred(&script));
    let dead = |now: Moment| now >= at(2000) && now < at(2400);
    let mut script = script.reality(move |flow, launch| match (barred(flow), flow.destination == s && dead(launch)) {
        (true, _) => Fact::Dropped,
        (false, true) => Fact::Rejected,
        (false, false) => Fact::Arrives,
    });
    script.listens = Box::new(move |end, now| end != s || !dead(now));
    let mut judge = script.judge(meant(&script));
    let now = script.play_out(&mut judge);
    let judgement = judged(&script, &judge, now, "a", "s");
    assert_eq!(judgement.call(), Call::Inconclusive, "{judgement:?}");
    assert_eq!(judgement.windows, [], "what may be the listener's own doing is no window");
}

#[test]
fn no_way_there_is_an_outage_only_of_what_worked_and_may_and_never_a_denial() {
    // Whom there is no way for, from when on, while who listens; what the cell is called.
    type Listens = fn(EndpointId, EndpointId, Moment) -> bool;
    let always: Listens = |_, _, _| true;
    let dead: Listens = |end, s, now| end != s || now < at(2000);
    let table = [
        ("a", 2000, always, Call::Outage, "it worked, and does not any more"),
        ("a", 0, always, Call::Inconclusive, "it never worked: perhaps nothing ever led there"),
        ("a", 2000, dead, Call::Inconclusive, "its destination may be gone altogether"),
        ("x", 2000, always, Call::Inconclusive, "it may not work: that there is no way is no denial, and no leak"),
    ];
    for (who, from, listens, call, why) in table {
        let script = pods();
        let (cell, s) = (script.id(who, "s"), script.end("s"));
        let (set, barred) = (script.set.clone(), barred(&script));
        let mut script = script.reality(move |flow, launch| {
            match (set.table().find(flow) == Some(cell) && launch >= at(from), barred(flow)) {
                (true, _) => Fact::NoRoute,
                (false, true) => Fact::Dropped,
                (false, false) => Fact::Arrives,
            }
        });
        script.listens = Box::new(move |end, now| listens(end, s, now));
        let mut judge = script.judge(meant(&script));
        let now = script.play_out(&mut judge);
        assert_eq!(judge.converged.is_some(), from > 0, "{why}");
        let judgement = judged(&script, &judge, now, who, "s");
        assert_eq!(judgement.call(), call, "{why}: {judgement:?}");
        let since = judgement.windows.iter().filter(|window| window.first_wrong_us >= 2_000_000).count();
        assert_eq!(since, usize::from(call == Call::Outage), "{why}: {judgement:?}");
    }
}

#[test]
fn what_could_not_be_seen_while_watched_is_not_read_as_quiet() {
    let mut script = enforced(pods(), Fact::Dropped);
    script.blind = vec![(script.end("x"), at(1800), at(2300))];
    let mut judge = script.judge(meant(&script));
    let now = script.play_out(&mut judge);
    assert!(judge.converged.is_some());
    let judgement = judged(&script, &judge, now, "x", "s");
    assert_eq!(judgement.call(), Call::Inconclusive, "{judgement:?}");
    assert!(judgement.unseen >= 25, "{judgement:?}");
    assert_eq!(judgement.windows.len(), 1, "only the one before convergence: blindness is no outage and no leak");
    // Its reached attempts were seen all the same: being reached is proof by itself.
    assert_eq!(judged(&script, &judge, now, "x", "b").call(), Call::Ok);
}

#[test]
fn what_goes_to_and_fro_until_time_runs_out_is_one_finding_with_its_windows() {
    let script = pods();
    let barred = barred(&script);
    let script = script.reality(move |flow, launch| {
        let open = (launch.0 / 1_000_000 / 80) % 2 == 0;
        if barred(flow) && !open { Fact::Dropped } else { Fact::Arrives }
    });
    let mut judge = script.judge(meant(&script));
    let now = script.play(&mut judge);
    assert_eq!(judge.ending(now), Ending::TimedOut);
    let verdicts = judge.verdicts(now);
    let found = findings(&verdicts, &judge.intent, &judge.meaning, &judge.who, |_, _| "because".into());
    let [finding] = &found[..] else { panic!("{found:?}") };
    assert_eq!(finding.call, Call::Leak);
    assert!(finding.windows.len() > 5, "{}", finding.windows.len());
    assert!(finding.windows.iter().all(|window| window.call == Call::Leak));
}

#[test]
fn what_arrived_while_enforcement_had_hardly_begun_is_no_verdict_on_the_end() {
    let mut script = pods();
    // As slow as a huge matrix on a busy machine makes it: two turns of a cell take nearly as long as there is.
    script.rules = Rules { interval: 2500 * MS, window: 2500 * MS, converge_within: 6000 * MS, ..script.rules };
    script.until = at(7400);
    let barred = barred(&script);
    let mut script = script.reality(move |flow, launch| match (barred(flow), launch < at(3400)) {
        (true, true) => Fact::Arrives,
        (true, false) => Fact::Starved,
        (false, _) => Fact::Arrives,
    });
    script.rules.sent = at(900);
    let mut judge = script.judge(meant(&script));
    let now = script.play(&mut judge);
    assert_eq!(judge.ending(now), Ending::TimedOut);
    let judgement = judged(&script, &judge, now, "x", "s");
    assert_eq!(judgement.call(), Call::Inconclusive, "nothing was seen of it since: {judgement:?}");
}

#[test]
fn enforcement_later_than_allowed_is_a_finding_though_it_came() {
    let mut script = enforced(pods(), Fact::Dropped);
    for (limit, call) in [(150 * MS, Call::Ok), (50 * MS, Call::Leak)] {
        script.rules.max_enforce = Some(limit);
        let mut judge = script.judge(meant(&script));
        let now = script.play(&mut judge);
        assert_eq!(judge.ending(now), Ending::Converged);
        let judgement = judged(&script, &judge, now, "x", "s");
        assert_eq!(judgement.call(), call, "{limit:?}");
        assert_eq!(judgement.passing, (call == Call::Leak).then_some(Passing::Late));
    }
}

#[test]
fn a_slow_pace_makes_nobody_late_who_was_not_seen_wrong_too_late() {
    // Seen wrong at once, then right: with turns so rare that the first right one comes after the time allowed.
    let mut script = enforced(pods(), Fact::Dropped);
    script.rules.converge_within = 50 * MS;
    for (allowed, call) in [(150 * MS, Call::Ok), (50 * MS, Call::Leak)] {
        script.rules = Rules { converge_within: allowed, ..script.rules }.at(script.rules.interval, at(3000));
        assert_eq!(script.rules.allowed, Some(allowed));
        let mut judge = script.judge(meant(&script));
        let now = script.play(&mut judge);
        assert_eq!(judge.ending(now), Ending::Converged);
        assert_eq!(judged(&script, &judge, now, "x", "s").call(), call, "wrong until 100 ms, allowed {allowed:?}");
        script.rules.allowed = None;
    }
}

#[test]
fn an_interrupted_stage_blames_nobody_for_what_had_time_left() {
    let script = enforced(pods(), Fact::Dropped);
    let mut judge = script.judge(meant(&script));
    for (_, sighting) in script.sightings().into_iter().take_while(|(now, _)| *now < at(1090)) {
        judge.see(&sighting);
    }
    judge.standing(at(1090));
    assert_eq!(judge.ending(at(1090)), Ending::Interrupted);
    let judgement = judged(&script, &judge, at(1090), "x", "s");
    assert_eq!(judgement.call(), Call::Inconclusive, "{judgement:?}");
}

#[test]
fn reality_that_agrees_with_meaning_converges_and_is_held_against_intent_all_the_same() {
    let script = enforced(pods(), Fact::Dropped);
    let barred = barred(&script);
    let intent = Matrix::build(script.set.clone(), |_, _| Intent::Stated(Allowed));
    let meaning =
        Matrix::build(script.set.clone(), |_, flow| Meaning::Known(if barred(flow) { Denied } else { Allowed }));
    let mut judge = script.judge_of(intent, meaning);
    let now = script.play(&mut judge);
    assert_eq!(judge.ending(now), Ending::Converged);
    let judgement = judged(&script, &judge, now, "x", "s");
    assert_eq!((judgement.row.call, judgement.row.contradiction), (Call::Outage, Contradiction::Present));
    let sums = counts(&judge.verdicts(now), &judge.intent);
    assert_eq!((sums.cells, sums.ok, sums.outages, sums.contradictions), (12, 11, 1, 1));
}

#[test]
fn nothing_to_go_by_is_unjudged_and_holds_nobody_up() {
    let script = pods();
    let intent = Matrix::build(script.set.clone(), |_, _| Intent::Unstated);
    let meaning = Matrix::build(script.set.clone(), |_, _| Meaning::Unknown);
    let mut judge = script.judge_of(intent, meaning);
    let now = script.play(&mut judge);
    assert_eq!(judge.ending(now), Ending::Converged);
    assert_eq!(counts(&judge.verdicts(now), &judge.intent).unjudged, 12);
}

#[test]
fn turns_of_several_attempts_make_a_denial_too() {
    let mut script = pods();
    script.rules.interval = 200 * MS;
    script.rules.window = window(script.rules.deadline, script.rules.interval);
    let script = enforced(script, Fact::Dropped);
    let mut judge = script.judge(meant(&script));
    let now = script.play(&mut judge);
    assert_eq!(judge.ending(now), Ending::Converged);
    assert!(now < at(1900), "{now:?}: a window, two turns and a deadline after enforcement");
    let judgement = judged(&script, &judge, now, "x", "s");
    assert!(matches!(judgement.observation, Observation::Silent { attempts: 4.. }), "{judgement:?}");
}

#[test]
fn late_news_corrects_what_was_counted() {
    let script = enforced(pods(), Fact::Dropped);
    let mut judge = script.judge(meant(&script));
    let now = script.play(&mut judge);
    assert_eq!(judged(&script, &judge, now, "x", "s").call(), Call::Ok);
    let newest = judge.cells[judge.set.place(script.id("x", "s")).unwrap()].settled.back().unwrap().clone();
    // A datagram that came in after its deadline.
    let mut leaky = judge.clone();
    leaky.see(&Sighting::Delivered {
        flow: script.id("x", "s"),
        first_number: newest.number,
        count: 1,
        first: now,
        last: now,
    });
    leaky.standing(now);
    assert_eq!(judged(&script, &leaky, now, "x", "s").call(), Call::Leak);
    // A blindness that was noticed afterwards.
    let mut blind = judge.clone();
    let why = crate::model::observation::Blindness::Loopback;
    blind.see(&Sighting::Blind { endpoint: script.end("s"), from: at(1000), until: now, why });
    blind.standing(now);
    let judgement = judged(&script, &blind, now, "x", "s");
    assert_eq!((judgement.call(), judgement.verdict), (Call::Inconclusive, None), "{judgement:?}");
}

#[test]
fn the_baseline_wants_every_cell_reached() {
    use Fact::*;
    let table: [(Fact, bool, &str, &str); 8] = [
        (Arrives, true, "", "reached"),
        (Translated, true, "", "reached, though seen as somebody else"),
        (Dropped, false, "a -> s:80/tcp: silent", "nothing comes back"),
        (OneWay, false, "a -> s:80/tcp: attempts arrive, but no answer comes back", "half the way"),
        (HalfOpen, false, "a -> s:80/tcp: a handshake, but no proof", "who was it?"),
        (Rejected, false, "a -> s:80/tcp: connection refused", "nobody listens"),
        (SomeoneElse, false, "a -> s:80/tcp: somebody else answered: stranger", "a stranger listens"),
        (Starved, false, "a -> s:80/tcp: not seen: its agent got no processor time", "nobody looked"),
    ];
    for (fact, sound, sentence, why) in table {
        let script = pods();
        let (a, s) = (script.end("a"), script.end("s"));
        let script =
            script.reality(move |flow, _| if flow.source == a && flow.destination == s { fact } else { Arrives });
        let mut baseline = Baseline::new(script.set.clone(), script.rules, script.who());
        for (_, sighting) in script.sightings() {
            baseline.see(&sighting);
        }
        assert_eq!(baseline.standing().is_complete(), sound, "{why}");
        assert_eq!(baseline.proven().has(script.id("a", "s")), sound, "{why}");
        let broken = baseline.broken();
        assert_eq!(broken.len(), usize::from(!sound), "{why}");
        for (_, flow, observation) in broken {
            let told = baseline.describe(&flow, &observation);
            assert!(told.starts_with(sentence), "{why}: {told}");
        }
    }
}

#[test]
fn what_is_known_of_later_than_the_window_holds_convergence_up_too() {
    // Enforced at 1,100 ms; open again from 1,280 to 1,300 ms, when the window up to 1,220 ms would have proven it.
    for fact in [Fact::Arrives, Fact::OneWay, Fact::ArrivesAndForgotten, Fact::HalfOpen, Fact::SomeoneElse] {
        let script = pods();
        let barred = barred(&script);
        let script = script.reality(move |flow, launch| match (barred(flow), launch) {
            (false, _) => Fact::Arrives,
            (true, launch) if launch < at(1100) => Fact::Arrives,
            (true, launch) if launch >= at(1280) && launch < at(1300) => fact,
            (true, _) => Fact::Dropped,
        });
        let mut judge = script.judge(meant(&script));
        let now = script.play(&mut judge);
        let converged = judge.converged.unwrap();
        // A half-open attempt is known as one only at its deadline, when the stage has converged; a run ends there.
        let (after, call) = match fact {
            Fact::HalfOpen => (100..=120, Call::Ok),
            _ => (300..=320, Call::Ok),
        };
        assert!(after.contains(&converged.after.as_millis()), "{fact:?}: {converged:?}");
        assert_eq!(judged(&script, &judge, now, "x", "s").call(), call, "{fact:?}");
    }
}

#[test]
fn convergence_waits_for_its_witness() {
    let script = pods();
    let s = script.end("s");
    let mut script = script.reality(move |flow, _| if flow.destination == s { Fact::Dropped } else { Fact::Arrives });
    script.listens = Box::new(move |end, now| end != s || now >= at(1600));
    let mut judge = script.judge(move |flow| if flow.destination == s { Denied } else { Allowed });
    let now = script.play(&mut judge);
    assert_eq!(judge.ending(now), Ending::Converged);
    assert!(now >= at(1650), "{now:?}: not before the listener answered itself throughout a window");
    assert_eq!(judged(&script, &judge, now, "x", "s").time_to_enforce, Some(Duration::ZERO), "though it was right");
}

#[test]
fn a_flow_that_this_world_cannot_carry_is_counted_and_not_waited_for() {
    let script = enforced(pods(), Fact::Dropped);
    let mut judge = script.judge(meant(&script));
    let flow = script.id("b", "s");
    let sightings = script.sightings().into_iter().map(|(now, sighting)| match sighting {
        Sighting::Tried { flow: this, first_number, count, first, last, slowest, .. } if this == flow => {
            let outcome = Outcome::Unsupported { what: "SCTP".into() };
            (now, Sighting::Tried { flow: this, first_number, count, first, last, slowest, outcome })
        }
        other => (now, other),
    });
    let mut end = at(0);
    for (now, sighting) in sightings {
        judge.see(&sighting);
        end = now;
        if judge.standing(now).converged.is_some() {
            break;
        }
    }
    assert_eq!(judge.ending(end), Ending::Converged);
    let sums = counts(&judge.verdicts(end), &judge.intent);
    assert_eq!((sums.cells, sums.ok, sums.unsupported), (12, 11, 1));
}

#[test]
fn what_was_known_of_agents_is_known_in_the_next_stage() {
    let mut script = enforced(pods(), Fact::Dropped);
    script.lost = vec![(script.end("b"), at(1150))];
    let mut judge = script.judge(meant(&script));
    let now = script.play(&mut judge);
    assert_eq!(judge.standing(now).lost, 6);
    let mut next = script.judge(meant(&script)).knowing(judge.agents());
    let standing = next.standing(now);
    assert_eq!((standing.of, standing.lost), (6, 6), "nobody waits for an agent that was lost before");
    assert_eq!(script.judge(meant(&script)).standing(now).lost, 0, "as one who was not told would");
}

#[test]
fn findings_name_the_other_readings_whom_to_blame_and_what_to_do_next() {
    use Fact::*;
    type Readings = (Intent, Meaning);
    let (ia, id) = (Intent::Stated(Allowed), Intent::Stated(Denied));
    let (ma, md) = (Meaning::Known(Allowed), Meaning::Known(Denied));
    let table: [(Readings, Fact, Call, &str); 8] = [
        ((id, md), Arrives, Call::Leak, "`leakproof explain s.yaml x s 80/tcp` shows what should stop it"),
        ((ia, ma), Dropped, Call::Outage, "`leakproof explain s.yaml x s 80/tcp` shows what should let it pass"),
        ((ia, md), Dropped, Call::Outage, "`leakproof explain s.yaml x s 80/tcp` shows what the policy lacks"),
        ((id, ma), Arrives, Call::Leak, "`leakproof explain s.yaml x s 80/tcp` shows which rule lets it through"),
        ((ia, md), Arrives, Call::Leak, "`leakproof explain s.yaml x s 80/tcp` shows what denies it"),
        ((id, ma), Dropped, Call::Outage, "look for policies, firewalls or routes outside this scenario"),
        ((ia, Meaning::Unknown), Dropped, Call::Outage, "check the policies that `leakproof explain"),
        ((ia, md), Starved, Call::Contradiction, "`leakproof explain s.yaml x s 80/tcp` shows what the policy lacks"),
    ];
    for ((intent, meaning), fact, call, next) in table {
        let script = pods();
        let barred = barred(&script);
        let this = barred.clone();
        let script = script.reality(move |flow, _| if this(flow) { fact } else { Arrives });
        let intents = Matrix::build(script.set.clone(), |_, flow| if barred(flow) { intent } else { ia });
        let meanings = Matrix::build(script.set.clone(), |_, flow| if barred(flow) { meaning } else { ma });
        let mut judge = script.judge_of(intents.clone(), meanings.clone());
        let now = script.play(&mut judge);
        let found = findings(&judge.verdicts(now), &intents, &meanings, &script.who(), |_, _| "because".into());
        let [finding] = &found[..] else { panic!("{fact:?}: {found:?}") };
        assert_eq!((finding.call, finding.intent, finding.meaning), (call, intent, meaning));
        assert_eq!(finding.flow.to_string(), "x -> s:80/tcp");
        assert_eq!(finding.because, "because");
        assert!(finding.next.starts_with(next), "{}", finding.next);
    }
}

#[test]
#[ignore = "prints figures, and proves nothing"]
fn figures_for_a_hundred_pods() {
    let names: Vec<String> = (0..100).map(|number| format!("pod-{number:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut script = Script::new(&names);
    script.rules.deadline = 300 * MS;
    script.rules.interval = 1650 * MS;
    script.rules.window = window(script.rules.deadline, script.rules.interval);
    script.rules.converge_within = 10_000 * MS;
    script.until = at(7000);
    let denied = |flow: &Flow| (flow.source.0 + flow.destination.0).is_multiple_of(2);
    let script = script.reality(
        move |flow, launch| {
            if denied(flow) && launch >= at(1100) { Fact::Dropped } else { Fact::Arrives }
        },
    );
    let sightings = script.sightings();
    let mut judge = script.judge(move |flow| if denied(flow) { Denied } else { Allowed });
    let begun = std::time::Instant::now();
    let (mut next, mut checks, mut seen, mut slowest) = (at(0), 0_u32, 0_u32, Duration::ZERO);
    let mut checking = Duration::ZERO;
    for (now, sighting) in &sightings {
        judge.see(sighting);
        seen += 1;
        if *now >= next {
            next = now.plus(10 * MS);
            checks += 1;
            let check = std::time::Instant::now();
            let converged = judge.standing(*now).converged;
            slowest = slowest.max(check.elapsed());
            checking += check.elapsed();
            if let Some(converged) = converged {
                let took = begun.elapsed();
                println!(
                    "{seen} sightings, {checks} checks ({checking:?}, slowest {slowest:?}) in {took:?}: {converged:?}"
                );
                let begun = std::time::Instant::now();
                let verdicts = judge.verdicts(*now);
                println!("verdicts in {:?}: {:?}", begun.elapsed(), counts(&verdicts, &judge.intent));
                return;
            }
        }
    }
    panic!("never converged: {:?}", judge.standing(at(7000)));
}
