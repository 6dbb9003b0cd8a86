//! Hard days: a run is killed at any moment, or parts of the cluster are, under it. What was left is cleaned away and nothing
//! of others; what could not be seen is inconclusive, and no verdict is wrong.
//!
//! All of it takes minutes and some of it restarts what the cluster consists of, so it is ignored unless asked for:
//! `cargo test --features e2e --test e2e hard_days -- --ignored`. `LEAKPROOF_REPEATS` says how many runs are killed (5).

#![allow(clippy::print_stderr, reason = "what was met says how much was shown")]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Pod, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{Api, ListParams, PostParams};
use kube::{Resource, ResourceExt};
use leakproof::fabric::cluster::mark;
use leakproof::fabric::cluster::options::LOCAL_IMAGE;
use leakproof::model::document::{Document, Stage};
use leakproof::model::finding::Call;
use leakproof::model::verdict::Verdict;
use libtest_mimic::Failed;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Site, document, ensure, json as json_file, scenario, told};

/// Somebody's namespace, which has what a run has too.
const BYSTANDER: &str = "leakproof-bystander";
/// So many runs are killed where nobody says otherwise.
const KILLS: u32 = 5;
/// What was restarted is whole again within this.
const RECOVERY: Duration = Duration::from_secs(240);

/// What is of one owner: kind, namespace and name, by UID.
type Objects = BTreeMap<String, String>;

pub fn killed_at_any_moment(site: &Site) -> Result<(), Failed> {
    let kills = std::env::var("LEAKPROOF_REPEATS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    site.make_theirs(BYSTANDER)?;
    let done = site.runtime.block_on(furnish(site)).and_then(|()| kill_and_clean(site, kills));
    site.remove_theirs(BYSTANDER)?;
    done
}

fn kill_and_clean(site: &Site, kills: u32) -> Result<(), Failed> {
    let theirs = site.runtime.block_on(standing(site))?;
    let begun = Instant::now();
    let whole = site.say(&run(&scenario().display().to_string()))?;
    ensure(whole.status.code() == Some(0), || told(&whole))?;
    let mut whole = begun.elapsed();
    let (mut met, mut left_something) = (0, 0);
    for kill in 0..kills {
        // One in each of as many equal parts of a run, tear-down included, and anywhere in that part.
        let after = whole.mul_f64((f64::from(kill) + chance()?) / f64::from(kills));
        let mut child = site.command(&run(&scenario().display().to_string())).stdout(Stdio::null()).spawn()?;
        let mut said = child.stderr.take().ok_or("stderr was piped")?;
        let hearing = std::thread::spawn(move || {
            let mut text = Vec::new();
            // What it said until it was killed; that it could say no more is what was wanted.
            let _ = said.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        // This is the input, and nothing is waited for.
        std::thread::sleep(after);
        let ended = child.try_wait()?;
        child.kill()?;
        child.wait()?;
        let said = hearing.join().unwrap_or_default();
        met += u32::from(ended.is_none());
        if ended.is_some() {
            // The first may have taken longer than runs take now; kills after the end show nothing.
            whole = whole.min(after);
        }
        let left = site.runtime.block_on(marked(site))?;
        left_something += u32::from(!left.is_empty());
        let at = format!("killed after {after:?}, having said {said:?}");
        let cleaned = site.say(&["clean"])?;
        ensure(cleaned.status.success(), || format!("{at}: {}", told(&cleaned)))?;
        let left = site.runtime.block_on(marked(site))?;
        ensure(left.is_empty(), || format!("{at}: left behind: {left:?}"))?;
        let now = site.runtime.block_on(standing(site))?;
        ensure(now == theirs, || format!("{at}: theirs was {theirs:?}\nand is {now:?}"))?;
    }
    eprintln!(
        "of {kills} kills in {whole:.1?} of a run {met} met one, and {left_something} left something to clean away"
    );
    let enough = kills / 2;
    ensure(met > enough && left_something > 0, || {
        format!("of {kills} kills {met} met a run, and {left_something} left something: nothing was shown")
    })
}

pub fn kubelet_restarted(site: &Site) -> Result<(), Failed> {
    let node = worker(site, 0)?;
    under(site, "kubelet", || inside(&node, "systemctl restart kubelet"))
}

pub fn containerd_restarted(site: &Site) -> Result<(), Failed> {
    let node = worker(site, 1)?;
    under(site, "containerd", || inside(&node, "systemctl restart containerd"))
}

pub fn api_server_restarted(site: &Site) -> Result<(), Failed> {
    let node = control_plane(site)?;
    under(site, "api-server", || inside(&node, "kill -9 $(pgrep -x kube-apiserver)"))
}

/// A long run under which something is done to the cluster: it ends right or inconclusive.
fn under(site: &Site, name: &str, deed: impl FnOnce() -> Result<(), Failed>) -> Result<(), Failed> {
    let json = json_file(name);
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/twenty-policies.yaml");
    // Enforcement may be late while its server is away; that it was late is no wrong verdict, and not what is looked for.
    let more = ["--converge-within", "90s", "--json", &json.display().to_string()].map(str::to_owned);
    let child = site.begin_with(&scenario, &more.iter().map(String::as_str).collect::<Vec<_>>());
    let done = child.and_then(|mut child| {
        // Some policies later.
        std::thread::sleep(Duration::from_secs(6));
        let done = deed();
        Ok((child.wait()?, done))
    });
    let recovered = recovered(site);
    let (status, done) = done?;
    done?;
    recovered?;
    let document = document(&json)?;
    let aborted = &document.aborted;
    eprintln!("{name} restarted: exit {:?}, {:?}, {aborted:?}", status.code(), document.counts);
    let wrong: Vec<String> = judged(&document)
        .flat_map(|stage| stage.cells.iter().map(move |cell| (stage, cell)))
        .filter(|(_, cell)| !matches!(cell.call, Call::Ok | Call::Inconclusive))
        .map(|(stage, cell)| format!("{} {} in `{}`", cell.call.word(), cell.flow, stage.name))
        .collect();
    ensure(wrong.is_empty(), || format!("wrong verdicts: {wrong:?}"))?;
    ensure(matches!(status.code(), Some(0 | 6)), || format!("{status}: {:?}, {aborted:?}", document.counts))?;
    let ok = document.counts.ok;
    ensure(ok > 0, || format!("nothing was seen at all: {:?}, {aborted:?}", document.counts))?;
    site.nothing_left()
}

fn judged(document: &Document) -> impl Iterator<Item = &Stage> {
    document.stages.iter().filter(|stage| stage.name != "baseline")
}

/// Every agent is killed where it runs, as by a crash: it serves and sends no more, and its pod is still there.
pub fn dead_servers_prove_nothing(site: &Site) -> Result<(), Failed> {
    let nodes = [worker(site, 0)?, worker(site, 1)?];
    let json = json_file("dead-servers");
    let mut child = site.begin(&json)?;
    for node in &nodes {
        inside(node, "pkill -9 -x leakproof-agent")?;
    }
    let status = child.wait()?;
    let document = document(&json)?;
    eprintln!("all servers dead: exit {:?}, {:?}, {:?}", status.code(), document.counts, document.aborted);
    ensure(judged(&document).any(|stage| !stage.cells.is_empty()), || "no cell was there to be judged".into())?;
    let denied: Vec<String> = judged(&document)
        .flat_map(|stage| &stage.cells)
        .filter(|cell| cell.verdict == Some(Verdict::Denied))
        .map(|cell| cell.flow.to_string())
        .collect();
    ensure(denied.is_empty(), || format!("counted as denied though every server was dead: {denied:?}"))?;
    ensure(!status.success(), || "a run without servers passed".into())?;
    site.nothing_left()
}

/// Arguments of a run that says how it goes.
fn run(scenario: &str) -> [&str; 4] {
    ["run", scenario, "--on", "cluster"]
}

/// A number from 0 up to 1.
fn chance() -> Result<f64, Failed> {
    let mut bytes = [0; 4];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX))
}

/// What a run makes too: a pod, a policy, a Service, a ConfigMap.
async fn furnish(site: &Site) -> Result<(), Failed> {
    let labels = json!({ "role": "data-store", "leakproof.example/run": "theirs" });
    let container = json!({ "name": "agent", "image": LOCAL_IMAGE, "args": [ "--control", "tcp:127.0.0.1:41000" ],
        "env": [ { "name": "LEAKPROOF_AGENT_TOKEN", "value": "theirs" } ] });
    make::<Pod>(
        site,
        json!({ "metadata": { "name": "data-store", "labels": labels }, "spec": { "containers": [ container ],
        "terminationGracePeriodSeconds": 1 } }),
    )
    .await?;
    make::<NetworkPolicy>(
        site,
        json!({ "metadata": { "name": "allow-ai-processing-to-data-store", "labels": labels },
        "spec": { "podSelector": {} } }),
    )
    .await?;
    make::<Service>(site, json!({ "metadata": { "name": "store" }, "spec": { "ports": [ { "port": 80 } ] } })).await?;
    make::<ConfigMap>(site, json!({ "metadata": { "name": "leakproof-theirs", "labels": labels } })).await
}

async fn make<K>(site: &Site, object: Value) -> Result<(), Failed>
where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + serde::Serialize,
{
    let api: Api<K> = Api::namespaced(site.server.client(), BYSTANDER);
    api.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
    Ok(())
}

/// What is the bystander's.
async fn standing(site: &Site) -> Result<Objects, Failed> {
    let client = site.server.client();
    let mut all = Objects::new();
    let here = ListParams::default();
    note(&mut all, [Api::<Namespace>::all(client.clone()).get(BYSTANDER).await?]);
    note(&mut all, Api::<Pod>::namespaced(client.clone(), BYSTANDER).list(&here).await?.items);
    note(&mut all, Api::<NetworkPolicy>::namespaced(client.clone(), BYSTANDER).list(&here).await?.items);
    note(&mut all, Api::<Service>::namespaced(client.clone(), BYSTANDER).list(&here).await?.items);
    note(&mut all, Api::<ConfigMap>::namespaced(client, BYSTANDER).list(&here).await?.items);
    Ok(all)
}

/// Everything with leakproof's mark, of every kind that a run makes.
async fn marked(site: &Site) -> Result<Objects, Failed> {
    let client = site.server.client();
    let ours = ListParams::default().labels(&mark::selector(None));
    let mut all = Objects::new();
    note(&mut all, Api::<Namespace>::all(client.clone()).list(&ours).await?.items);
    note(&mut all, Api::<Pod>::all(client.clone()).list(&ours).await?.items);
    note(&mut all, Api::<NetworkPolicy>::all(client.clone()).list(&ours).await?.items);
    note(&mut all, Api::<Service>::all(client.clone()).list(&ours).await?.items);
    note(&mut all, Api::<ConfigMap>::all(client).list(&ours).await?.items);
    Ok(all)
}

/// One that is on its way out is not as it was.
fn note<K: Resource<DynamicType = ()>>(all: &mut Objects, objects: impl IntoIterator<Item = K>) {
    for object in objects {
        let leaving = if object.meta().deletion_timestamp.is_some() { " (leaving)" } else { "" };
        let name =
            format!("{} {}/{}{leaving}", K::kind(&()), object.namespace().unwrap_or_default(), object.name_any());
        all.insert(name, object.uid().unwrap_or_default());
    }
}

/// Waits until every node is ready, and every pod of the cluster's own.
fn recovered(site: &Site) -> Result<(), Failed> {
    let begun = Instant::now();
    loop {
        let unready = site.runtime.block_on(async {
            let nodes = Api::<Node>::all(site.server.client()).list(&ListParams::default()).await?;
            let system =
                Api::<Pod>::namespaced(site.server.client(), "kube-system").list(&ListParams::default()).await?;
            let nodes = nodes.items.iter().filter(|node| {
                let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
                !conditions.into_iter().flatten().any(|one| one.type_ == "Ready" && one.status == "True")
            });
            let pods = system.items.iter().filter(|pod| {
                let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
                !conditions.into_iter().flatten().any(|one| one.type_ == "Ready" && one.status == "True")
            });
            let names = nodes.map(ResourceExt::name_any).chain(pods.map(ResourceExt::name_any));
            Ok::<_, kube::Error>(names.collect::<Vec<String>>())
        });
        match unready {
            Ok(names) if names.is_empty() => return Ok(()),
            Ok(_) | Err(_) if begun.elapsed() < RECOVERY => std::thread::sleep(Duration::from_secs(2)),
            Ok(names) => return Err(format!("not whole again after {RECOVERY:?}: {names:?}").into()),
            Err(error) => return Err(format!("not whole again after {RECOVERY:?}: {error}").into()),
        }
    }
}

/// The name of a node that takes pods, which in kind is its container's.
fn worker(site: &Site, place: usize) -> Result<String, Failed> {
    let mut names = nodes(site, |tainted| !tainted)?;
    ensure(place < names.len(), || format!("there are {} nodes that take pods", names.len()))?;
    Ok(names.swap_remove(place))
}

fn control_plane(site: &Site) -> Result<String, Failed> {
    nodes(site, |tainted| tainted)?.pop().ok_or_else(|| "no node is tainted as a control plane is".into())
}

fn nodes(site: &Site, wanted: impl Fn(bool) -> bool) -> Result<Vec<String>, Failed> {
    let nodes = site.runtime.block_on(Api::<Node>::all(site.server.client()).list(&ListParams::default()))?;
    let tainted = |node: &Node| {
        let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
        taints.into_iter().flatten().any(|taint| taint.key == "node-role.kubernetes.io/control-plane")
    };
    let mut names: Vec<String> =
        nodes.items.iter().filter(|node| wanted(tainted(node))).map(ResourceExt::name_any).collect();
    names.sort();
    Ok(names)
}

/// Runs a command in a node of kind.
fn inside(node: &str, command: &str) -> Result<(), Failed> {
    let output = Command::new("docker").args(["exec", node, "sh", "-c", command]).output();
    let output = output.map_err(|error| format!("docker: {error}"))?;
    ensure(output.status.success(), || format!("`{command}` on {node}: {}: {}", output.status, told(&output)))
}
