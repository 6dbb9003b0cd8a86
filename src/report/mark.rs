//! One sign per cell of a matrix: what it is, its symbol, its word, its colour.

use crate::model::document::Cell;
use crate::model::finding::Call;
use crate::model::verdict::{Intent, Meaning, Verdict};
use crate::model::watch::Standing;

use super::paint::Role;
use super::text::Charset;

/// What a matrix shows of one cell. In order of gravity, the gravest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mark {
    /// This world cannot carry it.
    Unsupported,
    /// Allowed, as it should be.
    Allowed,
    /// Denied, as it should be.
    Denied,
    /// Wrong, as the scenario's `known:` list says it will be.
    Known,
    /// Seen, but nothing says how it should be.
    Unjudged,
    /// Could not be seen.
    Inconclusive,
    /// The policy does not say what its author wanted, and nobody looked or could see.
    Contradiction,
    /// Should be allowed and is not.
    Outage,
    /// Somebody else answered.
    WrongServer,
    /// Should be denied and is not.
    Leak,
}

impl Mark {
    /// Every mark, gravest last.
    pub const ALL: [Self; 10] = [
        Self::Unsupported,
        Self::Allowed,
        Self::Denied,
        Self::Known,
        Self::Unjudged,
        Self::Inconclusive,
        Self::Contradiction,
        Self::Outage,
        Self::WrongServer,
        Self::Leak,
    ];

    /// The mark of a judged cell.
    pub fn of_cell(cell: &Cell) -> Self {
        match cell.standing {
            Standing::Known => Self::Known,
            Standing::Counted | Standing::Undecided | Standing::WithinBudget => Self::of(cell.call, cell.verdict),
        }
    }

    /// The mark of a cell that was only predicted; intent speaks where meaning is unknown.
    pub fn of_prediction(call: Call, intent: Intent, meaning: Meaning) -> Self {
        Self::of(call, meaning.verdict().or(intent.verdict()))
    }

    /// The mark of a call alone, as windows and findings have it.
    pub fn of_call(call: Call) -> Self {
        Self::of(call, None)
    }

    /// An `ok` without a verdict would be a document at odds with itself; it is shown as unseen, never as denied.
    fn of(call: Call, verdict: Option<Verdict>) -> Self {
        match call {
            Call::Ok => match verdict {
                Some(Verdict::Allowed) => Self::Allowed,
                Some(Verdict::Denied) => Self::Denied,
                None => Self::Inconclusive,
            },
            Call::Leak => Self::Leak,
            Call::Outage => Self::Outage,
            Call::WrongServer => Self::WrongServer,
            Call::Contradiction => Self::Contradiction,
            Call::Inconclusive => Self::Inconclusive,
            Call::Unjudged => Self::Unjudged,
            Call::Unsupported => Self::Unsupported,
        }
    }

    /// One column wide, and told apart without colour.
    pub fn symbol(self, charset: Charset) -> char {
        match (self, charset) {
            (Self::Allowed, Charset::Unicode) => '·',
            (Self::Allowed, Charset::Ascii) => '.',
            (Self::Denied, _) => 'x',
            (Self::Unsupported, _) => '-',
            (Self::Known, _) => 'k',
            (Self::Unjudged, _) => 'u',
            (Self::Inconclusive, _) => '?',
            (Self::Contradiction, _) => 'C',
            (Self::Outage, _) => 'O',
            (Self::WrongServer, _) => 'W',
            (Self::Leak, _) => 'L',
        }
    }

    /// The status word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Allowed | Self::Denied => Call::Ok.word(),
            Self::Known => "known",
            Self::Unsupported => Call::Unsupported.word(),
            Self::Unjudged => Call::Unjudged.word(),
            Self::Inconclusive => Call::Inconclusive.word(),
            Self::Contradiction => Call::Contradiction.word(),
            Self::Outage => Call::Outage.word(),
            Self::WrongServer => Call::WrongServer.word(),
            Self::Leak => Call::Leak.word(),
        }
    }

    /// What the symbol means, for a legend.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Allowed => "allowed, as it should be",
            Self::Denied => "denied, as it should be",
            Self::Unsupported => "not supported here",
            Self::Known => "known to be wrong",
            Self::Unjudged => "UNSURE: nothing to judge it by",
            Self::Inconclusive => "UNSURE: could not be seen",
            Self::Contradiction => "CONTRA: meaning is not intent",
            Self::Outage => "OUTAGE",
            Self::WrongServer => "WRONG server",
            Self::Leak => "LEAK",
        }
    }

    /// How it is painted.
    pub fn role(self) -> Role {
        match self {
            Self::Allowed => Role::Allowed,
            Self::Denied => Role::Denied,
            Self::Unsupported | Self::Known => Role::Faint,
            Self::Unjudged | Self::Inconclusive => Role::Unsure,
            Self::Contradiction => Role::Contradiction,
            Self::Outage => Role::Outage,
            Self::WrongServer | Self::Leak => Role::Leak,
        }
    }

    /// Whether a person must look at it.
    pub fn calls_for_attention(self) -> Attention {
        match self {
            Self::Allowed | Self::Denied | Self::Unsupported | Self::Known => Attention::None,
            Self::Unjudged
            | Self::Inconclusive
            | Self::Contradiction
            | Self::Outage
            | Self::WrongServer
            | Self::Leak => Attention::Needed,
        }
    }
}

/// Whether a person must look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attention {
    /// No.
    None,
    /// Yes.
    Needed,
}

/// How a status word is painted.
pub fn role_of(call: Call) -> Role {
    match call {
        Call::Ok => Role::Allowed,
        Call::Leak | Call::WrongServer => Role::Leak,
        Call::Outage => Role::Outage,
        Call::Contradiction => Role::Contradiction,
        Call::Inconclusive | Call::Unjudged => Role::Unsure,
        Call::Unsupported => Role::Faint,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_told_apart_without_colour() {
        for charset in [Charset::Unicode, Charset::Ascii] {
            let mut symbols = Mark::ALL.map(|mark| mark.symbol(charset)).to_vec();
            symbols.sort_unstable();
            symbols.dedup();
            assert_eq!(symbols.len(), Mark::ALL.len(), "each mark has a symbol of its own");
        }
    }

    #[test]
    fn ok_without_a_verdict_is_never_shown_as_denied() {
        assert_eq!(Mark::of(Call::Ok, None), Mark::Inconclusive);
        assert_eq!(Mark::of(Call::Ok, Some(Verdict::Denied)), Mark::Denied);
    }
}
