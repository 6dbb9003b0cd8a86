//! Exit codes, documented one by one; the README's table is tested against this file.

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
