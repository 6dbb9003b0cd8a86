//! The watch: after the last stage has converged, every cell is probed on until what is waited for has come about.

mod pace;

use std::future::pending;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::assemble::micros;
use super::command::{Command, Ran};
use super::error::chain;
use super::established::{self, Hold};
use super::newborns::{self, Births, Nursery};
use super::voyage::{Under, Voyage};
use crate::clock;
use crate::fabric::Realised;
use crate::judge::Judge;
use crate::model::flow::{Flow, FlowId};
use crate::model::happening::{About, Happening};
use crate::model::matrix::Matrix;
use crate::model::moment::Moment;
use crate::model::verdict::Verdict;
use crate::model::watch::{Budgets, Established, WatchInfo};
use crate::scenario::Stage;
use crate::scenario::world::World;
use crate::watch::{self, Ended, Post, Quiet};

/// How to watch, and until when.
#[derive(Debug, Clone)]
pub struct Vigil<'a> {
    /// Until when.
    pub until: Until<'a>,
    /// Every cell is tried anew so often; where nobody says, [`INTERVAL`], or slower where a machine cannot hold it.
    pub interval: Option<Duration>,
    /// When the network counts as quiet after a command.
    pub quiet: Quiet,
    /// How much may go wrong with a flow whose expectation says nothing of it.
    pub max_outage: Duration,
    /// The same for leaks.
    pub max_leak: Duration,
    /// How long a flow may go unobserved, in its longest gap.
    pub max_unobserved: Duration,
    /// Whether connections are held open all along.
    pub hold: Hold,
    /// Pods that are born meanwhile, if any are to be.
    pub births: Option<Births<'a>>,
}

/// What is watched.
pub(super) struct Watched<'a> {
    pub(super) stage: &'a Stage,
    /// The world, with the addresses it really has.
    pub(super) after: &'a World,
    /// What is right for each cell: its meaning, or its intent where that is unknown.
    pub(super) right: &'a Matrix<Option<Verdict>>,
}

impl Watched<'_> {
    fn is(&self, id: FlowId, verdict: Verdict) -> bool {
        self.right.get(id).copied().flatten() == Some(verdict)
    }
}

/// What is waited for.
#[derive(Debug, Clone, Copy)]
pub enum Until<'a> {
    /// So long.
    Over(Duration),
    /// Somebody says so: by Ctrl-C, or by the key where there is one.
    Told(Key),
    /// A command has ended, and the network is quiet again.
    Command(&'a [String]),
}

/// Whether there is a keyboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// Enter ends the watch.
    Enter,
    /// Nobody is at it.
    None,
}

impl Until<'_> {
    /// What was waited for, by how that ended.
    fn words(&self, ended: Ended) -> String {
        match self {
            Self::Over(duration) => jiff::SignedDuration::try_from(*duration)
                .map_or_else(|_| format!("{duration:?}"), |duration| format!("{duration:#}")),
            Self::Told(Key::Enter) => "Enter or Ctrl-C".into(),
            Self::Told(Key::None) => "a signal".into(),
            Self::Command(_) => match ended {
                Ended::Reached => "the command, and quiet after it".into(),
                Ended::StillWrong => "the command; flows that were not right after it stayed so".into(),
                Ended::TimedOut => "the command; the network was not quiet in time after it".into(),
                Ended::Stopped | Ended::Deserted => "the command".into(),
            },
        }
    }
}

/// Every cell is tried anew so often, where nobody says otherwise.
pub const INTERVAL: Duration = Duration::from_millis(100);
const HOUR: Duration = Duration::from_secs(3600);
/// A command is started only after so much of a watch: what it does is held against what was before.
const LEAD: Duration = Duration::from_secs(1);

impl Voyage<'_> {
    /// Watches a stage that has converged. What the cells went through is the judge's to say; this gives the rest.
    pub(super) async fn keep_vigil<R: Realised>(
        &mut self,
        vigil: &Vigil<'_>,
        watched: &Watched<'_>,
        world: &mut R,
        under: &mut Under,
        judge: &mut Judge,
    ) -> Result<(), String> {
        let now = clock::now();
        let from = judge.standing(now).converged.map_or(now, |converged| converged.at);
        let (seen, unseen) = judge.sight();
        self.draft.begin("trial of the pace", None);
        let tried = self.settle_pace(vigil, watched, under, judge).await;
        self.draft.end();
        let interval = tried?;
        let held = match vigil.hold {
            Hold::All => self.hold_allowed(watched, interval, under).await?,
            Hold::None => Vec::new(),
        };
        judge.watch_at(interval);

        self.draft.begin("watch", None);
        let persistent = judge.persistent();
        let tell = self.draft.tell();
        let mut ran = None;
        let quiet = match vigil.until {
            Until::Command(_) => vigil.quiet,
            // Nothing is waited for but the records of what was tried until then.
            Until::Over(_) | Until::Told(_) => Quiet { lasts: Duration::ZERO, at_most: self.patience_with_records() },
        };
        let (stop, began) = (self.stop, self.draft.began());
        let (mut tee, branch) = newborns::tee(&mut under.sightings);
        let (over, ends) = (CancellationToken::new(), OnceLock::new());
        let probed = under.planned.as_ref().map_or(&watched.stage.cells, |planned| &planned.cells);
        let probed = Arc::clone(probed);
        let nursery = Nursery {
            scenario: self.order.scenario,
            world,
            crew: &mut under.crew,
            branch,
            without: watched.after.clone(),
            probed,
            rules: *judge.rules(),
            patience: vigil.births.map(|births| births.within).unwrap_or_default(),
            who: under.who.clone(),
            ends: &ends,
            tell,
            micros: &move |at: Moment| micros(at.since(began)),
        };
        let watching = async {
            let post = Post { sightings: &mut tee, clock: clock::now, listener: tell };
            let until;
            let ended = match vigil.until {
                Until::Over(duration) => {
                    let _first = ends.set(Instant::now() + duration);
                    let ended = watch::observe(judge, post, tokio::time::sleep(duration), quiet, stop.wait()).await;
                    until = clock::now();
                    ended
                }
                Until::Told(key) => {
                    // Being told to stop is how such a watch is meant to end.
                    let told = async {
                        tokio::select! {
                            () = stop.wait() => {}
                            () = pressed(key) => {}
                        }
                    };
                    let ended = watch::observe(judge, post, told, quiet, pending()).await;
                    until = clock::now();
                    ended
                }
                Until::Command(argv) => {
                    let mut command = Command::new(argv, tell);
                    let run = async {
                        tokio::time::sleep(LEAD).await;
                        command.run().await;
                        let _first = ends.set(Instant::now() + quiet.lasts);
                    };
                    let ended = watch::observe(judge, post, run, quiet, stop.wait()).await;
                    until = clock::now();
                    ran = Some(command.end().await);
                    ended
                }
            };
            over.cancel();
            (ended, until)
        };
        let ((ended, until), born) = tokio::join!(watching, nursery.tend(vigil.births, &over));
        under.watched_until = Some(until);
        self.draft.end();
        let mut established = std::mem::take(&mut under.established);
        established.extend(self.release(&held, established::pace(interval), (None, Some(judge)), under).await);

        let (now_seen, now_unseen) = judge.sight();
        let info = WatchInfo {
            from_us: self.draft.micros(from),
            until_us: self.draft.micros(until),
            waited_for: vigil.until.words(ended),
            command: ran.as_ref().map(|ran| ran.info(|at| self.draft.micros(at))),
            seen: now_seen.saturating_sub(seen),
            unseen: now_unseen.saturating_sub(unseen),
            interval_us: micros(interval),
            persistent: judge.persistent().saturating_sub(persistent),
            budgets: Budgets {
                max_outage_us: micros(vigil.max_outage),
                max_leak_us: micros(vigil.max_leak),
                max_unobserved_us: micros(vigil.max_unobserved),
            },
            // The verdicts on the flows come after this.
            unobserved: None,
            established,
            newborns: born,
        };
        self.draft.document.watch = Some(info);
        self.conclude(ended, ran)
    }

    /// What came of the command, and whether the watch went on to its end.
    fn conclude(&mut self, ended: Ended, ran: Option<Ran>) -> Result<(), String> {
        if let Some(ran) = &ran {
            for (at, what, turn) in ran.story() {
                let at_us = self.draft.micros(at);
                self.draft.document.events.push(Happening {
                    at_us,
                    since_us: None,
                    about: About::Command,
                    node: None,
                    subject: "the command".into(),
                    what,
                    turn,
                    stamped: None,
                });
            }
            if let Some(failure) = ran.failure() {
                self.draft.warn(format!("{failure}: the change that was to be watched did not happen as meant"));
            }
        }
        match ended {
            // What stays wrong is a finding, and more of it would tell nothing new.
            Ended::Reached | Ended::StillWrong => Ok(()),
            Ended::TimedOut => {
                if ran.is_some() {
                    self.draft.warn("the network was not quiet in time after the command had ended".into());
                }
                Ok(())
            }
            Ended::Stopped => Err("told to stop before the watch was over".into()),
            Ended::Deserted => Err("no agent was left to tell anything".into()),
        }
    }

    /// How long to wait for the records of what was tried up to a moment.
    fn patience_with_records(&self) -> Duration {
        self.deadline() * 2 + self.temper.grace + Duration::from_secs(1)
    }

    /// Has a connection held open for every allowed TCP flow, or for as many as are reasonable.
    async fn hold_allowed(
        &mut self,
        watched: &Watched<'_>,
        interval: Duration,
        under: &mut Under,
    ) -> Result<Vec<(FlowId, Flow)>, String> {
        let probed = under.probed(watched.stage);
        let allowed = |id, flow: &Flow| watched.is(id, Verdict::Allowed) && under.crew.has(flow.destination);
        let (held, all) = established::choose(&probed, allowed);
        if all > held.len() {
            self.draft.warn(format!("connections are held open for {} of {all} allowed flows", held.len()));
        }
        let every = established::pace(interval);
        under.crew.hold(&held, every, HOUR * 24).await.map_err(|error| chain(&error))?;
        Ok(held)
    }

    /// Asks what became of held connections, and closes them. The judge of their flows, where one judged them meanwhile, knows
    /// when these could not be observed.
    pub(super) async fn release(
        &mut self,
        held: &[(FlowId, Flow)],
        every: Duration,
        (denied_by, judge): (Option<&str>, Option<&Judge>),
        under: &mut Under,
    ) -> Vec<Established> {
        if held.is_empty() {
            return Vec::new();
        }
        let holdings = under.crew.holdings(held).await;
        // They are closed in any case when their agents end.
        let _late = under.crew.hold(&[], every, HOUR).await;
        let told = held.iter().zip(holdings).map(|((id, flow), holding)| {
            let ends = [flow.source, flow.destination];
            let mut blind: Vec<_> = ends.into_iter().flat_map(|end| under.crew.blindness(end)).collect();
            // An agent that was too starved to try the flow was too starved to watch its connection.
            blind.extend(judge.map(|judge| judge.unobserved_times(*id)).unwrap_or_default());
            let flow = self.order.scenario.named(flow);
            let deadline = self.deadline();
            let case = established::Case { flow, holding, blind: &blind, every, deadline, denied_by };
            established::assess(case, |at| self.draft.micros(at))
        });
        told.collect()
    }
}

/// Waits for Enter; for ever where nobody is at the keyboard.
async fn pressed(key: Key) {
    match key {
        Key::None => pending().await,
        Key::Enter => {
            let (tell, told) = tokio::sync::oneshot::channel();
            // A thread of its own: it may wait for a key long after the watch is over, and nothing waits for it.
            let spawned = std::thread::Builder::new().name("key".into()).spawn(move || {
                let mut line = String::new();
                // An end of input is as good as a key.
                let _read = std::io::stdin().read_line(&mut line);
                let _unheard = tell.send(());
            });
            match spawned {
                Ok(_thread) => drop(told.await),
                Err(_) => pending().await,
            }
        }
    }
}

pub(super) fn show(duration: Duration) -> String {
    jiff::SignedDuration::try_from(duration)
        .map_or_else(|_| format!("{duration:?}"), |duration| format!("{duration:#}").replace(' ', ""))
}
