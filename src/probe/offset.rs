//! How far an agent's clock is from the harness's.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::moment::Moment;

/// How many exchanges are remembered.
const REMEMBERED: usize = 64;

/// How fast two clocks of the same make may drift apart, in parts per million: an old estimate grows worse by it.
const DRIFT_PPM: u64 = 50;

/// What is known of an agent's clock. Of all exchanges remembered, the one with the shortest round trip says most.
#[derive(Debug, Clone, Default)]
pub struct ClockOffset {
    samples: VecDeque<Sample>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Moment,
    offset: i64,
    error: u64,
}

/// An estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// The agent's clock less the harness's, in nanoseconds.
    pub offset: i64,
    /// Right to within this: half a round trip, and what the clocks may have drifted since.
    pub error: Duration,
}

impl ClockOffset {
    /// Takes in an exchange: the harness asked at `sent`, the agent's clock said `theirs`, the answer came at
    /// `received`; `sent` and `received` on the harness's clock.
    pub fn learn(&mut self, sent: Moment, theirs: Moment, received: Moment) {
        let round_trip = received.0.saturating_sub(sent.0);
        let middle = sent.0 + round_trip / 2;
        let offset = i64::try_from(i128::from(theirs.0) - i128::from(middle)).unwrap_or(i64::MAX);
        if self.samples.len() == REMEMBERED {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample { at: received, offset, error: round_trip / 2 });
    }

    /// How many exchanges were taken in, as far as remembered.
    pub fn exchanges(&self) -> usize {
        self.samples.len()
    }

    /// The best estimate for `now` on the harness's clock; none before the first exchange.
    pub fn estimate(&self, now: Moment) -> Option<Estimate> {
        let aged = |sample: &Sample| {
            let age = now.0.saturating_sub(sample.at.0);
            sample.error.saturating_add(age / 1_000_000 * DRIFT_PPM)
        };
        let best = self.samples.iter().min_by_key(|sample| aged(sample))?;
        Some(Estimate { offset: best.offset, error: Duration::from_nanos(aged(best)) })
    }

    /// A moment of the agent's clock on the harness's, as best known at `now`; unchanged before the first exchange.
    pub fn ours(&self, theirs: Moment, now: Moment) -> Moment {
        self.estimate(now).map_or(theirs, |estimate| theirs.shifted(estimate.offset.saturating_neg()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_round_trip_says_most() {
        let mut clock = ClockOffset::default();
        assert_eq!(clock.estimate(Moment(0)), None);
        clock.learn(Moment(1_000), Moment(6_900), Moment(3_000));
        clock.learn(Moment(4_000), Moment(9_100), Moment(4_200));
        clock.learn(Moment(5_000), Moment(10_900), Moment(7_000));
        let estimate = clock.estimate(Moment(7_000)).unwrap();
        assert_eq!(estimate, Estimate { offset: 5_000, error: Duration::from_nanos(100) });
        assert_eq!(clock.ours(Moment(9_100), Moment(7_000)), Moment(4_100));
    }

    #[test]
    fn an_old_estimate_gives_way_to_a_newer_though_longer_one() {
        let mut clock = ClockOffset::default();
        clock.learn(Moment(0), Moment(50), Moment(100));
        let hour = 3_600_000_000_000;
        clock.learn(Moment(hour), Moment(hour + 100_000_000), Moment(hour + 2_000_000));
        let estimate = clock.estimate(Moment(hour + 2_000_000)).unwrap();
        assert_eq!(estimate.offset, 99_000_000, "50 ppm of an hour are 180 ms");
        assert_eq!(estimate.error, Duration::from_millis(1));
    }

    #[test]
    fn an_agent_behind_us_has_a_negative_offset() {
        let mut clock = ClockOffset::default();
        clock.learn(Moment(1_000), Moment(10), Moment(1_000));
        assert_eq!(clock.ours(Moment(20), Moment(1_000)), Moment(1_010));
    }
}
