//! The test double of a policy engine is made wrong on a real cluster, one way at a time; each fault must give exactly its
//! findings and exit code, and none must give none. With no engine at all, everything that should be denied is a leak.
//! Killed and started again under a watch, an engine whose rules hold meanwhile gives nothing, and one that loses them is
//! a leak for so long.
//!
//! It needs a kind cluster without a policy engine of its own, given over to it in `LEAKPROOF_BARE_CONTEXT`, with the
//! agent's image loaded (`ci/load-agent`), and the double built (`cargo build --example policy-engine`). Without the
//! variable every trial is ignored: on any other cluster a fault would meet an engine that puts it right.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use leakproof::model::document::{Cell, Document};
use leakproof::model::finding::{Call, Window};
use leakproof::model::verdict::{Meaning, Verdict};
use leakproof::model::watch::{Fate, WatchInfo};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const PROGRAM: &str = env!("CARGO_BIN_EXE_leakproof");
const CLUSTER: &str = "LEAKPROOF_BARE_CONTEXT";

/// Who enforces policy, and how wrongly.
enum Enforcement {
    /// Nobody.
    Nobody,
    /// The double, with these faults.
    Double(&'static [&'static str]),
}

/// One way to be wrong and what must come of it.
struct Case {
    /// What the case claims; the trial's name.
    claim: &'static str,
    enforcement: Enforcement,
    /// Arguments after `run SCENARIO --on cluster`.
    arguments: &'static [&'static str],
    exit: u8,
    /// The calls other than `ok` there must be, each as `CALL flow`, and no others; `*` stands for some flows.
    calls: &'static [&'static str],
    /// What the JSON must say.
    says: &'static str,
}

const CASES: &[Case] = &[
    Case {
        claim: "without a policy engine what should be denied is a leak, and nothing is said to enforce policy",
        enforcement: Enforcement::Nobody,
        arguments: &["--converge-within", "4s"],
        exit: 11,
        calls: &["LEAK *"],
        says: "nothing in this cluster seems to enforce NetworkPolicy",
    },
    Case {
        claim: "an engine without faults gives no finding",
        enforcement: Enforcement::Double(&[]),
        arguments: &[],
        exit: 0,
        calls: &[],
        says: "",
    },
    Case {
        claim: "a leaking flow is a leak",
        enforcement: Enforcement::Double(&["leak=intruder->data-store:5432/tcp"]),
        arguments: &["--converge-within", "4s"],
        exit: 11,
        calls: &["LEAK intruder -> data-store:5432/tcp"],
        says: "",
    },
    Case {
        claim: "a cut flow is an outage",
        enforcement: Enforcement::Double(&["cut=ai-processing->data-store:5432/tcp"]),
        arguments: &["--converge-within", "4s"],
        exit: 10,
        calls: &["OUTAGE ai-processing -> data-store:5432/tcp"],
        says: "",
    },
    Case {
        claim: "enforcement that is late but in time passes",
        enforcement: Enforcement::Double(&["late=2s"]),
        arguments: &[],
        exit: 0,
        calls: &[],
        says: "",
    },
    Case {
        claim: "enforcement that is later than converge_within is a leak",
        enforcement: Enforcement::Double(&["late=60s"]),
        arguments: &["--converge-within", "4s"],
        exit: 11,
        calls: &["LEAK *"],
        says: "",
    },
    Case {
        claim: "a flapping flow is a leak",
        enforcement: Enforcement::Double(&["flap=intruder->data-store:5432/tcp@1500ms"]),
        arguments: &["--converge-within", "8s"],
        exit: 11,
        calls: &["LEAK intruder -> data-store:5432/tcp"],
        says: "",
    },
    Case {
        claim: "rejecting instead of dropping passes with a warning",
        enforcement: Enforcement::Double(&["reject"]),
        arguments: &[],
        exit: 0,
        calls: &[],
        says: "reject",
    },
    Case {
        claim: "one node that enforces nothing is a leak there",
        enforcement: Enforcement::Double(&["lose-node=2@0s+10m"]),
        arguments: &["--converge-within", "4s"],
        exit: 11,
        calls: &["LEAK *"],
        says: "",
    },
];

/// What a watch must find while the engine is killed and another started in its place.
struct Restart {
    claim: &'static str,
    /// Arguments of the one that is started.
    anew: &'static [&'static str],
    exit: u8,
    /// How every flow that the policies deny must have been wrong; nothing else may have been.
    denied: fn(&[&Window]) -> Result<(), &'static str>,
}

const RESTARTS: &[Restart] = &[
    Restart {
        claim: "an engine that is restarted while its rules hold is nothing to a watch",
        anew: &[],
        exit: 0,
        denied: |windows| if windows.is_empty() { Ok(()) } else { Err("it was wrong") },
    },
    Restart {
        claim: "an engine that loses its rules when it is restarted is a leak until it has them again",
        anew: &["--leftover", "removed", "--fault", "late=2s"],
        exit: 11,
        denied: |windows| match windows {
            [window] if window.call != Call::Leak => Err("it was no leak"),
            [window] if window.least_us() > 10_000_000 => Err("it was wrong for longer than that took"),
            [window] => match window.right_before_us.zip(window.right_after_us) {
                Some((before, after)) if after - before >= 2_000_000 => Ok(()),
                Some(_) => Err("it was not wrong for so long"),
                None => Err("it has no bounds"),
            },
            [] => Err("it was right all the time"),
            _ => Err("it was wrong more than once"),
        },
    },
];

/// A machine may be too busy to see so many times in a row before that fails.
const TRIES: usize = 3;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // There is one cluster, and a fault of one trial would be found by another.
    arguments.test_threads = Some(1);
    let faults = CASES.iter().map(|case| Trial::ignorable_test(case.claim, || prove(case)));
    let restarts = RESTARTS.iter().map(|restart| Trial::ignorable_test(restart.claim, || survive(restart)));
    libtest_mimic::run(&arguments, faults.chain(restarts).collect()).exit_code()
}

fn prove(case: &'static Case) -> Result<Completion, Failed> {
    let Ok(context) = std::env::var(CLUSTER) else {
        return Ok(Completion::ignored_with(format!("no cluster without a policy engine is named in {CLUSTER}")));
    };
    let folder = tempfile::tempdir()?;
    let json = folder.path().join("run.json");
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/ai-data-pipeline.yaml");
    let engine = match &case.enforcement {
        Enforcement::Nobody => None,
        Enforcement::Double(faults) => Some(Engine::start(&context, faults, folder.path().join("engine"))?),
    };
    let output = Command::new(PROGRAM)
        .arg("run")
        .arg(scenario)
        .args(["--on", "cluster", "--context", &context, "--json"])
        .arg(&json)
        .args(case.arguments)
        .output()?;
    let engine = engine.map(Engine::stop).transpose()?.unwrap_or_default();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if output.status.code() != Some(i32::from(case.exit)) {
        let code = output.status.code();
        return Err(format!("exit {code:?} instead of {}:\n{said}\nthe engine said:\n{engine}", case.exit).into());
    }
    let text = std::fs::read_to_string(&json)?;
    let document: Document = serde_json::from_str(&text)?;
    let cells = document.stages.iter().flat_map(|stage| &stage.cells);
    let seen: BTreeSet<String> =
        cells.filter(|cell| cell.call != Call::Ok).map(|cell| format!("{} {}", cell.call.word(), cell.flow)).collect();
    let matches = |seen: &str, call: &str| seen == call || call.strip_suffix('*').is_some_and(|w| seen.starts_with(w));
    for call in case.calls {
        if !seen.iter().any(|seen| matches(seen, call)) {
            return Err(format!("no `{call}` among {seen:?}:\n{said}").into());
        }
    }
    if let Some(surplus) = seen.iter().find(|seen| !case.calls.iter().any(|call| matches(seen, call))) {
        return Err(format!("`{surplus}` is not this fault's; all: {seen:?}:\n{said}").into());
    }
    if !text.contains(case.says) {
        return Err(format!("the JSON does not say `{}`:\n{said}", case.says).into());
    }
    Ok(Completion::Completed)
}

fn survive(restart: &'static Restart) -> Result<Completion, Failed> {
    let Ok(context) = std::env::var(CLUSTER) else {
        return Ok(Completion::ignored_with(format!("no cluster without a policy engine is named in {CLUSTER}")));
    };
    let mut blurred = String::new();
    for _ in 0..TRIES {
        match watched(&context, restart)? {
            Clarity::Clear => return Ok(Completion::Completed),
            Clarity::Blurred(why) => blurred = why,
        }
    }
    Err(format!("this machine was too busy {TRIES} times; the last time: {blurred}").into())
}

enum Clarity {
    Clear,
    /// Nothing was seen wrongly, but too little was seen.
    Blurred(String),
}

/// The command under watch says that it has begun, and ends when it is told to.
const MEANWHILE: &str = r#"touch "$1"; until [ -e "$2" ]; do sleep 0.1; done"#;

fn watched(context: &str, restart: &Restart) -> Result<Clarity, Failed> {
    let folder = tempfile::tempdir()?;
    let [json, begun, over] = ["run.json", "begun", "over"].map(|name| folder.path().join(name));
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/ai-data-pipeline.yaml");
    let first = Engine::start(context, &[], folder.path().join("engine"))?;
    let mut watch = Command::new(PROGRAM)
        .arg("watch")
        .arg(scenario)
        .args(["--on", "cluster", "--context", context, "--quiet-for", "3s", "--json"])
        .arg(&json)
        .args(["--", "sh", "-c", MEANWHILE, "sh"])
        .args([&begun, &over])
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(folder.path().join("said"))?)
        .stderr(std::fs::File::create(folder.path().join("told"))?)
        .spawn()?;
    while !begun.exists() {
        if watch.try_wait()?.is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    // Nobody tells an engine that its pod is gone: its rules stay where they are.
    first.die()?;
    let second = Engine::start_with(context, restart.anew, folder.path().join("engine-anew"));
    std::fs::write(&over, "")?;
    let status = watch.wait()?;
    let engine = second?.stop()?;
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    let said = format!("{}{}\nthe engine said:\n{engine}", read("said"), read("told"));
    let document: Document = serde_json::from_str(&read("run.json")).map_err(|why| format!("{why}:\n{said}"))?;
    let Some(watch) = &document.watch else { return Err(format!("nothing was watched:\n{said}").into()) };
    match found(restart, &document, watch) {
        Err(why) => Err(format!("{why}:\n{said}").into()),
        // What could not be seen is no verdict on what this is about.
        Ok(()) if status.code() == Some(6) && watch.unseen > 0 => Ok(Clarity::Blurred(said)),
        Ok(()) if status.code() != Some(i32::from(restart.exit)) => {
            Err(format!("exit {:?} instead of {}:\n{said}", status.code(), restart.exit).into())
        }
        Ok(()) => Ok(Clarity::Clear),
    }
}

fn found(restart: &Restart, document: &Document, watch: &WatchInfo) -> Result<(), String> {
    let cells: Vec<&Cell> = document.stages.last().map(|stage| stage.cells.iter().collect()).unwrap_or_default();
    if cells.is_empty() {
        return Err("no cell was watched".into());
    }
    for cell in cells {
        let windows: Vec<&Window> = cell.windows.iter().filter(|w| w.last_wrong_us >= watch.from_us).collect();
        let said = match cell.meaning {
            Meaning::Known(Verdict::Denied) => (restart.denied)(&windows),
            Meaning::Known(Verdict::Allowed) | Meaning::Unknown if windows.is_empty() => Ok(()),
            Meaning::Known(Verdict::Allowed) | Meaning::Unknown => Err("it was wrong"),
        };
        said.map_err(|why| format!("{}: {why}: {windows:?}", cell.flow))?;
    }
    let cut = |fate: &Fate| match fate {
        Fate::Ended { .. } => true,
        Fate::Survived | Fate::Stalled | Fate::NotSeen { .. } => false,
    };
    match watch.established.iter().find(|held| cut(&held.fate)) {
        Some(held) => Err(format!("a held connection was cut: {held:?}")),
        None => Ok(()),
    }
}

/// The double at work.
struct Engine {
    child: Child,
    log: PathBuf,
}

impl Engine {
    /// Starts it with faults, and waits until it enforces what is there.
    fn start(context: &str, faults: &[&str], log: PathBuf) -> Result<Self, Failed> {
        let arguments: Vec<&str> = faults.iter().flat_map(|fault| ["--fault", fault]).collect();
        Self::start_with(context, &arguments, log)
    }

    fn start_with(context: &str, arguments: &[&str], log: PathBuf) -> Result<Self, Failed> {
        // Cargo names the programs it built for a test, but not its examples.
        let program = std::env::current_exe()?;
        let program = program.ancestors().nth(2).ok_or("the test lies nowhere")?.join("examples/policy-engine");
        let mut command = Command::new(&program);
        command.args(["--context", context]).args(arguments);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(std::fs::File::create(&log)?).spawn();
        let child = child.map_err(|error| {
            format!("{}: {error}; `cargo build --example policy-engine` builds it", program.display())
        })?;
        let mut engine = Self { child, log };
        let stdout = engine.child.stdout.take().ok_or("the engine has no output")?;
        // It ends, and its output with it, where it cannot begin.
        if BufReader::new(stdout).lines().next().transpose()?.as_deref() == Some("ready") {
            Ok(engine)
        } else {
            let log = std::fs::read_to_string(&engine.log).unwrap_or_default();
            Err(format!("the engine did not begin:\n{log}").into())
        }
    }

    /// Has it die in the middle of things.
    fn die(mut self) -> Result<(), Failed> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Has it take its rules away, and gives what it said.
    fn stop(mut self) -> Result<String, Failed> {
        let ended = self.child.try_wait()?;
        let log = |engine: &Self| std::fs::read_to_string(&engine.log).unwrap_or_default();
        if let Some(status) = ended {
            return Err(format!("the engine ended by itself ({status}):\n{}", log(&self)).into());
        }
        kill(Pid::from_raw(i32::try_from(self.child.id())?), Signal::SIGTERM)?;
        let status = self.child.wait()?;
        if status.success() { Ok(log(&self)) } else { Err(format!("the engine failed:\n{}", log(&self)).into()) }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // After `stop` there is nothing left to kill; on the way out of a failure nobody is told of another.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
