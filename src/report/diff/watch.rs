//! Two watches side by side: flows that were wrong for other times, connections that fared otherwise, newborn pods.

use std::io;

use crate::model::comparison::Change;
use crate::model::comparison::watch::{Bounds, Newborns, Spent, WatchChange, Watched};
use crate::model::watch::Standing;
use crate::report::mark::role_of;
use crate::report::paint::Role;
use crate::report::terminal::{LISTED_FINDINGS, Page, Verbosity, page};

use super::super::duration::human_us;
use super::super::text::{number, plural};
use super::super::watched;

/// Writes what differs between two watches.
pub(super) fn render(change: &WatchChange, page: &mut Page) -> io::Result<()> {
    let told = |watch: &Option<Watched>| {
        watch.as_ref().map_or_else(|| "not watched".to_owned(), |watch| format!("{} long", human_us(watch.lasted_us)))
    };
    page.heading(&format!("watch: A {}, B {}", told(&change.watches.before), told(&change.watches.after)))?;
    for (word, watch) in [("A", &change.watches.before), ("B", &change.watches.after)] {
        if let Some(watch) = watch {
            page.text(2, &format!("{word} {}", sight(watch)))?;
        }
    }
    wrong(change, page)?;
    held(change, page)?;
    newborns(&change.newborns, page)
}

fn sight(watch: &Watched) -> String {
    let seen = plural(watch.seen, "attempt", "attempts");
    let command = watch.command.as_ref().map(|status| format!("; the command: {status}")).unwrap_or_default();
    let (unseen, interval) = (number(watch.unseen), human_us(watch.interval_us));
    format!("{seen} seen, {unseen} could not see; every flow tried once in {interval}{command}")
}

fn wrong(change: &WatchChange, page: &mut Page) -> io::Result<()> {
    if change.wrong.is_empty() {
        let text = match change.wrong_alike {
            0 => "no flow was wrong at any time in either".to_owned(),
            alike => format!("{} wrong alike in both, none otherwise", plural(alike, "flow was", "flows were")),
        };
        return page.entry("same", Role::Allowed, &text);
    }
    let limit = listed(page);
    for one in change.wrong.iter().take(limit) {
        let standing = |spent: &Spent| match spent.standing {
            Some(Standing::Counted) => 3,
            Some(Standing::Undecided) => 2,
            Some(Standing::WithinBudget | Standing::Known) => 1,
            None => 0,
        };
        let gravest = standing(&one.spent.before).max(standing(&one.spent.after));
        let (word, role) = match gravest {
            3 => (one.call.word(), role_of(one.call)),
            2 => ("UNSURE", Role::Unsure),
            _ => ("budget", Role::Faint),
        };
        page.entry(word, role, &one.flow.to_string())?;
        for (side, spent) in [("A", &one.spent.before), ("B", &one.spent.after)] {
            page.text(page::INDENT, &format!("{side} {}", words(spent, one.call)))?;
        }
    }
    more(change.wrong.len().saturating_sub(limit), page)?;
    match change.wrong_alike {
        0 => Ok(()),
        alike => page.text(page::INDENT, &format!("{} more wrong alike in both", plural(alike, "flow", "flows"))),
    }
}

/// `2 windows, 700 ms to 1.1 s together, the longest 400 ms to 600 ms: within its budget`.
fn words(spent: &Spent, call: crate::model::finding::Call) -> String {
    let Some(standing) = spent.standing else { return "never".into() };
    let standing = watched::standing(standing, call);
    let total = length(&spent.total);
    match spent.windows {
        1 => format!("{call} in 1 window, {total}: {standing}"),
        many => {
            format!("{call} in {many} windows, {total} together, the longest {}: {standing}", length(&spent.longest))
        }
    }
}

fn length(bounds: &Bounds) -> String {
    match bounds.most_us {
        Some(most) => format!("{} to {}", human_us(bounds.least_us), human_us(most)),
        None => format!("at least {}", human_us(bounds.least_us)),
    }
}

fn held(change: &WatchChange, page: &mut Page) -> io::Result<()> {
    if change.held.is_empty() && change.held_alike == 0 {
        return Ok(());
    }
    let alike = format!("{} held open in both fared alike", plural(change.held_alike, "connection", "connections"));
    let text = match change.held.len() as u64 {
        0 => alike,
        others => format!("{alike}, {} otherwise", number(others)),
    };
    page.entry("open", if change.held.is_empty() { Role::Faint } else { Role::Strong }, &text)?;
    let limit = listed(page);
    for one in change.held.iter().take(limit) {
        let Change { before, after } = one.fate;
        let gap = |us: Option<u64>| us.map(|us| format!(", longest gap {}", human_us(us))).unwrap_or_default();
        let (before, after) =
            (format!("{before}{}", gap(one.gap_us.before)), format!("{after}{}", gap(one.gap_us.after)));
        page.text(page::INDENT + 2, &format!("{before} -> {after}: {}", one.flow))?;
    }
    more(change.held.len().saturating_sub(limit), page)
}

fn newborns(change: &Change<Option<Newborns>>, page: &mut Page) -> io::Result<()> {
    if change.before.is_none() && change.after.is_none() {
        return Ok(());
    }
    page.entry("newborn", Role::Faint, "pods born while watching")?;
    for (side, newborns) in [("A", &change.before), ("B", &change.after)] {
        page.text(page::INDENT, &format!("{side} {}", newborns.as_ref().map_or_else(|| "none".into(), births)))?;
    }
    Ok(())
}

/// `3 born; connected after 4.4 s (the middle), 8.8 s at most; 1 never connected; 1 open where it should not be`.
fn births(newborns: &Newborns) -> String {
    let mut parts = vec![format!("{} born", number(newborns.born))];
    if let (Some(median), Some(longest)) = (newborns.median_us, newborns.longest_us) {
        parts.push(format!("connected after {} (the middle), {} at most", human_us(median), human_us(longest)));
    }
    if newborns.never > 0 {
        parts.push(format!("{} never connected", number(newborns.never)));
    }
    parts.push(match newborns.leaked {
        0 => "none was ever open where it should not be".into(),
        leaked => format!("{} open where it should not be", number(leaked)),
    });
    parts.join("; ")
}

/// What the last line says of it.
pub(super) fn conclusion(change: &WatchChange) -> Vec<String> {
    let mut parts = Vec::new();
    if !change.wrong.is_empty() {
        let flows = plural(change.wrong.len() as u64, "flow", "flows");
        parts.push(format!("{flows} wrong for other times while watched, which counts by what it made of a cell"));
    }
    if !change.held.is_empty() {
        let held = plural(change.held.len() as u64, "connection", "connections");
        parts.push(format!("{held} that fared otherwise"));
    }
    parts
}

fn listed(page: &Page) -> usize {
    match page.style().verbosity {
        Verbosity::Quiet | Verbosity::Normal => LISTED_FINDINGS,
        Verbosity::Verbose => usize::MAX,
    }
}

fn more(count: usize, page: &mut Page) -> io::Result<()> {
    match count {
        0 => Ok(()),
        more => page.text(page::INDENT, &format!("and {more} more (listed with --verbose, and in the JSON)")),
    }
}
