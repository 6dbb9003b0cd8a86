//! What is in force where a scenario is adopted: the namespaces' labels, and every policy that may reach into them.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::{join_all, try_join_all};
use kube::api::DynamicObject;
use kube::core::ApiResource;
use serde_json::{Value, json};

use super::super::error::ClusterError;
use super::super::mark::RUN;
use super::super::server::{Place, Server};
use super::super::{foreign, kinds};
use crate::model::endpoint::EndpointId;
use crate::model::labels::Labels;
use crate::policy::Policy;
use crate::scenario::borrowed::WorkloadKind;
use crate::scenario::{Scenario, policy_from_json};

/// The policies that were found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// All of them.
    pub(super) policies: Vec<Policy>,
    /// What the scenario names and is not there, with what to do.
    pub(super) missing: Vec<String>,
    /// What a person should know.
    pub(super) remarks: Vec<String>,
}

/// The labels of each namespace, and those that are not there, with what to do.
pub(super) async fn namespaces(
    server: &Server,
    adopted: &BTreeSet<String>,
) -> Result<(BTreeMap<String, Labels>, Vec<String>), ClusterError> {
    let looks = adopted.iter().map(|name| async move {
        let found = server.get(&kinds::namespace(), &Place::cluster(name)).await?;
        Ok::<_, ClusterError>((name, found))
    });
    let (mut there, mut missing) = (BTreeMap::new(), Vec::new());
    for (name, found) in try_join_all(looks).await? {
        match found {
            Some(found) if found.metadata.deletion_timestamp.is_none() => {
                there.insert(name.clone(), Labels(found.metadata.labels.unwrap_or_default()));
            }
            Some(_) => missing.push(format!("namespace `{name}` is being deleted")),
            None => missing.push(format!(
                "namespace `{name}` is not there: deploy it, take it out of the scenario, or have the run make it (and \
                 remove it again) with `--make-namespace {name}`"
            )),
        }
    }
    Ok((there, missing))
}

/// The labels of pods that are like a workload, and the workloads that are not there, with what to do.
pub(super) async fn labels(
    server: &Server,
    scenario: &Scenario,
) -> Result<(BTreeMap<EndpointId, Labels>, Vec<String>), ClusterError> {
    let looks = scenario.borrowed().map(|(id, borrowed)| async move {
        let place = Place::inside(&borrowed.namespace, &borrowed.like.name);
        let found = server.get(&kinds::workload(borrowed.like.kind), &place).await?;
        Ok::<_, ClusterError>((id, borrowed, found))
    });
    let (mut there, mut missing) = (BTreeMap::new(), Vec::new());
    for (id, borrowed, found) in try_join_all(looks).await? {
        match found {
            Some(found) => drop(there.insert(id, of_pods(borrowed.like.kind, &found))),
            None => missing.push(format!(
                "{} is not there in `{}`, and pod `{}` has its labels: deploy it, or name another one under `like`",
                borrowed.like,
                borrowed.namespace,
                scenario.name_of(id)
            )),
        }
    }
    Ok((there, missing))
}

/// The labels that a workload's pods have, but for our own.
fn of_pods(kind: WorkloadKind, workload: &DynamicObject) -> Labels {
    let template = match kind {
        WorkloadKind::Pod => None,
        WorkloadKind::CronJob => Some("/spec/jobTemplate/spec/template/metadata/labels"),
        WorkloadKind::Deployment
        | WorkloadKind::StatefulSet
        | WorkloadKind::DaemonSet
        | WorkloadKind::ReplicaSet
        | WorkloadKind::Job => Some("/spec/template/metadata/labels"),
    };
    let mut labels: BTreeMap<String, String> = match template {
        None => workload.metadata.labels.clone().unwrap_or_default(),
        Some(path) => {
            let found = workload.data.pointer(path).and_then(Value::as_object);
            found
                .into_iter()
                .flatten()
                .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                .collect()
        }
    };
    labels.remove(RUN);
    Labels(labels)
}

/// Every policy that may reach a pod in these namespaces, and those of the file that are not there.
pub(super) async fn policies(
    server: &Server,
    scenario: &Scenario,
    adopted: &BTreeSet<String>,
) -> Result<Found, ClusterError> {
    let kind = kinds::network_policy();
    let lists = try_join_all(adopted.iter().map(|namespace| server.list_in(&kind, namespace)));
    let (lists, others) = tokio::join!(lists, others(server, adopted));
    let mut found = Found { remarks: others.remarks, ..Found::default() };
    for object in lists?.into_iter().flatten() {
        found.policies.push(read(&kind, &object)?);
    }
    for (kind, object) in &others.objects {
        found.policies.push(read(kind, object)?);
    }
    // What the file names is asked for by its own kind and version, which may be another than the server prefers.
    for policy in scenario.adoptable_policies(adopted) {
        let reference = policy.reference();
        if found.policies.iter().any(|there| there.reference() == reference) {
            continue;
        }
        let object = match policy {
            Policy::Network(_) => None,
            Policy::Unknown(_) => {
                let (kind, place) = kinds::policy(server, policy).await?;
                server.get(&kind, &place).await?.map(|object| (kind, object))
            }
        };
        match object {
            Some((kind, object)) => found.policies.push(read(&kind, &object)?),
            None => found.missing.push(not_there(policy, &found.policies)),
        }
    }
    Ok(found)
}

fn not_there(policy: &Policy, there: &[Policy]) -> String {
    let reference = policy.reference();
    let beside = there.iter().map(Policy::reference).filter(|one| one.namespace == reference.namespace);
    let beside: Vec<String> = beside.map(|one| format!("`{one}`")).collect();
    let beside = if beside.is_empty() { String::new() } else { format!(" (there are {})", beside.join(", ")) };
    format!(
        "policy `{reference}` is not there{beside}: deploy it, or take it out of the scenario, since what is in force is \
         read from the cluster anyway"
    )
}

fn read(kind: &ApiResource, object: &DynamicObject) -> Result<Policy, ClusterError> {
    let name = object.metadata.name.clone().unwrap_or_default();
    let place = Place { namespace: object.metadata.namespace.clone(), name };
    let what = format!("{} {place}", kind.kind);
    let unreadable = |why: String| ClusterError::Unreadable { what: what.clone(), why };
    let mut manifest = serde_json::to_value(object).map_err(|error| unreadable(error.to_string()))?;
    // Objects in a list do not say what they are.
    manifest["apiVersion"] = json!(kind.api_version);
    manifest["kind"] = json!(kind.kind);
    match policy_from_json(&manifest, &what) {
        Ok((policy, _)) => Ok(policy),
        Err(refusal) => {
            let first = refusal.diagnostics.first().map(|one| one.message.clone());
            Err(unreadable(first.unwrap_or_else(|| refusal.to_string())))
        }
    }
}

/// Policies of kinds whose meaning is not known here.
#[derive(Default)]
struct Others {
    objects: Vec<(ApiResource, DynamicObject)>,
    remarks: Vec<String>,
}

/// Those that stand in the namespaces or in none.
async fn others(server: &Server, adopted: &BTreeSet<String>) -> Others {
    let mut others = Others::default();
    match kinds::namespaced_policies(server).await {
        Ok(kinds) => {
            let asked = kinds.iter().flat_map(|kind| adopted.iter().map(move |namespace| (kind, namespace)));
            let lists = join_all(
                asked.map(|(kind, namespace)| async move { (kind, namespace, server.list_in(kind, namespace).await) }),
            );
            for (kind, namespace, list) in lists.await {
                match list {
                    Ok(objects) => others.take(kind, objects.into_iter().filter(|object| !is_mirror(object))),
                    Err(error) => others.remarks.push(format!(
                        "whether a {} of `{}` is in force in `{namespace}` cannot be told: {error}",
                        kind.kind, kind.group
                    )),
                }
            }
        }
        Err(error) => {
            others.remarks.push(format!("whether policies of other kinds are in force cannot be told: {error}"))
        }
    }
    let (wide, problems) = foreign::in_force(server).await;
    others.remarks.extend(problems);
    for (kind, object) in wide.into_iter().filter(|(_, object)| !is_mirror(object)) {
        others.take(&kind, [object].into_iter());
    }
    others
}

impl Others {
    /// A policy may be served by two groups, under a name with its tier in front in one of them: it is one policy.
    fn take(&mut self, kind: &ApiResource, objects: impl Iterator<Item = DynamicObject>) {
        for object in objects {
            let known = |(other, there): &(ApiResource, DynamicObject)| {
                other.kind == kind.kind
                    && there.metadata.namespace == object.metadata.namespace
                    && foreign::untiered(there) == foreign::untiered(&object)
            };
            if !self.objects.iter().any(known) {
                self.objects.push((kind.clone(), object));
            }
        }
    }
}

/// Calico's server shows Kubernetes' own policies among its own (`knp.default.NAME`, `kanp.NAME` and so on): these are
/// read where they are. What a run of ours made is no policy of theirs either.
fn is_mirror(object: &DynamicObject) -> bool {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let ours = object.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(RUN));
    ours || ["knp.", "kanp.", "kbanp.", "kcnp."].iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn one_policy_that_two_groups_serve_is_one() {
        let kind = |group: &str| ApiResource {
            group: group.into(),
            version: "v3".into(),
            api_version: format!("{group}/v3"),
            kind: "NetworkPolicy".into(),
            plural: "networkpolicies".into(),
        };
        let served = |name: &str| object(json!({ "metadata": { "name": name, "namespace": "shop" }, "spec": {} }));
        let mut others = Others::default();
        others.take(&kind("projectcalico.org"), [served("db"), served("web")].into_iter());
        others.take(&kind("crd.projectcalico.org"), [served("default.db"), served("default.cache")].into_iter());
        let names: Vec<&str> =
            others.objects.iter().filter_map(|(_, object)| object.metadata.name.as_deref()).collect();
        assert_eq!(names, ["db", "web", "default.cache"]);
    }

    #[test]
    fn a_pod_has_the_labels_of_the_workloads_pod_template() {
        let template = |labels: Value| json!({ "template": { "metadata": { "labels": labels } } });
        let rows = [
            (WorkloadKind::Deployment, json!({ "spec": template(json!({ "app": "db" })) }), "a template"),
            (
                WorkloadKind::CronJob,
                json!({ "spec": { "jobTemplate": { "spec": template(json!({ "app": "db" })) } } }),
                "deeper",
            ),
            (
                WorkloadKind::Pod,
                json!({ "metadata": { "labels": { "app": "db", RUN: "cafe" } } }),
                "a pod, and of ours",
            ),
        ];
        for (kind, workload, why) in rows {
            let expected = Labels::from_iter([("app".to_owned(), "db".to_owned())]);
            assert_eq!(of_pods(kind, &object(workload)), expected, "{why}");
        }
        let bare = object(json!({ "metadata": { "labels": { "app": "x" } }, "spec": { "template": {} } }));
        assert_eq!(of_pods(WorkloadKind::Deployment, &bare), Labels::default(), "its own labels are not its pods'");
    }

    #[test]
    fn what_mirrors_a_policy_of_kubernetes_is_no_other() {
        let rows = [
            ("knp.default.db", true, "a NetworkPolicy"),
            ("kanp.adminnetworkpolicy.cluster", true, "an AdminNetworkPolicy"),
            ("default.db", false, "Calico's own"),
            ("known", false, "a name that begins alike"),
        ];
        for (name, mirrored, why) in rows {
            assert_eq!(is_mirror(&object(json!({ "metadata": { "name": name } }))), mirrored, "{why}");
        }
        let ours = object(json!({ "metadata": { "name": "x", "labels": { RUN: "cafe0001" } } }));
        assert!(is_mirror(&ours), "another run's goes when that run ends");
    }
}
