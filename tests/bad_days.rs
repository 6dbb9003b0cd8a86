//! Bad days: runs that are interrupted, killed, starved of descriptors, short of disk, unread. Each ends with a clear word
//! or an inconclusive cell, never with a wrong verdict, a hang, or something left behind.
//!
//! What takes minutes is ignored unless asked for: `cargo test --test bad_days -- --ignored`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use leakproof::model::document::{Cell, Document};
use leakproof::model::verdict::Verdict;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use place::{Needs, PROGRAM, Place, scenario, until_agents_run};

mod place;
#[path = "../benches/world/mod.rs"]
mod world;

fn main() -> std::process::ExitCode {
    place::run(vec![
        place::test(
            "a_signal_at_any_moment_ends_a_run_with_its_code_and_leaves_nothing",
            Needs::Lab,
            a_signal_at_any_moment_ends_a_run_with_its_code_and_leaves_nothing,
        ),
        place::test(
            "two_hundred_signals_at_two_hundred_moments_leave_nothing",
            Needs::Lab,
            two_hundred_signals_at_two_hundred_moments_leave_nothing,
        )
        .with_ignored_flag(true),
        place::test(
            "a_scenario_of_100_megabytes_is_refused_at_once",
            Needs::Nothing,
            a_scenario_of_100_megabytes_is_refused_at_once,
        ),
        place::test(
            "interrupts_end_a_run_with_their_code_and_leave_nothing",
            Needs::Lab,
            interrupts_end_a_run_with_their_code_and_leave_nothing,
        ),
        place::test("a_killed_run_leaves_no_process", Needs::Lab, a_killed_run_leaves_no_process),
        place::test("with_every_server_dead_nothing_is_denied", Needs::Lab, with_every_server_dead_nothing_is_denied),
        place::test(
            "a_pace_that_cannot_be_held_is_refused_with_one_that_can",
            Needs::Lab,
            a_pace_that_cannot_be_held_is_refused_with_one_that_can,
        ),
        place::test(
            "a_large_baseline_tries_again_what_an_agent_slept_through_and_nothing_else",
            Needs::Lab,
            a_large_baseline_tries_again_what_an_agent_slept_through_and_nothing_else,
        ),
        place::test(
            "two_runs_at_once_do_not_disturb_each_other",
            Needs::Lab,
            two_runs_at_once_do_not_disturb_each_other,
        ),
        place::test(
            "a_full_disk_is_told_and_does_not_change_a_verdict",
            Needs::Lab,
            a_full_disk_is_told_and_does_not_change_a_verdict,
        ),
        place::test("a_reader_that_stops_reading_is_no_error", Needs::Lab, a_reader_that_stops_reading_is_no_error),
        place::test(
            "running_out_of_descriptors_is_never_a_denial",
            Needs::Lab,
            running_out_of_descriptors_is_never_a_denial,
        ),
    ])
}

/// Held by every run that others may go on beside, and by the one that takes the whole machine alone.
static MACHINE: RwLock<()> = RwLock::new(());

fn beside_others() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(PoisonError::into_inner)
}

fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}

/// Longer than any run here may take: what is not over by then hangs.
const HANGS: Duration = Duration::from_secs(60);

/// A fault that keeps a run from converging, so that there is time to be interrupted.
const LASTS: [&str; 4] = ["--fault", "leak=intruder->data-store:5432/tcp", "--converge-within", "60s"];

fn pipeline(place: &Place, arguments: &[&str]) -> Child {
    let mut run = place.leakproof();
    run.arg("run").arg(scenario("ai-data-pipeline.yaml")).args(arguments);
    run.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
}

/// Waits for the end of a run that may not hang.
fn end(child: &mut Child) -> (ExitStatus, String) {
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > HANGS {
            child.kill().unwrap();
            panic!("the run hangs");
        }
        std::thread::park_timeout(Duration::from_millis(5));
    };
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(!said.contains("panicked"), "{said}");
    (status, said)
}

/// Interrupts runs at moments spread evenly from their start to beyond their end.
fn interrupt(moments: u32) {
    let _held = beside_others();
    let place = Place::new();
    let begun = Instant::now();
    let (status, said) = end(&mut pipeline(&place, &[]));
    assert_eq!(status.code(), Some(0), "{said}");
    let whole = begun.elapsed();
    let mut met = 0;
    for moment in 0..moments {
        let (name, number) = if moment % 2 == 0 { (Signal::SIGINT, 2) } else { (Signal::SIGTERM, 15) };
        let after = whole * moment / moments;
        let mut child = pipeline(&place, &[]);
        // This is the input, and nothing is waited for.
        std::thread::park_timeout(after);
        if child.try_wait().unwrap().is_none() {
            signal(&child, name);
        }
        let (status, said) = end(&mut child);
        // Before it can take signals it is ended by them, which a shell shows as the same number.
        let by_signal = status.code() == Some(128 + number) || status.signal() == Some(number);
        assert!(by_signal || status.code() == Some(0), "{name} after {after:?}: {status}: {said}");
        met += u32::from(by_signal);
        place.assert_nothing_left();
        if status.signal().is_none() {
            place.assert_no_files_left();
        }
    }
    assert!(met > moments / 2, "{met} of {moments} signals met a run");
}

fn a_signal_at_any_moment_ends_a_run_with_its_code_and_leaves_nothing() {
    interrupt(10);
}

/// takes minutes: cargo test --test bad_days -- --ignored
fn two_hundred_signals_at_two_hundred_moments_leave_nothing() {
    interrupt(200);
}

fn a_scenario_of_100_megabytes_is_refused_at_once() {
    let place = Place::new();
    let file = place.file("huge.yaml");
    std::fs::File::create(&file).unwrap().set_len(100 * 1024 * 1024).unwrap();
    let began = Instant::now();
    let output = place.leakproof().arg("run").arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(began.elapsed() < Duration::from_secs(10));
}

fn interrupts_end_a_run_with_their_code_and_leave_nothing() {
    let _held = beside_others();
    for (name, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let place = Place::new();
        let mut child = pipeline(&place, &LASTS);
        until_agents_run(&place, &mut child);
        signal(&child, name);
        let (status, said) = end(&mut child);
        assert_eq!(status.code(), Some(code), "{name}: {said}");
        place.assert_nothing_left();
        place.assert_no_files_left();
    }
}

fn a_killed_run_leaves_no_process() {
    let _held = beside_others();
    let place = Place::new();
    let mut child = pipeline(&place, &LASTS);
    until_agents_run(&place, &mut child);
    signal(&child, Signal::SIGKILL);
    end(&mut child);
    place.assert_nothing_left();
}

/// Seen in a peer: all its servers were crash-looping, and it printed every denied cell as right.
fn with_every_server_dead_nothing_is_denied() {
    let _held = beside_others();
    let place = Place::new();
    let json = place.file("run.json");
    let listeners = [
        "ai-processing:8080/tcp",
        "data-store:5432/tcp",
        "data-store:9000/tcp",
        "data-store:8125/udp",
        "data-store-2:5432/tcp",
        "intruder:8080/tcp",
        "impostor:8080/tcp",
        "unlabelled:8080/tcp",
    ];
    let dead = listeners.map(|listener| format!("kill-listener={listener}"));
    let json_text = json.display().to_string();
    let mut arguments = vec!["--converge-within", "3s", "--json", &json_text];
    arguments.extend(dead.iter().flat_map(|fault| ["--fault", fault]));
    let (status, said) = end(&mut pipeline(&place, &arguments));
    let document: Document = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let judged = document.stages.iter().filter(|stage| stage.name != "baseline").flat_map(|stage| &stage.cells);
    let cells: Vec<_> = judged.collect();
    assert!(cells.len() > 30, "{said}");
    for cell in cells {
        assert_eq!(cell.verdict, None, "{}: nobody was there who could have answered", cell.flow);
    }
    assert_eq!(status.code(), Some(6), "{said}");
}

fn a_pace_that_cannot_be_held_is_refused_with_one_that_can() {
    let _held = alone();
    let place = Place::new();
    // Nearly a million attempts a second.
    let json = place.file("run.json");
    let (status, said) = end(&mut pipeline(&place, &["--interval", "50us", "--json", &json.display().to_string()]));
    let document: Document = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let why = document.aborted.unwrap_or_default();
    assert_eq!(status.code(), Some(6), "{why}: {said}");
    assert!(why.contains("every flow once in 50µs cannot be held") && why.contains("`--interval "), "{why}");
    let (status, calm) = end(&mut pipeline(&place, &["--interval", "100ms"]));
    assert_eq!(status.code(), Some(0), "one that can be held is: {calm}");
}

/// The agents of a large matrix go through the baseline once and rest. What one of them could not see is tried again, and
/// what was seen is not.
fn a_large_baseline_tries_again_what_an_agent_slept_through_and_nothing_else() {
    let _held = alone();
    let place = Place::new();
    let json = place.file("run.json");
    let folder = place.file("world");
    std::fs::create_dir(&folder).unwrap();
    let scenario = world::write(&folder, 50).unwrap();
    let mut run = place.leakproof();
    run.arg("run").arg(scenario).arg("--json").arg(&json).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = run.spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("baseline: ") {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "the run ended before its baseline was told of");
    }
    let sleeper = place.agents().pop().unwrap();
    kill(Pid::from_raw(sleeper), Signal::SIGSTOP).unwrap();
    // This is the input: longer than an agent may be late.
    std::thread::park_timeout(Duration::from_secs(1));
    kill(Pid::from_raw(sleeper), Signal::SIGCONT).unwrap();
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    let status = child.wait().unwrap();
    // The stage after it may be more than a busy machine can see; the baseline is what this is about.
    assert!(matches!(status.code(), Some(0 | 6)), "{status}: {rest}");
    let document: Document = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let cells = &document.stages[0].cells;
    let unproven: Vec<String> =
        cells.iter().filter(|cell| cell.verdict != Some(Verdict::Allowed)).map(|cell| cell.flow.to_string()).collect();
    assert_eq!(unproven, [] as [String; 0], "{rest}");
    let tries = |cell: &&Cell| cell.attempts + cell.unseen;
    assert!(cells.iter().any(|cell| tries(&cell) > 1), "nothing was slept through");
    let once = cells.iter().filter(|cell| tries(cell) == 1).count();
    assert!(once * 10 > cells.len() * 9, "{once} of {} cells were tried once and no more", cells.len());
    place.assert_nothing_left();
}

fn two_runs_at_once_do_not_disturb_each_other() {
    let _held = beside_others();
    let place = Place::new();
    let children: Vec<_> = (0..2)
        .map(|_| {
            place
                .leakproof()
                .arg("run")
                .arg(scenario("ai-data-pipeline.yaml"))
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    }
    place.assert_no_files_left();
}

fn a_full_disk_is_told_and_does_not_change_a_verdict() {
    let _held = beside_others();
    let place = Place::new();
    let output = place
        .leakproof()
        .arg("run")
        .arg(scenario("ai-data-pipeline.yaml"))
        .args(["--json", "/dev/full"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(7), "a report that cannot be written is not a verdict: {said}");
    assert!(said.contains("/dev/full"), "{said}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("ai-data-pipeline"), "the verdict is shown all the same");
}

fn a_reader_that_stops_reading_is_no_error() {
    let _held = beside_others();
    let place = Place::new();
    let mut child = place
        .leakproof()
        .arg("run")
        .arg(scenario("ai-data-pipeline.yaml"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let status = child.wait().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

fn running_out_of_descriptors_is_never_a_denial() {
    let _held = beside_others();
    // From a limit at which nothing starts to one at which all is well: no verdict may be wrong on the way.
    for files in [12, 24, 32, 48, 64, 96] {
        let place = Place::new();
        let json = place.file("run.json");
        let script = format!("ulimit -Sn {files} && ulimit -Hn {files} && exec \"$@\"");
        let output = Command::new("sh")
            .args(["-c", &script, "sh", PROGRAM, "run"])
            .arg(scenario("allow-all.yaml"))
            .args(["--converge-within", "1500ms", "--json"])
            .arg(&json)
            .env("TMPDIR", place.temporary())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(0 | 4 | 6)), "{files} files: {:?} {said}", output.status);
        assert!(!said.contains("panicked"), "{files} files: {said}");
        if let Ok(text) = std::fs::read(&json) {
            let document: Document = serde_json::from_slice(&text).unwrap();
            for cell in document.stages.iter().flat_map(|stage| &stage.cells) {
                assert_ne!(cell.verdict, Some(Verdict::Denied), "{files} files: {}", cell.flow);
            }
        }
        place.assert_nothing_left();
    }
}
