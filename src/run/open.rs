//! What must work before a scenario's own policies are tried: where policies are there already, only what they allow.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::judge::Proven;
use crate::model::endpoint::{EndpointId, NodeOrdinal};
use crate::model::flow::{CellSet, Flow};
use crate::model::verdict::{Meaning, Verdict};
use crate::oracle;
use crate::scenario::Scenario;
use crate::scenario::world::World;

/// The cells of the baseline. `bare` is the bare world with the addresses it really has.
pub(super) fn cells(scenario: &Scenario, bare: &World) -> Arc<CellSet> {
    let all = scenario.baseline();
    if bare.policies.is_empty() {
        return Arc::clone(all);
    }
    let predictions = oracle::predict(bare, all);
    Arc::new(all.only(|id, _| predictions.meaning(id) == Some(Meaning::Known(Verdict::Allowed))))
}

/// What the baseline showed. Where policies were there already, flows that they deny were in no baseline: the run's own
/// pods, on the same nodes and under none of them, speak for the wiring. A pod that is cut off both ways has no other
/// witness, and theirs is a weak one.
pub(super) fn shown(scenario: &Scenario, mut proven: Proven) -> Proven {
    let Some(adopted) = scenario.adopted() else { return proven };
    let worlds = scenario.stages().iter().map(|stage| &stage.world).chain([scenario.bare()]);
    let nodes: BTreeMap<EndpointId, NodeOrdinal> =
        worlds.flat_map(|world| &world.pods).map(|(id, pod)| (*id, pod.node)).collect();
    let own = |id: &EndpointId| scenario.bare().pods.get(id).is_some_and(|pod| pod.namespace == adopted.own);
    let way = |flow: &Flow| Some((*nodes.get(&flow.source)?, *nodes.get(&flow.destination)?, flow.family));
    let between_own = scenario.flows().iter().filter(|(_, flow)| own(&flow.source) && own(&flow.destination));
    let ways: BTreeSet<_> = between_own.filter(|(id, _)| proven.has(*id)).filter_map(|(_, flow)| way(flow)).collect();
    let vouched = scenario.flows().iter().filter(|(_, flow)| way(flow).is_some_and(|way| ways.contains(&way)));
    proven.0.extend(vouched.map(|(id, _)| id));
    proven
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::document::Strictness;

    #[test]
    fn under_adopted_policies_the_baseline_is_what_they_allow_and_the_runs_own() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/ai-data-pipeline.yaml");
        let scenario = crate::scenario::load(&file, Strictness::Strict).unwrap();
        assert!(Arc::ptr_eq(&cells(&scenario, scenario.bare()), scenario.baseline()), "without policies it is all");
        let adopted = scenario.adopting_as_written(&BTreeSet::new(), "leakproof-cafe0001").unwrap();
        let open = cells(&adopted, adopted.bare());
        let stores = |flow: &Flow| adopted.name_of(flow.destination).starts_with("data-store");
        let into_stores: BTreeSet<String> =
            open.iter().filter(|(_, flow)| stores(flow)).map(|(_, flow)| adopted.named(flow).to_string()).collect();
        assert!(into_stores.contains("ai-processing -> data-store:5432/tcp"), "{into_stores:?}");
        assert!(into_stores.iter().all(|flow| flow.starts_with("ai-processing ")), "{into_stores:?}");
        let own = open.iter().filter(|(_, flow)| adopted.name_of(flow.source).starts_with("control-")).count();
        assert_eq!(own, 4 * 3, "each of the run's own pods calls each other");
        let others = scenario.baseline().iter().filter(|(_, flow)| !stores(flow)).count();
        assert_eq!(open.len(), others + into_stores.len() + own, "nobody denies the rest");
    }

    #[test]
    fn the_runs_own_pods_speak_for_the_ways_between_nodes_that_they_were_seen_to_go() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/ai-data-pipeline.yaml");
        let scenario = crate::scenario::load(&file, Strictness::Strict).unwrap();
        let adopted = scenario.adopting_as_written(&BTreeSet::new(), "leakproof-cafe0001").unwrap();
        let id = |scenario: &Scenario, text: &str| {
            let found = scenario.flows().iter().find(|(_, flow)| scenario.named(flow).to_string() == text);
            found.unwrap_or_else(|| panic!("no flow {text}")).0
        };
        // The intruder is on node 1 and the store on node 2; the second store is on node 1.
        let (across, within) = ("intruder -> data-store:5432/tcp", "intruder -> data-store-2:5432/tcp");
        let seen = Proven([id(&adopted, "control-1-a -> control-2-b:8080/tcp")].into());
        let shown = super::shown(&adopted, seen);
        assert!(shown.has(id(&adopted, across)), "the way from node 1 to node 2 was seen");
        assert!(!shown.has(id(&adopted, within)), "the way within node 1 was not");
        let back = id(&adopted, "data-store -> intruder:8080/tcp");
        assert!(!shown.has(back), "nor the one back");
        let nothing = super::shown(&adopted, Proven::default());
        assert_eq!(nothing, Proven::default(), "pods that were seen to do nothing speak for nobody");
        let own = Proven([id(&scenario, across)].into());
        assert_eq!(super::shown(&scenario, own.clone()), own, "where all could be seen, what was seen is all");
    }
}
