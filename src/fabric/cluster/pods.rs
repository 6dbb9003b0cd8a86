//! A probe pod's manifest. It passes Pod Security `restricted`: no privilege, no capability, a root file system it cannot
//! write, no token of a service account.
//!
//! A stand-in for something outside the cluster does not: it has the network of its node, where no policy selects it, and
//! so it stands in a namespace of the run's own.

use serde_json::{Value, json};

use super::options::Options;

use crate::model::port::Protocol;
use crate::model::port::ServedPort;
use crate::scenario::world::{Outside, Pod};

/// The environment variable that an agent reads its token from.
const TOKEN: &str = "LEAKPROOF_AGENT_TOKEN";
/// The container's name.
pub(super) const CONTAINER: &str = "agent";
/// The agent's own user; any but root would do.
const USER: u32 = 65_532;
/// Ports below this need a privilege, unless the pod's own network namespace asks for none.
const PRIVILEGED: u16 = 1024;
/// The first port tried for the control socket. It is bound to loopback, and the pod's own ports to its addresses; they
/// are kept apart all the same, since a person looking inside should not have to think about it.
const CONTROL: u16 = 41_000;
/// An agent ends when told so, and has nothing to save.
const GRACE_SECONDS: u32 = 2;

/// What a pod is made of, apart from what the scenario says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Make<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// The node it is to run on.
    pub(super) node: &'a str,
    /// What its agent asks of whoever opens a control stream.
    pub(super) token: &'a str,
}

/// The port of a control socket beside these served ports. Pods may all have the same; what has the network of a node
/// starts from a place of its own, since the node's loopback is shared by whoever else is there.
pub(super) fn control_port(serves: &[ServedPort], from: u16) -> u16 {
    let served = |port: u16| serves.iter().any(|served| served.port.number.get() == port);
    (CONTROL.saturating_add(from)..u16::MAX).find(|port| !served(*port)).unwrap_or(CONTROL)
}

fn is_low(serves: &[ServedPort]) -> bool {
    serves.iter().any(|served| served.port.number.get() < PRIVILEGED)
}

/// The served ports, divided among containers: within one container each name is there once, as the API server demands.
/// So there is one container, unless a name stands for several ports.
fn ports_by_container(serves: &[ServedPort]) -> Vec<Vec<&ServedPort>> {
    let mut containers = vec![Vec::new()];
    for served in serves {
        let has_name = |ports: &&mut Vec<&ServedPort>| {
            served.name.is_some() && ports.iter().any(|other: &&ServedPort| other.name == served.name)
        };
        match containers.iter_mut().find(|ports| !has_name(ports)) {
            Some(ports) => ports.push(served),
            None => containers.push(vec![served]),
        }
    }
    containers
}

fn container_port(served: &ServedPort) -> Value {
    let protocol = match served.port.protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Sctp => "SCTP",
    };
    let mut port = json!({ "containerPort": served.port.number, "protocol": protocol });
    if let Some(name) = &served.name {
        port["name"] = json!(name);
    }
    port
}

/// The containers of a probe pod. The agent of the first one listens on every port of the pod: containers of a pod share
/// its network. Further ones only declare ports. In them an agent waits at a control port that nobody opens, so that the
/// pod is ready and needs no second image.
fn containers(pod: &Pod, make: &Make<'_>, options: &Options) -> Vec<Value> {
    let mut control = control_port(&pod.serves, 0);
    let mut containers = Vec::new();
    for (place, ports) in ports_by_container(&pod.serves).into_iter().enumerate() {
        let name = if place == 0 { CONTAINER.to_owned() } else { format!("more-ports-{place}") };
        let mut container = json!({
            "name": name,
            "image": options.image,
            "imagePullPolicy": "IfNotPresent",
            "args": [ "--control", format!("tcp:127.0.0.1:{control}") ],
            "env": [ { "name": TOKEN, "value": make.token } ],
            "ports": ports.into_iter().map(container_port).collect::<Vec<_>>(),
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "capabilities": { "drop": [ "ALL" ] },
                "readOnlyRootFilesystem": true,
            },
        });
        if !options.requests.is_empty() {
            container["resources"] = json!({ "requests": options.requests });
        }
        containers.push(container);
        control = control_port(&pod.serves, control.saturating_sub(CONTROL).saturating_add(1));
    }
    containers
}

/// The manifest of a probe pod, without the run's marks.
pub(super) fn manifest(pod: &Pod, make: &Make<'_>, options: &Options) -> Value {
    let mut security = json!({
        "runAsNonRoot": true, "runAsUser": USER, "runAsGroup": USER,
        "seccompProfile": { "type": "RuntimeDefault" },
    });
    if is_low(&pod.serves) {
        // One of the sysctls that Kubernetes calls safe: it concerns the pod's own network namespace alone.
        security["sysctls"] = json!([ { "name": "net.ipv4.ip_unprivileged_port_start", "value": "0" } ]);
    }
    let mut spec = json!({
        "affinity": on_node(make.node),
        // An agent started anew has lost its records, so it must not be.
        "restartPolicy": "Never",
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": security,
        "containers": containers(pod, make, options),
    });
    if !options.tolerations.is_empty() {
        spec["tolerations"] = options.tolerations.iter().map(super::options::Toleration::manifest).collect();
    }
    if !options.pull_secrets.is_empty() {
        spec["imagePullSecrets"] = options.pull_secrets.iter().map(|secret| json!({ "name": secret.name })).collect();
    }
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": make.name, "namespace": pod.namespace, "labels": pod.labels },
        "spec": spec,
    })
}

/// The manifest of a stand-in for something outside, without the run's marks: an agent in the network of a node that no
/// probe pod runs on, whatever its taints. `control` is where it is reached.
pub(super) fn outside(outside: &Outside, make: &Make<'_>, namespace: &str, control: u16, options: &Options) -> Value {
    let mut container = json!({
        "name": CONTAINER,
        "image": options.image,
        "imagePullPolicy": "IfNotPresent",
        "args": [ "--control", format!("tcp:127.0.0.1:{control}") ],
        "env": [ { "name": TOKEN, "value": make.token } ],
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": { "drop": [ "ALL" ] },
            "readOnlyRootFilesystem": true,
        },
    });
    // A node's network namespace keeps its low ports for root.
    let user = if is_low(&outside.serves) {
        container["securityContext"]["capabilities"]["add"] = json!(["NET_BIND_SERVICE"]);
        0
    } else {
        USER
    };
    let mut spec = json!({
        "affinity": on_node(make.node),
        "hostNetwork": true,
        "restartPolicy": "Never",
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "tolerations": [ { "operator": "Exists" } ],
        "securityContext": { "runAsUser": user, "runAsGroup": user, "seccompProfile": { "type": "RuntimeDefault" } },
        "containers": [ container ],
    });
    if !options.pull_secrets.is_empty() {
        spec["imagePullSecrets"] = options.pull_secrets.iter().map(|secret| json!({ "name": secret.name })).collect();
    }
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": make.name, "namespace": namespace },
        "spec": spec,
    })
}

/// Affinity and not `nodeName`: the scheduler then still says why a node does not take it.
fn on_node(node: &str) -> Value {
    json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [
        { "matchFields": [ { "key": "metadata.name", "operator": "In", "values": [ node ] } ] },
    ] } } })
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU8;

    use super::*;
    use crate::model::endpoint::{Addresses, NodeOrdinal};
    use crate::model::labels::Labels;
    use crate::model::port::ServedPort;

    fn pod(serves: &[&str]) -> Pod {
        let served = |text: &&str| {
            let (name, port) = text.split_once('=').map_or((None, *text), |(name, port)| (Some(name.to_owned()), port));
            ServedPort { port: port.parse().unwrap(), name }
        };
        Pod {
            namespace: "shop".into(),
            labels: Labels::from_iter([("app".to_owned(), "db".to_owned())]),
            serves: serves.iter().map(served).collect(),
            node: NodeOrdinal(NonZeroU8::MIN),
            addresses: Addresses::default(),
        }
    }

    fn made(serves: &[&str], options: &Options) -> Value {
        manifest(&pod(serves), &Make { name: "db", node: "worker", token: "secret" }, options)
    }

    #[test]
    fn a_pod_asks_for_nothing_that_restricted_refuses() {
        let pod = made(&["5432/tcp"], &Options::default());
        let spec = &pod["spec"];
        let container = &spec["containers"][0];
        // The controls of Pod Security Standards, "Restricted", one by one.
        assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
        assert_ne!(spec["securityContext"]["runAsUser"], 0);
        assert_eq!(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
        assert_eq!(container["securityContext"]["capabilities"], json!({ "drop": [ "ALL" ] }));
        for absent in ["hostNetwork", "hostPID", "hostIPC", "volumes"] {
            assert!(spec.get(absent).is_none(), "{absent}");
        }
        assert_eq!(spec["automountServiceAccountToken"], false);
        assert!(spec["securityContext"].get("sysctls").is_none(), "no port needs it");
    }

    #[test]
    fn low_ports_and_names_reach_the_manifest() {
        let pod = made(&["dns=53/udp", "9153/tcp"], &Options::default());
        assert_eq!(
            pod["spec"]["containers"][0]["ports"],
            json!([ { "containerPort": 53, "protocol": "UDP", "name": "dns" }, { "containerPort": 9153, "protocol": "TCP" } ]),
        );
        assert_eq!(pod["spec"]["securityContext"]["sysctls"][0]["name"], "net.ipv4.ip_unprivileged_port_start");
        assert_eq!(pod["metadata"]["labels"], json!({ "app": "db" }));
    }

    #[test]
    fn ports_of_one_name_are_declared_by_several_containers_that_are_made_alike() {
        let options = Options { requests: [("cpu".to_owned(), "10m".to_owned())].into(), ..Options::default() };
        let serves = ["http=8080/tcp", "http=8081/tcp", "http=41001/tcp", "web=80/tcp", "web=80/udp", "9000/tcp"];
        let pod = made(&serves, &options);
        let containers = pod["spec"]["containers"].as_array().unwrap();
        let told: Vec<(&str, &str, Vec<String>)> = containers
            .iter()
            .map(|container| {
                let ports = container["ports"].as_array().unwrap().iter();
                let ports =
                    ports.map(|port| format!("{}={}/{}", port["name"], port["containerPort"], port["protocol"]));
                let control = container["args"][1].as_str().unwrap();
                (container["name"].as_str().unwrap(), control, ports.map(|port| port.replace('"', "")).collect())
            })
            .collect();
        let ports = |ports: &[&str]| ports.iter().map(|port| (*port).to_owned()).collect::<Vec<_>>();
        // Each waits at a control port of its own, and none at a port that the pod serves.
        let expected = [
            ("agent", "tcp:127.0.0.1:41000", ports(&["http=8080/TCP", "web=80/TCP", "null=9000/TCP"])),
            ("more-ports-1", "tcp:127.0.0.1:41002", ports(&["http=8081/TCP", "web=80/UDP"])),
            ("more-ports-2", "tcp:127.0.0.1:41003", ports(&["http=41001/TCP"])),
        ];
        assert_eq!(told, expected);
        for container in containers {
            for same in ["image", "imagePullPolicy", "env", "securityContext", "resources"] {
                assert_eq!(container[same], containers[0][same], "{same}");
                assert!(!container[same].is_null(), "{same}");
            }
        }
    }

    #[test]
    fn the_control_port_is_none_that_the_pod_serves() {
        assert_eq!(control_port(&pod(&["8080/tcp"]).serves, 0), CONTROL);
        assert_eq!(control_port(&pod(&["41000/tcp", "41001/udp"]).serves, 0), CONTROL + 2);
        assert_eq!(control_port(&pod(&["41007/tcp"]).serves, 7), CONTROL + 8);
    }

    #[test]
    fn what_stands_in_for_the_outside_has_its_nodes_network_and_no_more_than_it_needs() {
        let made = |port: &str| {
            let outside = Outside { serves: pod(&[port]).serves, addresses: Addresses::default() };
            let make = Make { name: "internet", node: "control", token: "secret" };
            super::outside(&outside, &make, "leakproof-1", 41_007, &Options::default())["spec"].clone()
        };
        let high = made("8080/tcp");
        assert_eq!((&high["hostNetwork"], &high["securityContext"]["runAsUser"]), (&json!(true), &json!(USER)));
        assert!(high["containers"][0]["securityContext"]["capabilities"].get("add").is_none());
        let low = made("443/tcp");
        assert_eq!(low["containers"][0]["securityContext"]["capabilities"]["add"], json!(["NET_BIND_SERVICE"]));
    }

    #[test]
    fn options_reach_the_manifest() {
        let options = Options {
            image: "registry.example/agent:1".into(),
            tolerations: vec!["gpu".parse().unwrap()],
            pull_secrets: vec!["ci/regcred".parse().unwrap()],
            requests: [("cpu".to_owned(), "10m".to_owned())].into(),
            ..Options::default()
        };
        let spec = &made(&["80/tcp"], &options)["spec"];
        assert_eq!(spec["tolerations"], json!([ { "operator": "Exists", "key": "gpu" } ]));
        assert_eq!(spec["imagePullSecrets"], json!([ { "name": "regcred" } ]));
        assert_eq!(spec["containers"][0]["image"], "registry.example/agent:1");
        assert_eq!(spec["containers"][0]["resources"], json!({ "requests": { "cpu": "10m" } }));
    }
}
