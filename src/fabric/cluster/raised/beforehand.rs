//! What is looked at before anything is made: what the cluster is, and that nothing of what is to be made is there.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Node;

use super::super::cni::{self, Cni, Engine};
use super::super::doctor::rights::Deed;
use super::super::error::ClusterError;
use super::super::kinds;
use super::super::mark::RUN;
use super::super::nodes::Nodes;
use super::super::options::Options;
use super::super::server::{Place, Server};
use crate::model::document::{FabricInfo, FabricKind};
use crate::model::labels::Labels;
use crate::policy::Policy;
use crate::scenario::{Change, Scenario};

/// What the cluster is, apart from any scenario.
pub(super) struct Surroundings {
    pub(super) nodes: Nodes,
    pub(super) cni: Option<Cni>,
    pub(super) engines: Vec<Engine>,
}

/// What is known of a cluster before anything is made in it.
pub(in crate::fabric::cluster) fn place(server: &Server, version: &str, cni: Option<&Cni>) -> FabricInfo {
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

pub(super) async fn surroundings(server: &Server, options: &Options) -> Result<Surroundings, ClusterError> {
    let (nodes, sets) = tokio::join!(server.list_as::<Node>(), server.list_as::<DaemonSet>());
    // Not to know the network plugin costs a word in the report, and no verdict.
    let sets = sets.unwrap_or_default();
    let (cni, engines) = (cni::recognise(&sets), cni::engines(&sets));
    Ok(Surroundings { nodes: Nodes::choose(&nodes?, options)?, cni, engines })
}

/// The namespaces that a run makes: all but those that are adopted. What stands in for the outside in the run's own has
/// the network of its node.
pub(super) fn to_be_made(scenario: &Scenario) -> BTreeMap<String, Labels> {
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

/// What the scenario does that not every one does, and needs rights of its own for.
pub(super) fn deeds(scenario: &Scenario) -> BTreeSet<Deed> {
    let changes = scenario.stages().iter().flat_map(|stage| &stage.changes);
    let by_change = changes.filter_map(|change| match change {
        Change::RelabelPod(..) | Change::RelabelNamespace(..) => Some(Deed::Relabels),
        Change::ReplacePolicy(_) => Some(Deed::Replaces),
        Change::CreatePolicy(_) | Change::DeletePolicy(_) | Change::AddPod(..) | Change::RemovePod(_) => None,
    });
    let serves = (!scenario.bare().services.is_empty()).then_some(Deed::Serves);
    let adopts = scenario.adopted().map(|_| Deed::Adopts);
    by_change.chain(serves).chain(adopts).collect()
}

/// Whether any pod is ever in a namespace.
pub(super) fn lived_in(scenario: &Scenario, namespace: &str) -> bool {
    let worlds = scenario.stages().iter().map(|stage| &stage.world).chain([scenario.bare()]);
    worlds.flat_map(|world| world.pods.values()).any(|pod| pod.namespace == namespace)
}

/// Makes sure that none of the namespaces is there, before any is made.
pub(super) async fn nothing_there(server: &Server, scenario: &Scenario) -> Result<(), ClusterError> {
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
pub(super) async fn no_policy_there(server: &Server, scenario: &Scenario) -> Result<(), ClusterError> {
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
            return Ok(());
        }
        match server.get(&kind, &place).await? {
            None => Ok(()),
            Some(_) => Err(ClusterError::Exists { what: format!("{} {place}", kind.kind), whose: String::new() }),
        }
    });
    try_join_all(looks).await.map(drop)
}

/// What a person should know of how this cluster differs from what the scenario thought of.
pub(super) fn warnings(scenario: &Scenario, nodes: &Nodes) -> Vec<String> {
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
