//! Making a world's objects: namespaces, Services, and the pods with their agents.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::{join_all, try_join_all};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::super::adopt;
use super::super::error::{ClusterError, Said, Sort};
use super::super::herd::Waiting;
use super::super::pods::{self, Make};
use super::super::server::Place;
use super::super::state::addresses;
use super::super::{gather, kinds, mark, plan};
use super::{Made, Raised, exists};
use crate::fabric::Placement;
use crate::fabric::secret::secret;
use crate::model::endpoint::EndpointId;
use crate::model::event::{Event, Listener};
use crate::model::labels::Labels;
use crate::scenario::Scenario;
use crate::scenario::world::Pod;

/// A pod of a loaded image runs within seconds; one whose image is pulled takes longer.
const PODS_WITHIN: Duration = Duration::from_secs(60);
/// The controller that gives a namespace its service account works within this.
const ACCOUNT_WITHIN: Duration = Duration::from_secs(60);
const ACCOUNT_PAUSE: Duration = Duration::from_millis(50);

/// A pod that is about to be made.
pub(super) struct Wanted {
    pub(super) id: EndpointId,
    place: Place,
    manifest: Value,
    node: String,
    token: String,
    control: u16,
    labels: Labels,
}

impl Raised {
    pub(super) async fn make_namespaces(&mut self, wanted: &BTreeMap<String, Labels>) -> Result<(), ClusterError> {
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
    pub(super) async fn make_services(&mut self, scenario: &Scenario) -> Result<(), ClusterError> {
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
    pub(super) fn probe(&self, id: EndpointId, pod: &Pod) -> Result<Wanted, ClusterError> {
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
    pub(super) async fn stand_ins(&mut self, scenario: &Scenario) -> Result<Vec<Wanted>, ClusterError> {
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
    pub(super) async fn make_pods(&mut self, wanted: Vec<Wanted>, listener: &dyn Listener) -> Result<(), ClusterError> {
        let created = join_all(wanted.iter().map(|wanted| self.make_pod(wanted))).await;
        let created: Result<Vec<String>, ClusterError> = created.into_iter().collect();
        let told = |running: usize| {
            listener.hear(Event::Waiting { what: format!("{running} of {} pods run", wanted.len()) });
        };
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
}
