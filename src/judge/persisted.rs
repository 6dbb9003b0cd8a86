//! What one cell's long attempts saw that its short ones did not: repeats of a first packet that got through.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::finding::Call;
use crate::model::moment::Moment;

use super::ends::Ends;
use super::ledger::Pair;
use super::rules::Rules;
use super::track::Spell;

/// So many long attempts are remembered one by one: more would tell nothing new.
const KEPT: usize = 4096;

/// A repeat can be sent so much later than it is due: the kernel's timers of whole seconds are as coarse as 64 ms, and
/// there are up to two before it.
const TIMERS: Duration = Duration::from_millis(128);

/// When a first packet is repeated for the second time, or the third where the kernel repeats at an even pace: a timeout of
/// one second, doubled each time (RFC 6298).
const REPEATED: Duration = Duration::from_secs(3);

/// A long attempt that got through.
#[derive(Debug, Clone, Copy)]
struct Through {
    launched: Moment,
    /// No earlier than this was the packet sent that got through,
    earliest: Moment,
    /// and no later.
    latest: Moment,
    call: Call,
    /// When a repeat of a later one was shut out.
    shut: Option<Moment>,
}

/// A long attempt that stayed without an answer: shut out if both ends could see it.
#[derive(Debug, Clone, Copy)]
struct Unanswered {
    launched: Moment,
    repeated: Moment,
}

/// The long attempts of a cell.
#[derive(Debug, Clone, Default)]
pub(super) struct Persisted {
    through: Vec<Through>,
    unanswered: VecDeque<Unanswered>,
}

impl Persisted {
    /// Takes one that got through.
    pub(super) fn through(&mut self, launched: Moment, ended: Moment, call: Call) {
        // What got through is the first packet or a repeat, and those are sent whole seconds later. The rest of the time is
        // the answer's: windows are told by when packets were sent.
        let due = Duration::from_secs(ended.since(launched).as_secs());
        let earliest = launched.plus(due);
        let latest = if due.is_zero() { earliest } else { ended.min(earliest.plus(TIMERS)) };
        // The first and the last are what a window is told with.
        self.through.truncate(KEPT - 1);
        self.through.push(Through { launched, earliest, latest, call, shut: None });
    }

    /// Takes one that stayed without an answer. It says something only where one before it got through.
    pub(super) fn unanswered(&mut self, launched: Moment, ended: Moment) {
        let repeated = launched.plus(REPEATED).plus(TIMERS);
        if ended >= repeated && self.unanswered.len() < KEPT && self.through.iter().any(|one| one.is_open_at(launched))
        {
            self.unanswered.push_back(Unanswered { launched, repeated });
        }
    }

    /// Whether any got through.
    pub(super) fn got_through(&self) -> bool {
        !self.through.is_empty()
    }

    /// Whether some wait until both ends have told of their time.
    pub(super) fn waits(&self) -> bool {
        !self.unanswered.is_empty()
    }

    /// The latest moment by which what got through was shut again.
    pub(super) fn shut(&self) -> Option<Moment> {
        self.through.iter().filter_map(|one| one.shut).max()
    }

    /// Closes what those that stayed without an answer show to have been shut by then: both ends must have told, and
    /// neither been blind, while the repeat was under way.
    pub(super) fn settle(&mut self, pair: Pair, ends: &Ends, rules: &Rules) {
        let both = [pair.source, pair.destination];
        while let Some(Unanswered { launched, repeated }) = self.unanswered.front().copied() {
            let over = repeated.plus(rules.deadline);
            if both.iter().any(|id| ends.lost(*id).is_none() && ends.complete(*id) < over) {
                return;
            }
            self.unanswered.pop_front();
            let sent = launched.plus(REPEATED);
            if both.iter().all(|id| ends.complete(*id) >= over && ends.blind(*id, sent, over).next().is_none()) {
                for one in self.through.iter_mut().filter(|one| one.is_open_at(launched)) {
                    one.shut = Some(repeated);
                }
            }
        }
    }

    /// Adds them to the windows that short attempts saw: to the one it belongs to, or as a window of its own.
    pub(super) fn add_to(&self, spells: &mut Vec<Spell>) {
        for one in &self.through {
            if let Some(spell) = spells.iter_mut().find(|spell| one.belongs_to(spell)) {
                // It got through, so it was sent after the one that did not.
                let sent = spell.right_before.map_or(one.earliest, |before| before.max(one.earliest));
                spell.first_wrong = spell.first_wrong.min(sent);
                spell.first_wrong_by = spell.first_wrong_by.min(one.latest.max(sent));
                spell.last_wrong = spell.last_wrong.max(sent);
                spell.attempts = spell.attempts.saturating_add(1);
                spell.persistent = spell.persistent.saturating_add(1);
            } else {
                spells.push(one.window());
            }
        }
        spells.sort_by_key(|spell| spell.first_wrong);
    }
}

impl Through {
    /// Whether it is not known by when it was shut, for one launched then to tell.
    fn is_open_at(&self, launched: Moment) -> bool {
        self.shut.is_none() && self.latest < launched
    }

    fn belongs_to(&self, spell: &Spell) -> bool {
        // Of windows that only long attempts saw, those belong together that one later attempt found shut.
        let shut_alike = !spell.is_of_long() || spell.right_after == self.shut;
        shut_alike
            && spell.call == self.call
            && spell.right_before.unwrap_or(spell.first_wrong) <= self.latest
            && spell.right_after.is_none_or(|after| self.earliest <= after)
    }

    fn window(&self) -> Spell {
        Spell {
            call: self.call,
            right_before: Some(self.launched),
            first_wrong: self.earliest,
            first_wrong_by: self.latest,
            last_wrong: self.earliest,
            right_after: self.shut,
            attempts: 1,
            turned_away: 0,
            persistent: 1,
        }
    }
}
