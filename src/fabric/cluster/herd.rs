//! All pods of a run, watched: one request to the API server for as long as the run goes on, from which every wait for a
//! pod is served.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use kube::runtime::watcher::Event;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::error::ClusterError;
use super::journal::Journal;
use super::mark;
use super::server::{Place, Server};
use super::state::{State, remedy, state};
use super::watcher::{self, Update};
use crate::clock;
use crate::fabric::Happened;
use crate::model::endpoint::Addresses;
use crate::model::happening::About;

/// The pods of a run. Dropping it ends the watch.
pub(super) struct Herd {
    pods: watch::Receiver<Pods>,
    task: JoinHandle<()>,
}

#[derive(Debug, Clone)]
struct Pods {
    by_place: BTreeMap<Place, Seen>,
    journal: Journal,
}

#[derive(Debug, Clone)]
struct Seen {
    uid: String,
    state: State,
}

impl Drop for Herd {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Herd {
    /// Begins to watch.
    pub(super) fn watch(server: &Server, run: &str, journal: Journal) -> Self {
        let (sender, pods) = watch::channel(Pods { by_place: BTreeMap::new(), journal });
        let mut updates = watcher::watch(&server.client(), Api::<Pod>::all, &mark::selector(Some(run)));
        let task = tokio::spawn(async move {
            let mut listed = BTreeSet::new();
            while let Some(update) = updates.next().await {
                match update {
                    Update::Event(event) => sender.send_modify(|pods| pods.take(event, &mut listed)),
                    // A watch that stays broken is told by the waits that time out.
                    Update::Open | Update::Broken { .. } => {}
                }
            }
        });
        Self { pods, task }
    }

    /// Waits until all of these pods run; `told` hears how many do.
    ///
    /// # Errors
    /// At once when one cannot start; when `patience` is over; when told to stop.
    pub(super) async fn running(
        &self,
        wanted: &[(Place, String)],
        waiting: Waiting<'_>,
    ) -> Result<BTreeMap<Place, Addresses>, ClusterError> {
        let mut pods = self.pods.clone();
        let until = Instant::now() + waiting.patience;
        let mut counted = None;
        loop {
            let (mut there, mut missing) = (BTreeMap::new(), Vec::new());
            {
                let now = pods.borrow_and_update();
                for (place, uid) in wanted {
                    let seen = now.by_place.get(place).filter(|seen| seen.uid == *uid);
                    let stuck = |why: String| {
                        let remedy = remedy(&why, waiting.image, waiting.context);
                        let pod = place.to_string().replace('`', "");
                        Err(ClusterError::PodStuck { pod, why: format!("{why}{remedy}") })
                    };
                    match seen.map(|seen| &seen.state) {
                        Some(State::Running(addresses)) => drop(there.insert(place.clone(), *addresses)),
                        Some(State::Stuck(why)) => return stuck(why.clone()),
                        Some(State::Ended(why)) => return stuck(why.clone()),
                        Some(State::Going) => return stuck("somebody deletes it".into()),
                        Some(State::Coming(what)) => {
                            let remedy = remedy(what, waiting.image, waiting.context);
                            missing.push(format!("pod {place} ({what}{remedy})"));
                        }
                        None => missing.push(format!("pod {place}")),
                    }
                }
            }
            if counted.replace(there.len()) != Some(there.len()) {
                (waiting.told)(there.len());
            }
            if missing.is_empty() {
                return Ok(there);
            }
            tokio::select! {
                changed = timeout_at(until, pods.changed()) => if !matches!(changed, Ok(Ok(()))) {
                    let pods = missing.join(", ");
                    return Err(ClusterError::PodsLate { pods, waited: waiting.patience });
                },
                () = waiting.enough.cancelled() => {
                    return Err(ClusterError::Stopped { doing: "pods were starting" });
                }
            }
        }
    }

    /// Waits until a pod is gone.
    ///
    /// # Errors
    /// When `patience` is over.
    pub(super) async fn gone(
        &self,
        place: &Place,
        uid: &str,
        run: &str,
        patience: Duration,
    ) -> Result<(), ClusterError> {
        let mut pods = self.pods.clone();
        let there = |pods: &Pods| pods.by_place.get(place).is_some_and(|seen| seen.uid == uid);
        let gone = timeout_at(Instant::now() + patience, pods.wait_for(|pods| !there(pods))).await;
        if gone.is_ok_and(|gone| gone.is_ok()) {
            return Ok(());
        }
        let stands = self.pods.borrow().by_place.get(place).map(|seen| format!("{:?}", seen.state)).unwrap_or_default();
        Err(ClusterError::Left { what: format!("pod {place}"), waited: patience, stands, run: run.to_owned() })
    }
}

/// What a wait needs to know.
pub(super) struct Waiting<'a> {
    pub(super) patience: Duration,
    pub(super) image: &'a str,
    pub(super) context: &'a str,
    pub(super) enough: &'a CancellationToken,
    pub(super) told: &'a (dyn Fn(usize) + Sync),
}

fn place_of(pod: &Pod) -> Place {
    Place { namespace: pod.metadata.namespace.clone(), name: pod.metadata.name.clone().unwrap_or_default() }
}

impl Pods {
    /// `listed` holds what a list in progress has named so far.
    fn take(&mut self, event: Event<Pod>, listed: &mut BTreeSet<Place>) {
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(pod) => {
                listed.insert(place_of(&pod));
                self.see(&pod);
            }
            // What a list does not name was deleted while nothing was watched.
            Event::InitDone => self.by_place.retain(|place, _| listed.contains(place)),
            Event::Apply(pod) => self.see(&pod),
            Event::Delete(pod) => self.miss(&pod),
        }
    }

    fn see(&mut self, pod: &Pod) {
        let place = place_of(pod);
        let seen = Seen { uid: pod.metadata.uid.clone().unwrap_or_default(), state: state(pod) };
        let before = self.by_place.insert(place.clone(), seen.clone());
        let was_running =
            before.is_some_and(|before| matches!(before.state, State::Running(_)) && before.uid == seen.uid);
        if was_running {
            match seen.state {
                State::Ended(why) => self.note(&place, why),
                State::Stuck(why) => self.note(&place, why),
                State::Running(_) | State::Coming(_) | State::Going => {}
            }
        }
    }

    fn miss(&mut self, pod: &Pod) {
        let place = place_of(pod);
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        if self.by_place.get(&place).is_some_and(|seen| seen.uid == uid) {
            self.by_place.remove(&place);
        }
    }

    fn note(&mut self, place: &Place, what: String) {
        let subject = format!("pod {}", place.to_string().replace('`', ""));
        self.journal.note(Happened::new(clock::now(), About::Probe, subject, what));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fabric::cluster::fake::Fake;

    #[tokio::test(start_paused = true)]
    async fn a_pod_deleted_while_the_watch_was_broken_is_gone() {
        let fake = Fake::new();
        let labels = json!({ mark::RUN: "cafe0001" });
        let metadata = json!({ "name": "probe", "namespace": "there", "uid": "uid-probe", "labels": labels });
        fake.put(("pods", Some("there"), "probe"), json!({ "metadata": metadata, "status": { "phase": "Pending" } }));
        let herd = Herd::watch(&Server::with(fake.client()), "cafe0001", Journal::default());
        let place = Place::inside("there", "probe");
        let mut pods = herd.pods.clone();
        let seen = pods.wait_for(|pods| pods.by_place.contains_key(&place));
        assert!(tokio::time::timeout(Duration::from_secs(20), seen).await.is_ok(), "it is seen at first");
        {
            // The server forgets versions too, so that no watch can tell of the deletion: only a list can.
            let mut inside = fake.inside();
            inside.forgetful = true;
            inside.objects.retain(|(plural, ..), _| plural != "pods");
        }
        let gone = herd.gone(&place, "uid-probe", "cafe0001", Duration::from_secs(20)).await;
        assert!(gone.is_ok(), "{gone:?}");
    }
}
