//! One trial per flow and stage of every scenario in `scenarios/`, on either fabric.
//!
//! A scenario is run once, by the program itself, and leaves its JSON; a trial looks its cell up there and never probes.
//! Under `cargo test` the runs are kept for this process. Under nextest, where every trial is a process of its own,
//! they are kept for the nextest run, and a lock lets one process make each. Listing runs nothing.
//!
//! Where a fabric is not to be had, trials are shown as ignored with the reason, unless the environment requires it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, OnceLock};

use leakproof::model::document::{Document, FabricKind, Strictness};
use leakproof::model::finding::Call;
use leakproof::model::flow::NamedFlow;
use leakproof::model::observation::Observation;
use leakproof::model::verdict::{Intent, Meaning, Verdict};
use leakproof::report::name::trial;
use libtest_mimic::{Completion, Failed, Trial};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_leakproof");

/// A fabric as trials see it.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Which.
    pub kind: FabricKind,
    /// What the folder of its runs is called.
    pub runs: &'static str,
    /// The environment variable that makes its absence a failure when it is `1`.
    pub required: &'static str,
    /// What `leakproof run` is given besides the scenario.
    pub arguments: fn() -> Vec<String>,
    /// Why it is not to be had, told from what the program said where it left no JSON; none where something broke.
    pub absent: fn(&Output) -> Option<String>,
    /// Whether two scenarios may be run at once.
    pub together: Together,
}

/// Whether two scenarios may be run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "each test binary knows one fabric")]
pub enum Together {
    /// Yes: each has a world of its own.
    Any,
    /// No: their namespaces may have the same names.
    OneByOne,
}

/// The scenarios of this repository.
pub fn scenario_files() -> Vec<PathBuf> {
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

/// The trials of one scenario.
pub fn trials_of(file: &Path, store: &Arc<Store>) -> Vec<Trial> {
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
            let expected = intent.verdict().or(meaning.verdict());
            let named = scenario.named(flow);
            let mut name = trial(store.place.kind, scenario.name(), &stage.name, &named, *intent, meaning);
            if scenario.depends_on_version(&stage.name, flow) {
                name = name.replace("is neither expected nor predicted", "is as expected of the version of Calico");
            } else if expected.is_none() {
                continue;
            }
            if let Some(requirement) = scenario.requirement().filter(|_| store.place.kind == FabricKind::Lab) {
                let why = format!("it requires {requirement}, and this is the lab");
                trials.push(Trial::ignorable_test(name, move || Ok(Completion::ignored_with(why.clone()))));
                continue;
            }
            let claim = Claim { stage: stage.name.clone(), flow: named, intent: *intent, meaning, expected };
            let (store, file) = (Arc::clone(store), file.to_owned());
            trials.push(Trial::ignorable_test(name, move || claim.judge(&store, &file)));
        }
    }
    trials
}

/// What a trial claims of one cell.
struct Claim {
    stage: String,
    flow: NamedFlow,
    intent: Intent,
    meaning: Meaning,
    /// None where it depends on the version of Calico that the run meets.
    expected: Option<Verdict>,
}

impl Claim {
    /// Looks the cell up in its scenario's run.
    fn judge(&self, store: &Store, file: &Path) -> Result<Completion, Failed> {
        let document = match store.run(file) {
            Ok(document) => document,
            Err(none) => return none.conclude(store.place),
        };
        let (flow, stage) = (&self.flow, &self.stage);
        let cell = document
            .stages
            .iter()
            .find(|s| s.name == *stage)
            .and_then(|s| s.cells.iter().find(|c| c.flow == *flow))
            .ok_or_else(|| {
                let why = document.aborted.as_deref().unwrap_or("the run was not ended early");
                Failed::from(format!("the run has no cell {flow} in stage `{stage}`: {why}"))
            })?;
        let Some(expected) = self.expected.or(cell.intent.verdict()) else {
            return Ok(Completion::ignored_with(
                "what is expected depends on Calico's version, which is not known here",
            ));
        };
        match cell.call {
            Call::Ok if cell.verdict == Some(expected) => Ok(Completion::Completed),
            Call::Unsupported => Ok(Completion::ignored_with(match &cell.reality {
                Observation::Unsupported { what } => format!("this world lacks {what}"),
                reality => format!("{reality:?}"),
            })),
            // Nobody wrote what this flow should be, and with the addresses it has here the policies mean another thing.
            Call::Ok if self.intent == Intent::Unstated && cell.meaning != self.meaning => {
                Ok(Completion::ignored_with("what the policies mean here rests on the addresses this world gave"))
            }
            _ => Err(Failed::from(format!("{}: {flow} should be {expected}: {cell:#?}", cell.call.word()))),
        }
    }
}

/// The runs made so far.
pub struct Store {
    /// Where they are made.
    pub place: Place,
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

/// Why there is no run to look into.
#[derive(Debug, Clone)]
pub enum NoRun {
    /// The fabric is not to be had.
    Absent(String),
    /// The fabric is not what the scenario requires.
    Unmet(String),
    /// Something went wrong.
    Broken(String),
}

impl NoRun {
    /// What a trial makes of it.
    pub fn conclude(&self, place: Place) -> Result<Completion, Failed> {
        match self {
            Self::Absent(why) if !required(place) => Ok(Completion::ignored_with(why.trim())),
            Self::Unmet(why) => Ok(Completion::ignored_with(why.trim())),
            Self::Absent(why) | Self::Broken(why) => Err(Failed::from(why.as_str())),
        }
    }
}

fn required(place: Place) -> bool {
    std::env::var_os(place.required).is_some_and(|value| value == "1")
}

impl Store {
    /// None yet.
    pub fn new(place: Place) -> Self {
        let (name, shared) = match std::env::var("NEXTEST_RUN_ID") {
            Ok(run) => (format!("{}-{run}", place.runs), Shared::WithOthers),
            Err(_) => (format!("{}-{}", place.runs, std::process::id()), Shared::Alone),
        };
        Self { place, folder: Path::new(env!("CARGO_TARGET_TMPDIR")).join(name), shared, runs: Mutex::default() }
    }

    /// The run of a scenario, made now if it was not yet.
    pub fn run(&self, file: &Path) -> Made {
        let slot = Arc::clone(
            self.runs.lock().expect("no trial panics while holding this").entry(file.to_owned()).or_default(),
        );
        slot.get_or_init(|| self.make(file)).clone()
    }

    fn make(&self, file: &Path) -> Made {
        let broken = |what: &str, error: &dyn std::fmt::Display| NoRun::Broken(format!("{what}: {error}"));
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let _alone = match self.place.together {
            Together::Any => self.alone(&name)?,
            Together::OneByOne => self.alone("one")?,
        };
        let json = self.folder.join(format!("{name}.json"));
        if !json.exists() {
            let mut command = Command::new(PROGRAM);
            command.args(["run", "--quiet", "--on", &self.place.kind.to_string(), "--json"]).arg(&json).arg(file);
            command.args((self.place.arguments)()).args(reports());
            let output = command.output().map_err(|e| broken("starting leakproof", &e))?;
            if !json.exists() {
                let said = String::from_utf8_lossy(&output.stderr);
                let unmet = said.lines().find(|line| line.contains("` was skipped: "));
                return Err(match ((self.place.absent)(&output), unmet) {
                    (_, Some(why)) => NoRun::Unmet(why.to_owned()),
                    (Some(why), None) => NoRun::Absent(why),
                    (None, None) => {
                        NoRun::Broken(format!("leakproof left no JSON (exit {:?}): {}", output.status.code(), said))
                    }
                });
            }
        }
        let text = fs::read(&json).map_err(|e| broken("reading a run", &e))?;
        serde_json::from_slice(&text).map(Arc::new).map_err(|e| broken("reading a run", &e))
    }

    /// A lock that one process, and in it one thread, has at a time.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn alone(&self, name: &str) -> Result<fs::File, NoRun> {
        let broken = |what: &str, error: &dyn std::fmt::Display| NoRun::Broken(format!("{what}: {error}"));
        fs::create_dir_all(&self.folder).map_err(|e| broken("making the folder of runs", &e))?;
        let lock =
            fs::File::create(self.folder.join(format!("{name}.lock"))).map_err(|e| broken("making a lock", &e))?;
        lock.lock().map_err(|e| broken("taking the lock", &e))?;
        Ok(lock)
    }

    /// Removes what this process alone needed.
    pub fn clear(&self) {
        if self.shared == Shared::Alone {
            // Left-over files below the target folder harm nobody.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// Reports of every run, in the folder that the environment names: JUnit, Markdown, HTML.
fn reports() -> Vec<String> {
    let Some(folder) = std::env::var_os("LEAKPROOF_REPORTS") else { return Vec::new() };
    let folder = folder.to_string_lossy().into_owned();
    // Where it cannot be made, the program says what is wrong with it.
    let _ = fs::create_dir_all(&folder);
    ["--junit", "--markdown", "--html"].into_iter().flat_map(|option| [option.to_owned(), folder.clone()]).collect()
}
