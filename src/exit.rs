//! Exit codes, documented one by one; the README's table is tested against this file.

use crate::model::document::Counts;

/// How a run ended. The order is the gravity: where several hold, the gravest, the one furthest down, wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exit {
    /// As meant.
    Ok,
    /// The world could not be made: nothing was judged.
    NoWorld,
    /// Verdicts fine, but something was left behind.
    LeftBehind,
    /// Something could not be seen, or nothing says how it should be.
    Inconclusive,
    /// The policy does not say what its author wanted.
    Contradiction,
    /// A flow that should work does not.
    Outage,
    /// A flow that should not work does, or the wrong server answered.
    Leak,
    /// Leakproof itself is at fault.
    Bug,
}

/// The scenario was refused: it cannot meet any of [`Exit`], since nothing was run.
pub const REFUSED: u8 = 3;
/// The command line was wrong.
pub const USAGE: u8 = 2;
/// Ended by SIGINT.
pub const INTERRUPTED: u8 = 130;
/// Ended by SIGTERM.
pub const TERMINATED: u8 = 143;

impl Exit {
    /// What a run's sums come to. A run that judged no cell proved nothing.
    pub fn of(counts: &Counts) -> Self {
        let Counts {
            cells,
            ok: _,
            leaks,
            outages,
            wrong_servers,
            contradictions,
            inconclusive,
            unjudged,
            unsupported: _,
            unstated: _,
        } = *counts;
        if leaks > 0 || wrong_servers > 0 {
            Self::Leak
        } else if outages > 0 {
            Self::Outage
        } else if contradictions > 0 {
            Self::Contradiction
        } else if inconclusive > 0 || unjudged > 0 || cells == 0 {
            Self::Inconclusive
        } else {
            Self::Ok
        }
    }

    /// The process's exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Bug => 1,
            Self::NoWorld => 4,
            Self::Contradiction => 5,
            Self::Inconclusive => 6,
            Self::LeftBehind => 7,
            Self::Outage => 10,
            Self::Leak => 11,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_count_decides() {
        let one = |change: fn(&mut Counts)| {
            let mut counts = Counts { cells: 9, ok: 8, ..Counts::default() };
            change(&mut counts);
            counts
        };
        let table: [(Counts, Exit, &str); 9] = [
            (one(|_| ()), Exit::Ok, "everything as meant"),
            (one(|c| c.unsupported = 1), Exit::Ok, "what cannot be carried is no trouble"),
            (one(|c| c.unstated = 1), Exit::Ok, "nor is a flow that meaning judges alone"),
            (one(|c| c.unjudged = 1), Exit::Inconclusive, "nothing says how it should be"),
            (one(|c| c.inconclusive = 1), Exit::Inconclusive, "could not be seen"),
            (one(|c| (c.inconclusive, c.contradictions) = (1, 1)), Exit::Contradiction, "5 before 6"),
            (one(|c| (c.contradictions, c.outages) = (1, 1)), Exit::Outage, "10 before 5"),
            (one(|c| (c.outages, c.wrong_servers) = (1, 1)), Exit::Leak, "11 before 10"),
            (Counts::default(), Exit::Inconclusive, "nothing was judged, so nothing was proved"),
        ];
        for (counts, expected, why) in table {
            assert_eq!(Exit::of(&counts), expected, "{why}");
        }
    }
}
