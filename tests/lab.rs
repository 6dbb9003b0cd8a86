//! The lab itself, without agents and without the oracle: hand-made worlds, and plain sockets inside their pods.
//!
//! Where this machine forbids user namespaces every trial is shown as ignored, with the reason; with
//! `LEAKPROOF_REQUIRE_LAB=1` it fails instead.

#[path = "lab/faults.rs"]
mod faults;
#[path = "lab/lives.rs"]
mod lives;
#[path = "lab/policies.rs"]
mod policies;
#[path = "lab/sockets.rs"]
mod sockets;
#[path = "lab/stand_in.rs"]
mod stand_in;
#[path = "lab/worlds.rs"]
mod worlds;

use std::future::Future;
use std::process::ExitCode;
use std::sync::Arc;

use leakproof::fabric::lab::{EnterError, Entered, enter};
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Runtime;

/// What a trial is made from.
pub type Body = fn(Entered, Arc<Runtime>) -> Result<(), Failed>;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("agent") {
        return stand_in::agent();
    }
    // First of all, while this process has one thread.
    let entered = enter();
    let arguments = Arguments::from_args();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build();
    let runtime = Arc::new(runtime.expect("a runtime"));
    let trials = [policies::trials(), faults::trials(), lives::trials()].concat();
    let trials = trials.into_iter().map(|(name, body)| trial(name, body, &entered, &runtime)).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(name: &str, body: Body, entered: &Result<Entered, EnterError>, runtime: &Arc<Runtime>) -> Trial {
    let required = std::env::var_os("LEAKPROOF_REQUIRE_LAB").is_some_and(|value| value == "1");
    match entered {
        Ok(entered) => {
            let (entered, runtime) = (*entered, Arc::clone(runtime));
            Trial::test(name, move || body(entered, runtime))
        }
        Err(error) => {
            let error = error.to_string();
            Trial::ignorable_test(name, move || {
                if required { Err(Failed::from(error)) } else { Ok(libtest_mimic::Completion::ignored_with(error)) }
            })
        }
    }
}

/// Runs a trial's future to its end.
pub fn block_on(runtime: &Runtime, future: impl Future<Output = Result<(), Failed>>) -> Result<(), Failed> {
    runtime.block_on(future)
}
