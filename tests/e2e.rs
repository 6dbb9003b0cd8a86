//! One trial per flow and stage of every scenario in `scenarios/`, on a real cluster (see `trials`), and what a run has to
//! do there besides: leave nothing behind, take nothing over, and never call denied what it could not see.
//!
//! The cluster is that of `LEAKPROOF_CONTEXT`, else of the kubeconfig's current context if that is kind's. Without one,
//! trials are shown as ignored with the reason; `LEAKPROOF_REQUIRE_CLUSTER=1` makes that a failure. Listing and filtering
//! ask no cluster anything. `LEAKPROOF_REPORTS=DIR` has every run write its JUnit, Markdown and HTML there.

#[path = "e2e/conduct.rs"]
mod conduct;
#[path = "trials/mod.rs"]
mod trials;

use std::process::{ExitCode, Output};
use std::sync::Arc;

use leakproof::model::document::FabricKind;
use libtest_mimic::Arguments;
use trials::{Place, Store, Together, scenario_files, trials_of};

/// A Kubernetes cluster.
const CLUSTER: Place = Place {
    kind: FabricKind::Cluster,
    runs: "e2e",
    required: "LEAKPROOF_REQUIRE_CLUSTER",
    arguments: context,
    absent,
    // Many scenarios call their namespace `shop`.
    together: Together::OneByOne,
};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let store = Arc::new(Store::new(CLUSTER));
    let mut trials: Vec<_> = scenario_files().iter().flat_map(|file| trials_of(file, &store)).collect();
    trials.extend(conduct::trials(&store));
    let conclusion = libtest_mimic::run(&arguments, trials);
    store.clear();
    conclusion.exit_code()
}

/// The cluster that was named, if one was.
fn context() -> Vec<String> {
    match std::env::var("LEAKPROOF_CONTEXT") {
        Ok(name) if !name.is_empty() => vec!["--context".to_owned(), name],
        Ok(_) | Err(_) => Vec::new(),
    }
}

/// That no cluster could be reached, as the program says it: a world that could not be made in one that answers is another
/// matter, and a failure.
fn absent(output: &Output) -> Option<String> {
    let said = String::from_utf8_lossy(&output.stderr);
    (output.status.code() == Some(4))
        .then(|| said.lines().find(|line| line.contains("no cluster to work in")))?
        .map(Into::into)
}
