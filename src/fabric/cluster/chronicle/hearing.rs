//! Whether anything is heard of the cluster at all. Where a kind is not heard of for more than a moment, that is part of
//! the log; where many are not (an API server restarts), it is told once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock;
use crate::fabric::Happened;
use crate::fabric::cluster::journal::Journal;
use crate::model::happening::About;
use crate::model::moment::Moment;

/// A watch that is opened anew within this has no gap that anybody could notice.
const NOTABLE: Duration = Duration::from_millis(500);
const SUBJECT: &str = "the log";

/// What is heard, of all kinds together. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Hearing {
    journal: Journal,
    gap: Arc<Mutex<Gap>>,
}

/// Kinds that are not heard of, each since when.
#[derive(Debug, Default)]
struct Gap {
    deaf: BTreeMap<String, Moment>,
    /// The first of them was, and whether that was told.
    since: Option<Moment>,
    told: Told,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Told {
    #[default]
    No,
    Yes,
}

impl Hearing {
    pub(super) fn new(journal: Journal) -> Self {
        Self { journal, gap: Arc::default() }
    }

    /// Something was heard.
    pub(super) fn note(&self, happened: Happened) {
        self.journal.note(happened);
    }

    /// Nothing is heard of a kind since a moment.
    pub(super) fn lost(&self, what: &str, since: Moment) {
        let now = clock::now();
        let mut gap = self.gap.lock().unwrap_or_else(PoisonError::into_inner);
        gap.deaf.entry(what.to_owned()).or_insert(since);
        let first = *gap.since.get_or_insert(since);
        if gap.told == Told::No && now.since(first) >= NOTABLE {
            gap.told = Told::Yes;
            let kinds: Vec<&str> = gap.deaf.keys().map(String::as_str).collect();
            let what = format!("nothing is heard of {}", kinds.join(", "));
            let heard = Happened::new(now, About::Log, SUBJECT, what).beginning("deaf");
            self.journal.note(Happened { since: Some(first), ..heard });
        }
    }

    /// It is heard of again. Gives since when it was not, where that was long enough to matter.
    pub(super) fn found(&self, what: &str) -> Option<Moment> {
        let now = clock::now();
        let mut gap = self.gap.lock().unwrap_or_else(PoisonError::into_inner);
        let since = gap.deaf.remove(what)?;
        if gap.deaf.is_empty() {
            let (first, told) = (gap.since.take().unwrap_or(since), std::mem::take(&mut gap.told));
            if told == Told::Yes {
                let lasted = now.since(first).as_secs_f64();
                let what = format!("all is heard of again after {lasted:.1} s; what happened meanwhile is told late");
                self.journal.note(Happened::new(now, About::Log, SUBJECT, what).ending());
            }
        }
        (now.since(since) >= NOTABLE).then_some(since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::happening::Turn;

    #[test]
    fn a_gap_is_told_once_for_all_kinds_and_ends_when_the_last_is_heard_of() {
        let journal = Journal::default();
        let hearing = Hearing::new(journal.clone());
        let long_ago = clock::now().minus(Duration::from_secs(2));
        hearing.lost("nodes", clock::now());
        assert_eq!(journal.all(), [], "a moment is no gap");
        assert_eq!(hearing.found("nodes"), None);
        assert_eq!(journal.all(), []);

        hearing.lost("nodes", long_ago);
        hearing.lost("pods", long_ago);
        hearing.lost("nodes", long_ago);
        assert_eq!(journal.all().len(), 1, "told once");
        assert_eq!(journal.all()[0].since, Some(long_ago));
        assert_eq!(hearing.found("nodes"), Some(long_ago));
        assert_eq!(journal.all().len(), 1, "pods are not heard of yet");
        assert_eq!(hearing.found("pods"), Some(long_ago));
        let all = journal.all();
        assert_eq!((all.len(), &all[1].turn), (2, &Turn::Ends));
        assert_eq!(hearing.found("pods"), None, "it was heard of before");
    }
}
