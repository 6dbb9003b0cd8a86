//! Why a run gave no verdict at all.

use crate::exit::{self, Exit};

/// Nothing was judged.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// This machine gives no lab.
    #[error("this machine gives no lab")]
    Ground(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// There is no cluster to work in.
    #[error("no cluster to work in")]
    Cluster(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A command asked for a world that `main` did not prepare.
    #[error("the lab was not entered before the first thread started; this is a bug in leakproof")]
    NotPrepared,
    /// A `--fault` that says nothing the lab understands.
    #[error("`--fault {fault}`")]
    Fault {
        /// As written.
        fault: String,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The scenario's world could not be made.
    #[error("the world of `{scenario}` could not be made")]
    World {
        /// The scenario's name.
        scenario: String,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The place is not what the scenario requires.
    #[error("`{scenario}` was skipped: {why}")]
    Unmet {
        /// The scenario's name.
        scenario: String,
        /// Why not.
        why: String,
    },
    /// Labels that only a cluster knows.
    #[error("`{scenario}` cannot be read whole here")]
    Unlabelled {
        /// The scenario's name.
        scenario: String,
        /// Which.
        #[source]
        source: crate::scenario::borrowed::Unlabelled,
    },
    /// Outputs that give no names.
    #[error("taking the names of `{scenario}` from {from}")]
    Outputs {
        /// The scenario's name.
        scenario: String,
        /// Where the outputs came from.
        from: String,
        /// What is wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A name that is not in the scenario.
    #[error("`{scenario}` has no endpoint `{name}`; it has {known}")]
    NoEndpoint {
        /// The scenario's name.
        scenario: String,
        /// As given.
        name: String,
        /// All there are.
        known: String,
    },
    /// A name that several pods have.
    #[error("`{name}` is the name of several pods of `{scenario}`; write {candidates}")]
    Ambiguous {
        /// The scenario's name.
        scenario: String,
        /// As given.
        name: String,
        /// Their names in full.
        candidates: String,
    },
    /// A pod that must not be copied.
    #[error(
        "a newborn like `{name}` would be behind the Service `{service}` as well, and answer for it; name pods that \
             are behind none with `--newborn-like`"
    )]
    NewbornBehind {
        /// The pod.
        name: String,
        /// The Service.
        service: String,
    },
    /// Two endpoints between which no cell lies.
    #[error("`{scenario}` has no cell from `{from}` to `{to}` in this stage; give a port to ask about any")]
    NoCell {
        /// The scenario's name.
        scenario: String,
        /// The source.
        from: String,
        /// The destination.
        to: String,
    },
    /// A flow that no stage tries.
    #[error("`{scenario}` tries no flow {pick}; {instead}")]
    Untried {
        /// The scenario's name.
        scenario: String,
        /// What was picked.
        pick: String,
        /// What it tries between these two.
        instead: String,
    },
    /// A stage that is not there.
    #[error("`{scenario}` has no stage `{stage}`; it has {known}")]
    NoStage {
        /// The scenario's name.
        scenario: String,
        /// As given.
        stage: String,
        /// All there are.
        known: String,
    },
}

impl Refusal {
    /// The exit code.
    pub fn exit(&self) -> u8 {
        match self {
            Self::Fault { .. }
            | Self::NewbornBehind { .. }
            | Self::NoEndpoint { .. }
            | Self::Ambiguous { .. }
            | Self::NoCell { .. }
            | Self::Untried { .. }
            | Self::NoStage { .. } => exit::USAGE,
            Self::Unlabelled { .. } => exit::REFUSED,
            Self::Outputs { .. } => exit::USAGE,
            Self::Ground(_) | Self::Cluster(_) | Self::World { .. } | Self::Unmet { .. } => Exit::NoWorld.code(),
            Self::NotPrepared => Exit::Bug.code(),
        }
    }
}

/// An error with its causes, one sentence.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
