//! Connections held through a step that denies them: a new denial does not cut what is established, and that is shown.

use std::sync::Arc;
use std::time::Duration;

use super::error::chain;
use super::established::{self, Hold};
use super::voyage::{Under, Voyage};
use crate::model::endpoint::EndpointId;
use crate::model::flow::{Flow, FlowId};
use crate::model::prediction::Predictions;
use crate::model::verdict::Verdict;
use crate::oracle;
use crate::scenario::Stage;
use crate::scenario::world::World;

/// How often a message goes over such a connection.
const PACE: Duration = Duration::from_millis(100);

impl Voyage<'_> {
    /// Before a step, where connections are to be held: opens one for every flow that works now and that the step
    /// denies, to show what a new denial does to it.
    pub(super) async fn hold_denied(
        &mut self,
        stage: &Stage,
        after: &World,
        removed: &[EndpointId],
        under: &mut Under,
    ) -> Result<Vec<(FlowId, Flow)>, String> {
        let holds = self.order.vigil.as_ref().is_some_and(|vigil| vigil.hold == Hold::All);
        let stages = self.order.scenario.stages();
        let before = stages.iter().position(|other| other.name == stage.name).and_then(|place| place.checked_sub(1));
        let Some(before) = before.and_then(|place| stages.get(place)).filter(|_| holds) else { return Ok(Vec::new()) };
        let mut world = before.world.clone();
        for id in before.world.endpoints() {
            if let Some(addresses) = after.addresses(id) {
                world.set_addresses(id, addresses);
            }
        }
        // Only what is probed just now has agents at both ends.
        let Some(probed) = under.planned.as_ref().map(|planned| Arc::clone(&planned.cells)) else {
            return Ok(Vec::new());
        };
        let common = stage.cells.only(|id, _| before.cells.place(id).is_some() && probed.place(id).is_some());
        let common = Arc::new(common);
        let (now, then) = (oracle::predict(&world, &common), oracle::predict(after, &common));
        let says = |predictions: &Predictions, id| {
            predictions.matrix().get(id).and_then(|prediction| prediction.meaning.verdict())
        };
        let (held, _) = established::choose(&common, |id, flow| {
            // A pod that is removed takes its connections along, whatever policy says.
            under.crew.has(flow.destination)
                && ![flow.source, flow.destination].iter().any(|end| removed.contains(end))
                && says(&now, id) == Some(Verdict::Allowed)
                && says(&then, id) == Some(Verdict::Denied)
        });
        if !held.is_empty() {
            under.crew.hold(&held, PACE, Duration::from_secs(3600)).await.map_err(|error| chain(&error))?;
            // Long enough for each to be open and to have carried something before the step.
            tokio::time::sleep(PACE * 5).await;
        }
        Ok(held)
    }

    /// What became of them.
    pub(super) async fn release_denied(&mut self, step: &str, held: Vec<(FlowId, Flow)>, under: &mut Under) {
        if !held.is_empty() {
            tokio::time::sleep(PACE * 5).await;
            let told = self.release(&held, PACE, (Some(step), None), under).await;
            under.established.extend(told);
        }
    }
}
