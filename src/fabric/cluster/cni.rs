//! Which network plugin a cluster has, as far as its DaemonSets tell.

use k8s_openapi::api::apps::v1::DaemonSet;

/// A network plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cni {
    /// Which one.
    pub name: Name,
    /// Its version, where its image's tag tells.
    pub version: Option<String>,
    /// The DaemonSet it was recognised by, `namespace/name`.
    pub daemon_set: String,
}

/// The plugins that are recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// Project Calico.
    Calico,
    /// Calico's policy over flannel's network.
    Canal,
    /// Cilium.
    Cilium,
    /// Antrea.
    Antrea,
    /// kube-router.
    KubeRouter,
    /// Kube-OVN.
    KubeOvn,
    /// Weave Net.
    Weave,
    /// flannel.
    Flannel,
    /// kind's own.
    Kindnet,
}

/// Whether a plugin enforces NetworkPolicy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enforcement {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// Some of its versions do.
    Depends,
}

impl Name {
    /// As its makers write it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Calico => "Calico",
            Self::Canal => "Canal",
            Self::Cilium => "Cilium",
            Self::Antrea => "Antrea",
            Self::KubeRouter => "kube-router",
            Self::KubeOvn => "Kube-OVN",
            Self::Weave => "Weave Net",
            Self::Flannel => "flannel",
            Self::Kindnet => "kindnet",
        }
    }

    /// Whether it enforces NetworkPolicy.
    pub fn enforces(self) -> Enforcement {
        match self {
            Self::Calico
            | Self::Canal
            | Self::Cilium
            | Self::Antrea
            | Self::KubeRouter
            | Self::KubeOvn
            | Self::Weave => Enforcement::Yes,
            Self::Flannel => Enforcement::No,
            // Since its version of late 2024.
            Self::Kindnet => Enforcement::Depends,
        }
    }
}

impl std::fmt::Display for Cni {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name.word())?;
        self.version.as_ref().map_or(Ok(()), |version| write!(f, " {version}"))
    }
}

/// DaemonSets by name, and the container whose image carries the version.
const KNOWN: [(&str, &str, Name); 9] = [
    ("calico-node", "calico-node", Name::Calico),
    ("canal", "calico-node", Name::Canal),
    ("cilium", "cilium-agent", Name::Cilium),
    ("antrea-agent", "antrea-agent", Name::Antrea),
    ("kube-router", "kube-router", Name::KubeRouter),
    ("kube-ovn-cni", "cni-server", Name::KubeOvn),
    ("weave-net", "weave", Name::Weave),
    ("kube-flannel-ds", "kube-flannel", Name::Flannel),
    ("kindnet", "kindnet-cni", Name::Kindnet),
];

/// The plugin, if one is recognised. Where several are (a policy engine over another's network), the one that enforces.
pub fn recognise(daemon_sets: &[DaemonSet]) -> Option<Cni> {
    let found = daemon_sets.iter().filter_map(|set| {
        let name = set.metadata.name.as_deref()?;
        let (_, container, cni) = KNOWN.iter().find(|(known, _, _)| *known == name)?;
        let pod = set.spec.template.spec.as_ref()?;
        let image = pod.containers.iter().find(|c| c.name == *container).or(pod.containers.first())?.image.as_deref();
        let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
        Some(Cni { name: *cni, version: image.and_then(version), daemon_set: format!("{namespace}/{name}") })
    });
    let rank = |cni: &Cni| match cni.name.enforces() {
        Enforcement::Yes => 0,
        Enforcement::Depends => 1,
        Enforcement::No => 2,
    };
    found.min_by_key(rank)
}

/// A DaemonSet whose pods carry packets or enforce policy on their node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The labels its pods have, as a selector.
    pub selector: String,
}

/// Where a node keeps what its network plugin is: whoever is given it looks like one.
const CNI_FOLDERS: [&str; 3] = ["/etc/cni", "/opt/cni", "/var/lib/cni"];
/// What carries a Service's packets to its pods, in most clusters.
const PROXY: &str = "kube-proxy";

/// The DaemonSets that carry packets or enforce policy: plugins by name, whatever else is given a node's plugin folders,
/// and kube-proxy.
pub fn engines(daemon_sets: &[DaemonSet]) -> Vec<Engine> {
    let found = daemon_sets.iter().filter_map(|set| {
        let name = set.metadata.name.as_deref()?;
        let spec = &set.spec;
        let volumes = spec.template.spec.as_ref().and_then(|pod| pod.volumes.as_deref()).unwrap_or_default();
        let paths = volumes.iter().filter_map(|volume| volume.host_path.as_ref()).map(|host| host.path.as_str());
        let mut paths = paths.filter(|path| CNI_FOLDERS.iter().any(|folder| path.starts_with(folder)));
        let known = KNOWN.iter().any(|(known, _, _)| *known == name) || name == PROXY;
        if !known && paths.next().is_none() {
            return None;
        }
        let labels = spec.selector.match_labels.iter().flatten();
        Some(Engine {
            namespace: set.metadata.namespace.clone().unwrap_or_default(),
            name: name.to_owned(),
            selector: labels.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(","),
        })
    });
    // Without a selector every pod of the namespace would be taken for one.
    found.filter(|engine| !engine.selector.is_empty()).collect()
}

/// The version in an image's tag: `quay.io/calico/node:v3.31.7` has 3.31.7.
fn version(image: &str) -> Option<String> {
    let tag = tag(image)?;
    let number = tag.strip_prefix('v').unwrap_or(tag);
    number.starts_with(|c: char| c.is_ascii_digit()).then(|| number.to_owned())
}

/// An image's tag: `v3.31.7`.
pub fn tag(image: &str) -> Option<&str> {
    let image = image.split('@').next().unwrap_or_default();
    image.rsplit_once(':').map(|(_, tag)| tag).filter(|tag| !tag.contains('/'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(namespace: &str, name: &str, container: &str, image: &str) -> DaemonSet {
        serde_json::from_value(json!({
            "metadata": { "namespace": namespace, "name": name },
            "spec": { "selector": {}, "template": { "spec": { "containers": [
                { "name": "sidecar", "image": "other:v9" }, { "name": container, "image": image } ] } } },
        }))
        .unwrap()
    }

    #[test]
    fn what_carries_packets_is_known_by_name_or_by_what_it_is_given() {
        let make = |name: &str, path: &str, labels: serde_json::Value| -> DaemonSet {
            serde_json::from_value(json!({
                "metadata": { "namespace": "kube-system", "name": name },
                "spec": { "selector": { "matchLabels": labels }, "template": { "spec": {
                    "containers": [], "volumes": [ { "name": "host", "hostPath": { "path": path } } ] } } },
            }))
            .unwrap()
        };
        let label = || json!({ "app": "it", "tier": "node" });
        let rows = [
            (make("calico-node", "/lib/modules", label()), true, "by its name"),
            (make("kube-proxy", "/lib/modules", label()), true, "what carries Services"),
            (make("novel-net", "/etc/cni/net.d", label()), true, "by the folder of plugins it is given"),
            (make("logs", "/var/log", label()), false, "something else"),
            (make("calico-node", "/etc/cni/net.d", json!({})), false, "one whose pods cannot be told from others"),
        ];
        for (set, expected, why) in rows {
            let found = engines(&[set]);
            assert_eq!(!found.is_empty(), expected, "{why}");
            assert!(found.iter().all(|engine| engine.selector == "app=it,tier=node"), "{why}");
        }
    }

    #[test]
    fn plugins_are_recognised_with_their_version() {
        let proxy = set("kube-system", "kube-proxy", "kube-proxy", "registry.k8s.io/kube-proxy:v1.35.4");
        let calico = set("calico-system", "calico-node", "calico-node", "quay.io/calico/node:v3.31.7");
        let flannel = set("kube-flannel", "kube-flannel-ds", "kube-flannel", "ghcr.io/flannel-io/flannel:v0.27.0");
        let digest = set("kube-system", "cilium", "cilium-agent", "quay.io/cilium/cilium:v1.18.1@sha256:12");
        let untagged = set("kube-system", "calico-node", "calico-node", "registry:5000/calico/node");
        let rows = [
            (vec![proxy.clone()], None, "none"),
            (vec![proxy, calico.clone()], Some("Calico 3.31.7"), "Calico beside kube-proxy"),
            (vec![flannel, calico], Some("Calico 3.31.7"), "the one that enforces counts"),
            (vec![digest], Some("Cilium 1.18.1"), "a digest after the tag"),
            (vec![untagged], Some("Calico"), "a registry's port is no version"),
        ];
        for (sets, expected, why) in rows {
            assert_eq!(recognise(&sets).map(|cni| cni.to_string()).as_deref(), expected, "{why}");
        }
    }
}
