//! What happened in a cluster, in the order it was heard of. Whoever hears of something adds to it.

use std::sync::{Arc, Mutex, PoisonError};

use crate::clock;
use crate::fabric::Happened;
use crate::model::happening::About;

/// So much is kept: a pod that crashes over and over must not fill the memory of a long watch.
const MOST: usize = 5_000;

/// The journal of one world. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Journal(Arc<Mutex<Vec<Happened>>>);

impl Journal {
    /// Adds something; says once that it is full.
    pub(super) fn note(&self, happened: Happened) {
        // Nothing panics while holding it, and if it did what was noted would be no less true.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < MOST {
            all.push(happened);
        } else if all.len() == MOST {
            let what = format!("is full: after {MOST} entries no more are kept");
            all.push(Happened::new(clock::now(), About::Log, "the log", what));
        }
    }

    /// All there is.
    pub(super) fn all(&self) -> Vec<Happened> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_ends_with_a_word_about_it() {
        let journal = Journal::default();
        for n in 0..MOST + 3 {
            journal.note(Happened::new(clock::now(), About::Engine, "it", format!("happened {n}")));
        }
        let all = journal.all();
        assert_eq!((all.len(), all[MOST].about), (MOST + 1, About::Log));
    }
}
