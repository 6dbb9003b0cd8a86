//! Consecutive attempts with one outcome.

use crate::model::moment::Moment;

/// A run that can still grow.
#[derive(Debug, Clone, PartialEq)]
pub struct Run<O> {
    /// The first attempt's number.
    pub first_number: u32,
    /// How many attempts.
    pub count: u32,
    /// When the first was.
    pub first: Moment,
    /// When the last was.
    pub last: Moment,
    /// The packet of each had left by so long after its launch, in nanoseconds.
    pub left_within: u64,
    /// The longest from launch to outcome, in nanoseconds.
    pub slowest: u64,
    /// Whether it takes in no others.
    pub alone: bool,
    /// What became of each.
    pub outcome: O,
}

impl<O: PartialEq> Run<O> {
    /// Starts a run of one.
    pub fn new(first_number: u32, at: Moment, outcome: O) -> Self {
        Self { first_number, count: 1, first: at, last: at, left_within: 0, slowest: 0, alone: false, outcome }
    }

    /// The number that would follow.
    pub fn next(&self) -> u32 {
        self.first_number.saturating_add(self.count)
    }

    /// Whether the attempt of this number is in the run.
    pub fn holds(&self, number: u32) -> bool {
        number >= self.first_number && number < self.next()
    }

    /// Takes in further attempts if they follow without a gap and have the same outcome; says whether it did.
    pub fn extend(&mut self, next: &Self) -> bool {
        if self.alone || next.alone || next.first_number != self.next() || next.outcome != self.outcome {
            return false;
        }
        self.count = self.count.saturating_add(next.count);
        self.first = self.first.min(next.first);
        self.last = self.last.max(next.last);
        self.left_within = self.left_within.max(next.left_within);
        self.slowest = self.slowest.max(next.slowest);
        true
    }
}
