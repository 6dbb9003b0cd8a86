//! What a run puts up with: budgets of the command line and of single flows, and the scenario's `known:` list.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::civil::Date;

use super::Vigil;
use super::assemble::BASELINE;
use crate::judge::{Allowance, Tolerance};
use crate::model::document::{Convergence, Document};
use crate::model::flow::NamedFlow;
use crate::model::watch::{KnownInfo, KnownOutcome, Standing};
use crate::scenario::{Known, Scenario, Stage};

/// Today, where this machine is.
pub(super) fn today() -> Date {
    jiff::Zoned::now().date()
}

/// What is put up with in one stage.
pub(super) fn tolerance(scenario: &Scenario, stage: &Stage, vigil: Option<&Vigil<'_>>, today: Date) -> Tolerance {
    let usual =
        vigil.map_or_else(Allowance::default, |vigil| Allowance { outage: vigil.max_outage, leak: vigil.max_leak });
    let table = stage.cells.table();
    let own = stage.budgets.iter().filter_map(|(flow, budget)| {
        let allowance = Allowance {
            outage: budget.max_outage.unwrap_or(usual.outage),
            leak: budget.max_leak.unwrap_or(usual.leak),
        };
        Some((table.find(flow)?, allowance))
    });
    let current = scenario.known().iter().filter(|known| known.until >= today);
    let known = current.flat_map(|known| known.flows.iter().filter_map(|flow| Some((table.find(flow)?, known.call))));
    let unobserved = vigil.map_or(Duration::ZERO, |vigil| vigil.max_unobserved);
    Tolerance { usual, own: own.collect(), known: known.collect(), unobserved }
}

/// What came of the `known:` list, and what a person should know of that.
pub(super) fn known(scenario: &Scenario, document: &Document, today: Date) -> (Vec<KnownInfo>, Vec<String>) {
    let mut infos = Vec::new();
    let mut warnings = Vec::new();
    for entry in scenario.known() {
        let outcome = if entry.until < today {
            warnings.push(format!(
                "known {} of {}: expired on {}, so it counts again ({})",
                entry.call, entry.words, entry.until, entry.reason
            ));
            KnownOutcome::Expired
        } else if happened(scenario, entry, document) {
            KnownOutcome::Happened
        } else {
            if document.aborted.is_none() {
                warnings.push(format!(
                    "known {} of {}: it did not happen; if that is for good, take the entry away ({})",
                    entry.call, entry.words, entry.reason
                ));
            }
            KnownOutcome::Passed
        };
        infos.push(KnownInfo {
            flows: entry.words.clone(),
            call: entry.call,
            reason: entry.reason.clone(),
            until: entry.until.to_string(),
            outcome,
        });
    }
    (infos, warnings)
}

fn happened(scenario: &Scenario, entry: &Known, document: &Document) -> bool {
    let flows: BTreeSet<NamedFlow> = entry.flows.iter().map(|flow| scenario.named(flow)).collect();
    let stages = document.stages.iter().filter(|stage| stage.name != BASELINE);
    stages.flat_map(|stage| stage.cells.iter().map(move |cell| (stage, cell))).any(|(stage, cell)| {
        let at_the_end = cell.call == entry.call && cell.standing == Standing::Known;
        // What is wrong before convergence is time to enforce, and that is never on the list.
        let enforced = match stage.convergence {
            Convergence::Converged { after_us, .. } => stage.sent_us.saturating_add(after_us),
            Convergence::TimedOut { .. } | Convergence::Interrupted => 0,
        };
        let window = cell.windows.iter().any(|w| w.call == entry.call && w.first_wrong_us >= enforced);
        flows.contains(&cell.flow) && (at_the_end || window)
    })
}
