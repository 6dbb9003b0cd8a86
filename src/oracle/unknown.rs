//! Policies of kinds this room does not know.

use crate::model::prediction::PolicyRef;
use crate::policy::Policy;
use crate::scenario::world::World;

/// Those that could touch the pods of a namespace: they stand in it, or in none and so may reach anywhere.
pub(in crate::oracle) fn touching(world: &World, namespace: &str) -> Vec<PolicyRef> {
    let unknown = world.policies.iter().filter_map(|policy| match policy {
        Policy::Network(_) => None,
        Policy::Unknown(unknown) => Some(&unknown.reference),
    });
    unknown.filter(|policy| policy.namespace.as_deref().is_none_or(|own| own == namespace)).cloned().collect()
}
