//! What was seen while a converged world was watched: part of the [`Document`](super::document::Document).
//!
//! Windows of single cells stand with the cells; here is what concerns the watch as a whole, the connections that were
//! open all along, and the pods that were born meanwhile. Times are microseconds since the run's start.

use serde::{Deserialize, Serialize};

use super::finding::Call;
use super::flow::NamedFlow;

/// A watch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WatchInfo {
    /// It began: the moment of convergence.
    pub from_us: u64,
    /// It ended.
    pub until_us: u64,
    /// What it waited for, in words: `10m`, `a key`, `the command`.
    pub waited_for: String,
    /// The command under watch, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandInfo>,
    /// Attempts whose outcome was seen, over all cells.
    pub seen: u64,
    /// Attempts that could not see.
    pub unseen: u64,
    /// A cell was tried anew so often: the resolution of every time in the watch.
    pub interval_us: u64,
    /// Long attempts on denied flows, which outlast the kernel's repeats of a first packet.
    #[serde(default)]
    pub persistent: u64,
    /// The budgets for the whole watch.
    pub budgets: Budgets,
    /// What was not observed, all flows together; none where every flow was observed throughout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unobserved: Option<Unobserved>,
    /// Connections that were opened before and held open.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub established: Vec<Established>,
    /// Pods that were born while watching.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub newborns: Vec<Newborn>,
}

/// What was not observed of a watch: gaps between attempts that show something of a flow, those shorter than a denial takes
/// left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unobserved {
    /// Flows of which some time was not observed,
    pub flows: u64,
    /// of so many.
    pub of: u64,
    /// The longest gap of any flow.
    pub longest_us: u64,
    /// When the first of the flows' longest gaps began.
    pub from_us: u64,
    /// When the last of them ended.
    pub until_us: u64,
    /// Flows whose longest gap is over the budget and that are inconclusive.
    pub over: u64,
}

/// The command under watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandInfo {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// When it was started.
    pub began_us: u64,
    /// When it ended; none where it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_us: Option<u64>,
    /// How it ended, in words: `exit 0`, `signal 9`; none where it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The last lines it said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub said: Vec<String>,
}

/// How much may go wrong. A window is held against its budget with the upper bound of its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Budgets {
    /// A flow's outages may last so long together.
    pub max_outage_us: u64,
    /// A flow's leaks may last so long together.
    pub max_leak_us: u64,
    /// A flow may go unobserved for so long, in its longest gap.
    #[serde(default)]
    pub max_unobserved_us: u64,
}

/// What a window counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It counts: a finding, or time to enforce where it lies before convergence.
    #[default]
    Counted,
    /// Only the upper bound of its length is over its budget: an outage is then inconclusive.
    Undecided,
    /// It is within its budget.
    WithinBudget,
    /// It is on the scenario's `known:` list.
    Known,
}

impl Standing {
    /// What counts comes first: 0 for what counts in full.
    pub fn rank(self) -> u8 {
        match self {
            Self::Counted => 0,
            Self::Undecided => 1,
            Self::WithinBudget => 2,
            Self::Known => 3,
        }
    }

    /// Whether it is the ordinary one, which documents leave out.
    pub fn is_counted(&self) -> bool {
        *self == Self::Counted
    }
}

/// A connection that was opened before the watch and held open, carrying numbered messages both ways.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Established {
    /// Its flow.
    pub flow: NamedFlow,
    /// When it was open.
    pub opened_us: u64,
    /// What became of it.
    pub fate: Fate,
    /// Messages that came back, and those that did not.
    pub answered: u64,
    /// Messages that did not come back.
    pub lost: u64,
    /// The longest time between two messages that came back, and when it began; none where fewer than two did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_gap: Option<Gap>,
    /// How long it could not be observed, in the longest silence that its messages' own pace does not explain: an agent of one
    /// end could not see.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unobserved_us: u64,
    /// The step that denies its flow, for a connection that was opened before and held through it. Its fate is told and
    /// not judged: a new denial does not cut what is established.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denied_by: Option<String>,
    /// A remark: that an agent could not see in its longest gap, for instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

fn is_zero(us: &u64) -> bool {
    *us == 0
}

/// A time in which nothing came through a connection, or nothing was observed of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// When the last message before it came back, or the last attempt before it was launched that shows something.
    pub from_us: u64,
    /// When the first after it did, or was.
    pub until_us: u64,
}

/// What became of a connection that was held open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "fate")]
pub enum Fate {
    /// Open to the end, its longest gap no longer than its messages' own pace explains.
    Survived,
    /// Open to the end, with a gap that is longer.
    Stalled,
    /// Ended before.
    Ended {
        /// When.
        at_us: u64,
        /// How: reset, closed, timed out.
        how: String,
        /// By whom, in words.
        by: String,
    },
    /// It could not be opened, or its agent was lost.
    NotSeen {
        /// Why.
        why: String,
    },
}

/// A pod that was born while watching.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Newborn {
    /// Its name.
    pub name: String,
    /// The pod of the scenario it is a copy of.
    pub like: String,
    /// Its node, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// When its creation was asked for.
    pub asked_us: u64,
    /// When its agent answered; none where it never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alive_us: Option<u64>,
    /// From its agent's first answer until all its allowed flows worked; none where they never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected_after_us: Option<u64>,
    /// Its denied flows that were ever open.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leaked: Vec<NamedFlow>,
    /// Its allowed flows that were still shut when there was no more waiting for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shut: Vec<NamedFlow>,
    /// Whether the watch ended before it was seen to work: it is counted, and not judged for what did not work yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut_short: bool,
    /// The allowed flow that was the last to work, where it did not work from the first attempt on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slowest: Option<SlowFlow>,
    /// A remark: why it could not be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A newborn's flow that took time to work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SlowFlow {
    /// The flow.
    pub flow: NamedFlow,
    /// The node of its destination, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// From the newborn's first answer until it worked.
    pub after_us: u64,
}

/// An entry of the scenario's `known:` list, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownInfo {
    /// The flows it covers, in words.
    pub flows: String,
    /// What is known to happen: a leak or an outage.
    pub call: Call,
    /// Why that is put up with.
    pub reason: String,
    /// Until which day: `2027-03-31`.
    pub until: String,
    /// What came of it.
    pub outcome: KnownOutcome,
}

/// What came of a known failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KnownOutcome {
    /// It happened, and is put up with.
    Happened,
    /// It did not happen: the entry may go.
    Passed,
    /// Its day is over: what it covers counts again.
    Expired,
}
