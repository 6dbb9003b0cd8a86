use std::future::pending;
use std::sync::Mutex;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::*;
use crate::judge::script::{Fact, MS, Script, at};
use crate::judge::{Ending, Rules};
use crate::model::event::Turn;
use crate::model::finding::Call;
use crate::model::flow::Flow;
use crate::model::verdict::Verdict;

/// A clock that shows `from` when tokio's paused one starts, and goes on with it.
fn clock(from: Moment) -> impl Fn() -> Moment + Clone {
    let start = Instant::now();
    move || from.plus(start.elapsed())
}

/// Tells a script in its own time.
fn tell(script: &Script, clock: impl Fn() -> Moment) -> mpsc::UnboundedReceiver<Sighting> {
    let (to, from) = mpsc::unbounded_channel();
    let (sightings, zero, begun) = (script.sightings(), clock(), Instant::now());
    tokio::spawn(async move {
        for (at, sighting) in sightings {
            sleep_until(begun + at.since(zero)).await;
            if to.send(sighting).is_err() {
                return;
            }
        }
        pending::<()>().await;
    });
    from
}

fn quiet(_: Event) {}

fn barred(script: &Script) -> impl Fn(&Flow) -> bool + Clone + 'static {
    let (x, s) = (script.end("x"), script.end("s"));
    move |flow: &Flow| flow.source == x && flow.destination == s
}

/// `x` may not reach `s`; enforced from `from` to `until`.
fn enforced(from: u64, until: u64) -> Script {
    let script = Script::new(&["a", "s", "x"]);
    let barred = barred(&script);
    script.reality(
        move |flow, launch| {
            if barred(flow) && launch >= at(from) && launch < at(until) { Fact::Dropped } else { Fact::Arrives }
        },
    )
}

fn judge(script: &Script) -> Judge {
    let barred = barred(script);
    script.judge(move |flow| if barred(flow) { Verdict::Denied } else { Verdict::Allowed })
}

#[tokio::test(start_paused = true)]
async fn converging_ends_as_soon_as_it_is_proven_and_tells_of_progress() {
    let script = enforced(1100, u64::MAX / 1_000_000);
    let clock = clock(at(1000));
    let mut sightings = tell(&script, &clock);
    let mut judge = judge(&script);
    let told = Mutex::new(Vec::new());
    let listener = |event: Event| told.lock().unwrap().push(event);
    let post = Post { sightings: &mut sightings, clock: &clock, listener: &listener };
    assert_eq!(converge(&mut judge, post, pending()).await, Ended::Reached);
    let took = clock().since(at(1000));
    assert!(took >= 300 * MS && took < 350 * MS, "{took:?}: enforcement, a window, a deadline, and little more");
    assert_eq!(judge.ending(clock()), Ending::Converged);
    let told = told.into_inner().unwrap();
    assert_eq!(told.last(), Some(&Event::Progress { done: 6 }), "{told:?}");
    assert!(told.len() < 10, "no more often than every 50 ms: {told:?}");
}

#[tokio::test(start_paused = true)]
async fn time_runs_out_though_nothing_is_heard() {
    let script = enforced(1100, 9999);
    let clock = clock(at(1000));
    let (_to, mut sightings) = mpsc::channel::<Sighting>(1);
    let mut judge = judge(&script);
    let post = Post { sightings: &mut sightings, clock: &clock, listener: &quiet };
    assert_eq!(converge(&mut judge, post, pending()).await, Ended::TimedOut);
    let late = clock().since(at(3000));
    assert!(clock() >= at(3000) && late <= 2 * CHECK, "{late:?}: noticed in time");
}

#[tokio::test(start_paused = true)]
async fn a_stop_and_the_end_of_sightings_are_noticed_at_once() {
    let script = enforced(1100, 9999);
    let clock = clock(at(1000));
    let (to, mut sightings) = mpsc::channel::<Vec<Sighting>>(1);
    let mut judge = judge(&script);
    let stop = tokio::time::sleep(25 * MS);
    let post = Post { sightings: &mut sightings, clock: &clock, listener: &quiet };
    assert_eq!(converge(&mut judge, post, stop).await, Ended::Stopped);
    assert!(clock().since(at(1025)) < 2 * MS);
    drop(to);
    let post = Post { sightings: &mut sightings, clock: &clock, listener: &quiet };
    assert_eq!(converge(&mut judge, post, pending()).await, Ended::Deserted);
    assert!(clock().since(at(1025)) < 2 * MS);
}

#[tokio::test(start_paused = true)]
async fn a_stage_whose_every_agent_is_lost_is_not_waited_for() {
    let mut script = enforced(1100, 9999);
    script.lost = ["a", "s", "x"].map(|name| (script.end(name), at(1200))).into();
    let clock = clock(at(1000));
    let mut sightings = tell(&script, &clock);
    let mut judge = judge(&script);
    let post = Post { sightings: &mut sightings, clock: &clock, listener: &quiet };
    assert_eq!(converge(&mut judge, post, pending()).await, Ended::Deserted);
    assert!(clock() < at(1350), "{:?}", clock());
    let all = judge.verdicts(clock());
    assert!(all.iter().all(|(_, _, judgement)| judgement.call() == Call::Inconclusive));
}

#[tokio::test(start_paused = true)]
async fn watching_goes_on_until_what_was_waited_for_is_over_and_the_network_is_quiet() {
    // A leak from 1,900 ms to 2,000 ms; what was waited for ends at 1,950 ms.
    let script = enforced(1100, 1900);
    let barred_again = barred(&script);
    let enforced = script.reality;
    let mut script = Script::new(&["a", "s", "x"]);
    script.reality =
        Box::new(
            move |flow, launch| {
                if launch >= at(2000) && barred_again(flow) { Fact::Dropped } else { enforced(flow, launch) }
            },
        );
    let clock = clock(at(1000));
    let mut sightings = tell(&script, &clock);
    let mut judge = judge(&script);
    let told = Mutex::new(Vec::new());
    let listener = |event: Event| {
        if let Event::Window { .. } = event {
            told.lock().unwrap().push(event);
        }
    };
    let post = Post { sightings: &mut sightings, clock: &clock, listener: &listener };
    assert_eq!(converge(&mut judge, post, pending()).await, Ended::Reached);
    let over = Instant::now() + at(1950).since(clock());
    let post = Post { sightings: &mut sightings, clock: &clock, listener: &listener };
    let calm = Quiet { lasts: 200 * MS, at_most: 1000 * MS };
    assert_eq!(observe(&mut judge, post, sleep_until(over), calm, pending()).await, Ended::Reached);
    let now = clock();
    assert!(now >= at(2280) && now < at(2330), "{now:?}: the last wrong attempt, 200 ms of quiet and a deadline");
    let flow = *script.set.table().get(script.id("x", "s")).unwrap();
    let flow = script.who().named(&flow);
    let opened = Event::Window { flow: flow.clone(), call: Call::Leak, turn: Turn::Opened };
    let lasted = 100 * MS;
    let closed = Event::Window { flow, call: Call::Leak, turn: Turn::Closed { lasted } };
    let told = told.lock().unwrap();
    assert_eq!(told[0], opened, "told once, when it was seen");
    assert!(matches!(&told[1..], [Event::Window { turn: Turn::Closed { .. }, .. }]), "{told:?} is not {closed:?}");
    let verdicts = judge.verdicts(now);
    let judgement = verdicts.get(script.id("x", "s")).unwrap();
    assert_eq!(judgement.call(), Call::Leak);
    assert_eq!(judgement.windows.last().map(|window| window.attempts), Some(5), "{judgement:?}");
}

/// `x` may not reach `s`: enforced from 1,100 ms on, and from 1,500 ms on not while `leaks`.
fn leaking(leaks: impl Fn(Moment) -> bool + 'static) -> Script {
    let script = Script::new(&["a", "s", "x"]);
    let barred = barred(&script);
    script.reality(move |flow, launch| {
        let enforced = launch >= at(1100) && !(launch >= at(1500) && leaks(launch));
        if barred(flow) && enforced { Fact::Dropped } else { Fact::Arrives }
    })
}

/// Watches from 1,000 ms until what was to be watched is over at 1,600 ms, and then until 200 ms of quiet, or so long at most.
/// Gives how that ended, when, and who judged.
async fn watched(script: &Script, at_most: Duration) -> (Ended, Moment, Judge) {
    let clock = clock(at(1000));
    let mut sightings = tell(script, &clock);
    let mut judge = judge(script);
    let post = Post { sightings: &mut sightings, clock: &clock, listener: &quiet };
    assert_eq!(converge(&mut judge, post, pending()).await, Ended::Reached);
    let over = Instant::now() + at(1600).since(clock());
    let post = Post { sightings: &mut sightings, clock: &clock, listener: &quiet };
    let ended = observe(&mut judge, post, sleep_until(over), Quiet { lasts: 200 * MS, at_most }, pending()).await;
    (ended, clock(), judge)
}

#[tokio::test(start_paused = true)]
async fn a_leak_that_stays_ends_the_watch_as_soon_as_quiet_would_have() {
    let script = leaking(|_| true);
    let (ended, now, judge) = watched(&script, 300 * 1000 * MS).await;
    assert_eq!(ended, Ended::StillWrong);
    let (least, most) = (at(1800).plus(100 * MS), at(1800).plus(100 * MS + STILL_WRONG_CHECK + 40 * MS));
    assert!(now >= least && now <= most, "{now:?}: 200 ms after the end, and a deadline to know of them");
    assert_eq!(judge.verdicts(now).get(script.id("x", "s")).map(|j| j.call()), Some(Call::Leak));
}

#[tokio::test(start_paused = true)]
async fn a_leak_that_nobody_can_observe_any_more_neither_stays_nor_is_quiet() {
    let mut script = leaking(|_| true);
    script.reality = Box::new({
        let (barred, reality) = (barred(&script), script.reality);
        // The leaking flow's own source gets no processor time after 1,700 ms.
        move |flow, launch| if barred(flow) && launch >= at(1700) { Fact::Starved } else { reality(flow, launch) }
    });
    let (ended, ..) = watched(&script, 1000 * MS).await;
    assert_eq!(ended, Ended::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn a_network_that_never_becomes_quiet_is_left_in_the_end() {
    // A flow that goes to and fro, 80 ms each, does not stay wrong.
    let script = leaking(|launch| (launch.0 / 80_000_000) % 2 == 0);
    let (ended, now, _) = watched(&script, 1000 * MS).await;
    assert_eq!(ended, Ended::TimedOut);
    assert!(now.since(at(2600)) <= 2 * CHECK);
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_watching_ends_it_at_once() {
    let script = enforced(1000, 9999);
    let clock = clock(at(1000));
    let mut sightings = tell(&script, &clock);
    let mut judge = judge(&script);
    let post = Post { sightings: &mut sightings, clock: &clock, listener: &quiet };
    assert_eq!(converge(&mut judge, post, pending()).await, Ended::Reached);
    let stop = sleep_until(Instant::now() + at(1700).since(clock()));
    let post = Post { sightings: &mut sightings, clock: &clock, listener: &quiet };
    let calm = Quiet { lasts: 200 * MS, at_most: 1000 * MS };
    assert_eq!(observe(&mut judge, post, pending(), calm, stop).await, Ended::Stopped);
    assert!(clock().since(at(1700)) < 2 * MS);
}

#[tokio::test(start_paused = true)]
async fn a_baseline_ends_with_its_last_cell() {
    let script = enforced(9999, 9999);
    let rules = Rules { sent: at(850), ..script.rules };
    let clock = clock(at(850));
    let mut sightings = tell(&script, &clock);
    let mut baseline = Baseline::new(script.set.clone(), rules, script.who());
    let post = Post { sightings: &mut sightings, clock: &clock, listener: &quiet };
    assert_eq!(prove(&mut baseline, post, pending()).await, Ended::Reached);
    assert!(clock() < at(940), "{:?}", clock());

    let cut = enforced(0, 99_999);
    let mut sightings = tell(&cut, &clock);
    let mut baseline = Baseline::new(cut.set.clone(), rules, cut.who());
    let post = Post { sightings: &mut sightings, clock: &clock, listener: &quiet };
    assert_eq!(prove(&mut baseline, post, pending()).await, Ended::TimedOut);
    assert_eq!(baseline.broken().len(), 1);
}
