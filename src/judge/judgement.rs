//! The judge's word on one cell.

use std::time::Duration;

use crate::model::document::Cell;
use crate::model::finding::{Call, Passing, Window};
use crate::model::flow::NamedFlow;
use crate::model::observation::{Observation, Witness};
use crate::model::verdict::{Intent, Meaning, Verdict};
use crate::model::watch::{Gap, Standing};

use super::table::Row;

/// How a stage came to its end, which decides what being wrong means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// It had converged: after that nothing is forgiven.
    Converged,
    /// Time ran out: what is wrong, or went to and fro, is a finding.
    TimedOut,
    /// It was ended before either: what is not right yet is inconclusive.
    Interrupted,
}

/// One cell of one stage, judged. Times count as their fields say.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// What was seen in the final window.
    pub observation: Observation,
    /// The verdict on reality; none where it was not seen, or not one thing.
    pub verdict: Option<Verdict>,
    /// The cell's row in the table of readings.
    pub row: Row,
    /// What that counts as: known to be so, or not.
    pub standing: Standing,
    /// What proves a denial.
    pub witness: Option<Witness>,
    /// From sending the change until the first attempt of those that were right for good; zero where it was right
    /// throughout, none where it never became right.
    pub time_to_enforce: Option<Duration>,
    /// The longest an answer took in the final window.
    pub slowest: Option<Duration>,
    /// Attempts of this stage whose outcome was seen.
    pub attempts: u32,
    /// Attempts of this stage that could not see.
    pub unseen: u32,
    /// The longest time after convergence in which it could not be observed, where that was longer than a denial takes.
    pub unobserved: Option<Gap>,
    /// When it was wrong, since the run began.
    pub windows: Vec<Window>,
    /// Whether what `row` says was seen before or during, though the final window alone would not say it.
    pub passing: Option<Passing>,
    /// A remark for people.
    pub note: Option<String>,
}

impl Judgement {
    /// The call, in short.
    pub fn call(&self) -> Call {
        self.row.call
    }

    /// The time to enforce as documents have it.
    pub(super) fn time_to_enforce_us(&self) -> Option<u64> {
        self.time_to_enforce.map(micros)
    }

    /// Takes the graver of what the final window says and what happened besides. A cell that cannot be told to be
    /// right at the end is still a leak if it leaked.
    pub(super) fn outweigh(&mut self, row: Row, passing: Passing) {
        if row.call.gravity() > self.row.call.gravity() {
            self.row = row;
            self.passing = Some(passing);
        }
    }

    /// The cell as the document has it, with what the judge does not know: names, readings, and the places of the
    /// reasons in the stage's list.
    pub fn into_cell(self, flow: NamedFlow, intent: Intent, meaning: Meaning, egress: u32, ingress: u32) -> Cell {
        let time_to_enforce_us = self.time_to_enforce_us();
        Cell {
            flow,
            intent,
            meaning,
            egress,
            ingress,
            planned: Vec::new(),
            reality: self.observation,
            verdict: self.verdict,
            call: self.row.call,
            standing: self.standing,
            witness: self.witness,
            time_to_enforce_us,
            slowest_us: self.slowest.map(micros),
            attempts: self.attempts,
            unseen: self.unseen,
            unobserved: self.unobserved,
            windows: self.windows,
            note: self.note,
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
