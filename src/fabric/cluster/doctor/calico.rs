//! Calico: where it keeps its objects, how it enforces, and on which nodes.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{ConfigMap, Container, Pod};
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::Value;

use super::felix::{Metrics, Told};
use crate::fabric::cluster::cni::Cni;
use crate::fabric::cluster::pages;
use crate::fabric::cluster::server::{Place, Server};
use crate::model::checkup::Check;

/// What is known of a cluster's Calico.
pub(in crate::fabric::cluster) struct Look {
    pub(super) flavour: Flavour,
    /// `iptables`, `nftables`, `eBPF`, in words where it is not certain.
    pub(super) dataplane: String,
    /// The `nftablesMode` that Felix is told, where it is told one.
    pub(super) nftables_mode: Option<String>,
    /// kube-proxy's mode, where it can be read.
    pub(super) proxy: Option<String>,
    pub(in crate::fabric::cluster) metrics: Metrics,
    pub(in crate::fabric::cluster) pods: Vec<NodePod>,
}

/// How Calico's own kinds are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::fabric::cluster) enum Flavour {
    /// `projectcalico.org/v3` by a server of Calico's own.
    Aggregated,
    /// The same, but that server does not answer.
    AggregatedDown,
    /// `projectcalico.org/v3` as custom resources.
    Native,
    /// Only the datastore's `crd.projectcalico.org/v1`.
    CrdOnly,
    /// None of them.
    Neither,
}

/// A calico-node pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::fabric::cluster) struct NodePod {
    pub(in crate::fabric::cluster) place: Place,
    pub(in crate::fabric::cluster) node: String,
    pub(in crate::fabric::cluster) version: Option<String>,
    pub(in crate::fabric::cluster) ready: Ready,
}

/// Whether a pod is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::fabric::cluster) enum Ready {
    Yes,
    No,
}

impl Flavour {
    /// The group and version to speak to Calico in; none where there is none.
    pub(super) fn group(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Aggregated | Self::Native => Some(("projectcalico.org", "v3")),
            Self::AggregatedDown | Self::CrdOnly => Some(("crd.projectcalico.org", "v1")),
            Self::Neither => None,
        }
    }

    /// As a fact.
    pub(super) fn fact(self) -> &'static str {
        match self {
            Self::Aggregated => "projectcalico.org/v3 by APIService",
            Self::AggregatedDown => "projectcalico.org/v3 by APIService, which is not available",
            Self::Native => "projectcalico.org/v3 by CRD",
            Self::CrdOnly => "crd.projectcalico.org/v1 only",
            Self::Neither => "none",
        }
    }

    fn check(self) -> Check {
        let says = format!("datastore: {}", self.fact());
        match self {
            Self::Aggregated | Self::Native => Check::fine(says),
            Self::AggregatedDown => Check::warning(says).advice("look at the pods of calico-apiserver"),
            Self::CrdOnly => Check::note(says).advice(
                "scenarios can hold Calico's kinds as crd.projectcalico.org/v1 only, which nobody checks or completes",
            ),
            Self::Neither => Check::note(says),
        }
    }

    /// Read off the API services there are.
    fn of(services: &[APIService]) -> Self {
        let find = |name: &str| services.iter().find(|one| one.metadata.name.as_deref() == Some(name));
        let Some(v3) = find("v3.projectcalico.org") else {
            return if find("v1.crd.projectcalico.org").is_some() { Self::CrdOnly } else { Self::Neither };
        };
        if v3.spec.as_ref().is_none_or(|spec| spec.service.is_none()) {
            return Self::Native;
        }
        let conditions = v3.status.as_ref().and_then(|status| status.conditions.as_ref());
        let available = conditions.into_iter().flatten().any(|one| one.type_ == "Available" && one.status == "True");
        if available { Self::Aggregated } else { Self::AggregatedDown }
    }
}

/// Looks at it. What cannot be read is taken for not being there, and said so.
pub(in crate::fabric::cluster) async fn look(server: &Server, cni: &Cni) -> Look {
    let services: Api<APIService> = Api::all(server.client());
    let services = pages::all(&services, &ListParams::default()).await;
    let flavour = services.map_or(Flavour::Neither, |all| Flavour::of(&all));
    let felix = match flavour.group() {
        Some((group, version)) => object(server, group, version, "FelixConfiguration", "felixconfigurations").await,
        None => None,
    };
    let installation = object(server, "operator.tigera.io", "v1", "Installation", "installations").await;
    let proxy: Api<ConfigMap> = Api::namespaced(server.client(), "kube-system");
    let proxy = proxy.get("kube-proxy").await.ok().and_then(|map| proxy_mode(&map));
    // The DaemonSet is called as its pods are labelled: `calico-node`, or `canal`.
    let (namespace, name) = cni.daemon_set.split_once('/').unwrap_or(("kube-system", "calico-node"));
    let pods: Api<Pod> = Api::namespaced(server.client(), namespace);
    let labelled = ListParams::default().labels(&format!("k8s-app={name}"));
    let pods = pages::all(&pods, &labelled).await.unwrap_or_default();
    let told = Told {
        stored: felix.as_ref(),
        installation: installation.as_ref(),
        container: pods.first().and_then(calico_node),
    };
    Look {
        flavour,
        dataplane: told.dataplane(proxy.as_deref(), cni.version.as_deref()),
        nftables_mode: told.nftables_mode().map(ToOwned::to_owned),
        proxy,
        metrics: told.metrics(),
        pods: pods.iter().map(node_pod).collect(),
    }
}

fn calico_node(pod: &Pod) -> Option<&Container> {
    pod.spec.as_ref()?.containers.iter().find(|one| one.name == "calico-node")
}

/// The object called `default` of a kind.
async fn object(server: &Server, group: &str, version: &str, kind: &str, plural: &str) -> Option<Value> {
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
    let api: Api<DynamicObject> = Api::all_with(server.client(), &resource);
    let found = api.get("default").await.ok()?;
    serde_json::to_value(found).ok()
}

fn proxy_mode(map: &ConfigMap) -> Option<String> {
    let config = map.data.as_ref()?.get("config.conf")?;
    let mode = config.lines().find_map(|line| line.trim().strip_prefix("mode:"))?.trim().trim_matches('"');
    Some(if mode.is_empty() { "iptables".to_owned() } else { mode.to_owned() })
}

fn node_pod(pod: &Pod) -> NodePod {
    let spec = pod.spec.as_ref();
    let image = calico_node(pod).and_then(|container| container.image.as_deref()).unwrap_or_default();
    let tag = image.split('@').next().and_then(|image| image.rsplit_once(':')).map(|(_, tag)| tag);
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready = conditions.into_iter().flatten().any(|one| one.type_ == "Ready" && one.status == "True");
    NodePod {
        place: Place { namespace: pod.metadata.namespace.clone(), name: pod.metadata.name.clone().unwrap_or_default() },
        node: spec.and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
        version: tag.filter(|tag| !tag.contains('/')).map(|tag| tag.trim_start_matches('v').to_owned()),
        ready: if ready { Ready::Yes } else { Ready::No },
    }
}

impl Look {
    /// What is to be said of it.
    pub(super) fn checks(&self, cni: &Cni) -> Vec<Check> {
        let mut checks = vec![self.flavour.check(), Check::fine(format!("dataplane: {}", self.dataplane))];
        let nftables = self.dataplane.starts_with("nftables");
        if nftables && self.proxy.as_deref().is_some_and(|mode| mode != "nftables") {
            let mode = self.proxy.as_deref().unwrap_or_default();
            checks.push(
                Check::warning(format!(
                    "Calico's nftables dataplane needs kube-proxy in nftables mode; its mode is {mode}"
                ))
                .advice("Services may bypass policy, or not work at all"),
            );
        }
        let unready: Vec<&str> =
            self.pods.iter().filter(|pod| pod.ready == Ready::No).map(|pod| pod.node.as_str()).collect();
        if self.pods.is_empty() {
            checks.push(Check::warning("no calico-node pod can be seen"));
        } else if unready.is_empty() {
            checks.push(Check::fine(format!("{} calico-node pods, all ready", self.pods.len())));
        } else {
            checks.push(
                Check::warning(format!("calico-node is not ready on {}", unready.join(", ")))
                    .advice("what it enforced before stays in force there; what changes does not come into force"),
            );
        }
        let versions: BTreeSet<&str> = self.pods.iter().filter_map(|pod| pod.version.as_deref()).collect();
        if versions.len() > 1 {
            let list = versions.into_iter().collect::<Vec<_>>().join(", ");
            checks.push(
                Check::warning(format!("nodes run different versions of Calico: {list}"))
                    .advice("an upgrade is under way, or one has stopped half-way"),
            );
        } else if let (Some(running), Some(wanted)) = (versions.first(), cni.version.as_deref())
            && *running != wanted
        {
            checks.push(Check::warning(format!("the DaemonSet asks for {wanted}, and its pods still run {running}")));
        }
        checks
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fabric::cluster::cni::Name;
    use crate::model::checkup::State;

    fn service(name: &str, by: Option<&str>, available: &str) -> APIService {
        let service = by.map(|name| json!({ "name": name, "namespace": "calico-system" }));
        serde_json::from_value(json!({
            "metadata": { "name": name },
            "spec": { "groupPriorityMinimum": 1, "versionPriority": 1, "service": service },
            "status": { "conditions": [ { "type": "Available", "status": available } ] },
        }))
        .unwrap()
    }

    #[test]
    fn the_flavour_is_read_off_who_serves_the_kinds() {
        let crd = || service("v1.crd.projectcalico.org", None, "True");
        let rows = [
            (
                vec![crd(), service("v3.projectcalico.org", Some("calico-api"), "True")],
                Flavour::Aggregated,
                "its server",
            ),
            (
                vec![crd(), service("v3.projectcalico.org", Some("calico-api"), "False")],
                Flavour::AggregatedDown,
                "its server is down",
            ),
            (vec![crd(), service("v3.projectcalico.org", None, "True")], Flavour::Native, "custom resources"),
            (vec![crd()], Flavour::CrdOnly, "an install from the manifest"),
            (vec![], Flavour::Neither, "no Calico"),
        ];
        for (services, flavour, why) in rows {
            assert_eq!(Flavour::of(&services), flavour, "{why}");
        }
    }

    #[test]
    fn the_mode_of_kube_proxy_is_in_its_config_map() {
        let map =
            |text: &str| -> ConfigMap { serde_json::from_value(json!({ "data": { "config.conf": text } })).unwrap() };
        assert_eq!(proxy_mode(&map("a: b\nmode: \"nftables\"\n")).as_deref(), Some("nftables"));
        assert_eq!(proxy_mode(&map("mode: \"\"\n")).as_deref(), Some("iptables"), "the default");
    }

    #[test]
    fn what_does_not_fit_together_is_a_warning() {
        let pod = |node: &str, version: &str, ready| NodePod {
            place: Place::inside("kube-system", &format!("calico-node-{node}")),
            node: node.into(),
            version: Some(version.into()),
            ready,
        };
        let look = |pods: Vec<NodePod>, dataplane: &str, proxy: &str| Look {
            flavour: Flavour::CrdOnly,
            dataplane: dataplane.into(),
            nftables_mode: None,
            proxy: Some(proxy.into()),
            metrics: Metrics::Off,
            pods,
        };
        let same = || vec![pod("a", "3.31.7", Ready::Yes), pod("b", "3.31.7", Ready::Yes)];
        let rows = [
            (look(same(), "iptables", "iptables"), None, "all is well"),
            (look(same(), "nftables", "iptables"), Some("needs kube-proxy in nftables mode"), "the dataplanes differ"),
            (look(vec![], "iptables", "iptables"), Some("no calico-node"), "no pod"),
            (
                look(vec![pod("a", "3.31.7", Ready::No), pod("b", "3.31.7", Ready::Yes)], "iptables", "iptables"),
                Some("not ready on a"),
                "one is not ready",
            ),
            (
                look(vec![pod("a", "3.31.7", Ready::Yes), pod("b", "3.32.1", Ready::Yes)], "iptables", "iptables"),
                Some("different versions of Calico: 3.31.7, 3.32.1"),
                "half-way through an upgrade",
            ),
            (
                look(vec![pod("a", "3.30.1", Ready::Yes)], "iptables", "iptables"),
                Some("asks for 3.31.7, and its pods still run 3.30.1"),
                "before the roll-out",
            ),
        ];
        let cni =
            Cni { name: Name::Calico, version: Some("3.31.7".into()), daemon_set: "kube-system/calico-node".into() };
        for (look, expected, why) in rows {
            let warnings: Vec<String> =
                look.checks(&cni).into_iter().filter(|c| c.state >= State::Warning).map(|c| c.says).collect();
            match expected {
                None => assert_eq!(warnings, [] as [String; 0], "{why}"),
                Some(text) => assert!(warnings.iter().any(|says| says.contains(text)), "{why}: {warnings:?}"),
            }
        }
    }
}
