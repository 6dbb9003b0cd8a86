//! One run on one fabric, from nothing to verdicts.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;

use super::again::quoted;
use super::draft::Draft;
use super::error::{Refusal, chain};
use super::established::{self, Hold};
use super::pacing::{look, work};
use super::stop::Stop;
use super::vigil::Watched;
use super::{Keep, Order, assemble, carry, keepsakes, newborns, open, suspect, tolerance};
use crate::clock;
use crate::fabric::{Fabric, Realised};
use crate::judge::{Agents, Baseline, Judge, Proven, Rules, Who, window};
use crate::model::document::{Convergence, Document};
use crate::model::endpoint::EndpointId;
use crate::model::event::Listener;
use crate::model::flow::{CellSet, Flow, FlowId};
use crate::model::matrix::Matrix;
use crate::model::moment::Moment;
use crate::model::observation::Sighting;
use crate::model::port::{Port, Protocol};
use crate::model::prediction::Predictions;
use crate::model::verdict::{Intent, Verdict};
use crate::model::watch::Established;
use crate::oracle;
use crate::probe::behind::{Behind, Relay};
use crate::probe::{Crew, Facade, Member, Pace, Terms, Work};
use crate::scenario::world::{Service, ServicePort, World};
use crate::scenario::{Change, Scenario, Stage};
use crate::watch::{self, Ended, Post};

/// What a fabric is known to need.
#[derive(Debug, Clone, Copy)]
pub(super) struct Temper {
    /// Silence counts after so long, where nobody says otherwise.
    pub(super) deadline: Duration,
    /// How long to wait for agents, and for their answers.
    pub(super) patience: Duration,
    /// How long an agent may be out of reach before it is lost.
    pub(super) grace: Duration,
}

/// So many silent attempts make a denial, where nobody says otherwise.
pub(super) const ATTEMPTS: u32 = 4;
/// The last cell of the baseline has to be reached within this, or within [`BASELINE_TURNS`] where those take longer.
const BASELINE_WITHIN: Duration = Duration::from_secs(10);
/// So many turns of every cell.
const BASELINE_TURNS: u32 = 6;

/// How often a message goes over a connection that is held through a step.
const HELD_PACE: Duration = Duration::from_millis(100);

/// What an agent listens on that nobody calls.
const UNCALLED: Port = Port { number: NonZeroU16::new(8080).unwrap(), protocol: Protocol::Tcp };

/// Runs one scenario. `show` is given the document once the verdicts are there, before anything is torn down.
pub(super) async fn run<F: Fabric>(
    fabric: &F,
    temper: Temper,
    order: &Order<'_>,
    tell: &dyn Listener,
    stop: &Stop,
    show: &mut (dyn FnMut(&Document) + Send),
    say: &(dyn Fn(&[String]) + Sync),
) -> Result<Document, Refusal> {
    if let Some(asked) = order.scenario.requirement()
        && let Some(why) = asked.unmet(&fabric.place().await)
    {
        return Err(Refusal::Unmet { scenario: order.scenario.name().to_owned(), why });
    }
    let mut draft = Draft::new(order, temper, tell);
    let stop = stop.within(order.timeout.map(margin));
    draft.begin("world", None);
    let no_world = |source| Refusal::World { scenario: order.scenario.name().to_owned(), source: Box::new(source) };
    let found = fabric.survey(order.scenario, draft.run()).await.map_err(no_world)?;
    let scenario = match &found {
        Some(found) => draft.adopt(found),
        None => order.scenario,
    };
    let roomy = order.vigil.as_ref().and_then(|vigil| vigil.births).map(|b| newborns::make_room(scenario, &b));
    let roomy = roomy.transpose()?;
    let order = &Order { scenario: roomy.as_ref().unwrap_or(scenario), ..order.clone() };
    let world = fabric.realise(order.scenario, draft.run(), tell, stop.token()).await;
    let mut world = world
        .map_err(|source| Refusal::World { scenario: order.scenario.name().to_owned(), source: Box::new(source) })?;
    draft.end();
    draft.document.fabric = world.info();
    let mut warnings = world.warnings();
    // What a run's few seconds are laid beside is its own changes; a watch is laid beside what others do.
    if order.vigil.is_some() {
        warnings.extend(world.keep_log().await);
    }
    for warning in warnings {
        draft.warn(warning);
    }
    draft.document.endpoints = assemble::endpoints(order.scenario, world.placements());

    let mut voyage = Voyage { order, temper, stop: &stop, draft };
    if let Err(why) = voyage.sail(&mut world).await {
        voyage.draft.document.aborted = Some(why);
    }
    let mut draft = voyage.draft;
    let (known, warnings) = tolerance::known(order.scenario, &draft.document, tolerance::today());
    draft.document.known = known;
    draft.document.warnings.extend(warnings);
    draft.happened(world.happenings());
    draft.document.endpoints = assemble::endpoints(order.scenario, world.placements());
    // What it counted meanwhile is part of what it is.
    draft.document.fabric = world.info();
    if let Some(suspicion) = suspect::nobody_enforces(&draft.document) {
        draft.warn(suspicion);
    }
    draft.close();
    show(&draft.document);
    if let Some(folder) = order.artifacts {
        say(&keepsakes::gather(&world, &draft.document, order, folder).await);
    }

    if order.keep == Keep::World && !stop.pulled() {
        say(&world.steps_inside().await);
        stop.wait().await;
    }
    draft.begin("tear-down", None);
    let errors = world.tear_down().await;
    draft.end();
    draft.document.left_behind = errors.iter().map(|error| chain(error)).collect();
    draft.close();
    Ok(draft.document)
}

/// A run's time less what tear-down may need of it.
fn margin(timeout: Duration) -> Duration {
    timeout.saturating_sub((timeout / 5).min(Duration::from_secs(30)))
}

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
}

/// What goes on from stage to stage.
pub(super) struct Under {
    pub(super) crew: Crew,
    pub(super) sightings: UnboundedReceiver<Sighting>,
    pub(super) who: Who,
    proven: Proven,
    agents: Agents,
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
    /// What is probed just now.
    pub(super) fn probed(&self, stage: &Stage) -> Arc<CellSet> {
        Arc::clone(self.planned.as_ref().map_or(&stage.cells, |planned| &planned.cells))
    }
}

impl Voyage<'_> {
    /// Musters the agents, takes the baseline, and goes through the stages. What it ends early for is a sentence.
    async fn sail<R: Realised>(&mut self, world: &mut R) -> Result<(), String> {
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

    async fn baseline(
        &mut self,
        all: &Arc<CellSet>,
        bare: &World,
        load: &carry::Load,
        services: BTreeMap<EndpointId, Facade>,
        under: &mut Under,
    ) -> Result<(), String> {
        let cells = Arc::clone(&load.carried);
        self.draft.begin("baseline", Some(cells.len() as u64));
        let sent = clock::now();
        let planned = Planned { cells: Arc::clone(&cells), services };
        // At the pace that the first stage needs, so that nobody is told anything new just when a change is to be seen.
        let start = self.plan(planned, self.opening(&cells), under).await?;
        let acknowledged = clock::now();
        let within = BASELINE_WITHIN.max(under.pace.interval * BASELINE_TURNS);
        let rules = Rules { converge_within: within, ..self.rules(sent, under.pace, self.order.scenario.timing()) };
        let mut judge = Baseline::new(Arc::clone(&cells), rules, under.who.clone());
        let ended = loop {
            let enough = self.told_or_after(look(under.pace.interval));
            let post = Post { sightings: &mut under.sightings, clock: clock::now, listener: self.draft.tell() };
            let ended = watch::prove(&mut judge, post, enough).await;
            if ended != Ended::Stopped || self.stop.pulled() {
                break ended;
            }
            self.refuse_pace(judge.sight(), under)?;
            // That was not enough: agents that take each other's time see more at half the pace.
            if let Some(slower) = self.slower(under)
                && let Err(why) = self.replan(slower, under).await
            {
                // Too busy even to answer: what was reached so far, and is still, counts all the same.
                self.draft.warn(why);
            }
        };
        let swept = clock::now();
        self.draft.end();
        under.proven = open::shown(self.order.scenario, judge.proven());
        under.agents = judge.agents();
        let nobody = Matrix::build(Arc::clone(all), |_, _| Intent::Unstated);
        let open = oracle::predict(bare, all);
        let stage = assemble::Judged {
            name: "baseline",
            changes: Vec::new(),
            sent,
            acknowledged,
            convergence: convergence(ended, clock::now().since(sent), clock::now().since(sent)),
            judgements: load.fill(all, judge.verdicts()),
            intent: &nobody,
            predictions: &open,
            who: &under.who,
        };
        self.draft.add(stage);
        let broken = judge.broken();
        let words = broken.iter().map(|(_, flow, seen)| judge.describe(flow, seen));
        self.draft.document.warnings.extend(words.map(|words| format!("baseline: {words}")));
        if self.stop.pulled() {
            return Err(interrupted());
        }
        if !cells.is_empty() && broken.len() == cells.len() {
            let which = match self.order.scenario.adopted() {
                None => "not one flow worked before any policy was there",
                Some(_) => "not one flow that the policies allow worked, nor any between the run's own pods",
            };
            return Err(format!("{which}: the wiring is broken, nothing was judged"));
        }
        if ended == Ended::Reached {
            self.calibrate(swept.since(start), &mut judge, under).await?;
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
        let held = self.hold_denied(stage, &after, under).await?;
        // Whoever goes is dismissed first: an agent that vanishes by order is not a lost one.
        for change in &stage.changes {
            if let Change::RemovePod(pod) = change {
                under.crew.dismiss(*pod).await;
            }
        }
        let enacted = world.enact(&stage.changes, &after).await.map_err(|error| chain(&error))?;
        let added: Vec<EndpointId> = stage
            .changes
            .iter()
            .filter_map(|change| if let Change::AddPod(pod, _) = change { Some(*pod) } else { None })
            .collect();
        settle(&mut after, world);
        for member in members(scenario, added.iter().copied(), world) {
            under.crew.enlist(member).await.map_err(|error| chain(&error))?;
        }
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
        let planned = Planned { cells: Arc::clone(&load.carried), services: self.services(&after, under) };
        if under.planned.as_ref() != Some(&planned) || self.pace(work, under) != under.pace {
            self.plan(planned, work, under).await?;
        }
        let meaning = predictions.matrix().map(|_, _, prediction| prediction.meaning);
        let rules = self.rules(enacted.sent, under.pace, stage.timing);
        let rules = self.patient(rules);
        let (cells, proven) = (Arc::clone(&load.carried), under.proven.clone());
        let mut judge = Judge::new(cells, stage.intent.clone(), meaning, rules, under.who.clone(), proven)
            .knowing(std::mem::take(&mut under.agents))
            .tolerating(tolerance::tolerance(scenario, stage, self.order.vigil.as_ref(), tolerance::today()));
        let ended = self.converge(&mut judge, under).await?;
        let now = clock::now();
        let took = now.since(enacted.sent);
        let (converged, proven) =
            judge.standing(now).converged.map_or((took, took), |c| (c.after, c.at.since(enacted.sent)));
        self.draft.end();
        self.release_denied(&stage.name, held, under).await;
        if self.order.vigil.is_none() && self.is_last(stage) {
            // What is left to do is to judge, and agents at work would only take the time for it.
            let _unanswered = under.crew.halt().await;
        }
        let scene = Watched { stage, after: &after, right: &right };
        let watched = self.watch_if_last(&scene, ended, world, under, &mut judge).await;
        let judged = assemble::Judged {
            name: &stage.name,
            changes: assemble::changes(stage, scenario),
            sent: enacted.sent,
            acknowledged: enacted.acknowledged,
            convergence: convergence(ended, converged, proven),
            // As of when the judge was last told: what took place meanwhile, nobody told it.
            judgements: load.fill(&stage.cells, judge.verdicts(under.watched_until.take().unwrap_or(now))),
            intent: &stage.intent,
            predictions: &predictions,
            who: &under.who,
        };
        self.draft.add(judged);
        under.agents = judge.agents();
        watched
    }

    /// Before a step, where connections are to be held: opens one for every flow that works now and that the step
    /// denies, to show what a new denial does to it.
    async fn hold_denied(
        &mut self,
        stage: &Stage,
        after: &World,
        under: &mut Under,
    ) -> Result<Vec<(FlowId, Flow)>, String> {
        let holds = self.order.vigil.as_ref().is_some_and(|vigil| vigil.hold == Hold::All);
        let stages = self.order.scenario.stages();
        let before = stages.iter().position(|other| other.name == stage.name).and_then(|place| place.checked_sub(1));
        let Some(before) = before.and_then(|place| stages.get(place)).filter(|_| holds) else { return Ok(Vec::new()) };
        let mut world = before.world.clone();
        for id in before.world.endpoints() {
            if let Some(addresses) = after.addresses(id) {
                world.set_addresses(id, addresses);
            }
        }
        let place = |cells: &CellSet, flow: &Flow| cells.table().find(flow).and_then(|id| cells.place(id));
        // Only what is probed just now has agents at both ends.
        let Some(probed) = under.planned.as_ref().map(|planned| Arc::clone(&planned.cells)) else {
            return Ok(Vec::new());
        };
        let common = CellSet::new(Arc::clone(stage.cells.table()), |flow| {
            [&before.cells, &stage.cells, &probed].iter().all(|cells| place(cells, flow).is_some())
        });
        let common = Arc::new(common);
        let (now, then) = (oracle::predict(&world, &common), oracle::predict(after, &common));
        let says = |predictions: &Predictions, id| {
            predictions.matrix().get(id).and_then(|prediction| prediction.meaning.verdict())
        };
        let (held, _) = established::choose(&common, |id, flow| {
            under.crew.has(flow.destination)
                && says(&now, id) == Some(Verdict::Allowed)
                && says(&then, id) == Some(Verdict::Denied)
        });
        if !held.is_empty() {
            under.crew.hold(&held, HELD_PACE, Duration::from_secs(3600)).await.map_err(|error| chain(&error))?;
            // Long enough for each to be open and to have carried something before the step.
            tokio::time::sleep(HELD_PACE * 5).await;
        }
        Ok(held)
    }

    /// What became of them.
    async fn release_denied(&mut self, step: &str, held: Vec<(FlowId, Flow)>, under: &mut Under) {
        if !held.is_empty() {
            tokio::time::sleep(HELD_PACE * 5).await;
            let told = self.release(&held, HELD_PACE, Some(step), under).await;
            under.established.extend(told);
        }
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
            Ended::TimedOut | Ended::Deserted => {
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

    fn rules(&mut self, sent: Moment, pace: Pace, timing: crate::scenario::Timing) -> Rules {
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
fn convergence(ended: Ended, after: Duration, proven: Duration) -> Convergence {
    match ended {
        Ended::Reached => {
            Convergence::Converged { after_us: assemble::micros(after), proven_us: assemble::micros(proven) }
        }
        Ended::TimedOut | Ended::Deserted => Convergence::TimedOut { after_us: assemble::micros(after) },
        Ended::Stopped => Convergence::Interrupted,
    }
}

fn interrupted() -> String {
    "told to stop before all was judged".into()
}

/// Puts the addresses the fabric gave in place of the planned ones.
pub(super) fn settle<R: Realised>(world: &mut World, realised: &R) {
    for (id, placement) in realised.placements() {
        world.set_addresses(*id, placement.addresses);
    }
}

/// The agents of these endpoints. An agent listens on every port that any cell of any stage asks for, served or not:
/// at a port where nobody listens a denial could not be told from a refusal. One that nobody calls listens all the
/// same: by calling itself it shows that it is alive. Pods behind a Service listen where it leads, called by nobody else
/// though they may be.
pub(super) fn members<R: Realised>(
    scenario: &Scenario,
    endpoints: impl Iterator<Item = EndpointId>,
    realised: &R,
) -> Vec<Member> {
    let mut ports: BTreeMap<EndpointId, BTreeSet<Port>> = BTreeMap::new();
    for (_, flow) in scenario.flows().iter() {
        if flow.port.protocol != Protocol::Sctp {
            ports.entry(flow.destination).or_default().insert(flow.port);
        }
    }
    for world in std::iter::once(scenario.bare()).chain(scenario.stages().iter().map(|stage| &stage.world)) {
        for service in world.services.values() {
            for id in world.behind(service) {
                let behind = service.ports.iter().map(ServicePort::behind);
                ports.entry(id).or_default().extend(behind.filter(|port| port.protocol != Protocol::Sctp));
            }
        }
    }
    endpoints
        .filter_map(|endpoint| {
            let placement = realised.placements().get(&endpoint)?;
            Some(Member {
                endpoint,
                name: scenario.name_of(endpoint).to_owned(),
                addresses: placement.addresses,
                ports: ports.remove(&endpoint).unwrap_or_else(|| BTreeSet::from([UNCALLED])).into_iter().collect(),
                token: placement.token.clone(),
            })
        })
        .collect()
}
