//! One trial per flow and stage of every scenario in `scenarios/`, on the lab.
//!
//! A scenario is run once, by the program itself, and leaves its JSON; a trial looks its cell up there and never probes.
//! Under `cargo test` the runs are kept for this process. Under nextest, where every trial is a process of its own,
//! they are kept for the nextest run, and a lock lets one process make each. Listing runs nothing.
//!
//! Where this machine has no lab, trials are shown as ignored with the reason; `LEAKPROOF_REQUIRE_LAB=1` makes that a
//! failure.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex, OnceLock};

use leakproof::model::document::{Document, FabricKind, Strictness};
use leakproof::model::finding::Call;
use leakproof::model::flow::NamedFlow;
use leakproof::model::verdict::{Meaning, Verdict};
use leakproof::report::name::trial;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

const PROGRAM: &str = env!("CARGO_BIN_EXE_leakproof");

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let store = Arc::new(Store::new());
    let mut trials = Vec::new();
    for file in scenario_files() {
        trials.extend(trials_of(&file, &store));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    store.clear();
    conclusion.exit_code()
}

fn scenario_files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut files: Vec<PathBuf> = [folder.clone(), folder.join("calico")]
        .iter()
        .flat_map(|folder| fs::read_dir(folder).expect("the folder `scenarios` is readable"))
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.ends_with(".yaml") && !name.ends_with(".policy.yaml")
        })
        .collect();
    files.sort();
    assert!(files.len() >= 30, "found only {} scenarios", files.len());
    files
}

fn trials_of(file: &Path, store: &Arc<Store>) -> Vec<Trial> {
    let scenario = match leakproof::scenario::load(file, Strictness::Normal) {
        Ok(scenario) => scenario,
        Err(refusal) => {
            let (name, message) = (file.display().to_string(), refusal.to_string());
            return vec![Trial::test(format!("{name} loads"), move || Err(Failed::from(message)))];
        }
    };
    let mut trials = Vec::new();
    for stage in scenario.stages() {
        let predictions = leakproof::oracle::predict(&stage.world, &stage.cells);
        for (id, flow, intent) in stage.intent.iter() {
            let meaning = predictions.meaning(id).unwrap_or(Meaning::Unknown);
            let Some(expected) = intent.verdict().or(meaning.verdict()) else { continue };
            let named = scenario.named(flow);
            let name = trial(FabricKind::Lab, scenario.name(), &stage.name, &named, *intent, meaning);
            if let Some(requirement) = scenario.requirement() {
                let why = format!("it requires {requirement}, and this is the lab");
                trials.push(Trial::ignorable_test(name, move || Ok(Completion::ignored_with(why.clone()))));
                continue;
            }
            let (store, file, stage) = (Arc::clone(store), file.to_owned(), stage.name.clone());
            trials.push(Trial::ignorable_test(name, move || judge(&store, &file, &stage, &named, expected)));
        }
    }
    trials
}

/// Looks one cell up in its scenario's run.
fn judge(store: &Store, file: &Path, stage: &str, flow: &NamedFlow, expected: Verdict) -> Result<Completion, Failed> {
    let document = match store.run(file) {
        Ok(document) => document,
        Err(NoRun::NoLab(why)) if !required() => return Ok(Completion::ignored_with(why)),
        Err(NoRun::NoLab(why) | NoRun::Broken(why)) => return Err(Failed::from(why)),
    };
    let cell = document
        .stages
        .iter()
        .find(|s| s.name == stage)
        .and_then(|s| s.cells.iter().find(|c| c.flow == *flow))
        .ok_or_else(|| Failed::from(format!("the run has no cell {flow} in stage `{stage}`")))?;
    match cell.call {
        Call::Ok if cell.verdict == Some(expected) => Ok(Completion::Completed),
        Call::Unsupported => Ok(Completion::ignored_with(format!("{:?}", cell.reality))),
        _ => Err(Failed::from(format!("{}: {flow} should be {expected}: {cell:#?}", cell.call.word()))),
    }
}

fn required() -> bool {
    std::env::var_os("LEAKPROOF_REQUIRE_LAB").is_some_and(|v| v == "1")
}

/// The runs made so far.
struct Store {
    folder: PathBuf,
    shared: Shared,
    runs: Mutex<BTreeMap<PathBuf, Arc<OnceLock<Made>>>>,
}

/// What came of one run.
type Made = Result<Arc<Document>, NoRun>;

/// Whether other processes look into the same folder.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shared {
    Alone,
    WithOthers,
}

#[derive(Debug, Clone)]
enum NoRun {
    NoLab(String),
    Broken(String),
}

impl Store {
    fn new() -> Self {
        let (name, shared) = match std::env::var("NEXTEST_RUN_ID") {
            Ok(run) => (format!("scenarios-{run}"), Shared::WithOthers),
            Err(_) => (format!("scenarios-{}", std::process::id()), Shared::Alone),
        };
        Self { folder: Path::new(env!("CARGO_TARGET_TMPDIR")).join(name), shared, runs: Mutex::default() }
    }

    fn run(&self, file: &Path) -> Result<Arc<Document>, NoRun> {
        let slot = Arc::clone(
            self.runs.lock().expect("no trial panics while holding this").entry(file.to_owned()).or_default(),
        );
        slot.get_or_init(|| self.make(file)).clone()
    }

    fn make(&self, file: &Path) -> Result<Arc<Document>, NoRun> {
        let broken = |what: &str, error: &dyn std::fmt::Display| NoRun::Broken(format!("{what}: {error}"));
        fs::create_dir_all(&self.folder).map_err(|e| broken("making the folder of runs", &e))?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let json = self.folder.join(format!("{name}.json"));
        let lock =
            fs::File::create(self.folder.join(format!("{name}.lock"))).map_err(|e| broken("making a lock", &e))?;
        lock.lock().map_err(|e| broken("taking the lock", &e))?;
        if !json.exists() {
            let output = Command::new(PROGRAM)
                .args(["run", "--quiet", "--on", "lab", "--json"])
                .arg(&json)
                .arg(file)
                .output()
                .map_err(|e| broken("starting leakproof", &e))?;
            if !json.exists() {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                return Err(match output.status.code() {
                    Some(4) => NoRun::NoLab(said),
                    code => NoRun::Broken(format!("leakproof left no JSON (exit {code:?}): {said}")),
                });
            }
        }
        let text = fs::read(&json).map_err(|e| broken("reading a run", &e))?;
        serde_json::from_slice(&text).map(Arc::new).map_err(|e| broken("reading a run", &e))
    }

    fn clear(&self) {
        if self.shared == Shared::Alone {
            // Left-over files below the target folder harm nobody.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}
