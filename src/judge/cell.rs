//! One cell over one stage: what is still open, what was settled lately, and the sums of what is older.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::moment::Moment;
use crate::model::observation::Outcome;
use crate::model::verdict::Verdict;

use super::ends::Ends;
use super::ledger::{Ledger, Pair, Tide};
use super::persisted::Persisted;
use super::rules::Rules;
use super::span::{Fate, Span, Unseen};
use super::track::{Bearing, Spell, Track, bearing};

/// A cell.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    pub(super) pair: Pair,
    /// What is right; none where neither meaning nor intent says.
    pub(super) right: Option<Verdict>,
    /// When its own clock starts: attempts launched before say nothing of this stage.
    pub(super) starts: Moment,
    /// Whether the step added one of its ends. What was told of earlier times is then about a pod of the same name that
    /// was removed, and so are the numbers of those attempts.
    pub(super) added: bool,
    pub(super) ledger: Ledger,
    /// Settled lately, in order of number.
    pub(super) settled: VecDeque<Span>,
    /// The sums before `settled`, from which they are made anew when late news changes a settled attempt.
    base: Track,
    /// The sums with `settled`.
    pub(super) track: Track,
    /// Its long attempts.
    pub(super) persisted: Persisted,
    /// How long enforcement took, fixed at convergence.
    pub(super) enforced: Option<Duration>,
    /// Whether it stands among those whose records are to be looked through.
    pub(super) queued: Queued,
    /// How it is counted.
    pub(super) counted: Counted,
}

/// Whether a cell waits to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Queued {
    Yes,
    No,
}

/// How a cell is counted while convergence is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    /// As it should be.
    Right,
    /// Not yet.
    Waiting,
    /// One of its agents is lost: nothing to wait for.
    Lost,
    /// Nothing says how it should be.
    Unjudged,
    /// This world cannot carry it.
    Unsupported,
}

impl Cell {
    pub(super) fn new(pair: Pair, right: Option<Verdict>, starts: Moment) -> Self {
        Self {
            pair,
            right,
            starts,
            added: false,
            ledger: Ledger::default(),
            settled: VecDeque::new(),
            base: Track::default(),
            track: Track::default(),
            persisted: Persisted::default(),
            enforced: None,
            queued: Queued::No,
            counted: if right.is_some() { Counted::Waiting } else { Counted::Unjudged },
        }
    }

    /// Whether something that was over by then is about another pod than those that are there now.
    pub(super) fn is_of_another(&self, over: Moment) -> bool {
        self.added && over < self.starts
    }

    /// The rules with this cell's own clock.
    pub(super) fn own(&self, rules: &Rules) -> Rules {
        Rules { sent: self.starts, ..*rules }
    }

    /// Settles what can be settled, sums it up, and forgets single attempts that are too old to be corrected.
    pub(super) fn settle(&mut self, ends: &Ends, rules: &Rules, tide: Tide) {
        let rules = &self.own(rules);
        let Self { ledger, settled, track, right, pair, .. } = self;
        ledger.settle(*pair, ends, rules, tide, |span| {
            apply(track, &span, *right, rules);
            settled.push_back(span);
        });
        self.persisted.settle(self.pair, ends, rules);
        let told = ends.complete(self.pair.source).min(ends.complete(self.pair.destination));
        let oldest = told.minus(rules.memory());
        while let Some(span) = self.settled.front().filter(|span| span.last < oldest) {
            apply(&mut self.base, span, self.right, rules);
            let end = span.number.saturating_add(span.count);
            self.settled.pop_front();
            self.ledger.forget(end);
        }
    }

    /// Whether anything waits to be settled.
    pub(super) fn waits(&self) -> bool {
        self.ledger.waits() || self.persisted.waits()
    }

    /// Whether any of these attempts was settled as something that an arrival at the destination would refute.
    pub(super) fn doubted(&self, number: u32, count: u32) -> bool {
        let (from, to) = (u64::from(number), u64::from(number) + u64::from(count));
        let newer = self.settled.iter().rev().take_while(|span| span.end() > from);
        newer.filter(|span| u64::from(span.number) < to).any(|span| !span.arrived())
    }

    /// Judges the settled attempts anew, with what is known now.
    pub(super) fn correct(&mut self, ends: &Ends, rules: &Rules) {
        let rules = &self.own(rules);
        let mut anew = VecDeque::with_capacity(self.settled.len());
        let mut track = self.base.clone();
        for span in self.settled.drain(..) {
            self.ledger.join(span, self.pair, ends, rules, &mut |piece| {
                apply(&mut track, &piece, self.right, rules);
                anew.push_back(piece);
            });
        }
        self.settled = anew;
        self.track = track;
    }

    /// Every window, in order. A long attempt that got through in one that short attempts saw too is one of those that
    /// saw it; any other is a window of its own, which ends where a later one is shut out.
    pub(super) fn spells(&self) -> Vec<Spell> {
        let mut spells: Vec<Spell> = self.track.spells().cloned().collect();
        self.persisted.add_to(&mut spells);
        spells
    }

    /// How long it took from its start until the cell was right for good; zero where it never was anything else.
    pub(super) fn enforcement(&self, rules: &Rules) -> Option<Duration> {
        let since = self.track.right_since.filter(|_| self.track.stands(rules.quorum()))?;
        Some(if self.track.last_off.is_none() { Duration::ZERO } else { since.since(self.starts) })
    }

    /// Convergence, by what was launched from `from` on: what it took is fixed, and from now on darkness is held against
    /// the cell, and that there is no way where there was one.
    pub(super) fn fix_enforcement(&mut self, rules: &Rules, from: Moment) {
        self.enforced = self.enforcement(rules);
        self.forgive_darkness();
        self.base.prove(from);
        self.track.prove(from);
    }

    /// From now on darkness is held against the cell anew.
    pub(super) fn forgive_darkness(&mut self) {
        self.base.forgive_darkness();
        self.track.forgive_darkness();
    }

    /// Whether its source last said that it cannot make such attempts.
    pub(super) fn unsupported(&self) -> bool {
        self.settled.back().is_some_and(|span| matches!(span.fate, Fate::Seen(Outcome::Unsupported { .. })))
    }

    /// Whether an outcome, heard from the source alone, is certain to be against what is right.
    pub(super) fn alarmed_by(&self, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::SomeoneElse { .. } => self.right.is_some(),
            Outcome::Reached | Outcome::Translated { .. } | Outcome::HalfOpen => self.right == Some(Verdict::Denied),
            Outcome::Silent
            | Outcome::Refused { .. }
            | Outcome::Unreachable { .. }
            | Outcome::Unsupported { .. }
            | Outcome::Failed { .. } => false,
        }
    }
}

fn apply(track: &mut Track, span: &Span, right: Option<Verdict>, rules: &Rules) {
    if let Fate::Unseen(Unseen::Untold(_)) = span.fate {
        // Still under way when the books were closed: neither seen nor missed.
        return;
    }
    let bearing: Bearing = bearing(&span.fate, right, rules.deny);
    track.apply(span, bearing);
}
