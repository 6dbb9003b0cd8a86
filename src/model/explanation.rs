//! The story of one flow: every policy and rule that was looked at, and what each condition met.
//!
//! This is data; [`lines`] puts it into plain words.

pub mod lines;

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::endpoint::EndpointKind;
use super::flow::NamedFlow;
use super::labels::Labels;
use super::prediction::{Direction, PolicyRef, Reason, RuleRef};
use super::verdict::Meaning;

/// Why a flow is allowed or denied, in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The flow.
    pub flow: NamedFlow,
    /// What the policies say: both sides together.
    pub meaning: Meaning,
    /// Who opens it.
    pub source: Party,
    /// Who is to answer.
    pub destination: Party,
    /// The source's side.
    pub egress: Side,
    /// The destination's side.
    pub ingress: Side,
}

/// One end of the flow, as policies see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// Its name.
    pub name: String,
    /// What it is; none where it is not in this world.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<EndpointKind>,
    /// Its namespace, for pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its labels.
    #[serde(default)]
    pub labels: Labels,
    /// Its namespace's labels.
    #[serde(default)]
    pub namespace_labels: Labels,
    /// Its address of the flow's family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
}

/// What one side says, and all policies that could have had a say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// Which side.
    pub direction: Direction,
    /// The same reason the matrix gives.
    pub reason: Reason,
    /// Every NetworkPolicy of the pod's namespace, in order of name.
    pub policies: Vec<PolicyStory>,
    /// How many NetworkPolicies stand in other namespaces, where they cannot select this pod.
    pub elsewhere: u32,
    /// Where this side denies: the rule that came closest to letting the flow through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest: Option<NearMiss>,
}

/// One policy on one side of the flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyStory {
    /// Which.
    pub policy: PolicyRef,
    /// Its `podSelector` in words.
    pub selector: String,
    /// What the selector's conditions met in the pod; none for an empty selector.
    pub conditions: Vec<Condition>,
    /// Whether it decides here.
    pub standing: Standing,
    /// Its rules for this direction, where it decides here.
    pub rules: Vec<RuleStory>,
}

/// Whether a policy decides on one side of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "standing")]
pub enum Standing {
    /// It selects the pod and isolates it in this direction.
    Isolates {
        /// How it is known that it speaks about this direction.
        by: Types,
    },
    /// It selects the pod, but does not speak about this direction.
    OtherDirection {
        /// How that is known.
        by: Types,
        /// How many rules it has for this direction all the same; they are without effect.
        inert: u32,
    },
    /// It does not select the pod.
    SelectsOthers,
}

/// Where a policy's directions come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Types {
    /// `policyTypes` lists them.
    Stated,
    /// `policyTypes` is left out or empty, so they follow from the rules there are.
    Defaulted,
}

/// One rule, held against the flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleStory {
    /// Its place in its list; counts from 0.
    pub rule: u32,
    /// `from` or `to`.
    pub peers: Entries,
    /// `ports`.
    pub ports: Entries,
    /// Whether peer and port both match.
    pub met: Met,
}

/// A list of a rule, one of whose entries has to match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "list", content = "entries")]
pub enum Entries {
    /// Left out: anything matches.
    Absent,
    /// There, but empty: anything matches.
    Empty,
    /// All entries, looked at one by one.
    Listed(Vec<EntryStory>),
}

impl Entries {
    /// Whether the list lets the flow pass.
    pub fn met(&self) -> Met {
        match self {
            Self::Absent | Self::Empty => Met::Yes,
            Self::Listed(entries) => Met::all(entries.iter().any(|entry| entry.met == Met::Yes)),
        }
    }

    /// The first entry that matches.
    pub fn first_met(&self) -> Option<u32> {
        match self {
            Self::Absent | Self::Empty => None,
            Self::Listed(entries) => entries.iter().find(|entry| entry.met == Met::Yes).map(|entry| entry.place),
        }
    }
}

/// One entry of a list, held against the flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryStory {
    /// Its place in its list; counts from 0.
    pub place: u32,
    /// What it takes, in words.
    pub takes: String,
    /// Its conditions, all of which have to hold; none where it takes everything.
    pub conditions: Vec<Condition>,
    /// Whether they do.
    pub met: Met,
}

/// One condition, and what it met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// What it looks at.
    pub about: About,
    /// What it wants, in words: `role=data-store`, `an address in 10.0.0.0/8`.
    pub wants: String,
    /// What is there instead, or is there indeed, in words: `role=intruder`, `10.1.2.3`.
    pub finds: String,
    /// Whether it holds.
    pub met: Met,
}

/// What a condition looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum About {
    /// Whether the peer is a pod at all.
    Kind,
    /// The peer's namespace, by name: a `podSelector` alone means the policy's own.
    Namespace,
    /// A label of the peer's namespace.
    NamespaceLabel,
    /// A label of the pod.
    PodLabel,
    /// The peer's address.
    Address,
    /// The flow's protocol.
    Protocol,
    /// The flow's port.
    Port,
}

/// Whether something holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Met {
    /// It does.
    Yes,
    /// It does not.
    No,
}

impl Met {
    /// Yes where it holds.
    pub fn all(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }

    /// Yes where every condition holds.
    pub fn of(conditions: &[Condition]) -> Self {
        Self::all(conditions.iter().all(|condition| condition.met == Self::Yes))
    }
}

impl fmt::Display for Met {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Yes => "yes",
            Self::No => "no",
        })
    }
}

/// A rule that would let the flow through, were it not for these conditions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NearMiss {
    /// The rule, with the entries that came closest.
    pub rule: RuleRef,
    /// The conditions that do not hold; at least one.
    pub unmet: Vec<Condition>,
}
