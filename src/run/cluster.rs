//! Runs in a cluster, and what to do about what an earlier one left there.

use std::time::Duration;

use super::Order;
use super::error::{Refusal, chain};
use super::pipeline::{self, Temper};
use super::stop::Stop;
use crate::fabric::cluster::mark::Alive;
use crate::fabric::cluster::sweep::{self, Found};
use crate::fabric::cluster::{Cluster, kinds, plan};
use crate::model::document::Document;
use crate::model::event::Listener;
use crate::policy::Policy;
use crate::scenario::Scenario;

pub use crate::fabric::cluster::Options;
pub use crate::fabric::cluster::options::{Adopt, OptionSyntax, PullSecret, Selected, Toleration};
pub use crate::fabric::cluster::plan::Deed;

/// A cluster's network is someone else's machine, and its control path leads through servers that may be restarted.
const TEMPER: Temper =
    Temper { deadline: Duration::from_secs(1), patience: Duration::from_secs(60), grace: Duration::from_secs(60) };

/// A cluster that answers; serves any number of runs.
#[derive(Clone)]
pub struct Connected(Cluster);

impl Connected {
    /// The kubeconfig's context.
    pub fn context(&self) -> &str {
        self.0.server().context()
    }

    /// The cluster itself.
    pub(super) fn cluster(&self) -> &Cluster {
        &self.0
    }
}

/// Connects to the cluster of a context: the one named, else the current one if it is a kind cluster's.
///
/// # Errors
/// Where there is none, none that may be used unasked, or nobody answers.
pub async fn connect(context: Option<&str>, options: Options) -> Result<Connected, Refusal> {
    Cluster::connect(context, options).await.map(Connected).map_err(|source| Refusal::Cluster(Box::new(source)))
}

/// Runs a scenario in a cluster. `show` is given the document once the verdicts are there, before tear-down; `say` what a
/// person is to read meanwhile.
///
/// # Errors
/// Where nothing could be judged: a world that could not be made.
pub async fn in_cluster(
    connected: &Connected,
    order: &Order<'_>,
    tell: &dyn Listener,
    stop: &Stop,
    show: &mut (dyn FnMut(&Document) + Send),
    say: &(dyn Fn(&[String]) + Sync),
) -> Result<Document, Refusal> {
    pipeline::run(&connected.0, TEMPER, order, tell, stop, show, say).await
}

/// What a run would create and change, without touching a cluster. What would be adopted is taken to be as the file says.
///
/// # Errors
/// Where the scenario does not fit into a world that is somebody else's.
pub fn dry_run(scenario: &Scenario, options: &Options) -> Result<Vec<Deed>, Refusal> {
    let Some(adopt) = &options.adopt else { return Ok(plan::plan(scenario, options)) };
    let adopting = scenario.adopting_as_written(&adopt.makes, "leakproof-RUN");
    let adopting =
        adopting.map_err(|source| Refusal::World { scenario: scenario.name().to_owned(), source: Box::new(source) })?;
    Ok(plan::plan(&adopting, options))
}

/// A scenario in the world that is there already, as a run that adopts it would have it, and what a person should know of
/// it. Nothing is made.
///
/// # Errors
/// Where what is to be adopted is not there, or cannot be read.
pub async fn adopted(connected: &Connected, scenario: &Scenario) -> Result<(Scenario, Vec<String>), Refusal> {
    let no_world = |source| Refusal::World { scenario: scenario.name().to_owned(), source: Box::new(source) };
    let Some(found) = connected.0.read(scenario, "RUN").await.map_err(no_world)? else {
        return Ok((scenario.clone(), Vec::new()));
    };
    let mut told = found.remarks;
    let adopted = found.scenario.adopted();
    told.extend(adopted.into_iter().flat_map(|adopted| &adopted.drift).map(ToString::to_string));
    if found.scenario.stages().iter().any(|stage| stage.world.policies.iter().any(by_address)) {
        told.push(
            "rules by address are read with the addresses that the scenario plans: those of a run's pods are known when              they run"
                .to_owned(),
        );
    }
    Ok((found.scenario, told))
}

fn by_address(policy: &Policy) -> bool {
    policy.manifest().to_string().contains("\"ipBlock\"")
}

/// What runs left in a cluster.
pub struct Leftovers {
    found: Vec<Found>,
    /// What was found, in words, run by run.
    pub lines: Vec<String>,
    /// Runs that are still going, in words: these are spared.
    pub alive: Vec<String>,
    /// What could not be looked at.
    pub errors: Vec<String>,
}

impl Leftovers {
    /// Whether there is anything to remove.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }
}

/// Looks for what runs left: everything with leakproof's mark, or with one run's. A run whose process still runs on this
/// machine is spared unless it is named.
///
/// # Errors
/// Where nothing could be looked at.
pub async fn leftovers(connected: &Connected, run: Option<&str>) -> Result<Leftovers, Refusal> {
    let server = connected.0.server();
    let mut more = kinds::cluster_wide_policies(server).await.map_err(|source| Refusal::Cluster(Box::new(source)))?;
    more.push(kinds::config_map());
    let (found, errors) = sweep::find(server, run, &more).await;
    let going = |found: &Found| run.is_none() && found.owner.as_ref().is_some_and(|owner| owner.alive() == Alive::Yes);
    let mut alive: Vec<String> = found
        .iter()
        .filter(|found| going(found))
        .map(|found| {
            let pid = found.owner.as_ref().map(|owner| owner.pid()).unwrap_or_default();
            format!("run {} is still going (process {pid}); `--run {}` removes it all the same", found.run, found.run)
        })
        .collect();
    alive.dedup();
    let found: Vec<Found> = found.into_iter().filter(|found| !going(found)).collect();
    let lines = found.iter().map(|found| format!("{found} (run {}, made {})", found.run, found.created)).collect();
    Ok(Leftovers { found, lines, alive, errors: errors.iter().map(|error| chain(error)).collect() })
}

/// Removes what was found, and waits until it is gone. Gives what went wrong.
pub async fn clean(connected: &Connected, leftovers: &Leftovers) -> Vec<String> {
    let errors = sweep::remove(connected.0.server(), &leftovers.found).await;
    errors.iter().map(|error| chain(error)).collect()
}
