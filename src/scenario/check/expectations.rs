//! Expectations: names resolved, then written into the cells they cover.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::cast::Cast;
use super::cells::Layout;
use crate::model::endpoint::{EndpointId, Family};
use crate::model::flow::{CellSet, Flow};
use crate::model::matrix::Matrix;
use crate::model::port::Port;
use crate::model::verdict::{Intent, Verdict};
use crate::scenario::Budget;
use crate::scenario::decode::At;
use crate::scenario::diagnostic::Code;
use crate::scenario::log::{Log, error};
use crate::scenario::raw;
use crate::scenario::text::Span;
use crate::scenario::world::World;

/// An expectation whose names are resolved.
pub(super) struct Resolved {
    /// Sources.
    pub from: Vec<EndpointId>,
    /// Destinations.
    pub to: Vec<EndpointId>,
    /// The port, where it names one.
    pub port: Option<Port>,
    family: Option<Family>,
    verdict: Verdict,
    /// Whether it is an exception to entries that are none.
    overrides: bool,
    max_outage: Option<At<Duration>>,
    max_leak: Option<At<Duration>>,
    /// Where the entry stands.
    pub span: Span,
}

/// Resolves the names of one stage's expectations.
pub(super) fn resolve(entries: &[raw::Expect], world: &World, cast: &Cast, log: &mut Log) -> Vec<Resolved> {
    entries.iter().for_each(|entry| refuse_idle_budget(entry, log));
    entries
        .iter()
        .map(|entry| Resolved {
            from: who(&entry.from, Part::Sends, world, cast, log),
            to: who(&entry.to, Part::Receives, world, cast, log),
            port: entry.port.map(|at| at.value),
            family: entry.family.map(|at| at.value),
            verdict: entry.verdict.value,
            overrides: entry.overrides,
            max_outage: entry.max_outage,
            max_leak: entry.max_leak,
            span: entry.span,
        })
        .collect()
}

/// A flow that is denied has no outage, and one that is allowed no leak.
fn refuse_idle_budget(entry: &raw::Expect, log: &mut Log) {
    let (budget, key, other) = match entry.verdict.value {
        Verdict::Allowed => (entry.max_leak, "max_leak", "max_outage"),
        Verdict::Denied => (entry.max_outage, "max_outage", "max_leak"),
    };
    if let Some(at) = budget {
        let message = format!("`{key}` has no effect on a flow that is {}", entry.verdict.value);
        log.push(error(Code::NoEffect, message).at(at.span).help(format!("`{other}` limits what goes wrong there")));
    }
}

/// The part an endpoint plays in a flow.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Sends,
    Receives,
}

pub(super) fn who(names: &[At<String>], part: Part, world: &World, cast: &Cast, log: &mut Log) -> Vec<EndpointId> {
    let mut all = Vec::new();
    for name in names {
        if name.value == "any" {
            all.extend(world.pods.keys().copied());
            continue;
        }
        let found = cast.find(&name.value);
        if let Some(id) = found.filter(|id| world.services.contains_key(id)) {
            match part {
                Part::Receives => all.push(id),
                Part::Sends => {
                    let message = format!("`{}` is a Service: it only receives", name.value);
                    log.push(error(Code::NoEffect, message).at(name.span).note(cast.span(id), "it is defined here"));
                }
            }
            continue;
        }
        match found.filter(|id| world.pods.contains_key(id) || world.outside.contains_key(id)) {
            Some(id) => all.push(id),
            None => {
                let draft = match found {
                    Some(id) => error(Code::UnknownName, format!("`{}` does not exist at this stage", name.value))
                        .at(name.span)
                        .note(cast.span(id), "it is defined here"),
                    None => error(Code::UnknownName, format!("nothing is called `{}`", name.value))
                        .note(name.span, "neither a pod, a service nor an outside endpoint")
                        .help_maybe(cast.nearest(&name.value, log)),
                };
                log.push(draft);
            }
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// Writes the expectations of one stage into its cells. None where there are too many to write.
pub(super) fn lay(
    entries: &[Resolved],
    cells: &Arc<CellSet>,
    layout: &Layout,
    cast: &Cast,
    log: &mut Log,
) -> Option<(Matrix<Intent>, HashMap<Flow, Budget>)> {
    let at = entries.first().map_or_else(Span::default, |entry| entry.span);
    let index = layout.index(cells, at, log)?;
    let mut by: Vec<u32> = vec![u32::MAX; cells.len()];
    let mut told: HashSet<(u32, u32)> = HashSet::new();
    let mut budgets = Budgets::default();
    let mut effective: HashSet<u32> = HashSet::new();
    // Exceptions first: what they cover is taken when the entries come that they override.
    let numbered = || (0u32..).zip(entries);
    let exceptions = numbered().filter(|(_, entry)| entry.overrides);
    for (number, entry) in exceptions.chain(numbered().filter(|(_, entry)| !entry.overrides)) {
        let mut covered = 0u64;
        let mut overridden: Option<&Resolved> = None;
        let mut kept = false;
        for &source in &entry.from {
            for &destination in &entry.to {
                for (place, flow) in index.between(source, destination) {
                    layout.spend(1, entry.span, log)?;
                    let port = entry.port.is_none_or(|port| port == flow.port);
                    let family = entry.family.is_none_or(|family| family == flow.family);
                    if !(port && family) {
                        continue;
                    }
                    covered += 1;
                    let Some(slot) = by.get_mut(place) else { continue };
                    let first = entries.get(*slot as usize);
                    if let Some(exception) = first.filter(|first| first.overrides && !entry.overrides) {
                        effective.insert(*slot);
                        overridden = Some(exception);
                        continue;
                    }
                    kept = true;
                    budgets.lay(entry, flow, cast, log);
                    match first {
                        None => *slot = number,
                        Some(first) if first.verdict == entry.verdict => {}
                        Some(first) => {
                            if told.insert((*slot, number)) {
                                conflict(first, entry, &flow, cast, log);
                            }
                        }
                    }
                }
                layout.spend(1, entry.span, log)?;
            }
        }
        match overridden {
            _ if covered == 0 => no_cell(entry, cast, log),
            Some(exception) if !kept => nothing_left(entry, exception, log),
            Some(_) | None => {}
        }
        // One finding for each entry: one that covers no flow overrides none either.
        if covered == 0 {
            effective.insert(number);
        }
    }
    for (number, entry) in numbered().filter(|(_, entry)| entry.overrides) {
        if !effective.contains(&number) {
            let draft = error(Code::NoEffect, "this expectation overrides no other").at(entry.span);
            log.push(draft.help("leave `overrides` out, or write the wider entry it is an exception to"));
        }
    }
    let mut place = 0;
    let intent = Matrix::build(Arc::clone(cells), |_, _| {
        let entry = by.get(place).and_then(|number| entries.get(*number as usize));
        place += 1;
        entry.map_or(Intent::Unstated, |entry| Intent::Stated(entry.verdict))
    });
    Some((intent, budgets.laid))
}

/// The budgets of single flows, while they are written down.
#[derive(Default)]
struct Budgets {
    laid: HashMap<Flow, Budget>,
    /// Which entry gave a flow's budget, and whether that it is not the only one has been said.
    by: HashMap<Flow, Span>,
    told: HashSet<(Span, Span)>,
}

impl Budgets {
    fn lay(&mut self, entry: &Resolved, flow: Flow, cast: &Cast, log: &mut Log) {
        let given =
            Budget { max_outage: entry.max_outage.map(|at| at.value), max_leak: entry.max_leak.map(|at| at.value) };
        if given == Budget::default() {
            return;
        }
        let first = *self.by.entry(flow).or_insert(entry.span);
        let before = *self.laid.entry(flow).or_insert(given);
        if before != given && self.told.insert((first, entry.span)) {
            let message = format!("`{}` is given two budgets", cast.named(&flow));
            log.push(error(Code::Conflict, message).note(entry.span, "one here").note(first, "another here"));
        }
    }
}

fn conflict(first: &Resolved, second: &Resolved, flow: &Flow, cast: &Cast, log: &mut Log) {
    let message = format!("`{}` cannot be both {} and {}", cast.named(flow), first.verdict, second.verdict);
    // Of two exceptions none is the narrower one.
    let help = (!first.overrides).then_some("if one is an exception to the other, give it `overrides: true`");
    log.push(
        error(Code::Conflict, message)
            .note(second.span, format!("{} here", second.verdict))
            .note(first.span, format!("{} here", first.verdict))
            .help_maybe(help),
    );
}

/// An exception is narrower than what it overrides: something must be left of that.
fn nothing_left(wide: &Resolved, exception: &Resolved, log: &mut Log) {
    let message = "every flow of this expectation is overridden: it says nothing";
    log.push(error(Code::NoEffect, message).note(wide.span, "this one").note(exception.span, "overridden here"));
}

fn no_cell(entry: &Resolved, cast: &Cast, log: &mut Log) {
    let selfish = entry.from.iter().all(|source| entry.to.iter().all(|destination| source == destination));
    let outside = |ids: &[EndpointId]| !ids.is_empty() && ids.iter().all(|id| cast.outside.contains_key(id));
    let services = |ids: &[EndpointId]| !ids.is_empty() && ids.iter().all(|id| cast.services.contains_key(id));
    let help = if entry.family.is_some_and(|family| !cast.families.contains(&family)) {
        Some("name that family under `families`")
    } else if !entry.from.is_empty() && selfish {
        Some("a pod to itself is no flow: no policy can deny it")
    } else if outside(&entry.from) && outside(&entry.to) {
        Some("between two outside endpoints there is no policy")
    } else if outside(&entry.from) && services(&entry.to) {
        Some("a Service's address is known inside the cluster only")
    } else if services(&entry.to) && entry.port.is_some() {
        Some("the Service has no such port: name one of its `ports`, not one of the pods behind it")
    } else if entry.to.iter().all(|id| cast.serves(*id).is_empty()) {
        Some("the destination serves nothing: name a `port`, or give it something under `serves`")
    } else {
        None
    };
    let draft = error(Code::NoEffect, "this expectation covers no flow").at(entry.span);
    log.push(draft.help_maybe(help));
}
