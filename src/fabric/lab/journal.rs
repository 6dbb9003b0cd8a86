//! What happened in the lab while nobody waited for it.

use std::sync::{Mutex, PoisonError};

use super::LabError;
use crate::fabric::Happened;
use crate::model::endpoint::NodeOrdinal;
use crate::model::happening::{About, Turn};
use crate::model::moment::Moment;

/// Something a fault did, on its schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// When, on the harness's clock.
    pub at: Moment,
    /// What, in words: `node-1 lost its rules`.
    pub what: String,
    /// What it was done to: a node, an agent, or the lab.
    pub(super) subject: String,
    /// The node, where it is one's.
    pub(super) node: Option<NodeOrdinal>,
    /// The state that began or ended with it.
    pub(super) turn: Turn,
}

impl Done {
    pub(super) fn of_lab(at: Moment, what: &str) -> Self {
        Self { at, what: what.to_owned(), subject: "the lab".into(), node: None, turn: Turn::None }
    }

    /// As everybody tells it: the subject apart from what happened to it.
    pub(super) fn happened(self) -> Happened {
        let what = self.what.strip_prefix(&self.subject).map_or(self.what.as_str(), str::trim_start);
        Happened {
            node: self.node.map(|node| node.to_string()),
            turn: self.turn,
            ..Happened::new(self.at, About::Fault, self.subject, what)
        }
    }
}

/// What happened while nobody waited for it.
#[derive(Debug, Default)]
pub(super) struct Journal {
    done: Mutex<Vec<Done>>,
    errors: Mutex<Vec<LabError>>,
}

impl Journal {
    pub(super) fn note(&self, result: Result<Done, LabError>) {
        match result {
            Ok(done) => self.done.lock().unwrap_or_else(PoisonError::into_inner).push(done),
            Err(error) => self.errors.lock().unwrap_or_else(PoisonError::into_inner).push(error),
        }
    }

    pub(super) fn errors(&self) -> Vec<LabError> {
        std::mem::take(&mut *self.errors.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn done(&self) -> Vec<Done> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
