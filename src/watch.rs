//! How long to go on: until a baseline is complete ([`prove`]), until a stage has converged ([`converge`]), or, after
//! that, until something else has ended and the network has been quiet for a while ([`observe`]).
//!
//! Each is the same loop: sightings go to the judge as they come, the judge is asked how things stand at most every
//! [`CHECK`], and at least so often too, so that an end is noticed in time even when no sightings come. Nothing is judged here.

mod source;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::Instant;

use crate::judge::{Baseline, Judge};
use crate::model::event::{Event, Listener};
use crate::model::moment::Moment;
use crate::model::observation::Sighting;

pub use source::{Sightings, Supply};

/// The judge is asked how things stand so often.
pub const CHECK: Duration = Duration::from_millis(10);

/// Progress is told no more often than this.
const TELL: Duration = Duration::from_millis(50);

/// How the watch goes on is told so often.
const TICK: Duration = Duration::from_secs(1);

/// Whether flows that are not right stay so is looked at so often: it takes a look at every flow.
const STILL_WRONG_CHECK: Duration = Duration::from_millis(100);

/// So many sightings are taken at once before the clock is looked at again.
const BATCH: usize = 4096;

/// Why the watch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ended {
    /// What was waited for came about: every cell proven, convergence, or quiet.
    Reached,
    /// Quiet was waited for, and flows that were not right have stayed so for as long as quiet had to last.
    StillWrong,
    /// Time ran out first.
    TimedOut,
    /// It was told to stop.
    Stopped,
    /// Nobody is left who could tell anything: every agent that mattered is lost, or the sightings ended.
    Deserted,
}

/// What a watch needs besides what it watches.
pub struct Post<'a, S, C> {
    /// Where sightings come from.
    pub sightings: &'a mut S,
    /// This machine's boot-time clock, which the sightings are on: `clock::now`, or a test's own.
    pub clock: C,
    /// Whom to tell.
    pub listener: &'a dyn Listener,
}

/// When the network counts as quiet again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quiet {
    /// Nothing wrong among the attempts launched in so long a time, all of it after the end that was waited for.
    pub lasts: Duration,
    /// It ends anyway so long after that end.
    pub at_most: Duration,
}

/// Waits for the baseline: until every cell was reached, its time is over, or `stop` completes.
pub async fn prove<S, C>(baseline: &mut Baseline, post: Post<'_, S, C>, stop: impl Future<Output = ()>) -> Ended
where
    S: Sightings,
    C: Fn() -> Moment,
{
    let until = baseline.rules().sent.plus(baseline.rules().converge_within);
    let check = |baseline: &mut Baseline, now: Moment, _: &dyn Listener| {
        let standing = baseline.standing();
        let end = if standing.is_complete() {
            Some(Ended::Reached)
        } else if standing.reached + standing.lost >= standing.of {
            Some(Ended::Deserted)
        } else if now >= until {
            Some(Ended::TimedOut)
        } else {
            None
        };
        (standing.reached, end)
    };
    keep_watch(baseline, Baseline::see, check, post, stop).await
}

/// Feeds a baseline until `enough` completes, proven or not.
pub async fn linger<S, C>(baseline: &mut Baseline, post: Post<'_, S, C>, enough: impl Future<Output = ()>) -> Ended
where
    S: Sightings,
    C: Fn() -> Moment,
{
    keep_watch(baseline, Baseline::see, |baseline, _, _| (baseline.standing().reached, None), post, enough).await
}

/// Waits for convergence: until the stage has converged, `converge_within` is over, or `stop` completes. The judge then
/// knows which; ask it for its verdicts at the same clock's time.
pub async fn converge<S, C>(judge: &mut Judge, post: Post<'_, S, C>, stop: impl Future<Output = ()>) -> Ended
where
    S: Sightings,
    C: Fn() -> Moment,
{
    let until = judge.rules().sent.plus(judge.rules().converge_within);
    let check = |judge: &mut Judge, now: Moment, _: &dyn Listener| {
        let standing = judge.standing(now);
        let end = if standing.converged.is_some() {
            Some(Ended::Reached)
        } else if now >= until {
            Some(Ended::TimedOut)
        } else if standing.of == 0 && standing.lost > 0 {
            Some(Ended::Deserted)
        } else {
            None
        };
        (standing.right, end)
    };
    keep_watch(judge, Judge::see, check, post, stop).await
}

/// Feeds the judge until `enough` completes.
pub async fn attend<S, C>(judge: &mut Judge, post: Post<'_, S, C>, enough: impl Future<Output = ()>) -> Ended
where
    S: Sightings,
    C: Fn() -> Moment,
{
    keep_watch(judge, Judge::see, |judge, now, listener| (tell_news(judge, now, listener), None), post, enough).await
}

/// Goes on watching after convergence: until `until` completes (a duration, a key, a command) and the network has been
/// quiet for a while after it; or flows that were not right have stayed so for that while, no flow having changed; or until
/// `stop` completes.
pub async fn observe<S, C>(
    judge: &mut Judge,
    post: Post<'_, S, C>,
    until: impl Future<Output = ()>,
    quiet: Quiet,
    stop: impl Future<Output = ()>,
) -> Ended
where
    S: Sightings,
    C: Fn() -> Moment,
{
    let Post { sightings, clock, listener } = post;
    let mut stop = pin!(stop);
    let mut ticker = Ticker::start(judge, clock());
    let before = Post { sightings: &mut *sightings, clock: &clock, listener };
    let mut stopped = false;
    let ended = {
        let first = async {
            tokio::select! {
                biased;
                () = &mut stop => stopped = true,
                () = until => {}
            }
        };
        let check = |judge: &mut Judge, now: Moment, listener: &dyn Listener| {
            ticker.tick(judge, now, listener);
            (tell_news(judge, now, listener), None)
        };
        keep_watch(judge, Judge::see, check, before, first).await
    };
    if stopped || ended != Ended::Stopped {
        return ended;
    }
    let over = clock();
    let mut next_look = over;
    let check = |judge: &mut Judge, now: Moment, listener: &dyn Listener| {
        ticker.tick(judge, now, listener);
        let right = tell_news(judge, now, listener);
        let standing = judge.standing(now);
        let since = standing.last_off.map_or(over, |off| off.max(over));
        let calm = standing.known >= since.plus(quiet.lasts);
        // A flow that was wrong and that nobody could observe since is not quiet.
        let end = if calm && (quiet.lasts.is_zero() || judge.still_wrong().is_none()) {
            Some(Ended::Reached)
        } else if now >= next_look && stays_wrong(judge, standing.known, over, quiet.lasts) {
            Some(Ended::StillWrong)
        } else if now >= over.plus(quiet.at_most) {
            Some(Ended::TimedOut)
        } else {
            None
        };
        if now >= next_look {
            next_look = now.plus(STILL_WRONG_CHECK);
        }
        (right, end)
    };
    keep_watch(judge, Judge::see, check, Post { sightings, clock, listener }, stop).await
}

/// Whether some flows were seen not to be right, and no flow changed, for so long after `over`. A flow that goes to and fro
/// faster than that changes all the time; one that nobody could observe is not known to have stayed.
fn stays_wrong(judge: &Judge, known: Moment, over: Moment, lasts: Duration) -> bool {
    judge.still_wrong().is_some_and(|still| {
        let long_enough = still.unchanged_since.max(over).plus(lasts);
        known >= long_enough && still.seen_until >= long_enough
    })
}

fn tell_news(judge: &mut Judge, now: Moment, listener: &dyn Listener) -> usize {
    let standing = judge.standing(now);
    for (flow, call, turn) in judge.news() {
        listener.hear(Event::Window { flow, call, turn });
    }
    standing.right
}

/// Tells once a second how the watch goes on.
struct Ticker {
    began: Moment,
    next: Moment,
    seen: u64,
    unseen: u64,
    last: u64,
}

impl Ticker {
    fn start(judge: &Judge, now: Moment) -> Self {
        let (seen, unseen) = judge.sight();
        Self { began: now, next: now.plus(TICK), seen, unseen, last: seen }
    }

    fn tick(&mut self, judge: &Judge, now: Moment, listener: &dyn Listener) {
        if now < self.next {
            return;
        }
        let (seen, unseen) = judge.sight();
        let lasted = now.since(self.next).saturating_add(TICK).as_secs_f64();
        listener.hear(Event::Watching {
            elapsed: now.since(self.began),
            seen: seen.saturating_sub(self.seen),
            unseen: unseen.saturating_sub(self.unseen),
            per_second: (seen.saturating_sub(self.last) as f64 / lasted).round() as u64,
        });
        self.last = seen;
        self.next = now.plus(TICK);
    }
}

/// The loop. `check` says how many cells are as they should be, and why to end, if it is to.
async fn keep_watch<J, S, C>(
    judge: &mut J,
    see: impl Fn(&mut J, &Sighting),
    mut check: impl FnMut(&mut J, Moment, &dyn Listener) -> (usize, Option<Ended>),
    post: Post<'_, S, C>,
    stop: impl Future<Output = ()>,
) -> Ended
where
    S: Sightings,
    C: Fn() -> Moment,
{
    let Post { sightings, clock, listener } = post;
    let mut stop = pin!(stop);
    let mut batch = Vec::new();
    let mut next_check = Instant::now();
    let mut told = None;
    let mut next_told = Instant::now();
    loop {
        let wake = tokio::select! {
            biased;
            () = &mut stop => Wake::Stop,
            supply = sightings.next(&mut batch, BATCH) => Wake::Supply(supply),
            () = tokio::time::sleep_until(next_check) => Wake::Check,
        };
        for sighting in batch.drain(..) {
            see(judge, &sighting);
        }
        let last = match wake {
            Wake::Stop => Some(Ended::Stopped),
            Wake::Supply(Supply::Dry) => Some(Ended::Deserted),
            Wake::Check | Wake::Supply(Supply::More) => None,
        };
        let now = Instant::now();
        if last.is_none() && now < next_check {
            continue;
        }
        next_check = now + CHECK;
        let (right, end) = check(judge, clock(), listener);
        if told != Some(right) && (now >= next_told || end.is_some() || last.is_some()) {
            listener.hear(Event::Progress { done: right as u64 });
            told = Some(right);
            next_told = now + TELL;
        }
        if let Some(end) = end.or(last) {
            return end;
        }
    }
}

/// What woke the loop.
enum Wake {
    /// Told to stop.
    Stop,
    /// Sightings came, or ended.
    Supply(Supply),
    /// Time to look.
    Check,
}
