//! Two watches held against each other.
//!
//! No two upgrades take the same time, so a difference in time is told where it is more than the bounds on both leave
//! open, and does not count: what a window made of its cell does, and that is told with the cell. What became of a
//! connection, or whether a newborn pod was ever open or never worked, counts.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::comparison::watch::{Bounds, Fared, HeldChange, Newborns, Spent, WatchChange, Watched, WrongChange};
use crate::model::comparison::{Change, Sameness};
use crate::model::document::Document;
use crate::model::finding::{Call, Window};
use crate::model::flow::NamedFlow;
use crate::model::watch::{Budgets, Established, Fate, Standing, WatchInfo};

/// Compares what two runs watched; none where neither did.
pub(super) fn compare(before: &Document, after: &Document) -> Option<WatchChange> {
    let watches = Change { before: before.watch.as_ref(), after: after.watch.as_ref() };
    if watches.before.is_none() && watches.after.is_none() {
        return None;
    }
    let (wrong, wrong_alike) = wrong(before, after);
    let (held, held_alike) = match (watches.before, watches.after) {
        (Some(before), Some(after)) => held(before, after),
        (Some(_) | None, Some(_) | None) => (Vec::new(), 0),
    };
    let newborns = Change { before: watches.before.and_then(newborns), after: watches.after.and_then(newborns) };
    let outcome = match held.iter().any(matters) || differ(&newborns) {
        true => Sameness::Different,
        false => Sameness::Same,
    };
    let watches = Change { before: watches.before.map(watched), after: watches.after.map(watched) };
    Some(WatchChange { watches, wrong, wrong_alike, held, held_alike, newborns, outcome })
}

fn watched(watch: &WatchInfo) -> Watched {
    Watched {
        lasted_us: watch.until_us.saturating_sub(watch.from_us),
        seen: watch.seen,
        unseen: watch.unseen,
        interval_us: watch.interval_us,
        command: watch.command.as_ref().map(|command| command.status.clone().unwrap_or_else(|| "had not ended".into())),
    }
}

type Spends<'a> = BTreeMap<(&'a NamedFlow, u8), (Call, Spent)>;

/// What flows spent in windows that lie in the watch.
fn spends(document: &Document) -> Spends<'_> {
    let from = document.watch.as_ref().map_or(u64::MAX, |watch| watch.from_us);
    let mut spends = Spends::new();
    for cell in document.stages.iter().flat_map(|stage| &stage.cells) {
        for window in cell.windows.iter().filter(|window| window.last_wrong_us >= from) {
            let key = (&cell.flow, window.call.gravity());
            let (_, spent) = spends.entry(key).or_insert_with(|| (window.call, Spent::default()));
            add(spent, window);
        }
    }
    spends
}

fn add(spent: &mut Spent, window: &Window) {
    let bounds = Bounds {
        least_us: window.least_us(),
        most_us: window.right_before_us.zip(window.right_after_us).map(|(from, until)| until.saturating_sub(from)),
    };
    let first = spent.windows == 0;
    let most = |a: Option<u64>, sum: fn(u64, u64) -> u64| {
        if first { bounds.most_us } else { a.zip(bounds.most_us).map(|(a, b)| sum(a, b)) }
    };
    spent.total = Bounds {
        least_us: spent.total.least_us.saturating_add(bounds.least_us),
        most_us: most(spent.total.most_us, u64::saturating_add),
    };
    spent.longest = Bounds {
        least_us: spent.longest.least_us.max(bounds.least_us),
        most_us: most(spent.longest.most_us, u64::max),
    };
    spent.windows += 1;
    spent.attempts += u64::from(window.attempts);
    let weight = |standing: Standing| std::cmp::Reverse(standing.rank());
    spent.standing = spent.standing.into_iter().chain([window.standing]).max_by_key(|standing| weight(*standing));
}

/// Flows that were wrong otherwise, and how many were wrong alike.
fn wrong(before: &Document, after: &Document) -> (Vec<WrongChange>, u64) {
    let (earlier, later) = (spends(before), spends(after));
    let keys: BTreeSet<&(&NamedFlow, u8)> = earlier.keys().chain(later.keys()).collect();
    let (mut changed, mut alike) = (Vec::new(), 0);
    for key in keys {
        let (before, after) = (earlier.get(key), later.get(key));
        let Some((call, _)) = before.or(after) else { continue };
        let spent = |of: Option<&(Call, Spent)>| of.map_or_else(Spent::default, |(_, spent)| *spent);
        let spent = Change { before: spent(before), after: spent(after) };
        if before.is_some() && after.is_some() && same(&spent) {
            alike += 1;
        } else {
            changed.push(WrongChange { flow: key.0.clone(), call: *call, spent });
        }
    }
    let weight = |change: &WrongChange| {
        let counts =
            [change.spent.before.standing, change.spent.after.standing].into_iter().flatten().map(Standing::rank).min();
        (counts, std::cmp::Reverse(change.call.gravity()), change.flow.clone())
    };
    changed.sort_by_key(weight);
    (changed, alike)
}

fn same(spent: &Change<Spent>) -> bool {
    let Change { before, after } = spent;
    before.standing == after.standing && before.total.meets(&after.total) && before.longest.meets(&after.longest)
}

fn held(before: &WatchInfo, after: &WatchInfo) -> (Vec<HeldChange>, u64) {
    let (earlier, later) = (by_flow(before), by_flow(after));
    let (mut changed, mut alike) = (Vec::new(), 0);
    for (key, place) in &earlier {
        let (Some(one), Some(other)) =
            (before.established.get(*place), later.get(key).and_then(|place| after.established.get(*place)))
        else {
            continue;
        };
        let fate = Change { before: fared(one, &before.budgets), after: fared(other, &after.budgets) };
        if fate.differs() {
            let (flow, denied_by) = (key.0.clone(), key.1.map(str::to_owned));
            changed.push(HeldChange { flow, denied_by, fate, gap_us: Change { before: gap(one), after: gap(other) } });
        } else {
            alike += 1;
        }
    }
    changed.sort_by_key(|change| (std::cmp::Reverse(change.fate.before.max(change.fate.after)), change.flow.clone()));
    (changed, alike)
}

/// Places of connections, by flow and the step that denies it.
fn by_flow(watch: &WatchInfo) -> BTreeMap<(&NamedFlow, Option<&str>), usize> {
    let held = watch.established.iter().enumerate();
    held.map(|(place, held)| ((&held.flow, held.denied_by.as_deref()), place)).collect()
}

fn gap(held: &Established) -> Option<u64> {
    held.longest_gap.map(|gap| gap.until_us.saturating_sub(gap.from_us))
}

fn fared(held: &Established, budgets: &Budgets) -> Fared {
    match &held.fate {
        Fate::Survived => Fared::Survived,
        Fate::Stalled if gap(held).is_some_and(|us| us <= budgets.max_outage_us) => Fared::StalledWithinBudget,
        Fate::Stalled => Fared::Stalled,
        Fate::Ended { .. } => Fared::Ended,
        Fate::NotSeen { .. } => Fared::NotSeen,
    }
}

/// Whether it is more than a stall that is put up with.
fn matters(change: &HeldChange) -> bool {
    let calm = |fared: Fared| match fared {
        Fared::Survived | Fared::StalledWithinBudget => true,
        Fared::Stalled | Fared::Ended | Fared::NotSeen => false,
    };
    !(calm(change.fate.before) && calm(change.fate.after))
}

fn newborns(watch: &WatchInfo) -> Option<Newborns> {
    let mut waits: Vec<u64> = watch.newborns.iter().filter_map(|newborn| newborn.connected_after_us).collect();
    waits.sort_unstable();
    let count = |those: usize| u64::try_from(those).unwrap_or(u64::MAX);
    (!watch.newborns.is_empty()).then(|| Newborns {
        born: count(watch.newborns.len()),
        median_us: waits.get(waits.len() / 2).copied(),
        longest_us: waits.last().copied(),
        never: count(watch.newborns.len() - waits.len()),
        leaked: count(watch.newborns.iter().filter(|newborn| !newborn.leaked.is_empty()).count()),
    })
}

/// Whether pods fared otherwise: open where they should not be, or never connected, in one run only.
fn differ(newborns: &Change<Option<Newborns>>) -> bool {
    let (Some(before), Some(after)) = (newborns.before, newborns.after) else { return false };
    (before.leaked > 0) != (after.leaked > 0) || (before.never > 0) != (after.never > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::watch::Gap;
    use crate::report::fixture::{flow, pipeline, watched};

    fn compared(before: &Document, after: &Document) -> WatchChange {
        compare(before, after).unwrap()
    }

    /// The windows of a flow, for a test to change.
    fn windows<'a>(document: &'a mut Document, from: &str, to: &str, at: &str) -> &'a mut Vec<Window> {
        let wanted = flow(from, to, at);
        let cells = document.stages.last_mut().unwrap().cells.iter_mut();
        &mut cells.into_iter().find(|cell| cell.flow == wanted).unwrap().windows
    }

    #[test]
    fn a_watch_does_not_differ_from_itself() {
        let document = watched();
        let WatchChange { wrong, wrong_alike, held, held_alike, newborns, outcome, .. } =
            compared(&document, &document);
        assert_eq!((wrong, held, outcome), (Vec::new(), Vec::new(), Sameness::Same));
        assert_eq!((wrong_alike, held_alike), (4, 5));
        assert!(!newborns.differs() && newborns.before.unwrap().median_us == Some(8_800_000));
        assert_eq!(compare(&pipeline(), &pipeline()), None, "where nobody watched there is nothing to compare");
    }

    #[test]
    fn windows_differ_where_their_bounds_leave_no_doubt() {
        type Turn = fn(&mut Vec<Window>);
        let table: [(Turn, bool, &str); 6] = [
            (|windows| windows[0].last_wrong_us += 50_000, false, "longer by less than is known of it"),
            (|windows| windows.iter_mut().for_each(|w| w.first_wrong_us += 40_000), false, "at another time"),
            (
                |windows| {
                    windows[0].last_wrong_us += 2_000_000;
                    windows[0].right_after_us = Some(windows[0].last_wrong_us + 100_000);
                },
                true,
                "longer for certain",
            ),
            (|windows| windows[0].right_after_us = None, false, "no end was seen, so it may be the same"),
            (Vec::clear, true, "never wrong in the other"),
            (|windows| windows[0].standing = Standing::Counted, true, "one of them counts now"),
        ];
        for (turn, differs, why) in table {
            let mut after = watched();
            turn(windows(&mut after, "ai-processing", "data-store-1", "5432/tcp"));
            for change in [compared(&watched(), &after), compared(&after, &watched())] {
                assert_eq!(change.wrong.len(), usize::from(differs), "{why}: {:#?}", change.wrong);
                assert_eq!(change.outcome, Sameness::Same, "{why}: windows count by what they make of their cell");
            }
        }
    }

    #[test]
    fn what_a_flow_spent_is_added_up() {
        let document = watched();
        let spends = spends(&document);
        let (_, spent) = spends[&(&flow("ai-processing", "data-store-1", "5432/tcp"), Call::Outage.gravity())];
        let bounds = |least_us, most| Bounds { least_us, most_us: Some(most) };
        assert_eq!((spent.windows, spent.attempts), (2, 9));
        assert_eq!(spent.total, bounds(700_000, 1_100_000));
        assert_eq!(spent.longest, bounds(400_000, 600_000));
    }

    #[test]
    fn connections_and_newborns_count_where_they_fared_otherwise() {
        type Turn = fn(&mut WatchInfo);
        let table: [(Turn, usize, Sameness, &str); 6] = [
            (|watch| watch.established[0].fate = Fate::Stalled, 1, Sameness::Different, "one stalled for good"),
            (
                |watch| {
                    watch.established[0].fate = Fate::Stalled;
                    watch.established[0].longest_gap = Some(Gap { from_us: 1_000_000, until_us: 1_900_000 });
                },
                1,
                Sameness::Same,
                "one stalled within its budget",
            ),
            (|watch| watch.established[3].fate = Fate::Survived, 1, Sameness::Different, "one that was reset survived"),
            (
                |watch| watch.newborns.iter_mut().for_each(|born| born.leaked.clear()),
                0,
                Sameness::Different,
                "no newborn was open",
            ),
            (
                |watch| watch.newborns.iter_mut().for_each(|born| born.connected_after_us = Some(1)),
                0,
                Sameness::Different,
                "every newborn worked",
            ),
            (|watch| watch.newborns[0].connected_after_us = Some(4_000_000), 0, Sameness::Same, "one waited longer"),
        ];
        for (turn, held, outcome, why) in table {
            let mut after = watched();
            turn(after.watch.as_mut().unwrap());
            for change in [compared(&watched(), &after), compared(&after, &watched())] {
                assert_eq!((change.held.len(), change.outcome), (held, outcome), "{why}: {change:#?}");
            }
        }
    }

    #[test]
    fn a_watch_against_none_is_told_and_is_no_difference_by_itself() {
        let mut unwatched = watched();
        unwatched.watch = None;
        let change = compared(&watched(), &unwatched);
        assert!(change.watches.before.is_some() && change.watches.after.is_none());
        assert_eq!((change.wrong.len(), change.outcome), (4, Sameness::Same));
    }
}
