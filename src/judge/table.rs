//! The table of readings: what a cell is called, given what its author wrote, what the policies say, and what was seen.

use crate::model::finding::{Blame, Call, Contradiction};
use crate::model::verdict::{Intent, Meaning, Verdict};

/// What an observation amounts to once its witness, its form and the strictness of the run have been held against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sight {
    /// Attempts arrive.
    Allowed,
    /// They do not, with a witness that they could have.
    Denied,
    /// Some arrive and some do not.
    Mixed,
    /// Something got through, but nothing proves that it was the right server: enough to be a hole, not enough to be
    /// a service.
    Partial,
    /// Somebody else answered.
    SomeoneElse,
    /// Nothing that says anything was seen.
    Unseen,
    /// This world cannot carry the flow.
    Unsupported,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Row {
    /// What the cell is called.
    pub call: Call,
    /// Whether meaning is not intent besides.
    pub contradiction: Contradiction,
    /// Whom to blame; none where nothing is wrong, or nothing was seen that could be blamed on anybody.
    pub blame: Option<Blame>,
}

/// Whether the policies say what their author wrote. Where one of the two says nothing they cannot differ.
pub fn contradiction(intent: Intent, meaning: Meaning) -> Contradiction {
    match (intent.verdict(), meaning.verdict()) {
        (Some(wanted), Some(said)) if wanted != said => Contradiction::Present,
        (Some(_) | None, Some(_) | None) => Contradiction::None,
    }
}

/// Whom a contradiction is to be blamed on before anybody looked at reality.
pub fn blame_offline(intent: Intent, meaning: Meaning) -> Option<Blame> {
    match (intent.verdict(), meaning.verdict()) {
        (Some(Verdict::Allowed), Some(Verdict::Denied)) => Some(Blame::PolicyTooStrict),
        (Some(Verdict::Denied), Some(Verdict::Allowed)) => Some(Blame::PolicyTooOpen),
        (Some(Verdict::Allowed), Some(Verdict::Allowed) | None)
        | (Some(Verdict::Denied), Some(Verdict::Denied) | None)
        | (None, Some(_) | None) => None,
    }
}

/// The row of a cell. Where intent and meaning differ, getting through is a leak (one of them says denied), and not
/// getting through is an outage (one of them says allowed).
pub fn call(intent: Intent, meaning: Meaning, sight: Sight) -> Row {
    let contradiction = contradiction(intent, meaning);
    let row = |call, blame| Row { call, contradiction, blame };
    let readings = (intent.verdict(), meaning.verdict());
    match sight {
        Sight::Unsupported => return row(Call::Unsupported, None),
        Sight::Unseen => return row(Call::Inconclusive, blame_offline(intent, meaning)),
        Sight::SomeoneElse => return row(Call::WrongServer, Some(Blame::Network)),
        Sight::Allowed | Sight::Denied | Sight::Mixed | Sight::Partial => {}
    }
    if readings == (None, None) {
        return row(Call::Unjudged, None);
    }
    let denied_somewhere = readings.0 == Some(Verdict::Denied) || readings.1 == Some(Verdict::Denied);
    let allowed_somewhere = readings.0 == Some(Verdict::Allowed) || readings.1 == Some(Verdict::Allowed);
    match sight {
        Sight::Allowed if denied_somewhere => row(Call::Leak, Some(blame_leak(intent, meaning))),
        Sight::Mixed if denied_somewhere => row(Call::Leak, Some(blame_leak(intent, meaning))),
        Sight::Partial if denied_somewhere => row(Call::Leak, Some(blame_leak(intent, meaning))),
        Sight::Denied if allowed_somewhere => row(Call::Outage, Some(blame_outage(intent, meaning))),
        Sight::Mixed => row(Call::Outage, Some(blame_outage(intent, meaning))),
        Sight::Partial => row(Call::Inconclusive, None),
        Sight::Allowed | Sight::Denied => row(Call::Ok, None),
        Sight::SomeoneElse | Sight::Unseen | Sight::Unsupported => row(Call::Inconclusive, None),
    }
}

fn blame_leak(intent: Intent, meaning: Meaning) -> Blame {
    match (intent.verdict(), meaning.verdict()) {
        (Some(Verdict::Allowed), Some(Verdict::Denied)) => Blame::PolicyNotEnforced,
        (Some(Verdict::Denied), Some(Verdict::Allowed)) => Blame::PolicyTooOpen,
        (Some(_) | None, None) => Blame::CannotTell,
        (Some(_) | None, Some(_)) => Blame::Network,
    }
}

fn blame_outage(intent: Intent, meaning: Meaning) -> Blame {
    match (intent.verdict(), meaning.verdict()) {
        (Some(Verdict::Allowed), Some(Verdict::Denied)) => Blame::PolicyTooStrict,
        (Some(Verdict::Denied), Some(Verdict::Allowed)) => Blame::SomethingElse,
        (Some(_) | None, None) => Blame::CannotTell,
        (Some(_) | None, Some(_)) => Blame::Network,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Blame::{CannotTell, Network, PolicyNotEnforced, PolicyTooOpen, PolicyTooStrict, SomethingElse};
    use Call::{Inconclusive, Leak, Ok, Outage, Unjudged, Unsupported, WrongServer};
    use Contradiction::{None as Same, Present as Differ};
    use Verdict::{Allowed as A, Denied as D};

    /// Columns: allowed, denied, mixed, partial, someone else, unseen, unsupported.
    type Cells = [(Call, Option<Blame>); 7];

    const SIGHTS: [Sight; 7] = [
        Sight::Allowed,
        Sight::Denied,
        Sight::Mixed,
        Sight::Partial,
        Sight::SomeoneElse,
        Sight::Unseen,
        Sight::Unsupported,
    ];

    #[test]
    fn every_combination_of_readings_has_its_row() {
        let wrong = (WrongServer, Some(Network));
        let na = (Unsupported, None);
        let unsure = (Inconclusive, None);
        let ok = (Ok, None);
        let leak = |blame| (Leak, Some(blame));
        let outage = |blame| (Outage, Some(blame));
        type Case = (Option<Verdict>, Option<Verdict>, Contradiction, Cells, &'static str);
        let table: [Case; 9] = [
            (
                Some(A),
                Some(A),
                Same,
                [ok, outage(Network), outage(Network), unsure, wrong, unsure, na],
                "wanted, and the policy allows it: whatever stops it is the network",
            ),
            (
                Some(D),
                Some(D),
                Same,
                [leak(Network), ok, leak(Network), leak(Network), wrong, unsure, na],
                "unwanted, and the policy denies it: whatever lets it through is the network",
            ),
            (
                Some(A),
                Some(D),
                Differ,
                [
                    leak(PolicyNotEnforced),
                    outage(PolicyTooStrict),
                    leak(PolicyNotEnforced),
                    leak(PolicyNotEnforced),
                    wrong,
                    (Inconclusive, Some(PolicyTooStrict)),
                    na,
                ],
                "wanted, but the policy denies it: an outage, or it works only because nothing enforces the policy",
            ),
            (
                Some(D),
                Some(A),
                Differ,
                [
                    leak(PolicyTooOpen),
                    outage(SomethingElse),
                    leak(PolicyTooOpen),
                    leak(PolicyTooOpen),
                    wrong,
                    (Inconclusive, Some(PolicyTooOpen)),
                    na,
                ],
                "unwanted, but the policy allows it: a leak, or something else happens to deny it",
            ),
            (
                None,
                Some(A),
                Same,
                [ok, outage(Network), outage(Network), unsure, wrong, unsure, na],
                "nothing was wanted: meaning judges alone",
            ),
            (
                None,
                Some(D),
                Same,
                [leak(Network), ok, leak(Network), leak(Network), wrong, unsure, na],
                "nothing was wanted: meaning judges alone",
            ),
            (
                Some(A),
                None,
                Same,
                [ok, outage(CannotTell), outage(CannotTell), unsure, wrong, unsure, na],
                "wanted, and nobody can say what the policies mean",
            ),
            (
                Some(D),
                None,
                Same,
                [leak(CannotTell), ok, leak(CannotTell), leak(CannotTell), wrong, unsure, na],
                "unwanted, and nobody can say what the policies mean",
            ),
            (
                None,
                None,
                Same,
                [(Unjudged, None), (Unjudged, None), (Unjudged, None), (Unjudged, None), wrong, unsure, na],
                "nothing says what is right: only a wrong server is wrong",
            ),
        ];
        for (wanted, said, differ, cells, why) in table {
            let intent = wanted.map_or(Intent::Unstated, Intent::Stated);
            let meaning = said.map_or(Meaning::Unknown, Meaning::Known);
            for (sight, (expected, blame)) in SIGHTS.into_iter().zip(cells) {
                let row = Row { call: expected, contradiction: differ, blame };
                assert_eq!(call(intent, meaning, sight), row, "{intent:?} {meaning:?} {sight:?}: {why}");
            }
        }
    }
}
