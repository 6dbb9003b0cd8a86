//! What the API server holds, as a world the lab can enforce: pods with addresses, namespaces, policies.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use leakproof::model::endpoint::{Addresses, EndpointId, NodeOrdinal};
use leakproof::model::labels::Labels;
use leakproof::model::port::{Port, Protocol, ServedPort};
use leakproof::scenario::policy_from_json;
use leakproof::scenario::world::{self, World};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;

use super::Failure;

/// Mirrors of the cluster's objects.
pub struct Objects {
    pods: Store<Pod>,
    namespaces: Store<Namespace>,
    policies: Store<NetworkPolicy>,
    /// Told of every change.
    pub changed: Arc<Notify>,
}

/// A world, and the names its pods go by.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Seen {
    pub world: World,
    /// Pods by name; the same name may be in several namespaces.
    pub names: BTreeMap<String, Vec<EndpointId>>,
}

impl Objects {
    /// Mirrors what is there, and what changes from now on. An API server that goes away for a while is waited for.
    pub async fn watch(client: Client) -> Result<Self, Failure> {
        let changed = Arc::new(Notify::new());
        let objects = Self {
            pods: mirror(Api::all(client.clone()), &changed),
            namespaces: mirror(Api::all(client.clone()), &changed),
            policies: mirror(Api::all(client), &changed),
            changed,
        };
        objects.pods.wait_until_ready().await?;
        objects.namespaces.wait_until_ready().await?;
        objects.policies.wait_until_ready().await?;
        Ok(objects)
    }

    /// The world as it is by now. What cannot be enforced is said, and left out.
    pub fn world(&self, nodes: &BTreeMap<String, NodeOrdinal>) -> Seen {
        let mut seen = Seen::default();
        for namespace in self.namespaces.state() {
            seen.world.namespaces.insert(namespace.name_any(), labels(namespace.labels()));
        }
        let mut pods = self.pods.state();
        pods.sort_by_key(|pod| (pod.namespace(), pod.name_any()));
        for found in pods.iter().filter_map(|pod| Some((pod.name_any(), read(pod, nodes)?))) {
            let (name, pod) = found;
            let id = EndpointId(u32::try_from(seen.world.pods.len()).unwrap_or(u32::MAX));
            seen.world.pods.insert(id, pod);
            seen.names.entry(name).or_default().push(id);
        }
        let mut policies = self.policies.state();
        policies.sort_by_key(|policy| (policy.namespace(), policy.name_any()));
        for policy in policies {
            let origin = format!("{}/{}", policy.namespace().unwrap_or_default(), policy.name_any());
            match serde_json::to_value(&*policy).map(|value| policy_from_json(&value, &origin)) {
                Ok(Ok((policy, _))) => seen.world.policies.push(policy),
                Ok(Err(refusal)) => eprintln!(
                    "policy-engine: `{origin}` is not enforced: {}",
                    refusal.render(leakproof::scenario::diagnostic::Colour::Never)
                ),
                Err(error) => eprintln!("policy-engine: `{origin}` is not enforced: {error}"),
            }
        }
        seen
    }
}

fn mirror<K>(api: Api<K>, changed: &Arc<Notify>) -> Store<K>
where
    K: kube::Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
{
    let (store, writer) = reflector::store();
    let events = reflector::reflector(writer, watcher(api, watcher::Config::default())).default_backoff();
    let changed = Arc::clone(changed);
    tokio::spawn(events.for_each(move |event| {
        match event {
            Ok(_) => changed.notify_one(),
            Err(error) => eprintln!("policy-engine: watching {}: {error}", K::kind(&())),
        }
        std::future::ready(())
    }));
    store
}

/// A pod that can be filtered: it has addresses of its own on a node of ours, and has not ended.
fn read(pod: &Pod, nodes: &BTreeMap<String, NodeOrdinal>) -> Option<world::Pod> {
    let (spec, status) = (pod.spec.as_ref()?, pod.status.as_ref()?);
    let ended = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    if ended || spec.host_network == Some(true) {
        return None;
    }
    let mut addresses = Addresses::default();
    for text in status.pod_ips.iter().flatten().map(|address| &address.ip) {
        match text.parse() {
            Ok(IpAddr::V4(v4)) => addresses.v4 = Some(v4),
            Ok(IpAddr::V6(v6)) => addresses.v6 = Some(v6),
            Err(_) => {}
        }
    }
    addresses.iter().next()?;
    let ports = spec.containers.iter().flat_map(|container| container.ports.iter().flatten());
    let serves = ports.filter_map(|port| {
        let number = u16::try_from(port.container_port).ok().and_then(NonZeroU16::new)?;
        let protocol = match port.protocol.as_deref() {
            Some("UDP") => Protocol::Udp,
            Some("SCTP") => Protocol::Sctp,
            Some(_) | None => Protocol::Tcp,
        };
        Some(ServedPort { port: Port { number, protocol }, name: port.name.clone() })
    });
    Some(world::Pod {
        namespace: pod.namespace()?,
        labels: labels(pod.labels()),
        serves: serves.collect(),
        node: *nodes.get(spec.node_name.as_deref()?)?,
        addresses,
    })
}

fn labels(pairs: &BTreeMap<String, String>) -> Labels {
    pairs.clone().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(change: impl FnOnce(&mut serde_json::Value)) -> Option<world::Pod> {
        let mut pod = json!({
            "metadata": { "name": "db", "namespace": "shop", "labels": { "app": "db" } },
            "spec": {
                "nodeName": "worker",
                "containers": [{ "name": "a", "ports": [
                    { "containerPort": 5432, "name": "sql" }, { "containerPort": 53, "protocol": "UDP" },
                ] }],
            },
            "status": { "phase": "Running", "podIPs": [{ "ip": "192.168.1.7" }, { "ip": "fd00::7" }] },
        });
        change(&mut pod);
        let nodes = BTreeMap::from([("worker".to_owned(), NodeOrdinal(std::num::NonZeroU8::MIN))]);
        read(&serde_json::from_value(pod).unwrap(), &nodes)
    }

    #[test]
    fn a_pod_is_what_policies_see_of_it() {
        let read = pod(|_| ()).unwrap();
        assert_eq!((read.namespace.as_str(), read.labels.get("app")), ("shop", Some("db")));
        let serves: Vec<_> = read.serves.iter().map(ToString::to_string).collect();
        assert_eq!(serves, ["sql=5432/tcp", "53/udp"]);
        let addresses: Vec<_> = read.addresses.iter().map(|address| address.to_string()).collect();
        assert_eq!(addresses, ["192.168.1.7", "fd00::7"]);
    }

    #[test]
    fn pods_that_cannot_be_filtered_are_left_out() {
        type Change = fn(&mut serde_json::Value);
        let rows: [(Change, &str); 5] = [
            (|pod| pod["status"]["podIPs"] = json!([]), "no address yet"),
            (|pod| pod["status"]["phase"] = json!("Succeeded"), "its address may be another's by now"),
            (|pod| pod["spec"]["hostNetwork"] = json!(true), "the node's own network"),
            (|pod| pod["spec"]["nodeName"] = json!("elsewhere"), "on no node of ours"),
            (|pod| pod["spec"]["nodeName"] = json!(null), "on no node yet"),
        ];
        for (change, why) in rows {
            assert_eq!(pod(change), None, "{why}");
        }
    }
}
