//! Adopting, against an API server of a few lines: what is read, made, refused and left alone.

use std::path::Path;

use kube::core::ApiResource;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::super::fake::{Fake, unmarked};
use super::super::mark::RUN;
use super::super::options::{Adopt, Selected};
use super::super::server::Server;
use super::super::{Cluster, ClusterError, Options, Raised, kinds, sweep};
use crate::fabric::{Fabric, Realised, Surveyed};
use crate::model::document::Strictness;
use crate::model::drift::Drift;
use crate::model::event::Event;
use crate::scenario::Scenario;

const NAMESPACE: &str = "ai-data-pipeline";
const POLICY: &str = "allow-ai-processing-to-data-store";
const RUN_ID: &str = "cafe0001";

fn pipeline() -> Scenario {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/ai-data-pipeline.yaml");
    crate::scenario::load(&file, Strictness::Normal).unwrap()
}

/// A cluster where somebody has deployed what the pipeline scenario speaks of.
fn deployed() -> Fake {
    let fake = Fake::new();
    for name in [NAMESPACE, "ai-staging"] {
        let labels = json!({ "kubernetes.io/metadata.name": name, "team": "data" });
        fake.put(("namespaces", None, name), json!({ "metadata": { "name": name, "labels": labels } }));
    }
    for policy in &pipeline().stages()[0].world.policies {
        let mut manifest = policy.manifest().clone();
        manifest["metadata"]["namespace"] = json!(NAMESPACE);
        fake.put(("networkpolicies", Some(NAMESPACE), &policy.reference().name), manifest);
    }
    let theirs =
        json!({ "metadata": { "name": "data-store", "namespace": NAMESPACE, "labels": { "role": "data-store" } } });
    fake.put(("pods", Some(NAMESPACE), "data-store"), theirs);
    fake
}

fn cluster(fake: &Fake, adopt: Adopt) -> Cluster {
    let options = Options { adopt: Some(adopt), ..Options::default() };
    Cluster { server: Server::with(fake.client()), version: "1.35.4".into(), options }
}

async fn survey(fake: &Fake, adopt: Adopt) -> Result<Surveyed, ClusterError> {
    Ok(cluster(fake, adopt).survey(&pipeline(), RUN_ID).await?.expect("adopting was asked for"))
}

async fn raise(fake: &Fake, scenario: &Scenario) -> Result<Raised, ClusterError> {
    cluster(fake, Adopt::default()).realise(scenario, RUN_ID, &|_: Event| {}, CancellationToken::new()).await
}

fn writes(fake: &Fake) -> Vec<String> {
    let asked = fake.inside().asked.clone();
    let question = |asked: &str| asked.starts_with("GET") || asked.contains("authorization.k8s.io");
    asked.into_iter().filter(|asked| !question(asked)).map(|a| a.split('?').next().unwrap().into()).collect()
}

fn all(fake: &Fake) -> Vec<Value> {
    fake.inside().objects.values().cloned().collect()
}

#[tokio::test]
async fn nothing_but_what_is_the_runs_own_is_made_and_nothing_of_theirs_changes() {
    let fake = deployed();
    let before = all(&fake);
    let found = survey(&fake, Adopt::default()).await.unwrap();
    assert_eq!((writes(&fake).len(), found.remarks.len()), (0, 0), "looking touches nothing");
    assert_eq!(found.scenario.adopted().unwrap().drift, [], "the file says what is deployed");

    let mut world = raise(&fake, &found.scenario).await.unwrap();
    let stage = &found.scenario.stages()[0];
    world.enact(&stage.changes, &stage.world).await.unwrap();
    let made: Vec<String> = writes(&fake);
    let expected = |one: &String| {
        let own = format!("/api/v1/namespaces/leakproof-{RUN_ID}/pods");
        one == "POST /api/v1/namespaces" || *one == format!("POST {own}") || {
            [NAMESPACE, "ai-staging"].iter().any(|namespace| {
                ["pods", "configmaps"].iter().any(|kind| *one == format!("POST /api/v1/namespaces/{namespace}/{kind}"))
            })
        }
    };
    assert!(made.iter().all(expected), "{made:#?}");
    assert_eq!(fake.names("namespaces"), [NAMESPACE, "ai-staging", "leakproof-cafe0001"]);
    let ours = |object: &Value| !unmarked(object);
    let theirs: Vec<Value> = all(&fake).into_iter().filter(|object| !ours(object)).collect();
    assert_eq!(theirs, before, "same UIDs, same versions");

    let controller = fake.object("configmaps", Some(NAMESPACE), "leakproof-cafe0001").unwrap();
    for (id, placed) in found.scenario.bare().pods.iter().map(|(id, pod)| (id, &pod.namespace)) {
        let name = found.scenario.name_of(*id);
        if *placed == "leakproof-cafe0001" {
            let pod = fake.object("pods", Some(placed), name).unwrap();
            assert_eq!(pod["spec"].get("readinessGates"), None, "{name} is among its own");
            continue;
        }
        let pod = fake.object("pods", Some(placed), &format!("leakproof-cafe0001-{name}")).unwrap();
        let owner = &pod["metadata"]["ownerReferences"][0];
        assert_eq!((owner["controller"].as_bool(), owner["kind"].as_str()), (Some(true), Some("ConfigMap")), "{name}");
        if *placed == NAMESPACE {
            assert_eq!(owner["uid"], controller["metadata"]["uid"], "{name}");
        }
        assert_eq!(pod["metadata"]["annotations"]["sidecar.istio.io/inject"], "false", "{name}");
        assert!(pod["metadata"]["annotations"]["leakproof.dev/owner"].is_string(), "{name}");
        assert_eq!(pod["spec"]["readinessGates"][0]["conditionType"], "leakproof.dev/never", "{name}");
    }
    assert_eq!(world.placements().len(), found.scenario.bare().pods.len());
    assert!(world.info().summary.ends_with("adopting ai-data-pipeline, ai-staging"), "{}", world.info().summary);

    assert!(world.tear_down().await.is_empty());
    assert_eq!(all(&fake), before);
    let deletions = fake.inside().deletions.clone();
    assert!(deletions.iter().all(|body| body["preconditions"]["uid"].is_string()), "{deletions:?}");
}

#[tokio::test]
async fn what_is_not_there_is_named_with_what_to_do() {
    let fake = deployed();
    fake.inside().objects.retain(|(_, _, name), _| name != "ai-staging");
    let policy = fake.object("networkpolicies", Some(NAMESPACE), POLICY).unwrap();
    fake.inside().objects.retain(|(_, _, name), _| name != POLICY);
    let mut renamed = policy;
    renamed["metadata"]["name"] = json!("allow-1f2e3d4");
    fake.put(("networkpolicies", Some(NAMESPACE), "allow-1f2e3d4"), renamed);
    let error = survey(&fake, Adopt::default()).await.unwrap_err().to_string();
    for said in [
        "namespace `ai-staging` is not there: deploy it",
        "`--make-namespace ai-staging`",
        "policy `ai-data-pipeline/allow-ai-processing-to-data-store` is not there (there are `ai-data-pipeline/allow-1f2e3d4`)",
    ] {
        assert!(error.contains(said), "{error}");
    }
    assert_eq!(writes(&fake), [] as [&str; 0]);
}

#[tokio::test]
async fn a_namespace_that_the_run_makes_is_made_and_removed_among_those_that_stay() {
    let fake = deployed();
    fake.inside()
        .objects
        .retain(|(_, inside, name), _| name != "ai-staging" && inside.as_deref() != Some("ai-staging"));
    let adopt = Adopt { makes: ["ai-staging".to_owned()].into(), ..Adopt::default() };
    let found = survey(&fake, adopt).await.unwrap();
    let world = raise(&fake, &found.scenario).await.unwrap();
    assert_eq!(fake.names("namespaces"), [NAMESPACE, "ai-staging", "leakproof-cafe0001"]);
    assert!(fake.object("pods", Some("ai-staging"), "impostor").is_some(), "under its own name");
    assert!(world.tear_down().await.is_empty());
    assert_eq!(fake.names("namespaces"), [NAMESPACE]);
}

#[tokio::test]
async fn a_difference_to_the_file_is_told_and_the_cluster_is_believed() {
    let fake = deployed();
    let deny = json!({ "metadata": { "name": "deny", "namespace": NAMESPACE }, "spec": { "podSelector": {} } });
    fake.put(("networkpolicies", Some(NAMESPACE), "deny"), deny);
    let found = survey(&fake, Adopt::default()).await.unwrap();
    let drift = &found.scenario.adopted().unwrap().drift;
    assert_eq!(*drift, [Drift::Extra { object: "policy ai-data-pipeline/deny".into() }]);
    let stage = &found.scenario.stages()[0];
    let in_force: Vec<String> = stage.world.policies.iter().map(|policy| policy.reference().name).collect();
    assert_eq!(in_force, [POLICY, "deny"]);
}

#[tokio::test]
async fn policies_of_kinds_that_nobody_here_knows_are_taken_into_account() {
    let fake = deployed();
    fake.inside().serves = vec![
        ("projectcalico.org", "v3", "NetworkPolicy", "networkpolicies"),
        ("projectcalico.org", "v3", "GlobalNetworkPolicy", "globalnetworkpolicies"),
    ];
    let global = json!({ "metadata": { "name": "default-deny" }, "spec": { "selector": "all()" } });
    fake.put(("globalnetworkpolicies", None, "default-deny"), global);
    let found = survey(&fake, Adopt::default()).await.unwrap();
    let stage = &found.scenario.stages()[0];
    let unknown: Vec<String> = stage
        .world
        .policies
        .iter()
        .filter(|policy| matches!(policy, crate::policy::Policy::Unknown(_)))
        .map(|policy| policy.reference().to_string())
        .collect();
    assert!(unknown.contains(&"GlobalNetworkPolicy default-deny".to_owned()), "{unknown:?}");
}

#[tokio::test]
async fn where_probe_pods_would_be_taken_for_theirs_the_run_ends_unless_told_otherwise() {
    let fake = deployed();
    let peers = json!({ "metadata": { "name": "peers", "namespace": NAMESPACE },
        "spec": { "selector": { "role": "data-store" }, "publishNotReadyAddresses": true } });
    fake.put(("services", Some(NAMESPACE), "peers"), peers);
    let usual = json!({ "metadata": { "name": "usual", "namespace": NAMESPACE }, "spec": { "selector": { "role": "data-store" } } });
    fake.put(("services", Some(NAMESPACE), "usual"), usual);
    let budget = json!({ "metadata": { "name": "keep", "namespace": NAMESPACE },
        "spec": { "minAvailable": 1, "selector": { "matchLabels": { "role": "ai-processing" } } } });
    fake.put(("poddisruptionbudgets", Some(NAMESPACE), "keep"), budget);
    let error = survey(&fake, Adopt::default()).await.unwrap_err().to_string();
    for said in [
        "Service `ai-data-pipeline/peers` publishes addresses that are not ready, and would send connections to the probe \
         pods of `data-store`, `data-store-2`",
        "PodDisruptionBudget `ai-data-pipeline/keep` would count the probe pods of `ai-processing`",
        "`--even-if-selected` makes them all the same",
    ] {
        assert!(error.contains(said), "{error}");
    }
    assert!(!error.contains("usual"), "{error}");
    let accepted = survey(&fake, Adopt { selected: Selected::Accepted, ..Adopt::default() }).await.unwrap();
    assert_eq!(accepted.remarks.len(), 2, "{:?}", accepted.remarks);
    assert_eq!(writes(&fake), [] as [&str; 0]);
}

#[tokio::test]
async fn a_pod_that_is_like_a_workload_gets_its_labels_and_one_without_a_workload_is_named() {
    let text = "version: 1\nnamespaces: { ai-data-pipeline: {} }\npods:\n  \
                store: { namespace: ai-data-pipeline, like: deployment/data-store }\n  \
                other: { namespace: ai-data-pipeline, like: statefulset/missing }\n";
    let scenario = crate::scenario::load_str(text, Strictness::Normal).unwrap();
    let fake = deployed();
    let deployment = json!({ "metadata": { "name": "data-store", "namespace": NAMESPACE },
        "spec": { "template": { "metadata": { "labels": { "role": "data-store", "version": "7" } } } } });
    fake.put(("deployments", Some(NAMESPACE), "data-store"), deployment);
    let error = cluster(&fake, Adopt::default()).survey(&scenario, RUN_ID).await.unwrap_err().to_string();
    assert!(
        error.contains("statefulset/missing is not there in `ai-data-pipeline`, and pod `other` has its labels"),
        "{error}"
    );
    assert!(!error.contains("deployment/data-store"), "{error}");

    let missing = json!({ "metadata": { "name": "missing", "namespace": NAMESPACE }, "spec": { "template": {} } });
    fake.put(("statefulsets", Some(NAMESPACE), "missing"), missing);
    let found = cluster(&fake, Adopt::default()).survey(&scenario, RUN_ID).await.unwrap().unwrap();
    let world = raise(&fake, &found.scenario).await.unwrap();
    let pod = fake.object("pods", Some(NAMESPACE), "leakproof-cafe0001-store").unwrap();
    assert_eq!(pod["metadata"]["labels"], json!({ "role": "data-store", "version": "7", RUN: RUN_ID }));
    assert!(world.tear_down().await.is_empty());
}

#[tokio::test]
async fn what_a_killed_run_left_among_others_is_found_and_only_that() {
    let fake = deployed();
    let before = all(&fake);
    let found = survey(&fake, Adopt::default()).await.unwrap();
    std::mem::forget(raise(&fake, &found.scenario).await.unwrap());
    let server = Server::with(fake.client());
    let more: Vec<ApiResource> = vec![kinds::config_map()];
    let (left, errors) = sweep::find(&server, None, &more).await;
    assert!(errors.is_empty(), "{errors:?}");
    // The run's own namespace, and in the two others a ConfigMap each and their pods.
    assert_eq!(left.len(), 1 + 2 + pipeline().bare().pods.len(), "{left:?}");
    assert!(left.iter().all(|left| left.run == RUN_ID));
    assert!(sweep::remove(&server, &left).await.is_empty());
    assert_eq!(all(&fake), before);
}

#[tokio::test]
async fn a_pod_that_cannot_start_leaves_nothing_among_others() {
    let fake = deployed();
    let before = all(&fake);
    fake.inside().stuck.insert("leakproof-cafe0001-intruder".into(), "ErrImagePull");
    let found = survey(&fake, Adopt::default()).await.unwrap();
    let error = raise(&fake, &found.scenario).await.err().unwrap().to_string();
    assert!(error.contains("ErrImagePull"), "{error}");
    assert_eq!(all(&fake), before);
    assert!(all(&fake).iter().all(|object| object["metadata"]["labels"].get(RUN).is_none()));
}
