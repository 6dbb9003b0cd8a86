//! One world of the lab, for others to work with.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use super::at_work::AtWork;
use super::dial::Doors;
use super::enter::{Entered, Way};
use super::fault::{Fault, FaultPlan};
use super::journal::Done;
use super::keeper::Keeper;
use super::lacks;
use super::netns::{self, Netns};
use super::site::{Blueprint, Enforcement, Site};
use super::{LabError, Names};
use crate::fabric::{Dial, Happened, Placement, Realised};
use crate::model::document::{FabricInfo, FabricKind};
use crate::model::endpoint::EndpointId;
use crate::model::flow::Flow;
use crate::model::moment::Moment;
use crate::scenario::Change;
use crate::scenario::world::{Pod, World};

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
    at_work: AtWork,
    enactments: u64,
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
        let at_work = AtWork::new(keeper.clone(), names.clone(), plan);
        Ok(Self {
            keeper,
            thread: Some(thread),
            names: names.clone(),
            placements,
            netns,
            doors,
            info: info(entered, faults, nodes),
            way: entered.way,
            at_work,
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

    /// What was done so far, in order: `add NAME`, `remove NAME`, and `change` where policies were put in force.
    ///
    /// # Errors
    /// Where the lab is gone.
    pub async fn operations(&self) -> Result<Vec<String>, LabError> {
        self.keeper.ask(|site| Ok(site.operations())).await
    }

    /// Brings up to date where everything is.
    async fn look_around(&mut self) -> Result<(), LabError> {
        (self.placements, self.netns) = self.keeper.ask(|site| Ok((site.placements(), site.all_netns()))).await?;
        Ok(())
    }

    /// What faults have done so far on their schedule, in order.
    pub fn faults_done(&self) -> Vec<Done> {
        self.at_work.journal.done()
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

    async fn remove_pods(&mut self, pods: &[EndpointId]) -> Result<Moment, LabError> {
        let pods = pods.to_vec();
        let sent = self.keeper.ask(move |site| site.remove_pods(&pods)).await?;
        self.look_around().await?;
        Ok(sent)
    }

    /// The lab enforces whole worlds: what changed shows in the world after.
    async fn change(&mut self, _changes: &[Change], after: &World) -> Result<Moment, LabError> {
        if let Some(error) = self.at_work.journal.errors().into_iter().next() {
            return Err(error);
        }
        let world = after.clone();
        let enforcement = self.at_work.enforcement();
        let sent = self.keeper.ask(move |site| site.change(&world, enforcement)).await?;
        self.enactments += 1;
        match enforcement {
            Enforcement::AtOnce => {}
            Enforcement::Later => self.at_work.enforce_later(after, self.enactments),
        }
        if self.enactments == 1 {
            self.at_work.begin();
        }
        Ok(sent)
    }

    async fn add_pods(&mut self, pods: &[(EndpointId, Pod)], after: &World) -> Result<Moment, LabError> {
        let added: Vec<EndpointId> = pods.iter().map(|(id, _)| *id).collect();
        let (coming, world) = (added.clone(), after.clone());
        let sent = self.keeper.ask(move |site| site.add_pods(&coming, &world)).await?;
        if self.enactments > 1 {
            self.at_work.raise_young(&added);
        }
        self.look_around().await?;
        Ok(sent)
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
        let operations = self.operations().await.unwrap_or_default();
        text.push_str(&format!("done, in order: {}\n", operations.join(", ")));
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
        self.at_work.stop().await;
        let mut errors = self.at_work.journal.errors();
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
