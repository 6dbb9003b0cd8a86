//! The network plugin's pods in words: on each node one comes, runs, is ready, restarts, goes.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::follow::Reader;
use crate::fabric::Happened;
use crate::fabric::cluster::cni;
use crate::model::happening::About;
use crate::model::moment::Moment;

/// The pods of one DaemonSet.
pub(super) struct Engines {
    set: String,
    /// Those that are ready and stay, by node: while there is one, another that goes leaves no gap.
    serving: BTreeMap<String, BTreeSet<String>>,
}

/// What of a pod is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pod: String,
    node: String,
    images: BTreeMap<String, String>,
    containers: BTreeMap<String, Container>,
    ready: bool,
    ready_since: Option<String>,
    created: Option<String>,
    /// When it was told to end.
    leaving: Option<String>,
}

/// One container of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Container {
    state: State,
    restarts: i32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Waiting(String),
    Running(Option<String>),
    Ended { how: String, stamped: Option<String> },
}

impl Engines {
    /// The pods of this DaemonSet.
    pub(super) fn of(set: &str) -> Self {
        Self { set: set.to_owned(), serving: BTreeMap::new() }
    }
}

impl Reader for Engines {
    type Object = Pod;
    type Facts = Facts;

    /// None until it has a node.
    fn read(&self, pod: &Pod) -> Option<Facts> {
        let spec = pod.spec.as_ref()?;
        let status = pod.status.clone().unwrap_or_default();
        let ready = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready");
        let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or_default();
        let leaving = pod.metadata.deletion_timestamp.as_ref();
        Some(Facts {
            pod: pod.metadata.name.clone()?,
            node: spec.node_name.clone()?,
            images: spec
                .containers
                .iter()
                .filter_map(|container| Some((container.name.clone(), container.image.clone()?)))
                .collect(),
            containers: status
                .container_statuses
                .iter()
                .flatten()
                .map(|container| {
                    (container.name.clone(), Container { state: state(container), restarts: container.restart_count })
                })
                .collect(),
            ready: ready.is_some_and(|condition| condition.status == "True"),
            ready_since: ready.and_then(|ready| ready.last_transition_time.as_ref()).map(|time| time.0.to_string()),
            created: pod.metadata.creation_timestamp.as_ref().map(|time| time.0.to_string()),
            // The object says by when it must be gone.
            leaving: leaving.map(|by| (by.0 - std::time::Duration::from_secs(grace.unsigned_abs())).to_string()),
        })
    }

    fn tell(&mut self, before: Option<&Facts>, after: Option<&Facts>, at: Moment) -> Vec<Happened> {
        let Some(now) = after.or(before) else { return Vec::new() };
        let subject = format!("{} on {}", self.set, now.node);
        let told = |what: String, stamped: Option<&String>| Happened {
            node: Some(now.node.clone()),
            stamped: stamped.cloned(),
            ..Happened::new(at, About::Engine, subject.as_str(), what)
        };
        let pod = &now.pod;
        let mut all = Vec::new();
        let serving = self.serving.entry(now.node.clone()).or_default();
        let serves = after.is_some_and(|after| after.ready && after.leaving.is_none());
        if serves {
            serving.insert(pod.clone())
        } else {
            serving.remove(pod)
        };
        // While another serves there, nothing of this one leaves the node without.
        let alone = serving.iter().all(|other| other == pod);
        let begins = |happened: Happened, state: &str| if alone { happened.beginning(state) } else { happened };
        let Some(after) = after else {
            return vec![begins(told(format!("pod {pod} is gone"), None), "gone")];
        };
        let Some(before) = before else {
            let came = told(format!("pod {pod} came, image {}", images(&after.images)), after.created.as_ref());
            all.push(came);
            if after.ready {
                all.push(told(format!("pod {pod} is ready"), after.ready_since.as_ref()).ending());
            }
            return all;
        };
        for (name, image) in &after.images {
            if let Some(earlier) = before.images.get(name).filter(|earlier| *earlier != image) {
                all.push(told(format!("container {name}: image {} -> {}", short(earlier), short(image)), None));
            }
        }
        if before.leaving.is_none() && after.leaving.is_some() {
            all.push(begins(told(format!("pod {pod} was told to end"), after.leaving.as_ref()), "restarting"));
        }
        for (name, container) in &after.containers {
            let earlier = before.containers.get(name);
            if earlier == Some(container) {
                continue;
            }
            let restarted = earlier.is_some_and(|earlier| earlier.restarts < container.restarts);
            match &container.state {
                State::Ended { how, stamped } => {
                    let ended = told(format!("container {name} ended: {how}"), stamped.as_ref());
                    all.push(begins(ended, "restarting"));
                }
                State::Running(started) if restarted => {
                    all.push(told(
                        format!("container {name} runs again (restart {})", container.restarts),
                        started.as_ref(),
                    ));
                }
                State::Running(started) => all.push(told(format!("container {name} runs"), started.as_ref())),
                State::Waiting(why) => {
                    all.push(begins(told(format!("container {name} waits: {why}"), None), "restarting"));
                }
            }
        }
        if before.ready != after.ready {
            all.push(match after.ready {
                true => told(format!("pod {pod} is ready"), after.ready_since.as_ref()).ending(),
                false => begins(told(format!("pod {pod} is not ready"), after.ready_since.as_ref()), "not ready"),
            });
        }
        all
    }
}

fn state(container: &ContainerStatus) -> State {
    let Some(state) = &container.state else { return State::Waiting("not told".into()) };
    if let Some(ended) = &state.terminated {
        let how = match (ended.signal, ended.reason.as_deref()) {
            (Some(signal), _) => format!("signal {signal}"),
            (None, Some(reason)) => format!("exit code {} ({reason})", ended.exit_code),
            (None, None) => format!("exit code {}", ended.exit_code),
        };
        return State::Ended { how, stamped: ended.finished_at.as_ref().map(|time| time.0.to_string()) };
    }
    if let Some(running) = &state.running {
        return State::Running(running.started_at.as_ref().map(|time| time.0.to_string()));
    }
    let waiting = state.waiting.as_ref().and_then(|waiting| waiting.reason.clone());
    State::Waiting(waiting.unwrap_or_else(|| "not told".into()))
}

/// Versions of one or more containers.
fn images(images: &BTreeMap<String, String>) -> String {
    let mut all: Vec<&str> = images.values().map(|image| short(image)).collect();
    all.sort_unstable();
    all.dedup();
    all.join(", ")
}

/// The version an image's tag tells, else the whole of it.
fn short(image: &str) -> &str {
    cni::tag(image).unwrap_or(image)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::happening::Turn;

    fn pod(name: &str, ready: &str, state: &Value, restarts: i32, leaving: bool) -> Facts {
        let mut pod = json!({
            "metadata": { "name": name, "creationTimestamp": "2026-11-27T04:00:00Z" },
            "spec": { "nodeName": "worker2", "containers": [ { "name": "calico-node", "image": "quay.io/calico/node:v3.31.7" } ] },
            "status": {
                "conditions": [ { "type": "Ready", "status": ready, "lastTransitionTime": "2026-11-27T04:00:09Z" } ],
                "containerStatuses": [ { "name": "calico-node", "image": "", "imageID": "", "ready": ready == "True",
                    "restartCount": restarts, "state": state } ],
            },
        });
        if leaving {
            pod["metadata"]["deletionTimestamp"] = json!("2026-11-27T04:01:30Z");
            pod["metadata"]["deletionGracePeriodSeconds"] = json!(30);
        }
        Engines::of("calico-node").read(&serde_json::from_value(pod).unwrap()).unwrap()
    }

    fn running() -> Value {
        json!({ "running": { "startedAt": "2026-11-27T04:00:02Z" } })
    }

    /// A sentence each, with the state it begins or ends.
    fn told(engines: &mut Engines, before: Option<&Facts>, after: Option<&Facts>) -> Vec<String> {
        let turn = |turn: &Turn| match turn {
            Turn::None => String::new(),
            Turn::Begins { state } => format!(" [{state}]"),
            Turn::Ends => " [over]".into(),
        };
        let all = engines.tell(before, after, Moment(1));
        assert!(
            all.iter().all(|one| one.subject == "calico-node on worker2" && one.node.as_deref() == Some("worker2"))
        );
        all.iter().map(|one| format!("{}{}", one.what, turn(&one.turn))).collect()
    }

    #[test]
    fn a_pod_that_is_replaced_leaves_its_node_without_until_the_next_is_ready() {
        let mut engines = Engines::of("calico-node");
        let old = pod("old", "True", &running(), 0, false);
        told(&mut engines, None, Some(&old));
        let leaving = pod("old", "True", &running(), 0, true);
        assert_eq!(told(&mut engines, Some(&old), Some(&leaving)), ["pod old was told to end [restarting]"]);
        assert_eq!(leaving.leaving.as_deref(), Some("2026-11-27T04:01:00Z"), "when, not by when");
        assert_eq!(told(&mut engines, Some(&leaving), None), ["pod old is gone [gone]"]);
        let waiting = json!({ "waiting": { "reason": "PodInitializing" } });
        let new = pod("new", "False", &waiting, 0, false);
        assert_eq!(told(&mut engines, None, Some(&new)), ["pod new came, image v3.31.7"]);
        let runs = pod("new", "False", &running(), 0, false);
        assert_eq!(told(&mut engines, Some(&new), Some(&runs)), ["container calico-node runs"]);
        let ready = pod("new", "True", &running(), 0, false);
        assert_eq!(told(&mut engines, Some(&runs), Some(&ready)), ["pod new is ready [over]"]);
        assert_eq!(told(&mut engines, Some(&ready), Some(&ready)), [] as [&str; 0]);
    }

    #[test]
    fn a_pod_that_goes_while_another_serves_there_leaves_no_gap() {
        let mut engines = Engines::of("calico-node");
        let (old, new) = (pod("old", "True", &running(), 0, false), pod("new", "True", &running(), 0, false));
        told(&mut engines, None, Some(&old));
        told(&mut engines, None, Some(&new));
        let leaving = pod("old", "True", &running(), 0, true);
        assert_eq!(told(&mut engines, Some(&old), Some(&leaving)), ["pod old was told to end"]);
        assert_eq!(told(&mut engines, Some(&leaving), None), ["pod old is gone"]);
    }

    #[test]
    fn a_container_that_dies_is_told_with_how_and_when() {
        let mut engines = Engines::of("calico-node");
        let well = pod("one", "True", &running(), 0, false);
        told(&mut engines, None, Some(&well));
        let ended =
            json!({ "terminated": { "exitCode": 137, "reason": "Error", "finishedAt": "2026-11-27T04:02:00Z" } });
        let dead = pod("one", "False", &ended, 0, false);
        assert_eq!(
            told(&mut engines, Some(&well), Some(&dead)),
            ["container calico-node ended: exit code 137 (Error) [restarting]", "pod one is not ready [not ready]"]
        );
        let again = pod("one", "False", &running(), 1, false);
        assert_eq!(told(&mut engines, Some(&dead), Some(&again)), ["container calico-node runs again (restart 1)"]);
        let looping = json!({ "waiting": { "reason": "CrashLoopBackOff" } });
        let waits = pod("one", "False", &looping, 1, false);
        assert_eq!(
            told(&mut engines, Some(&again), Some(&waits)),
            ["container calico-node waits: CrashLoopBackOff [restarting]"]
        );
        // Where nobody looked in between, the count tells of the death.
        let unseen = pod("one", "True", &running(), 2, false);
        assert_eq!(told(&mut engines, Some(&well), Some(&unseen)), ["container calico-node runs again (restart 2)"]);
    }
}
