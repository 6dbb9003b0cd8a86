//! Room for pods that are born while a world is watched: copies of the scenario's own, in no stage's world until they
//! are there, but with names, addresses and flows that stay the same from beginning to end.

use std::collections::HashSet;
use std::net::IpAddr;

use super::check::addresses::Plan;
use super::world::Pod;
use super::{Endpoint, Scenario, Stage};
use crate::model::endpoint::{EndpointId, EndpointKind, NodeOrdinal};
use crate::model::flow::Flow;

/// A pod that may be born.
#[derive(Debug, Clone, PartialEq)]
pub struct Newborn {
    /// Its id: above those of all others, whose ids stay.
    pub id: EndpointId,
    /// The pod it is a copy of.
    pub like: EndpointId,
    /// The pod: its model's labels, namespace and ports in the last stage, an address of its own, and the nodes in turn.
    pub pod: Pod,
}

impl Scenario {
    /// The same scenario with room for so many newborn pods, copies of `models` in turn. A newborn has the flows that its
    /// model has in the last stage, and those between the two.
    pub fn with_newborns(&self, models: &[EndpointId], count: usize) -> Self {
        let Some(last) = self.stages.last() else { return self.clone() };
        let models: Vec<(EndpointId, &Pod)> =
            models.iter().filter_map(|id| last.world.pods.get(id).map(|pod| (*id, pod))).collect();
        let mut nodes: Vec<NodeOrdinal> = last.world.pods.values().map(|pod| pod.node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let mut plan = Plan::new(&self.families, self.taken());
        let mut newborns = Vec::new();
        let mut endpoints = self.endpoints.clone();
        let mut names = (1..).map(|number| format!("newborn-{number}")).filter(|name| self.find(name).is_none());
        for (place, (like, model)) in models.iter().cycle().take(if models.is_empty() { 0 } else { count }).enumerate()
        {
            let node = nodes.get(place % nodes.len().max(1)).copied().unwrap_or(model.node);
            let (Some(addresses), Some(name)) = (plan.pod(node.0.get()), names.next()) else { break };
            let id = EndpointId(u32::try_from(endpoints.len()).unwrap_or(u32::MAX));
            endpoints.push(Endpoint { name, kind: EndpointKind::Pod, namespace: None });
            newborns.push(Newborn { id, like: *like, pod: Pod { node, addresses, ..(*model).clone() } });
        }
        let own: Vec<Flow> = newborns.iter().flat_map(|newborn| flows_of(newborn, last)).collect();
        Self { newborns, ..self.widened(endpoints, &own) }
    }

    /// The pods that may be born.
    pub fn newborns(&self) -> &[Newborn] {
        &self.newborns
    }

    /// Every address that somebody has at any time.
    pub(in crate::scenario) fn taken(&self) -> HashSet<IpAddr> {
        let worlds = self.stages.iter().map(|stage| &stage.world).chain([&self.bare]);
        let all = worlds.flat_map(|world| world.endpoints().filter_map(|id| world.addresses(id)));
        all.flat_map(|addresses| addresses.iter().collect::<Vec<_>>()).collect()
    }
}

/// A newborn's flows: its model's, with itself in the model's place, and those between the two.
fn flows_of(newborn: &Newborn, stage: &Stage) -> Vec<Flow> {
    let Newborn { id, like, .. } = newborn;
    let mut flows = Vec::new();
    for (_, flow) in stage.cells.iter() {
        if flow.source == *like {
            flows.push(Flow { source: *id, ..*flow });
        }
        if flow.destination == *like {
            flows.push(Flow { destination: *id, ..*flow });
            flows.push(Flow { source: *like, destination: *id, ..*flow });
            flows.push(Flow { source: *id, destination: *like, ..*flow });
        }
    }
    flows
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::document::Strictness;

    fn pipeline() -> Scenario {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/ai-data-pipeline.yaml");
        crate::scenario::load(&file, Strictness::Strict).unwrap()
    }

    #[test]
    fn room_for_newborns_changes_nobody_else() {
        let before = pipeline();
        let (intruder, store) = (before.find("intruder").unwrap(), before.find("data-store").unwrap());
        let after = before.with_newborns(&[intruder, store], 3);
        for (place, endpoint) in before.endpoints().iter().enumerate() {
            assert_eq!(after.find(&endpoint.name), Some(EndpointId(place as u32)), "{}", endpoint.name);
        }
        let (old, new) = (&before.stages()[0], &after.stages()[0]);
        let intents = |stage: &Stage| stage.intent.iter().map(|(_, flow, intent)| (*flow, *intent)).collect::<Vec<_>>();
        assert_eq!(intents(old), intents(new), "the same cells with the same intents, and no newborn among them");
        assert_eq!(before.baseline().len(), after.baseline().len());
        let born: Vec<_> = after.newborns().iter().map(|n| (after.name_of(n.id), after.name_of(n.like))).collect();
        assert_eq!(born, [("newborn-1", "intruder"), ("newborn-2", "data-store"), ("newborn-3", "intruder")]);
        assert_eq!(after.find("newborn-2"), Some(after.newborns()[1].id));
    }

    #[test]
    fn a_newborn_has_its_models_flows_and_an_address_of_its_own() {
        let scenario = pipeline();
        let store = scenario.find("data-store").unwrap();
        let with = scenario.with_newborns(&[store], 1);
        let newborn = &with.newborns()[0];
        let count = |id: EndpointId| {
            let flows = || with.flows().iter().map(|(_, flow)| flow);
            (flows().filter(|flow| flow.source == id).count(), flows().filter(|flow| flow.destination == id).count())
        };
        // The model's flows to 5 others and its 15 from them, and three ports each way between the two.
        assert_eq!(count(newborn.id), (5 + 3, 15 + 3));
        let taken = scenario.taken();
        assert!(newborn.pod.addresses.iter().all(|address| !taken.contains(&address)));
        assert_eq!(newborn.pod.labels, scenario.bare().pods[&store].labels);
    }
}
