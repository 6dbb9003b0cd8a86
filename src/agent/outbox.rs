//! Numbered records, kept until they are acknowledged.

use std::collections::VecDeque;

use crate::model::moment::Moment;
use crate::model::observation::Blindness;
use crate::wire::Record;

/// The most records kept: ten minutes of 200 attempts a second even if no two of them can be joined to a run, and
/// about 12 MB.
pub const MAX_RECORDS: usize = 131_072;

/// Records in order, from the oldest not yet acknowledged.
#[derive(Debug, Default)]
pub struct Outbox {
    kept: VecDeque<Record>,
    /// The number of the first kept.
    oldest: u64,
    /// The span of what had to be dropped and was not told yet.
    dropped: Option<(Moment, Moment)>,
}

impl Outbox {
    /// Adds a record under the next number. At the bound the oldest is dropped, and its span remembered.
    pub fn push(&mut self, record: Record) {
        self.push_bounded(record, MAX_RECORDS);
    }

    fn push_bounded(&mut self, record: Record, bound: usize) {
        while self.kept.len() >= bound.max(1) {
            if let Some(old) = self.kept.pop_front() {
                self.oldest += 1;
                let (from, until) = span(&old);
                self.dropped =
                    Some(self.dropped.map_or((from, until), |(first, last)| (first.min(from), last.max(until))));
            }
        }
        self.kept.push_back(record);
    }

    /// Turns the span of what was dropped since this was last called into a record.
    pub fn own_up(&mut self) {
        if let Some((from, until)) = self.dropped.take() {
            self.push(Record::Blind { from, until, why: Blindness::Overflow });
        }
    }

    /// Forgets records below `number`. A number beyond the last was never given out and forgets nothing.
    pub fn acknowledge(&mut self, number: u64) {
        if number > self.end() {
            return;
        }
        while self.oldest < number && self.kept.pop_front().is_some() {
            self.oldest += 1;
        }
        if self.kept.is_empty() && self.kept.capacity() > 4096 {
            self.kept.shrink_to(64);
        }
    }

    /// The number of the oldest record kept.
    pub fn oldest(&self) -> u64 {
        self.oldest
    }

    /// The number the next record will get.
    pub fn end(&self) -> u64 {
        self.oldest + self.kept.len() as u64
    }

    /// Up to `most` records from `number` on, or from the oldest if that is higher, with the number of the first.
    pub fn from(&self, number: u64, most: usize) -> (u64, impl Iterator<Item = &Record>) {
        let first = number.clamp(self.oldest, self.end());
        let skip = usize::try_from(first - self.oldest).unwrap_or(usize::MAX);
        (first, self.kept.iter().skip(skip).take(most))
    }
}

/// From when until when a record speaks of.
fn span(record: &Record) -> (Moment, Moment) {
    match record {
        Record::Tried { first, last, .. }
        | Record::Delivered { first, last, .. }
        | Record::SelfDialled { first, last, .. } => (*first, *last),
        Record::Persisted { launched, ended, .. } => (*launched, *ended),
        Record::Blind { from, until, .. } | Record::Counted { from, until, .. } => (*from, *until),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivered(number: u32) -> Record {
        let at = Moment(u64::from(number) * 10);
        Record::Delivered { cell: 0, first_number: number, count: 1, first: at, last: at }
    }

    fn numbers(outbox: &Outbox, from: u64) -> (u64, Vec<u32>) {
        let (first, records) = outbox.from(from, 100);
        let numbers = records.map(|record| match record {
            Record::Delivered { first_number, .. } => *first_number,
            Record::Tried { .. }
            | Record::SelfDialled { .. }
            | Record::Persisted { .. }
            | Record::Blind { .. }
            | Record::Counted { .. } => u32::MAX,
        });
        (first, numbers.collect())
    }

    #[test]
    fn what_is_acknowledged_goes_and_what_is_not_comes_again() {
        let mut outbox = Outbox::default();
        (0..5).for_each(|n| outbox.push(delivered(n)));
        outbox.acknowledge(2);
        assert_eq!(numbers(&outbox, 0), (2, vec![2, 3, 4]), "asked for too old a number: from the oldest");
        assert_eq!(numbers(&outbox, 4), (4, vec![4]));
        assert_eq!(numbers(&outbox, 5), (5, vec![]));
        outbox.acknowledge(99);
        assert_eq!(numbers(&outbox, 0).0, 2, "a number that was never given out forgets nothing");
    }

    #[test]
    fn what_overflows_is_owned_up_to_once_with_its_whole_span() {
        let mut outbox = Outbox::default();
        (0..5).for_each(|n| outbox.push_bounded(delivered(n), 3));
        assert_eq!(numbers(&outbox, 0), (2, vec![2, 3, 4]));
        outbox.own_up();
        outbox.own_up();
        let (_, records) = outbox.from(5, 100);
        let told: Vec<&Record> = records.collect();
        assert_eq!(told, [&Record::Blind { from: Moment(0), until: Moment(10), why: Blindness::Overflow }]);
    }
}
