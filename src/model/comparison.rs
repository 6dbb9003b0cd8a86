//! What differs between two runs, cell by cell. Made by the room `compare`; reports render it.
//!
//! Its JSON is an interface for scripts, like that of a [`Document`](super::document::Document), whose words it shares.

pub mod watch;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::document::Convergence;
use super::finding::Call;
use super::flow::NamedFlow;
use super::verdict::{Intent, Meaning};

/// The format this version writes; the number changes only where a reader of the old one would be misled.
pub const FORMAT: &str = "leakproof/diff/1";

/// Two runs side by side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// [`FORMAT`].
    pub format: String,
    /// The run that was given first.
    pub before: Side,
    /// The run that was given second.
    pub after: Side,
    /// What is known of both worlds and differs: versions of the network plugin, of Kubernetes, of the kernel.
    pub facts: Vec<FactChange>,
    /// Stages that both runs have, in the order of the first.
    pub stages: Vec<StageChange>,
    /// Names of stages that only the first has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages_only_before: Vec<String>,
    /// Names of stages that only the second has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages_only_after: Vec<String>,
    /// What they watched; none where neither did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<watch::WatchChange>,
    /// Whether anything differs that matters. Times do not: they are shown, and differ from run to run.
    pub outcome: Sameness,
}

/// Whether anything differs that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sameness {
    /// Both runs have the same cells with the same readings.
    Same,
    /// They do not.
    Different,
}

/// One of the two runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// The run's id.
    pub run: String,
    /// Version of leakproof that made it.
    pub leakproof: String,
    /// When it started.
    pub started: String,
    /// The scenario's name.
    pub scenario: String,
    /// Where: the fabric's line for people.
    pub fabric: String,
    /// The deliberate fault, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// How often each cell was tried: the resolution of its times.
    pub interval_us: u64,
    /// Its exit code.
    pub exit: u8,
}

/// A value in both runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Change<T> {
    /// In the first.
    pub before: T,
    /// In the second.
    pub after: T,
}

/// A fact of the world that differs; none where one of the runs does not tell it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactChange {
    /// Its name, as in the document: `cni-version`, `kubernetes`, `kernel`.
    pub name: String,
    /// Its values.
    #[serde(flatten)]
    pub value: Change<Option<String>>,
}

/// One stage in both runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageChange {
    /// Its name.
    pub name: String,
    /// Cells that both have.
    pub cells: u64,
    /// How convergence went.
    pub convergence: Change<Convergence>,
    /// Cells whose readings differ, the gravest call first.
    pub changed: Vec<CellChange>,
    /// Cells whose time to enforce differs by more than can be chance, the largest difference first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub times: Vec<TimeChange>,
    /// The middle of the times to enforce of all cells that took any; none where none did.
    pub median_us: Change<Option<u64>>,
    /// Cells that only the first has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only_before: Vec<NamedFlow>,
    /// Cells that only the second has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only_after: Vec<NamedFlow>,
}

/// A cell whose readings differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellChange {
    /// The flow.
    #[serde(flatten)]
    pub flow: NamedFlow,
    /// How its readings differ.
    pub readings: Readings,
}

/// Both runs' readings of one cell. What is the same in both is told too: a change is understood by what it left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Readings {
    /// What the author wrote.
    pub intent: Change<Intent>,
    /// What the policies say.
    pub meaning: Change<Meaning>,
    /// What was seen.
    pub reality: Change<Seen>,
    /// What the cell was called.
    pub call: Change<Call>,
}

impl Readings {
    /// Whether any of them differs.
    pub fn differ(&self) -> bool {
        let Self { intent, meaning, reality, call } = self;
        intent.differs() || meaning.differs() || reality.differs() || call.differs()
    }
}

impl<T: PartialEq> Change<T> {
    /// Whether the two differ.
    pub fn differs(&self) -> bool {
        self.before != self.after
    }
}

/// What was seen, as far as two runs can be expected to agree: no counts, no times, and a reply that got lost on its
/// way back is no difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seen {
    /// Attempts arrived.
    Reached,
    /// They arrived, but not from the source's own address.
    Translated,
    /// Nothing came back.
    Silent,
    /// A refusal came back.
    Refused,
    /// A handshake without proof of who answered, or a reset after it.
    HalfOpen,
    /// Somebody else answered.
    SomeoneElse,
    /// Some arrived and some did not.
    Mixed,
    /// There was no way there.
    Unreachable,
    /// The world could not carry it.
    Unsupported,
    /// Nothing that says anything was seen.
    NotSeen,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reached => "reached",
            Self::Translated => "reached from another address",
            Self::Silent => "silent",
            Self::Refused => "refused",
            Self::HalfOpen => "half open",
            Self::SomeoneElse => "somebody else",
            Self::Mixed => "mixed",
            Self::Unreachable => "unreachable",
            Self::Unsupported => "not supported",
            Self::NotSeen => "not seen",
        })
    }
}

/// A cell whose time to enforce differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeChange {
    /// The flow.
    #[serde(flatten)]
    pub flow: NamedFlow,
    /// From sending the change until it was right for good, in microseconds.
    #[serde(flatten)]
    pub us: Change<u64>,
}
