//! When a stage has converged: see the room's introduction.

use std::time::Duration;

use crate::model::document::Convergence;
use crate::model::moment::Moment;
use crate::model::verdict::Verdict;

use super::cell::{Cell, Counted};
use super::judgement::Ending;
use super::tally::{Look, Tally};
use super::witness::{Court, Witnesses};
use super::{Converged, Judge};

impl Judge {
    /// How convergence went, if the stage ends at `now`, as the document has it.
    pub fn convergence(&self, now: Moment) -> Convergence {
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        match (self.converged, self.ending(now)) {
            (Some(converged), _) => Convergence::Converged {
                after_us: micros(converged.after),
                proven_us: micros(converged.at.since(self.rules.sent)),
            },
            (None, Ending::TimedOut | Ending::Converged) => {
                Convergence::TimedOut { after_us: micros(now.since(self.rules.sent)) }
            }
            (None, Ending::Interrupted) => Convergence::Interrupted,
        }
    }

    /// Up to when every attempt launched is known, of all agents that are not lost; none if nobody is left.
    pub(super) fn known(&self) -> Option<Moment> {
        let alive = self.taking_part.iter().filter(|id| self.ends.lost(**id).is_none());
        alive.map(|id| self.ends.complete(*id)).min().map(|told| told.minus(self.rules.deadline))
    }

    pub(super) fn try_convergence(&mut self, known: Moment, now: Moment) {
        let from = known.minus(self.rules.window);
        let hopeless = self.waiting == 0 && self.lost > 0;
        if hopeless || from < self.rules.sent || self.right < self.waiting || self.latest_off >= from {
            return;
        }
        if self.looked.is_some_and(|looked| known.since(looked) < self.rules.window / 16) {
            return;
        }
        let look = Look { floor: known.minus(self.rules.lookback()), from, until: known };
        if !self.all_proven(look) {
            self.looked = Some(known);
            return;
        }
        let mut after = Duration::ZERO;
        for cell in &mut self.cells {
            cell.fix_enforcement(&self.rules, from);
            if cell.counted == Counted::Right {
                // A cell whose clock started earlier may have been right before the stage's own clock started.
                let right_at = cell.starts.plus(cell.enforced.unwrap_or_default());
                after = after.max(right_at.since(self.rules.sent));
            }
        }
        self.converged = Some(Converged { after, at: now, from, until: known });
    }

    /// Whether every cell that is waited for has in this window what a verdict takes.
    fn all_proven(&self, look: Look) -> bool {
        let quorum = self.rules.quorum();
        let tallies: Vec<Tally> = self.cells.iter().map(|cell| Tally::of(&cell.settled, look, quorum)).collect();
        let waited = |cell: &Cell| matches!(cell.counted, Counted::Right | Counted::Waiting);
        if self.cells.iter().zip(&tallies).any(|(cell, tally)| waited(cell) && !tally.suffices(quorum)) {
            return false;
        }
        let witnesses = self.witnesses(&tallies);
        let court = self.court(look);
        self.set.iter().zip(self.cells.iter().zip(&tallies)).all(|((id, flow), (cell, tally))| {
            !(waited(cell) && cell.right == Some(Verdict::Denied))
                || witnesses.speak(id, flow, tally.form(), court).is_some()
        })
    }

    pub(super) fn witnesses(&self, tallies: &[Tally]) -> Witnesses {
        let mut witnesses = Witnesses::default();
        for ((_, flow), tally) in self.set.iter().zip(tallies) {
            witnesses.take(flow, tally);
        }
        witnesses
    }

    pub(super) fn court(&self, look: Look) -> Court<'_> {
        Court { ends: &self.ends, proven: &self.proven, rules: &self.rules, who: &self.who, look }
    }
}
