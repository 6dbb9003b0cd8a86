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
            known: _,
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

/// What a code means, in words for a person; reports print it beside the code.
pub fn meaning(code: u8) -> &'static str {
    match code {
        0 => "as meant",
        1 => "a bug in leakproof",
        USAGE => "the command line was wrong",
        REFUSED => "the scenario was refused",
        4 => "the world could not be made, nothing was judged",
        5 => "the policy does not say what its author wanted",
        6 => "something could not be seen, or nothing says how it should be",
        7 => "the verdicts are fine, but something was left behind",
        10 => "a flow that should work does not",
        11 => "a flow that should not work does, or the wrong server answered",
        INTERRUPTED => "interrupted",
        TERMINATED => "terminated",
        _ => "a code that leakproof never gives",
    }
}

/// The graver of two exit codes, of several scenarios say. A scenario that was refused, or to which the command line does not
/// fit, was not tested at all: that never hides what was seen of another one to be wrong, or could not be seen.
pub fn gravest(a: u8, b: u8) -> u8 {
    const ORDER: [u8; 12] = [0, 4, 7, REFUSED, USAGE, 6, 5, 10, 11, TERMINATED, INTERRUPTED, 1];
    // A code that is not in the list is one leakproof never gives: a bug, and so the gravest.
    let rank = |code: u8| ORDER.iter().position(|known| *known == code).unwrap_or(ORDER.len());
    if rank(b) > rank(a) { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_codes_is_the_order_of_exits() {
        let exits = [
            Exit::Ok,
            Exit::NoWorld,
            Exit::LeftBehind,
            Exit::Inconclusive,
            Exit::Contradiction,
            Exit::Outage,
            Exit::Leak,
            Exit::Bug,
        ];
        for a in exits {
            for b in exits {
                assert_eq!(gravest(a.code(), b.code()), a.max(b).code(), "{a:?} and {b:?}");
            }
        }
        assert_eq!(gravest(REFUSED, 0), REFUSED, "a refused scenario is not a passed one");
        for finding in [11, 10, 5, 6] {
            for nothing_run in [REFUSED, USAGE] {
                assert_eq!(gravest(nothing_run, finding), finding, "{nothing_run} hides no {finding}");
            }
        }
        assert_eq!(gravest(USAGE, 0), USAGE, "nor did one pass to which the command line does not fit");
        assert_eq!(gravest(0, 99), 99, "an unknown code is not hidden");
    }

    #[test]
    fn the_gravest_count_decides() {
        let one = |change: fn(&mut Counts)| {
            let mut counts = Counts { cells: 9, ok: 8, ..Counts::default() };
            change(&mut counts);
            counts
        };
        let table: [(Counts, Exit, &str); 10] = [
            (one(|_| ()), Exit::Ok, "everything as meant"),
            (one(|c| c.unsupported = 1), Exit::Ok, "what cannot be carried is no trouble"),
            (one(|c| c.unstated = 1), Exit::Ok, "nor is a flow that meaning judges alone"),
            (one(|c| c.known = 1), Exit::Ok, "nor what is known to be wrong"),
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
