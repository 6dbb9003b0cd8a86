//! How much may go wrong after convergence, and what is known to: budgets and the `known:` list, held against windows.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::model::finding::Call;
use crate::model::flow::FlowId;
use crate::model::watch::Standing;

use super::notes::{show, windows};
use super::track::Spell;

/// What is put up with. By default nothing is.
#[derive(Debug, Clone, Default)]
pub struct Tolerance {
    /// The budget of every flow that has none of its own.
    pub usual: Allowance,
    /// Those of single flows.
    pub own: HashMap<FlowId, Allowance>,
    /// Flows that are known to be wrong in this way.
    pub known: HashSet<(FlowId, Call)>,
    /// No longer than this may a flow go unobserved after convergence, in its longest gap. Zero: no longer than a denial
    /// takes to be seen.
    pub unobserved: Duration,
}

/// How long a flow may be wrong, all its windows after convergence together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allowance {
    /// In outage.
    pub outage: Duration,
    /// In leak.
    pub leak: Duration,
}

impl Tolerance {
    /// How long this flow may be wrong in this way. For a wrong server nothing makes up.
    pub(super) fn allows(&self, id: FlowId, call: Call) -> Duration {
        let allowance = self.own.get(&id).unwrap_or(&self.usual);
        match call {
            Call::Outage => allowance.outage,
            Call::Leak => allowance.leak,
            Call::Ok
            | Call::WrongServer
            | Call::Contradiction
            | Call::Inconclusive
            | Call::Unjudged
            | Call::Unsupported => Duration::ZERO,
        }
    }

    /// Whether this flow is known to be wrong in this way.
    pub(super) fn knows(&self, id: FlowId, call: Call) -> bool {
        self.known.contains(&(id, call))
    }
}

/// Windows of one kind, added up: their true length lies between the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Spent {
    pub(super) windows: usize,
    pub(super) least: Duration,
    /// None where a window has no end yet, or no beginning.
    pub(super) most: Option<Duration>,
}

impl Spent {
    pub(super) fn of<'a>(spells: impl Iterator<Item = &'a Spell>) -> Self {
        let none = Self { windows: 0, least: Duration::ZERO, most: Some(Duration::ZERO) };
        spells.fold(none, |spent, spell| Self {
            windows: spent.windows + 1,
            least: spent.least.saturating_add(spell.least()),
            most: match (spent.most, spell.right_before, spell.right_after) {
                (Some(most), Some(before), Some(after)) => Some(most.saturating_add(after.since(before))),
                (Some(_) | None, Some(_) | None, Some(_) | None) => None,
            },
        })
    }

    /// What these windows count as, held against a budget. The upper bound must be within it: where only that is over
    /// it, a leak counts, since nobody can show that it was short enough, and an outage is undecided.
    pub(super) fn standing(self, call: Call, budget: Duration) -> Standing {
        if self.windows == 0 {
            return Standing::WithinBudget;
        }
        // Something that is not to be at all was, however short.
        if budget.is_zero() || self.least > budget {
            return Standing::Counted;
        }
        match self.most {
            Some(most) if most <= budget => Standing::WithinBudget,
            Some(_) | None if call == Call::Outage => Standing::Undecided,
            Some(_) | None => Standing::Counted,
        }
    }

    /// `at least 12 ms and at most 212 ms in 1 window`.
    pub(super) fn words(self) -> String {
        let least = show(self.least);
        match self.most {
            Some(most) => format!("at least {least} and at most {} in {}", show(most), windows(self.windows)),
            None if self.least.is_zero() => format!("{} of unknown length", windows(self.windows)),
            None => format!("at least {least} in {}, whose end was not seen", windows(self.windows)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::moment::Moment;

    fn spell(before: Option<u64>, first: u64, last: u64, after: Option<u64>) -> Spell {
        let at = |ms: u64| Moment(ms * 1_000_000);
        Spell {
            call: Call::Outage,
            right_before: before.map(at),
            first_wrong: at(first),
            first_wrong_by: at(first),
            last_wrong: at(last),
            right_after: after.map(at),
            attempts: 1,
            turned_away: 0,
            persistent: 0,
        }
    }

    #[test]
    fn what_only_long_attempts_saw_has_no_least_length_and_is_within_no_budget() {
        let seen = Spell { persistent: 1, ..spell(Some(100), 1_100, 6_100, None) };
        let spent = |spell: Spell| Spent::of(std::iter::once(&spell)).words();
        assert_eq!(spent(seen.clone()), "1 window of unknown length");
        assert_eq!(spent(Spell { attempts: 2, ..seen.clone() }), "at least 5.00 s in 1 window, whose end was not seen");
        let ample = Duration::from_secs(60);
        assert_eq!(Spent::of(std::iter::once(&seen)).standing(Call::Leak, ample), Standing::Counted);
    }

    #[test]
    fn a_budget_is_held_against_the_upper_bound() {
        use Standing::{Counted, Undecided, WithinBudget};
        let ms = Duration::from_millis;
        let short = spell(Some(100), 200, 300, Some(400));
        let single = spell(Some(100), 200, 200, Some(300));
        let endless = spell(Some(100), 200, 300, None);
        let table: [(&[Spell], u64, Standing, Standing, &str); 7] = [
            (&[], 0, WithinBudget, WithinBudget, "no window"),
            (std::slice::from_ref(&single), 0, Counted, Counted, "one wrong attempt where none may be"),
            (std::slice::from_ref(&short), 300, WithinBudget, WithinBudget, "just the upper bound"),
            (std::slice::from_ref(&short), 299, Undecided, Counted, "only the upper bound is over it"),
            (std::slice::from_ref(&short), 99, Counted, Counted, "the lower bound is over it"),
            (std::slice::from_ref(&endless), 5_000, Undecided, Counted, "nobody saw its end"),
            (&[short.clone(), single.clone()], 400, Undecided, Counted, "windows add up"),
        ];
        for (spells, budget, outage, leak, why) in table {
            let spent = Spent::of(spells.iter());
            assert_eq!(spent.standing(Call::Outage, ms(budget)), outage, "an outage: {why}");
            assert_eq!(spent.standing(Call::Leak, ms(budget)), leak, "a leak: {why}");
        }
    }

    #[test]
    fn a_flow_of_its_own_budget_has_no_other() {
        let own = Allowance { outage: Duration::from_secs(2), leak: Duration::ZERO };
        let tolerance = Tolerance {
            usual: Allowance { outage: Duration::from_secs(1), leak: Duration::from_secs(1) },
            own: HashMap::from([(FlowId(1), own)]),
            known: HashSet::from([(FlowId(1), Call::Leak)]),
            unobserved: Duration::ZERO,
        };
        assert_eq!(tolerance.allows(FlowId(0), Call::Leak), Duration::from_secs(1));
        assert_eq!(tolerance.allows(FlowId(1), Call::Outage), Duration::from_secs(2));
        assert_eq!(tolerance.allows(FlowId(0), Call::WrongServer), Duration::ZERO, "nothing excuses a wrong server");
        assert!(tolerance.knows(FlowId(1), Call::Leak) && !tolerance.knows(FlowId(1), Call::Outage));
    }
}
