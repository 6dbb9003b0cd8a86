//! The rule that came closest to letting a flow through.

use crate::model::explanation::{Condition, Entries, Met, NearMiss, PolicyStory, RuleStory};
use crate::model::prediction::{Direction, RuleRef};

/// More unmet conditions than this, and a rule was simply about something else.
const STILL_NEAR: usize = 2;

/// The rule with the fewest unmet conditions, in its entries that have the fewest; the first of several. None where
/// there is no rule, or none is near.
pub(super) fn find(policies: &[PolicyStory], direction: Direction) -> Option<NearMiss> {
    let rules = policies.iter().flat_map(|story| story.rules.iter().map(move |rule| (story, rule)));
    let misses = rules.map(|(story, rule)| miss(story, rule, direction));
    misses.min_by_key(|miss| miss.unmet.len()).filter(|miss| (1..=STILL_NEAR).contains(&miss.unmet.len()))
}

fn miss(story: &PolicyStory, rule: &RuleStory, direction: Direction) -> NearMiss {
    let (peer, mut unmet) = closest(&rule.peers);
    let (port, of_port) = closest(&rule.ports);
    unmet.extend(of_port);
    NearMiss { rule: RuleRef { policy: story.policy.clone(), direction, rule: rule.rule, peer, port }, unmet }
}

/// The entry of a list with the fewest unmet conditions, and these.
fn closest(entries: &Entries) -> (Option<u32>, Vec<Condition>) {
    let entries = match entries {
        Entries::Absent | Entries::Empty => return (None, Vec::new()),
        Entries::Listed(entries) => entries,
    };
    let unmet = |conditions: &[Condition]| conditions.iter().filter(|c| c.met == Met::No).cloned().collect::<Vec<_>>();
    entries
        .iter()
        .map(|entry| (Some(entry.place), unmet(&entry.conditions)))
        .min_by_key(|(_, unmet)| unmet.len())
        .unwrap_or_default()
}
