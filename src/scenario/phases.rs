//! The order in which the changes of a step are made, the same on every fabric: first pods are removed, then labels and
//! policies change, then pods are added. So a pod that is added meets from its first packet on the policies that hold for
//! it, and a pod that is removed and added again in one step is a new pod under the same name.

use super::Change;
use super::world::Pod;
use crate::model::endpoint::EndpointId;

/// The changes of one step, sorted by phase.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Phases {
    /// The pods that are removed.
    pub removed: Vec<EndpointId>,
    /// The changes of labels and policies, in the order given.
    pub changed: Vec<Change>,
    /// The pods that are added.
    pub added: Vec<(EndpointId, Pod)>,
}

impl Phases {
    /// Sorts changes by phase; within a phase they keep their order.
    pub fn of(changes: &[Change]) -> Self {
        let mut phases = Self::default();
        for change in changes {
            match change {
                Change::RemovePod(id) => phases.removed.push(*id),
                Change::AddPod(id, pod) => phases.added.push((*id, pod.clone())),
                Change::CreatePolicy(_)
                | Change::ReplacePolicy(_)
                | Change::DeletePolicy(_)
                | Change::RelabelPod(..)
                | Change::RelabelNamespace(..) => phases.changed.push(change.clone()),
            }
        }
        phases
    }

    /// The pods that are removed and added again.
    pub fn replaced(&self) -> impl Iterator<Item = EndpointId> + '_ {
        self.removed.iter().copied().filter(|id| self.added.iter().any(|(added, _)| added == id))
    }
}
