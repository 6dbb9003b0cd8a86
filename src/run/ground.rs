//! What must be ready before any thread starts: the lab's user namespace.

use super::Refusal;
use crate::fabric::lab::{self, Entered};

/// What sort of world a command needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// None.
    Nothing,
    /// Network namespaces of this machine.
    Lab,
}

/// What was made ready.
#[derive(Debug, Clone)]
pub struct Ground {
    lab: Option<Entered>,
}

impl Ground {
    /// Makes ready what is needed. Must be called while the process has one thread.
    ///
    /// # Errors
    /// Names the system call, and the setting that would allow it.
    pub fn prepare(need: Need) -> Result<Self, Refusal> {
        match need {
            Need::Nothing => Ok(Self { lab: None }),
            Need::Lab => Ok(Self { lab: Some(lab::enter().map_err(|source| Refusal::Ground(Box::new(source)))?) }),
        }
    }

    pub(super) fn lab(&self) -> Result<Entered, Refusal> {
        self.lab.ok_or(Refusal::NotPrepared)
    }
}
