//! What was found where something is to be run, before anything is touched there.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The format this version writes.
pub const FORMAT: &str = "leakproof/checkup/1";

/// Everything that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkup {
    /// [`FORMAT`].
    pub format: String,
    /// Version of leakproof that made it.
    pub leakproof: String,
    /// What is there, by name: `kubernetes`, `cni`, `cni-version`, `datastore`, `dataplane`.
    pub facts: BTreeMap<String, String>,
    /// The parts, in the order looked at.
    pub parts: Vec<Part>,
}

/// One part: the machine, the cluster, its policy engine, our rights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What it is about.
    pub title: String,
    /// What was found.
    pub checks: Vec<Check>,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// How it stands.
    pub state: State,
    /// What was found, in a sentence.
    pub says: String,
    /// What to do about it, where there is something to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// How something stands. The order is the gravity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Fine,
    /// Worth knowing.
    Note,
    /// It may make results mean something else than they seem to.
    Warning,
    /// Nothing can be run like this.
    Error,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Fine => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "ERROR",
        })
    }
}

impl Check {
    /// As it should be.
    pub fn fine(says: impl Into<String>) -> Self {
        Self { state: State::Fine, says: says.into(), advice: None }
    }

    /// Worth knowing.
    pub fn note(says: impl Into<String>) -> Self {
        Self { state: State::Note, ..Self::fine(says) }
    }

    /// It may make results mean something else than they seem to.
    pub fn warning(says: impl Into<String>) -> Self {
        Self { state: State::Warning, ..Self::fine(says) }
    }

    /// Nothing can be run like this.
    pub fn error(says: impl Into<String>) -> Self {
        Self { state: State::Error, ..Self::fine(says) }
    }

    /// With what to do about it.
    #[must_use]
    pub fn advice(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }
}

impl Checkup {
    /// Nothing looked at yet.
    pub fn new() -> Self {
        Self {
            format: FORMAT.into(),
            leakproof: env!("CARGO_PKG_VERSION").into(),
            facts: BTreeMap::new(),
            parts: Vec::new(),
        }
    }

    /// The gravest of what was found.
    pub fn worst(&self) -> State {
        self.parts.iter().flat_map(|part| &part.checks).map(|check| check.state).max().unwrap_or(State::Fine)
    }

    /// How many stand so.
    pub fn count(&self, state: State) -> usize {
        self.parts.iter().flat_map(|part| &part.checks).filter(|check| check.state == state).count()
    }
}

impl Default for Checkup {
    fn default() -> Self {
        Self::new()
    }
}
