//! What is called what: every row of the design, and what a denial takes.

use super::*;

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
