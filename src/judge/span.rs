//! Attempts with consecutive numbers and one fate, and what that can be.

use std::time::Duration;

use crate::model::endpoint::EndpointId;
use crate::model::moment::Moment;
use crate::model::observation::{Blindness, Failure, Outcome};

/// What became of an attempt, both ends heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// The source's word stands: nothing of it contradicts the destination's, and both could see.
    Seen(Outcome),
    /// It arrived, though its source has no proof of that.
    Delivered(Heard),
    /// Nobody can say.
    Unseen(Unseen),
}

/// What the source of an attempt that arrived heard of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing, as it says itself: the way back is shut.
    Nothing,
    /// Nobody can say: it has not told, could not look, or waited for the rest.
    Unknown,
}

/// Why nobody can say what became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unseen {
    /// It was made, but no record of it came.
    Gap,
    /// One end could not see while it was under way.
    Blind(EndpointId, Blindness),
    /// One end's agent was lost before it had told of that time.
    Lost(EndpointId),
    /// One end has not told of that time yet.
    Untold(EndpointId),
    /// It could not be made or watched as planned.
    Failed(Failure),
}

/// Attempts with consecutive numbers and one fate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) number: u32,
    pub(super) count: u32,
    pub(super) first: Moment,
    pub(super) last: Moment,
    /// The packet of each had left by so long after its launch.
    left_within: Duration,
    pub(super) slowest: Duration,
    pub(super) fate: Fate,
    row: Row,
}

/// What is known of the launches of attempts with consecutive numbers: the outermost two. Those between lie evenly, as
/// far as is known. Every piece cut from the attempts keeps the row it came from, so that a launch is the same moment
/// however often, and in whatever order, its piece was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row {
    number: u32,
    count: u32,
    first: Moment,
    last: Moment,
}

impl Row {
    /// When an attempt was launched, as far as is known.
    fn launch(&self, number: u32) -> Moment {
        let steps = self.count.saturating_sub(1);
        let place = number.saturating_sub(self.number).min(steps);
        let width = u128::from(self.last.0.saturating_sub(self.first.0));
        let offset = width * u128::from(place) / u128::from(steps.max(1));
        Moment(self.first.0.saturating_add(u64::try_from(offset).unwrap_or(u64::MAX)))
    }

    /// How many of its attempts were launched before `at`.
    fn before(&self, at: Moment) -> u32 {
        if at <= self.first {
            return 0;
        }
        if at > self.last {
            return self.count;
        }
        // The smallest place whose launch, rounded down, is not before `at`; the last is not before it, so there is one.
        let width = u128::from(self.last.0 - self.first.0);
        let steps = u128::from(self.count.saturating_sub(1));
        let into = u128::from(at.0 - self.first.0);
        let place = (into * steps).div_ceil(width.max(1));
        u32::try_from(place).unwrap_or(self.count).min(self.count)
    }
}

impl Span {
    /// Attempts as one record tells of them.
    pub(super) fn new(number: u32, count: u32, first: Moment, last: Moment, slowest: Duration, fate: Fate) -> Self {
        let last = if count > 1 { last.max(first) } else { first };
        let row = Row { number, count, first, last };
        Self { number, count, first, last, left_within: Duration::ZERO, slowest, fate, row }
    }

    /// The same, with packets that left so long after their launch at the latest.
    pub(super) fn left_within(mut self, left_within: Duration) -> Self {
        self.left_within = left_within;
        self
    }

    /// By when the first packet had left.
    pub(super) fn first_left_by(&self) -> Moment {
        self.first.plus(self.left_within)
    }

    /// One past the last number; wide, since the numbers may go up to the end of theirs.
    pub(super) fn end(&self) -> u64 {
        u64::from(self.number) + u64::from(self.count)
    }

    /// Whether an arrival at the destination would change nothing.
    pub(super) fn arrived(&self) -> bool {
        match &self.fate {
            Fate::Seen(outcome) => speaks_for_itself(outcome),
            Fate::Delivered(_) => true,
            Fate::Unseen(_) => false,
        }
    }

    /// Whether launches of the row lie between its outermost, which alone are exact.
    pub(super) fn estimated(&self) -> bool {
        self.row.count > 2
    }

    /// How many of the attempts were launched before `at`.
    pub(super) fn before(&self, at: Moment) -> u32 {
        let skipped = self.number.saturating_sub(self.row.number);
        self.row.before(at).saturating_sub(skipped).min(self.count)
    }

    /// The attempts from place `from` up to but not including `to`; none if there are none.
    pub(super) fn slice(&self, from: u32, to: u32) -> Option<Self> {
        let to = to.min(self.count);
        if from >= to {
            return None;
        }
        let number = self.number.saturating_add(from);
        let first = self.row.launch(number);
        let last = self.row.launch(self.number.saturating_add(to - 1)).max(first);
        Some(Self { number, count: to - from, first, last, ..self.clone() })
    }
}

/// Whether an outcome is proof whatever the destination's records say.
fn speaks_for_itself(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Reached | Outcome::SomeoneElse { .. } | Outcome::Translated { .. } | Outcome::Unsupported { .. } => {
            true
        }
        Outcome::HalfOpen
        | Outcome::Silent
        | Outcome::Refused { .. }
        | Outcome::Unreachable { .. }
        | Outcome::Failed { .. } => false,
    }
}
