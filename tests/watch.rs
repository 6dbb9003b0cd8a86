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
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use leakproof::model::document::{Cell, Document};
use leakproof::model::finding::{Call, Window};
use leakproof::model::happening::{About, Happening, Lies, Turn};
use leakproof::model::verdict::{Meaning, Verdict};
use leakproof::model::watch::{Fate, KnownOutcome, Newborn, Standing, WatchInfo};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

const PROGRAM: &str = env!("CARGO_BIN_EXE_leakproof");

/// A machine may be too busy to see so many times in a row before that fails.
const TRIES: usize = 5;

/// The edges of a window are known to within the time the lab took to make them.
const EDGE_US: i64 = 60_000;

/// A fault, and what must come of it.
struct Case {
    claim: &'static str,
    arguments: &'static [&'static str],
    exit: u8,
    /// What the lab's journal says at the beginning and at the end of what was made; none for what makes no window, or is
    /// there all along.
    made: Option<(&'static str, &'static str)>,
    /// How each cell must have been wrong, given the node of its source and of its destination.
    wrong: fn(&Cell, &str, &str) -> Option<Call>,
    /// What else must hold.
    holds: fn(&Document, &WatchInfo) -> Result<(), String>,
}

fn nothing(_: &Cell, _: &str, _: &str) -> Option<Call> {
    None
}

fn denied(cell: &Cell) -> bool {
    cell.meaning == Meaning::Known(Verdict::Denied)
}

/// The policy of the scenario selects the data stores, so it is their nodes that enforce it.
fn leaks_into(cell: &Cell, node: &str, to: &str) -> Option<Call> {
    (denied(cell) && to == node).then_some(Call::Leak)
}

fn survived(_: &Document, watch: &WatchInfo) -> Result<(), String> {
    if watch.established.is_empty() {
        return Err("no connection was held".into());
    }
    match watch.established.iter().find(|held| held.fate != Fate::Survived) {
        Some(held) => Err(format!("a held connection did not survive: {held:?}")),
        None => Ok(()),
    }
}

const CASES: &[Case] = &[
    Case {
        claim: "a quiet watch finds nothing, and held connections survive",
        arguments: &["--for", "6s"],
        exit: 0,
        made: None,
        wrong: nothing,
        holds: |document, watch| match watch.persistent {
            0 => Err("no long attempt was made".into()),
            _ => survived(document, watch),
        },
    },
    Case {
        claim: "a flow of which only repeated first packets pass is a leak, which long attempts see",
        arguments: &["--for", "8s", "--fault", "leak-repeats=intruder->data-store:5432/tcp"],
        exit: 11,
        made: None,
        wrong: |cell, _, _| (cell.flow.to_string() == "intruder -> data-store:5432/tcp").then_some(Call::Leak),
        holds: survived,
    },
    Case {
        claim: "rules of a node lost for 300 ms are a leak of 300 ms into its pods",
        arguments: &["--for", "6s", "--fault", "lose-node=1@7s+300ms"],
        exit: 11,
        made: Some(("node-1 lost its rules", "node-1 found its rules again")),
        wrong: |cell, _, to| leaks_into(cell, "node-1", to),
        holds: survived,
    },
    Case {
        claim: "a late set update is an outage of those it should hold",
        arguments: &["--for", "6s", "--fault", "late-set=2@7s+400ms"],
        exit: 10,
        made: Some(("node-2 has no pods in its sets", "node-2 filled its sets")),
        wrong: |cell, _, to| {
            let held = cell.flow.to.starts_with("data-store") && !denied(cell) && to == "node-2";
            held.then_some(Call::Outage)
        },
        holds: survived,
    },
    Case {
        claim: "rules rebuilt in two transactions are a leak of the moment between",
        arguments: &["--for", "6s", "--fault", "open-moment=2@7s+300ms"],
        exit: 11,
        made: Some(("node-2 removed its packet filter", "node-2 built its packet filter again")),
        wrong: |cell, _, to| leaks_into(cell, "node-2", to),
        holds: survived,
    },
    Case {
        claim: "forwarding stopped for 1.5 s is an outage of all that passes the node, and stalls what is established",
        arguments: &["--for", "8s", "--fault", "stop-forwarding=1@7s+1500ms"],
        exit: 10,
        made: Some(("node-1 stopped forwarding", "node-1 forwards again")),
        wrong: |cell, from, to| {
            let passes = !denied(cell) && (from == "node-1" || to == "node-1");
            passes.then_some(Call::Outage)
        },
        holds: |document, watch| {
            let node = |name: &str| document.endpoints.iter().find(|e| e.name == name).and_then(|e| e.node.clone());
            for held in &watch.established {
                let passes =
                    [&held.flow.from, &held.flow.to].iter().any(|name| node(name).as_deref() == Some("node-1"));
                let expected = if passes { Fate::Stalled } else { Fate::Survived };
                let blind = held.note.as_ref().is_some_and(|note| note.contains("could not see"));
                if held.fate != expected && !blind {
                    return Err(format!("{held:?} is not {expected:?}"));
                }
            }
            Ok(())
        },
    },
    Case {
        claim: "no way from one pod to another is an outage between the two, and nothing of the others",
        arguments: &["--for", "6s", "--fault", "no-route=ai-processing->data-store@7s+500ms"],
        exit: 10,
        made: Some(("ai-processing has no way to data-store", "ai-processing has its way to data-store again")),
        wrong: |cell, _, _| {
            let ends = (cell.flow.from.as_str(), cell.flow.to.as_str());
            // Answers to the other's calls have no way, either.
            matches!(ends, ("ai-processing", "data-store") | ("data-store", "ai-processing")).then_some(Call::Outage)
        },
        holds: |document, _| {
            let cells = document.stages.last().map(|stage| stage.cells.as_slice()).unwrap_or_default();
            let stranded = |cell: &&Cell| cell.flow.from == "ai-processing" && cell.flow.to == "data-store";
            match cells.iter().filter(stranded).count() {
                0 => Err("the flow is not in the matrix".into()),
                _ => Ok(()),
            }
        },
    },
    Case {
        claim: "an agent stopped for 2 s could not see, and nothing was out",
        arguments: &["--for", "8s", "--fault", "stop-agent=data-store@7s+2s"],
        exit: 6,
        made: None,
        wrong: nothing,
        holds: |document, watch| {
            let agent = document.agents.iter().find(|agent| agent.endpoint == "data-store");
            let blind = agent.is_some_and(|agent| {
                agent.blind.iter().any(|span| span.until_us - span.from_us > 1_800_000 && span.from_us > watch.from_us)
            });
            let stage = document.stages.last().map(|stage| stage.cells.as_slice()).unwrap_or_default();
            let unsure = stage.iter().filter(|cell| cell.call == Call::Inconclusive);
            let others = unsure.clone().any(|cell| cell.flow.from != "data-store" && cell.flow.to != "data-store");
            match (blind, unsure.count(), others) {
                (false, ..) => Err(format!("the agent was not blind for 2 s: {agent:?}")),
                (_, 0, _) => Err("every flow was said to be seen".into()),
                (_, _, true) => Err("flows of others could not be seen".into()),
                (true, _, false) => Ok(()),
            }
        },
    },
    Case {
        claim: "a control stream that breaks costs nothing",
        arguments: &["--for", "6s", "--fault", "cut-stream=data-store@7s"],
        exit: 0,
        made: None,
        wrong: nothing,
        holds: |document, _| {
            let agent = document.agents.iter().find(|agent| agent.endpoint == "data-store");
            let again = agent.is_some_and(|agent| agent.reconnects > 0 && agent.lost.is_none());
            if again { Ok(()) } else { Err(format!("{agent:?} was not reached anew")) }
        },
    },
    Case {
        claim: "a leak within its budget is reported and does not count",
        arguments: &["--for", "6s", "--fault", "lose-node=1@7s+300ms", "--max-leak", "3s"],
        exit: 0,
        made: Some(("node-1 lost its rules", "node-1 found its rules again")),
        wrong: |cell, _, to| leaks_into(cell, "node-1", to),
        holds: |document, _| {
            let windows = document.stages.iter().flat_map(|stage| &stage.cells).flat_map(|cell| &cell.windows);
            let within = windows.filter(|window| window.standing == Standing::WithinBudget).count();
            if within > 0 { Ok(()) } else { Err("no window is within its budget".into()) }
        },
    },
    Case {
        claim: "a command that fails makes the watch inconclusive, though all was well",
        arguments: &["--quiet-for", "1s", "--", "sh", "-c", "echo upgrading; echo failed >&2; exit 3"],
        exit: 6,
        made: None,
        wrong: nothing,
        holds: |document, watch| {
            let command = watch.command.as_ref().ok_or("no command in the document")?;
            let events = document.events.iter().filter(|event| event.about == About::Command).count();
            let said = command.said.iter().any(|line| line == "failed");
            if command.status.as_deref() == Some("exit 3") && said && events == 2 {
                Ok(())
            } else {
                Err(format!("{command:?}"))
            }
        },
    },
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Each trial has a world of its own to keep an eye on; beside each other they would starve each other's agents.
    arguments.test_threads.get_or_insert(1);
    let mut trials: Vec<Trial> = CASES.iter().map(|case| Trial::ignorable_test(case.claim, || prove(case))).collect();
    trials.push(Trial::ignorable_test("what is known does not count, and an unexpected pass is told", known));
    trials.push(Trial::ignorable_test("an established connection outlives the denial of its flow", outlives));
    trials.push(Trial::ignorable_test("a newborn whose flows are late is found with its wait", || newborns(&LATE)));
    trials.push(Trial::ignorable_test("a newborn that is open at birth is a leak", || newborns(&OPEN)));
    trials.push(Trial::ignorable_test("newborns of a quiet watch wait for nothing and are never open", || {
        newborns(&WELL)
    }));
    trials.push(Trial::ignorable_test("a newborn like a pod behind a Service is refused", behind));
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
    let mut busy = String::new();
    for _ in 0..TRIES {
        match run(&scenario("ai-data-pipeline.yaml"), case.arguments)? {
            Ran::NoLab(said) => return Ok(Completion::ignored_with(said)),
            Ran::Not(why) => busy = why,
            Ran::It(run) => match check(case, &run) {
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

fn check(case: &Case, run: &Run) -> Result<Clarity, String> {
    let Run { document, watch, .. } = run;
    let mut blurred = None;
    let made = match case.made {
        None => None,
        Some((begin, end)) => {
            let said = |event: &&Happening| format!("{} {}", event.subject, event.what);
            let at = |what| document.events.iter().find(|event| said(event) == what).map(|event| event.at_us);
            match (at(begin), at(end)) {
                (Some(begin), Some(end))
                    if begin > watch.from_us + 4 * watch.interval_us
                        && end < watch.until_us
                        && end > begin + 2 * watch.interval_us =>
                {
                    Some((begin, end))
                }
                // Too early, too late, or over at once, as the lab itself got no processor time.
                other => {
                    return Ok(Clarity::Blurred(format!(
                        "what was made lies outside of the watch, or was too short: {other:?}"
                    )));
                }
            }
        }
    };
    let node = |name: &str| document.endpoints.iter().find(|e| e.name == name).and_then(|e| e.node.as_deref());
    let stage = document.stages.last().ok_or("no stage")?;
    for cell in &stage.cells {
        let (from, to) = (node(&cell.flow.from).unwrap_or_default(), node(&cell.flow.to).unwrap_or_default());
        let windows: Vec<&Window> = cell.windows.iter().filter(|w| w.last_wrong_us >= watch.from_us).collect();
        match (made, (case.wrong)(cell, from, to)) {
            (Some(made), Some(call)) => {
                if let Clarity::Blurred(why) = the_window_made(cell, &windows, call, made, watch)? {
                    blurred = Some(why);
                }
                for window in &windows {
                    lies_beside_what_made_it(window, case, document)?;
                }
            }
            (None, Some(call)) => {
                if let Clarity::Blurred(why) = what_long_attempts_saw(cell, &windows, call)? {
                    blurred = Some(why);
                }
            }
            _ if !windows.is_empty() => return Err(format!("{} was never wrong, but: {windows:?}", cell.flow)),
            _ => {}
        }
        if cell.call == Call::Inconclusive && case.exit != 6 {
            if cell.unseen == 0 {
                return Err(format!("{} is inconclusive, though all was seen: {:?}", cell.flow, cell.note));
            }
            blurred = Some(format!("{} could not be seen: {:?}", cell.flow, cell.note));
        }
    }
    if let Err(why) = (case.holds)(document, watch) {
        // What agents could not see may be why; but then they must have said so.
        if watch.unseen == 0 {
            return Err(why);
        }
        blurred = Some(why);
    }
    match blurred {
        Some(why) => Ok(Clarity::Blurred(why)),
        None if run.code != i32::from(case.exit) => Err(format!("exit {} instead of {}", run.code, case.exit)),
        None => Ok(Clarity::Clear),
    }
}

/// Whether the one window found is the one that was made.
fn the_window_made(
    cell: &Cell,
    windows: &[&Window],
    call: Call,
    (begin, end): (u64, u64),
    watch: &WatchInfo,
) -> Result<Clarity, String> {
    let flow = &cell.flow;
    let late = |a: u64, b: u64| i64::try_from(a).unwrap_or(i64::MAX) - i64::try_from(b).unwrap_or(i64::MAX);
    for window in windows {
        if window.call != call {
            return Err(format!("{flow} was in {call}, not in {}: {window:?}", window.call));
        }
        if late(begin, window.first_wrong_us) > EDGE_US || late(window.last_wrong_us, end) > EDGE_US {
            return Err(format!("{flow} was wrong from {begin} to {end}, not beyond: {window:?}"));
        }
        if window.right_before_us.is_none_or(|before| late(before, begin) > EDGE_US) {
            return Err(format!("{flow} was wrong from {begin} on, not right: {window:?}"));
        }
    }
    let two = i64::try_from(2 * watch.interval_us).unwrap_or(i64::MAX) + EDGE_US;
    let sharp = match windows {
        [window] => late(window.first_wrong_us, begin) <= two && late(end, window.last_wrong_us) <= two,
        _ => false,
    };
    match (sharp, cell.unseen) {
        (true, _) => Ok(Clarity::Clear),
        (false, 0) => Err(format!("{flow} was wrong from {begin} to {end}, and that was found as {windows:?}")),
        (false, _) => Ok(Clarity::Blurred(format!("{flow}: not all of {begin} to {end} could be seen: {windows:?}"))),
    }
}

/// Whether the flow was wrong for those who repeat a first packet, and for nobody else.
fn what_long_attempts_saw(cell: &Cell, windows: &[&Window], call: Call) -> Result<Clarity, String> {
    let flow = &cell.flow;
    for window in windows {
        // The kernel repeats a first packet after a second: so long after its launch the attempt got through, at least.
        let waited = window.right_before_us.map(|launched| window.first_wrong_us.saturating_sub(launched));
        if window.call != call || waited.is_none_or(|waited| waited < 900_000) {
            return Err(format!("{flow} was wrong after a repeat: {window:?}"));
        }
    }
    if cell.verdict != Some(Verdict::Denied) {
        return Err(format!("{flow} let first packets through: {cell:?}"));
    }
    match (windows, cell.unseen) {
        ([], 0) => Err(format!("{flow} lets repeats through, and nobody saw it")),
        ([], _) => Ok(Clarity::Blurred(format!("{flow}: no long attempt saw anything"))),
        _ => Ok(Clarity::Clear),
    }
}

/// A window must be laid beside what made it, first of all.
fn lies_beside_what_made_it(window: &Window, case: &Case, document: &Document) -> Result<(), String> {
    let Some((begin, _)) = case.made else { return Ok(()) };
    let first = window.beside.first().and_then(|beside| Some((beside, document.events.get(beside.event as usize)?)));
    let Some((beside, event)) = first else { return Err(format!("nothing lies beside {window:?}")) };
    let said = format!("{} {}", event.subject, event.what);
    let lies = match beside.lies {
        Lies::During => matches!(event.turn, Turn::Begins { .. }),
        // Its first wrong attempt may have been launched just before, and met what was made on its way.
        Lies::Within => beside.apart_us <= EDGE_US.unsigned_abs(),
        Lies::Before | Lies::After | Lies::Unknown => false,
    };
    if said == begin && lies { Ok(()) } else { Err(format!("{said} lies beside {window:?}, not {begin}")) }
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

/// What is done to pods at birth, and what must come of it.
struct Birth {
    like: &'static str,
    fault: Option<&'static str>,
    exit: i32,
    holds: fn(&Document, &Newborn) -> Result<(), String>,
}

/// A newborn's flows are tried once in this.
const NEWBORN_INTERVAL_US: u64 = 50_000;

/// When the lab's journal says something of a newborn.
fn told(document: &Document, name: &str, what: &str) -> Result<u64, String> {
    let event = document.events.iter().find(|event| event.subject == name && event.what == what);
    event.map(|event| event.at_us).ok_or_else(|| format!("nobody says of {name} that it {what}"))
}

const LATE: Birth = Birth {
    like: "ai-processing",
    fault: Some("late-pod=1500ms"),
    exit: 0,
    holds: |document, newborn| {
        let let_through = told(document, &newborn.name, "is let through")?;
        let (Some(alive), Some(after)) = (newborn.alive_us, newborn.connected_after_us) else {
            return Err(format!("it never connected: {newborn:?}"));
        };
        let apart = (alive + after).abs_diff(let_through);
        match apart <= 2 * NEWBORN_INTERVAL_US + EDGE_US.unsigned_abs() && newborn.leaked.is_empty() {
            true => Ok(()),
            false => Err(format!("let through at {let_through}, {apart} us from what was found: {newborn:?}")),
        }
    },
};

const OPEN: Birth = Birth {
    like: "intruder",
    fault: Some("open-pod=1500ms"),
    exit: 11,
    holds: |_, newborn| {
        let into = |name: &str| newborn.leaked.iter().any(|flow| flow.from == newborn.name && flow.to == name);
        let only_denied = newborn.leaked.iter().all(|flow| flow.to.starts_with("data-store"));
        match into("data-store") && only_denied {
            true => Ok(()),
            false => Err(format!("not the flows that were open: {newborn:?}")),
        }
    },
};

const WELL: Birth = Birth {
    like: "ai-processing",
    fault: None,
    exit: 0,
    holds: |_, newborn| match newborn.connected_after_us {
        Some(after) if after <= 4 * NEWBORN_INTERVAL_US && newborn.leaked.is_empty() => Ok(()),
        Some(_) | None => Err(format!("it waited, or was open: {newborn:?}")),
    },
};

/// A watch with one birth after the other, of which the first is looked at.
fn newborns(birth: &Birth) -> Result<Completion, Failed> {
    let mut arguments = vec!["--for", "9s", "--newborns", "1s", "--newborn-like", birth.like];
    arguments.extend(birth.fault.iter().flat_map(|fault| ["--fault", fault]));
    let mut last = String::new();
    for _ in 0..TRIES {
        let run = match run(&scenario("ai-data-pipeline.yaml"), &arguments)? {
            Ran::NoLab(said) => return Ok(Completion::ignored_with(said)),
            Ran::Not(why) => {
                last = why;
                continue;
            }
            Ran::It(run) => run,
        };
        // One that was born at the very end had no time to show anything.
        let Some(newborn) = run.watch.newborns.first() else {
            return Err(format!("nobody was born:\n{}", run.said).into());
        };
        let cut_short = run.watch.newborns.iter().any(|newborn| newborn.connected_after_us.is_none());
        match (birth.holds)(&run.document, newborn) {
            Ok(()) if run.code == birth.exit || cut_short && run.code == 6 => return Ok(Completion::Completed),
            Ok(()) => last = format!("exit {} instead of {}:\n{}", run.code, birth.exit, run.said),
            Err(why) => last = format!("{why}\n{}", run.said),
        }
        // What a starved machine makes late is late by the machine's doing; then somebody could not see.
        let blind = run.document.agents.iter().any(|agent| !agent.blind.is_empty());
        if !blind && run.watch.unseen == 0 {
            return Err(last.into());
        }
    }
    Err(format!("this machine was too busy {TRIES} times; the last time: {last}").into())
}

fn behind() -> Result<Completion, Failed> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("behind.yaml");
    std::fs::write(
        &file,
        "version: 1\nnamespaces: { shop: {} }\npods:\n  web: { namespace: shop, labels: { app: web } }\n  \
         db: { namespace: shop, labels: { app: db } }\nservices:\n  front: { namespace: shop, selects: { app: web }, \
         ports: [ 8080/tcp ] }\nexpect:\n- { from: db, to: front, verdict: allowed }\n",
    )?;
    let mut command = Command::new(PROGRAM);
    command.arg("watch").arg(&file).args(["--for", "1s", "--newborns", "1s", "--newborn-like", "web"]);
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.code() == Some(4) {
        return Ok(Completion::ignored_with(said));
    }
    let told = said.contains("a newborn like `web` would be behind the Service `front`");
    if told && output.status.code() == Some(2) { Ok(Completion::Completed) } else { Err(said.into()) }
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

/// Twenty pods, two of them behind a policy, for a long time, while every processor has something else to do.
fn quiet() -> Result<Completion, Failed> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("twenty.yaml");
    let pods: String =
        (0..20).map(|n| format!("  pod-{n:02}: {{ namespace: shop, labels: {{ app: a{} }} }}\n", n % 4)).collect();
    let text = format!(
        "version: 1\nnamespaces: {{ shop: {{}} }}\npods:\n{pods}policies:\n- apiVersion: networking.k8s.io/v1\n  kind: NetworkPolicy\n  \
         metadata: {{ name: half, namespace: shop }}\n  spec:\n    podSelector: {{ matchLabels: {{ app: a0 }} }}\n    \
         ingress: [ {{ from: [ {{ podSelector: {{ matchLabels: {{ app: a1 }} }} }} ] }} ]\n\
         expect:\n- {{ from: [ pod-01 ], to: [ pod-00 ], verdict: allowed }}\n"
    );
    std::fs::write(&file, text)?;
    let minutes = number("LEAKPROOF_MINUTES", 10);
    let stop = Arc::new(AtomicBool::new(false));
    let hogs: Vec<_> = (0..std::thread::available_parallelism().map_or(2, std::num::NonZeroUsize::get))
        .map(|_| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        })
        .collect();
    let ran = run(&file, &["--for", &format!("{minutes}m")]);
    stop.store(true, Ordering::Relaxed);
    hogs.into_iter().for_each(|hog| drop(hog.join()));
    let run = match ran? {
        Ran::NoLab(said) => return Ok(Completion::ignored_with(said)),
        Ran::Not(why) => return Err(why.into()),
        Ran::It(run) => run,
    };
    let WatchInfo { seen, unseen, interval_us, .. } = run.watch;
    let cells = run.document.stages.last().map(|stage| stage.cells.as_slice()).unwrap_or_default();
    let windows =
        cells.iter().flat_map(|cell| &cell.windows).filter(|window| window.last_wrong_us >= run.watch.from_us);
    let windows = windows.count();
    // Through a Completion nothing can be told; what was measured is worth reading all the same.
    let figures = format!("{seen} attempts seen, {unseen} not, every {} ms, {windows} windows\n", interval_us / 1000);
    std::io::Write::write_all(&mut std::io::stderr(), figures.as_bytes())?;
    if windows > 0 || unseen * 100 > seen + unseen {
        return Err(format!("{windows} windows, {unseen} of {} could not see:\n{}", seen + unseen, run.said).into());
    }
    Ok(Completion::Completed)
}
