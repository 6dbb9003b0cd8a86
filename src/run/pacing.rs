//! At what pace a run probes: what its matrix costs, what the baseline shows this machine can hold, slower where agents
//! cannot keep it, refused where somebody asked for what cannot be held.

use std::sync::Arc;
use std::time::Duration;

use super::assemble;
use super::error::chain;
use super::vigil::show;
use super::voyage::{Planned, Turns, Under, Voyage};
use crate::clock;
use crate::judge::{Baseline, Judge, Rules};
use crate::model::flow::{CellSet, Flow, FlowId};
use crate::model::moment::Moment;
use crate::model::verdict::Verdict;
use crate::oracle;
use crate::probe::{Pace, SweepPlan, Work, pace};
use crate::watch::{self, Ended, Post};

/// Whether agents keep the pace is looked at so often.
const PACE_CHECK: Duration = Duration::from_millis(600);
/// They do not where more than one attempt in so many could not see.
const BLIND_SHARE: u64 = 20;
/// No pace is slower than this by itself, but for matrices that need more to begin with.
const SLOWEST: Duration = Duration::from_millis(500);
/// Those may go slower by this factor.
const SLOWER: u32 = 4;
/// What was too slow once is planned with so much room.
const RESERVE: f64 = 1.1;
/// A small matrix may take so long besides its turns: the way to the agents, and from them.
const ROUND_TRIP: Duration = Duration::from_millis(100);

impl Voyage<'_> {
    /// Takes the pace of the first stage from what the baseline took to see every cell once: a machine that is slow, or busy
    /// with other things, shows it there. Agents are told now, so that nobody is told anything new just when a change is to
    /// be seen. A pace that was asked for is tried for a while, and stays or is refused.
    pub(super) async fn calibrate(
        &mut self,
        took: Duration,
        cells: &Arc<CellSet>,
        baseline: &mut Baseline,
        under: &mut Under,
    ) -> Result<(), String> {
        if self.requested_interval().is_some() {
            let before = baseline.sight();
            let enough = self.told_or_after(look(under.pace.interval));
            let post = Post { sightings: &mut under.sightings, clock: clock::now, listener: self.draft.tell() };
            watch::linger(baseline, post, enough).await;
            return self.refuse_pace(fresh(baseline.sight(), before), under);
        }
        let planned = pace(Work::answered(cells.len()), self.deadline(), None).interval;
        let work = self.opening(cells);
        let own = pace(work, self.deadline(), None).interval;
        let interval = slowed(own, took, planned).min(SLOWEST.max(own * SLOWER)).max(under.pace.interval);
        let Some(planned) =
            under.planned.take_if(|planned| planned.turns == Turns::One || interval > under.pace.interval)
        else {
            return Ok(());
        };
        under.work = work;
        let planned = Planned { cells: Arc::clone(cells), turns: Turns::Endless, ..planned };
        self.plan_at(planned, pace(work, self.deadline(), Some(interval)), under).await.map(drop)
    }

    /// How often the baseline tries each cell. A matrix that takes long takes both cores, and whoever is to be told something
    /// new meanwhile hears it late: so its agents go through it once and rest.
    pub(super) fn baseline_turns(&self, cells: &CellSet) -> Turns {
        let interval = pace(Work::answered(cells.len()), self.deadline(), None).interval;
        if self.requested_interval().is_none() && interval > PACE_CHECK { Turns::One } else { Turns::Endless }
    }

    /// What it will cost to try these cells once the first stage is there.
    pub(super) fn opening(&self, cells: &CellSet) -> Work {
        let Some(first) = self.order.scenario.stages().first() else { return Work::answered(cells.len()) };
        let predictions = oracle::predict(&first.world, &first.cells);
        work(cells, |id| predictions.matrix().get(id).and_then(|prediction| prediction.meaning.verdict()))
    }

    /// Refuses a pace that somebody asked for where too many of these attempts, seen and unseen, could not see.
    pub(super) fn refuse_pace(&self, (seen, unseen): (u64, u64), under: &Under) -> Result<(), String> {
        let Some(asked) = self.requested_interval() else { return Ok(()) };
        if !too_blind((seen, unseen)) {
            return Ok(());
        }
        let own = pace(under.work, self.deadline(), None).interval;
        Err(format!("{}; {}", not_held(asked, (seen, unseen)), offered(own.max(asked * 2))))
    }

    /// The next slower pace; none where it is slow enough already.
    pub(super) fn slower(&self, under: &Under) -> Option<Pace> {
        let slowest = SLOWEST.max(pace(under.work, self.deadline(), None).interval * SLOWER);
        let interval = (under.pace.interval * 2).min(slowest);
        (under.pace.interval < slowest).then(|| pace(under.work, self.deadline(), Some(interval)))
    }

    /// Completes when the run is told to stop, or after a while.
    pub(super) async fn told_or_after(&self, a_while: Duration) {
        tokio::select! {
            () = self.stop.wait() => {}
            () = tokio::time::sleep(a_while) => {}
        }
    }

    /// Waits for convergence. Where agents get too little of a busy machine to keep the pace, they are told to go
    /// slower: what they cannot see at this pace they may see at another, and no outcome is forgotten by it.
    pub(super) async fn converge(&mut self, judge: &mut Judge, under: &mut Under) -> Result<Ended, String> {
        let mut before = (0, 0);
        loop {
            let enough = self.told_or_after(look(under.pace.interval));
            let post = Post { sightings: &mut under.sightings, clock: clock::now, listener: self.draft.tell() };
            let ended = watch::converge(judge, post, enough).await;
            if ended != Ended::Stopped || self.stop.pulled() {
                return Ok(ended);
            }
            let now = judge.sight();
            let seen = fresh(now, before);
            before = now;
            self.refuse_pace(seen, under)?;
            if let Some(slower) = self.slower(under).filter(|_| too_blind(seen)) {
                self.replan(slower, under).await?;
                judge.slow_down(slower.interval, clock::now());
                self.draft.document.settings = assemble::settings(judge.rules());
                self.draft.warn(format!(
                    "this machine is too busy for the pace: every cell is now tried once in {}",
                    show(slower.interval)
                ));
            }
        }
    }

    /// Has the agents try these cells from now on. Gives the start of the plan.
    pub(super) async fn plan(&mut self, planned: Planned, work: Work, under: &mut Under) -> Result<Moment, String> {
        let pace = self.pace(work, under);
        under.work = work;
        self.plan_at(planned, pace, under).await
    }

    /// Has them try the same cells at another pace.
    pub(super) async fn replan(&mut self, pace: Pace, under: &mut Under) -> Result<(), String> {
        match under.planned.take() {
            Some(planned) => self.plan_at(planned, pace, under).await.map(drop),
            None => Ok(()),
        }
    }

    pub(super) async fn plan_at(&mut self, planned: Planned, pace: Pace, under: &mut Under) -> Result<Moment, String> {
        let start = under.crew.plan(&self.sweep(&planned, pace)).await.map_err(|error| chain(&error))?.start;
        under.planned = Some(planned);
        under.pace = pace;
        Ok(start)
    }

    /// A plan for these cells.
    pub(super) fn sweep(&self, planned: &Planned, pace: Pace) -> SweepPlan {
        let wanted: Vec<(FlowId, Flow)> = planned.cells.iter().map(|(id, flow)| (id, *flow)).collect();
        let deadline = self.deadline();
        // Silence is trusted when its socket was looked at once more after the deadline, and connections come about in
        // the kernel without the agent. A datagram waits to be read, and counts where it is read within the deadline.
        let services = planned.services.clone();
        let turns = match planned.turns {
            Turns::One => Some(1),
            Turns::Endless => None,
        };
        SweepPlan { slack: deadline * 4 / 5, services, turns, ..SweepPlan::new(wanted, pace, deadline) }
    }

    pub(super) fn deadline(&self) -> Duration {
        self.order.deadline.or(self.order.scenario.timing().deadline).unwrap_or(self.temper.deadline)
    }

    /// The pace for so much work, no faster than the present one.
    pub(super) fn pace(&self, work: Work, under: &Under) -> Pace {
        let own = pace(work, self.deadline(), self.requested_interval());
        if own.interval >= under.pace.interval { own } else { pace(work, self.deadline(), Some(under.pace.interval)) }
    }

    /// Rules under which a large matrix has the time to be tried at all.
    pub(super) fn patient(&mut self, rules: Rules) -> Rules {
        let patient = rules.at(rules.interval, rules.sent);
        if patient != rules {
            self.draft.warn(format!(
                "trying every cell once takes {} here, so convergence is waited for up to {} and not {}",
                show(rules.interval),
                show(patient.converge_within),
                show(rules.converge_within)
            ));
            self.draft.document.settings = assemble::settings(&patient);
        }
        patient
    }

    fn requested_interval(&self) -> Option<Duration> {
        self.order.interval.or(self.order.scenario.timing().interval)
    }
}

/// An interval on a machine that took so long for what was planned to take less.
fn slowed(interval: Duration, took: Duration, planned: Duration) -> Duration {
    // What a small matrix takes is mostly the way there and back, and the last turn ends a little after the interval.
    let took = took.saturating_sub(ROUND_TRIP);
    if took <= planned + planned / 6 {
        return interval;
    }
    let ratio = took.as_secs_f64() / planned.as_secs_f64().max(f64::MIN_POSITIVE);
    interval.mul_f64((ratio * RESERVE).min(f64::from(SLOWER)))
}

/// What it costs to try these cells, by what is right for each.
pub(super) fn work(cells: &CellSet, right: impl Fn(FlowId) -> Option<Verdict>) -> Work {
    let silent = cells.iter().filter(|(id, _)| right(*id) == Some(Verdict::Denied)).count();
    Work { answered: cells.len() - silent, silent }
}

/// Why a pace is refused.
pub(super) fn not_held(asked: Duration, (seen, unseen): (u64, u64)) -> String {
    let all = seen + unseen;
    format!("trying every flow once in {} cannot be held here: {unseen} of {all} attempts could not see", show(asked))
}

/// What can be had instead, to be typed: no finer than whole milliseconds, and no faster than what fits.
pub(super) fn offered(fits: Duration) -> String {
    let millis = u64::try_from(fits.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
    format!("`--interval {}` can be", show(Duration::from_millis(millis)))
}

/// How long to look at a pace before it is judged: long enough for every cell to have had its turn.
pub(super) fn look(interval: Duration) -> Duration {
    PACE_CHECK.max((interval * 3).min(interval + Duration::from_secs(1)))
}

/// What was seen and unseen since.
fn fresh((seen, unseen): (u64, u64), before: (u64, u64)) -> (u64, u64) {
    (seen.saturating_sub(before.0), unseen.saturating_sub(before.1))
}

fn too_blind((seen, unseen): (u64, u64)) -> bool {
    unseen * BLIND_SHARE > seen + unseen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_machine_is_given_the_time_it_was_seen_to_need() {
        let ms = Duration::from_millis;
        for (took, planned, slower, why) in [
            (90, 10, 1000, "a small matrix is mostly the way there and back"),
            (650, 540, 1000, "as planned"),
            (1180, 540, 2200, "twice as slow, and some room"),
            (9000, 540, 4000, "no slower than makes sense"),
        ] {
            assert_eq!(slowed(ms(1000), ms(took), ms(planned)).as_millis(), slower, "{why}");
        }
    }

    #[test]
    fn a_pace_is_offered_as_somebody_would_type_it() {
        for (micros, offer, why) in [
            (20_000, "20ms", "whole already"),
            (3_125, "4ms", "no faster than what fits"),
            (1_500_001, "1s501ms", "longer than a second"),
        ] {
            assert_eq!(offered(Duration::from_micros(micros)), format!("`--interval {offer}` can be"), "{why}");
        }
    }
}
