//! One run on one fabric, from nothing to verdicts.

use std::borrow::Cow;
use std::time::Duration;

use super::draft::Draft;
use super::error::{Refusal, chain};
use super::stop::Stop;
use super::voyage::Voyage;
use super::{Keep, Order, assemble, keepsakes, newborns, suspect, tolerance};
use crate::fabric::{Fabric, Realised};
use crate::model::document::{Document, FabricInfo};
use crate::model::event::Listener;
use crate::scenario::Scenario;

/// What a fabric is known to need.
#[derive(Debug, Clone, Copy)]
pub(super) struct Temper {
    /// Silence counts after so long, where nobody says otherwise.
    pub(super) deadline: Duration,
    /// How long to wait for agents, and for their answers.
    pub(super) patience: Duration,
    /// How long an agent may be out of reach before it is lost.
    pub(super) grace: Duration,
}

/// So many silent attempts make a denial, where nobody says otherwise.
pub(super) const ATTEMPTS: u32 = 4;

/// Runs one scenario. `show` is given the document once the verdicts are there, before anything is torn down.
pub(super) async fn run<F: Fabric>(
    fabric: &F,
    temper: Temper,
    order: &Order<'_>,
    tell: &dyn Listener,
    stop: &Stop,
    show: &mut (dyn FnMut(&Document) + Send),
    say: &(dyn Fn(&[String]) + Sync),
) -> Result<Document, Refusal> {
    let scenario = as_expected_in(order.scenario, &fabric.place().await)?;
    let order = &Order { scenario: &scenario, ..order.clone() };
    let mut draft = Draft::new(order, temper, tell);
    let stop = stop.within(order.timeout.map(margin));
    draft.begin("world", None);
    let no_world = |source| Refusal::World { scenario: order.scenario.name().to_owned(), source: Box::new(source) };
    let found = fabric.survey(order.scenario, draft.run()).await.map_err(no_world)?;
    let scenario = match &found {
        Some(found) => draft.adopt(found),
        None => order.scenario,
    };
    let roomy = order.vigil.as_ref().and_then(|vigil| vigil.births).map(|b| newborns::make_room(scenario, &b));
    let roomy = roomy.transpose()?;
    let order = &Order { scenario: roomy.as_ref().unwrap_or(scenario), ..order.clone() };
    let world = fabric.realise(order.scenario, draft.run(), tell, stop.token()).await;
    let mut world = world
        .map_err(|source| Refusal::World { scenario: order.scenario.name().to_owned(), source: Box::new(source) })?;
    draft.end();
    draft.document.fabric = world.info();
    let mut warnings = world.warnings();
    // What a run's few seconds are laid beside is its own changes; a watch is laid beside what others do.
    if order.vigil.is_some() {
        warnings.extend(world.keep_log().await);
    }
    for warning in warnings {
        draft.warn(warning);
    }
    draft.document.endpoints = assemble::endpoints(order.scenario, world.placements());

    let mut voyage = Voyage { order, temper, stop: &stop, draft };
    if let Err(why) = voyage.sail(&mut world).await {
        voyage.draft.document.aborted = Some(why);
    }
    let mut draft = voyage.draft;
    let (known, warnings) = tolerance::known(order.scenario, &draft.document, tolerance::today());
    draft.document.known = known;
    draft.document.warnings.extend(warnings);
    draft.happened(world.happenings());
    draft.document.endpoints = assemble::endpoints(order.scenario, world.placements());
    // What it counted meanwhile is part of what it is.
    draft.document.fabric = world.info();
    if let Some(suspicion) = suspect::nobody_enforces(&draft.document) {
        draft.warn(suspicion);
    }
    draft.close();
    show(&draft.document);
    if let Some(folder) = order.artifacts {
        say(&keepsakes::gather(&world, &draft.document, order, folder).await);
    }

    if order.keep == Keep::World && !stop.pulled() {
        say(&world.steps_inside().await);
        stop.wait().await;
    }
    draft.begin("tear-down", None);
    let errors = world.tear_down().await;
    draft.end();
    draft.document.left_behind = errors.iter().map(|error| chain(error)).collect();
    draft.close();
    Ok(draft.document)
}

/// The scenario as it is meant in a place. Calico may be upgraded during the run: what held when it began is what its author wants
/// to see kept.
fn as_expected_in<'s>(scenario: &'s Scenario, place: &FabricInfo) -> Result<Cow<'s, Scenario>, Refusal> {
    match scenario.requirement().and_then(|asked| asked.unmet(place)) {
        Some(why) => Err(Refusal::Unmet { scenario: scenario.name().to_owned(), why }),
        None => Ok(scenario.expected_in(Some(place))),
    }
}

/// A run's time less what tear-down may need of it.
fn margin(timeout: Duration) -> Duration {
    timeout.saturating_sub((timeout / 5).min(Duration::from_secs(30)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::document::{FabricKind, Strictness};
    use crate::model::verdict::Verdict;

    #[test]
    fn a_run_expects_what_holds_under_the_version_that_it_meets() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/calico/equal-order.yaml");
        let scenario = crate::scenario::load(&file, Strictness::Strict).unwrap();
        let place = |version: &str| FabricInfo {
            kind: FabricKind::Cluster,
            summary: "a place".into(),
            facts: [("cni", "Calico"), ("cni-version", version)].map(|(key, value)| (key.into(), value.into())).into(),
            fault: None,
        };
        let denied = |version| {
            let scenario = as_expected_in(&scenario, &place(version)).unwrap();
            let intents = scenario.stages()[0].intent.iter();
            intents.filter(|(_, _, intent)| intent.verdict() == Some(Verdict::Denied)).count()
        };
        assert_eq!((denied("3.31.7"), denied("3.32.1")), (2, 0));
        let refused = as_expected_in(&scenario, &place("3.30.0")).unwrap_err();
        assert!(matches!(refused, Refusal::Unmet { .. }), "{refused}");
    }
}
