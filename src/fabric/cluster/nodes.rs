//! Which nodes take our pods: a scenario's node 1 is the first of them by name, and so on.

use k8s_openapi::api::core::v1::{Node, Taint};

use super::error::ClusterError;
use super::options::{Options, Toleration};
use crate::model::endpoint::NodeOrdinal;

/// The nodes of a cluster as far as pods are concerned, in order of name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nodes {
    /// Those that take our pods; at least one.
    taking: Vec<String>,
    /// The others.
    refusing: Vec<String>,
}

impl Nodes {
    /// Chooses among all nodes there are.
    ///
    /// # Errors
    /// Where none takes a pod of ours: says what is in the way at each.
    pub fn choose(all: &[Node], options: &Options) -> Result<Self, ClusterError> {
        let mut taking = Vec::new();
        let (mut refusing, mut obstacles) = (Vec::new(), Vec::new());
        for node in all {
            let name = node.metadata.name.clone().unwrap_or_default();
            match obstacle(node, options) {
                None => taking.push(name),
                Some(why) => {
                    obstacles.push(format!("`{name}` {why}"));
                    refusing.push(name);
                }
            }
        }
        taking.sort();
        refusing.sort();
        if taking.is_empty() {
            let why = if obstacles.is_empty() { "there is none".to_owned() } else { obstacles.join("; ") };
            return Err(ClusterError::NoNode { why });
        }
        Ok(Self { taking, refusing })
    }

    /// The node of that place; counting goes round where there are fewer.
    pub fn at(&self, ordinal: NodeOrdinal) -> &str {
        let place = usize::from(ordinal.0.get() - 1) % self.taking.len();
        self.taking.get(place).map_or("", String::as_str)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.taking.len()
    }

    /// Their names.
    pub fn names(&self) -> &[String] {
        &self.taking
    }

    /// The nodes that none of these places is on: what stands in for the outside must not share a node with a probe, since
    /// a node's own traffic to its own pods is never policed.
    pub fn spare(&self, used: impl Iterator<Item = NodeOrdinal>) -> Vec<&str> {
        let used: Vec<&str> = used.map(|ordinal| self.at(ordinal)).collect();
        // Those that take no pods first: they are never needed for one.
        let all = self.refusing.iter().chain(&self.taking).map(String::as_str);
        all.filter(|node| !used.contains(node)).collect()
    }
}

/// What keeps our pods from a node.
fn obstacle(node: &Node, options: &Options) -> Option<String> {
    let labels = node.metadata.labels.clone().unwrap_or_default();
    if let Some((key, value)) = options.node_selector.iter().find(|(key, value)| labels.get(*key) != Some(*value)) {
        return Some(format!("is not labelled {key}={value}"));
    }
    let spec = node.spec.as_ref()?;
    let taints = spec.taints.as_deref().unwrap_or_default();
    let hard = |taint: &&Taint| taint.effect == "NoSchedule" || taint.effect == "NoExecute";
    let tolerated = |taint: &Taint| options.tolerations.iter().any(|toleration| tolerates(toleration, taint));
    if let Some(taint) = taints.iter().filter(hard).find(|taint| !tolerated(taint)) {
        let value = taint.value.as_deref().filter(|value| !value.is_empty()).map(|value| format!("={value}"));
        return Some(format!("has the taint {}{}:{}", taint.key, value.unwrap_or_default(), taint.effect));
    }
    spec.unschedulable.unwrap_or_default().then(|| "is cordoned".to_owned())
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let key = toleration.key.as_ref().is_none_or(|key| *key == taint.key);
    let value = toleration.value.as_ref().is_none_or(|value| Some(value) == taint.value.as_ref());
    let effect = toleration.effect.as_ref().is_none_or(|effect| *effect == taint.effect);
    key && value && effect
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU8;

    use serde_json::json;

    use super::*;

    fn node(name: &str, spec: serde_json::Value) -> Node {
        serde_json::from_value(json!({ "metadata": { "name": name, "labels": { "disk": name } }, "spec": spec }))
            .unwrap()
    }

    fn cluster() -> Vec<Node> {
        let control =
            json!({ "taints": [ { "key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule" } ] });
        vec![
            node("w2", json!({})),
            node("control", control),
            node("w1", json!({})),
            node("w3", json!({ "unschedulable": true })),
        ]
    }

    #[test]
    fn workers_are_counted_by_name_and_round() {
        let nodes = Nodes::choose(&cluster(), &Options::default()).unwrap();
        assert_eq!(nodes.names(), ["w1", "w2"]);
        let at = |n| nodes.at(NodeOrdinal(NonZeroU8::new(n).unwrap())).to_owned();
        assert_eq!([at(1), at(2), at(3)], ["w1", "w2", "w1"]);
        let spare = |used: &[u8]| {
            let used = used.iter().map(|n| NodeOrdinal(NonZeroU8::new(*n).unwrap()));
            nodes.spare(used).into_iter().map(ToOwned::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(spare(&[1, 2]), ["control", "w3"]);
        assert_eq!(spare(&[1]), ["control", "w3", "w2"]);
    }

    #[test]
    fn options_open_and_close_nodes() {
        let toleration =
            Toleration { key: Some("node-role.kubernetes.io/control-plane".into()), ..Toleration::default() };
        let options = Options { tolerations: vec![toleration], ..Options::default() };
        assert_eq!(Nodes::choose(&cluster(), &options).unwrap().names(), ["control", "w1", "w2"]);
        let options = Options { node_selector: [("disk".into(), "w2".into())].into(), ..Options::default() };
        assert_eq!(Nodes::choose(&cluster(), &options).unwrap().names(), ["w2"]);
        let options = Options { node_selector: [("disk".into(), "w3".into())].into(), ..Options::default() };
        let error = Nodes::choose(&cluster(), &options).unwrap_err().to_string();
        assert!(error.contains("`w1` is not labelled disk=w3") && error.contains("`w3` is cordoned"), "{error}");
    }
}
