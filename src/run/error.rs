//! Why a run gave no verdict at all.

use crate::exit::Exit;

/// Nothing was judged.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// A `--fault` that says nothing the lab understands, or names what the scenario does not have.
    #[error("`--fault {fault}` cannot be carried out: {why}")]
    Fault {
        /// As written.
        fault: String,
        /// Why not.
        why: String,
    },
    /// The lab, or the cluster's objects, could not be made.
    #[error("the world of `{scenario}` could not be made")]
    World {
        /// The scenario's name.
        scenario: String,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Refusal {
    /// The exit code.
    pub fn exit(&self) -> u8 {
        match self {
            Self::Fault { .. } => crate::exit::USAGE,
            Self::World { .. } => Exit::NoWorld.code(),
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
