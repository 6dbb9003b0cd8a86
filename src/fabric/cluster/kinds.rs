//! The kinds this fabric makes, as the API server addresses them.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Pod, Secret, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::{ApiResource, GroupVersionKind};
use kube::discovery::{self, Scope};

use super::error::{ClusterError, Said};
use super::server::{Place, Server};
use crate::model::prediction::PolicyRef;
use crate::policy::Policy;
use crate::scenario::borrowed::WorkloadKind;

/// v1 Namespace.
pub fn namespace() -> ApiResource {
    ApiResource::erase::<Namespace>(&())
}

/// v1 Pod.
pub fn pod() -> ApiResource {
    ApiResource::erase::<Pod>(&())
}

/// v1 Node.
pub fn node() -> ApiResource {
    ApiResource::erase::<Node>(&())
}

/// v1 Secret.
pub fn secret() -> ApiResource {
    ApiResource::erase::<Secret>(&())
}

/// v1 Service.
pub fn service() -> ApiResource {
    ApiResource::erase::<Service>(&())
}

/// v1 ConfigMap.
pub fn config_map() -> ApiResource {
    ApiResource::erase::<ConfigMap>(&())
}

/// policy/v1 PodDisruptionBudget.
pub fn disruption_budget() -> ApiResource {
    ApiResource::erase::<PodDisruptionBudget>(&())
}

/// The kind of a workload.
pub(super) fn workload(kind: WorkloadKind) -> ApiResource {
    match kind {
        WorkloadKind::Deployment => ApiResource::erase::<Deployment>(&()),
        WorkloadKind::StatefulSet => ApiResource::erase::<StatefulSet>(&()),
        WorkloadKind::DaemonSet => ApiResource::erase::<DaemonSet>(&()),
        WorkloadKind::ReplicaSet => ApiResource::erase::<ReplicaSet>(&()),
        WorkloadKind::Job => ApiResource::erase::<Job>(&()),
        WorkloadKind::CronJob => ApiResource::erase::<CronJob>(&()),
        WorkloadKind::Pod => pod(),
    }
}

/// networking.k8s.io/v1 NetworkPolicy.
pub fn network_policy() -> ApiResource {
    ApiResource::erase::<NetworkPolicy>(&())
}

/// The groups in which policies of kinds the oracle does not know may be.
pub const POLICY_GROUPS: [&str; 3] = ["projectcalico.org", "crd.projectcalico.org", "policy.networking.k8s.io"];

/// A policy's kind, and where its object stands. For a kind that is not Kubernetes' own the server is asked.
///
/// # Errors
/// Where the cluster does not serve it.
pub(super) async fn policy(server: &Server, policy: &Policy) -> Result<(ApiResource, Place), ClusterError> {
    match policy {
        Policy::Network(policy) => Ok((network_policy(), Place::inside(&policy.namespace, &policy.name))),
        Policy::Unknown(policy) => {
            let kind = policy.manifest.get("kind").and_then(|kind| kind.as_str()).unwrap_or_default();
            let (group, version) = policy.api_version.split_once('/').unwrap_or(("", &policy.api_version));
            let wanted = GroupVersionKind::gvk(group, version, kind);
            let (resource, capabilities) =
                discovery::pinned_kind(&server.client(), &wanted).await.map_err(|error| match error {
                    kube::Error::Discovery(_) => no_kind(kind, &policy.api_version),
                    kube::Error::Api(ref status) if status.code == 404 => no_kind(kind, &policy.api_version),
                    error => ClusterError::Request {
                        verb: "finding",
                        what: format!("the kind {kind} of {}", policy.api_version),
                        source: Said::new(&error),
                    },
                })?;
            Ok((resource, place(&policy.reference, capabilities.scope)))
        }
    }
}

fn no_kind(kind: &str, api_version: &str) -> ClusterError {
    ClusterError::NoKind { kind: kind.to_owned(), api_version: api_version.to_owned() }
}

fn place(reference: &PolicyRef, scope: Scope) -> Place {
    let namespace = match scope {
        Scope::Cluster => None,
        Scope::Namespaced => Some(reference.namespace.clone().unwrap_or_else(|| "default".to_owned())),
    };
    Place { namespace, name: reference.name.clone() }
}

/// Every kind of the policy groups that this cluster serves and that stands outside namespaces: what a namespace's
/// deletion does not take along.
///
/// # Errors
/// Names the request.
pub async fn cluster_wide_policies(server: &Server) -> Result<Vec<ApiResource>, ClusterError> {
    let served = served_policies(server).await?;
    Ok(served.into_iter().filter(|(_, scope)| *scope == Scope::Cluster).map(|(kind, _)| kind).collect())
}

/// Every kind of the policy groups that stands in namespaces and decides flows; of two groups that serve the same
/// objects, the one that people use first.
///
/// # Errors
/// Names the request.
pub(super) async fn namespaced_policies(server: &Server) -> Result<Vec<ApiResource>, ClusterError> {
    let served = served_policies(server).await?;
    let deciding = |(kind, scope): &(ApiResource, Scope)| *scope == Scope::Namespaced && kind.kind == "NetworkPolicy";
    let mut kinds: Vec<ApiResource> = served.into_iter().filter(deciding).map(|(kind, _)| kind).collect();
    kinds.sort_by_key(|kind| POLICY_GROUPS.iter().position(|group| *group == kind.group));
    Ok(kinds)
}

async fn served_policies(server: &Server) -> Result<Vec<(ApiResource, Scope)>, ClusterError> {
    let failed = |error: kube::Error| ClusterError::Request {
        verb: "finding",
        what: "the kinds of policies this cluster serves".to_owned(),
        source: Said::new(&error),
    };
    let client = server.client();
    let groups = client.list_api_groups().await.map_err(failed)?;
    let mut found = Vec::new();
    for group in groups.groups.iter().filter(|group| POLICY_GROUPS.contains(&group.name.as_str())) {
        let group = discovery::group(&client, &group.name).await.map_err(failed)?;
        let kinds = group.recommended_resources().into_iter();
        found.extend(
            kinds
                .filter(|(_, able)| able.supports_operation(discovery::verbs::DELETE))
                .map(|(kind, able)| (kind, able.scope)),
        );
    }
    Ok(found)
}
