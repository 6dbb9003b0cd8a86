//! Simulated upgrades in the lab: a fault goes through a watched world on a schedule, and the windows found must be the
//! windows made, within two probe intervals, and nothing else.
//!
//! `cargo test --test watch` proves each once. `cargo test --release --test watch -- --ignored` is a stage of its own: twenty
//! repetitions of each (`LEAKPROOF_REPEATS`), and a quiet watch of ten minutes (`LEAKPROOF_MINUTES`) with 20 pods under a
//! competing load.
//!
//! What a starved machine could not see says nothing either way: such a run is made again, a few times. What was seen
//! wrongly fails at once.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use births::{LATE, OPEN, SHUT, WELL, behind, newborns};
use calm::quiet;
use cases::{CASES, Case};
use leakproof::model::document::Document;
use leakproof::model::finding::Call;
use leakproof::model::watch::{Fate, KnownOutcome, WatchInfo};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use lost_packet::lost_packet;
use stays::stays;
use windows::check;

#[path = "watch/births.rs"]
mod births;
#[path = "watch/calm.rs"]
mod calm;
#[path = "watch/cases.rs"]
mod cases;
#[path = "watch/lost_packet.rs"]
mod lost_packet;
#[path = "watch/stays.rs"]
mod stays;
#[path = "watch/windows.rs"]
mod windows;

const PROGRAM: &str = env!("CARGO_BIN_EXE_leakproof");

/// A machine may be too busy to see so many times in a row before that fails.
const TRIES: usize = 5;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Each trial has a world of its own to keep an eye on; beside each other they would starve each other's agents.
    arguments.test_threads.get_or_insert(1);
    let mut trials: Vec<Trial> = CASES.iter().map(|case| Trial::ignorable_test(case.claim, || prove(case))).collect();
    trials.push(Trial::ignorable_test("what is known does not count, and an unexpected pass is told", known));
    trials.push(Trial::ignorable_test("an established connection outlives the denial of its flow", outlives));
    trials.push(Trial::ignorable_test("a newborn whose flows are late is found with its wait", || newborns(&LATE)));
    trials.push(Trial::ignorable_test("a newborn that is open at birth is a leak", || newborns(&OPEN)));
    trials.push(Trial::ignorable_test(
        "a newborn of which a flow stays shut is an outage, and the flow is named",
        || newborns(&SHUT),
    ));
    trials.push(Trial::ignorable_test("newborns of a quiet watch wait for nothing and are never open", || {
        newborns(&WELL)
    }));
    trials.push(Trial::ignorable_test("a newborn like a pod behind a Service is refused", behind));
    trials.push(Trial::ignorable_test("the window of one lost packet ends within 20 ms", lost_packet));
    trials.push(Trial::ignorable_test("a leak that stays ends the watch and is not called quiet", stays));
    let long = CASES.iter().map(|case| {
        Trial::ignorable_test(format!("again and again: {}", case.claim), || {
            let repeats = number("LEAKPROOF_REPEATS", 20);
            (0..repeats).try_fold(Completion::Completed, |_, _| prove(case))
        })
    });
    trials.extend(long.map(|trial| trial.with_ignored_flag(true)));
    trials.push(
        Trial::ignorable_test("ten quiet minutes under a competing load find nothing", quiet).with_ignored_flag(true),
    );
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn scenario(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(name)
}

/// A watch that was run.
struct Run {
    document: Document,
    watch: WatchInfo,
    code: i32,
    said: String,
}

enum Ran {
    It(Box<Run>),
    /// Nothing was watched: the machine was too busy to converge, or to hold the pace.
    Not(String),
    /// There is no lab here.
    NoLab(String),
}

fn run(scenario: &Path, arguments: &[&str]) -> Result<Ran, Failed> {
    let folder = tempfile::tempdir()?;
    let json = folder.path().join("run.json");
    let mut command = Command::new(PROGRAM);
    command.arg("watch").arg(scenario).args(["--converge-within", "60s"]).arg("--json").arg(&json).args(arguments);
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let code = output.status.code().unwrap_or(-1);
    if code == 4 && std::env::var_os("LEAKPROOF_REQUIRE_LAB").is_none() {
        return Ok(Ran::NoLab(said));
    }
    let Ok(text) = std::fs::read_to_string(&json) else {
        return Err(format!("exit {code} without a document:\n{said}").into());
    };
    let document: Document = serde_json::from_str(&text)?;
    Ok(match document.watch.clone() {
        Some(watch) => Ran::It(Box::new(Run { document, watch, code, said })),
        None => Ran::Not(format!("exit {code}, nothing was watched:\n{said}")),
    })
}

fn prove(case: &'static Case) -> Result<Completion, Failed> {
    until_clear(case.arguments, |run| check(case, run))
}

/// Watches the pipeline until enough was seen to check it by. What was seen wrongly fails at once.
fn until_clear(arguments: &[&str], check: impl Fn(&Run) -> Result<Clarity, String>) -> Result<Completion, Failed> {
    let mut busy = String::new();
    for _ in 0..TRIES {
        match run(&scenario("ai-data-pipeline.yaml"), arguments)? {
            Ran::NoLab(said) => return Ok(Completion::ignored_with(said)),
            Ran::Not(why) => busy = why,
            Ran::It(run) => match check(&run) {
                Ok(Clarity::Clear) => return Ok(Completion::Completed),
                Ok(Clarity::Blurred(why)) => busy = why,
                Err(why) => return Err(format!("{why}\n{}", run.said).into()),
            },
        }
    }
    Err(format!("this machine was too busy {TRIES} times; the last time: {busy}").into())
}

enum Clarity {
    Clear,
    /// Nothing was seen wrongly, but too little was seen.
    Blurred(String),
}

/// The pipeline scenario with a `known:` list.
fn known() -> Result<Completion, Failed> {
    let folder = tempfile::tempdir()?;
    let text = std::fs::read_to_string(scenario("ai-data-pipeline.yaml"))?;
    let list = "known:\n\
        - { from: any, to: data-store-2, call: leak, reason: issue 7, until: 2999-12-31 }\n\
        - { from: any, to: data-store, call: leak, reason: issue 8, until: 2999-12-31 }\n\
        - { from: any, to: data-store, call: outage, reason: issue 9, until: 2020-01-01 }\n";
    let file = folder.path().join("known.yaml");
    std::fs::write(&file, text + list)?;
    std::fs::copy(scenario("ai-data-pipeline.policy.yaml"), folder.path().join("ai-data-pipeline.policy.yaml"))?;
    let mut busy = String::new();
    for _ in 0..TRIES {
        // Late, so that every denied flow is wrong for a while before convergence: that is time to enforce, and on no list.
        let faults = ["--fault", "lose-node=1@7s+300ms", "--fault", "late=150ms"];
        let run = match run(&file, &[&["--for", "6s"][..], &faults].concat())? {
            Ran::NoLab(said) => return Ok(Completion::ignored_with(said)),
            Ran::Not(why) => {
                busy = why;
                continue;
            }
            Ran::It(run) => run,
        };
        let stage = run.document.stages.last().ok_or("no stage")?;
        if stage.cells.iter().any(|cell| cell.call == Call::Inconclusive && cell.unseen > 0) {
            busy = run.said;
            continue;
        }
        let outcomes: Vec<KnownOutcome> = run.document.known.iter().map(|known| known.outcome).collect();
        let expected = [KnownOutcome::Happened, KnownOutcome::Passed, KnownOutcome::Expired];
        let told = |text: &str| run.document.warnings.iter().any(|warning| warning.contains(text));
        let all = outcomes == expected && told("issue 8") && told("expired on 2020-01-01") && !told("issue 7");
        if run.code != 0 || !all {
            return Err(format!("exit {}, {outcomes:?}:\n{}", run.code, run.said).into());
        }
        return Ok(Completion::Completed);
    }
    Err(format!("this machine was too busy {TRIES} times:\n{busy}").into())
}

fn outlives() -> Result<Completion, Failed> {
    let run = match run(&scenario("policy-over-time.yaml"), &["--for", "1s"])? {
        Ran::NoLab(said) => return Ok(Completion::ignored_with(said)),
        Ran::Not(why) => return Err(why.into()),
        Ran::It(run) => run,
    };
    let held: Vec<(String, Option<&str>, bool)> = run
        .watch
        .established
        .iter()
        .filter(|held| held.denied_by.is_some())
        .map(|held| (held.flow.to_string(), held.denied_by.as_deref(), held.fate == Fate::Survived))
        .collect();
    let expected = [
        ("batch -> db:8080/tcp".to_owned(), Some("only web may"), true),
        ("web -> db:8080/tcp".to_owned(), Some("nobody may"), true),
    ];
    if held != expected || run.code != 0 {
        return Err(format!("exit {}, {held:?}:\n{}", run.code, run.said).into());
    }
    Ok(Completion::Completed)
}
