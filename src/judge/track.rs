//! How a cell fared against what is right for it: unbroken runs of right attempts, and the windows in which it was
//! wrong. Fed with attempts in order of number, it forgets them and keeps sums.

use std::time::Duration;

use crate::model::finding::Call;
use crate::model::moment::Moment;
use crate::model::observation::{Outcome, Refusal};
use crate::model::verdict::{DenyForm, Verdict};

use super::gaps::{self, Gaps};
use super::span::{Fate, Span};

/// What attempts are, held against what is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bearing {
    /// As it should be, and so telling that a few make a verdict.
    Right(Weight),
    /// As it should not be.
    Wrong(Call),
    /// No way there, where allowed is right: an outage of what was seen to work before, and else neither.
    NoWay,
    /// Seen, but neither: a handshake without proof where allowed is right, no way there where denied is, the wrong form
    /// of denial.
    Beside,
    /// Could not be seen.
    Unseen,
}

/// How much one right attempt tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// An answer: one is enough.
    Answer,
    /// Silence: it takes several.
    Silence,
}

/// Holds a fate against what is right; where nothing is, only a wrong server is wrong.
pub(super) fn bearing(fate: &Fate, right: Option<Verdict>, deny: DenyForm) -> Bearing {
    let outcome = match fate {
        Fate::Unseen(_) => return Bearing::Unseen,
        Fate::Delivered(_) => &Outcome::Reached,
        Fate::Seen(outcome) => outcome,
    };
    match (outcome, right) {
        (Outcome::Failed { .. }, _) => Bearing::Unseen,
        (Outcome::SomeoneElse { .. }, _) => Bearing::Wrong(Call::WrongServer),
        (Outcome::Reached | Outcome::Translated { .. }, Some(Verdict::Allowed)) => Bearing::Right(Weight::Answer),
        (Outcome::Reached | Outcome::Translated { .. } | Outcome::HalfOpen, Some(Verdict::Denied))
        | (Outcome::Refused { how: Refusal::Reset }, Some(Verdict::Denied)) => Bearing::Wrong(Call::Leak),
        (Outcome::Silent, Some(Verdict::Allowed))
        | (Outcome::Refused { how: Refusal::Refused | Refusal::Prohibited }, Some(Verdict::Allowed)) => {
            Bearing::Wrong(Call::Outage)
        }
        (Outcome::Silent, Some(Verdict::Denied)) => match deny {
            DenyForm::Drop | DenyForm::Either => Bearing::Right(Weight::Silence),
            DenyForm::Reject => Bearing::Beside,
        },
        (Outcome::Refused { how: Refusal::Refused | Refusal::Prohibited }, Some(Verdict::Denied)) => match deny {
            DenyForm::Reject | DenyForm::Either => Bearing::Right(Weight::Answer),
            DenyForm::Drop => Bearing::Beside,
        },
        (Outcome::HalfOpen | Outcome::Refused { how: Refusal::Reset }, Some(Verdict::Allowed)) => Bearing::Beside,
        (Outcome::Unreachable { .. }, Some(Verdict::Allowed)) => Bearing::NoWay,
        (Outcome::Unreachable { .. }, Some(Verdict::Denied) | None) | (Outcome::Unsupported { .. }, _) => {
            Bearing::Beside
        }
        (
            Outcome::Reached
            | Outcome::Translated { .. }
            | Outcome::HalfOpen
            | Outcome::Silent
            | Outcome::Refused { .. },
            None,
        ) => Bearing::Beside,
    }
}

/// A time in which a cell was wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spell {
    pub(super) call: Call,
    pub(super) right_before: Option<Moment>,
    /// Launch of the first wrong attempt.
    pub(super) first_wrong: Moment,
    /// By when its packet had left.
    pub(super) first_wrong_by: Moment,
    /// Launch of the last wrong attempt: its packet left no earlier.
    pub(super) last_wrong: Moment,
    /// By when the packet of the first right attempt after had left.
    pub(super) right_after: Option<Moment>,
    pub(super) attempts: u32,
    /// How many of them were turned away with an answer (refused, no way there) rather than met with silence: that is
    /// also how it looks when the destination itself is gone.
    pub(super) turned_away: u32,
    /// How many of them were long attempts.
    pub(super) persistent: u32,
}

impl Spell {
    /// The shortest it can have been. What got through to long attempts alone was shut to the short ones between them.
    pub(super) fn least(&self) -> Duration {
        if self.is_of_long() { Duration::ZERO } else { self.last_wrong.since(self.first_wrong_by) }
    }

    /// The longest it can have been; none where it is not over.
    pub(super) fn most(&self) -> Option<Duration> {
        self.right_after.map(|after| after.since(self.right_before.unwrap_or(self.first_wrong)))
    }

    /// Whether only long attempts saw it.
    pub(super) fn is_of_long(&self) -> bool {
        self.persistent >= self.attempts
    }
}

/// More windows than this of one cell are told as one long last one: a bound on memory, not on truth.
const SPELLS_KEPT: usize = 4096;

/// The sums.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Track {
    /// Launch of the first attempt of the present unbroken run of right ones.
    pub(super) right_since: Option<Moment>,
    /// In that run, answers and silences.
    answers: u32,
    silences: u32,
    last_right: Option<Moment>,
    /// Launch of the last attempt that was seen and was not right.
    pub(super) last_off: Option<Moment>,
    /// Launch of the first attempt of the present unbroken run of those that were seen and were not right.
    pub(super) off_since: Option<Moment>,
    /// From then on what was right has been shown to work.
    proven_from: Option<Moment>,
    open: Option<Spell>,
    closed: Vec<Spell>,
    /// How many windows ever opened.
    pub(super) opened: u32,
    pub(super) attempts: u32,
    pub(super) unseen: u32,
    /// When nothing could be proven.
    pub(super) gaps: Gaps,
}

impl Track {
    /// Takes the next attempts.
    pub(super) fn apply(&mut self, span: &Span, bearing: Bearing) {
        let bearing = match bearing {
            // What never worked may not be wired at all; what did is out for whoever uses it, and denied by nobody.
            Bearing::NoWay if self.proven_from.is_some_and(|from| span.first >= from) => Bearing::Wrong(Call::Outage),
            Bearing::NoWay => Bearing::Beside,
            Bearing::Right(_) | Bearing::Wrong(_) | Bearing::Beside | Bearing::Unseen => bearing,
        };
        if bearing == Bearing::Unseen {
            self.unseen = self.unseen.saturating_add(span.count);
            self.gaps.nothing(span.last, gaps::Kind::Unobserved);
            return;
        }
        self.attempts = self.attempts.saturating_add(span.count);
        if bearing == Bearing::Beside {
            // Seen, but nothing proven: it neither closes a window nor widens it, and is as dark as not having seen.
            self.end_run(span);
            self.gaps.nothing(span.last, gaps::Kind::Unproven);
            return;
        }
        self.gaps.something(span.first, span.last);
        match bearing {
            Bearing::Right(weight) => self.right(span, weight),
            Bearing::Wrong(call) => self.wrong(span, call),
            Bearing::NoWay | Bearing::Beside | Bearing::Unseen => {}
        }
    }

    fn right(&mut self, span: &Span, weight: Weight) {
        if let Some(mut spell) = self.open.take() {
            spell.right_after = Some(span.first_left_by());
            self.close(spell);
        }
        self.right_since.get_or_insert(span.first);
        self.off_since = None;
        self.last_right = Some(span.last);
        match weight {
            Weight::Answer => self.answers = self.answers.saturating_add(span.count),
            Weight::Silence => self.silences = self.silences.saturating_add(span.count),
        }
    }

    fn wrong(&mut self, span: &Span, call: Call) {
        self.end_run(span);
        let turned_away = match &span.fate {
            Fate::Seen(Outcome::Refused { .. } | Outcome::Unreachable { .. }) => span.count,
            Fate::Seen(_) | Fate::Delivered(_) | Fate::Unseen(_) => 0,
        };
        if let Some(spell) = self.open.as_mut().filter(|spell| spell.call == call) {
            spell.last_wrong = span.last;
            spell.attempts = spell.attempts.saturating_add(span.count);
            spell.turned_away = spell.turned_away.saturating_add(turned_away);
            return;
        }
        if let Some(spell) = self.open.take() {
            self.close(spell);
        }
        self.opened = self.opened.saturating_add(1);
        self.open = Some(Spell {
            call,
            right_before: self.last_right,
            first_wrong: span.first,
            first_wrong_by: span.first_left_by(),
            last_wrong: span.last,
            right_after: None,
            attempts: span.count,
            turned_away,
            persistent: 0,
        });
    }

    fn end_run(&mut self, span: &Span) {
        let at = span.last;
        self.off_since.get_or_insert(span.first);
        self.right_since = None;
        self.answers = 0;
        self.silences = 0;
        self.last_off = Some(self.last_off.map_or(at, |last| last.max(at)));
    }

    fn close(&mut self, spell: Spell) {
        if self.closed.len() >= SPELLS_KEPT
            && let Some(last) = self.closed.last_mut()
        {
            last.last_wrong = spell.last_wrong;
            last.right_after = spell.right_after;
            last.attempts = last.attempts.saturating_add(spell.attempts);
            last.turned_away = last.turned_away.saturating_add(spell.turned_away);
            return;
        }
        self.closed.push(spell);
    }

    /// From now on no way there is an outage.
    pub(super) fn prove(&mut self, from: Moment) {
        self.proven_from = Some(from);
    }

    /// Forgets darkness before convergence: it only made convergence come later.
    pub(super) fn forgive_darkness(&mut self) {
        self.gaps.forget();
    }

    /// How many windows have closed.
    pub(super) fn shut(&self) -> u32 {
        self.opened.saturating_sub(u32::from(self.open.is_some()))
    }

    /// Whether the present run of right attempts is long enough for a verdict.
    pub(super) fn stands(&self, quorum: u32) -> bool {
        self.answers > 0 || self.silences >= quorum
    }

    /// Every window, in order; the last may be open.
    pub(super) fn spells(&self) -> impl DoubleEndedIterator<Item = &Spell> {
        self.closed.iter().chain(&self.open)
    }
}
