//! The lab is made wrong on purpose, one way at a time; each fault must give exactly its finding and exit code, and the
//! same scenario without a fault none. A detector that was never shown the thing it detects is not tested.
//!
//! Two hundred of them in a row take minutes: `cargo test --test faults -- --ignored`.

use std::collections::BTreeSet;
use std::process::ExitCode;

use leakproof::model::document::Document;
use leakproof::model::finding::Call;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use place::{Place, scenario};

mod place;

/// One fault and what must come of it.
struct Case {
    /// What the case claims; the trial's name.
    claim: &'static str,
    /// Arguments after `run SCENARIO`.
    arguments: &'static [&'static str],
    /// The exit code.
    exit: u8,
    /// The calls other than `ok` there must be, each as `CALL flow`; `*` stands for any flow.
    calls: &'static [&'static str],
    /// A text the JSON's cells, findings or warnings must hold.
    holds: &'static [&'static str],
}

const LEAK: &str = "leak=intruder->data-store:5432/tcp";
const CUT: &str = "cut=ai-processing->data-store:5432/tcp";

const CASES: &[Case] = &[
    Case { claim: "a quiet run finds nothing", arguments: &[], exit: 0, calls: &[], holds: &[] },
    Case {
        claim: "a leaking flow is a leak",
        arguments: &["--fault", LEAK],
        exit: 11,
        calls: &["LEAK intruder -> data-store:5432/tcp"],
        holds: &["network"],
    },
    Case {
        claim: "a run makes no long attempts, and does not see that repeats of a first packet pass",
        arguments: &["--fault", "leak-repeats=intruder->data-store:5432/tcp"],
        exit: 0,
        calls: &[],
        holds: &[],
    },
    Case {
        claim: "one flow alone leaks as it does among all",
        arguments: &["--only", "intruder->data-store:5432/tcp", "--fault", LEAK],
        exit: 11,
        calls: &["LEAK intruder -> data-store:5432/tcp"],
        holds: &["network", "only intruder->data-store:5432/tcp and what vouches for it: 18 of 40 cells are tried"],
    },
    Case {
        claim: "one flow alone does not see what is wrong elsewhere",
        arguments: &["--only", "impostor->data-store:5432/tcp", "--fault", "leak=intruder->data-store-2:5432/tcp"],
        exit: 0,
        calls: &[],
        holds: &[],
    },
    Case {
        claim: "a cut flow is an outage",
        arguments: &["--fault", CUT],
        exit: 10,
        calls: &["OUTAGE ai-processing -> data-store:5432/tcp"],
        holds: &["network"],
    },
    Case {
        claim: "a leak is graver than an outage",
        arguments: &["--fault", LEAK, "--fault", CUT],
        exit: 11,
        calls: &["LEAK intruder -> data-store:5432/tcp", "OUTAGE ai-processing -> data-store:5432/tcp"],
        holds: &[],
    },
    Case {
        claim: "enforcement that is late but in time passes, with its time shown",
        arguments: &["--fault", "late=400ms"],
        exit: 0,
        calls: &[],
        holds: &["time_to_enforce_us"],
    },
    Case {
        claim: "enforcement that is later than converge_within is a leak",
        arguments: &["--fault", "late=30s", "--converge-within", "4s"],
        exit: 11,
        calls: &["LEAK *"],
        holds: &[],
    },
    Case {
        claim: "a flapping flow is found, with several windows",
        arguments: &["--fault", "flap=intruder->data-store:5432/tcp@200ms", "--converge-within", "4s"],
        exit: 11,
        calls: &["LEAK intruder -> data-store:5432/tcp"],
        holds: &["windows"],
    },
    Case {
        claim: "rejecting instead of dropping passes with a warning",
        arguments: &["--fault", "reject"],
        exit: 0,
        calls: &[],
        holds: &["reject"],
    },
    Case {
        claim: "a dead listener is inconclusive, never denied",
        arguments: &["--fault", "kill-listener=data-store:5432/tcp", "--converge-within", "4s"],
        exit: 6,
        calls: &["UNSURE *"],
        holds: &[],
    },
    Case {
        claim: "a dead agent is inconclusive, never denied",
        arguments: &["--fault", "kill-agent=data-store@100ms", "--converge-within", "4s"],
        exit: 6,
        calls: &["UNSURE *"],
        holds: &[],
    },
    Case {
        claim: "an answer of the wrong server is found",
        arguments: &["--fault", "wrong-server=data-store:9000/tcp", "--converge-within", "4s"],
        exit: 11,
        calls: &["WRONG *"],
        holds: &[],
    },
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Each is a whole run; side by side they would only take each other's time.
    arguments.test_threads.get_or_insert(1);
    let one_by_one = CASES.iter().map(|case| Trial::ignorable_test(case.claim, || prove(case)));
    let row = Trial::ignorable_test(format!("{ROW} in a row are all found, and nothing piles up"), in_a_row);
    let trials = one_by_one.chain([row.with_ignored_flag(true)]).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// So many faulted runs one after the other.
const ROW: usize = 200;

fn in_a_row() -> Result<Completion, Failed> {
    for (number, case) in CASES.iter().cycle().take(ROW).enumerate() {
        match prove(case) {
            Ok(Completion::Completed) => {}
            Ok(ignored) => return Ok(ignored),
            Err(failed) => {
                let why = failed.message().unwrap_or_default();
                return Err(Failed::from(format!("run {} of {ROW}, `{}`: {why}", number + 1, case.claim)));
            }
        }
    }
    Ok(Completion::Completed)
}

fn prove(case: &'static Case) -> Result<Completion, Failed> {
    let place = Place::new();
    let json = place.file("run.json");
    let mut run = place.leakproof();
    run.arg("run").arg(scenario("ai-data-pipeline.yaml")).arg("--json").arg(&json).args(case.arguments);
    let output = run.output()?;
    place.assert_nothing_left();
    place.assert_no_files_left();
    let said = || String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(4) && std::env::var_os("LEAKPROOF_REQUIRE_LAB").is_none() {
        return Ok(Completion::ignored_with(said()));
    }
    if output.status.code() != Some(i32::from(case.exit)) {
        return Err(Failed::from(format!("exit {:?} instead of {}:\n{}", output.status.code(), case.exit, said())));
    }
    let text = std::fs::read_to_string(&json)?;
    let document: Document = serde_json::from_str(&text)?;
    if document.exit != case.exit {
        return Err(Failed::from(format!("the JSON says exit {}", document.exit)));
    }
    let seen: BTreeSet<String> = document
        .stages
        .iter()
        .flat_map(|stage| &stage.cells)
        .filter(|cell| cell.call != Call::Ok)
        .map(|cell| format!("{} {}", cell.call.word(), cell.flow))
        .collect();
    for expected in case.calls {
        let (word, flow) = expected.split_once(' ').unwrap_or((expected, "*"));
        if !seen.iter().any(|s| s == expected || (flow == "*" && s.starts_with(word))) {
            return Err(Failed::from(format!("no `{expected}` among {seen:?}:\n{}", said())));
        }
    }
    let covered = |s: &String| {
        case.calls.iter().any(|c| c == s || (c.ends_with('*') && s.split(' ').next() == c.split(' ').next()))
    };
    if let Some(surplus) = seen.iter().find(|s| !covered(s)) {
        return Err(Failed::from(format!("`{surplus}` was not asked for; all: {seen:?}:\n{}", said())));
    }
    for text_held in case.holds {
        if !text.contains(text_held) {
            return Err(Failed::from(format!("the JSON does not hold `{text_held}`")));
        }
    }
    Ok(Completion::Completed)
}
