//! Where a pod stands: whether its agent runs, may still come to run, or never will, with the cluster's own reason.

use k8s_openapi::api::core::v1::Pod;

use super::pods::CONTAINER;
use crate::model::endpoint::Addresses;

/// Where a pod stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Its agent runs, at these addresses.
    Running(Addresses),
    /// On its way; what it waits for, as far as is told.
    Coming(String),
    /// It will not run without somebody's help.
    Stuck(String),
    /// It ran, or was to, and has ended.
    Ended(String),
    /// It is being deleted.
    Going,
}

/// Reasons of a waiting container that no waiting ends.
const HOPELESS: [&str; 9] = [
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImagePullBackOff",
    "ImageInspectError",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "CrashLoopBackOff",
];

/// Reads a pod's status.
pub(super) fn state(pod: &Pod) -> State {
    if pod.metadata.deletion_timestamp.is_some() {
        return State::Going;
    }
    let Some(status) = &pod.status else { return State::Coming("not scheduled yet".into()) };
    let phase = status.phase.as_deref().unwrap_or_default();
    let containers = status.container_statuses.as_deref().unwrap_or_default();
    // Somebody's admission may have put another one in front.
    let container = containers.iter().find(|container| container.name == CONTAINER).or(containers.first());
    let inside = container.and_then(|container| container.state.as_ref());
    if phase == "Failed" || phase == "Succeeded" {
        let ended = inside.and_then(|inside| inside.terminated.as_ref()).map(|ended| {
            let said = ended.message.as_deref().map(|said| format!(": {}", said.trim())).unwrap_or_default();
            let reason = ended.reason.as_deref().unwrap_or("ended");
            format!("its agent ended with exit code {} ({reason}){said}", ended.exit_code)
        });
        let reason = [status.reason.as_deref(), status.message.as_deref()];
        let told: Vec<&str> = reason.into_iter().flatten().collect();
        return State::Ended(if told.is_empty() {
            ended.unwrap_or_else(|| format!("its phase is {phase}"))
        } else {
            told.join(": ")
        });
    }
    let refused = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
    if let Some(condition) = refused {
        let message = condition.message.clone().unwrap_or_default();
        return match condition.reason.as_deref() {
            // A taint may be of the moment: a node has one while its network plugin is upgraded.
            Some("Unschedulable") if message.contains("untolerated taint") => {
                State::Coming(format!("Unschedulable: {message}"))
            }
            Some("Unschedulable") => State::Stuck(format!("Unschedulable: {message}")),
            reason => State::Coming(format!("{}: {message}", reason.unwrap_or("not scheduled yet"))),
        };
    }
    if let Some(waiting) = inside.and_then(|inside| inside.waiting.as_ref()) {
        let reason = waiting.reason.as_deref().unwrap_or("waiting");
        let message = waiting.message.as_deref().map(|text| format!(": {}", text.trim())).unwrap_or_default();
        let told = format!("{reason}{message}");
        return if HOPELESS.contains(&reason) { State::Stuck(told) } else { State::Coming(told) };
    }
    if inside.is_some_and(|inside| inside.running.is_some()) {
        let addresses = addresses(status.pod_ips.iter().flatten().map(|ip| ip.ip.as_str()));
        if addresses != Addresses::default() {
            return State::Running(addresses);
        }
        return State::Coming("running, without an address yet".into());
    }
    State::Coming(if phase.is_empty() { "not scheduled yet".into() } else { phase.to_owned() })
}

/// The first address of each family.
pub(super) fn addresses<'a>(all: impl Iterator<Item = &'a str>) -> Addresses {
    let mut addresses = Addresses::default();
    for address in all.filter_map(|text| text.parse().ok()) {
        match address {
            std::net::IpAddr::V4(v4) => addresses.v4 = addresses.v4.or(Some(v4)),
            std::net::IpAddr::V6(v6) => addresses.v6 = addresses.v6.or(Some(v6)),
        }
    }
    addresses
}

/// What a person can do about a reason.
pub(super) fn remedy(why: &str, image: &str, context: &str) -> String {
    let pulling = ["ErrImageNeverPull", "ErrImagePull", "ImagePullBackOff", "ImageInspectError", "InvalidImageName"];
    if pulling.iter().any(|reason| why.starts_with(reason)) {
        let name = context.strip_prefix("kind-").unwrap_or("NAME");
        return format!(
            "; the image `{image}` must be there: `leakproof image agent.tar` and `kind load image-archive agent.tar \
             --name {name}`, or name one in a registry with `--agent-image`"
        );
    }
    if why.starts_with("Unschedulable") {
        return "; `--toleration`, `--node-selector` and `--request` change what is asked for".to_owned();
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(status: Value) -> Pod {
        serde_json::from_value(json!({ "metadata": { "name": "db" }, "status": status })).unwrap()
    }

    #[test]
    fn a_pods_status_says_where_it_stands() {
        let running = json!({ "phase": "Running", "podIPs": [ { "ip": "10.0.0.7" }, { "ip": "fd00::7" } ],
            "containerStatuses": [ { "name": "agent", "state": { "running": {} }, "image": "", "imageID": "", "ready": true, "restartCount": 0 } ] });
        let waiting = |reason: &str, message: &str| {
            json!({ "phase": "Pending", "containerStatuses": [ { "name": "agent", "image": "", "imageID": "", "ready": false,
                "restartCount": 0, "state": { "waiting": { "reason": reason, "message": message } } } ] })
        };
        let beside = json!({ "phase": "Running", "podIPs": [ { "ip": "10.0.0.7" }, { "ip": "fd00::7" } ], "containerStatuses": [
            { "name": "proxy", "state": { "running": {} }, "image": "", "imageID": "", "ready": true, "restartCount": 0 },
            { "name": "agent", "state": { "waiting": { "reason": "ErrImagePull", "message": "no" } }, "image": "",
              "imageID": "", "ready": false, "restartCount": 0 } ] });
        let both = Addresses { v4: "10.0.0.7".parse().ok(), v6: "fd00::7".parse().ok() };
        let rows = [
            (running, State::Running(both), "running with two families"),
            (beside, State::Stuck("ErrImagePull: no".into()), "somebody else's container runs beside it"),
            (json!(null), State::Coming("not scheduled yet".into()), "just created"),
            (json!({ "phase": "Pending" }), State::Coming("Pending".into()), "pending"),
            (waiting("ContainerCreating", ""), State::Coming("ContainerCreating: ".into()), "on its way"),
            (
                waiting("ErrImageNeverPull", "no such image"),
                State::Stuck("ErrImageNeverPull: no such image".into()),
                "no image",
            ),
            (
                json!({ "phase": "Pending", "conditions": [ { "type": "PodScheduled", "status": "False",
                    "reason": "Unschedulable", "message": "0/3 nodes are available" } ] }),
                State::Stuck("Unschedulable: 0/3 nodes are available".into()),
                "no node takes it",
            ),
            (
                json!({ "phase": "Pending", "conditions": [ { "type": "PodScheduled", "status": "False", "reason":
                    "Unschedulable", "message": "0/3 nodes are available: 1 node(s) had untolerated taint(s)" } ] }),
                State::Coming("Unschedulable: 0/3 nodes are available: 1 node(s) had untolerated taint(s)".into()),
                "a node is tainted while its network plugin is upgraded",
            ),
            (
                json!({ "phase": "Failed", "reason": "Evicted", "message": "The node was low on memory" }),
                State::Ended("Evicted: The node was low on memory".into()),
                "evicted",
            ),
            (
                json!({ "phase": "Failed", "containerStatuses": [ { "name": "agent", "image": "", "imageID": "", "ready": false,
                    "restartCount": 0, "state": { "terminated": { "exitCode": 4, "reason": "Error" } } } ] }),
                State::Ended("its agent ended with exit code 4 (Error)".into()),
                "the agent could not begin",
            ),
        ];
        for (status, expected, why) in rows {
            assert_eq!(state(&pod(status)), expected, "{why}");
        }
    }

    #[test]
    fn a_missing_image_is_told_with_the_way_to_load_it() {
        let said = remedy("ErrImagePull: not found", "localhost/leakproof-agent:1", "kind-dev");
        assert!(said.contains("kind load image-archive agent.tar --name dev"), "{said}");
        assert_eq!(remedy("CreateContainerError: x", "i", "kind-dev"), "");
    }
}
