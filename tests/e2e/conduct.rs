//! How a run behaves in a cluster, apart from its verdicts.

#[path = "adopt.rs"]
mod adopt;
#[path = "gather.rs"]
mod gather;
#[path = "hard_days.rs"]
mod hard_days;
#[path = "rights.rs"]
mod rights;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use leakproof::fabric::cluster::mark;
use leakproof::fabric::cluster::server::Server;
use leakproof::model::document::Document;
use leakproof::model::verdict::Verdict;
use libtest_mimic::{Completion, Failed, Trial};

use super::trials::{NoRun, PROGRAM, Store};

/// The scenario all of these are made with.
const PIPELINE: &str = "ai-data-pipeline";
/// A namespace of it.
const OURS: &str = "ai-staging";

type Conclusion = Result<Completion, Failed>;

/// What a trial of this file does.
type Conduct = fn(&Site) -> Result<(), Failed>;

/// The trials.
pub fn trials(store: &Arc<Store>) -> Vec<Trial> {
    let all: [(&str, Conduct); 14] = [
        ("a run leaves nothing behind", leaves_nothing),
        ("an interrupted run leaves nothing behind", interrupted_leaves_nothing),
        ("what a killed run left is cleaned away and nothing else is", killed_is_cleaned),
        ("a namespace that is there is not taken over", takes_nothing_over),
        ("a second run of the same scenario is refused and does not disturb the first", second_is_refused),
        ("with every agent dead nothing counts as denied", dead_agents_prove_nothing),
        ("a run among somebody's own objects changes nothing of theirs", adopt::changes_nothing_of_theirs),
        ("what somebody deployed is believed, and a difference to the file told", adopt::tells_what_differs),
        ("a run whose pods a Service would take for its own is refused", adopt::refuses_to_join),
        ("what a killed run left among somebody's own objects is cleaned away", adopt::killed_is_cleaned),
        ("what findings suggest among somebody's own objects reads what is in force", adopt::suggests_what_is_in_force),
        ("a failure is gathered with what the policy engine said on its nodes", gather::a_failure),
        ("the rights that ci/rbac.yaml grants suffice", rights::suffice),
        ("a run that lacks a right says which before it touches anything", rights::lacking_is_told_first),
    ];
    // These take minutes, and restart parts of the cluster.
    let asked_for: [(&str, Conduct); 5] = [
        ("what a run left that was killed at any moment is cleaned away", hard_days::killed_at_any_moment),
        ("a kubelet that restarts during a run makes no verdict wrong", hard_days::kubelet_restarted),
        ("a containerd that restarts during a run makes no verdict wrong", hard_days::containerd_restarted),
        ("an API server that restarts during a run makes no verdict wrong", hard_days::api_server_restarted),
        ("with every server killed where it runs nothing counts as denied", hard_days::dead_servers_prove_nothing),
    ];
    let trial = |(part, name, conduct): (&str, &str, Conduct)| {
        let store = Arc::clone(store);
        Trial::ignorable_test(format!("cluster::{part}::{name}"), move || conclude(&store, conduct))
    };
    let everyday = all.into_iter().map(|(name, conduct)| trial(("conduct", name, conduct)));
    let asked_for =
        asked_for.into_iter().map(|(name, conduct)| trial(("hard_days", name, conduct)).with_ignored_flag(true));
    everyday.chain(asked_for).collect()
}

fn conclude(store: &Store, conduct: fn(&Site) -> Result<(), Failed>) -> Conclusion {
    let _alone = match store.alone("one") {
        Ok(lock) => lock,
        Err(none) => return none.conclude(store.place),
    };
    let site = match Site::reach() {
        Ok(site) => site,
        Err(none) => return none.conclude(store.place),
    };
    conduct(&site).map(|()| Completion::Completed)
}

/// A cluster that answers.
struct Site {
    runtime: tokio::runtime::Runtime,
    server: Server,
    /// What the program is given in the place of our own, where it is to be somebody else.
    kubeconfig: Option<PathBuf>,
}

impl Site {
    fn reach() -> Result<Self, NoRun> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|error| NoRun::Broken(error.to_string()))?;
        let context = std::env::var("LEAKPROOF_CONTEXT").ok().filter(|name| !name.is_empty());
        match runtime.block_on(Server::connect(context.as_deref())) {
            Ok((server, _)) => Ok(Self { runtime, server, kubeconfig: None }),
            Err(error) => Err(NoRun::Absent(format!("no cluster to work in: {error}"))),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).args(["--context", self.server.context()]);
        command.envs(self.kubeconfig.iter().map(|file| ("KUBECONFIG", file)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn say(&self, arguments: &[&str]) -> Result<Output, Failed> {
        Ok(self.command(arguments).output()?)
    }

    /// A run of the pipeline scenario, under way: it has said that it began to judge.
    fn begin(&self, json: &Path) -> Result<Child, Failed> {
        self.begin_with(&scenario(), &["--json", &json.display().to_string(), "--converge-within", "60s"])
    }

    /// A run of any scenario, under way.
    fn begin_with(&self, file: &Path, more: &[&str]) -> Result<Child, Failed> {
        let file = file.display().to_string();
        // What it prints is not read while it goes on.
        let mut child = self
            .command(&[&["run", &file, "--on", "cluster"], more].concat())
            .stdout(Stdio::null())
            .env("CI", "1")
            .spawn()?;
        let heard = child.stderr.take().ok_or("stderr was piped")?;
        let mut heard = BufReader::new(heard).lines();
        for line in heard.by_ref() {
            // Progress is told line by line where there is no terminal.
            if line?.contains("world: done") {
                // The rest must be read too, or the program would wait for a reader.
                std::thread::spawn(move || heard.for_each(drop));
                return Ok(child);
            }
        }
        let code = child.wait()?;
        Err(format!("the run ended before it had a world: {code}").into())
    }

    /// Everything with leakproof's mark: kind and name, by UID.
    fn marked(&self) -> Result<BTreeMap<String, String>, Failed> {
        self.runtime.block_on(async {
            let wanted = ListParams::default().labels(&mark::selector(None));
            let namespaces: Api<Namespace> = Api::all(self.server.client());
            let pods: Api<Pod> = Api::all(self.server.client());
            let mut all = BTreeMap::new();
            for namespace in namespaces.list(&wanted).await? {
                all.insert(namespace.metadata.uid.unwrap_or_default(), namespace.metadata.name.unwrap_or_default());
            }
            for pod in pods.list(&wanted).await? {
                all.insert(pod.metadata.uid.unwrap_or_default(), pod.metadata.name.unwrap_or_default());
            }
            Ok(all)
        })
    }

    fn nothing_left(&self) -> Result<(), Failed> {
        let left = self.marked()?;
        if left.is_empty() { Ok(()) } else { Err(format!("left behind: {left:?}").into()) }
    }

    /// Somebody's own namespace.
    fn make_theirs(&self, name: &str) -> Result<String, Failed> {
        self.runtime.block_on(async {
            let api: Api<Namespace> = Api::all(self.server.client());
            let theirs = serde_json::json!({ "metadata": { "name": name } });
            let made = api.create(&PostParams::default(), &serde_json::from_value(theirs)?).await?;
            Ok(made.metadata.uid.unwrap_or_default())
        })
    }

    /// Takes it away again, and gives its UID as it was to the end.
    fn remove_theirs(&self, name: &str) -> Result<Option<String>, Failed> {
        self.runtime.block_on(async {
            let api: Api<Namespace> = Api::all(self.server.client());
            let uid = api.get_opt(name).await?.and_then(|namespace| namespace.metadata.uid);
            api.delete(name, &DeleteParams::default()).await?;
            while api.get_opt(name).await?.is_some() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Ok(uid)
        })
    }
}

fn scenario() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("scenarios/{PIPELINE}.yaml"))
}

fn json(name: &str) -> PathBuf {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("conduct-{name}-{}.json", std::process::id()));
    // One of an earlier process of the same id would be taken for this one's.
    let _ = std::fs::remove_file(&file);
    file
}

fn document(file: &Path) -> Result<Document, Failed> {
    let text = std::fs::read(file)?;
    let _ = std::fs::remove_file(file);
    Ok(serde_json::from_slice(&text)?)
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(otherwise().into()) }
}

fn leaves_nothing(site: &Site) -> Result<(), Failed> {
    let file = json("leaves");
    let file_text = file.display().to_string();
    let scenario = scenario().display().to_string();
    let output = site.say(&["run", &scenario, "--on", "cluster", "--quiet", "--json", &file_text])?;
    let document = document(&file).map_err(|_| told(&output))?;
    ensure(document.left_behind.is_empty(), || format!("{:?}", document.left_behind))?;
    site.nothing_left()
}

fn interrupted_leaves_nothing(site: &Site) -> Result<(), Failed> {
    let file = json("interrupted");
    let mut child = site.begin(&file)?;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id().cast_signed()), nix::sys::signal::Signal::SIGINT)?;
    let status = child.wait()?;
    ensure(status.code() == Some(130), || format!("ended with {status}, not 130"))?;
    site.nothing_left()
}

/// A run that is killed in full flight, and has left something.
fn begin_and_kill(site: &Site, json: &Path) -> Result<(), Failed> {
    let mut child = site.begin(json)?;
    child.kill()?;
    child.wait()?;
    ensure(!site.marked()?.is_empty(), || "the killed run had made nothing yet".into())
}

fn killed_is_cleaned(site: &Site) -> Result<(), Failed> {
    let theirs = "leakproof-conduct-theirs";
    let uid = site.make_theirs(theirs)?;
    let done = (|| {
        begin_and_kill(site, &json("killed"))?;
        let listed = site.say(&["clean", "--dry-run"])?;
        ensure(told(&listed).contains("Namespace ai-data-pipeline"), || told(&listed))?;
        ensure(!told(&listed).contains(theirs), || format!("`clean` means to take {theirs}: {}", told(&listed)))?;
        ensure(!site.marked()?.is_empty(), || "--dry-run removed something".into())?;
        let cleaned = site.say(&["clean"])?;
        ensure(cleaned.status.success(), || told(&cleaned))?;
        site.nothing_left()
    })();
    let after = site.remove_theirs(theirs)?;
    ensure(after.as_deref() == Some(uid.as_str()), || format!("{theirs} was replaced or removed: {after:?}"))?;
    done
}

fn takes_nothing_over(site: &Site) -> Result<(), Failed> {
    let uid = site.make_theirs(OURS)?;
    let scenario = scenario().display().to_string();
    let output = site.say(&["run", &scenario, "--on", "cluster", "--quiet"]);
    let left = site.nothing_left();
    let after = site.remove_theirs(OURS)?;
    let output = output?;
    ensure(output.status.code() == Some(4), || format!("{}: {}", output.status, told(&output)))?;
    ensure(told(&output).contains("`ai-staging` is there already"), || told(&output))?;
    ensure(after.as_deref() == Some(uid.as_str()), || format!("{OURS} was replaced or removed: {after:?}"))?;
    left
}

fn second_is_refused(site: &Site) -> Result<(), Failed> {
    let file = json("first");
    let mut first = site.begin(&file)?;
    let scenario = scenario().display().to_string();
    let second = site.say(&["run", &scenario, "--on", "cluster", "--quiet"]);
    // Where nothing enforces policy the first would wait for convergence for long.
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(first.id().cast_signed()), nix::sys::signal::Signal::SIGTERM)?;
    first.wait()?;
    let second = second?;
    ensure(second.status.code() == Some(4), || format!("{}: {}", second.status, told(&second)))?;
    ensure(told(&second).contains("is there already (run "), || told(&second))?;
    let document = document(&file)?;
    let lost: Vec<_> = document.agents.iter().filter(|agent| agent.lost.is_some()).collect();
    ensure(lost.is_empty(), || format!("the second run cost the first its agents: {lost:?}"))?;
    site.nothing_left()
}

/// The worst bug a tester can have: everything it needed is gone, and it takes the silence for a denial.
fn dead_agents_prove_nothing(site: &Site) -> Result<(), Failed> {
    let file = json("dead");
    let mut child = site.begin(&file)?;
    let killed = site.runtime.block_on(async {
        let all: Api<Pod> = Api::all(site.server.client());
        let pods = all.list(&ListParams::default().labels(&mark::selector(None))).await?;
        for pod in &pods {
            let namespace = pod.metadata.namespace.clone().unwrap_or_default();
            let api: Api<Pod> = Api::namespaced(site.server.client(), &namespace);
            let at_once = DeleteParams::default().grace_period(0);
            api.delete(pod.metadata.name.as_deref().unwrap_or_default(), &at_once).await?;
        }
        Ok::<_, kube::Error>(pods.items.len())
    })?;
    ensure(killed > 0, || "there was no pod to kill".into())?;
    let status = child.wait()?;
    let document = document(&file)?;
    let judged = document.stages.iter().filter(|stage| stage.name != "baseline").flat_map(|stage| &stage.cells);
    let denied: Vec<String> =
        judged.filter(|cell| cell.verdict == Some(Verdict::Denied)).map(|cell| cell.flow.to_string()).collect();
    ensure(denied.is_empty(), || format!("counted as denied though every agent was dead: {denied:?}"))?;
    ensure(!status.success(), || "a run without agents passed".into())?;
    site.nothing_left()
}
