//! What differs between two watches: for how long flows were wrong, what became of connections held open, and how long
//! newborn pods waited.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Change, Sameness};
use crate::model::finding::Call;
use crate::model::flow::NamedFlow;
use crate::model::watch::Standing;

/// Two watches, or one and none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WatchChange {
    /// How long and how well each run watched; none where it did not.
    pub watches: Change<Option<Watched>>,
    /// Flows that were wrong for times that differ by more than is known of them, or in one run only; what counts first,
    /// the gravest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wrong: Vec<WrongChange>,
    /// Flows that were wrong in both for times that may be the same.
    pub wrong_alike: u64,
    /// Connections held open in both that fared otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<HeldChange>,
    /// Those that fared alike.
    pub held_alike: u64,
    /// Pods that were born; none where none were.
    pub newborns: Change<Option<Newborns>>,
    /// Whether any of it differs that matters. Windows matter by what they made of their cell, which is told there.
    pub outcome: Sameness,
}

/// One watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// So long.
    pub lasted_us: u64,
    /// Attempts that were seen.
    pub seen: u64,
    /// Attempts that could not see.
    pub unseen: u64,
    /// How often each cell was tried.
    pub interval_us: u64,
    /// How the command under watch ended, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

/// For how long one flow was wrong, in one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrongChange {
    /// The flow.
    #[serde(flatten)]
    pub flow: NamedFlow,
    /// As what it was wrong.
    pub call: Call,
    /// For how long.
    pub spent: Change<Spent>,
}

/// The windows of one flow in one watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Spent {
    /// So many; none where the flow was never wrong in this way.
    pub windows: u64,
    /// Attempts that saw them.
    pub attempts: u64,
    /// The longest of them.
    pub longest: Bounds,
    /// All together.
    pub total: Bounds,
    /// What the gravest of them counts as; none where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
}

/// What is known of a length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Bounds {
    /// It is no shorter.
    pub least_us: u64,
    /// It is no longer; none where its end was not seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most_us: Option<u64>,
}

impl Bounds {
    /// Whether it may be the same as another.
    pub fn meets(&self, other: &Self) -> bool {
        let within = |one: &Self, least: u64| one.most_us.is_none_or(|most| least <= most);
        within(self, other.least_us) && within(other, self.least_us)
    }
}

/// What became of one connection that both runs held open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldChange {
    /// Its flow.
    #[serde(flatten)]
    pub flow: NamedFlow,
    /// The step that denies its flow, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denied_by: Option<String>,
    /// What became of it.
    pub fate: Change<Fared>,
    /// The longest time in which nothing came through.
    pub gap_us: Change<Option<u64>>,
}

/// How a connection fared, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fared {
    /// It was open to the end.
    Survived,
    /// It stalled for no longer than its run's budget for outages.
    StalledWithinBudget,
    /// It stalled.
    Stalled,
    /// It ended before.
    Ended,
    /// It could not be seen.
    NotSeen,
}

impl fmt::Display for Fared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Survived => "survived",
            Self::StalledWithinBudget => "stalled within its budget",
            Self::Stalled => "stalled",
            Self::Ended => "ended before",
            Self::NotSeen => "not seen",
        })
    }
}

/// Pods that were born in one watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Newborns {
    /// So many.
    pub born: u64,
    /// Of these, all that these may do worked after so long, the middle of them; none where none ever did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub median_us: Option<u64>,
    /// The longest wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_us: Option<u64>,
    /// So many never worked.
    pub never: u64,
    /// So many were open where they should not be.
    pub leaked: u64,
}
