//! A world of the lab under which policy sets are tried one after the other.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU8;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use leakproof::clock;
use leakproof::fabric::Realised;
use leakproof::fabric::lab::{Agents, Entered, Lab, Raised};
use leakproof::model::endpoint::EndpointId;
use leakproof::model::flow::{Flow, FlowId};
use leakproof::model::moment::Moment;
use leakproof::model::observation::{Outcome, Sighting};
use leakproof::model::verdict::Verdict;
use leakproof::policy::Policy;
use leakproof::probe::{Crew, Member, Pace, SweepPlan, Terms};
use leakproof::scenario::Change;
use leakproof::scenario::world::World;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

use crate::ground::{Ground, probed};

/// The agents' program: small, so that a hundred of them start in no time.
const AGENT: &str = env!("CARGO_BIN_EXE_leakproof-agent");
/// So many silent attempts make a denial.
const ATTEMPTS: u32 = 2;
const DEADLINE: Duration = Duration::from_millis(120);
/// The turns of a sweep are spread so thinly over its interval.
const APART: Duration = Duration::from_micros(160);
/// A cell that could not be seen is looked at so often in all, each time more patiently, because a busy machine is the
/// usual reason; one that still cannot be seen fails the run.
const LOOKS: u32 = 10;
/// The most patient look waits so many times as long as the first.
const MOST_PATIENT: u32 = 8;
/// How long an agent may take to report a sweep that is over. One that does not is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// Makes benches.
#[derive(Clone)]
pub struct Workshop {
    lab: Lab,
    /// So many sweeps go on at a time: more would only starve each other.
    sweeps: Arc<Semaphore>,
}

impl Workshop {
    pub fn new(entered: Entered, sweeps: usize) -> Self {
        let lab = Lab::new(entered).with_agents(Agents::Program(PathBuf::from(AGENT)));
        Self { lab, sweeps: Arc::new(Semaphore::new(sweeps)) }
    }

    /// Raises a ground's world.
    pub async fn raise(&self, ground: &Ground) -> Result<Bench, String> {
        let two = NonZeroU8::new(2).expect("two is not zero");
        let raised = self.lab.raise(&ground.world, &ground.names, two).await.map_err(chain)?;
        let members = raised
            .placements()
            .iter()
            .map(|(id, placement)| Member {
                endpoint: *id,
                name: ground.name(*id).to_owned(),
                addresses: placement.addresses,
                ports: ground.world.serves(*id).iter().map(|served| served.port).filter(probed_port).collect(),
                token: placement.token.clone(),
            })
            .collect();
        let terms = Terms { secret: clock::now().0, patience: PATIENCE, grace: Duration::from_secs(2) };
        match Crew::muster(raised.dial(), members, terms).await {
            Ok((crew, sightings)) => Ok(Bench {
                ground: ground.clone(),
                before: ground.world.clone(),
                raised,
                crew,
                sightings,
                sweeps: Arc::clone(&self.sweeps),
                next: HashMap::new(),
            }),
            Err(error) => {
                drop(raised.tear_down().await);
                Err(chain(error))
            }
        }
    }
}

fn probed_port(port: &leakproof::model::port::Port) -> bool {
    port.protocol != leakproof::model::port::Protocol::Sctp
}

/// An error with all its causes.
pub fn chain(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The lab's reading of one policy set.
pub struct Reading {
    /// Every probed cell is in it.
    pub verdicts: HashMap<FlowId, Verdict>,
    /// How many sweeps of some cells had to be made again, and why the first cell had to.
    pub repeated: u32,
    pub why: Option<String>,
    /// How long it took to put the policies in force.
    pub enacting: Duration,
}

/// A world of the lab.
pub struct Bench {
    ground: Ground,
    before: World,
    raised: Raised,
    crew: Crew,
    sightings: UnboundedReceiver<Sighting>,
    sweeps: Arc<Semaphore>,
    /// The number of each cell's next attempt.
    next: HashMap<FlowId, u32>,
}

/// What was seen of one cell in one sweep.
#[derive(Default)]
struct Seen {
    /// By attempt number.
    tried: BTreeMap<u32, Outcome>,
    delivered: Vec<(u32, u32)>,
}

impl Bench {
    /// Puts the world's policies and labels in force, and tries every cell.
    pub async fn read(&mut self, world: &World) -> Result<Reading, String> {
        let sweeps = Arc::clone(&self.sweeps);
        let _permit = sweeps.acquire().await.map_err(chain)?;
        let changes = difference(&self.before, world);
        let enacted = self.raised.enact(&changes, world).await.map_err(chain)?;
        let enacting = enacted.acknowledged.since(enacted.sent);
        self.before = world.clone();
        let mut left: Vec<(FlowId, Flow)> =
            self.ground.cells.iter().filter(|(_, flow)| probed(flow)).map(|(id, flow)| (id, *flow)).collect();
        let mut reading = Reading { verdicts: HashMap::new(), repeated: 0, why: None, enacting };
        for look in 0..LOOKS {
            let mut unseen = Vec::new();
            for (id, flow, verdict) in self.sweep(&left, (1 << look).min(MOST_PATIENT)).await? {
                match verdict {
                    Ok(verdict) => {
                        reading.verdicts.insert(id, verdict);
                    }
                    Err(why) => {
                        reading.why.get_or_insert_with(|| format!("{}: {why}", self.ground.named(&flow)));
                        unseen.push((id, flow));
                    }
                }
            }
            if unseen.is_empty() {
                reading.repeated = look;
                return Ok(reading);
            }
            left = unseen;
        }
        let why = reading.why.unwrap_or_default();
        Err(format!("{} cells could not be seen in {LOOKS} looks; the first: {why}", left.len()))
    }

    async fn sweep(
        &mut self,
        cells: &[(FlowId, Flow)],
        patience: u32,
    ) -> Result<Vec<(FlowId, Flow, Result<Verdict, String>)>, String> {
        let interval = (APART * cells.len() as u32 * patience).max(Duration::from_millis(5));
        let deadline = DEADLINE * patience;
        let plan = SweepPlan {
            turns: Some(1),
            slack: deadline / 2,
            expires: PATIENCE,
            self_dial: Duration::from_secs(1),
            ..SweepPlan::new(cells.to_vec(), Pace { interval, attempts: ATTEMPTS }, deadline)
        };
        let begun = clock::now();
        let planned = self.crew.plan(&plan).await.map_err(chain)?;
        // The last turn comes at the end of the interval, and its last attempt a deadline later at most.
        let launched = planned.swept.plus(deadline);
        let over = launched.plus(deadline);
        let view = self.gather(begun, launched, over).await?;
        Ok(cells
            .iter()
            .map(|(id, flow)| {
                let verdict = judge(view.seen.get(id), [flow.source, flow.destination].map(|end| view.blind.get(&end)));
                (*id, *flow, verdict)
            })
            .collect())
    }

    /// Takes sightings until every agent has reported the whole sweep.
    async fn gather(&mut self, begun: Moment, launched: Moment, over: Moment) -> Result<View, String> {
        let mut waited: BTreeMap<EndpointId, ()> = self.ground.world.endpoints().map(|id| (id, ())).collect();
        let mut view = View::default();
        let mut next = self.next.clone();
        while !waited.is_empty() {
            let sighting = timeout(PATIENCE, self.sightings.recv()).await;
            let Ok(Some(sighting)) = sighting else {
                let names: Vec<&str> = waited.keys().map(|id| self.ground.name(*id)).collect();
                return Err(format!("the agents of {} do not report", names.join(", ")));
            };
            match sighting {
                Sighting::Tried { flow, first_number, count, outcome, .. } => {
                    let known = self.next.get(&flow).copied().unwrap_or_default();
                    for number in (first_number..first_number + count).filter(|number| *number >= known) {
                        view.seen.entry(flow).or_default().tried.insert(number, outcome.clone());
                        let next = next.entry(flow).or_default();
                        *next = (*next).max(number + 1);
                    }
                }
                Sighting::Delivered { flow, first_number, count, .. } => {
                    view.seen.entry(flow).or_default().delivered.push((first_number, first_number + count));
                }
                Sighting::Blind { endpoint, until, why, .. } => {
                    if until >= begun {
                        view.blind.insert(endpoint, format!("{} was blind: {why}", self.ground.name(endpoint)));
                    }
                }
                Sighting::Complete { endpoint, until, arrived } => {
                    if until >= launched && arrived >= over {
                        waited.remove(&endpoint);
                    }
                }
                Sighting::Lost { endpoint, why, .. } => {
                    return Err(format!("the agent of {} is lost: {why}", self.ground.name(endpoint)));
                }
                Sighting::SelfDialled { .. } | Sighting::Persisted { .. } | Sighting::Counted { .. } => {}
            }
        }
        self.next = next;
        Ok(view)
    }

    /// Ends the agents and removes the world.
    pub async fn end(self) -> Result<(), String> {
        self.crew.disband(Moment(0)).await;
        let errors: Vec<String> = self.raised.tear_down().await.into_iter().map(chain).collect();
        if errors.is_empty() { Ok(()) } else { Err(errors.join("; ")) }
    }
}

/// What one sweep saw.
#[derive(Default)]
struct View {
    seen: HashMap<FlowId, Seen>,
    blind: HashMap<EndpointId, String>,
}

/// A verdict, or why there is none. Whatever is neither reached nor silence that both ends vouch for is none.
fn judge(seen: Option<&Seen>, blind: [Option<&String>; 2]) -> Result<Verdict, String> {
    let Some(seen) = seen else { return Err("nothing was tried".into()) };
    if seen.tried.values().any(|outcome| *outcome == Outcome::Reached) {
        return Ok(Verdict::Allowed);
    }
    if let Some(other) = seen.tried.values().find(|outcome| **outcome != Outcome::Silent) {
        return Err(format!("{other:?}"));
    }
    if seen.tried.len() < ATTEMPTS as usize {
        return Err(format!("only {} attempts", seen.tried.len()));
    }
    let arrived = |number: &u32| seen.delivered.iter().any(|(first, end)| (first..end).contains(&number));
    if seen.tried.keys().any(arrived) {
        return Err("an attempt arrived, though its source heard nothing".into());
    }
    match blind.into_iter().flatten().next() {
        Some(why) => Err(why.clone()),
        None => Ok(Verdict::Denied),
    }
}

/// What leads from one world to another with the same endpoints.
fn difference(before: &World, after: &World) -> Vec<Change> {
    let mut changes = Vec::new();
    for (id, pod) in &after.pods {
        if before.pods.get(id).is_some_and(|old| old.labels != pod.labels) {
            changes.push(Change::RelabelPod(*id, pod.labels.clone()));
        }
    }
    for (name, labels) in &after.namespaces {
        if before.namespaces.get(name) != Some(labels) {
            changes.push(Change::RelabelNamespace(name.clone(), labels.clone()));
        }
    }
    let find = |world: &World, policy: &Policy| {
        world.policies.iter().find(|other| other.reference() == policy.reference()).cloned()
    };
    for policy in &after.policies {
        match find(before, policy) {
            None => changes.push(Change::CreatePolicy(policy.clone())),
            Some(old) if old != *policy => changes.push(Change::ReplacePolicy(policy.clone())),
            Some(_) => {}
        }
    }
    let gone = before.policies.iter().filter(|policy| find(after, policy).is_none());
    changes.extend(gone.map(|policy| Change::DeletePolicy(policy.reference())));
    changes
}
