//! A Kubernetes cluster: a pod is a pod, and policies are enforced by whatever enforces them there.
//!
//! - which: [`context`] chooses the cluster, [`server`] talks to it, [`kinds`] and [`cni`] know what is in it
//! - objects: `pages` lists all of a kind, `watcher` follows them
//! - what: [`mark`] is on everything made, [`plan`] says what would be made, `pods` how a probe pod looks
//! - who: [`Cluster`] makes worlds, [`Raised`] is one; `herd` watches its pods, `dial` reaches their agents
//! - around: `journal` holds what happened of itself, `chronicle` hears of what others do
//! - elsewhere: `adopt` runs in namespaces and under policies that are somebody else's
//! - end: [`sweep`] removes what has a run's mark, `gather` saves what explains a failure, `overheard` asks pods for it
//!
//! A scenario's namespaces, pods and policies have exactly the names it gives them: on a cluster the name of a policy's
//! own namespace is part of its meaning. So they are created, never taken over: one that is there already ends the run
//! before anything is touched. Adopting is asked for by name, and changes nothing of what is adopted.

mod adopt;
mod chronicle;
pub mod cni;
pub mod context;
mod dial;
pub mod doctor;
pub mod error;
mod foreign;
mod gather;
mod herd;
mod journal;
pub mod kinds;
pub mod mark;
mod nodes;
pub mod options;
mod overheard;
mod pages;
pub mod plan;
mod pods;
mod raised;
pub mod server;
mod state;
pub mod sweep;
mod watcher;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

use k8s_openapi::api::apps::v1::DaemonSet;
use tokio_util::sync::CancellationToken;

pub use error::ClusterError;
pub use options::Options;
pub use raised::Raised;
pub use server::Server;

use crate::fabric::{Fabric, Surveyed};
use crate::model::document::FabricInfo;
use crate::model::event::{Event, Listener};
use crate::scenario::Scenario;

/// Makes worlds in a cluster.
#[derive(Clone)]
pub struct Cluster {
    server: Server,
    version: String,
    options: Options,
}

impl Cluster {
    /// The cluster of a context: the one named, else the current one if it is a kind cluster's.
    ///
    /// # Errors
    /// Where there is no such context, or nobody answers.
    pub async fn connect(context: Option<&str>, options: Options) -> Result<Self, ClusterError> {
        let (server, version) = Server::connect(context).await?;
        let version = version.git_version;
        let version = version.strip_prefix('v').unwrap_or(&version).to_owned();
        Ok(Self { server, version, options })
    }

    /// Its Kubernetes version, without a `v`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The scenario in the world that is there already, where one is adopted: read, and nothing else looked at.
    ///
    /// # Errors
    /// Where what is to be adopted is not there, or cannot be read.
    pub async fn read(&self, scenario: &Scenario, run: &str) -> Result<Option<Surveyed>, ClusterError> {
        let Some(adopt) = &self.options.adopt else { return Ok(None) };
        adopt::read(&self.server, adopt, scenario, run).await.map(|(found, _)| Some(found))
    }

    /// The way to its API server.
    pub fn server(&self) -> &Server {
        &self.server
    }
}

impl Fabric for Cluster {
    type Realised = Raised;
    type Error = ClusterError;

    async fn place(&self) -> FabricInfo {
        // Not to know the network plugin is an answer too.
        let sets = self.server.list_as::<DaemonSet>().await.unwrap_or_default();
        raised::beforehand::place(&self.server, &self.version, cni::recognise(&sets).as_ref())
    }

    async fn survey(&self, scenario: &Scenario, run: &str) -> Result<Option<Surveyed>, ClusterError> {
        let Some(adopt) = &self.options.adopt else { return Ok(None) };
        adopt::survey(&self.server, &self.options, adopt, scenario, run).await.map(Some)
    }

    async fn realise(
        &self,
        scenario: &Scenario,
        run: &str,
        listener: &dyn Listener,
        enough: CancellationToken,
    ) -> Result<Raised, ClusterError> {
        let raised = Raised::raise(&self.server, &self.version, &self.options, scenario, run, listener, &enough).await;
        if raised.is_err() {
            // What made it fail is the news; what could not be removed is said beside it.
            let more = scenario.adopted().map(|_| kinds::config_map());
            for error in sweep::sweep(&self.server, run, more.as_slice()).await {
                listener.hear(Event::Note { text: format!("left behind: {error}") });
            }
        }
        raised
    }
}
