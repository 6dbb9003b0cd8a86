//! What a scenario's policies mean, stage by stage, held against what its author wanted; nobody looked at a network.
//!
//! Its JSON is an interface for scripts, like that of a [`Document`](super::document::Document), whose words it shares.

use serde::{Deserialize, Serialize};

use super::document::{Counts, ScenarioInfo};
use super::finding::{Call, Finding};
use super::flow::NamedFlow;
use super::prediction::{PlannedAddress, Reason};
use super::verdict::{Intent, Meaning};

/// The format this version writes; the number changes only where a reader of the old one would be misled.
pub const FORMAT: &str = "leakproof/forecast/1";

/// All stages of a scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// [`FORMAT`].
    pub format: String,
    /// Version of leakproof that made it.
    pub leakproof: String,
    /// Whose policies.
    pub scenario: ScenarioInfo,
    /// The initial policies, then each step.
    pub stages: Vec<Outlook>,
    /// What a person should know though it changes nothing.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Sums over all stages.
    pub counts: Counts,
    /// The exit code: see the README's table.
    pub exit: u8,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outlook {
    /// `policies`, or the step's `about:` or number.
    pub name: String,
    /// What is changed before it, in words, one entry a change.
    pub changes: Vec<String>,
    /// Every cell, in order of flow.
    pub cells: Vec<Foreseen>,
    /// The contradictions.
    pub findings: Vec<Finding>,
    /// Sums over the cells.
    pub counts: Counts,
    /// The reasons that cells' `egress` and `ingress` name by number.
    pub reasons: Vec<Reason>,
}

/// One cell's two readings that need no network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Foreseen {
    /// The flow.
    #[serde(flatten)]
    pub flow: NamedFlow,
    /// What the author wrote.
    pub intent: Intent,
    /// What the policies say.
    pub meaning: Meaning,
    /// `ok`, `contradiction`, or `unjudged` where meaning is unknown.
    pub call: Call,
    /// The reason on the source's side: a place in the stage's `reasons`, counted from 0.
    pub egress: u32,
    /// The reason on the destination's side, likewise.
    pub ingress: u32,
    /// The addresses chosen by leakproof that `meaning` rests on: with others it could be the opposite.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub planned: Vec<PlannedAddress>,
}
