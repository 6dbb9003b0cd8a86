//! Nodes in words: ready or not, with a network or not, cordoned, restarted.

use k8s_openapi::api::core::v1::{Node, NodeCondition};

use super::follow::Reader;
use crate::fabric::Happened;
use crate::model::happening::About;
use crate::model::moment::Moment;

/// All nodes.
pub(super) struct Nodes;

/// What of a node is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    name: String,
    ready: Condition,
    /// That its network is unavailable: Calico says so while it is down on a node.
    no_network: Condition,
    cordoned: bool,
    kubelet: String,
    boot: String,
}

/// A condition of a node, as it says itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Condition {
    /// `True`, `False`, `Unknown`; empty where it is not told.
    status: String,
    reason: String,
    stamped: Option<String>,
}

impl Condition {
    fn of(conditions: &[NodeCondition], name: &str) -> Self {
        conditions.iter().find(|condition| condition.type_ == name).map_or_else(Self::default, |found| Self {
            status: found.status.clone(),
            reason: found.reason.clone().unwrap_or_default(),
            stamped: found.last_transition_time.as_ref().map(|time| time.0.to_string()),
        })
    }

    fn is(&self) -> bool {
        self.status == "True"
    }

    fn why(&self) -> String {
        if self.reason.is_empty() { self.status.clone() } else { format!("{} ({})", self.status, self.reason) }
    }
}

impl Reader for Nodes {
    type Object = Node;
    type Facts = Facts;

    fn read(&self, node: &Node) -> Option<Facts> {
        let status = node.status.clone().unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        let info = status.node_info.unwrap_or_default();
        Some(Facts {
            name: node.metadata.name.clone()?,
            ready: Condition::of(&conditions, "Ready"),
            no_network: Condition::of(&conditions, "NetworkUnavailable"),
            cordoned: node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or_default(),
            kubelet: info.kubelet_version,
            boot: info.boot_id,
        })
    }

    fn tell(&mut self, before: Option<&Facts>, after: Option<&Facts>, at: Moment) -> Vec<Happened> {
        let Some(name) = after.or(before).map(|facts| facts.name.as_str()) else { return Vec::new() };
        let about = |subject: String, what: String| Happened {
            node: Some(name.to_owned()),
            ..Happened::new(at, About::Node, subject, what)
        };
        let told = |what: String| about(format!("node {name}"), what);
        let (before, after) = match (before, after) {
            (Some(before), Some(after)) => (before, after),
            (None, Some(after)) => return vec![told(format!("joined; ready: {}", after.ready.why()))],
            (Some(_), None) => return vec![told("left the cluster".into()).beginning("gone")],
            (None, None) => return Vec::new(),
        };
        let mut all = Vec::new();
        if before.boot != after.boot && !before.boot.is_empty() {
            all.push(told("was started anew".into()));
        }
        if before.kubelet != after.kubelet {
            all.push(told(format!("kubelet {} -> {}", before.kubelet, after.kubelet)));
        }
        if before.cordoned != after.cordoned {
            all.push(told(if after.cordoned { "was cordoned" } else { "was uncordoned" }.into()));
        }
        // A node that is unknown now and was not ready before is no better and no worse.
        if before.ready.status != after.ready.status {
            let happened = match after.ready.is() {
                true => told("is ready".into()).ending(),
                false => told(format!("is not ready: {}", after.ready.why())).beginning("not ready"),
            };
            all.push(Happened { stamped: after.ready.stamped.clone(), ..happened });
        }
        if before.no_network.status != after.no_network.status {
            let network = |what: String| about(format!("the network of node {name}"), what);
            let happened = match after.no_network.is() {
                true => {
                    network(format!("is said to be unavailable ({})", after.no_network.reason)).beginning("unavailable")
                }
                false => network("is said to be available".into()).ending(),
            };
            all.push(Happened { stamped: after.no_network.stamped.clone(), ..happened });
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::happening::Turn;

    fn node(ready: &str, change: Value) -> Facts {
        let mut node = json!({
            "metadata": { "name": "worker" }, "spec": {},
            "status": {
                "conditions": [
                    { "type": "Ready", "status": ready, "reason": "NodeStatus", "lastTransitionTime": "2026-11-27T04:00:01Z" },
                    { "type": "NetworkUnavailable", "status": "False", "reason": "CalicoIsUp" },
                ],
                "nodeInfo": { "architecture": "", "bootID": "one", "containerRuntimeVersion": "", "kernelVersion": "",
                    "kubeProxyVersion": "", "kubeletVersion": "v1.35.4", "machineID": "", "operatingSystem": "",
                    "osImage": "", "systemUUID": "" },
            },
        });
        for (path, value) in change.as_object().into_iter().flatten() {
            *node.pointer_mut(path).unwrap() = value.clone();
        }
        Nodes.read(&serde_json::from_value(node).unwrap()).unwrap()
    }

    fn told(before: Option<&Facts>, after: Option<&Facts>) -> Vec<String> {
        let all = Nodes.tell(before, after, Moment(1));
        assert!(all.iter().all(|happened| happened.node.as_deref() == Some("worker")));
        all.iter().map(|happened| format!("{}: {}", happened.subject, happened.what)).collect()
    }

    #[test]
    fn what_changes_of_a_node_is_told_and_nothing_else() {
        let well = node("True", json!({}));
        let table: [(Facts, &[&str], &str); 7] = [
            (well.clone(), &[], "nothing changed"),
            (node("False", json!({})), &["node worker: is not ready: False (NodeStatus)"], "not ready"),
            (node("Unknown", json!({})), &["node worker: is not ready: Unknown (NodeStatus)"], "not heard of"),
            (node("True", json!({ "/spec": { "unschedulable": true } })), &["node worker: was cordoned"], "cordoned"),
            (
                node("True", json!({ "/status/nodeInfo/kubeletVersion": "v1.36.0" })),
                &["node worker: kubelet v1.35.4 -> v1.36.0"],
                "another kubelet",
            ),
            (node("True", json!({ "/status/nodeInfo/bootID": "two" })), &["node worker: was started anew"], "a reboot"),
            (
                node(
                    "True",
                    json!({ "/status/conditions/1/status": "True", "/status/conditions/1/reason": "CalicoIsDown" }),
                ),
                &["the network of node worker: is said to be unavailable (CalicoIsDown)"],
                "Calico is down there",
            ),
        ];
        for (after, expected, why) in table {
            assert_eq!(told(Some(&well), Some(&after)), expected, "{why}");
        }
        assert_eq!(told(None, Some(&well)), ["node worker: joined; ready: True (NodeStatus)"]);
        assert_eq!(told(Some(&well), None), ["node worker: left the cluster"]);
    }

    #[test]
    fn being_ready_again_ends_what_not_being_ready_began() {
        let (well, ill) = (node("True", json!({})), node("False", json!({})));
        let began = Nodes.tell(Some(&well), Some(&ill), Moment(1));
        assert_eq!(began[0].turn, Turn::Begins { state: "not ready".into() });
        assert_eq!(began[0].stamped.as_deref(), Some("2026-11-27T04:00:01Z"));
        assert_eq!(Nodes.tell(Some(&ill), Some(&well), Moment(2))[0].turn, Turn::Ends);
    }
}
