//! What is wrong, and whom to blame: the table of design section 1.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::flow::NamedFlow;
use super::happening::Beside;
use super::observation::Observation;
use super::verdict::{Intent, Meaning};
use super::watch::Standing;

/// A cell's row in the table of readings, in one word. The status word of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Call {
    /// All readings agree.
    Ok,
    /// Reached where intent or meaning says denied.
    Leak,
    /// Not reached where intent or meaning says allowed.
    Outage,
    /// Somebody answered who is not the destination.
    WrongServer,
    /// Meaning is not intent; used alone where reality was not looked at (`predict`) or could not be seen.
    Contradiction,
    /// Could not be seen.
    Inconclusive,
    /// Seen, but neither intent nor meaning says what is right.
    Unjudged,
    /// This world cannot carry such a flow.
    Unsupported,
}

impl Call {
    /// The status word: `ok`, `LEAK`, `OUTAGE`, `WRONG`, `UNSURE`, `CONTRA`, and for what is no cell here `n/a`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Leak => "LEAK",
            Self::Outage => "OUTAGE",
            Self::WrongServer => "WRONG",
            Self::Contradiction => "CONTRA",
            Self::Inconclusive | Self::Unjudged => "UNSURE",
            Self::Unsupported => "n/a",
        }
    }
}

impl Call {
    /// The order in which calls outweigh each other.
    pub fn gravity(self) -> u8 {
        match self {
            Self::Ok | Self::Unsupported => 0,
            Self::Unjudged => 1,
            Self::Inconclusive => 2,
            Self::Contradiction => 3,
            Self::Outage => 4,
            Self::WrongServer => 5,
            Self::Leak => 6,
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Leak => "leak",
            Self::Outage => "outage",
            Self::WrongServer => "wrong server",
            Self::Contradiction => "contradiction",
            Self::Inconclusive => "inconclusive",
            Self::Unjudged => "unjudged",
            Self::Unsupported => "unsupported",
        })
    }
}

/// Whom to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blame {
    /// The policy says what was wanted; the network does something else.
    Network,
    /// The policy denies what was wanted.
    PolicyTooStrict,
    /// The policy allows what was not wanted.
    PolicyTooOpen,
    /// What was wanted works only because the policy is not enforced.
    PolicyNotEnforced,
    /// Something that is not in this scenario denies it.
    SomethingElse,
    /// A policy kind the oracle does not know may touch the flow.
    CannotTell,
}

impl fmt::Display for Blame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Network => "the network: the policy says what was meant, and is not what happens",
            Self::PolicyTooStrict => "the policy: too strict",
            Self::PolicyTooOpen => "the policy: too open",
            Self::PolicyNotEnforced => "what was wanted works only because the policy is not enforced",
            Self::SomethingElse => "something that is not in this scenario denies it",
            Self::CannotTell => "cannot tell: a policy kind the oracle does not know may touch this flow",
        })
    }
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// The attempts of a cell.
    #[default]
    Flow,
    /// A connection of the flow that was held open.
    Connection,
    /// A pod that was born while watching, at one end of the flow.
    Newborn,
}

impl Subject {
    /// Whether it is the ordinary one, which documents leave out.
    pub fn is_flow(&self) -> bool {
        *self == Self::Flow
    }
}

/// A finding: something a person must look at. Inconclusive cells are no findings; they are counted beside them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The flow.
    pub flow: NamedFlow,
    /// What was observed of it: its attempts, or something else of a watch.
    #[serde(default, skip_serializing_if = "Subject::is_flow")]
    pub subject: Subject,
    /// Leak, outage, wrong server or contradiction.
    pub call: Call,
    /// Whether meaning is not intent besides.
    pub contradiction: Contradiction,
    /// What the author wrote.
    pub intent: Intent,
    /// What the policies say.
    pub meaning: Meaning,
    /// What was seen; none where nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reality: Option<Observation>,
    /// What was observed, in words, of what is no cell's attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
    /// Why it is a finding though it was right at the end; none where it was wrong to the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passing: Option<Passing>,
    /// From sending the change until it was right for good, as its cell has it; none where it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_to_enforce_us: Option<u64>,
    /// Whom to blame.
    pub blame: Blame,
    /// Why meaning is what it is: policies and rules in words.
    pub because: String,
    /// What a person would do next.
    pub next: String,
    /// When it was wrong, where that was watched; several windows are a flap. Times count from the run's start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Window>,
}

impl Finding {
    /// What makes it a finding: its windows after convergence, and where there are none all of them.
    pub fn windows_that_count(&self) -> Vec<&Window> {
        let after: Vec<&Window> = self.windows.iter().filter(|window| !window.before_convergence).collect();
        if after.is_empty() { self.windows.iter().collect() } else { after }
    }
}

/// Why a flow is a finding though it was right at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Passing {
    /// It was wrong for a while after convergence.
    AfterConvergence,
    /// It went to and fro until time ran out.
    ToAndFro,
    /// It became right later than `max_enforce` allows.
    Late,
}

/// Whether the policy says what its author wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contradiction {
    /// It does, or one of the two readings says nothing.
    None,
    /// It does not.
    Present,
}

/// An interval in which a cell was in leak or outage while watched. Times in microseconds since the run's start.
///
/// The true length lies between [`Window::least_us`] and `right_after - right_before`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Leak or outage.
    pub call: Call,
    /// Launch of the last right attempt before; none if there was none since the stage began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right_before_us: Option<u64>,
    /// Launch of the first wrong attempt.
    pub first_wrong_us: u64,
    /// By when the packet of that attempt had left: on a busy machine that is later than its launch. None: the launch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_wrong_by_us: Option<u64>,
    /// Launch of the last wrong attempt.
    pub last_wrong_us: u64,
    /// By when the packet of the first right attempt after had left; none if there was none before the stage ended. Of a window that only long
    /// attempts saw: when a repeat of a later one had been sent in vain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right_after_us: Option<u64>,
    /// How many attempts saw it.
    pub attempts: u32,
    /// How many of them were long attempts, which go on while the kernel repeats a first packet. Where all were, it was shut
    /// to every short one, and how long it was open is known by its bounds alone.
    #[serde(default, skip_serializing_if = "none")]
    pub persistent: u32,
    /// What it counts as.
    #[serde(default, skip_serializing_if = "Standing::is_counted")]
    pub standing: Standing,
    /// Whether it was over before the stage converged, or lies in a stage that never did: it is part of the time that
    /// enforcement took, not something that went wrong later.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub before_convergence: bool,
    /// When the first wrong attempt was launched, by the wall clock of the machine that ran leakproof: RFC 3339, UTC. Left
    /// out before convergence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_wrong_at: Option<String>,
    /// What happened around that time, what lies nearest first; for windows of a watch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<Beside>,
    /// What the kernels at the two ends counted as dropped meanwhile; of outages, for each end that was read throughout.
    /// It changes no verdict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drops: Vec<DropsAt>,
}

/// What the kernel at one end of a flow counted as dropped, between the readings around a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropsAt {
    /// Whose network namespace it is.
    pub end: String,
    /// Its node, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The counters that moved; none where no drop was counted.
    pub counted: Vec<DropCount>,
}

/// A counter that moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropCount {
    /// As the kernel names it: `TcpExt ListenDrops`.
    pub counter: String,
    /// By how much.
    pub by: u64,
}

/// Ends the name of a counter of the whole machine, where others are of one network namespace.
pub const WHOLE_MACHINE: &str = "(whole machine)";

impl Window {
    /// Whether the drops that were counted at the two ends can be all of it: no fewer than attempts were wrong. What the
    /// whole machine dropped may have been anybody's.
    pub fn drops_can_explain_it(&self) -> bool {
        let counts = self.drops.iter().flat_map(|at| &at.counted);
        let own = counts.filter(|count| !count.counter.ends_with(WHOLE_MACHINE)).map(|count| count.by);
        own.sum::<u64>() >= u64::from(self.attempts.max(1))
    }

    /// The shortest it can have been.
    pub fn least_us(&self) -> u64 {
        match self.seen_by() {
            SeenBy::Any => self.last_wrong_us.saturating_sub(self.first_wrong_by_us.unwrap_or(self.first_wrong_us)),
            SeenBy::LongAttempts => 0,
        }
    }

    /// Which attempts saw it.
    pub fn seen_by(&self) -> SeenBy {
        if self.persistent < self.attempts { SeenBy::Any } else { SeenBy::LongAttempts }
    }
}

/// Which attempts saw a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeenBy {
    /// Short ones, perhaps long ones too.
    Any,
    /// Long ones alone.
    LongAttempts,
}

fn none(count: &u32) -> bool {
    *count == 0
}
