//! One trial per flow and stage of every scenario in `scenarios/`, on the lab: see `trials`.
//!
//! Where this machine has no lab, trials are shown as ignored with the reason; `LEAKPROOF_REQUIRE_LAB=1` makes that a
//! failure.

#[path = "trials/mod.rs"]
mod trials;

use std::process::ExitCode;
use std::sync::Arc;

use leakproof::model::document::FabricKind;
use libtest_mimic::Arguments;
use trials::{Place, Store, Together, scenario_files, trials_of};

/// Network namespaces on this machine.
const LAB: Place = Place {
    kind: FabricKind::Lab,
    runs: "scenarios",
    required: "LEAKPROOF_REQUIRE_LAB",
    arguments: Vec::new,
    absent: |output| (output.status.code() == Some(4)).then(|| String::from_utf8_lossy(&output.stderr).into_owned()),
    together: Together::Any,
};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let store = Arc::new(Store::new(LAB));
    let trials = scenario_files().iter().flat_map(|file| trials_of(file, &store)).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    store.clear();
    conclusion.exit_code()
}
