//! What must work before a scenario's own policies are tried: where policies are there already, only what they allow.

use std::sync::Arc;

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
    let open = |flow: &Flow| {
        let id = all.table().find(flow).filter(|id| all.place(*id).is_some());
        id.and_then(|id| predictions.meaning(id)) == Some(Meaning::Known(Verdict::Allowed))
    };
    Arc::new(CellSet::new(Arc::clone(all.table()), open))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
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
}
