//! Policies as checked data: what the manifest says, in full, and nothing else. One file per kind.
//!
//! No matching and no defaulting happens here: whether a list was absent or empty stays visible, because the oracle and
//! the lab each do their own reading of that, and their agreement would prove nothing if they shared it.

pub mod calico_selector;
pub mod network_policy;
pub mod selector;
pub mod unknown;

use std::sync::Arc;

use crate::model::prediction::PolicyRef;

/// A policy of any kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Policy {
    /// networking.k8s.io/v1 NetworkPolicy.
    Network(Arc<network_policy::NetworkPolicy>),
    /// A kind the oracle does not know.
    Unknown(Arc<unknown::UnknownPolicy>),
}

impl Policy {
    /// Its name in reports.
    pub fn reference(&self) -> PolicyRef {
        match self {
            Self::Network(policy) => policy.reference(),
            Self::Unknown(policy) => policy.reference.clone(),
        }
    }

    /// The manifest to create it from, as the person wrote it.
    pub fn manifest(&self) -> &serde_json::Value {
        match self {
            Self::Network(policy) => &policy.manifest,
            Self::Unknown(policy) => &policy.manifest,
        }
    }
}

/// A part of a manifest that may be left out, or be there with or without entries. These differ in meaning in some
/// places and not in others; the readers decide.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Clause<T> {
    /// Left out (or null, which the API server reads the same).
    #[default]
    Absent,
    /// There, with these entries, possibly none.
    Given(Vec<T>),
}
