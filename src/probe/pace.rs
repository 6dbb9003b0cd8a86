//! How fast to probe.

use std::time::Duration;

/// The default interval of a small matrix.
const SHORTEST: Duration = Duration::from_millis(20);

/// How many cells that interval is kept for; more cells lengthen it, so that about 6,000 turns come in a second.
const FULL_RATE_CELLS: u64 = 120;

/// How many attempts make a denial.
const ATTEMPTS: u32 = 4;

/// How often a cell's turn comes, and how many attempts it has in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Every cell's turn comes once in this.
    pub interval: Duration,
    /// Attempts in each turn.
    pub attempts: u32,
}

/// The interval that needs three fifths of the rate at which a sweep that took so long went: what is left is for those
/// who need the machine besides us.
pub fn fitting(sweep: Duration) -> Duration {
    sweep.saturating_mul(5) / 3
}

/// The pace for so many cells: the interval asked for, else 20 ms for up to 120 cells and in proportion for more. Where
/// overlapping turns give four attempts within a deadline anyway, each turn has one; else four.
pub fn pace(cells: usize, deadline: Duration, requested_interval: Option<Duration>) -> Pace {
    let cells = u64::try_from(cells).unwrap_or(u64::MAX);
    let nanoseconds = u64::try_from(SHORTEST.as_nanos()).unwrap_or(u64::MAX);
    let grown = Duration::from_nanos(nanoseconds.saturating_mul(cells) / FULL_RATE_CELLS);
    let interval = requested_interval.unwrap_or(SHORTEST.max(grown));
    let attempts = if interval.saturating_mul(ATTEMPTS) <= deadline { 1 } else { ATTEMPTS };
    Pace { interval, attempts }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_follows_the_number_of_cells() {
        const MS: fn(u64) -> Duration = Duration::from_millis;
        for (cells, deadline, requested, interval, attempts, sentence) in [
            (0, MS(300), None, MS(20), 1, "no cells"),
            (1, MS(300), None, MS(20), 1, "one cell"),
            (120, MS(300), None, MS(20), 1, "the largest matrix at full rate"),
            (240, MS(300), None, MS(40), 1, "twice as many cells, half as often"),
            (450, MS(300), None, MS(75), 1, "four intervals are just one deadline"),
            (456, MS(300), None, MS(76), 4, "four intervals are more than a deadline: four attempts a turn"),
            (9900, MS(300), None, MS(1650), 4, "a hundred pods"),
            (9900, MS(1000), Some(MS(100)), MS(100), 1, "what is asked for is done"),
        ] {
            assert_eq!(pace(cells, deadline, requested), Pace { interval, attempts }, "{sentence}");
        }
    }
}
