//! A probe pod's manifest. It passes Pod Security `restricted`: no privilege, no capability, a root file system it cannot
//! write, no token of a service account.

use serde_json::{Value, json};

use super::options::Options;

use crate::model::port::Protocol;
use crate::scenario::world::Pod;

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

/// The port of a pod's control socket.
pub(super) fn control_port(pod: &Pod) -> u16 {
    let served = |port: u16| pod.serves.iter().any(|served| served.port.number.get() == port);
    (CONTROL..u16::MAX).find(|port| !served(*port)).unwrap_or(CONTROL)
}

/// The manifest of a probe pod, without the run's marks.
pub(super) fn manifest(pod: &Pod, make: &Make<'_>, options: &Options) -> Value {
    let ports: Vec<Value> = pod
        .serves
        .iter()
        .map(|served| {
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
        })
        .collect();
    let mut security = json!({
        "runAsNonRoot": true, "runAsUser": USER, "runAsGroup": USER,
        "seccompProfile": { "type": "RuntimeDefault" },
    });
    if pod.serves.iter().any(|served| served.port.number.get() < PRIVILEGED) {
        // One of the sysctls that Kubernetes calls safe: it concerns the pod's own network namespace alone.
        security["sysctls"] = json!([ { "name": "net.ipv4.ip_unprivileged_port_start", "value": "0" } ]);
    }
    let mut container = json!({
        "name": CONTAINER,
        "image": options.image,
        "imagePullPolicy": "IfNotPresent",
        "args": [ "--control", format!("tcp:127.0.0.1:{}", control_port(pod)) ],
        "env": [ { "name": TOKEN, "value": make.token } ],
        "ports": ports,
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": { "drop": [ "ALL" ] },
            "readOnlyRootFilesystem": true,
        },
    });
    if !options.requests.is_empty() {
        container["resources"] = json!({ "requests": options.requests });
    }
    let mut spec = json!({
        // Affinity and not `nodeName`: the scheduler then still says why a node does not take it.
        "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [
            { "matchFields": [ { "key": "metadata.name", "operator": "In", "values": [ make.node ] } ] },
        ] } } },
        // An agent started anew has lost its records, so it must not be.
        "restartPolicy": "Never",
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": security,
        "containers": [ container ],
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
    fn the_control_port_is_none_that_the_pod_serves() {
        assert_eq!(control_port(&pod(&["8080/tcp"])), CONTROL);
        assert_eq!(control_port(&pod(&["41000/tcp", "41001/udp"])), CONTROL + 2);
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
