//! A watch at a terminal: how well it could be seen, each flow that was wrong in a line, and what else was watched.

use std::io;

use crate::model::document::Document;
use crate::model::watch::{Standing, WatchInfo};

use super::super::mark::role_of;
use super::super::paint::Role;
use super::super::text::plural;
use super::super::watched::Found;
use super::super::{story, watched};
use super::{LISTED_FINDINGS, LISTED_REMARKS, Page, Verbosity, page};

/// So many of the last lines of the command under watch are shown.
const SAID: usize = 3;
/// So much that happened is listed unasked.
const EVENTS: usize = 8;
/// So many windows of one flow are told.
const WINDOWS: usize = 4;

/// Writes the watch.
pub fn render(document: &Document, watch: &WatchInfo, page: &mut Page) -> io::Result<()> {
    let verbose = page.style().verbosity == Verbosity::Verbose;
    page.heading(&format!("watch: {}", watched::span(watch)))?;
    page.text(2, &watched::sight(watch))?;
    page.text(2, &watched::budgets(watch))?;
    if let Some(unobserved) = watched::unobserved(document) {
        page.text(2, &unobserved)?;
    }
    if let Some(command) = watched::command(watch) {
        page.text(2, &command)?;
        let said = watch.command.as_ref().map(|command| command.said.as_slice()).unwrap_or_default();
        for line in said.iter().skip(if verbose { 0 } else { said.len().saturating_sub(SAID) }) {
            page.text(4, &format!("| {line}"))?;
        }
    }
    flows(document, verbose, page)?;
    established(watch, verbose, page)?;
    newborns(watch, verbose, page)?;
    events(document, verbose, page)
}

fn flows(document: &Document, verbose: bool, page: &mut Page) -> io::Result<()> {
    let flows = watched::flows(document);
    if flows.is_empty() {
        let (word, role) = if document.exit == 0 { ("ok", Role::Allowed) } else { ("watch", Role::Faint) };
        return page.entry(word, role, &watched::no_flow_was_wrong(document));
    }
    // Findings have told their windows.
    let (found, flows) = if verbose { (Vec::new(), flows) } else { watched::found_and_others(document) };
    for Found { call, group } in &found {
        let whose = match group.flows.as_slice() {
            [flow] => flow.to_string(),
            many => format!("{}, each told above", plural(many.len() as u64, "flow", "flows")),
        };
        page.entry(call.word(), role_of(*call), &whose)?;
        page.text(page::INDENT, &group.sentence)?;
    }
    let limit = if verbose { usize::MAX } else { LISTED_FINDINGS };
    for flow in flows.iter().take(limit) {
        let role = match flow.standing {
            Standing::Counted => role_of(flow.call),
            Standing::Undecided => Role::Unsure,
            Standing::WithinBudget | Standing::Known => Role::Faint,
        };
        page.entry(flow.word(), role, &flow.flow.to_string())?;
        page.text(page::INDENT, &flow.sentence())?;
        let windows = if verbose { usize::MAX } else { WINDOWS };
        for window in flow.windows.iter().take(windows) {
            page.text(page::INDENT + 2, &story::window(window))?;
            let named = if verbose { usize::MAX } else { watched::NAMED };
            if let Some(beside) = watched::beside_in_short(window, &document.events, named) {
                page.text(page::INDENT + 4, &format!("beside it: {beside}"))?;
            }
        }
        if let Some(more) = flow.windows.len().checked_sub(windows).filter(|more| *more > 0) {
            page.text(page::INDENT + 2, &format!("and {} more", plural(more as u64, "window", "windows")))?;
        }
    }
    match flows.len().saturating_sub(limit) {
        0 => Ok(()),
        more => {
            let more = plural(more as u64, "flow", "flows");
            page.text(page::INDENT, &format!("and {more} more (listed with --verbose, and in the JSON)"))
        }
    }
}

fn established(watch: &WatchInfo, verbose: bool, page: &mut Page) -> io::Result<()> {
    let Some(sentence) = watched::established(watch) else { return Ok(()) };
    page.entry("open", Role::Faint, &sentence)?;
    if verbose {
        let mut all = watch.established.iter();
        return all.try_for_each(|one| page.text(page::INDENT + 2, &format!("{}: {}", one.flow, watched::fate(one))));
    }
    let groups = watched::held(watch);
    for group in groups.iter().take(LISTED_FINDINGS) {
        match group.flows.as_slice() {
            [flow] => page.text(page::INDENT + 2, &format!("{flow}: {}", group.sentence))?,
            many => {
                let many = plural(many.len() as u64, "connection", "connections");
                page.text(page::INDENT + 2, &format!("{many}: {}", group.sentence))?;
                page.flows(&group.flows, LISTED_REMARKS)?;
            }
        }
    }
    more(groups.len().saturating_sub(LISTED_FINDINGS), page)
}

fn newborns(watch: &WatchInfo, verbose: bool, page: &mut Page) -> io::Result<()> {
    let Some(sentence) = watched::newborns(watch) else { return Ok(()) };
    page.entry("newborn", Role::Faint, &sentence)?;
    let limit = if verbose { usize::MAX } else { 2 * LISTED_REMARKS };
    // Those that were open where they should not be first, then those that were shut, then those that took longest.
    let mut told: Vec<_> = watch.newborns.iter().collect();
    told.sort_by_key(|one| {
        let took = std::cmp::Reverse(one.connected_after_us.unwrap_or(u64::MAX));
        (one.leaked.is_empty(), one.shut.is_empty(), took)
    });
    for one in told.iter().take(limit) {
        let node = one.node.as_ref().map(|node| format!(" on {node}")).unwrap_or_default();
        page.text(page::INDENT + 2, &format!("{} like {}{node}: {}", one.name, one.like, watched::newborn(one)))?;
    }
    more(told.len().saturating_sub(limit), page)
}

/// What happened around it: all of it where that is little or asked for, else how much.
fn events(document: &Document, verbose: bool, page: &mut Page) -> io::Result<()> {
    let Some(sentence) = watched::around(&document.events) else { return Ok(()) };
    page.entry("events", Role::Faint, &sentence)?;
    if !verbose && document.events.len() > EVENTS {
        return page.text(page::INDENT + 2, "listed with --verbose, in the HTML report and in the JSON");
    }
    document.events.iter().try_for_each(|event| page.text(page::INDENT + 2, &watched::happening(event)))
}

fn more(count: usize, page: &mut Page) -> io::Result<()> {
    match count {
        0 => Ok(()),
        more => page.text(page::INDENT + 2, &format!("and {more} more (listed with --verbose, and in the JSON)")),
    }
}
