//! At what pace a watch tries its cells: once in an interval each, and the denied ones by long attempts besides. It is tried
//! for a while before it is trusted.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{HOUR, INTERVAL, Until, Vigil, Watched, show};
use crate::clock;
use crate::judge::Judge;
use crate::model::flow::FlowId;
use crate::model::verdict::Verdict;
use crate::probe::{Pace, Persistence, SweepPlan};
use crate::run::error::chain;
use crate::run::pacing::{not_held, offered};
use crate::run::voyage::{Under, Voyage};
use crate::watch::{self, Post};

/// A pace is tried for so long before it is trusted.
const TRIAL: Duration = Duration::from_millis(1500);
/// It is not held where more than one attempt in so many could not see.
const LOSS: u64 = 20;
/// No pace is slower than this by itself.
const SLOWEST: Duration = Duration::from_secs(1);
/// Each denied flow has a long attempt once in this,
const LONG_EVERY: Duration = Duration::from_secs(5);
/// but all of them together no more often than this.
const LONG_SPACING: Duration = Duration::from_millis(20);
/// Long enough for the kernel to repeat a first packet twice, after 1 s and 3 s.
const LONG_DEADLINE: Duration = Duration::from_secs(4);

impl Voyage<'_> {
    /// Changes to the watch's pace, and tries for a while whether it can be held. A pace that somebody asked for is
    /// refused with the one that can; any other is made slower until it can.
    pub(super) async fn settle_pace(
        &mut self,
        vigil: &Vigil<'_>,
        watched: &Watched<'_>,
        under: &mut Under,
        judge: &mut Judge,
    ) -> Result<Duration, String> {
        let asked = vigil.interval;
        let mut interval = asked.unwrap_or(INTERVAL);
        let mut refused = None;
        // A pace that somebody asked for gets a second chance: the machine may have been busy just then.
        let mut chances = if asked.is_some() { 2 } else { 1 };
        loop {
            self.plan_watch(vigil, watched, interval, under).await?;
            judge.watch_at(interval);
            let (seen, unseen) = self.try_pace(judge, under, interval).await?;
            if unseen * LOSS <= seen + unseen {
                break;
            }
            chances -= 1;
            if chances > 0 {
                continue;
            }
            chances = 1;
            if asked == Some(interval) {
                refused = Some(not_held(interval, (seen, unseen)));
            }
            if interval >= SLOWEST {
                break;
            }
            interval = (interval * 2).min(SLOWEST);
            if asked.is_none() {
                self.draft.warn(format!("this machine is too busy: every cell is watched once in {}", show(interval)));
            }
        }
        match refused {
            Some(refused) => Err(format!("{refused}; {}", offered(interval))),
            None => Ok(interval),
        }
    }

    /// Has the agents try every cell once in an interval, and the denied ones by long attempts besides.
    async fn plan_watch(
        &mut self,
        vigil: &Vigil<'_>,
        watched: &Watched<'_>,
        interval: Duration,
        under: &mut Under,
    ) -> Result<(), String> {
        let Some(planned) = under.planned.take() else { return Ok(()) };
        let cells = &planned.cells;
        let denied: BTreeSet<FlowId> =
            cells.iter().map(|(id, _)| id).filter(|id| watched.is(*id, Verdict::Denied)).collect();
        let every = LONG_EVERY.max(LONG_SPACING.saturating_mul(u32::try_from(denied.len()).unwrap_or(u32::MAX)));
        let persist = Persistence { cells: denied, every, deadline: LONG_DEADLINE };
        let expires = match vigil.until {
            Until::Over(duration) => duration.saturating_add(HOUR),
            Until::Told(_) | Until::Command(_) => HOUR * 24,
        };
        let expected =
            cells.iter().filter_map(|(id, _)| Some((id, watched.right.get(id).copied().flatten()?))).collect();
        let pace = Pace { interval, attempts: 1 };
        let plan = SweepPlan { persist: Some(persist), expected, expires, ..self.sweep(&planned, pace) };
        under.planned = Some(planned);
        under.crew.plan(&plan).await.map_err(|error| chain(&error))?;
        under.pace = pace;
        Ok(())
    }

    /// How many attempts could see, and how many could not, in a while of this pace.
    async fn try_pace(
        &mut self,
        judge: &mut Judge,
        under: &mut Under,
        interval: Duration,
    ) -> Result<(u64, u64), String> {
        let (seen, unseen) = judge.sight();
        let post = Post { sightings: &mut under.sightings, clock: clock::now, listener: self.draft.tell() };
        let enough = self.told_or_after(TRIAL.max(interval * 4));
        watch::attend(judge, post, enough).await;
        if self.stop.pulled() {
            return Err("told to stop before the watch began".into());
        }
        let (now_seen, now_unseen) = judge.sight();
        Ok((now_seen.saturating_sub(seen), now_unseen.saturating_sub(unseen)))
    }
}
