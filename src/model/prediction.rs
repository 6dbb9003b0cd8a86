//! Meaning with its reasons.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::endpoint::EndpointId;
use super::flow::FlowId;
use super::matrix::Matrix;
use super::reasons::Reasons;
use super::verdict::{Meaning, Verdict};

/// The oracle's word on one cell. Reasons are named by their number in [`Predictions`], where cells share them, so that
/// a million cells fit in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Prediction {
    /// Both sides together: allowed only where both allow.
    pub meaning: Meaning,
    /// What the policies that select the source say.
    pub egress: ReasonId,
    /// What the policies that select the destination say.
    pub ingress: ReasonId,
}

/// A reason's place in [`Predictions`]; counts from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReasonId(pub u32);

/// Meaning for every cell of a stage.
#[derive(Debug, Clone)]
pub struct Predictions {
    matrix: Matrix<Prediction>,
    reasons: Reasons,
    planned: BTreeMap<FlowId, Vec<(EndpointId, IpAddr)>>,
}

/// An address that leakproof chose, since the scenario leaves it out, and on which the meaning of a flow rests: with another
/// one the same policies could say the opposite.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PlannedAddress {
    /// Whose.
    pub endpoint: String,
    /// The address.
    pub address: IpAddr,
}

impl fmt::Display for PlannedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, the address that leakproof chose for {}", self.address, self.endpoint)
    }
}

impl Predictions {
    /// Joins the matrix with the reasons its predictions name.
    pub fn new(matrix: Matrix<Prediction>, reasons: impl Into<Reasons>) -> Self {
        Self { matrix, reasons: reasons.into(), planned: BTreeMap::new() }
    }

    /// The same, with the planned addresses that meanings rest on.
    pub fn resting(self, planned: BTreeMap<FlowId, Vec<(EndpointId, IpAddr)>>) -> Self {
        Self { planned, ..self }
    }

    /// The planned addresses that the meaning of a cell rests on, each with its endpoint.
    pub fn planned(&self, id: FlowId) -> &[(EndpointId, IpAddr)] {
        self.planned.get(&id).map(Vec::as_slice).unwrap_or_default()
    }

    /// The matrix.
    pub fn matrix(&self) -> &Matrix<Prediction> {
        &self.matrix
    }

    /// Meaning of one cell.
    pub fn meaning(&self, id: FlowId) -> Option<Meaning> {
        self.matrix.get(id).map(|prediction| prediction.meaning)
    }

    /// The reason of that number, made anew from what is kept of it.
    pub fn reason(&self, id: ReasonId) -> Option<Reason> {
        self.reasons.get(id)
    }

    /// All reasons, by number.
    pub fn reasons(&self) -> &Reasons {
        &self.reasons
    }
}

/// The side of a connection a policy speaks about, as the selected pod sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Into the selected pod.
    Ingress,
    /// Out of it.
    Egress,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        })
    }
}

/// Which policy. Displayed as `namespace/name`, as `kubectl` takes it; with its kind where that is not NetworkPolicy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PolicyRef {
    /// The kind, `NetworkPolicy` for instance.
    pub kind: String,
    /// The namespace; none for kinds that have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
}

impl fmt::Display for PolicyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind != "NetworkPolicy" {
            write!(f, "{} ", self.kind)?;
        }
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

/// Which rule of which policy. Displayed as a path into the manifest: `ns/name ingress[0].from[1]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RuleRef {
    /// The policy.
    pub policy: PolicyRef,
    /// The list the rule stands in.
    pub direction: Direction,
    /// Its place there; counts from 0.
    pub rule: u32,
    /// The entry of `from` or `to` that matched; none where the rule has no such list, and so takes any peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<u32>,
    /// The entry of `ports` that matched; none where the rule has no such list, and so takes any port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u32>,
}

impl fmt::Display for RuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}[{}]", self.policy, self.direction, self.rule)?;
        if let Some(peer) = self.peer {
            let list = match self.direction {
                Direction::Ingress => "from",
                Direction::Egress => "to",
            };
            write!(f, ".{list}[{peer}]")?;
        }
        if let Some(port) = self.port {
            write!(f, " ports[{port}]")?;
        }
        Ok(())
    }
}

/// Why one side allows or denies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "why")]
pub enum Reason {
    /// The endpoint on this side is no pod, so no policy selects it: this side allows.
    NoPod,
    /// No policy selects the pod for this direction: it is not isolated, and this side allows.
    NotIsolated,
    /// Policies isolate the pod, and these rules let the flow through.
    Allowed {
        /// Every rule that matches; at least one.
        by: Vec<RuleRef>,
    },
    /// Policies isolate the pod, and none has a rule that matches.
    Isolated {
        /// Every policy that selects the pod for this direction; at least one.
        by: Vec<PolicyRef>,
    },
    /// The destination is a Service, and this side does not say the same of all the pods behind it: so many of them let
    /// the flow through, do not, and so on.
    Behind {
        /// It lets through.
        allowing: u32,
        /// It does not.
        denying: u32,
        /// Nobody can say what it does.
        unknown: u32,
        /// Are the source itself, which a Service may lead back to: no policy speaks of that.
        itself: u32,
    },
    /// Policies of kinds the oracle does not know could touch this side.
    Unknown {
        /// Which; none where the endpoint is not in this world at all.
        by: Vec<PolicyRef>,
    },
}

impl Reason {
    /// What this side says by itself; `None` where that is unknown.
    pub fn verdict(&self) -> Option<Verdict> {
        match self {
            Self::NoPod | Self::NotIsolated | Self::Allowed { .. } => Some(Verdict::Allowed),
            Self::Isolated { .. } => Some(Verdict::Denied),
            Self::Behind { .. } | Self::Unknown { .. } => None,
        }
    }
}

impl Meaning {
    /// Both sides together: allowed only where both allow, and known only where both are. A side that denies does not
    /// outweigh one that is unknown: a kind nobody here knows may also lift what a NetworkPolicy denies.
    pub fn of_sides(egress: Option<Verdict>, ingress: Option<Verdict>) -> Self {
        match (egress, ingress) {
            (Some(Verdict::Allowed), Some(Verdict::Allowed)) => Self::Known(Verdict::Allowed),
            (Some(_), Some(_)) => Self::Known(Verdict::Denied),
            (None, _) | (_, None) => Self::Unknown,
        }
    }
}
