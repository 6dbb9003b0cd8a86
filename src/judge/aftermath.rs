//! What the windows outside the final one make of a cell.

use crate::model::finding::{Call, Contradiction, Passing};
use crate::model::flow::FlowId;
use crate::model::observation::Observation;
use crate::model::verdict::{Intent, Meaning, Verdict};
use crate::model::watch::Standing;

use super::Counted;
use super::cell::Cell;
use super::judgement::{Ending, Judgement};
use super::notes::{Notes, show, windows};
use super::table::{Row, Sight, call};
use super::tolerance::Spent;
use super::track::Spell;
use super::verdicts::Sentence;

/// A cell and what it went through.
pub(super) struct Past<'a> {
    pub(super) id: FlowId,
    pub(super) intent: Intent,
    pub(super) meaning: Meaning,
    pub(super) cell: &'a Cell,
    /// The windows in which it was wrong.
    pub(super) spells: Vec<Spell>,
    /// Those that may have been its own listener's doing.
    pub(super) doubtful: Vec<Spell>,
}

impl Past<'_> {
    /// What a window would be called had it lasted.
    fn row(&self, spell: &Spell) -> Row {
        call(self.intent, self.meaning, sight_of(spell.call))
    }

    /// The windows of one kind that `counts` keeps, added up.
    fn spent(&self, kind: Call, counts: impl Fn(&Spell) -> bool) -> Spent {
        Spent::of(self.spells.iter().filter(|spell| spell.call == kind && counts(spell)))
    }
}

impl Sentence<'_> {
    /// What happened outside the final window, as far as the way the stage ended makes it count.
    pub(super) fn hold_against(&self, judgement: &mut Judgement, past: &Past<'_>, sight: Sight, notes: &mut Notes) {
        let rules = &self.judge.rules;
        let spells = &past.spells;
        match self.ending {
            Ending::Interrupted => {
                let blamed_on_time =
                    matches!(judgement.row.call, Call::Leak | Call::Outage) && !as_meant(past.cell.right, sight);
                if blamed_on_time {
                    judgement.row = Row { call: Call::Inconclusive, blame: None, ..judgement.row };
                    notes.add("the run ended before this had to be right");
                }
            }
            Ending::TimedOut => {
                if to_and_fro(spells)
                    && let Some(worst) = spells.iter().map(|spell| past.row(spell)).max_by_key(|row| row.call.gravity())
                {
                    notes.add(format!("went to and fro: {}", windows(spells.len())));
                    judgement.outweigh(worst, Passing::ToAndFro);
                }
            }
            Ending::Converged => self.after_convergence(judgement, past, notes),
        }
        if let (Some(limit), Some(took)) = (rules.max_enforce, judgement.time_to_enforce)
            && took > limit
            && let Some(first) = past.cell.track.spells().next()
        {
            notes.add(format!("enforced after {}, later than max_enforce {}", show(took), show(limit)));
            judgement.outweigh(past.row(first), Passing::Late);
        }
        // By when it was last seen wrong: when it was first seen right says as much of how rare its turns are.
        // A cell whose clock started before the stage's has no more time than any other.
        let starts = past.cell.starts;
        let allowed = rules.allowed.or((starts < rules.sent).then_some(rules.converge_within));
        let late = |spell: &&Spell| allowed.is_some_and(|allowed| spell.last_wrong > starts.plus(allowed));
        if let Some(spell) = spells.iter().filter(|spell| !self.is_after(spell)).find(late) {
            let took = show(spell.last_wrong.since(starts));
            notes.add(format!("still wrong after {took}, later than convergence was allowed to be"));
            judgement.outweigh(past.row(spell), Passing::Late);
        }
    }

    fn after_convergence(&self, judgement: &mut Judgement, past: &Past<'_>, notes: &mut Notes) {
        let Past { id, cell, spells, doubtful, .. } = past;
        let tolerance = &self.judge.tolerance;
        let after = |spell: &&Spell| self.is_after(spell);
        let mut unsure = Vec::new();
        for kind in [Call::Leak, Call::WrongServer, Call::Outage] {
            let Some(spell) = spells.iter().filter(after).find(|spell| spell.call == kind) else { continue };
            let spent = past.spent(kind, |spell| self.is_after(spell));
            let row = past.row(spell);
            let standing = self.standing(past, spell);
            // Within a budget, what the windows add up to decides, and not that one of them lies near the end.
            let no_way = kind == Call::Outage && matches!(judgement.observation, Observation::Unreachable { .. });
            let excused =
                (judgement.row.call == row.call || no_way) && judgement.row.contradiction == Contradiction::None;
            match standing {
                Standing::Counted => {
                    notes.add(format!("{kind} after convergence: {}", spent.words()));
                    judgement.outweigh(row, Passing::AfterConvergence);
                }
                Standing::Undecided | Standing::WithinBudget => {
                    if excused {
                        judgement.row = Row { call: Call::Ok, blame: None, ..judgement.row };
                    }
                    let budget = show(tolerance.allows(*id, kind));
                    if standing == Standing::WithinBudget {
                        notes.add(format!("{kind}: {}, within the {budget} it may last", spent.words()));
                    } else {
                        unsure.push(format!(
                            "{kind}: {}, which may be more than the {budget} it may last",
                            spent.words()
                        ));
                    }
                }
                Standing::Known => notes.add(format!("{kind}, which is known: {}", spent.words())),
            }
        }
        if to_and_fro(spells) && !spells.iter().any(|spell| self.is_after(spell)) {
            notes.add(format!("went to and fro before convergence: {}", windows(spells.len())));
        }
        let turned_away = doubtful.iter().filter(after).count();
        if turned_away > 0 {
            let windows = windows(turned_away);
            unsure.push(format!("turned away in {windows} while nothing shows that the listener was alive"));
        }
        if !matches!(cell.counted, Counted::Unjudged | Counted::Unsupported) {
            unsure.extend(self.unobserved(judgement, past, notes));
        }
        for why in unsure {
            notes.add(why);
            if judgement.row.call == Call::Ok {
                judgement.row.call = Call::Inconclusive;
            }
        }
    }

    /// Whether a window counts against a world that had converged.
    pub(super) fn is_after(&self, spell: &Spell) -> bool {
        self.judge.converged.is_some_and(|converged| spell.last_wrong >= converged.from)
    }

    /// What a window counts as.
    pub(super) fn standing(&self, past: &Past<'_>, spell: &Spell) -> Standing {
        let tolerance = &self.judge.tolerance;
        if tolerance.knows(past.id, spell.call) {
            Standing::Known
        } else if self.is_after(spell) {
            let spent = past.spent(spell.call, |spell| self.is_after(spell));
            spent.standing(spell.call, tolerance.allows(past.id, spell.call))
        } else {
            Standing::Counted
        }
    }
}

fn sight_of(wrong: Call) -> Sight {
    match wrong {
        Call::Leak => Sight::Allowed,
        Call::Outage => Sight::Denied,
        Call::WrongServer => Sight::SomeoneElse,
        Call::Ok | Call::Contradiction | Call::Inconclusive | Call::Unjudged | Call::Unsupported => Sight::Unseen,
    }
}

/// Whether a cell was right for a while between two windows.
fn to_and_fro(spells: &[Spell]) -> bool {
    spells.split_last().is_some_and(|(_, earlier)| earlier.iter().any(|spell| spell.right_after.is_some()))
}

/// Whether what was seen is what is right; then a contradiction, not time, is what makes it a finding.
fn as_meant(right: Option<Verdict>, sight: Sight) -> bool {
    match (right, sight) {
        (Some(Verdict::Allowed), Sight::Allowed) | (Some(Verdict::Denied), Sight::Denied) => true,
        (Some(_) | None, _) => false,
    }
}
