//! The oracle and the lab are two readings of NetworkPolicy that share no code. Here they are held against each other
//! over generated policy sets: what the oracle computes, against what connections do in the lab.
//!
//! A run prints its seed; `LEAKPROOF_AGREEMENT_SEED` repeats it, `LEAKPROOF_AGREEMENT_SETS` makes it longer. Failing
//! cases are made small and written as scenario files below the target folder. The fuzz itself is tested by mistakes
//! that are made on purpose before one of the two readings: each must be found.
//!
//! SCTP is the oracle's alone: the kernels this runs on lack it, so its cells are predicted and not probed.
//!
//! Where this machine has no lab, the trials that need one are shown as ignored with the reason;
//! `LEAKPROOF_REQUIRE_LAB=1` makes that a failure.

#[path = "agreement/bench.rs"]
mod bench;
#[path = "agreement/dice.rs"]
mod dice;
#[path = "agreement/draw.rs"]
mod draw;
#[path = "agreement/features.rs"]
mod features;
#[path = "agreement/fuzz.rs"]
mod fuzz;
#[path = "agreement/ground.rs"]
mod ground;
#[path = "agreement/hunt.rs"]
mod hunt;
#[path = "agreement/manifest.rs"]
mod manifest;
#[path = "agreement/mutants.rs"]
mod mutants;
#[path = "agreement/offline.rs"]
mod offline;
#[path = "agreement/reading.rs"]
mod reading;
#[path = "agreement/rewrite.rs"]
mod rewrite;
#[path = "agreement/shrink.rs"]
mod shrink;

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bench::Workshop;
use hunt::Hunt;
use leakproof::fabric::lab::{EnterError, Entered, enter};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use tokio::runtime::Runtime;

/// Policy sets of a run, unless told otherwise.
const SETS: usize = 512;
/// Worlds of the fuzz that are there at a time.
const WORLDS: usize = 4;
/// Trials at a time: most of the time a trial waits for deadlines.
const TRIALS: usize = 4;

/// What is said at the end, in order.
type Closing = Arc<Mutex<Vec<String>>>;

fn main() -> ExitCode {
    // First of all, while this process has one thread.
    let entered = enter();
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(TRIALS);
    let seed = number("LEAKPROOF_AGREEMENT_SEED").unwrap_or_else(|| leakproof::clock::now().0 % 1_000_000_000);
    let sets = number("LEAKPROOF_AGREEMENT_SETS").map_or(SETS, |sets| sets as usize);
    let runtime = Runtime::new().expect("a runtime can be built");
    let closing = Closing::default();

    let mut trials = offline::trials(seed);
    let hunt = Arc::new(Hunt::new(seed));
    trials.extend(lab_trials(&entered, &runtime, seed, sets, &hunt, &closing));
    let conclusion = libtest_mimic::run(&arguments, trials);

    let mut lines = std::mem::take(&mut *closing.lock().expect("no trial panics while holding this"));
    lines.extend(hunt.told());
    if let Err(error) = runtime.block_on(hunt.end()) {
        lines.push(format!("tearing down the mutants' worlds: {error}"));
    }
    // Nobody who closed stderr wants to read this.
    let _unheard = writeln!(std::io::stderr(), "{}", lines.join("\n"));
    conclusion.exit_code()
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is `{text}`, which is no number")))
}

fn lab_trials(
    entered: &Result<Entered, EnterError>,
    runtime: &Runtime,
    seed: u64,
    sets: usize,
    hunt: &Arc<Hunt>,
    closing: &Closing,
) -> Vec<Trial> {
    let claims = std::iter::once("agreement::random sets agree".to_owned())
        .chain(mutants::ALL.iter().map(|mutant| format!("agreement::mutant {} is found", mutant.name)));
    let entered = match entered {
        Ok(entered) => *entered,
        Err(error) => {
            let reason = bench::chain(error);
            return claims.map(|claim| without_lab(claim, reason.clone())).collect();
        }
    };
    // A sweep is mostly waiting, but what it does it does all at once; more of them would only starve each other.
    let sweeps = std::thread::available_parallelism().map_or(2, std::num::NonZeroUsize::get) + 1;
    let workshop = Workshop::new(entered, sweeps);
    let handle = runtime.handle().clone();
    claims
        .enumerate()
        .map(|(place, claim)| {
            let (workshop, handle, hunt, closing) =
                (workshop.clone(), handle.clone(), Arc::clone(hunt), Arc::clone(closing));
            Trial::test(claim, move || match place.checked_sub(1) {
                None => agree(&workshop, &handle, seed, sets, &closing),
                Some(mutant) => handle
                    .block_on(hunt.catch(&workshop, mutant))
                    .map_err(|error| Failed::from(format!("{error} (seed {seed})"))),
            })
        })
        .collect()
}

fn without_lab(claim: String, reason: String) -> Trial {
    Trial::ignorable_test(claim, move || {
        if std::env::var_os("LEAKPROOF_REQUIRE_LAB").is_some_and(|value| value == "1") {
            Err(Failed::from(reason))
        } else {
            Ok(Completion::ignored_with(reason))
        }
    })
}

fn agree(
    workshop: &Workshop,
    handle: &tokio::runtime::Handle,
    seed: u64,
    sets: usize,
    closing: &Closing,
) -> Result<(), Failed> {
    let begun = Instant::now();
    let tally = handle
        .block_on(fuzz::run(workshop, seed, sets, WORLDS))
        .map_err(|error| Failed::from(format!("{error} (seed {seed})")))?;
    let disputed: usize = tally.failing.iter().map(|failing| failing.disputed.len()).sum();
    let mut text =
        String::from("features of the sets, and with each how many sets allow something and deny something:\n");
    let mut unused = Vec::new();
    for (place, name) in features::ALL.iter().enumerate() {
        let (used, both) = tally.features.get(&place).copied().unwrap_or_default();
        if used == 0 || both == 0 {
            unused.push(*name);
        }
        writeln!(text, "  {name:<34} {used:>5} {both:>5}")?;
    }
    writeln!(
        text,
        "SCTP: {} cells predicted by the oracle alone; the lab's kernel has no SCTP, so they were not probed",
        thousands(tally.sctp)
    )?;
    writeln!(
        text,
        "in all worlds together the oracle took {:.1} s, and the lab {:.1} s to put policies in force",
        tally.oracle.as_secs_f64(),
        tally.enacting.as_secs_f64()
    )?;
    if let Some(why) = &tally.why_repeated {
        writeln!(text, "the first cell that was swept again: {why}")?;
    }
    write!(
        text,
        "agreement: {} sets, {} cells compared ({} of them denied), {disputed} disagreements, {} sweeps repeated, \
         {:.1} s, seed {seed}",
        tally.sets,
        thousands(tally.cells),
        thousands(tally.denied),
        tally.repeated,
        begun.elapsed().as_secs_f64()
    )?;
    closing.lock().expect("no trial panics while holding this").push(text);
    if !tally.failing.is_empty() {
        let told = fuzz::tell(workshop, handle, seed, &tally.failing);
        return Err(Failed::from(format!(
            "the readings differ on {disputed} cells of {} sets (LEAKPROOF_AGREEMENT_SEED={seed} repeats this){told}",
            tally.failing.len()
        )));
    }
    // Few sets, asked for by hand, need not hold everything.
    if sets >= SETS && !unused.is_empty() {
        return Err(Failed::from(format!(
            "never used, or never with both verdicts: {} (seed {seed})",
            unused.join(", ")
        )));
    }
    Ok(())
}

fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
