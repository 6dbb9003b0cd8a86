//! How fast to probe.

use std::time::Duration;

/// The default interval of a small matrix.
const SHORTEST: Duration = Duration::from_millis(10);

/// What a turn that is answered costs: with every process of a lab on two cores, a round of them can be made in this time
/// each, and leaves a third of the machine to others. `cargo bench --bench lab` shows whether it can.
const ANSWERED: Duration = Duration::from_micros(220 * UNOPTIMISED);

/// What an attempt costs that nobody answers: its first packet goes no farther than the rule that drops it.
const SILENT: Duration = Duration::from_micros(110 * UNOPTIMISED);

/// By how much a program takes longer that was built for looking into it.
const UNOPTIMISED: u64 = if cfg!(debug_assertions) { 3 } else { 1 };

/// How many attempts make a denial.
const ATTEMPTS: u32 = 4;

/// What there is to try, by what is expected of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// So many cells will answer.
    pub answered: usize,
    /// So many will not.
    pub silent: usize,
}

impl Work {
    /// So many cells that will all answer.
    pub fn answered(cells: usize) -> Self {
        Self { answered: cells, silent: 0 }
    }

    /// What it costs to try each cell once, those that do not answer so often.
    fn cost(self, attempts: u32) -> Duration {
        let times = |cells: usize| u32::try_from(cells).unwrap_or(u32::MAX);
        let silent = SILENT.saturating_mul(times(self.silent)).saturating_mul(attempts);
        ANSWERED.saturating_mul(times(self.answered)).saturating_add(silent)
    }
}

/// How often a cell's turn comes, and how many attempts it has in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Every cell's turn comes once in this.
    pub interval: Duration,
    /// Attempts in each turn.
    pub attempts: u32,
}

/// The pace for so much work: the interval asked for, else 10 ms for a small matrix and for a larger one what its turns
/// cost. Where overlapping turns give four attempts within a deadline anyway, or nobody is expected to be silent, each
/// turn has one; else four.
pub fn pace(work: Work, deadline: Duration, requested_interval: Option<Duration>) -> Pace {
    let of = |attempts| requested_interval.unwrap_or(SHORTEST.max(work.cost(attempts)));
    let once = of(1);
    if work.silent == 0 || once.saturating_mul(ATTEMPTS) <= deadline {
        Pace { interval: once, attempts: 1 }
    } else {
        Pace { interval: of(ATTEMPTS), attempts: ATTEMPTS }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_follows_what_there_is_to_try() {
        const MS: fn(u64) -> Duration = Duration::from_millis;
        let (turn, attempt) = (ANSWERED, SILENT);
        for (answered, silent, deadline, requested, interval, attempts, sentence) in [
            (0, 0, MS(300), None, SHORTEST, 1, "no cells"),
            (1, 0, MS(300), None, SHORTEST, 1, "one cell"),
            (10, 10, MS(300), None, SHORTEST, 1, "few cells, half of them denied"),
            (200, 0, turn * 800, None, turn * 200, 1, "more cells, less often"),
            (200, 0, turn * 700, None, turn * 200, 1, "whoever answers does so at once: one attempt is enough"),
            (0, 400, attempt * 1600, None, attempt * 400, 1, "four intervals are just within a deadline"),
            (0, 400, attempt * 1599, None, attempt * 1600, 4, "they are not: four attempts a turn"),
            (
                4909,
                4991,
                MS(300),
                None,
                turn * 4909 + attempt * 4 * 4991,
                4,
                "a hundred pods, half of all flows denied",
            ),
            (4909, 4991, MS(1000), Some(MS(100)), MS(100), 1, "what is asked for is done"),
        ] {
            let found = pace(Work { answered, silent }, deadline, requested);
            assert_eq!(found, Pace { interval, attempts }, "{sentence}");
        }
    }
}
