//! A scenario whose namespaces and policies are somebody else's: deployed already, read from a cluster, and left as they
//! are. What was found there takes the place of what the file says, and where the two differ that is kept to be told.
//!
//! Its bare world has policies, so its baseline cannot be every flow: the run has pods of its own besides, a pair on each
//! node in a namespace of its own, that show what the wiring does where none of these policies is.

mod fields;

use std::collections::{BTreeMap, BTreeSet};
use std::num::{NonZeroU8, NonZeroU16};
use std::sync::Arc;

use super::check::addresses::Plan;
use super::log::nearest;
use super::world::{Pod, World};
use super::{Change, Endpoint, Scenario};
use crate::model::drift::Drift;
use crate::model::endpoint::{EndpointId, EndpointKind, NodeOrdinal};
use crate::model::flow::{CellSet, Flow};
use crate::model::labels::Labels;
use crate::model::port::{Port, Protocol, ServedPort};
use crate::model::prediction::PolicyRef;
use crate::policy::Policy;
use fields::Sides;

/// The label every namespace has from the API server.
pub(in crate::scenario) const METADATA_NAME: &str = "kubernetes.io/metadata.name";
/// What the run's own pods are called by.
const OWN_PORT: Port = Port { number: NonZeroU16::new(8080).unwrap(), protocol: Protocol::Tcp };

/// What was found in a cluster.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Live {
    /// The labels of every adopted namespace.
    pub namespaces: BTreeMap<String, Labels>,
    /// The labels of pods that are like a workload.
    pub labels: BTreeMap<EndpointId, Labels>,
    /// Every policy in force in these, and every one that stands outside namespaces.
    pub policies: Vec<Policy>,
    /// A namespace for what belongs to the run alone.
    pub own: String,
}

/// What was adopted.
#[derive(Debug, Clone, PartialEq)]
pub struct Adopted {
    /// The namespaces that are somebody else's.
    pub namespaces: BTreeSet<String>,
    /// The namespace of what belongs to the run alone.
    pub own: String,
    /// The policies in force there.
    pub policies: Vec<PolicyRef>,
    /// Where the file says something else.
    pub drift: Vec<Drift>,
}

/// What in a scenario cannot be done in a world that is somebody else's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", why.join("; "))]
pub struct Unfit {
    /// One sentence each.
    pub why: Vec<String>,
}

impl Scenario {
    /// The namespaces that would be adopted: all but those that the run is to make.
    ///
    /// # Errors
    /// Where the scenario changes what would be somebody else's, or `makes` names what is not in it.
    pub fn adoptable(&self, makes: &BTreeSet<String>) -> Result<BTreeSet<String>, Unfit> {
        let mut why = Vec::new();
        let known = || self.bare.namespaces.keys().map(String::as_str);
        for name in makes.iter().filter(|name| !self.bare.namespaces.contains_key(*name)) {
            let hint = nearest(name, known()).map(|hint| format!(", {hint}")).unwrap_or_default();
            why.push(format!("the scenario has no namespace `{name}` that could be made{hint}"));
        }
        let adopted: BTreeSet<String> = known().filter(|name| !makes.contains(*name)).map(ToOwned::to_owned).collect();
        for (id, service) in self.bare.services.iter().filter(|(_, service)| adopted.contains(&service.namespace)) {
            let name = self.name_of(*id);
            why.push(format!(
                "the Service `{name}` would be made in `{}`, which is somebody else's, and lead to probe pods, which are \
                 never ready there: take it out",
                service.namespace
            ));
        }
        for stage in self.stages.iter().skip(1) {
            for change in &stage.changes {
                let changed = match change {
                    Change::CreatePolicy(policy) | Change::ReplacePolicy(policy) => {
                        Some(policy.reference()).filter(|policy| theirs(policy, &adopted)).map(|p| p.to_string())
                    }
                    Change::DeletePolicy(policy) => Some(policy).filter(|p| theirs(p, &adopted)).map(|p| p.to_string()),
                    Change::RelabelNamespace(name, _) => {
                        adopted.contains(name).then(|| format!("the labels of namespace {name}"))
                    }
                    Change::RelabelPod(..) | Change::AddPod(..) | Change::RemovePod(_) => None,
                };
                why.extend(changed.map(|what| {
                    let step = &stage.name;
                    format!(
                        "step `{step}` changes {what}, which is somebody else's: make the change yourself under `watch`"
                    )
                }));
            }
        }
        if why.is_empty() { Ok(adopted) } else { Err(Unfit { why }) }
    }

    /// The policies of the file that must be there already, in its first stage.
    pub fn adoptable_policies(&self, adopted: &BTreeSet<String>) -> Vec<&Policy> {
        let first = self.stages.first().map(|stage| stage.world.policies.as_slice()).unwrap_or_default();
        first.iter().filter(|policy| theirs(&policy.reference(), adopted)).collect()
    }

    /// The same scenario in the world that was found.
    ///
    /// # Errors
    /// As [`Self::adoptable`], and where there is no room for the run's own pods.
    pub fn adopting(&self, live: &Live) -> Result<Self, Unfit> {
        let makes = self.bare.namespaces.keys().filter(|name| !live.namespaces.contains_key(*name)).cloned().collect();
        let namespaces = self.adoptable(&makes)?;
        let drift = self.drift(live, &namespaces);
        let own = self.own_pods(&live.own)?;
        let mut endpoints = self.endpoints.clone();
        endpoints.extend(own.iter().map(|(name, _)| Endpoint {
            name: name.clone(),
            kind: EndpointKind::Pod,
            namespace: None,
        }));
        let ids = (self.endpoints.len()..endpoints.len()).map(|place| EndpointId(place as u32));
        let own: BTreeMap<EndpointId, Pod> = ids.zip(own.into_iter().map(|(_, pod)| pod)).collect();
        let mut scenario = self.widened(endpoints, &between_all(&own, self));
        let had = Arc::clone(&scenario.baseline);
        scenario.baseline = Arc::new(CellSet::new(Arc::clone(&scenario.flows), |flow| {
            own.contains_key(&flow.source) || scenario.flows.find(flow).is_some_and(|id| had.place(id).is_some())
        }));
        live.take_over(&mut scenario.bare, &namespaces);
        scenario.bare.namespaces.insert(live.own.clone(), named(&live.own));
        scenario.bare.pods.extend(own);
        for stage in &mut scenario.stages {
            live.take_over(&mut stage.world, &namespaces);
            for change in &mut stage.changes {
                if let Change::AddPod(id, pod) = change
                    && let Some(labels) = live.labels.get(id)
                {
                    pod.labels = labels.clone();
                }
            }
            stage.changes.retain(|change| match change {
                Change::CreatePolicy(policy) => !theirs(&policy.reference(), &namespaces),
                Change::ReplacePolicy(_)
                | Change::DeletePolicy(_)
                | Change::RelabelPod(..)
                | Change::RelabelNamespace(..)
                | Change::AddPod(..)
                | Change::RemovePod(_) => true,
            });
        }
        let policies = live.policies.iter().map(Policy::reference).collect();
        scenario.adopted = Some(Adopted { namespaces, own: live.own.clone(), policies, drift });
        Ok(scenario)
    }

    /// The same, with what the file says taken for what is there.
    ///
    /// # Errors
    /// As [`Self::adoptable`].
    pub fn adopting_as_written(&self, makes: &BTreeSet<String>, own: &str) -> Result<Self, Unfit> {
        let adopted = self.adoptable(makes)?;
        let labels = |name: &String| self.bare.namespaces.get(name).cloned().unwrap_or_default();
        self.adopting(&Live {
            namespaces: adopted.iter().map(|name| (name.clone(), labels(name))).collect(),
            labels: BTreeMap::new(),
            policies: self.adoptable_policies(&adopted).into_iter().cloned().collect(),
            own: own.to_owned(),
        })
    }

    /// Where the file says something else than the cluster.
    fn drift(&self, live: &Live, adopted: &BTreeSet<String>) -> Vec<Drift> {
        let mut drift = Vec::new();
        for (name, labels) in &live.namespaces {
            let said = self.bare.namespaces.get(name).map(|labels| serde_json::json!(labels)).unwrap_or_default();
            let there = serde_json::json!(labels);
            // Labels that only the cluster has are none of the file's business: nothing was said of them.
            let object = format!("namespace {name}");
            drift.extend(fields::between(&object, "metadata.labels", &said, &there, Sides::File));
        }
        for (id, labels) in &live.labels {
            let Some(borrowed) = self.borrowed.get(id) else { continue };
            let object = format!("pod {} (like {})", self.name_of(*id), borrowed.like);
            if let Some(said) = &borrowed.said {
                let (said, there) = (serde_json::json!(said), serde_json::json!(labels));
                drift.extend(fields::between(&object, "labels", &said, &there, Sides::Both));
            }
        }
        let said = self.adoptable_policies(adopted);
        for policy in &live.policies {
            let reference = policy.reference();
            let object = format!("policy {reference}");
            match said.iter().find(|said| said.reference() == reference) {
                None => drift.push(Drift::Extra { object }),
                Some(said) => drift.extend(match policy {
                    Policy::Network(_) => fields::network_policy(&object, said.manifest(), policy.manifest()),
                    Policy::Unknown(_) => {
                        let spec = |policy: &Policy| policy.manifest().get("spec").cloned().unwrap_or_default();
                        fields::between(&object, "spec", &spec(said), &spec(policy), Sides::File)
                    }
                }),
            }
        }
        drift
    }

    /// A pair of pods for each node that any pod of the scenario is on.
    fn own_pods(&self, namespace: &str) -> Result<Vec<(String, Pod)>, Unfit> {
        let worlds = self.stages.iter().map(|stage| &stage.world).chain([&self.bare]);
        let nodes: BTreeSet<NonZeroU8> = worlds.flat_map(|world| world.pods.values()).map(|pod| pod.node.0).collect();
        let mut plan = Plan::new(&self.families, self.taken());
        let mut pods = Vec::new();
        for node in nodes {
            for letter in ["a", "b"] {
                let mut names = (0..).map(|more: u32| match more {
                    0 => format!("control-{node}-{letter}"),
                    more => format!("control-{node}-{letter}-{more}"),
                });
                let name = names.find(|name| self.find(name).is_none());
                let (Some(name), Some(addresses)) = (name, plan.pod(node.get())) else {
                    return Err(Unfit { why: vec![format!("node {node} has no room for two pods of the run's own")] });
                };
                let pod = Pod {
                    namespace: namespace.to_owned(),
                    labels: Labels::default(),
                    serves: vec![ServedPort { port: OWN_PORT, name: None }],
                    node: NodeOrdinal(node),
                    addresses,
                };
                pods.push((name, pod));
            }
        }
        Ok(pods)
    }
}

impl Live {
    /// Puts what was found in the place of what a file said.
    fn take_over(&self, world: &mut World, adopted: &BTreeSet<String>) {
        world.namespaces.extend(self.namespaces.clone());
        for (id, labels) in &self.labels {
            if let Some(pod) = world.pods.get_mut(id) {
                pod.labels = labels.clone();
            }
        }
        world.policies.retain(|policy| !theirs(&policy.reference(), adopted));
        world.policies.extend(self.policies.iter().cloned());
        world.policies.sort_by_cached_key(|policy| {
            let PolicyRef { kind, namespace, name } = policy.reference();
            (namespace, name, kind)
        });
    }
}

/// Whether a policy is somebody else's: it stands in one of their namespaces, or in none.
fn theirs(policy: &PolicyRef, adopted: &BTreeSet<String>) -> bool {
    policy.namespace.as_ref().is_none_or(|namespace| adopted.contains(namespace))
}

fn named(namespace: &str) -> Labels {
    Labels::from_iter([(METADATA_NAME.to_owned(), namespace.to_owned())])
}

/// The flows between pods of the run's own: on one node and across nodes.
fn between_all(own: &BTreeMap<EndpointId, Pod>, scenario: &Scenario) -> Vec<Flow> {
    let mut flows = Vec::new();
    for (source, destination) in own.keys().flat_map(|a| own.keys().map(move |b| (*a, *b))) {
        if source != destination {
            let families = scenario.families.iter();
            flows.extend(families.map(|family| Flow { source, destination, family: *family, port: OWN_PORT }));
        }
    }
    flows
}

#[cfg(test)]
mod tests;
