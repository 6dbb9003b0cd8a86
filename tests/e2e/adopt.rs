//! A run among objects that are somebody else's: deployed by this test as their owner, and as they were afterwards.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Resource;
use kube::api::{Api, ListParams, PostParams};
use leakproof::fabric::cluster::mark;
use leakproof::model::drift::Drift;
use libtest_mimic::Failed;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{PROGRAM, Site, document, ensure, json as json_file, told};

/// Their namespace, as their program named it.
const NAMESPACE: &str = "leakproof-adopt-theirs";
/// Their policy, likewise.
const POLICY: &str = "store-1f2e3d4";

/// What their program's outputs say.
const OUTPUTS: &str =
    r#"{ "ai_namespace": "leakproof-adopt-theirs", "ai_network_policy_name": "store-1f2e3d4", "replicas": 1 }"#;

const SCENARIO: &str = "version: 1
about: Only workers may reach the store.
namespaces: { shop: {} }
names:
  namespaces: { shop: ai_namespace }
  policies: { shop/store: ai_network_policy_name }
pods:
  worker: { namespace: shop, labels: { role: worker } }
  store: { namespace: shop, like: deployment/store, serves: [ 5432/tcp ] }
  intruder: { namespace: shop, labels: { role: intruder } }
policies:
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata: { name: store, namespace: shop }
  spec:
    podSelector: { matchLabels: { role: store } }
    ingress:
    - { from: [ { podSelector: { matchLabels: { role: worker } } } ], ports: [ { port: 5432 } ] }
expect:
- { from: worker, to: store, verdict: allowed }
- { from: intruder, to: store, verdict: denied }
- { from: any, to: [ worker, intruder ], verdict: allowed }
converge_within: 60s
";

/// What their Service does with pods that are not ready.
#[derive(Clone, Copy, PartialEq)]
enum Unready {
    LeftOut,
    Published,
}

/// Their objects that must be exactly as they were: by kind and name, UID and version.
type Standing = BTreeMap<String, (String, String)>;

pub fn changes_nothing_of_theirs(site: &Site) -> Result<(), Failed> {
    deployed(site, Unready::LeftOut, |site, folder| {
        let before = site.runtime.block_on(standing(site))?;
        let slices = Slices::watch(site);
        let json = json_file("adopts");
        let output = run(site, folder, &json)?;
        let seen = slices.end(site)?;
        let document = document(&json).map_err(|_| told(&output))?;
        ensure(output.status.code() == Some(0), || format!("{}: {}", output.status, told(&output)))?;
        ensure(document.counts.ok == document.counts.cells, || format!("{:?}", document.counts))?;
        ensure(document.drift.is_empty(), || format!("{:?}", document.drift))?;
        let store = document.endpoints.iter().find(|endpoint| endpoint.name == "store").ok_or("no store")?;
        ensure(store.labels.get("version") == Some("7"), || format!("not like the deployment's: {}", store.labels))?;
        let after = site.runtime.block_on(standing(site))?;
        ensure(before == after, || format!("before: {before:?}\nafter: {after:?}"))?;
        ensure(seen.unready > 0, || "the Service never knew of a probe pod: nothing was shown".into())?;
        ensure(seen.ready.is_empty(), || format!("the Service sent to probe pods: {:?}", seen.ready))?;
        nothing_left(site)
    })
}

pub fn tells_what_differs(site: &Site) -> Result<(), Failed> {
    deployed(site, Unready::LeftOut, |site, folder| {
        let changed = SCENARIO.replace("{ port: 5432 }", "{ port: 5433 }");
        std::fs::write(folder.join("shop.yaml"), changed)?;
        let json = json_file("drifts");
        let output = run(site, folder, &json)?;
        let document = document(&json).map_err(|_| told(&output))?;
        ensure(output.status.code() == Some(0), || format!("the cluster is right: {}", told(&output)))?;
        let expected = Drift::Field {
            object: format!("policy {NAMESPACE}/{POLICY}"),
            path: "spec.ingress[0].ports[0].port".into(),
            file: Some(json!(5433)),
            cluster: Some(json!(5432)),
        };
        ensure(document.drift == [expected], || format!("{:?}", document.drift))?;
        nothing_left(site)
    })
}

/// The file's policy says nothing of the port that the one in force opens: only who reads that one can say why.
pub fn suggests_what_is_in_force(site: &Site) -> Result<(), Failed> {
    deployed(site, Unready::LeftOut, |site, folder| {
        let other = SCENARIO
            .replace("{ port: 5432 }", "{ port: 5433 }")
            .replace("to: store, verdict: allowed", "to: store, verdict: denied");
        std::fs::write(folder.join("shop.yaml"), other)?;
        let json = json_file("suggests");
        let output = run(site, folder, &json)?;
        let document = document(&json).map_err(|_| told(&output))?;
        ensure(output.status.code() == Some(11), || format!("{}: {}", output.status, told(&output)))?;
        let findings = document.stages.iter().flat_map(|stage| &stage.findings);
        let finding = findings.last().ok_or("no finding though what is wanted is not what is in force")?;
        let suggested = finding.next.split('`').nth(1).ok_or("nothing is suggested")?;
        let arguments = suggested.strip_prefix("leakproof ").ok_or("another program is suggested")?;
        // As a person would: by a shell. The context is in what is suggested.
        let shell = Command::new("sh").args(["-c", &format!("exec {PROGRAM} {arguments}")]).output()?;
        let said = told(&shell);
        ensure(shell.status.success(), || format!("`{suggested}`: {}: {said}", shell.status))?;
        ensure(said.contains(POLICY) && said.contains("allowed"), || format!("`{suggested}` says: {said}"))?;
        nothing_left(site)
    })
}

pub fn refuses_to_join(site: &Site) -> Result<(), Failed> {
    deployed(site, Unready::Published, |site, folder| {
        let output = run(site, folder, &json_file("joins"))?;
        ensure(output.status.code() == Some(4), || format!("{}: {}", output.status, told(&output)))?;
        let said = told(&output);
        ensure(said.contains("Service `leakproof-adopt-theirs/store` publishes addresses that are not ready"), || {
            said
        })?;
        nothing_left(site)
    })
}

/// Does something while a policy, a workload and a Service of theirs are there, and takes these away again.
fn deployed(
    site: &Site,
    unready: Unready,
    during: impl FnOnce(&Site, &Path) -> Result<(), Failed>,
) -> Result<(), Failed> {
    let folder = folder()?;
    site.make_theirs(NAMESPACE)?;
    let done = site.runtime.block_on(deploy(site, unready)).and_then(|()| during(site, &folder));
    site.remove_theirs(NAMESPACE)?;
    done
}

fn folder() -> Result<PathBuf, Failed> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("adopt-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("shop.yaml"), SCENARIO)?;
    std::fs::write(folder.join("outputs.json"), OUTPUTS)?;
    Ok(folder)
}

fn run(site: &Site, folder: &Path, json: &Path) -> Result<Output, Failed> {
    let (scenario, outputs) = (folder.join("shop.yaml"), folder.join("outputs.json"));
    let [scenario, outputs, json] = [&scenario, &outputs, json].map(|path| path.display().to_string());
    let adopting = ["--on", "cluster", "--adopt", "--pulumi-outputs", &outputs, "--quiet", "--json", &json];
    site.say(&[&["run", &scenario][..], &adopting[..]].concat())
}

async fn deploy(site: &Site, unready: Unready) -> Result<(), Failed> {
    let policy = json!({ "metadata": { "name": POLICY }, "spec": {
        "podSelector": { "matchLabels": { "role": "store" } },
        "ingress": [ { "from": [ { "podSelector": { "matchLabels": { "role": "worker" } } } ], "ports": [ { "port": 5432 } ] } ] } });
    create::<NetworkPolicy>(site, policy).await?;
    let service = json!({ "metadata": { "name": "store" }, "spec": { "selector": { "role": "store" },
        "publishNotReadyAddresses": unready == Unready::Published, "ports": [ { "port": 5432 } ] } });
    create::<Service>(site, service).await?;
    let labels = json!({ "role": "store", "version": "7" });
    // Any program that goes on will do; the agent is one that is loaded.
    let container = json!({ "name": "store", "image": leakproof::fabric::cluster::options::LOCAL_IMAGE,
        "args": [ "--control", "tcp:127.0.0.1:41000" ], "env": [ { "name": "LEAKPROOF_AGENT_TOKEN", "value": "theirs" } ] });
    let deployment = json!({ "metadata": { "name": "store" }, "spec": { "replicas": 1,
        "selector": { "matchLabels": { "role": "store" } },
        "template": { "metadata": { "labels": labels }, "spec": { "containers": [ container ],
            "terminationGracePeriodSeconds": 1 } } } });
    create::<Deployment>(site, deployment).await?;
    let api: Api<Deployment> = Api::namespaced(site.server.client(), NAMESPACE);
    let begun = std::time::Instant::now();
    loop {
        let status = api.get("store").await?.status.unwrap_or_default();
        if status.available_replicas == Some(1) && status.observed_generation == Some(1) {
            break;
        }
        if begun.elapsed() > Duration::from_secs(90) {
            return Err(format!("their deployment never became available: {status:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // The last of its controllers' own changes.
    tokio::time::sleep(Duration::from_secs(2)).await;
    Ok(())
}

async fn create<K>(site: &Site, object: Value) -> Result<(), Failed>
where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + serde::Serialize,
{
    let api: Api<K> = Api::namespaced(site.server.client(), NAMESPACE);
    api.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
    Ok(())
}

async fn standing(site: &Site) -> Result<Standing, Failed> {
    let mut all = Standing::new();
    let namespaces: Api<Namespace> = Api::all(site.server.client());
    let theirs = namespaces.get(NAMESPACE).await?;
    note(&mut all, [theirs]);
    note(&mut all, theirs_of::<NetworkPolicy>(site).await?);
    note(&mut all, theirs_of::<Service>(site).await?);
    note(&mut all, theirs_of::<Deployment>(site).await?);
    note(&mut all, theirs_of::<ReplicaSet>(site).await?);
    note(&mut all, theirs_of::<Pod>(site).await?);
    Ok(all)
}

async fn theirs_of<K>(site: &Site) -> Result<Vec<K>, Failed>
where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(site.server.client(), NAMESPACE);
    Ok(api.list(&ListParams::default()).await?.items)
}

fn note<K: Resource<DynamicType = ()>>(all: &mut Standing, objects: impl IntoIterator<Item = K>) {
    for object in objects {
        let meta = object.meta();
        let name = format!("{} {}", K::kind(&()), meta.name.as_deref().unwrap_or_default());
        let uid = meta.uid.clone().unwrap_or_default();
        all.insert(name, (uid, meta.resource_version.clone().unwrap_or_default()));
    }
}

/// What the Service's EndpointSlices held of probe pods, looked at over and over while a run goes on.
struct Slices {
    enough: Arc<AtomicBool>,
    looking: tokio::task::JoinHandle<Result<Seen, kube::Error>>,
}

#[derive(Default)]
struct Seen {
    /// Times that a probe pod was there, not ready.
    unready: usize,
    /// Probe pods that connections would have been sent to.
    ready: Vec<String>,
}

impl Slices {
    fn watch(site: &Site) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let api: Api<EndpointSlice> = Api::namespaced(site.server.client(), NAMESPACE);
        let told = Arc::clone(&enough);
        let looking = site.runtime.spawn(async move {
            let mut seen = Seen::default();
            while !told.load(Ordering::Relaxed) {
                let slices = api.list(&ListParams::default().labels("kubernetes.io/service-name=store")).await?;
                for endpoint in slices.items.into_iter().flat_map(|slice| slice.endpoints.unwrap_or_default()) {
                    let name = endpoint.target_ref.and_then(|target| target.name).unwrap_or_default();
                    if !name.starts_with("leakproof-") {
                        continue;
                    }
                    match endpoint.conditions.and_then(|conditions| conditions.ready) {
                        Some(false) => seen.unready += 1,
                        Some(true) | None => seen.ready.push(name),
                    }
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Ok(seen)
        });
        Self { enough, looking }
    }

    fn end(self, site: &Site) -> Result<Seen, Failed> {
        self.enough.store(true, Ordering::Relaxed);
        Ok(site.runtime.block_on(self.looking)??)
    }
}

/// Nothing of ours, in their namespace either.
fn nothing_left(site: &Site) -> Result<(), Failed> {
    site.nothing_left()?;
    let left = site.runtime.block_on(async {
        let maps: Api<ConfigMap> = Api::all(site.server.client());
        maps.list(&ListParams::default().labels(&mark::selector(None))).await
    })?;
    let names: Vec<String> = left.items.into_iter().filter_map(|map| map.metadata.name).collect();
    ensure(names.is_empty(), || format!("left behind: {names:?}"))
}

/// A run that was killed among their objects is cleaned away, and they stay.
pub fn killed_is_cleaned(site: &Site) -> Result<(), Failed> {
    deployed(site, Unready::LeftOut, |site, folder| {
        let before = site.runtime.block_on(standing(site))?;
        let (scenario, outputs) = (folder.join("shop.yaml"), folder.join("outputs.json"));
        let [scenario, outputs] = [scenario, outputs].map(|path| path.display().to_string());
        let mut child = site
            .command(&["run", &scenario, "--on", "cluster", "--adopt", "--pulumi-outputs", &outputs, "--quiet"])
            .spawn()?;
        let made = site.runtime.block_on(async {
            let pods: Api<Pod> = Api::namespaced(site.server.client(), NAMESPACE);
            for _ in 0..600 {
                let ours = pods.list(&ListParams::default().labels(&mark::selector(None))).await?;
                if !ours.items.is_empty() {
                    return Ok(true);
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Ok::<_, kube::Error>(false)
        });
        child.kill()?;
        child.wait()?;
        ensure(made?, || "the run made no pod in their namespace".into())?;
        let cleaned = site.say(&["clean"])?;
        ensure(cleaned.status.success(), || told(&cleaned))?;
        nothing_left(site)?;
        let after = site.runtime.block_on(standing(site))?;
        ensure(before == after, || format!("before: {before:?}\nafter: {after:?}"))
    })
}
