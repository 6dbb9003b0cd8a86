//! Removing what a run made, found by its mark and deleted by UID: what tear-down does, and `leakproof clean` for a run
//! that was killed. Nothing without the mark is touched, except with the namespace it stands in.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use kube::api::{Api, DynamicObject};
use kube::core::ApiResource;
use kube::runtime::watcher::Event;
use serde_json::Value;
use tokio::time::timeout;

use super::error::ClusterError;
use super::kinds;
use super::mark::{self, OWNER, Owner, RUN};
use super::server::{Place, Server};
use super::watcher::{self, Update};

/// A namespace is gone a few seconds after its last pod; a cluster under load takes longer.
const PATIENCE: Duration = Duration::from_secs(180);

/// Something with a run's mark.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Its kind.
    pub kind: ApiResource,
    /// Where it stands.
    pub place: Place,
    /// Which one it is.
    pub uid: String,
    /// The run.
    pub run: String,
    /// The process that made it.
    pub owner: Option<Owner>,
    /// When it was created: RFC 3339.
    pub created: String,
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind.kind, self.place.to_string().replace('`', ""))
    }
}

/// Everything of a run, or of all runs: namespaces first, and of what stands inside a found namespace nothing, since it
/// goes with it. `more` are kinds that are looked through too: those without namespaces, and what is made only in
/// namespaces of others.
///
/// # Errors
/// All that went wrong while looking; what was found is incomplete then.
pub async fn find(server: &Server, run: Option<&str>, more: &[ApiResource]) -> (Vec<Found>, Vec<ClusterError>) {
    let selector = mark::selector(run);
    let mut looked = vec![kinds::namespace(), kinds::network_policy(), kinds::pod(), kinds::secret()];
    looked.extend(more.iter().cloned());
    let lists = looked.iter().map(|kind| server.list(kind, &selector));
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    for (kind, list) in looked.iter().zip(join_all(lists).await) {
        match list {
            Ok(objects) => found.extend(objects.iter().filter_map(|object| read(kind, object))),
            Err(error) => errors.push(error),
        }
    }
    let ours: Vec<String> = found.iter().filter(|f| f.kind.kind == "Namespace").map(|f| f.place.name.clone()).collect();
    found.retain(|found| !found.place.namespace.as_ref().is_some_and(|inside| ours.contains(inside)));
    (found, errors)
}

fn read(kind: &ApiResource, object: &DynamicObject) -> Option<Found> {
    let metadata = &object.metadata;
    // The server selected by label already; what is deleted is looked at twice.
    let run = metadata.labels.as_ref()?.get(RUN)?.clone();
    let owner = metadata.annotations.as_ref().and_then(|all| Owner::parse(all.get(OWNER)?));
    Some(Found {
        kind: kind.clone(),
        place: Place { namespace: metadata.namespace.clone(), name: metadata.name.clone()? },
        uid: metadata.uid.clone()?,
        run,
        owner,
        created: metadata.creation_timestamp.as_ref().map(|time| time.0.to_string()).unwrap_or_default(),
    })
}

/// Deletes what was found, all at once, and waits until the namespaces are gone, and the pods in namespaces that stay.
///
/// # Errors
/// All of them; goes on after each.
pub async fn remove(server: &Server, found: &[Found]) -> Vec<ClusterError> {
    let deletions = found.iter().map(|found| server.delete(&found.kind, &found.place, &found.uid, None));
    let mut errors: Vec<ClusterError> = join_all(deletions).await.into_iter().filter_map(Result::err).collect();
    let going = |kind: ApiResource| {
        let found = found.iter().filter(|found| found.kind == kind).map(|found| (found.uid.clone(), found)).collect();
        wait_gone(server, kind, found)
    };
    let (namespaces, pods) = tokio::join!(going(kinds::namespace()), going(kinds::pod()));
    errors.extend(namespaces.into_iter().chain(pods));
    errors
}

/// Removes a whole run.
///
/// # Errors
/// All of them; goes on after each.
pub(super) async fn sweep(server: &Server, run: &str, more: &[ApiResource]) -> Vec<ClusterError> {
    let (found, mut errors) = find(server, Some(run), more).await;
    errors.extend(remove(server, &found).await);
    errors
}

/// Waits until no object of these UIDs is there any more.
async fn wait_gone(server: &Server, kind: ApiResource, mut waiting: BTreeMap<String, &Found>) -> Vec<ClusterError> {
    let mut stands: BTreeMap<String, String> = BTreeMap::new();
    // Those that are not gone in time are left in `waiting`.
    let _in_time = timeout(PATIENCE, watch_going(server, &kind, &mut waiting, &mut stands)).await;
    waiting
        .iter()
        .map(|(uid, found)| ClusterError::Left {
            what: format!("{} {}", found.kind.kind.to_lowercase(), found.place),
            waited: PATIENCE,
            stands: stands.get(uid).cloned().unwrap_or_else(|| "it is still there".to_owned()),
            run: found.run.clone(),
        })
        .collect()
}

/// Follows the objects of a kind until none that is waited for is there, and what each still there says of itself.
async fn watch_going(
    server: &Server,
    kind: &ApiResource,
    waiting: &mut BTreeMap<String, &Found>,
    stands: &mut BTreeMap<String, String>,
) {
    let api = |client| Api::<DynamicObject>::all_with(client, kind);
    let mut updates = watcher::watch(&server.client(), api, &mark::selector(None));
    let mut listed = BTreeSet::new();
    while !waiting.is_empty() {
        let Some(update) = updates.next().await else { return };
        match update {
            Update::Event(Event::Init) => listed.clear(),
            Update::Event(Event::InitApply(object)) => {
                listed.extend(object.metadata.uid.clone());
                note_conditions(&object, stands);
            }
            Update::Event(Event::InitDone) => waiting.retain(|uid, _| listed.contains(uid)),
            Update::Event(Event::Apply(object)) => note_conditions(&object, stands),
            Update::Event(Event::Delete(object)) => {
                waiting.remove(object.metadata.uid.as_deref().unwrap_or_default());
            }
            Update::Open | Update::Broken { .. } => {}
        }
    }
}

fn note_conditions(object: &DynamicObject, stands: &mut BTreeMap<String, String>) {
    let conditions = object.data.pointer("/status/conditions").and_then(Value::as_array);
    let true_ones = conditions.into_iter().flatten().filter(|condition| condition["status"] == "True");
    let told: Vec<String> =
        true_ones.filter_map(|condition| condition["message"].as_str().map(ToOwned::to_owned)).collect();
    if let Some(uid) = object.metadata.uid.clone().filter(|_| !told.is_empty()) {
        stands.insert(uid, told.join("; "));
    }
}
