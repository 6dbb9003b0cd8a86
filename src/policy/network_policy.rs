//! networking.k8s.io/v1 NetworkPolicy as written.
//!
//! Source: Kubernetes API reference, "NetworkPolicy v1 networking.k8s.io". Lists keep their order, so that a rule's
//! place can be named as a path into the manifest.

use std::num::NonZeroU16;

use ipnet::IpNet;

use super::Clause;
use super::selector::LabelSelector;
use crate::model::port::Protocol;
use crate::model::prediction::{Direction, PolicyRef};

/// One NetworkPolicy.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkPolicy {
    /// `metadata.namespace`; `default` where the manifest has none.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `spec.podSelector`; empty selects every pod of the namespace, and so does leaving it out.
    pub pod_selector: LabelSelector,
    /// `spec.policyTypes`.
    pub policy_types: Clause<Direction>,
    /// `spec.ingress`.
    pub ingress: Clause<Rule>,
    /// `spec.egress`.
    pub egress: Clause<Rule>,
    /// The manifest, to create it from.
    pub manifest: serde_json::Value,
}

impl NetworkPolicy {
    /// Its name in reports.
    pub fn reference(&self) -> PolicyRef {
        PolicyRef { kind: "NetworkPolicy".into(), namespace: Some(self.namespace.clone()), name: self.name.clone() }
    }
}

/// One entry of `ingress` or `egress`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rule {
    /// `from` or `to`.
    pub peers: Clause<Peer>,
    /// `ports`.
    pub ports: Clause<PortClause>,
}

/// One entry of `from` or `to`. Exactly these forms pass the API server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Peer {
    /// `podSelector` alone.
    Pods(LabelSelector),
    /// `namespaceSelector` alone.
    Namespaces(LabelSelector),
    /// Both in one entry.
    PodsInNamespaces {
        /// `namespaceSelector`.
        namespaces: LabelSelector,
        /// `podSelector`.
        pods: LabelSelector,
    },
    /// `ipBlock`.
    Block(IpBlock),
}

/// `ipBlock`. `cidr` contains every `except`, and all are of one family: the API server refuses anything else.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IpBlock {
    /// `cidr`.
    pub cidr: IpNet,
    /// `except`; leaving it out and an empty list are the same here by the API's own words.
    pub except: Vec<IpNet>,
}

/// One entry of `ports`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PortClause {
    /// `protocol`, where given.
    pub protocol: Option<Protocol>,
    /// `port` with `endPort`, where given.
    pub port: Option<PortMatch>,
}

/// `port`, with `endPort` where it is a number that has one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PortMatch {
    /// A number.
    Number(NonZeroU16),
    /// A number and an `endPort` that is not below it.
    Range(NonZeroU16, NonZeroU16),
    /// A container port's name.
    Name(String),
}
