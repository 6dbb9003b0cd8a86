//! What happened around a run, on the run's own time axis: part of the [`Document`](super::document::Document).
//!
//! A time here is when this machine *heard* of it. Whatever it was took place before: by the way of the news, which is
//! milliseconds for most, and up to a second or two where a kubelet had to notice first. Where the log had a gap it may
//! have been any time in it, and says so.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// Something that happened around the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happening {
    /// When it was heard of.
    pub at_us: u64,
    /// The earliest it can have been, where the log had a gap just before: it was some time between the two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_us: Option<u64>,
    /// What sort of thing it happened to.
    #[serde(default)]
    pub about: About,
    /// The node it concerns, where it is one node's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// What it happened to: a node, a pod, a policy, the command under watch, the lab.
    pub subject: String,
    /// What happened, in words.
    pub what: String,
    /// Whether a state of its subject began or ended with it.
    #[serde(default, skip_serializing_if = "Turn::is_none")]
    pub turn: Turn,
    /// When it was by the account of whoever made it happen: RFC 3339, to the second, on that machine's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamped: Option<String>,
}

/// What sort of thing something happened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum About {
    /// The command under watch.
    Command,
    /// The pods that enforce policy or carry packets on a node: `calico-node` and the like.
    Engine,
    /// What rolls them out: DaemonSets, Deployments, an operator's statuses.
    Rollout,
    /// A node.
    Node,
    /// A policy, or another object that decides flows.
    Policy,
    /// A deliberate fault of the lab.
    Fault,
    /// A pod or an agent of the run's own.
    Probe,
    /// The log itself: that it had a gap.
    Log,
    /// Anything else.
    #[default]
    Other,
}

impl About {
    /// All of them, in the order they are listed.
    pub const ALL: [Self; 9] = [
        Self::Command,
        Self::Engine,
        Self::Rollout,
        Self::Node,
        Self::Policy,
        Self::Fault,
        Self::Probe,
        Self::Log,
        Self::Other,
    ];

    /// In a word or two.
    pub fn word(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Engine => "network plugin",
            Self::Rollout => "rollout",
            Self::Node => "nodes",
            Self::Policy => "policies",
            Self::Fault => "faults",
            Self::Probe => "probes",
            Self::Log => "the log itself",
            Self::Other => "other",
        }
    }
}

/// Whether a state of a subject began or ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "turn")]
pub enum Turn {
    /// Neither.
    #[default]
    None,
    /// One began, and lasts until the subject's next turn of this kind ends it.
    Begins {
        /// In words that follow `was`: `restarting`, `not ready`.
        state: String,
    },
    /// It ended.
    Ends,
}

impl Turn {
    /// Whether it is none, which documents leave out.
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// A state of a subject, from what began it to what ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// The place of the happening that began it.
    pub began: usize,
    /// When it was over; none where it was not.
    pub until_us: Option<u64>,
}

/// The states that happenings, in order of time, began. What begins anew before it was over counts from its first
/// beginning.
pub fn states(events: &[Happening]) -> Vec<State> {
    let mut states: Vec<State> = Vec::new();
    let mut open: HashMap<(About, &str), usize> = HashMap::new();
    for (place, event) in events.iter().enumerate() {
        let subject = (event.about, event.subject.as_str());
        match event.turn {
            Turn::None => {}
            Turn::Begins { .. } => {
                open.entry(subject).or_insert_with(|| {
                    states.push(State { began: place, until_us: None });
                    states.len() - 1
                });
            }
            Turn::Ends => {
                if let Some(state) = open.remove(&subject).and_then(|state| states.get_mut(state)) {
                    state.until_us = Some(event.at_us);
                }
            }
        }
    }
    states
}

/// How something that happened lies beside a window. It says where it lies, not that it was the cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Beside {
    /// Which: its place in the document's `events`, counted from 0.
    pub event: u32,
    /// How it lies.
    pub lies: Lies,
    /// How far: see [`Lies`].
    pub apart_us: u64,
}

/// Where something that happened lies beside a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lies {
    /// It began a state that lasted still when the window's first wrong attempt was launched, so long after.
    During,
    /// It was heard of so long after that launch, and before the last wrong one, or the first right one after it.
    Within,
    /// It was heard of so long before that launch.
    Before,
    /// It was heard of so long after the last wrong attempt was launched: news of it may have been that slow.
    After,
    /// It took place in a gap of the log that the window touches, and was heard of so long after the first wrong
    /// attempt was launched.
    Unknown,
}
