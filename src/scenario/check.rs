//! Makes a valid [`Scenario`] of what was written: resolves every name, plays the steps through, lays out the cells and
//! writes the expectations into them.

pub(in crate::scenario) mod addresses;
mod cast;
mod cells;
mod expectations;
mod known;
mod library;
mod names;
mod namespaces;
mod services;
mod stages;
mod warnings;

use std::path::Path;

use super::diagnostic::Code;
use super::log::{Log, error};
use super::raw;
use super::requirement::Requirement;
use super::source::Source;
use super::versioned::ByRelease;
use super::{Scenario, Stage, Timing};
use crate::model::document::Strictness;
use crate::model::matrix::Matrix;
use crate::model::verdict::Intent;
use cast::Cast;
use cells::Layout;
use expectations::Expected;
use library::Library;
use stages::PlayedStage;

/// Changes have to be in force within this, unless the scenario says otherwise.
const CONVERGE_WITHIN: std::time::Duration = std::time::Duration::from_secs(10);

/// Checks a scenario. None where the log has errors that leave nothing to go on with.
pub(super) fn check(
    raw: &raw::Scenario,
    path: &Path,
    source: &dyn Source,
    strictness: Strictness,
    log: &mut Log,
) -> Option<Scenario> {
    let mut library = Library::new(path, source);
    let manifests = library.gather(&raw.policies, log);
    let steps: Vec<_> = raw.steps.iter().map(|step| library.gather(&step.apply, log)).collect();

    let mut cast = Cast::gather(raw, log);
    let mut played = stages::play(raw, &mut cast, manifests, steps, log);
    let mut resolved = Vec::new();
    for (place, stage) in played.stages.iter().enumerate() {
        let entries = match place {
            0 => raw.expect.as_slice(),
            step => raw.steps.get(step - 1).map(|step| step.expect.as_slice()).unwrap_or_default(),
        };
        resolved.push(expectations::resolve(entries, &stage.world, &cast, log));
    }
    services::check(&played.stages, &cast, log);
    // With a name unresolved the cells are not those that were meant, and more errors would only follow from that.
    if log.errors() > 0 {
        return None;
    }
    let ports = cells::ports(&cast, &resolved);
    ports.listen(&mut played.bare);
    for stage in &mut played.stages {
        ports.listen(&mut stage.world);
    }
    let layout = Layout::new(&played, &resolved, &ports, &cast, raw.span, log)?;
    let timing = timing(raw);
    let requirement = raw.requires.as_ref().map(|raw| Requirement { calico: raw.calico.value.clone() });
    let mut stages = Vec::new();
    for ((place, played), resolved) in played.stages.into_iter().enumerate().zip(&resolved) {
        let cells = layout.cells(place);
        let releases = expectations::releases(resolved, requirement.as_ref());
        let Expected { intent, budgets, by_release } =
            expectations::lay(resolved, &releases, &cells, &layout, &cast, log)?;
        if strictness == Strictness::Strict {
            refuse_unstated(&played, &intent, &by_release, &cast, log);
        }
        let own = place.checked_sub(1).and_then(|step| raw.steps.get(step));
        let timing = Timing {
            converge_within: own.and_then(|step| step.converge_within).map_or(timing.converge_within, |at| at.value),
            max_enforce: own.and_then(|step| step.max_enforce).map(|at| at.value).or(timing.max_enforce),
            ..timing
        };
        let (name, changes, world) = (played.name, played.changes, played.world);
        stages.push(Stage { name, changes, world, cells, intent, budgets, by_release, timing });
    }
    let names = names::resolve(&raw.names, &played.bare, &played.placed, &cast, log);
    let known = known::resolve(&raw.known, &stages, &cast, log);
    warnings::unused(raw, &stages, &played.placed, &cast, log);
    if log.errors() > 0 {
        return None;
    }
    let baseline = layout.baseline(&played.bare);
    let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    Some(Scenario {
        name,
        file: path.to_owned(),
        about: raw.about.as_ref().map(|at| at.value.clone()),
        families: cast.families,
        named: cast.endpoints.len(),
        endpoints: cast.endpoints,
        flows: layout.table,
        bare: played.bare,
        baseline,
        stages,
        timing,
        known,
        requirement,
        newborns: Vec::new(),
        adopted: None,
        borrowed: cast.borrowed,
        names,
        deny: raw.deny.map(|at| at.value).unwrap_or_default(),
        warnings: Vec::new(),
        remarks: Vec::new(),
    })
}

fn timing(raw: &raw::Scenario) -> Timing {
    Timing {
        deadline: raw.deadline.map(|at| at.value),
        attempts: raw.attempts.map(|at| at.value),
        interval: raw.interval.map(|at| at.value),
        converge_within: raw.converge_within.map_or(CONVERGE_WITHIN, |at| at.value),
        max_enforce: raw.max_enforce.map(|at| at.value),
    }
}

/// Refuses flows that no expectation covers, under some version of Calico where that makes a difference.
fn refuse_unstated(stage: &PlayedStage, intent: &Matrix<Intent>, by_release: &[ByRelease], cast: &Cast, log: &mut Log) {
    let unstated = |id| match by_release {
        [] => intent.get(id) == Some(&Intent::Unstated),
        by_release => by_release.iter().any(|by| by.intent.get(id) == Some(&Intent::Unstated)),
    };
    let open: Vec<_> = intent.iter().filter(|(id, _, _)| unstated(*id)).map(|(_, flow, _)| flow).collect();
    if open.is_empty() {
        return;
    }
    let shown = open.iter().take(5).map(|flow| format!("`{}`", cast.named(flow))).collect::<Vec<_>>().join(", ");
    let more = if open.len() > 5 { format!(" and {} more", open.len() - 5) } else { String::new() };
    let (plural, verb) = if open.len() == 1 { ("", "is") } else { ("s", "are") };
    let message = format!("{} flow{plural} of stage `{}` {verb} covered by no expectation", open.len(), stage.name);
    log.push(error(Code::Unstated, message).at(stage.span).help(format!("say what is right for {shown}{more}")));
}
