//! What a whole run comes to: everything that sets its exit code, and the code that follows from it alone.

use crate::exit::Exit;
use crate::model::document::{Cause, CauseOf, Counts, Document, Stage};
use crate::model::watch::{Established, Fate, Newborn, WatchInfo};

/// The stage before any policy: it says nothing of one, and so causes nothing.
const BASELINE: &str = "baseline";

/// Everything that sets the exit code, or would if nothing graver did; gravest first.
pub fn causes(document: &Document) -> Vec<Cause> {
    let mut causes: Vec<(Exit, CauseOf, String)> = Vec::new();
    for stage in document.stages.iter().filter(|stage| stage.name != BASELINE) {
        causes.extend(of_cells(stage).into_iter().map(|(exit, what)| (exit, CauseOf::Cells, what)));
    }
    if let Some(watch) = &document.watch {
        let held = watch.established.iter().map(|held| exit_of_connection(held, watch));
        let words = |exit| match exit {
            Exit::Outage => "held open stalled or ended",
            _ => "held open could not be observed",
        };
        causes
            .extend(counted(held, "connection", "connections", words).map(|(e, what)| (e, CauseOf::Connections, what)));
        let born = watch.newborns.iter().map(exit_of_newborn);
        let words = |exit| match exit {
            Exit::Leak => "born while watching could do what it should not",
            Exit::Outage => "born while watching could not do what it should",
            _ => "born while watching could not be observed",
        };
        causes.extend(counted(born, "pod", "pods", words).map(|(exit, what)| (exit, CauseOf::Newborns, what)));
        // A change that did not happen as meant was not watched, whatever else was seen.
        if let Some(command) = watch.command.as_ref().filter(|command| command.status.as_deref() != Some("exit 0")) {
            let how = command.status.as_ref().map_or("did not end".to_owned(), |status| format!("failed ({status})"));
            causes.push((Exit::Inconclusive, CauseOf::Command, format!("the command under watch {how}")));
        }
    }
    if let Some(why) = &document.aborted {
        let exit = if document.stages.is_empty() { Exit::NoWorld } else { Exit::Inconclusive };
        causes.push((exit, CauseOf::Aborted, why.clone()));
    }
    if !document.left_behind.is_empty() {
        causes.push((Exit::LeftBehind, CauseOf::LeftBehind, document.left_behind.join("; ")));
    }
    causes.sort_by_key(|(exit, ..)| std::cmp::Reverse(*exit));
    causes.into_iter().map(|(exit, of, what)| Cause { exit: exit.code(), of, what }).collect()
}

/// The exit code that these causes, gravest first, come to.
pub fn exit_of(causes: &[Cause]) -> u8 {
    causes.first().map_or(Exit::Ok.code(), |gravest| gravest.exit)
}

/// What the cells of a stage cause.
fn of_cells(stage: &Stage) -> Vec<(Exit, String)> {
    let Counts { leaks, wrong_servers, outages, contradictions, inconclusive, unjudged, .. } = stage.counts;
    let name = &stage.name;
    let groups = [
        (Exit::Leak, vec![(leaks, "leak"), (wrong_servers, "wrong server")]),
        (Exit::Outage, vec![(outages, "outage")]),
        (Exit::Contradiction, vec![(contradictions, "contradiction")]),
        (Exit::Inconclusive, vec![(inconclusive, "inconclusive"), (unjudged, "unjudged")]),
    ];
    let mut causes = Vec::new();
    for (exit, counts) in groups {
        let told: Vec<String> = counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        if !told.is_empty() {
            causes.push((exit, format!("cells of {name}: {}", told.join(", "))));
        }
    }
    if stage.counts.cells == 0 {
        causes.push((Exit::Inconclusive, format!("{name}: no cell was judged")));
    }
    causes
}

/// One cause for each exit that some of these come to, with how many.
fn counted<'a>(
    exits: impl Iterator<Item = Exit>,
    one: &'a str,
    many: &'a str,
    words: impl Fn(Exit) -> &'static str + 'a,
) -> impl Iterator<Item = (Exit, String)> + 'a {
    let mut sums = std::collections::BTreeMap::new();
    for exit in exits.filter(|exit| *exit != Exit::Ok) {
        *sums.entry(exit).or_insert(0_u64) += 1;
    }
    sums.into_iter().map(move |(exit, sum)| {
        let noun = if sum == 1 { one } else { many };
        (exit, format!("{sum} {noun} {}", words(exit)))
    })
}

/// What a held connection comes to. One that a step denies is told of, not judged.
pub(super) fn exit_of_connection(held: &Established, watch: &WatchInfo) -> Exit {
    let lasted = held.longest_gap.map(|gap| gap.until_us.saturating_sub(gap.from_us));
    match &held.fate {
        _ if held.denied_by.is_some() => Exit::Ok,
        Fate::Ended { .. } => Exit::Outage,
        Fate::Stalled if lasted.is_none_or(|us| us > watch.budgets.max_outage_us) => Exit::Outage,
        Fate::Survived | Fate::Stalled if held.unobserved_us > watch.budgets.max_unobserved_us => Exit::Inconclusive,
        Fate::Survived | Fate::Stalled => Exit::Ok,
        Fate::NotSeen { .. } => Exit::Inconclusive,
    }
}

/// What a newborn comes to. One that the end of the watch cut short is counted, not
/// judged; one that could not be made or observed shows nothing.
pub(super) fn exit_of_newborn(newborn: &Newborn) -> Exit {
    match newborn {
        Newborn { leaked, .. } if !leaked.is_empty() => Exit::Leak,
        Newborn { shut, .. } if !shut.is_empty() => Exit::Outage,
        Newborn { connected_after_us: Some(_), .. } | Newborn { cut_short: true, .. } => Exit::Ok,
        Newborn { connected_after_us: None, .. } => Exit::Inconclusive,
    }
}
