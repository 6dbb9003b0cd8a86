//! Whether flows that are not right stay so, or still change.

use crate::model::moment::Moment;

use super::Judge;
use super::cell::{Cell, Counted};

/// Flows are not right at present, and this is how long that has not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StillWrong {
    /// Since then no flow has become right, and none has ceased to be right.
    pub unchanged_since: Moment,
    /// Each of the flows that are not right was seen so up to here: of a later time nothing is known.
    pub seen_until: Moment,
}

/// What was last seen of one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LastSeen {
    /// When it last became right, or ceased to be; none where it always was right.
    changed: Option<Moment>,
    /// Up to when it was seen not to be right; none where it is right.
    wrong_until: Option<Moment>,
}

impl Judge {
    /// Whether flows are not right at present, among those that are waited for, and since when nothing has changed; none
    /// where all are right. Looks at every flow.
    pub fn still_wrong(&self) -> Option<StillWrong> {
        let waited = |cell: &&Cell| matches!(cell.counted, Counted::Right | Counted::Waiting);
        let (mut changed, mut seen_until) = (Moment(0), None::<Moment>);
        for last_seen in self.cells.iter().filter(waited).map(Cell::last_seen) {
            changed = changed.max(last_seen.changed.unwrap_or_default());
            if let Some(until) = last_seen.wrong_until {
                seen_until = Some(seen_until.map_or(until, |known| known.min(until)));
            }
        }
        seen_until.map(|seen_until| StillWrong { unchanged_since: changed, seen_until })
    }
}

impl Cell {
    fn last_seen(&self) -> LastSeen {
        let track = &self.track;
        let became_right = track.right_since.filter(|_| track.last_off.is_some());
        let mut last_seen = LastSeen {
            changed: track.off_since.max(became_right).max(self.persisted.shut()),
            wrong_until: track.off_since.and(track.last_off),
        };
        if last_seen.wrong_until.is_none() && self.persisted.got_through() {
            // What only long attempts saw, and none has found shut since.
            for spell in self.spells().iter().filter(|spell| spell.is_of_long() && spell.right_after.is_none()) {
                last_seen.changed = last_seen.changed.max(Some(spell.first_wrong));
                last_seen.wrong_until = last_seen.wrong_until.max(Some(spell.last_wrong));
            }
        }
        last_seen
    }
}
