//! Times in which nothing could be proven of a cell: between two attempts that showed something, with others between that
//! did not.

use std::time::Duration;

use crate::model::moment::Moment;

/// So many are kept: the longest.
const KEPT: usize = 16;

/// Why attempts showed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// None of them could be observed.
    Unobserved,
    /// At least one was observed and proves nothing: a handshake without proof, no way there, the wrong form of denial.
    Unproven,
}

/// A time in which nothing could be proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    /// Launch of the last attempt before that showed something.
    pub(super) from: Moment,
    /// Launch of the first one after; of a gap that is not over, of its last attempt.
    pub(super) until: Moment,
    pub(super) kind: Kind,
}

impl Gap {
    pub(super) fn lasted(&self) -> Duration {
        self.until.since(self.from)
    }
}

/// The gaps of one cell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Gaps {
    closed: Vec<Gap>,
    /// Launch of the last attempt that showed something.
    shown: Option<Moment>,
    /// The last attempt since that showed nothing, and why.
    open: Option<(Moment, Kind)>,
}

impl Gaps {
    /// Takes attempts that showed nothing, the last of them launched at `last`.
    pub(super) fn nothing(&mut self, last: Moment, kind: Kind) {
        let kind = self.open.map_or(kind, |(_, before)| before.max(kind));
        self.open = Some((last, kind));
    }

    /// Takes attempts that showed something.
    pub(super) fn something(&mut self, first: Moment, last: Moment) {
        if let (Some((_, kind)), Some(from)) = (self.open.take(), self.shown) {
            self.closed.push(Gap { from, until: first, kind });
            if self.closed.len() > KEPT {
                self.closed.sort_by_key(|gap| std::cmp::Reverse(gap.lasted()));
                self.closed.truncate(KEPT);
            }
        }
        self.shown = Some(last);
    }

    /// Forgets those that are over.
    pub(super) fn forget(&mut self) {
        self.closed.clear();
    }

    /// All that are kept, one that is not over included.
    pub(super) fn all(&self) -> impl Iterator<Item = Gap> {
        let open = self.open.zip(self.shown).map(|((until, kind), from)| Gap { from, until, kind });
        self.closed.iter().copied().chain(open)
    }

    /// The longest of one kind.
    pub(super) fn longest(&self, kind: Kind) -> Option<Gap> {
        self.all().filter(|gap| gap.kind == kind).max_by_key(Gap::lasted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment(ms * 1_000_000)
    }

    #[test]
    fn a_gap_reaches_from_what_was_shown_before_it_to_what_was_shown_after() {
        let mut gaps = Gaps::default();
        gaps.nothing(at(5), Kind::Unobserved);
        gaps.something(at(10), at(20));
        assert_eq!(gaps.all().count(), 0, "nothing is known of the time before the first");
        gaps.nothing(at(30), Kind::Unobserved);
        gaps.nothing(at(40), Kind::Unobserved);
        gaps.something(at(50), at(60));
        gaps.nothing(at(70), Kind::Unobserved);
        gaps.nothing(at(80), Kind::Unproven);
        gaps.nothing(at(90), Kind::Unobserved);
        let span = |gap: Option<Gap>| gap.map(|gap| (gap.from, gap.until));
        assert_eq!(span(gaps.longest(Kind::Unobserved)), Some((at(20), at(50))));
        assert_eq!(span(gaps.longest(Kind::Unproven)), Some((at(60), at(90))), "it is not over");
        gaps.forget();
        assert_eq!(gaps.longest(Kind::Unobserved), None);
    }

    #[test]
    fn the_longest_are_kept() {
        let mut gaps = Gaps::default();
        gaps.something(at(0), at(0));
        let mut now = 0;
        for length in (1..=40).rev() {
            gaps.nothing(at(now), Kind::Unobserved);
            now += length;
            gaps.something(at(now), at(now));
        }
        assert_eq!(gaps.all().count(), KEPT);
        assert_eq!(gaps.longest(Kind::Unobserved).map(|gap| (gap.from, gap.until)), Some((at(0), at(40))));
    }
}
