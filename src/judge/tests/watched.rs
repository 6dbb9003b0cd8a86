//! After convergence: windows, budgets, what is known, and what could not be seen.

use super::*;

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
        assert!(!window.before_convergence, "{why}");
        let (before, after) = (window.right_before_us.unwrap(), window.right_after_us.unwrap());
        assert_eq!(after - before, u64::from(attempts + 1) * 20_000, "{why}: the bounds are the attempts around it");
        assert_eq!(window.last_wrong_us - window.first_wrong_us, u64::from(attempts - 1) * 20_000, "{why}");
        let others = judge.verdicts(now);
        let wrong = others.iter().filter(|(_, _, judgement)| judgement.call() != Call::Ok).count();
        assert_eq!(wrong, 1, "{why}: nothing else is found");
    }
}

/// What an end's counters moved by, read over half a second from a moment on: its name, that moment in milliseconds, the moves.
type Reading<'a> = (&'a str, u64, &'a [(&'a str, u64)]);

#[test]
fn drops_counted_at_an_end_are_told_at_an_outage_and_change_no_verdict() {
    // A flow is out for three attempts, and another is denied and leaks; both ends read their counters throughout.
    let script = pods();
    let cell = script.id("a", "s");
    let (set, barred) = (script.set.clone(), barred(&script));
    let script = script.reality(move |flow, launch| {
        let then = launch >= at(2000) && launch < at(2060);
        let (out, leaks) = (then && set.table().find(flow) == Some(cell), then && barred(flow));
        if out || (barred(flow) && !leaks) { Fact::Dropped } else { Fact::Arrives }
    });
    let played = |counted: &[Reading<'_>]| {
        let mut judge = script.judge(meant(&script));
        for (name, from, moved) in counted {
            let moved = moved.iter().map(|(name, by)| ((*name).to_owned(), *by)).collect();
            let (from, until) = (at(*from), at(from + 510));
            judge.see(&Sighting::Counted { endpoint: script.end(name), from, until, moved });
        }
        let now = script.play_out(&mut judge);
        let drops = |from| {
            let judgement = judged(&script, &judge, now, from, "s");
            let drops = judgement.windows.last().unwrap().drops.clone();
            let told = |at: &DropsAt| (at.end.clone(), at.counted.iter().map(|count| count.by).sum::<u64>());
            (judgement.call(), drops.iter().map(told).collect::<Vec<_>>())
        };
        (drops("a"), drops("x"))
    };
    let leak = (Call::Leak, Vec::new());
    let end = |name: &str, by| (name.to_owned(), by);
    assert_eq!(played(&[]), ((Call::Outage, vec![]), leak.clone()), "nobody read any counter");
    let quiet: &[Reading<'_>] = &[("a", 1500, &[]), ("a", 2000, &[]), ("s", 1800, &[])];
    assert_eq!(played(quiet), ((Call::Outage, vec![end("a", 0), end("s", 0)]), leak.clone()), "no drop was counted");
    let lost: &[Reading<'_>] = &[("s", 1500, &[("TcpExt ListenDrops", 9)]), ("s", 2000, &[("TcpExt ListenDrops", 3)])];
    let (outage, other) = played(lost);
    assert_eq!((outage, other), ((Call::Outage, vec![end("s", 12)]), leak), "counted around it, at one end");
    assert_eq!(played(&[("s", 1400, &[("TcpExt ListenDrops", 9)])]).0, (Call::Outage, vec![]), "not read to the end");
}

#[test]
fn a_window_is_bounded_by_when_packets_left_and_not_by_their_launch() {
    // A flow is out for the attempts launched in 80 ms, 20 ms apart. Packets leave up to 15 ms after their launch.
    let script = pods();
    let cell = script.id("a", "s");
    let (set, barred) = (script.set.clone(), barred(&script));
    let script = script.reality(move |flow, launch| {
        let out = set.table().find(flow) == Some(cell) && launch >= at(2000) && launch < at(2080);
        if out || barred(flow) { Fact::Dropped } else { Fact::Arrives }
    });
    let mut judge = script.judge(meant(&script));
    let mut over = at(0);
    for (now, mut sighting) in script.sightings() {
        if let Sighting::Tried { flow, left_within, .. } = &mut sighting
            && *flow == cell
        {
            *left_within = Duration::from_millis(15);
        }
        judge.see(&sighting);
        judge.standing(now);
        over = now;
    }
    let judgement = judged(&script, &judge, over, "a", "s");
    assert_eq!(judgement.call(), Call::Outage, "{judgement:?}");
    let [window] = &judgement.windows[..] else { panic!("{:?}", judgement.windows) };
    let launched = window.first_wrong_us;
    let bounds = (window.right_before_us, window.first_wrong_by_us, window.last_wrong_us, window.right_after_us);
    assert_eq!(
        bounds,
        (Some(launched - 20_000), Some(launched + 15_000), launched + 60_000, Some(launched + 95_000)),
        "the outer two are where they can have been at most, the inner two at least"
    );
    assert_eq!(window.least_us(), 45_000, "no more than the packets prove");
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
    judge.see(&Sighting::Persisted { flow, launched: at(3900), ended: at(4950), outcome: Outcome::Reached });
    let windows = judged(&script, &judge, now, "x", "s").windows;
    let [.., window] = windows.as_slice() else { panic!("{windows:?}") };
    assert_eq!((window.attempts, window.persistent, window.least_us()), (2, 2, 0), "it was shut to those between");
    assert_eq!(
        window.last_wrong_us - window.first_wrong_us,
        2_000_000,
        "the repeats were sent a second after their first"
    );
    assert_eq!(judge.news(), [], "the same window is no news");
}

#[test]
fn what_only_long_attempts_saw_is_over_once_one_of_them_is_shut_out() {
    // When the later one ended, when its source was blind, and from when on the window is over: its last repeat is sent at
    // 6,000 ms, or a little later.
    let table = [
        (at(7000), None, Some(6_128_000), "its repeat was shut out"),
        (at(4500), None, None, "it was not repeated before it ended"),
        (at(7000), Some((5900, 6050)), None, "its source could not watch the repeat"),
        (at(7000), Some((4000, 5000)), Some(6_128_000), "what it could not watch before says nothing of the repeat"),
    ];
    for (ended, blind, over, why) in table {
        let script = enforced(pods(), Fact::Dropped);
        let mut judge = script.judge(meant(&script));
        script.play_out(&mut judge);
        let (flow, x) = (script.id("x", "s"), script.end("x"));
        judge.see(&Sighting::Persisted { flow, launched: at(1900), ended: at(2900), outcome: Outcome::Reached });
        if let Some((from, until)) = blind {
            judge.see(&Sighting::Blind { endpoint: x, from: at(from), until: at(until), why: Blindness::Starved });
        }
        judge.see(&Sighting::Persisted { flow, launched: at(3000), ended, outcome: Outcome::Silent });
        judge.news();
        judge.standing(at(7100));
        assert_eq!(judge.news().len(), 0, "{why}: both ends have not told of that time");
        for endpoint in ["a", "b", "s", "x"].map(|name| script.end(name)) {
            judge.see(&Sighting::Complete { endpoint, until: at(7000), arrived: at(7000) });
        }
        judge.standing(at(7100));
        let closed = matches!(&judge.news()[..], [(_, Call::Leak, Turn::Closed { .. })]);
        let windows = judged(&script, &judge, at(7100), "x", "s").windows;
        let [.., window] = windows.as_slice() else { panic!("{why}: {windows:?}") };
        assert_eq!((window.right_after_us, closed), (over, over.is_some()), "{why}");
    }
}

#[test]
fn a_repeat_that_was_shut_out_ends_no_more_than_what_got_through_before_it() {
    let long = |script: &Script, from, launched, ended, outcome| {
        let flow = script.id(from, "s");
        Sighting::Persisted { flow, launched: at(launched), ended: at(ended), outcome }
    };
    let told = |script: &Script, all: &[Sighting], from| {
        let mut judge = script.judge(meant(script));
        script.play_out(&mut judge);
        all.iter().for_each(|sighting| judge.see(sighting));
        for endpoint in ["a", "b", "s", "x"].map(|name| script.end(name)) {
            judge.see(&Sighting::Complete { endpoint, until: at(7000), arrived: at(7000) });
        }
        judge.standing(at(7100));
        let windows = judged(script, &judge, at(7100), from, "s").windows;
        let of_long = windows.into_iter().filter(|window| window.persistent == window.attempts);
        of_long.map(|window| (window.attempts, window.right_after_us)).collect::<Vec<_>>()
    };
    let script = enforced(pods(), Fact::Dropped);
    // The second got through at 6,050 ms; the repeat of the silent one may have been sent at 6,000.
    let overlapping = [
        long(&script, "x", 1900, 2900, Outcome::Reached),
        long(&script, "x", 5050, 6080, Outcome::Reached),
        long(&script, "x", 3000, 7000, Outcome::Silent),
    ];
    assert_eq!(told(&script, &overlapping, "x"), [(1, Some(6_128_000)), (1, None)]);
    // Where the flow is allowed, silence is no end of having reached somebody else.
    let somebody = Outcome::SomeoneElse { who: "b".into() };
    let allowed = [long(&script, "a", 1900, 2900, somebody), long(&script, "a", 3000, 7000, Outcome::Silent)];
    assert_eq!(told(&script, &allowed, "a"), [(1, None)]);
}

#[test]
fn a_repeat_that_was_sent_late_is_of_the_window_that_short_attempts_saw() {
    // Due at 1,960 ms, when others were shut out still; sent up to 50 ms later, when x reaches s.
    let script = pods();
    let barred = barred(&script);
    let script = script.reality(move |flow, launch| {
        let open = launch >= at(2000) && launch < at(2060);
        if barred(flow) && !open { Fact::Dropped } else { Fact::Arrives }
    });
    let mut judge = script.judge(meant(&script));
    let now = script.play_out(&mut judge);
    let found = |judge: &Judge| judged(&script, judge, now, "x", "s").windows;
    let before = found(&judge);
    let flow = script.id("x", "s");
    judge.see(&Sighting::Persisted { flow, launched: at(960), ended: at(2010), outcome: Outcome::Reached });
    let (windows, [short]) = (found(&judge), before.as_slice()) else { panic!("{before:?}") };
    let [window] = windows.as_slice() else { panic!("two where there was one: {windows:?}") };
    assert_eq!((window.attempts, window.persistent), (short.attempts + 1, 1));
    assert_eq!((window.right_before_us, window.right_after_us), (short.right_before_us, short.right_after_us));
    assert!(window.first_wrong_us >= short.right_before_us.unwrap(), "{window:?}");
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
fn unobserved_time_has_a_budget() {
    // How long a flow may go unobserved, from and until when x could not see, whom x reaches from 2,500 to 2,560 ms; what the
    // flow is called, and whether its gap is told.
    let table = [
        (0, (1800, 2300), false, Call::Inconclusive, true, "no time may go unobserved"),
        (400, (1800, 2300), false, Call::Inconclusive, true, "the gap is longer"),
        (700, (1800, 2300), false, Call::Ok, true, "the gap is within the budget"),
        (700, (1800, 2300), true, Call::Leak, true, "what was observed to be wrong is a finding"),
        (0, (1050, 1060), false, Call::Ok, false, "before convergence it only comes later"),
        (2000, (2600, 3400), false, Call::Ok, true, "unobserved to the end, and right before"),
        (400, (2600, 3400), false, Call::Inconclusive, true, "unobserved to the end for too long"),
        (2000, (2540, 3400), true, Call::Leak, true, "wrong, and unobserved from then on"),
    ];
    for (budget, (from, until), leaks, call, told, why) in table {
        let script = pods();
        let barred = barred(&script);
        let mut script = script.reality(move |flow, launch| {
            let open = leaks && launch >= at(2500) && launch < at(2560);
            if barred(flow) && !open { Fact::Dropped } else { Fact::Arrives }
        });
        script.blind = vec![(script.end("x"), at(from), at(until))];
        let tolerance = Tolerance { unobserved: budget * MS, ..Tolerance::default() };
        let mut judge = script.judge(meant(&script)).tolerating(tolerance);
        let now = script.play_out(&mut judge);
        assert!(judge.converged.is_some(), "{why}");
        let judgement = judged(&script, &judge, now, "x", "s");
        assert_eq!(judgement.call(), call, "{why}: {judgement:?}");
        assert_eq!(judgement.unobserved.is_some(), told, "{why}: {judgement:?}");
    }
}

#[test]
fn a_budget_for_unobserved_time_excuses_nothing_that_was_observed() {
    // A handshake without proof is observed, and is not right.
    let script = pods();
    let cell = script.id("a", "s");
    let (set, barred) = (script.set.clone(), barred(&script));
    let script = script.reality(move |flow, launch| {
        let this = set.table().find(flow) == Some(cell) && launch >= at(1800) && launch < at(2300);
        match (this, barred(flow)) {
            (true, _) => Fact::HalfOpen,
            (false, true) => Fact::Dropped,
            (false, false) => Fact::Arrives,
        }
    });
    let tolerance = Tolerance { unobserved: 5000 * MS, ..Tolerance::default() };
    let mut judge = script.judge(meant(&script)).tolerating(tolerance);
    let now = script.play_out(&mut judge);
    let judgement = judged(&script, &judge, now, "a", "s");
    assert_eq!(judgement.call(), Call::Inconclusive, "{judgement:?}");
    assert_eq!(judgement.unobserved, None);
}
