//! Pods that are removed and added by a step: what that means for the agents, and for what is known of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::chain;
use super::members::members;
use super::voyage::{Planned, Under, Voyage};
use crate::clock;
use crate::fabric::Realised;
use crate::model::endpoint::EndpointId;
use crate::model::moment::Moment;
use crate::scenario::Phases;

impl Voyage<'_> {
    /// Before a step: dismisses the agents of pods that it removes, since an agent that vanishes by order is not a lost
    /// one. What the baseline proved of them says nothing of pods that are added under their names. Nobody calls a pod that
    /// is removed and added again until its new address is known: silence at the old one is not a denial.
    pub(super) async fn let_go(&mut self, phases: &Phases, under: &mut Under) -> Result<(), String> {
        let replaced: Vec<EndpointId> = phases.replaced().collect();
        if !replaced.is_empty()
            && let Some(planned) = under.planned.take()
        {
            let stays = |id: EndpointId| !replaced.contains(&id);
            let cells = Arc::new(planned.cells.only(|_, flow| stays(flow.source) && stays(flow.destination)));
            let pace = under.pace;
            self.plan_at(Planned { cells, ..planned }, pace, under).await?;
        }
        for pod in &phases.removed {
            under.crew.dismiss(*pod).await;
            under.proven.forget(self.order.scenario.flows(), *pod);
        }
        Ok(())
    }

    /// After a step: takes on the agents of pods that it added, and says when each of them ran.
    pub(super) async fn take_on<R: Realised>(
        &mut self,
        phases: &Phases,
        world: &R,
        under: &mut Under,
    ) -> Result<BTreeMap<EndpointId, Moment>, String> {
        let added = phases.added.iter().map(|(id, _)| *id);
        let mut running = BTreeMap::new();
        for member in members(self.order.scenario, added, world) {
            let id = member.endpoint;
            under.agents.renew(id, clock::now());
            under.crew.enlist(member).await.map_err(|error| chain(&error))?;
            running.insert(id, clock::now());
        }
        Ok(running)
    }
}
