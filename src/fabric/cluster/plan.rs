//! What a run would create and change, in order: pure, so that `--dry-run` needs no cluster.

use std::num::NonZeroU8;

use serde_json::{Value, json};

use super::adopt;
use super::options::Options;
use super::pods::{self, Make};
use crate::model::endpoint::Family;
use crate::model::labels::Labels;
use crate::model::port::Protocol;
use crate::scenario::world::{Pod, Service};
use crate::scenario::{Change, Scenario};

/// One thing a run would do.
#[derive(Debug, Clone, PartialEq)]
pub struct Deed {
    /// In which phase: `world`, or a stage's name.
    pub phase: String,
    /// What, in words.
    pub what: String,
    /// The object as it would be sent, without the run's marks; none for deletions.
    pub manifest: Option<Value>,
}

/// The manifest of a namespace.
pub(super) fn namespace(name: &str, labels: &Labels) -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels } })
}

/// The manifest of a Service; it has an address of each family that the scenario asks for, as far as the cluster has it.
pub(super) fn service(name: &str, service: &Service, families: &[Family]) -> Value {
    let ports = service.ports.iter().map(|port| {
        let protocol = match port.port.protocol {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
            Protocol::Sctp => "SCTP",
        };
        // Ports of one Service need names that differ.
        let called = format!("p{}-{}", port.port.number, port.port.protocol);
        json!({ "name": called, "port": port.port.number, "targetPort": port.target, "protocol": protocol })
    });
    let policy = if families.len() > 1 { "PreferDualStack" } else { "SingleStack" };
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": name, "namespace": service.namespace },
        "spec": { "selector": service.selects, "ports": ports.collect::<Vec<_>>(), "ipFamilyPolicy": policy },
    })
}

/// Everything a run of this scenario would do.
pub fn plan(scenario: &Scenario, options: &Options) -> Vec<Deed> {
    let mut deeds = Vec::new();
    let mut deed = |phase: &str, what: String, manifest: Option<Value>| {
        deeds.push(Deed { phase: phase.to_owned(), what, manifest });
    };
    let adopted = |namespace: &str| scenario.adopted().is_some_and(|adopted| adopted.namespaces.contains(namespace));
    let pod = |name: &str, pod: &Pod| {
        let node = format!("the {} node that takes pods", nth(pod.node.0));
        let aside = adopted(&pod.namespace);
        let name = if aside { adopt::pod_name("RUN", name) } else { name.to_owned() };
        let mut made = pods::manifest(pod, &Make { name: &name, node: &node, token: "(secret)" }, options);
        if aside {
            adopt::stand_aside(&mut made, &adopt::Controller::planned("RUN"));
        }
        let joins = if aside { ", which nothing adopts and which is never ready" } else { "" };
        (format!("create Pod {}/{name} on {node}{joins}", pod.namespace), made)
    };
    for (name, labels) in &scenario.bare().namespaces {
        if adopted(name) {
            deed("world", format!("adopt Namespace {name}: it and all that is in it stays as it is"), None);
            deed(
                "world",
                format!("create ConfigMap {name}/{}, which the pods belong to", adopt::own_namespace("RUN")),
                None,
            );
            continue;
        }
        deed("world", format!("create Namespace {name}"), Some(namespace(name, labels)));
        for secret in &options.pull_secrets {
            let what = format!("create Secret {name}/{}, a copy of {}/{}", secret.name, secret.namespace, secret.name);
            deed("world", what, None);
        }
    }
    for (id, there) in &scenario.bare().services {
        let name = scenario.object_name(*id);
        let what = format!("create Service {}/{name}", there.namespace);
        deed("world", what, Some(service(name, there, scenario.families())));
    }
    for (id, there) in &scenario.bare().pods {
        let (what, made) = pod(scenario.object_name(*id), there);
        deed("world", what, Some(made));
    }
    for id in scenario.bare().outside.keys() {
        let what = format!(
            "create Pod {} in a namespace of the run's own, in the network of a node without probes",
            scenario.name_of(*id)
        );
        deed("world", what, None);
    }
    for stage in scenario.stages() {
        for change in &stage.changes {
            let namespace_of = |id| stage.world.pods.get(id).map_or("?", |pod| pod.namespace.as_str());
            let (what, made) = match change {
                Change::CreatePolicy(policy) => (
                    format!("create {} {}", kind(policy.manifest()), policy.reference()),
                    Some(policy.manifest().clone()),
                ),
                Change::ReplacePolicy(policy) => (
                    format!("replace {} {}", kind(policy.manifest()), policy.reference()),
                    Some(policy.manifest().clone()),
                ),
                Change::DeletePolicy(policy) => (format!("delete {} {policy}", policy.kind), None),
                Change::RelabelPod(id, labels) => {
                    (format!("label Pod {}/{}: {labels}", namespace_of(id), scenario.object_name(*id)), None)
                }
                Change::RelabelNamespace(name, labels) => (format!("label Namespace {name}: {labels}"), None),
                Change::AddPod(id, there) => {
                    let (what, made) = pod(scenario.object_name(*id), there);
                    (what, Some(made))
                }
                Change::RemovePod(id) => (format!("delete Pod {}", scenario.name_of(*id)), None),
            };
            deed(&stage.name, what, made);
        }
    }
    deed(
        "tear-down",
        {
            let what = if scenario.adopted().is_some() { "everything made above" } else { "everything above" };
            format!("delete {what}, by its mark and UID")
        },
        None,
    );
    deeds
}

fn kind(manifest: &Value) -> &str {
    manifest.get("kind").and_then(Value::as_str).unwrap_or("policy")
}

fn nth(ordinal: NonZeroU8) -> String {
    let ending = match (ordinal.get() % 10, ordinal.get() % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{ordinal}{ending}")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::document::Strictness;

    #[test]
    fn the_pipelines_plan_names_every_object_and_touches_nothing() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/ai-data-pipeline.yaml");
        let scenario = crate::scenario::load(&file, Strictness::Strict).unwrap();
        let told: Vec<String> = plan(&scenario, &Options::default()).into_iter().map(|deed| deed.what).collect();
        assert_eq!(
            told,
            [
                "create Namespace ai-data-pipeline",
                "create Namespace ai-staging",
                "create Pod ai-data-pipeline/ai-processing on the 1st node that takes pods",
                "create Pod ai-data-pipeline/data-store on the 2nd node that takes pods",
                "create Pod ai-data-pipeline/data-store-2 on the 1st node that takes pods",
                "create Pod ai-staging/impostor on the 2nd node that takes pods",
                "create Pod ai-data-pipeline/intruder on the 1st node that takes pods",
                "create Pod ai-data-pipeline/unlabelled on the 2nd node that takes pods",
                "create NetworkPolicy ai-data-pipeline/allow-ai-processing-to-data-store",
                "delete everything above, by its mark and UID",
            ]
        );
    }

    #[test]
    fn every_scenario_has_a_plan_and_every_object_in_it_a_name() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        let mut planned = 0;
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if !name.ends_with(".yaml") || name.ends_with(".policy.yaml") {
                continue;
            }
            let scenario = crate::scenario::load(&path, Strictness::Normal).unwrap();
            for deed in plan(&scenario, &Options::default()) {
                if let Some(manifest) = deed.manifest {
                    assert!(manifest["metadata"]["name"].is_string(), "{name}: {}", deed.what);
                    planned += 1;
                }
            }
        }
        assert!(planned > 100, "only {planned} objects");
    }
}
