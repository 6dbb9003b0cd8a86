//! One world of the lab, for others to work with.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::dial::Doors;
use super::enter::{Entered, Way};
use super::fault::{Deed, Fault, FaultPlan};
use super::keeper::Keeper;
use super::lacks;
use super::netns::{self, Netns};
use super::nft::Treatment;
use super::site::{Blueprint, Enforcement, Site};
use super::{LabError, Names};
use crate::clock;
use crate::fabric::{Dial, Enacted, Happened, Placement, Realised};
use crate::model::document::{FabricInfo, FabricKind};
use crate::model::endpoint::{EndpointId, NodeOrdinal};
use crate::model::flow::Flow;
use crate::model::happening::{About, Turn};
use crate::model::moment::Moment;
use crate::scenario::Change;
use crate::scenario::world::World;

/// A world in the lab.
#[derive(Debug)]
pub struct Raised {
    keeper: Keeper,
    thread: Option<JoinHandle<()>>,
    names: Names,
    placements: BTreeMap<EndpointId, Placement>,
    netns: Vec<Netns>,
    doors: Doors,
    info: FabricInfo,
    way: Way,
    faults: FaultPlan,
    /// Faults at work, and changes that are enforced late.
    tasks: JoinSet<()>,
    journal: Arc<Journal>,
    enactments: u64,
}

/// Something a fault did, on its schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// When, on the harness's clock.
    pub at: Moment,
    /// What, in words: `node-1 lost its rules`.
    pub what: String,
    /// What it was done to: a node, an agent, or the lab.
    subject: String,
    /// The node, where it is one's.
    node: Option<NodeOrdinal>,
    /// The state that began or ended with it.
    turn: Turn,
}

impl Done {
    fn of_lab(at: Moment, what: &str) -> Self {
        Self { at, what: what.to_owned(), subject: "the lab".into(), node: None, turn: Turn::None }
    }

    /// As everybody tells it: the subject apart from what happened to it.
    fn happened(self) -> Happened {
        let what = self.what.strip_prefix(&self.subject).map_or(self.what.as_str(), str::trim_start);
        Happened {
            node: self.node.map(|node| node.to_string()),
            turn: self.turn,
            ..Happened::new(self.at, About::Fault, self.subject, what)
        }
    }
}

/// What happened while nobody waited for it.
#[derive(Debug, Default)]
struct Journal {
    done: Mutex<Vec<Done>>,
    errors: Mutex<Vec<LabError>>,
}

impl Journal {
    fn note(&self, result: Result<Done, LabError>) {
        match result {
            Ok(done) => self.done.lock().unwrap_or_else(PoisonError::into_inner).push(done),
            Err(error) => self.errors.lock().unwrap_or_else(PoisonError::into_inner).push(error),
        }
    }

    fn errors(&self) -> Vec<LabError> {
        std::mem::take(&mut *self.errors.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Raised {
    pub(super) async fn raise(
        entered: Entered,
        faults: &[Fault],
        program: Option<PathBuf>,
        world: &World,
        names: &Names,
        nodes: u8,
    ) -> Result<Self, LabError> {
        let plan = FaultPlan::new(faults, names, nodes)?;
        let doors = Doors::new(plan.streams);
        let blueprint = Blueprint {
            world: world.clone(),
            names: names.clone(),
            nodes,
            faults: plan.clone(),
            doors: doors.clone(),
            program,
        };
        let (keeper, thread) = Keeper::start(move || Site::make(blueprint)).await?;
        let (placements, netns) = keeper.ask(|site| Ok((site.placements(), site.all_netns()))).await?;
        Ok(Self {
            keeper,
            thread: Some(thread),
            names: names.clone(),
            placements,
            netns,
            doors,
            info: info(entered, faults, nodes),
            way: entered.way,
            faults: plan,
            tasks: JoinSet::new(),
            journal: Arc::default(),
            enactments: 0,
        })
    }

    /// For every endpoint, every node and the core, its name and the command that opens a shell in its network
    /// namespace, for as long as this process lives.
    pub fn commands_inside(&self) -> Vec<(String, String)> {
        let pid = std::process::id();
        let user = match self.way {
            Way::UserNamespace => format!("--user=/proc/{pid}/ns/user --preserve-credentials "),
            Way::Root => String::new(),
        };
        let step = |netns: &Netns| {
            let net = format!("--net=/proc/{pid}/fd/{}", netns.descriptor());
            (netns.name().to_owned(), format!("nsenter {user}{net}"))
        };
        self.netns.iter().map(step).collect()
    }

    /// Does `work` on a thread inside an endpoint's network namespace. A socket made there belongs to the endpoint for
    /// good, and can be used from anywhere.
    ///
    /// # Errors
    /// Where there is no such endpoint, or no thread to be had.
    pub async fn inside<T: Send + 'static>(
        &self,
        endpoint: EndpointId,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, LabError> {
        let netns = self.keeper.ask(move |site| site.netns(endpoint)).await?;
        let name = self.names.of(endpoint).to_owned();
        tokio::task::spawn_blocking(move || netns.inside(work)).await.map_err(|_| LabError::Gone { name })?
    }

    /// What faults have done so far on their schedule, in order.
    pub fn faults_done(&self) -> Vec<Done> {
        self.journal.done.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets faults to work; the first change has just been made.
    fn begin_faults(&mut self) {
        let begin = Instant::now();
        let schedule: Vec<_> =
            self.faults.schedule.iter().map(|(after, deed)| (*after, *deed, self.describe(*deed))).collect();
        let (keeper, journal) = (self.keeper.clone(), Arc::clone(&self.journal));
        // One after the other: on a machine too busy to keep the times, what was lost must not be found before.
        self.tasks.spawn(async move {
            for (after, deed, described) in schedule {
                sleep_until(begin + after).await;
                let done = keeper.ask(move |site| site.act(deed)).await;
                journal.note(done.map(|at| Done { at, ..described }));
            }
        });
        // Flapping flows flap together; of several periods the shortest holds.
        if let Some(period) = self.faults.flaps.iter().map(|(.., period)| *period).min() {
            let (keeper, journal) = (self.keeper.clone(), Arc::clone(&self.journal));
            self.tasks.spawn(flap(keeper, journal, begin, period));
        }
    }

    /// A deed in words, to be dated when it is done.
    fn describe(&self, deed: Deed) -> Done {
        let begins = |state: &str| Turn::Begins { state: state.to_owned() };
        let told = |subject: String, node, what: &str, turn| Done {
            at: Moment::default(),
            what: format!("{subject} {what}"),
            subject,
            node,
            turn,
        };
        let node = |node: NodeOrdinal, what, turn| told(node.to_string(), Some(node), what, turn);
        let agent = |id, what, turn| told(format!("the agent of {}", self.names.of(id)), None, what, turn);
        match deed {
            Deed::Lose(at) => node(at, "lost its rules", begins("without its rules")),
            Deed::Find(at) => node(at, "found its rules again", Turn::Ends),
            Deed::Demolish(at) => node(at, "removed its packet filter", begins("without its packet filter")),
            Deed::Rebuild(at) => node(at, "built its packet filter again", Turn::Ends),
            Deed::Empty(at) => node(at, "has no pods in its sets", begins("without pods in its sets")),
            Deed::Fill(at) => node(at, "filled its sets", Turn::Ends),
            Deed::Halt(at) => node(at, "stopped forwarding", begins("not forwarding")),
            Deed::Resume(at) => node(at, "forwards again", Turn::Ends),
            Deed::Strand(from, to) => told(
                self.names.of(from).to_owned(),
                None,
                &format!("has no way to {}", self.names.of(to)),
                begins(&format!("without a way to {}", self.names.of(to))),
            ),
            Deed::Relieve(from, to) => told(
                self.names.of(from).to_owned(),
                None,
                &format!("has its way to {} again", self.names.of(to)),
                Turn::Ends,
            ),
            Deed::Kill(id) => agent(id, "was killed", begins("dead")),
            Deed::Stop(id) => agent(id, "was stopped", begins("stopped")),
            Deed::Continue(id) => agent(id, "went on", Turn::Ends),
            Deed::Cut(id) => told(format!("the control stream to {}", self.names.of(id)), None, "was cut", Turn::None),
        }
    }

    /// Sees to it that pods that were added are treated like any other some time from now.
    fn raise_young(&mut self, added: &[EndpointId]) {
        let Some((how, time)) = self.faults.births else { return };
        for id in added.iter().copied() {
            let (keeper, journal) = (self.keeper.clone(), Arc::clone(&self.journal));
            let subject = self.names.of(id).to_owned();
            let (begun, state, over) = match how {
                Treatment::Cut => ("came up cut off", "cut off", "is let through"),
                Treatment::Pass => ("came up held to no policy", "held to no policy", "is held to its policies"),
            };
            let told = move |at, what: &str, turn| {
                let what = format!("{subject} {what}");
                Done { at, what, subject: subject.clone(), node: None, turn }
            };
            journal.note(Ok(told(clock::now(), begun, Turn::Begins { state: state.to_owned() })));
            self.tasks.spawn(async move {
                sleep(time).await;
                let done = keeper.ask(move |site| site.grown(id)).await;
                journal.note(done.map(|at| told(at, over, Turn::Ends)));
            });
        }
    }

    /// Sees to a change's enforcement some time from now.
    fn enforce_later(&mut self, after: &World, late: Duration) {
        let (keeper, journal) = (self.keeper.clone(), Arc::clone(&self.journal));
        let (world, number) = (after.clone(), self.enactments);
        self.tasks.spawn(async move {
            sleep(late).await;
            let done = keeper.ask(move |site| site.enforce(world, number)).await;
            journal.note(done.map(|at| Done::of_lab(at, "a change was enforced late")));
        });
    }
}

async fn flap(keeper: Keeper, journal: Arc<Journal>, begin: Instant, period: Duration) {
    let mut next = begin;
    loop {
        sleep_until(next).await;
        next += period;
        let done = keeper.ask(Site::flap).await;
        let failed = done.is_err();
        journal.note(done.map(|(at, how)| {
            let what = match how {
                Treatment::Pass => "flapping flows are let through",
                Treatment::Cut => "flapping flows are cut",
            };
            Done::of_lab(at, what)
        }));
        if failed {
            break;
        }
    }
}

impl Realised for Raised {
    type Error = LabError;

    fn info(&self) -> FabricInfo {
        self.info.clone()
    }

    fn placements(&self) -> &BTreeMap<EndpointId, Placement> {
        &self.placements
    }

    fn dial(&self) -> Arc<dyn Dial> {
        Arc::new(self.doors.clone())
    }

    async fn enact(&mut self, changes: &[Change], after: &World) -> Result<Enacted, LabError> {
        if let Some(error) = self.journal.errors().into_iter().next() {
            return Err(error);
        }
        let added: Vec<EndpointId> = changes
            .iter()
            .filter_map(|change| if let Change::AddPod(id, _) = change { Some(*id) } else { None })
            .collect();
        let (changes, world) = (changes.to_vec(), after.clone());
        let late = self.faults.late;
        let enforcement = if late.is_zero() { Enforcement::AtOnce } else { Enforcement::Later };
        let enacted = self.keeper.ask(move |site| site.enact(&changes, &world, enforcement)).await?;
        self.enactments += 1;
        match enforcement {
            Enforcement::AtOnce => {}
            Enforcement::Later => self.enforce_later(after, late),
        }
        if self.enactments == 1 {
            self.begin_faults();
        } else {
            self.raise_young(&added);
        }
        (self.placements, self.netns) = self.keeper.ask(|site| Ok((site.placements(), site.all_netns()))).await?;
        Ok(enacted)
    }

    fn lacks(&self, world: &World, flow: &Flow) -> Option<String> {
        lacks::lacks(world, flow)
    }

    fn happenings(&self) -> Vec<Happened> {
        self.faults_done().into_iter().map(|done| done.happened()).collect()
    }

    async fn steps_inside(&self) -> Vec<String> {
        let steps = self.commands_inside();
        let width = steps.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        let mut lines = vec!["The lab is kept until Ctrl-C. To step inside, from another terminal:".to_owned()];
        lines.extend(steps.iter().map(|(name, command)| format!("  {name:width$}  {command}")));
        lines
    }

    async fn gather(&self, folder: &Path, concerned: &BTreeSet<EndpointId>) -> Vec<String> {
        let mut text = String::new();
        for done in self.faults_done() {
            text.push_str(&format!("{:?} {}\n", done.at, done.what));
        }
        for endpoint in concerned {
            if let Some(placement) = self.placements.get(endpoint) {
                text.push_str(&format!("endpoint {} on {:?}: {:?}\n", endpoint.0, placement.node, placement.addresses));
            }
        }
        text.extend(self.steps_inside().await.into_iter().map(|line| line + "\n"));
        let name = "lab.txt";
        match std::fs::write(folder.join(name), text) {
            Ok(()) => vec![name.to_owned()],
            Err(_) => Vec::new(),
        }
    }

    async fn tear_down(mut self) -> Vec<LabError> {
        self.tasks.shutdown().await;
        let mut errors = self.journal.errors();
        match self.keeper.ask(|site| Ok(site.end())).await {
            Ok(ended) => errors.extend(ended),
            Err(error) => errors.push(error),
        }
        // The thread ends with its last job, and the network namespaces with the thread.
        self.netns.clear();
        errors.extend(self.keeper.dismiss().err());
        if let Some(thread) = self.thread.take()
            && !matches!(tokio::task::spawn_blocking(move || thread.join()).await, Ok(Ok(())))
        {
            errors.push(LabError::Gone { name: "lab".into() });
        }
        errors
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        if self.thread.is_some() {
            tracing::warn!("a world of the lab was dropped without being torn down; its thread removes what it can");
        }
    }
}

pub(super) fn info(entered: Entered, faults: &[Fault], nodes: u8) -> FabricInfo {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    let version = release.split('.').take(2).collect::<Vec<_>>().join(".");
    let mut facts = BTreeMap::from([
        ("kernel".to_owned(), release.to_owned()),
        ("nodes".to_owned(), nodes.to_string()),
        ("descriptors".to_owned(), entered.descriptors.to_string()),
        (
            "privilege".to_owned(),
            match entered.way {
                Way::UserNamespace => "user namespace".to_owned(),
                Way::Root => "root".to_owned(),
            },
        ),
    ]);
    for setting in ["netfilter/nf_conntrack_max", "ipv4/neigh/default/gc_thresh3"] {
        if let Ok(number) = netns::read_number(setting) {
            let name = setting.rsplit('/').next().unwrap_or(setting);
            facts.insert(name.to_owned(), number.to_string());
        }
    }
    let fault = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    FabricInfo {
        kind: FabricKind::Lab,
        summary: format!("lab: {nodes} nodes, nftables, Linux {version}"),
        facts,
        fault: (!fault.is_empty()).then_some(fault),
    }
}
