//! What goes on from stage to stage: agents mustered once, then change after change, each judged by its own time.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;

use super::again::quoted;
use super::draft::Draft;
use super::error::chain;
use super::members::{members, settle};
use super::pacing::work;
use super::pipeline::{ATTEMPTS, Temper};
use super::stop::Stop;
use super::vigil::Watched;
use super::{Keep, Order, assemble, carry, open, tolerance};
use crate::clock;
use crate::fabric::Realised;
use crate::judge::{self, Agents, Judge, Proven, Rules, Who, window};
use crate::model::document::Convergence;
use crate::model::endpoint::EndpointId;
use crate::model::flow::{CellSet, Flow, FlowId};
use crate::model::foreign::ForeignPolicy;
use crate::model::moment::Moment;
use crate::model::observation::Sighting;
use crate::model::watch::Established;
use crate::oracle;
use crate::probe::behind::{Behind, Relay};
use crate::probe::{Crew, Facade, Pace, Terms, Work};
use crate::scenario::world::{Service, World};
use crate::scenario::{Phases, Stage};
use crate::watch::Ended;

/// One run under way.
pub(super) struct Voyage<'a> {
    pub(super) order: &'a Order<'a>,
    pub(super) temper: Temper,
    pub(super) stop: &'a Stop,
    pub(super) draft: Draft<'a>,
}

/// What agents were told to try.
#[derive(PartialEq)]
pub(super) struct Planned {
    pub(super) cells: Arc<CellSet>,
    pub(super) services: BTreeMap<EndpointId, Facade>,
    pub(super) turns: Turns,
}

/// How often each cell has its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turns {
    /// Once: agents rest when they are through.
    One,
    /// Over and over, until they are told something else.
    Endless,
}

/// What goes on from stage to stage.
pub(super) struct Under {
    pub(super) crew: Crew,
    pub(super) sightings: UnboundedReceiver<Sighting>,
    pub(super) who: Who,
    pub(super) proven: Proven,
    /// Flows that were not reached in the baseline.
    pub(super) never_worked: HashSet<FlowId>,
    /// Policies of somebody else that may be why.
    pub(super) foreign: Vec<ForeignPolicy>,
    pub(super) agents: Agents,
    /// What the agents try.
    pub(super) planned: Option<Planned>,
    /// Tells of Services what follows from what agents tell.
    relay: Relay,
    /// The pace of the present plan.
    pub(super) pace: Pace,
    /// What it costs to try what is planned.
    pub(super) work: Work,
    /// What became of connections that were held through a step that denies them.
    pub(super) established: Vec<Established>,
    /// When the watch of the present stage ended.
    pub(super) watched_until: Option<Moment>,
}

impl Under {
    /// Has the next plan try none but these.
    pub(super) fn try_only(&mut self, ids: &HashSet<FlowId>) {
        if let Some(planned) = &mut self.planned {
            planned.cells = Arc::new(planned.cells.only(|id, _| ids.contains(&id)));
        }
    }

    /// What is probed just now.
    pub(super) fn probed(&self, stage: &Stage) -> Arc<CellSet> {
        Arc::clone(self.planned.as_ref().map_or(&stage.cells, |planned| &planned.cells))
    }
}

impl Voyage<'_> {
    /// Musters the agents, takes the baseline, and goes through the stages. What it ends early for is a sentence.
    pub(super) async fn sail<R: Realised>(&mut self, world: &mut R) -> Result<(), String> {
        let scenario = self.order.scenario;
        let members = members(scenario, scenario.bare().endpoints(), world);
        self.draft.begin("agents", Some(members.len() as u64));
        let terms = Terms { secret: self.draft.secret(), patience: self.temper.patience, grace: self.temper.grace };
        let mustered = tokio::select! {
            mustered = Crew::muster(world.dial(), members, terms) => mustered,
            () = self.stop.wait() => return Err(interrupted()),
        };
        let (crew, sightings) = mustered.map_err(|error| chain(&error))?;
        self.draft.end();
        let relay = Relay::default();
        let sightings = if scenario.bare().services.is_empty() { sightings } else { relay.clone().begin(sightings) };
        let who = Who {
            names: scenario.endpoints().iter().map(|endpoint| endpoint.name.clone()).collect(),
            scenario: quoted(&scenario.file().display().to_string()),
            asking: self.order.again.explaining(None),
            began: self.draft.began(),
        };
        let mut under = Under {
            crew,
            sightings,
            who,
            proven: Proven::default(),
            never_worked: HashSet::new(),
            foreign: world.foreign(),
            agents: Agents::default(),
            planned: None,
            relay,
            pace: Pace { interval: Duration::ZERO, attempts: 1 },
            work: Work::default(),
            established: Vec::new(),
            watched_until: None,
        };
        let result = self.stages(world, &mut under).await;
        let began = self.draft.began();
        self.draft.document.agents = match self.order.keep {
            Keep::Nothing => under.crew.disband(began).await,
            Keep::World => under.crew.leave(began).await,
        };
        result
    }

    async fn stages<R: Realised>(&mut self, world: &mut R, under: &mut Under) -> Result<(), String> {
        let mut bare = self.order.scenario.bare().clone();
        settle(&mut bare, world);
        let beyond = |flow: &Flow| world.lacks(&bare, flow);
        let open = open::cells(self.order.scenario, &bare);
        let load = carry::sort(&open, world.placements(), None, beyond);
        let services = self.services(&bare, under);
        self.baseline(&open, &bare, &load, services, under).await?;
        for stage in self.order.scenario.stages() {
            if self.stop.pulled() {
                return Err(interrupted());
            }
            self.stage(stage, world, under).await?;
        }
        Ok(())
    }
    async fn stage<R: Realised>(&mut self, stage: &Stage, world: &mut R, under: &mut Under) -> Result<(), String> {
        let scenario = self.order.scenario;
        self.draft.begin(&stage.name, Some(stage.cells.len() as u64));
        let first = scenario.stages().first().is_some_and(|first| first.name == stage.name);
        under.who.asking = self.order.again.explaining((!first).then_some(&stage.name));
        let mut after = stage.world.clone();
        settle(&mut after, world);
        let phases = Phases::of(&stage.changes);
        let held = self.hold_denied(stage, &after, &phases.removed, under).await?;
        self.let_go(&phases, under).await?;
        let enacted = world.enact(&stage.changes, &after).await.map_err(|error| chain(&error))?;
        settle(&mut after, world);
        let running = self.take_on(&phases, world, under).await?;
        // The stage's clock starts with that of its last flow.
        let starts = running.values().copied().fold(enacted.sent, Moment::max);
        let predictions = oracle::predict(&after, &stage.cells);
        let planned = (after != stage.world).then(|| oracle::predict(&stage.world, &stage.cells));
        let readings =
            planned.as_ref().map(|planned| carry::Readings { planned, real: &predictions, intent: &stage.intent });
        let beyond = |flow: &Flow| world.lacks(&after, flow);
        let load = carry::sort(&stage.cells, world.placements(), readings.as_ref(), beyond);
        let right = predictions.matrix().map(|id, _, prediction| {
            let wanted = stage.intent.get(id).and_then(|intent| intent.verdict());
            prediction.meaning.verdict().or(wanted)
        });
        let work = work(&load.carried, |id| right.get(id).copied().flatten());
        let planned =
            Planned { cells: Arc::clone(&load.carried), services: self.services(&after, under), turns: Turns::Endless };
        if under.planned.as_ref() != Some(&planned) || self.pace(work, under) != under.pace {
            self.plan(planned, work, under).await?;
        }
        let meaning = predictions.matrix().map(|_, _, prediction| prediction.meaning);
        let rules = self.rules(starts, under.pace, stage.timing);
        let rules = self.patient(rules);
        let (cells, proven) = (Arc::clone(&load.carried), under.proven.clone());
        let mut judge = Judge::new(cells, stage.intent.clone(), meaning, rules, under.who.clone(), proven)
            .knowing(std::mem::take(&mut under.agents))
            .starting(enacted.sent, &running)
            .tolerating(tolerance::tolerance(scenario, stage, self.order.vigil.as_ref(), tolerance::today()));
        let ended = self.converge(&mut judge, under).await?;
        let now = clock::now();
        let took = now.since(starts);
        let (converged, proven) = judge.standing(now).converged.map_or((took, took), |c| (c.after, c.at.since(starts)));
        self.draft.end();
        self.release_denied(&stage.name, held, under).await;
        if self.order.vigil.is_none() && self.is_last(stage) {
            // What is left to do is to judge, and agents at work would only take the time for it.
            let _unanswered = under.crew.halt().await;
        }
        let scene = Watched { stage, after: &after, right: &right };
        let watched = self.watch_if_last(&scene, ended, world, under, &mut judge).await;
        // As of when the judge was last told: what took place meanwhile, nobody told it.
        let mut judgements = load.fill(&stage.cells, judge.verdicts(under.watched_until.take().unwrap_or(now)));
        judge::distrust(&mut judgements, &under.never_worked);
        let judged = assemble::Judged {
            name: &stage.name,
            changes: assemble::changes(stage, scenario),
            sent: starts,
            acknowledged: enacted.acknowledged,
            convergence: convergence(ended, converged, proven),
            judgements,
            intent: &stage.intent,
            predictions: &predictions,
            who: &under.who,
        };
        self.draft.add(judged);
        under.agents = judge.agents();
        watched
    }
    fn is_last(&self, stage: &Stage) -> bool {
        self.order.scenario.stages().last().is_some_and(|last| last.name == stage.name)
    }

    /// Watches, if that was asked for and this is the stage to be watched. A world that is wrong already is not: what
    /// was to be found out is how it fares while it is right.
    async fn watch_if_last<R: Realised>(
        &mut self,
        watched: &Watched<'_>,
        ended: Ended,
        world: &mut R,
        under: &mut Under,
        judge: &mut Judge,
    ) -> Result<(), String> {
        let last = self.is_last(watched.stage);
        let Some(vigil) = self.order.vigil.as_ref().filter(|_| last) else { return Ok(()) };
        match ended {
            Ended::Reached => self.keep_vigil(vigil, watched, world, under, judge).await,
            Ended::Stopped => Err(interrupted()),
            Ended::TimedOut | Ended::StillWrong | Ended::Deserted => {
                Err("not watched, and no command was run: the world was not as it should be to begin with".into())
            }
        }
    }

    /// What agents have to know of the Services of a world; the relay learns who is behind them.
    fn services(&self, world: &World, under: &Under) -> BTreeMap<EndpointId, Facade> {
        let name = |id: EndpointId| self.order.scenario.name_of(id).to_owned();
        let behind = |service: &Service| Behind {
            endpoints: world.behind(service).collect(),
            ports: service.ports.iter().map(|port| (port.port, port.behind())).collect(),
        };
        under.relay.know(world.services.iter().map(|(id, service)| (*id, behind(service))).collect());
        let facade = |id: EndpointId, service: &Service| Facade {
            name: name(id),
            addresses: service.addresses,
            answered_by: world.behind(service).map(name).collect(),
        };
        world.services.iter().map(|(id, service)| (*id, facade(*id, service))).collect()
    }

    pub(super) fn rules(&mut self, sent: Moment, pace: Pace, timing: crate::scenario::Timing) -> Rules {
        let deadline = self.deadline();
        let rules = Rules {
            attempts: self.order.attempts.or(timing.attempts).unwrap_or(ATTEMPTS),
            deadline,
            interval: pace.interval,
            window: window(deadline, pace.interval),
            deny: self.order.scenario.deny(),
            strictness: self.order.strictness,
            converge_within: self.order.converge_within.unwrap_or(timing.converge_within),
            max_enforce: timing.max_enforce,
            allowed: None,
            sent,
        };
        self.draft.document.settings = assemble::settings(&rules);
        rules
    }
}

/// How convergence went. Where everybody who could tell anything is lost, waiting longer would have shown no more.
pub(super) fn convergence(ended: Ended, after: Duration, proven: Duration) -> Convergence {
    match ended {
        Ended::Reached => {
            Convergence::Converged { after_us: assemble::micros(after), proven_us: assemble::micros(proven) }
        }
        Ended::TimedOut | Ended::StillWrong | Ended::Deserted => {
            Convergence::TimedOut { after_us: assemble::micros(after) }
        }
        Ended::Stopped => Convergence::Interrupted,
    }
}

pub(super) fn interrupted() -> String {
    "told to stop before all was judged".into()
}
