//! Whose turn comes when: the arithmetic of a plan, without clock or sockets.

use std::time::Duration;

use crate::model::moment::Moment;

/// The turns of a plan's cells: round after round, in order of phase.
#[derive(Debug)]
pub struct Turns {
    start: Moment,
    interval: u64,
    /// Ascending, each below the interval.
    phases: Vec<u64>,
    rounds: Option<u64>,
    round: u64,
    place: usize,
}

/// Turns of one cell that came and went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed {
    /// The cell's place in the plan.
    pub place: usize,
    /// How many.
    pub count: u32,
    /// When the first was due.
    pub first: Moment,
    /// When the last was due.
    pub last: Moment,
}

impl Turns {
    /// Turns for cells with these ascending phases; `rounds` bounds them. A phase is taken modulo the interval by the
    /// caller; an interval of zero would never end and is taken as one nanosecond.
    pub fn new(start: Moment, interval: Duration, phases: Vec<u64>, rounds: Option<u32>) -> Self {
        let interval = crate::model::moment::nanoseconds(interval).max(1);
        Self { start, interval, phases, rounds: rounds.map(u64::from), round: 0, place: 0 }
    }

    /// The next turn: the cell's place and when it is due; none when the rounds are over.
    pub fn next(&self) -> Option<(usize, Moment)> {
        let over = self.rounds.is_some_and(|rounds| self.round >= rounds);
        let phase = self.phases.get(self.place)?;
        (!over).then(|| (self.place, self.due(self.round, *phase)))
    }

    /// Goes on to the turn after.
    pub fn advance(&mut self) {
        self.place += 1;
        if self.place >= self.phases.len() {
            self.place = 0;
            self.round += 1;
        }
    }

    /// Passes over all turns due before `limit` and tells which those were, per cell.
    pub fn skip_before(&mut self, limit: Moment) -> Vec<Missed> {
        let (from_round, from_place) = (self.round, self.place);
        let bound = self.rounds.unwrap_or(u64::MAX);
        let mut missed = Vec::new();
        let mut next = (bound, 0);
        for (place, phase) in self.phases.iter().enumerate() {
            let from = if place < from_place { from_round + 1 } else { from_round };
            // The first round in which this cell's turn is not before the limit.
            let ahead = limit.0.saturating_sub(self.start.0.saturating_add(*phase));
            let to = ahead.div_ceil(self.interval).clamp(from.min(bound), bound);
            if to > from {
                missed.push(Missed {
                    place,
                    count: u32::try_from(to - from).unwrap_or(u32::MAX),
                    first: self.due(from, *phase),
                    last: self.due(to - 1, *phase),
                });
            }
            next = next.min((to, place));
        }
        (self.round, self.place) = next;
        missed
    }

    fn due(&self, round: u64, phase: u64) -> Moment {
        Moment(self.start.0.saturating_add(round.saturating_mul(self.interval)).saturating_add(phase))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn turns(phases: &[u64], rounds: Option<u32>) -> Turns {
        Turns::new(Moment(1000), Duration::from_nanos(100), phases.to_vec(), rounds)
    }

    fn upcoming(turns: &mut Turns, most: usize) -> Vec<(usize, u64)> {
        let mut out = Vec::new();
        while let Some((place, due)) = turns.next().filter(|_| out.len() < most) {
            out.push((place, due.0));
            turns.advance();
        }
        out
    }

    #[test]
    fn every_cell_has_one_turn_an_interval() {
        assert_eq!(upcoming(&mut turns(&[0, 50], None), 5), [(0, 1000), (1, 1050), (0, 1100), (1, 1150), (0, 1200)]);
    }

    #[test]
    fn turns_end_after_the_planned_rounds() {
        assert_eq!(upcoming(&mut turns(&[0, 50], Some(1)), 5), [(0, 1000), (1, 1050)]);
    }

    #[test]
    fn a_plan_without_cells_has_no_turns() {
        assert_eq!(turns(&[], None).next(), None);
        assert_eq!(turns(&[], None).skip_before(Moment(9000)), []);
    }

    proptest! {
        #[test]
        fn skipping_is_the_same_as_passing_over_turns_one_by_one(
            phases in proptest::collection::btree_set(0u64..100, 0..6),
            made in 0usize..10,
            limit in 900u64..2500,
            rounds in proptest::option::of(0u32..8),
        ) {
            let phases: Vec<u64> = phases.into_iter().collect();
            let (mut skipping, mut walking) = (turns(&phases, rounds), turns(&phases, rounds));
            for turns in [&mut skipping, &mut walking] {
                upcoming(turns, made);
            }
            let missed = skipping.skip_before(Moment(limit));
            let mut counted = std::collections::BTreeMap::<usize, Vec<u64>>::new();
            while let Some((place, due)) = walking.next().filter(|(_, due)| due.0 < limit) {
                counted.entry(place).or_default().push(due.0);
                walking.advance();
            }
            let expected: Vec<Missed> = counted.iter().map(|(place, dues)| Missed {
                place: *place,
                count: dues.len() as u32,
                first: Moment(dues[0]),
                last: Moment(dues[dues.len() - 1]),
            }).collect();
            prop_assert_eq!(missed, expected);
            prop_assert_eq!(skipping.next(), walking.next());
        }
    }
}
