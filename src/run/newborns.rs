//! Pods that are born while a world is watched: one after the other, each watched until all it may do works, and gone
//! again. What it may do the oracle says, with the address that it really has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::ask::no_endpoint;
use super::error::{Refusal, chain};
use super::members::{members, settle};
use super::vigil::show;
use crate::clock;
use crate::fabric::Realised;
use crate::judge::{Judge, Proven, Rules, Who, window};
use crate::model::endpoint::EndpointId;
use crate::model::event::{Event, Listener};
use crate::model::finding::Call;
use crate::model::flow::{CellSet, Flow, FlowId, NamedFlow};
use crate::model::matrix::Matrix;
use crate::model::moment::Moment;
use crate::model::observation::Sighting;
use crate::model::verdict::{Intent, Meaning, Verdict};
use crate::model::watch::{Newborn, SlowFlow};
use crate::oracle;
use crate::probe::{Crew, Pace, SweepPlan};
use crate::scenario::newborns::Newborn as Room;
use crate::scenario::world::World;
use crate::scenario::{Change, Scenario};
use crate::watch::{self, Sightings, Supply};
use crate::wire::Lane;

/// How often pods are born, and copies of which.
#[derive(Debug, Clone, Copy)]
pub struct Births<'a> {
    /// One in this, as long as the one before has settled.
    pub every: Duration,
    /// Names of pods; none: all.
    pub like: &'a [String],
    /// What does not work by then, from the newborn's first word on, is taken never to.
    pub within: Duration,
}

/// Room for so many: names are used again when all have had their turn.
const ROOM: usize = 16;
/// A newborn's flows are tried so often.
const INTERVAL: Duration = Duration::from_millis(50);
/// It lives at least so long: what should be denied is looked at besides what should work.
const LEAST_LIFE: Duration = Duration::from_secs(2);
/// Whether something happened in the world is looked at so often.
const LOOK: Duration = Duration::from_millis(500);

/// The scenario with room for the newborns that were asked for.
pub(super) fn make_room(scenario: &Scenario, births: &Births<'_>) -> Result<Scenario, Refusal> {
    let pods = scenario.stages().last().map(|stage| &stage.world.pods);
    let there = |id: &EndpointId| pods.is_some_and(|pods| pods.contains_key(id));
    // A copy of a pod behind a Service would be behind it too, and answer for it.
    let last = scenario.stages().last().map(|stage| &stage.world);
    let behind: BTreeMap<EndpointId, EndpointId> = last
        .into_iter()
        .flat_map(|world| world.services.iter().flat_map(|(id, service)| world.behind(service).map(|pod| (pod, *id))))
        .collect();
    let models: Vec<EndpointId> = if births.like.is_empty() {
        pods.into_iter().flat_map(|pods| pods.keys().copied()).filter(|id| !behind.contains_key(id)).collect()
    } else {
        let find = |name: &String| scenario.find(name).filter(there).ok_or_else(|| no_endpoint(scenario, name));
        let alone = |id: EndpointId| match behind.get(&id) {
            None => Ok(id),
            Some(service) => Err(Refusal::NewbornBehind {
                name: scenario.name_of(id).to_owned(),
                service: scenario.name_of(*service).to_owned(),
            }),
        };
        births.like.iter().map(|name| find(name).and_then(alone)).collect::<Result<_, _>>()?
    };
    Ok(scenario.with_newborns(&models, ROOM.max(models.len())))
}

/// Sightings for the watch, of which newborns hear too while one is there.
pub(super) struct Tee<'a> {
    pub(super) from: &'a mut UnboundedReceiver<Sighting>,
    to: UnboundedSender<Sighting>,
    wanted: Arc<AtomicBool>,
}

/// The newborns' end of it.
pub(super) struct Branch {
    from: UnboundedReceiver<Sighting>,
    wanted: Arc<AtomicBool>,
}

pub(super) fn tee(from: &mut UnboundedReceiver<Sighting>) -> (Tee<'_>, Branch) {
    let (to, branch) = unbounded_channel();
    let wanted = Arc::new(AtomicBool::new(false));
    (Tee { from, to, wanted: Arc::clone(&wanted) }, Branch { from: branch, wanted })
}

impl Sightings for Tee<'_> {
    async fn next(&mut self, into: &mut Vec<Sighting>, about: usize) -> Supply {
        let had = into.len();
        let supply = self.from.next(into, about).await;
        if self.wanted.load(Ordering::Relaxed) {
            for sighting in into.iter().skip(had) {
                // Nobody listens any more: the watch is ending.
                let _unheard = self.to.send(sighting.clone());
            }
        }
        supply
    }
}

/// Whatever a birth needs.
pub(super) struct Nursery<'a, R> {
    pub(super) scenario: &'a Scenario,
    pub(super) world: &'a mut R,
    pub(super) crew: &'a mut Crew,
    pub(super) branch: Branch,
    /// The watched world as it is without newborns.
    pub(super) without: World,
    /// What is probed of it.
    pub(super) probed: Arc<CellSet>,
    pub(super) rules: Rules,
    /// How long a newborn's flows are waited for.
    pub(super) patience: Duration,
    pub(super) who: Who,
    /// When the watch will be over, once that is known.
    pub(super) ends: &'a OnceLock<Instant>,
    pub(super) tell: &'a dyn Listener,
    pub(super) micros: &'a (dyn Fn(Moment) -> u64 + Sync),
}

impl<R: Realised> Nursery<'_, R> {
    /// Tends it until `over`: births, where they were asked for, and telling what happens in the world.
    pub(super) async fn tend(mut self, births: Option<Births<'_>>, over: &CancellationToken) -> Vec<Newborn> {
        let mut born = Vec::new();
        let mut told = self.world.happenings().len();
        let mut rooms = self.scenario.newborns().iter().cycle();
        let mut next_birth = births.map(|births| Instant::now() + births.every);
        loop {
            let look = Instant::now() + LOOK;
            tokio::select! {
                biased;
                () = over.cancelled() => return born,
                () = sleep_until(next_birth.map_or(look, |birth| birth.min(look))) => {}
            }
            for happened in self.world.happenings().into_iter().skip(told) {
                told += 1;
                self.tell.hear(Event::Note { text: format!("{}: {}", happened.subject, happened.what) });
            }
            if let (Some(births), Some(birth)) = (births, next_birth)
                && Instant::now() >= birth
            {
                if self.ends.get().is_some_and(|ends| *ends < Instant::now() + self.needed()) {
                    // One that is born so late could not be judged.
                    next_birth = None;
                    continue;
                }
                let Some(room) = rooms.next() else {
                    next_birth = None;
                    continue;
                };
                let room = room.clone();
                born.push(self.bear(&room, over).await);
                next_birth = Some((birth + births.every).max(Instant::now()));
            }
        }
    }

    /// How long a newborn that works at once takes to be made, seen to work, and watched for its least life.
    fn needed(&self) -> Duration {
        let rules = &self.rules;
        LEAST_LIFE.max(window(rules.deadline, INTERVAL) + rules.deadline * 2) + LOOK
    }

    async fn bear(&mut self, room: &Room, over: &CancellationToken) -> Newborn {
        let mut told = Newborn {
            name: self.scenario.name_of(room.id).to_owned(),
            like: self.scenario.name_of(room.like).to_owned(),
            node: None,
            asked_us: (self.micros)(clock::now()),
            alive_us: None,
            connected_after_us: None,
            leaked: Vec::new(),
            shut: Vec::new(),
            cut_short: false,
            slowest: None,
            note: None,
        };
        if let Err(why) = self.live(room, over, &mut told).await {
            told.note = Some(why);
        }
        if let Err(why) = self.bury(room.id).await {
            told.note = Some(match told.note {
                Some(note) => format!("{note}; {why}"),
                None => why,
            });
        }
        let what = match (&told.connected_after_us, &told.note) {
            (None, None) if told.cut_short => "not judged: the watch ended first".into(),
            (Some(us), None) => format!("all it may do works after {} ms", us / 1000),
            (_, Some(note)) => note.clone(),
            (None, None) => "gone again".into(),
        };
        self.tell.hear(Event::Note { text: format!("{}, like {}: {what}", told.name, told.like) });
        told
    }

    async fn live(&mut self, room: &Room, over: &CancellationToken, told: &mut Newborn) -> Result<(), String> {
        let mut with = self.without.clone();
        with.pods.insert(room.id, room.pod.clone());
        let birth = [Change::AddPod(room.id, room.pod.clone())];
        self.world.enact(&birth, &with).await.map_err(|error| format!("it could not be made: {}", chain(&error)))?;
        settle(&mut with, self.world);
        told.node = self.world.placements().get(&room.id).and_then(|placement| placement.node.clone());
        for member in members(self.scenario, [room.id].into_iter(), self.world) {
            self.crew.enlist(member).await.map_err(|error| chain(&error))?;
        }
        let alive = clock::now();
        told.alive_us = Some((self.micros)(alive));

        let cells = self.cells_of(room.id);
        let predictions = oracle::predict(&with, &cells);
        let says = |id| predictions.matrix().get(id).and_then(|prediction| prediction.meaning.verdict());
        let only = |verdict| Arc::new(cells.only(|id, _| says(id) == Some(verdict)));
        let rules = Rules {
            interval: INTERVAL,
            window: window(self.rules.deadline, INTERVAL),
            converge_within: self.patience,
            sent: alive,
            ..self.rules
        };
        let (allowed, denied) = (only(Verdict::Allowed), only(Verdict::Denied));
        let mut works = self.judge(&allowed, Verdict::Allowed, rules);
        let mut open = self.judge(&denied, Verdict::Denied, rules);
        self.branch.wanted.store(true, Ordering::Relaxed);
        let planned = self.plan(&cells).await;
        let result = match planned {
            Ok(()) => self.observe(&mut works, &mut open, alive, over, told).await,
            Err(why) => Err(why),
        };
        self.branch.wanted.store(false, Ordering::Relaxed);
        while self.branch.from.try_recv().is_ok() {}
        let now = clock::now();
        let leaked = open.verdicts(now);
        let leaked = leaked.iter().filter(|(_, _, judged)| judged.windows.iter().any(|w| w.call == Call::Leak));
        told.leaked = leaked.map(|(_, flow, _)| self.named(flow)).collect();
        if told.connected_after_us.is_some() {
            let waited = works.verdicts(now);
            let waited = waited.iter().filter_map(|(_, flow, judged)| Some((flow, judged.time_to_enforce?)));
            if let Some((flow, after)) = waited.max_by_key(|(_, after)| *after).filter(|(_, after)| !after.is_zero()) {
                let placement = self.world.placements().get(&flow.destination);
                told.slowest = Some(SlowFlow {
                    flow: self.named(flow),
                    node: placement.and_then(|placement| placement.node.clone()),
                    after_us: super::assemble::micros(after),
                });
            }
        } else {
            // Where the watch ended before patience did, the judge calls none of them shut.
            let shut = works.verdicts(now);
            let shut = shut.iter().filter(|(_, _, judged)| judged.call() == Call::Outage);
            told.shut = shut.map(|(_, flow, _)| self.named(flow)).collect();
        }
        result
    }

    /// Feeds both judges until all that may work does, and has for long enough to see whether more does.
    async fn observe(
        &mut self,
        works: &mut Judge,
        open: &mut Judge,
        alive: Moment,
        over: &CancellationToken,
        told: &mut Newborn,
    ) -> Result<(), String> {
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                () = over.cancelled() => {
                    told.cut_short = told.connected_after_us.is_none();
                    return Ok(());
                }
                _ = self.branch.from.recv_many(&mut batch, 4096) => {}
                () = sleep(watch::CHECK) => {}
            }
            for sighting in batch.drain(..) {
                works.see(&sighting);
                open.see(&sighting);
            }
            let now = clock::now();
            open.standing(now);
            if let Some(converged) = works.standing(now).converged {
                told.connected_after_us = Some(super::assemble::micros(converged.after));
                if now.since(alive) >= LEAST_LIFE {
                    return Ok(());
                }
            }
            if told.connected_after_us.is_none() && now.since(alive) >= self.patience {
                return Err(format!("not all it may do worked within {}", show(self.patience)));
            }
        }
    }

    /// Its flows, as far as their other end is probed at all.
    fn cells_of(&self, id: EndpointId) -> Arc<CellSet> {
        let there: BTreeSet<EndpointId> =
            self.probed.iter().flat_map(|(_, flow)| [flow.source, flow.destination]).chain([id]).collect();
        let there: BTreeSet<EndpointId> = there.into_iter().filter(|end| self.crew.has(*end)).collect();
        let own = |flow: &Flow| flow.source == id || flow.destination == id;
        let placed = |end: EndpointId, flow: &Flow| {
            let placement = self.world.placements().get(&end);
            placement.is_some_and(|placement| placement.addresses.of(flow.family).is_some())
        };
        Arc::new(CellSet::new(Arc::clone(self.scenario.flows()), |flow| {
            let ends = [flow.source, flow.destination];
            own(flow) && ends.iter().all(|end| there.contains(end) && placed(*end, flow))
        }))
    }

    fn judge(&self, cells: &Arc<CellSet>, verdict: Verdict, rules: Rules) -> Judge {
        let meaning = Matrix::build(Arc::clone(cells), |_, _| Meaning::Known(verdict));
        let intent = Matrix::build(Arc::clone(cells), |_, _| Intent::Unstated);
        Judge::new(Arc::clone(cells), intent, meaning, rules, self.who.clone(), Proven::default())
    }

    /// Has the agents try these cells in a lane of their own, so that nobody else's pace is disturbed.
    async fn plan(&mut self, cells: &CellSet) -> Result<(), String> {
        let wanted: Vec<(FlowId, Flow)> = cells.iter().map(|(id, flow)| (id, *flow)).collect();
        let deadline = self.rules.deadline;
        let plan = SweepPlan {
            slack: deadline / 2,
            lane: Lane::Side,
            expires: self.patience.saturating_mul(2).max(LEAST_LIFE * 2),
            ..SweepPlan::new(wanted, Pace { interval: INTERVAL, attempts: 1 }, deadline)
        };
        self.crew.plan(&plan).await.map(|_| ()).map_err(|error| chain(&error))
    }

    /// Takes it away: first nobody calls it any more, then its agent goes, then the pod.
    async fn bury(&mut self, id: EndpointId) -> Result<(), String> {
        let nothing = CellSet::new(Arc::clone(self.scenario.flows()), |_| false);
        let quiet = self.plan(&nothing).await;
        self.crew.dismiss(id).await;
        if !self.world.placements().contains_key(&id) {
            return quiet;
        }
        let without = self.without.clone();
        let gone = self.world.enact(&[Change::RemovePod(id)], &without).await;
        gone.map_err(|error| format!("it could not be removed: {}", chain(&error)))?;
        quiet
    }

    fn named(&self, flow: &Flow) -> NamedFlow {
        self.scenario.named(flow)
    }
}
