//! The summary that leads every report: which fabric, which scenario, what came of it.

use crate::exit;
use crate::model::document::{CauseOf, Counts, Document, FabricInfo};

use super::duration::human_us;
use super::finding_groups;
use super::paint::Role;
use super::text::{number, plural};

/// One word for a whole run: the status word of its gravest outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The word.
    pub word: &'static str,
    /// How it is painted.
    pub role: Role,
}

/// The outcome that an exit code stands for. The counts tell a wrong server from a leak, which share a code.
pub fn outcome(code: u8, counts: &Counts) -> Outcome {
    let (word, role) = match code {
        0 => ("ok", Role::Allowed),
        4 => ("NO WORLD", Role::Leak),
        5 => ("CONTRA", Role::Contradiction),
        6 => ("UNSURE", Role::Unsure),
        7 => ("LEFT", Role::Unsure),
        10 => ("OUTAGE", Role::Outage),
        11 if counts.leaks == 0 && counts.wrong_servers > 0 => ("WRONG", Role::Leak),
        11 => ("LEAK", Role::Leak),
        130 | 143 => ("STOPPED", Role::Unsure),
        _ => ("BUG", Role::Leak),
    };
    Outcome { word, role }
}

/// Where: the fabric's own line, which begins with its kind.
pub fn fabric(info: &FabricInfo) -> String {
    let kind = info.kind.to_string();
    if info.summary.starts_with(&kind) { info.summary.clone() } else { format!("{kind}: {}", info.summary) }
}

/// Scenario and fabric: `ai-data-pipeline [lab: 2 nodes, nftables, Linux 6.18]`.
pub fn subject(document: &Document) -> String {
    format!("{} [{}]", document.scenario.name, fabric(&document.fabric))
}

/// The phase that removes what a run made.
const TEAR_DOWN: &str = "tear-down";

/// How long the run took, and each of its phases: `took 13 s: world 2.9 s, baseline 1.1 s, policies 3.1 s, tear-down
/// 5.9 s`. A report that is shown before tear-down says so.
pub fn took(document: &Document) -> String {
    let phases = document.phases.iter().map(|phase| format!("{} {}", phase.name, human_us(phase.took_us)));
    let phases = phases.collect::<Vec<_>>().join(", ");
    let torn_down = document.phases.iter().any(|phase| phase.name == TEAR_DOWN);
    let before = if torn_down { "" } else { ", tear-down not counted" };
    let took = format!("took {}{before}", human_us(document.took_us));
    if phases.is_empty() { took } else { format!("{took}: {phases}") }
}

/// What is left to tell of time after tear-down: `tear-down took 5.9 s, all together 13 s`.
pub fn tear_down(document: &Document) -> Option<String> {
    let phase = document.phases.iter().find(|phase| phase.name == TEAR_DOWN)?;
    Some(format!("tear-down took {}, all together {}", human_us(phase.took_us), human_us(document.took_us)))
}

/// So many causes lead the summary.
const LEADING: usize = 3;

/// What is wrong in many flows for one cause: the lines that lead the summary.
pub fn lead(document: &Document) -> Vec<String> {
    let titles = finding_groups::titles(document);
    let mut lines: Vec<String> = titles.iter().take(LEADING).cloned().collect();
    if let Some(more @ 1..) = titles.len().checked_sub(LEADING) {
        lines.push(format!("and {} with many flows", plural(more as u64, "more cause", "more causes")));
    }
    lines
}

/// The warning that goes with a deliberate fault, where one was asked for.
pub fn fault(document: &Document) -> Option<String> {
    let fault = document.fabric.fault.as_ref()?;
    Some(format!("deliberate fault `{fault}`: this run proves nothing about a policy"))
}

/// Counts in words, gravest first: `1 leak, 2 outages, 57 ok of 60 cells`.
pub fn counts(counts: &Counts) -> String {
    let mut parts = Vec::new();
    let mut part = |count: u64, one: &str, many: &str| {
        if count > 0 {
            parts.push(plural(count, one, many));
        }
    };
    part(counts.leaks, "leak", "leaks");
    part(counts.wrong_servers, "wrong server", "wrong servers");
    part(counts.outages, "outage", "outages");
    part(counts.contradictions, "contradiction", "contradictions");
    part(counts.inconclusive, "inconclusive", "inconclusive");
    part(counts.unjudged, "unjudged", "unjudged");
    part(counts.known, "known to be wrong", "known to be wrong");
    part(counts.unsupported, "unsupported", "unsupported");
    let cells = plural(counts.cells, "cell", "cells");
    if parts.is_empty() && counts.ok == counts.cells {
        return match counts.cells {
            0 => "no cell was judged".to_owned(),
            1 => format!("{cells}, as it should be"),
            _ => format!("{cells}, all as they should be"),
        };
    }
    parts.push(format!("{} ok", number(counts.ok)));
    format!("{} of {cells}", parts.join(", "))
}

/// Cells without intent, in a sentence; none where there are none.
pub fn unstated(counts: &Counts) -> Option<String> {
    match counts.unstated {
        0 => None,
        1 => Some("1 cell has no stated intent: what the policies say judged it alone".into()),
        many => Some(format!("{} cells have no stated intent: what the policies say judged them alone", number(many))),
    }
}

/// Exit code and what it means, with what sets it besides cells, which are counted before it: `exit 10: a flow that should
/// work does not: 4 connections held open stalled or ended`.
pub fn exit(document: &Document) -> String {
    let besides = document.causes.iter().filter(|cause| cause.exit == document.exit && cause.of != CauseOf::Cells);
    let besides: Vec<&str> = besides.map(|cause| cause.what.as_str()).collect();
    let because = if besides.is_empty() { String::new() } else { format!(": {}", besides.join("; ")) };
    format!("exit {}: {}{because}", document.exit, exit::meaning(document.exit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_told_gravest_first_and_zeros_are_not() {
        let table = [
            (Counts { cells: 60, ok: 60, ..Counts::default() }, "60 cells, all as they should be", "all is well"),
            (Counts::default(), "no cell was judged", "nothing is not all"),
            (Counts { cells: 1, ok: 1, ..Counts::default() }, "1 cell, as it should be", "one alone"),
            (
                Counts { cells: 60, ok: 57, leaks: 1, outages: 2, ..Counts::default() },
                "1 leak, 2 outages, 57 ok of 60 cells",
                "gravest first",
            ),
            (
                Counts { cells: 3, ok: 2, known: 1, ..Counts::default() },
                "1 known to be wrong, 2 ok of 3 cells",
                "what is known is told, and not called a leak",
            ),
            (
                Counts { cells: 3, ok: 2, unsupported: 1, ..Counts::default() },
                "1 unsupported, 2 ok of 3 cells",
                "what could not be carried is said",
            ),
        ];
        for (sums, expected, why) in table {
            assert_eq!(counts(&sums), expected, "{why}");
        }
    }

    #[test]
    fn a_wrong_server_is_not_called_a_leak() {
        let wrong = Counts { wrong_servers: 1, ..Counts::default() };
        assert_eq!(outcome(11, &wrong).word, "WRONG");
        assert_eq!(outcome(11, &Counts { leaks: 1, ..wrong }).word, "LEAK", "unless there is one besides");
        assert_eq!(outcome(99, &wrong).word, "BUG", "a code nobody gives is a bug");
    }
}
