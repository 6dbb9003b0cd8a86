//! Policies of kinds the oracle does not know: kept whole, so that a cluster can be given them.

use crate::model::prediction::PolicyRef;

/// A manifest that is some policy, though not one whose meaning can be computed.
#[derive(Debug, Clone, PartialEq)]
pub struct UnknownPolicy {
    /// Its name in reports.
    pub reference: PolicyRef,
    /// `apiVersion`.
    pub api_version: String,
    /// The manifest.
    pub manifest: serde_json::Value,
}
