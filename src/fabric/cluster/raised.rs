//! One world in a cluster, for others to work with.

pub(super) mod beforehand;
mod making;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kube::core::ApiResource;
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::adopt::{self, Controller};
use super::chronicle::Chronicle;
use super::cni::{Cni, Engine};
use super::dial::Doors;
use super::doctor::rights;
use super::error::{ClusterError, Sort};
use super::herd::Herd;
use super::journal::Journal;
use super::mark::{self, Owner};
use super::nodes::Nodes;
use super::options::Options;
use super::server::{Place, Server};
use super::{foreign, gather, kinds, sweep};
use beforehand::{lived_in, no_policy_there, nothing_there, surroundings, to_be_made, warnings};

use crate::clock;
use crate::fabric::{Dial, Happened, Placement, Realised};
use crate::model::document::FabricInfo;
use crate::model::endpoint::EndpointId;
use crate::model::event::{Event, Listener};
use crate::model::foreign::ForeignPolicy;
use crate::model::labels::Labels;
use crate::model::moment::Moment;
use crate::model::prediction::PolicyRef;
use crate::policy::Policy;
use crate::scenario::world::{Pod, World};
use crate::scenario::{Change, Scenario};

/// A pod that was told to end is gone within its grace and a few rounds of its kubelet.
const GONE_WITHIN: Duration = Duration::from_secs(30);
/// A scenario's world in a cluster.
pub struct Raised {
    pub(super) server: Server,
    pub(super) run: String,
    pub(super) namespaces: BTreeMap<String, Made>,
    /// What the probe pods in each adopted namespace belong to.
    pub(super) controllers: BTreeMap<String, Controller>,
    pub(super) pods: BTreeMap<EndpointId, Made>,
    pub(super) placements: BTreeMap<EndpointId, Placement>,
    pub(super) cni: Option<Cni>,
    owner: Owner,
    options: Options,
    names: Vec<String>,
    nodes: Nodes,
    herd: Herd,
    journal: Journal,
    /// What carries packets and enforces policy on the nodes.
    engines: Vec<Engine>,
    chronicle: Option<Chronicle>,
    doors: Doors,
    policies: BTreeMap<PolicyRef, Held>,
    version: String,
    warnings: Vec<String>,
    /// Policies of others that select pods of this run.
    foreign: Vec<ForeignPolicy>,
    /// How long the first pods took from being asked for until the last ran.
    pod_start: Duration,
    enough: CancellationToken,
    left: Left,
}

/// Something this run made.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub(super) place: Place,
    pub(super) uid: String,
    labels: Labels,
}

/// A policy this run made, as it last wrote it.
#[derive(Debug, Clone)]
struct Held {
    kind: ApiResource,
    place: Place,
    uid: String,
    version: String,
}

/// Whether the world still stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Standing,
    TornDown,
}

impl Raised {
    /// Makes a scenario's bare world. What it made before an error is left to the caller to sweep.
    pub(super) async fn raise(
        server: &Server,
        version: &str,
        options: &Options,
        scenario: &Scenario,
        run: &str,
        listener: &dyn Listener,
        enough: &CancellationToken,
    ) -> Result<Self, ClusterError> {
        let bare = scenario.bare();
        let looked = async {
            tokio::try_join!(
                surroundings(server, options),
                nothing_there(server, scenario),
                no_policy_there(server, scenario),
            )
        };
        let deeds = beforehand::deeds(scenario);
        let lacking = rights::missing(server, &deeds);
        // Where policies are adopted, all there are have been read and taken into account.
        let others = async {
            if scenario.adopted().is_some() {
                foreign::Found::default()
            } else {
                foreign::find(server, scenario, run).await
            }
        };
        let (lacking, looked, others) = tokio::join!(lacking, looked, others);
        if let Some(missing) = lacking {
            return Err(ClusterError::Rights { missing });
        }
        let (around, (), ()) = looked?;
        let journal = Journal::default();
        let mut raised = Self {
            server: server.clone(),
            run: run.to_owned(),
            namespaces: BTreeMap::new(),
            controllers: BTreeMap::new(),
            pods: BTreeMap::new(),
            placements: BTreeMap::new(),
            cni: around.cni,
            owner: Owner::this(),
            options: options.clone(),
            names: scenario.endpoints().iter().map(|endpoint| endpoint.object().to_owned()).collect(),
            warnings: warnings(scenario, &around.nodes).into_iter().chain(others.told).collect(),
            foreign: others.policies,
            nodes: around.nodes,
            herd: Herd::watch(server, run, journal.clone()),
            journal,
            engines: around.engines,
            chronicle: None,
            doors: Doors::new(server),
            policies: BTreeMap::new(),
            version: version.to_owned(),
            pod_start: Duration::ZERO,
            enough: enough.clone(),
            // Until it is whole, whoever raises it sweeps.
            left: Left::TornDown,
        };
        if enough.is_cancelled() {
            return Err(ClusterError::Stopped { doing: "the cluster was looked at" });
        }
        raised.make_namespaces(&to_be_made(scenario)).await?;
        if let Some(adopted) = scenario.adopted() {
            let namespaces = adopted.namespaces.iter().filter(|name| lived_in(scenario, name)).cloned().collect();
            raised.controllers = adopt::make_controllers(server, &raised.run, &raised.owner, &namespaces).await?;
        }
        raised.make_services(scenario).await?;
        let mut wanted = Vec::new();
        for (id, pod) in &bare.pods {
            wanted.push(raised.probe(*id, pod)?);
        }
        wanted.extend(raised.stand_ins(scenario).await?);
        let asked = Instant::now();
        raised.make_pods(wanted, listener).await?;
        raised.pod_start = asked.elapsed();
        let put_there = foreign::inside(server, raised.namespaces.keys().map(String::as_str)).await;
        raised.warnings.extend(put_there);
        raised.left = Left::Standing;
        Ok(raised)
    }

    /// The namespaces that pods are in: made and adopted.
    pub(super) fn around(&self) -> impl Iterator<Item = &String> {
        self.namespaces.keys().chain(self.controllers.keys())
    }

    fn name(&self, id: EndpointId) -> &str {
        self.names.get(id.index()).map_or("?", String::as_str)
    }

    /// Makes one change that is none of pods coming or going.
    async fn change_one(&mut self, change: &Change) -> Result<(), ClusterError> {
        match change {
            Change::CreatePolicy(policy) => self.create_policy(policy).await,
            Change::ReplacePolicy(policy) => self.replace_policy(policy).await,
            Change::DeletePolicy(reference) => {
                let Some(held) = self.policies.remove(reference) else { return Ok(()) };
                self.server.delete(&held.kind, &held.place, &held.uid, None).await
            }
            Change::RelabelPod(id, labels) => {
                let Some(made) = self.pods.get_mut(id) else { return Ok(()) };
                relabel(&self.server, &kinds::pod(), made, labels).await
            }
            Change::RelabelNamespace(name, labels) => {
                let Some(made) = self.namespaces.get_mut(name) else { return Ok(()) };
                relabel(&self.server, &kinds::namespace(), made, labels).await
            }
            Change::AddPod(..) | Change::RemovePod(_) => Ok(()),
        }
    }

    async fn create_policy(&mut self, policy: &Policy) -> Result<(), ClusterError> {
        let (kind, place) = kinds::policy(&self.server, policy).await?;
        let manifest = self.marked(policy, &place);
        let created = self.server.create(&kind, &place, &manifest).await;
        let created = created.map_err(|error| exists(error, &place, &kind.kind))?;
        let uid = created.metadata.uid.unwrap_or_default();
        let version = created.metadata.resource_version.unwrap_or_default();
        self.policies.insert(policy.reference(), Held { kind, place, uid, version });
        Ok(())
    }

    async fn replace_policy(&mut self, policy: &Policy) -> Result<(), ClusterError> {
        let reference = policy.reference();
        let Some(held) = self.policies.get(&reference).cloned() else { return self.create_policy(policy).await };
        let mut manifest = self.marked(policy, &held.place);
        manifest["metadata"]["uid"] = json!(held.uid);
        manifest["metadata"]["resourceVersion"] = json!(held.version);
        let replaced = self.server.replace(&held.kind, &held.place, &manifest).await?;
        let version = replaced.metadata.resource_version.unwrap_or_default();
        self.policies.insert(reference, Held { version, ..held });
        Ok(())
    }

    fn marked(&self, policy: &Policy, place: &Place) -> Value {
        let mut manifest = policy.manifest().clone();
        mark::mark(&mut manifest, &self.run, &self.owner);
        if let Some(namespace) = &place.namespace {
            manifest["metadata"]["namespace"] = json!(namespace);
        }
        manifest
    }

    /// Kinds that are not always made, of which this run may have made objects that no namespace of its own takes along.
    fn more(&self) -> Vec<ApiResource> {
        let mut wide: Vec<ApiResource> = Vec::new();
        if !self.controllers.is_empty() {
            wide.push(kinds::config_map());
        }
        for held in self.policies.values().filter(|held| held.place.namespace.is_none()) {
            if !wide.contains(&held.kind) {
                wide.push(held.kind.clone());
            }
        }
        wide
    }
}

/// Gives an object of ours these labels, all of them; the run's mark stays.
async fn relabel(server: &Server, kind: &ApiResource, made: &mut Made, labels: &Labels) -> Result<(), ClusterError> {
    let mut wanted = Map::new();
    for key in made.labels.0.keys().filter(|key| labels.get(key).is_none()) {
        wanted.insert(key.clone(), Value::Null);
    }
    for (key, value) in &labels.0 {
        wanted.insert(key.clone(), json!(value));
    }
    server.merge(kind, &made.place, &json!({ "metadata": { "uid": made.uid, "labels": wanted } })).await?;
    made.labels = labels.clone();
    Ok(())
}

fn exists(error: ClusterError, place: &Place, kind: &str) -> ClusterError {
    match error.sort() {
        Some(Sort::AlreadyExists) => ClusterError::Exists { what: format!("{kind} {place}"), whose: String::new() },
        Some(Sort::NotFound | Sort::Conflict | Sort::Forbidden | Sort::Passing | Sort::Lasting) | None => error,
    }
}

impl Realised for Raised {
    type Error = ClusterError;

    fn info(&self) -> FabricInfo {
        let mut info = beforehand::place(&self.server, &self.version, self.cni.as_ref());
        let facts = BTreeMap::from([
            ("nodes".to_owned(), self.nodes.names().join(", ")),
            ("agent-image".to_owned(), self.options.image.clone()),
            ("pod-start".to_owned(), format!("{:.1} s", self.pod_start.as_secs_f64())),
            ("requests".to_owned(), self.server.requests().to_string()),
        ]);
        let adopted = self.controllers.keys().cloned().collect::<Vec<_>>().join(", ");
        info.facts.extend(facts);
        if !adopted.is_empty() {
            info.summary.push_str(&format!(", adopting {adopted}"));
            info.facts.insert("adopted".to_owned(), adopted);
        }
        info
    }

    fn placements(&self) -> &BTreeMap<EndpointId, Placement> {
        &self.placements
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    fn foreign(&self) -> Vec<ForeignPolicy> {
        self.foreign.clone()
    }

    fn dial(&self) -> Arc<dyn Dial> {
        Arc::new(self.doors.clone())
    }

    async fn remove_pods(&mut self, pods: &[EndpointId]) -> Result<Moment, ClusterError> {
        let mut sent = clock::now();
        let mut going = Vec::new();
        for id in pods {
            self.doors.remove(*id);
            self.placements.remove(id);
            let Some(made) = self.pods.remove(id) else { continue };
            sent = clock::now();
            self.server.delete(&kinds::pod(), &made.place, &made.uid, None).await?;
            going.push(made);
        }
        for made in going {
            self.herd.gone(&made.place, &made.uid, &self.run, GONE_WITHIN).await?;
        }
        Ok(sent)
    }

    async fn change(&mut self, changes: &[Change], _after: &World) -> Result<Moment, ClusterError> {
        let mut sent = clock::now();
        for change in changes {
            sent = clock::now();
            self.change_one(change).await?;
        }
        Ok(sent)
    }

    async fn add_pods(&mut self, pods: &[(EndpointId, Pod)], _after: &World) -> Result<Moment, ClusterError> {
        let coming = pods.iter().map(|(id, pod)| self.probe(*id, pod)).collect::<Result<Vec<_>, _>>()?;
        let sent = clock::now();
        self.make_pods(coming, &|_: Event| {}).await?;
        Ok(sent)
    }

    async fn keep_log(&mut self) -> Vec<String> {
        let namespaces = self.around().cloned().collect();
        let (log, missing) = Chronicle::begin(&self.server, &self.engines, &namespaces, &self.journal).await;
        self.chronicle = Some(log);
        missing
    }

    fn happenings(&self) -> Vec<Happened> {
        self.journal.all()
    }

    async fn steps_inside(&self) -> Vec<String> {
        let context = self.server.context();
        let mut lines =
            vec![format!("The world stays in {context} until Ctrl-C. To look at it, from another terminal:")];
        lines.extend(self.pods.values().map(|made| {
            let namespace = made.place.namespace.as_deref().unwrap_or_default();
            format!("  kubectl --context {context} -n {namespace} describe pod {}", made.place.name)
        }));
        lines.extend(
            self.around()
                .map(|namespace| format!("  kubectl --context {context} -n {namespace} get networkpolicies -o yaml")),
        );
        lines
    }

    async fn gather(&self, folder: &Path, concerned: &BTreeSet<EndpointId>) -> Vec<String> {
        gather::gather(self, folder, concerned).await
    }

    async fn tear_down(mut self) -> Vec<ClusterError> {
        self.left = Left::TornDown;
        // What is removed now is no news.
        self.chronicle = None;
        sweep::sweep(&self.server, &self.run, &self.more()).await
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        if self.left == Left::Standing {
            tracing::warn!(
                "the world of run {} was dropped without being torn down; `leakproof clean --run {}` removes it",
                self.run,
                self.run
            );
        }
    }
}
