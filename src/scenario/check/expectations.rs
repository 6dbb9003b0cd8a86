//! Expectations: names resolved, then written into the cells they cover.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use semver::Version;

use super::cast::Cast;
use super::cells::{Index, Layout};
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
use crate::scenario::requirement::{Requirement, Versions};
use crate::scenario::text::Span;
use crate::scenario::versioned::ByRelease;
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
    /// Under which versions of Calico it holds.
    calico: Option<At<Versions>>,
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
            calico: entry.calico.clone(),
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
                    None => cast.ambiguous(name).unwrap_or_else(|| {
                        error(Code::UnknownName, format!("nothing is called `{}`", name.value))
                            .note(name.span, "neither a pod, a service nor an outside endpoint")
                            .help_maybe(cast.nearest(&name.value, log))
                    }),
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
///
/// `releases` are those of Calico at which an expectation begins or ceases to hold.
pub(super) fn lay(
    entries: &[Resolved],
    releases: &[Version],
    cells: &Arc<CellSet>,
    layout: &Layout,
    cast: &Cast,
    log: &mut Log,
) -> Option<Expected> {
    let at = entries.first().map_or_else(Span::default, |entry| entry.span);
    let index = layout.index(cells, at, log)?;
    let mut laying = Laying { entries, cells, index, layout, cast, told: HashSet::new(), done: HashMap::new() };
    let (intent, budgets) = laying.write(|entry| entry.calico.is_none(), log)?;
    let mut by_release = Vec::new();
    for release in releases {
        let holds = |entry: &Resolved| entry.calico.as_ref().is_none_or(|at| at.value.hold_for(release));
        let (intent, budgets) = laying.write(holds, log)?;
        by_release.push(ByRelease { from: release.clone(), intent, budgets });
    }
    laying.close(log);
    Some(Expected { intent, budgets, by_release })
}

/// What the expectations of one stage say.
pub(super) struct Expected {
    /// Of its flows, where Calico's version is not known.
    pub intent: Matrix<Intent>,
    /// Their budgets.
    pub budgets: HashMap<Flow, Budget>,
    /// Where it is known, in order.
    pub by_release: Vec<ByRelease>,
}

/// Expectations while they are written down, once for every range of versions.
struct Laying<'l> {
    entries: &'l [Resolved],
    cells: &'l Arc<CellSet>,
    index: Index<'l>,
    layout: &'l Layout,
    cast: &'l Cast,
    /// Which pairs of entries were said to be in conflict, or to give two budgets.
    told: HashSet<(Span, Span)>,
    /// What each entry did, over all ranges of versions in which it holds.
    done: HashMap<usize, Done>,
}

/// What an entry did.
#[derive(Default)]
struct Done {
    /// It covers a flow.
    covers: bool,
    /// It says something of a flow itself.
    says: bool,
    /// It is an exception to another.
    excepts: bool,
    /// An exception to it.
    exception: Option<usize>,
}

impl Laying<'_> {
    /// Writes the entries that hold. None where there are too many to write.
    fn write(
        &mut self,
        holds: impl Fn(&Resolved) -> bool,
        log: &mut Log,
    ) -> Option<(Matrix<Intent>, HashMap<Flow, Budget>)> {
        let mut by: Vec<Option<usize>> = vec![None; self.cells.len()];
        let mut budgets = Budgets::default();
        let numbered = || self.entries.iter().enumerate().filter(|(_, entry)| holds(entry));
        // Exceptions first: what they cover is taken when the entries come that they override.
        let exceptions = numbered().filter(|(_, entry)| entry.overrides);
        for (number, entry) in exceptions.chain(numbered().filter(|(_, entry)| !entry.overrides)) {
            let mut done = self.done.remove(&number).unwrap_or_default();
            for (source, destination) in entry.pairs() {
                for (place, flow) in self.index.between(source, destination) {
                    self.layout.spend(1, entry.span, log)?;
                    if !entry.covers(&flow) {
                        continue;
                    }
                    done.covers = true;
                    let Some(slot) = by.get_mut(place) else { continue };
                    let first = slot.and_then(|number| Some((number, self.entries.get(number)?)));
                    if let Some((exception, _)) = first.filter(|(_, first)| first.overrides && !entry.overrides) {
                        self.done.entry(exception).or_default().excepts = true;
                        done.exception = Some(exception);
                        continue;
                    }
                    done.says = true;
                    budgets.lay(entry, flow, self.cast, &mut self.told, log);
                    match first {
                        None => *slot = Some(number),
                        Some((_, first)) if first.verdict == entry.verdict => {}
                        Some((_, first)) => {
                            if self.told.insert((first.span, entry.span)) {
                                conflict(first, entry, &flow, self.cast, log);
                            }
                        }
                    }
                }
                self.layout.spend(1, entry.span, log)?;
            }
            self.done.insert(number, done);
        }
        let mut place = 0;
        let intent = Matrix::build(Arc::clone(self.cells), |_, _| {
            let entry = by.get(place).copied().flatten().and_then(|number| self.entries.get(number));
            place += 1;
            entry.map_or(Intent::Unstated, |entry| Intent::Stated(entry.verdict))
        });
        Some((intent, budgets.laid))
    }

    /// Tells of the entries that do nothing in any range of versions: one finding for each.
    fn close(&self, log: &mut Log) {
        for (number, entry) in self.entries.iter().enumerate() {
            match self.done.get(&number) {
                None => no_version(entry, log),
                Some(Done { covers: false, .. }) => no_cell(entry, self.cast, log),
                Some(Done { says: false, exception: Some(exception), .. }) => {
                    if let Some(exception) = self.entries.get(*exception) {
                        nothing_left(entry, exception, log);
                    }
                }
                Some(done) if entry.overrides && !done.excepts => {
                    let draft = error(Code::NoEffect, "this expectation overrides no other").at(entry.span);
                    log.push(draft.help("leave `overrides` out, or write the wider entry it is an exception to"));
                }
                Some(_) => {}
            }
        }
    }
}

impl Resolved {
    fn pairs(&self) -> impl Iterator<Item = (EndpointId, EndpointId)> + '_ {
        self.from.iter().flat_map(|source| self.to.iter().map(move |destination| (*source, *destination)))
    }

    fn covers(&self, flow: &Flow) -> bool {
        self.port.is_none_or(|port| port == flow.port) && self.family.is_none_or(|family| family == flow.family)
    }
}

/// The releases of Calico at which an expectation of a stage begins or ceases to hold, from the oldest on. None where no
/// expectation depends on it.
pub(super) fn releases(entries: &[Resolved], requirement: Option<&Requirement>) -> Vec<Version> {
    let conditions: Vec<&Versions> = entries.iter().filter_map(|entry| Some(&entry.calico.as_ref()?.value)).collect();
    if conditions.is_empty() {
        return Vec::new();
    }
    let required = requirement.map(|requirement| &requirement.calico);
    let boundaries = conditions.into_iter().chain(required).flat_map(Versions::boundaries);
    let all: BTreeSet<Version> = boundaries.chain([Version::new(0, 0, 0)]).collect();
    all.into_iter().filter(|release| required.is_none_or(|required| required.hold_for(release))).collect()
}

/// The budgets of single flows, while they are written down.
#[derive(Default)]
struct Budgets {
    laid: HashMap<Flow, Budget>,
    /// Which entry gave a flow's budget.
    by: HashMap<Flow, Span>,
}

impl Budgets {
    fn lay(&mut self, entry: &Resolved, flow: Flow, cast: &Cast, told: &mut HashSet<(Span, Span)>, log: &mut Log) {
        let given =
            Budget { max_outage: entry.max_outage.map(|at| at.value), max_leak: entry.max_leak.map(|at| at.value) };
        if given == Budget::default() {
            return;
        }
        let first = *self.by.entry(flow).or_insert(entry.span);
        let before = *self.laid.entry(flow).or_insert(given);
        if before != given && told.insert((first, entry.span)) {
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

/// Of an entry that holds under no version that the scenario is run with.
fn no_version(entry: &Resolved, log: &mut Log) {
    let Some(calico) = &entry.calico else { return };
    let message = format!("no version of Calico under which this scenario runs is `{}`", calico.value);
    log.push(error(Code::NoEffect, message).at(calico.span));
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
