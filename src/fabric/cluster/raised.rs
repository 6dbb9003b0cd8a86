//! One world in a cluster, for others to work with.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{join_all, try_join_all};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Node;
use kube::core::ApiResource;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::adopt::{self, Controller};
use super::chronicle::Chronicle;
use super::cni::{self, Cni, Engine};
use super::dial::Doors;
use super::error::{ClusterError, Said, Sort};
use super::herd::{Herd, Waiting};
use super::journal::Journal;
use super::mark::{self, Owner, RUN};
use super::nodes::Nodes;
use super::options::Options;
use super::plan;
use super::pods::{self, Make};
use super::server::{Place, Server};
use super::state::addresses;
use super::{foreign, gather, kinds, sweep};
use crate::clock;
use crate::fabric::secret::secret;
use crate::fabric::{Dial, Enacted, Happened, Placement, Realised};
use crate::model::document::{FabricInfo, FabricKind};
use crate::model::endpoint::EndpointId;
use crate::model::event::{Event, Listener};
use crate::model::labels::Labels;
use crate::model::prediction::PolicyRef;
use crate::policy::Policy;
use crate::scenario::world::{Pod, World};
use crate::scenario::{Change, Scenario};

/// A pod of a loaded image runs within seconds; one whose image is pulled takes longer.
const PODS_WITHIN: Duration = Duration::from_secs(60);
/// A pod that was told to end is gone within its grace and a few rounds of its kubelet.
const GONE_WITHIN: Duration = Duration::from_secs(30);
/// The controller that gives a namespace its service account works within this.
const ACCOUNT_WITHIN: Duration = Duration::from_secs(60);
const ACCOUNT_PAUSE: Duration = Duration::from_millis(50);

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
    /// How long the first pods took from being asked for until the last ran.
    pod_start: Duration,
    enough: CancellationToken,
    left: Left,
}

/// A pod that is about to be made.
struct Wanted {
    id: EndpointId,
    place: Place,
    manifest: Value,
    node: String,
    token: String,
    control: u16,
    labels: Labels,
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

/// What the cluster is, apart from any scenario.
struct Surroundings {
    nodes: Nodes,
    cni: Option<Cni>,
    engines: Vec<Engine>,
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
        let named: Vec<PolicyRef> =
            scenario.stages().iter().flat_map(|stage| &stage.world.policies).map(|policy| policy.reference()).collect();
        let looked = async {
            tokio::try_join!(
                surroundings(server, options),
                nothing_there(server, scenario),
                no_policy_there(server, scenario),
            )
        };
        // Where policies are adopted, all there are have been read and taken into account.
        let others =
            async { if scenario.adopted().is_some() { Vec::new() } else { foreign::find(server, &named).await } };
        let (looked, others) = tokio::join!(looked, others);
        let (around, (), wide) = looked?;
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
            names: scenario.endpoints().iter().map(|endpoint| endpoint.name.clone()).collect(),
            warnings: warnings(scenario, &around.nodes).into_iter().chain(others).collect(),
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
        drop(wide);
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

    async fn make_namespaces(&mut self, wanted: &BTreeMap<String, Labels>) -> Result<(), ClusterError> {
        let server = &self.server;
        let make = |name: &String, labels: &Labels| {
            let mut manifest = plan::namespace(name, labels);
            mark::mark(&mut manifest, &self.run, &self.owner);
            let (place, labels) = (Place::cluster(name), labels.clone());
            async move {
                let created = server.create(&kinds::namespace(), &place, &manifest).await;
                let created = created.map_err(|error| exists(error, &place, "namespace"))?;
                Ok((place.name.clone(), Made { place, uid: created.metadata.uid.unwrap_or_default(), labels }))
            }
        };
        // All are waited for, so that what was made is known whatever became of the others.
        let made = join_all(wanted.iter().map(|(name, labels)| make(name, labels))).await;
        let made: Result<Vec<(String, Made)>, ClusterError> = made.into_iter().collect();
        let made = made?;
        self.copy_pull_secrets(made.iter().map(|(name, _)| name.as_str())).await?;
        self.namespaces.extend(made);
        Ok(())
    }

    /// Makes the Services; their addresses are known at once.
    async fn make_services(&mut self, scenario: &Scenario) -> Result<(), ClusterError> {
        for (id, there) in &scenario.bare().services {
            let place = Place::inside(&there.namespace, self.name(*id));
            let mut manifest = plan::service(self.name(*id), there, scenario.families());
            mark::mark(&mut manifest, &self.run, &self.owner);
            let made = self.server.create(&kinds::service(), &place, &manifest).await;
            let made = made.map_err(|error| exists(error, &place, "service"))?;
            let given = made.data.pointer("/spec/clusterIPs").and_then(Value::as_array);
            let addresses = addresses(given.into_iter().flatten().filter_map(Value::as_str));
            self.placements.insert(*id, Placement { node: None, addresses, token: String::new() });
        }
        Ok(())
    }

    /// Gives every namespace the secrets that its pods' image is pulled with.
    async fn copy_pull_secrets(&self, namespaces: impl Iterator<Item = &str>) -> Result<(), ClusterError> {
        let namespaces: Vec<&str> = namespaces.collect();
        for secret in &self.options.pull_secrets {
            let from = Place::inside(&secret.namespace, &secret.name);
            let found = self.server.get(&kinds::secret(), &from).await?;
            let found = found.ok_or_else(|| ClusterError::Request {
                verb: "reading",
                what: format!("Secret {from}"),
                source: Said::text("it is not there; `--pull-secret` names one that exists"),
            })?;
            try_join_all(namespaces.iter().map(|namespace| {
                let mut copy = json!({
                    "apiVersion": "v1", "kind": "Secret",
                    "metadata": { "name": secret.name, "namespace": namespace },
                    "type": found.data.get("type"), "data": found.data.get("data"),
                });
                mark::mark(&mut copy, &self.run, &self.owner);
                let place = Place::inside(namespace, &secret.name);
                async move { self.server.create(&kinds::secret(), &place, &copy).await }
            }))
            .await?;
        }
        Ok(())
    }

    /// A probe pod, ready to be made.
    fn probe(&self, id: EndpointId, pod: &Pod) -> Result<Wanted, ClusterError> {
        let token = secret().map_err(|source| ClusterError::Token { source })?;
        let node = self.nodes.at(pod.node).to_owned();
        let controller = self.controllers.get(&pod.namespace);
        let name = match controller {
            Some(_) => adopt::pod_name(&self.run, self.name(id)),
            None => self.name(id).to_owned(),
        };
        let mut manifest = pods::manifest(pod, &Make { name: &name, node: &node, token: &token }, &self.options);
        if let Some(controller) = controller {
            adopt::stand_aside(&mut manifest, controller);
        }
        let place = Place::inside(&pod.namespace, &name);
        let control = pods::control_port(&pod.serves, 0);
        Ok(Wanted { id, place, manifest, node, token, control, labels: pod.labels.clone() })
    }

    /// What stands in for endpoints outside the cluster: one on each node that no probe is ever on, in a namespace of the
    /// run's own. For those that find no node left, flows are unsupported.
    async fn stand_ins(&mut self, scenario: &Scenario) -> Result<Vec<Wanted>, ClusterError> {
        let worlds = scenario.stages().iter().map(|stage| &stage.world).chain([scenario.bare()]);
        let used: BTreeSet<_> = worlds.flat_map(|world| world.pods.values()).map(|pod| pod.node).collect();
        let spare = self.nodes.spare(used.into_iter());
        let outside = &scenario.bare().outside;
        if outside.len() > spare.len() {
            let text = format!(
                "{} of the scenario's {} endpoints outside have no node of their own in this cluster to stand on: their \
                 flows are unsupported",
                outside.len() - spare.len(),
                outside.len()
            );
            self.warnings.push(text);
        }
        let namespace = adopt::own_namespace(&self.run);
        let mut wanted = Vec::new();
        for ((id, there), node) in outside.iter().zip(spare) {
            let token = secret().map_err(|source| ClusterError::Token { source })?;
            let own = u16::from_str_radix(self.run.get(..3).unwrap_or_default(), 16).unwrap_or_default();
            let control = pods::control_port(&there.serves, own);
            let make = Make { name: self.name(*id), node, token: &token };
            let manifest = pods::outside(there, &make, &namespace, control, &self.options);
            let place = Place::inside(&namespace, self.name(*id));
            let node = node.to_owned();
            wanted.push(Wanted { id: *id, place, manifest, node, token, control, labels: Labels::default() });
        }
        if !wanted.is_empty() && !self.namespaces.contains_key(&namespace) {
            let privileged = ("pod-security.kubernetes.io/enforce".to_owned(), "privileged".to_owned());
            let labels = Labels::from_iter([privileged]);
            self.make_namespaces(&[(namespace, labels)].into()).await?;
        }
        Ok(wanted)
    }

    /// Makes pods, all at once, and waits until their agents run.
    async fn make_pods(&mut self, wanted: Vec<Wanted>, listener: &dyn Listener) -> Result<(), ClusterError> {
        let created = join_all(wanted.iter().map(|wanted| self.make_pod(wanted))).await;
        let created: Result<Vec<String>, ClusterError> = created.into_iter().collect();
        let told = |running: usize| listener.hear(Event::Progress { done: running as u64 });
        let waiting = Waiting {
            patience: PODS_WITHIN,
            image: &self.options.image,
            context: self.server.context(),
            enough: &self.enough,
            told: &told,
        };
        let places: Vec<(Place, String)> =
            wanted.iter().zip(created?).map(|(wanted, uid)| (wanted.place.clone(), uid)).collect();
        let running = match self.herd.running(&places, waiting).await {
            Err(ClusterError::PodsLate { pods, waited }) => {
                let why = gather::why_late(&self.server, &places).await;
                return Err(ClusterError::PodsLate { pods: format!("{pods}{why}"), waited });
            }
            running => running?,
        };
        for (wanted, (place, uid)) in wanted.into_iter().zip(places) {
            let addresses = running.get(&place).copied().unwrap_or_default();
            self.doors.add(wanted.id, place.clone(), wanted.control);
            let placement = Placement { node: Some(wanted.node), addresses, token: wanted.token };
            self.placements.insert(wanted.id, placement);
            self.pods.insert(wanted.id, Made { place, uid, labels: wanted.labels });
        }
        Ok(())
    }

    /// Makes one pod, and gives its UID.
    async fn make_pod(&self, wanted: &Wanted) -> Result<String, ClusterError> {
        let mut manifest = wanted.manifest.clone();
        mark::mark(&mut manifest, &self.run, &self.owner);
        let give_up = Instant::now() + ACCOUNT_WITHIN;
        loop {
            match self.server.create(&kinds::pod(), &wanted.place, &manifest).await {
                // A namespace has its service account a moment after it was made, and takes no pod before.
                Err(ClusterError::Request { source, .. })
                    if source.sort() == Sort::Forbidden
                        && source.to_string().contains("serviceaccount \"default\" not found")
                        && Instant::now() < give_up =>
                {
                    sleep(ACCOUNT_PAUSE).await;
                }
                created => {
                    let created = created.map_err(|error| exists(error, &wanted.place, "pod"))?;
                    return Ok(created.metadata.uid.unwrap_or_default());
                }
            }
        }
    }

    async fn remove_pod(&mut self, id: EndpointId) -> Result<(), ClusterError> {
        self.doors.remove(id);
        self.placements.remove(&id);
        let Some(made) = self.pods.remove(&id) else { return Ok(()) };
        self.server.delete(&kinds::pod(), &made.place, &made.uid, None).await?;
        self.herd.gone(&made.place, &made.uid, &self.run, GONE_WITHIN).await
    }

    /// Makes one change that is none of pods coming or going.
    async fn change(&mut self, change: &Change) -> Result<(), ClusterError> {
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

/// What is known of a cluster before anything is made in it.
pub(super) fn place(server: &Server, version: &str, cni: Option<&Cni>) -> FabricInfo {
    let told = cni.map_or_else(|| "no network plugin recognised".to_owned(), ToString::to_string);
    let mut facts = BTreeMap::from([
        ("context".to_owned(), server.context().to_owned()),
        ("kubernetes".to_owned(), version.to_owned()),
    ]);
    if let Some(cni) = cni {
        facts.insert("cni".to_owned(), cni.name.word().to_owned());
        facts.extend(cni.version.iter().map(|version| ("cni-version".to_owned(), version.clone())));
    }
    FabricInfo {
        kind: FabricKind::Cluster,
        summary: format!("cluster {}: Kubernetes {version}, {told}", server.context()),
        facts,
        fault: None,
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

async fn surroundings(server: &Server, options: &Options) -> Result<Surroundings, ClusterError> {
    let (nodes, sets) = tokio::join!(server.list_as::<Node>(), server.list_as::<DaemonSet>());
    // Not to know the network plugin costs a word in the report, and no verdict.
    let sets = sets.unwrap_or_default();
    let (cni, engines) = (cni::recognise(&sets), cni::engines(&sets));
    Ok(Surroundings { nodes: Nodes::choose(&nodes?, options)?, cni, engines })
}

/// The namespaces that a run makes: all but those that are adopted. What stands in for the outside in the run's own has
/// the network of its node.
fn to_be_made(scenario: &Scenario) -> BTreeMap<String, Labels> {
    let theirs = |name: &String| scenario.adopted().is_some_and(|adopted| adopted.namespaces.contains(name));
    let bare = scenario.bare();
    let mut made: BTreeMap<String, Labels> =
        bare.namespaces.iter().filter(|(name, _)| !theirs(name)).map(|(n, l)| (n.clone(), l.clone())).collect();
    if let Some(labels) = scenario.adopted().and_then(|adopted| made.get_mut(&adopted.own))
        && !bare.outside.is_empty()
    {
        labels.0.insert("pod-security.kubernetes.io/enforce".to_owned(), "privileged".to_owned());
    }
    made
}

/// Whether any pod is ever in a namespace.
fn lived_in(scenario: &Scenario, namespace: &str) -> bool {
    let worlds = scenario.stages().iter().map(|stage| &stage.world).chain([scenario.bare()]);
    worlds.flat_map(|world| world.pods.values()).any(|pod| pod.namespace == namespace)
}

/// Makes sure that none of the namespaces is there, before any is made.
async fn nothing_there(server: &Server, scenario: &Scenario) -> Result<(), ClusterError> {
    let looks = to_be_made(scenario).into_keys().map(|name| async move {
        let place = Place::cluster(&name);
        let Some(there) = server.get(&kinds::namespace(), &place).await? else { return Ok(()) };
        let run = there.metadata.labels.as_ref().and_then(|labels| labels.get(RUN));
        let whose = match (run, &there.metadata.deletion_timestamp) {
            (_, Some(_)) => " (it is being deleted: wait a moment)".to_owned(),
            (Some(run), None) => format!(" (run {run} made it)"),
            (None, None) => String::new(),
        };
        Err(ClusterError::Exists { what: format!("namespace {place}"), whose })
    });
    try_join_all(looks).await.map(drop)
}

/// Makes sure that none of the policies that stand outside namespaces is there, in any stage.
async fn no_policy_there(server: &Server, scenario: &Scenario) -> Result<Vec<ApiResource>, ClusterError> {
    let policies = scenario.stages().iter().flat_map(|stage| &stage.changes).filter_map(|change| match change {
        Change::CreatePolicy(policy @ Policy::Unknown(_)) => Some(policy),
        Change::CreatePolicy(Policy::Network(_))
        | Change::ReplacePolicy(_)
        | Change::DeletePolicy(_)
        | Change::RelabelPod(..)
        | Change::RelabelNamespace(..)
        | Change::AddPod(..)
        | Change::RemovePod(_) => None,
    });
    let looks = policies.map(|policy| async move {
        let (kind, place) = kinds::policy(server, policy).await?;
        if place.namespace.is_some() {
            return Ok(None);
        }
        match server.get(&kind, &place).await? {
            None => Ok(Some(kind)),
            Some(_) => Err(ClusterError::Exists { what: format!("{} {place}", kind.kind), whose: String::new() }),
        }
    });
    Ok(try_join_all(looks).await?.into_iter().flatten().collect())
}

fn exists(error: ClusterError, place: &Place, kind: &str) -> ClusterError {
    match error.sort() {
        Some(Sort::AlreadyExists) => ClusterError::Exists { what: format!("{kind} {place}"), whose: String::new() },
        Some(Sort::NotFound | Sort::Conflict | Sort::Forbidden | Sort::Passing | Sort::Lasting) | None => error,
    }
}

/// What a person should know of how this cluster differs from what the scenario thought of.
fn warnings(scenario: &Scenario, nodes: &Nodes) -> Vec<String> {
    let worlds = scenario.stages().iter().map(|stage| &stage.world).chain([scenario.bare()]);
    let highest = worlds.flat_map(|world| world.pods.values()).map(|pod| pod.node.0.get()).max().unwrap_or(1);
    let mut warnings = Vec::new();
    if usize::from(highest) > nodes.count() {
        warnings.push(format!(
            "the scenario spreads its pods over {highest} nodes, and {} of this cluster takes pods ({}): some flows that \
             should cross nodes do not",
            nodes.count(),
            nodes.names().join(", ")
        ));
    }
    warnings
}

impl Realised for Raised {
    type Error = ClusterError;

    fn info(&self) -> FabricInfo {
        let mut info = place(&self.server, &self.version, self.cni.as_ref());
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

    fn dial(&self) -> Arc<dyn Dial> {
        Arc::new(self.doors.clone())
    }

    /// Pods come and go first: what they take is the kubelets' time, and convergence is about the network. So `sent` is
    /// when the first other change was sent, or when the pods were as they should be.
    async fn enact(&mut self, changes: &[Change], _after: &World) -> Result<Enacted, ClusterError> {
        let mut coming = Vec::new();
        for change in changes {
            match change {
                Change::RemovePod(id) => self.remove_pod(*id).await?,
                Change::AddPod(id, pod) => coming.push(self.probe(*id, pod)?),
                Change::CreatePolicy(_)
                | Change::ReplacePolicy(_)
                | Change::DeletePolicy(_)
                | Change::RelabelPod(..)
                | Change::RelabelNamespace(..) => {}
            }
        }
        if !coming.is_empty() {
            self.make_pods(coming, &|_: Event| {}).await?;
        }
        let sent = clock::now();
        for change in changes {
            self.change(change).await?;
        }
        Ok(Enacted { sent, acknowledged: clock::now() })
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
