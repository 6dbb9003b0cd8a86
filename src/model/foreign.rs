//! Policies that are in force in a cluster though no scenario names them.

use std::collections::BTreeSet;

use super::endpoint::EndpointId;

/// A policy of somebody else that selects pods of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignPolicy {
    /// Kind and name, as a sentence names it.
    pub name: String,
    /// The pods that it selects in the bare world.
    pub selects: BTreeSet<EndpointId>,
}
