//! The fabric against an API server of a few lines: what is created, refused, changed and removed.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::fake::{Fake, unmarked};
use super::mark::{self, Owner, RUN};
use super::server::{Place, Server};
use super::{Cluster, ClusterError, Options, Raised, kinds, sweep};
use crate::fabric::{Fabric, Happened, Realised};
use crate::model::document::Strictness;
use crate::model::event::Event;
use crate::scenario::Scenario;

fn load(name: &str) -> Scenario {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("scenarios/{name}.yaml"));
    crate::scenario::load(&file, Strictness::Normal).unwrap()
}

fn cluster(fake: &Fake) -> Cluster {
    Cluster { server: Server::with(fake.client()), version: "1.35.4".into(), options: Options::default() }
}

async fn raise(fake: &Fake, scenario: &Scenario) -> Result<Raised, ClusterError> {
    cluster(fake).realise(scenario, "cafe0001", &|_: Event| {}, CancellationToken::new()).await
}

/// Everything that was sent to be created or changed.
fn writes(fake: &Fake) -> Vec<String> {
    let question = |asked: &str| asked.starts_with("GET") || asked.contains("authorization.k8s.io");
    fake.inside().asked.iter().filter(|asked| !question(asked)).cloned().collect()
}

#[tokio::test]
async fn pods_of_one_name_are_made_each_in_its_namespace() {
    let (fake, scenario) = (Fake::new(), load("one-name-in-two-namespaces"));
    let world = raise(&fake, &scenario).await.unwrap();
    for namespace in ["shop", "ops"] {
        let pod = fake.object("pods", Some(namespace), "web").unwrap();
        assert_eq!(pod["metadata"]["labels"]["app"], "web", "{namespace}");
    }
    assert_eq!(world.placements().len(), scenario.endpoints().len());
    let folder = tempfile::tempdir().unwrap();
    let both = ["shop/web", "ops/web"].map(|name| scenario.find(name).unwrap());
    world.gather(folder.path(), &both.into()).await;
    let commands = std::fs::read_to_string(folder.path().join("commands.txt")).unwrap();
    for namespace in ["shop", "ops"] {
        assert!(commands.contains(&format!("-n {namespace} describe pod web\n")), "{commands}");
    }
    assert!(world.tear_down().await.is_empty());
}

#[tokio::test]
async fn a_pod_whose_ports_share_a_name_is_made_with_a_container_for_each() {
    let (fake, scenario) = (Fake::new(), load("one-port-name-twice"));
    let world = raise(&fake, &scenario).await.unwrap();
    let pod = fake.object("pods", Some("shop"), "web").unwrap();
    let containers = pod["spec"]["containers"].as_array().unwrap();
    let ports: Vec<_> = containers.iter().map(|container| container["ports"].clone()).collect();
    let http = |number| json!({ "containerPort": number, "protocol": "TCP", "name": "http" });
    assert_eq!(ports, [json!([http(8080), { "containerPort": 9090, "protocol": "TCP" }]), json!([http(8081)])]);
    let client = fake.object("pods", Some("shop"), "client").unwrap();
    assert_eq!(client["spec"]["containers"].as_array().unwrap().len(), 1);
    assert!(world.tear_down().await.is_empty());
}

#[tokio::test]
async fn a_world_is_made_under_its_own_names_and_removed_without_a_trace() {
    let (fake, scenario) = (Fake::new(), load("ai-data-pipeline"));
    fake.put(("namespaces", None, "other"), json!({ "metadata": { "name": "other" } }));
    fake.put(("pods", Some("other"), "theirs"), json!({ "metadata": { "name": "theirs", "namespace": "other" } }));
    let mut world = raise(&fake, &scenario).await.unwrap();
    assert_eq!(fake.names("namespaces"), ["ai-data-pipeline", "ai-staging", "other"]);
    let pod = fake.object("pods", Some("ai-data-pipeline"), "data-store").unwrap();
    assert_eq!(pod["metadata"]["labels"], json!({ "role": "data-store", RUN: "cafe0001" }));
    assert_eq!(world.placements().len(), scenario.endpoints().len());
    let placed = &world.placements()[&scenario.find("ai-processing").unwrap()];
    assert_eq!(placed.node.as_deref(), Some("worker"));
    assert!(placed.addresses.v4.is_some() && placed.addresses.v6.is_none(), "the addresses the cluster gave");

    let stage = &scenario.stages()[0];
    let enacted = world.enact(&stage.changes, &stage.world).await.unwrap();
    assert!(enacted.sent <= enacted.acknowledged);
    let policy = "allow-ai-processing-to-data-store";
    assert!(fake.object("networkpolicies", Some("ai-data-pipeline"), policy).is_some());
    let made = writes(&fake);
    assert!(made.iter().all(|asked| asked.contains("fieldValidation=Strict")), "{made:#?}");

    assert!(world.tear_down().await.is_empty());
    assert_eq!(fake.names("namespaces"), ["other"]);
    assert_eq!(fake.names("pods"), ["theirs"]);
    let deletions = fake.inside().deletions.clone();
    assert_eq!(deletions.len(), 2, "what stands in a namespace of ours goes with it");
    assert!(deletions.iter().all(|body| body["preconditions"]["uid"].is_string()), "{deletions:?}");
}

#[tokio::test]
async fn what_a_cluster_puts_into_every_namespace_is_named() {
    let (fake, scenario) = (Fake::new(), load("ai-data-pipeline"));
    let quiet = raise(&fake, &scenario).await.unwrap();
    assert_eq!(quiet.warnings(), [] as [&str; 0]);
    assert!(quiet.tear_down().await.is_empty());
    let deny =
        json!({ "metadata": { "name": "default-deny", "namespace": "ai-staging" }, "spec": { "podSelector": {} } });
    fake.put(("networkpolicies", Some("ai-staging"), "default-deny"), deny);
    let world = raise(&fake, &scenario).await.unwrap();
    let [told] = world.warnings().try_into().unwrap_or_else(|told| panic!("{told:?}"));
    assert!(told.contains("has put NetworkPolicy `default-deny` into `ai-staging`"), "{told}");
    assert!(world.tear_down().await.is_empty());
}

#[tokio::test]
async fn a_global_policy_of_somebody_else_is_read_as_calico_reads_it() {
    let (fake, scenario) = (Fake::new(), load("ai-data-pipeline"));
    fake.inside().serves = vec![("projectcalico.org", "v3", "GlobalNetworkPolicy", "globalnetworkpolicies")];
    let policy = |name: &str, spec| {
        let object = json!({ "apiVersion": "projectcalico.org/v3", "kind": "GlobalNetworkPolicy",
            "metadata": { "name": name }, "spec": spec });
        fake.put(("globalnetworkpolicies", None, name), object);
    };
    policy("payments", json!({ "namespaceSelector": "team == 'payments'", "types": [ "Ingress" ] }));
    policy("stores", json!({ "selector": "role == 'data-store' && !has(legacy)", "types": [ "Ingress" ] }));
    let world = raise(&fake, &scenario).await.unwrap();
    let told = world.warnings();
    assert!(
        told.iter().any(|told| told.contains("none of the probe pods: GlobalNetworkPolicy `payments`")),
        "{told:?}"
    );
    assert!(told.iter().any(|told| told.contains("GlobalNetworkPolicy `stores` is in force")), "{told:?}");
    let [foreign] = world.foreign().try_into().unwrap_or_else(|foreign| panic!("{foreign:?}"));
    assert_eq!(foreign.name, "GlobalNetworkPolicy `stores`");
    assert!(foreign.selects.contains(&scenario.find("data-store").unwrap()), "{foreign:?}");
    assert!(!foreign.selects.contains(&scenario.find("ai-processing").unwrap()), "{foreign:?}");
    assert!(world.tear_down().await.is_empty());
}

#[tokio::test]
async fn a_namespace_that_is_there_ends_the_run_before_anything_is_touched() {
    let (fake, scenario) = (Fake::new(), load("ai-data-pipeline"));
    fake.put(("namespaces", None, "ai-staging"), json!({ "metadata": { "name": "ai-staging" } }));
    let error = raise(&fake, &scenario).await.err().unwrap().to_string();
    assert!(error.starts_with("namespace `ai-staging` is there already"), "{error}");
    assert!(error.contains("leakproof clean") && error.contains("another name"), "{error}");
    assert_eq!(writes(&fake), [] as [&str; 0]);
}

#[tokio::test]
async fn a_right_that_is_missing_ends_the_run_before_anything_is_touched() {
    for (resource, verb) in [("pods", "create"), ("namespaces", "delete"), ("networkpolicies", "create")] {
        let (fake, scenario) = (Fake::new(), load("ai-data-pipeline"));
        fake.inside().unentitled = vec![(resource, verb)];
        let error = raise(&fake, &scenario).await.err().unwrap().to_string();
        assert!(error.contains(&format!("no right to {verb} {resource}")), "{error}");
        assert!(error.contains("nothing was touched"), "{error}");
        assert_eq!(writes(&fake), [] as [&str; 0]);
    }
    let (fake, scenario) = (Fake::new(), load("ai-data-pipeline"));
    fake.inside().unentitled = vec![("pods", "patch"), ("services", "create"), ("events", "list")];
    let world = raise(&fake, &scenario).await.expect("this scenario needs none of these");
    assert!(world.tear_down().await.is_empty());
}

#[tokio::test]
async fn a_second_run_of_the_same_scenario_is_refused_and_says_whose_it_is() {
    let (fake, scenario) = (Fake::new(), load("ai-data-pipeline"));
    let first = raise(&fake, &scenario).await.unwrap();
    let before = writes(&fake).len();
    let error = cluster(&fake).realise(&scenario, "cafe0002", &|_: Event| {}, CancellationToken::new()).await;
    let error = error.err().unwrap().to_string();
    assert!(error.contains("run cafe0001 made it"), "{error}");
    assert_eq!(writes(&fake).len(), before, "the first run was not disturbed");
    assert!(first.tear_down().await.is_empty());
}

#[tokio::test]
async fn a_pod_that_cannot_start_ends_the_run_with_its_reason_and_leaves_nothing() {
    let (fake, scenario) = (Fake::new(), load("ai-data-pipeline"));
    fake.inside().stuck.insert("intruder".into(), "ErrImagePull");
    let error = raise(&fake, &scenario).await.err().unwrap().to_string();
    assert!(error.starts_with("starting pod `ai-data-pipeline/intruder`: ErrImagePull: as told"), "{error}");
    assert!(error.contains("kind load image-archive"), "{error}");
    assert_eq!((fake.names("namespaces"), fake.names("pods")), (vec![], vec![]));
}

#[tokio::test]
async fn being_told_to_stop_leaves_nothing() {
    let (fake, scenario) = (Fake::new(), load("ai-data-pipeline"));
    fake.inside().stuck.insert("intruder".into(), "ContainerCreating");
    let enough = CancellationToken::new();
    enough.clone().cancel();
    let stopped = cluster(&fake).realise(&scenario, "cafe0001", &|_: Event| {}, enough).await.err().unwrap();
    assert!(matches!(stopped, ClusterError::Stopped { .. }), "{stopped}");
    assert_eq!(fake.names("namespaces"), [] as [&str; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_creation_whose_answer_was_lost_is_known_for_our_own() {
    let fake = Fake::new();
    fake.inside().lose_answer = Some("shop".into());
    let server = Server::with(fake.client());
    let mut manifest = super::plan::namespace("shop", &Default::default());
    mark::mark(&mut manifest, "cafe0001", &Owner::this());
    let created = server.create(&kinds::namespace(), &Place::cluster("shop"), &manifest).await.unwrap();
    assert_eq!(created.metadata.name.as_deref(), Some("shop"));

    // Another's of the same name is not ours because our first try got no answer.
    let fake = Fake::new();
    fake.inside().lose_answer = Some("shop".into());
    let server = Server::with(fake.client());
    let theirs = super::plan::namespace("shop", &Default::default());
    let error = server.create(&kinds::namespace(), &Place::cluster("shop"), &theirs).await.unwrap_err();
    assert_eq!(error.sort(), Some(super::error::Sort::AlreadyExists), "{error}");
}

#[tokio::test]
async fn steps_change_only_what_is_still_ours() {
    let (fake, scenario) = (Fake::new(), load("policy-over-time"));
    let mut world = raise(&fake, &scenario).await.unwrap();
    for stage in scenario.stages() {
        world.enact(&stage.changes, &stage.world).await.unwrap_or_else(|error| panic!("{}: {error}", stage.name));
        let held: Vec<String> = fake.names("networkpolicies");
        let mut meant: Vec<String> = stage.world.policies.iter().map(|policy| policy.reference().name).collect();
        meant.sort();
        assert_eq!(held, meant, "{}", stage.name);
    }
    assert!(world.tear_down().await.is_empty());

    // Somebody puts another object in the place of ours.
    let fake = Fake::new();
    let mut world = raise(&fake, &scenario).await.unwrap();
    let replacing = scenario.stages().iter().position(|stage| {
        stage.changes.iter().any(|change| matches!(change, crate::scenario::Change::ReplacePolicy(_)))
    });
    let replacing = replacing.expect("the scenario replaces a policy in some step");
    for stage in &scenario.stages()[..replacing] {
        world.enact(&stage.changes, &stage.world).await.unwrap();
    }
    for object in fake.inside().objects.iter_mut().filter(|(key, _)| key.0 == "networkpolicies").map(|(_, o)| o) {
        object["metadata"]["uid"] = json!("somebody else's");
    }
    let stage = &scenario.stages()[replacing];
    let error = world.enact(&stage.changes, &stage.world).await.unwrap_err();
    assert!(matches!(error, ClusterError::Taken { .. }), "{error}");
    assert!(world.tear_down().await.is_empty());
}

/// The lab's trial of the same name holds the lab against the same file.
#[tokio::test]
async fn steps_are_made_in_the_order_that_every_fabric_keeps() {
    let (fake, scenario) = (Fake::new(), load("steps-in-order"));
    let mut world = raise(&fake, &scenario).await.unwrap();
    let mut told = String::new();
    for stage in scenario.stages() {
        fake.inside().done.clear();
        let enacted = world.enact(&stage.changes, &stage.world).await.unwrap();
        assert!(enacted.sent <= enacted.acknowledged);
        let mut done = fake.inside().done.clone();
        // The lab enforces all changes of labels and policies at once.
        done.dedup_by(|later, earlier| later == "change" && earlier == "change");
        told.push_str(&format!("{}: {done:?}\n", stage.name));
    }
    assert_eq!(told, include_str!("../../../tests/lab/steps-in-order.txt"));
    assert!(world.tear_down().await.is_empty());
}

#[tokio::test]
async fn labels_over_time_reach_the_objects_and_the_mark_stays() {
    for name in ["pod-labels-over-time", "namespace-labels-over-time"] {
        let (fake, scenario) = (Fake::new(), load(name));
        let mut world = raise(&fake, &scenario).await.unwrap();
        for stage in scenario.stages() {
            world.enact(&stage.changes, &stage.world).await.unwrap();
            let place = |id| (stage.world.pods[&id].namespace.clone(), scenario.name_of(id).to_owned());
            for (id, pod) in &stage.world.pods {
                let (namespace, name) = place(*id);
                let mut meant = json!(pod.labels);
                meant[RUN] = json!("cafe0001");
                let held = fake.object("pods", Some(&namespace), &name).unwrap();
                assert_eq!(held["metadata"]["labels"], meant, "{}: {name}", stage.name);
            }
            for (namespace, labels) in &stage.world.namespaces {
                let mut meant = json!(labels);
                meant[RUN] = json!("cafe0001");
                let held = fake.object("namespaces", None, namespace).unwrap();
                assert_eq!(held["metadata"]["labels"], meant, "{}: {namespace}", stage.name);
            }
        }
        assert!(world.tear_down().await.is_empty());
    }
}

#[tokio::test]
async fn what_a_killed_run_left_is_found_by_its_mark_and_nothing_else_is() {
    let (fake, scenario) = (Fake::new(), load("ai-data-pipeline"));
    let world = raise(&fake, &scenario).await.unwrap();
    std::mem::forget(world);
    fake.put(
        ("namespaces", None, "theirs"),
        json!({ "metadata": { "name": "theirs", "labels": { "leakproof": "no" } } }),
    );
    let server = Server::with(fake.client());
    let (found, errors) = sweep::find(&server, None, &[]).await;
    assert!(errors.is_empty(), "{errors:?}");
    let told: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["Namespace ai-data-pipeline", "Namespace ai-staging"]);
    assert!(found.iter().all(|found| found.run == "cafe0001" && found.owner == Some(Owner::this())));
    let (other, _) = sweep::find(&server, Some("cafe0002"), &[]).await;
    assert_eq!(other, [], "another run's name finds nothing");
    assert!(sweep::remove(&server, &found).await.is_empty());
    assert_eq!(fake.names("namespaces"), ["theirs"]);
    assert!(fake.inside().objects.values().all(unmarked));
}

#[tokio::test]
async fn what_is_outside_stands_on_nodes_without_probes_as_far_as_there_are_any() {
    let (fake, scenario) = (Fake::new(), load("outside"));
    let world = raise(&fake, &scenario).await.unwrap();
    let (internet, vendor) = (scenario.find("internet").unwrap(), scenario.find("vendor").unwrap());
    let placed = world.placements().get(&internet).expect("the control plane has no probe");
    assert_eq!(placed.node.as_deref(), Some("control"));
    assert!(!world.placements().contains_key(&vendor), "there is no second node without probes");
    assert!(world.warnings().iter().any(|warning| warning.contains("1 of the scenario's 2 endpoints outside")));
    let namespace = "leakproof-cafe0001";
    let held = fake.object("namespaces", None, namespace).unwrap();
    assert_eq!(held["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "privileged");
    let pod = fake.object("pods", Some(namespace), "internet").unwrap();
    assert_eq!(pod["spec"]["hostNetwork"], true);
    assert!(world.tear_down().await.is_empty());
    assert_eq!(fake.names("namespaces"), [] as [&str; 0]);
}

/// Waits until the log says something, and gives all it says.
async fn logged(world: &Raised, what: &str) -> Vec<Happened> {
    let patience = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let all = world.happenings();
        if all.iter().any(|one| format!("{}: {}", one.subject, one.what).contains(what)) {
            return all;
        }
        assert!(tokio::time::Instant::now() < patience, "nobody told that {what}: {all:#?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn ready(status: &str) -> serde_json::Value {
    let conditions = json!([ { "type": "Ready", "status": status, "reason": "KubeletReady" } ]);
    json!({ "metadata": { "name": "worker", "uid": "worker" }, "spec": {}, "status": { "conditions": conditions } })
}

#[tokio::test]
async fn what_others_do_around_a_watch_is_logged_and_what_was_there_before_is_not() {
    let (fake, scenario) = (Fake::new(), load("ai-data-pipeline"));
    fake.put(("nodes", None, "worker"), ready("True"));
    let mut world = raise(&fake, &scenario).await.unwrap();
    assert_eq!(world.keep_log().await, [] as [&str; 0]);
    assert_eq!(world.happenings(), [], "all there is has not happened just now");

    fake.put(("nodes", None, "worker"), ready("False"));
    let all = logged(&world, "node worker: is not ready").await;
    assert_eq!((all.len(), all[0].node.as_deref()), (1, Some("worker")));
    let policy = |namespace: &str| json!({ "metadata": { "name": "open", "namespace": namespace, "uid": namespace, "generation": 1 } });
    fake.put(("networkpolicies", Some("elsewhere"), "open"), policy("elsewhere"));
    fake.put(("networkpolicies", Some("ai-staging"), "open"), policy("ai-staging"));
    logged(&world, "NetworkPolicy ai-staging/open: was created").await;
    let mut changed = policy("ai-staging");
    changed["metadata"]["generation"] = json!(2);
    fake.put(("networkpolicies", Some("ai-staging"), "open"), changed);
    logged(&world, "NetworkPolicy ai-staging/open: was changed").await;

    // A deletion that no watch told of shows in the next list.
    fake.inside().objects.retain(|key, _| key.2 != "open");
    fake.inside().forgetful = true;
    let all = logged(&world, "NetworkPolicy ai-staging/open: was deleted").await;
    assert!(all.iter().all(|one| !one.subject.contains("elsewhere")), "policies of others' namespaces: {all:#?}");
    assert!(all.iter().all(|one| one.since.is_none()), "nothing was away: {all:#?}");
    fake.inside().forgetful = false;
    assert!(world.tear_down().await.is_empty());
}

#[tokio::test]
async fn a_server_that_is_away_is_a_gap_in_the_log_and_what_happened_meanwhile_is_told_as_of_it() {
    let (fake, scenario) = (Fake::new(), load("ai-data-pipeline"));
    fake.put(("nodes", None, "worker"), ready("True"));
    let mut world = raise(&fake, &scenario).await.unwrap();
    world.keep_log().await;
    fake.inside().away = true;
    let gap = logged(&world, "the log: nothing is heard of").await;
    let began = gap[0].since.expect("since when");
    assert!(began < gap[0].at);
    fake.put(("nodes", None, "worker"), ready("Unknown"));
    fake.inside().away = false;
    logged(&world, "the log: all is heard of again after").await;
    let all = logged(&world, "node worker: is not ready").await;
    let late = all.iter().find(|one| one.subject == "node worker").unwrap();
    assert!(late.since.is_some_and(|since| since >= began && since < late.at), "some time in the gap: {all:#?}");
    assert!(world.tear_down().await.is_empty());
}

#[tokio::test]
async fn what_may_not_be_watched_is_one_warning_and_no_error() {
    let (fake, scenario) = (Fake::new(), load("ai-data-pipeline"));
    let mut world = raise(&fake, &scenario).await.unwrap();
    fake.inside().forbidden = vec!["nodes", "deployments"];
    let missing = world.keep_log().await;
    assert_eq!(missing.len(), 1, "{missing:#?}");
    let expected = "no right to list and watch deployments.apps, nodes; `kubectl apply -f ci/rbac.yaml`";
    assert!(missing[0].contains(expected), "{missing:#?}");
    let policy = json!({ "metadata": { "name": "open", "namespace": "ai-staging" } });
    fake.put(("networkpolicies", Some("ai-staging"), "open"), policy);
    logged(&world, "NetworkPolicy ai-staging/open: was created").await;
    assert!(world.tear_down().await.is_empty());
}

#[tokio::test]
async fn what_explains_a_failure_is_gathered_as_far_as_it_can_be_got() {
    let (fake, scenario) = (Fake::new(), load("ai-data-pipeline"));
    let folder = tempfile::tempdir().unwrap();
    let container = json!({ "name": "calico-node", "image": "quay.io/calico/node:v3.31.7" });
    fake.put(
        ("daemonsets", Some("kube-system"), "calico-node"),
        json!({ "metadata": { "name": "calico-node", "namespace": "kube-system" }, "spec": {
            "selector": { "matchLabels": { "k8s-app": "calico-node" } },
            "template": { "metadata": {}, "spec": { "containers": [ container ] } } } }),
    );
    for node in ["worker", "worker2"] {
        let name = format!("calico-node-of-{node}");
        let labels = json!({ "k8s-app": "calico-node" });
        let pod = json!({ "metadata": { "name": name, "namespace": "kube-system", "labels": labels },
            "spec": { "nodeName": node, "containers": [ container ] } });
        fake.put(("pods", Some("kube-system"), &name), pod);
    }
    let world = raise(&fake, &scenario).await.unwrap();
    let concerned = [scenario.find("intruder").unwrap()].into();
    let files = world.gather(folder.path(), &concerned).await;
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    let engine = read("policy-engine.txt");
    assert!(engine.starts_with("Calico 3.31.7 (kube-system/calico-node)"), "{engine}");
    assert!(
        engine.contains("on worker: `kube-system/calico-node-of-worker`") && !engine.contains("worker2"),
        "{engine}"
    );
    assert!(engine.contains("metrics: not enabled"), "{engine}");
    // This server keeps no logs: that is told, and costs nothing else.
    let errors = read("errors.txt");
    assert!(errors.contains("calico-node-worker.log: ") && !errors.contains("metrics"), "{errors}");
    assert!(files.contains(&"policies-ai-data-pipeline.json".to_owned()), "{files:?}");
    assert!(world.tear_down().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_away_holds_nobody_up_who_gathers() {
    let (fake, scenario) = (Fake::new(), load("ai-data-pipeline"));
    let folder = tempfile::tempdir().unwrap();
    let world = raise(&fake, &scenario).await.unwrap();
    fake.inside().away = true;
    let files = world.gather(folder.path(), &[scenario.find("intruder").unwrap()].into()).await;
    assert!(files.contains(&"commands.txt".to_owned()) && files.contains(&"errors.txt".to_owned()), "{files:?}");
    let engine = std::fs::read_to_string(folder.path().join("policy-engine.txt")).unwrap();
    assert_eq!(engine, "no network plugin recognised: there is no calico-node to ask\n");
    fake.inside().away = false;
    assert!(world.tear_down().await.is_empty());
}
