//! The one document of a run. Its JSON is the interface for scripts; every other report is a rendering of it, and
//! computes nothing.
//!
//! Times are whole microseconds, in fields ending in `_us`, counted from the run's start unless the field says
//! otherwise. Fields may be added within one format version; none changes its meaning or goes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::drift::Drift;
use super::endpoint::{Addresses, EndpointKind};
use super::finding::{Call, Finding, Window};
use super::flow::NamedFlow;
use super::happening::Happening;
use super::labels::Labels;
use super::observation::{Blindness, Observation, Witness};
use super::port::ServedPort;
use super::prediction::{PlannedAddress, Reason};
use super::verdict::{DenyForm, Intent, Meaning, Verdict};
use super::watch::{Gap, KnownInfo, Standing, WatchInfo};

/// The format this version writes; the number changes only where a reader of the old one would be misled.
pub const FORMAT: &str = "leakproof/run/1";

/// A whole run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// [`FORMAT`].
    pub format: String,
    /// Version of leakproof that made it.
    pub leakproof: String,
    /// When the run started: RFC 3339, UTC.
    pub started: String,
    /// How long it took until this was written.
    pub took_us: u64,
    /// The run's id: labels, temporary names and logs carry it.
    pub run: String,
    /// What was run.
    pub scenario: ScenarioInfo,
    /// Where it was made real.
    pub fabric: FabricInfo,
    /// How it was probed and judged.
    pub settings: Settings,
    /// Every endpoint, in order of name.
    pub endpoints: Vec<EndpointInfo>,
    /// Time per phase, in order.
    pub phases: Vec<Phase>,
    /// The baseline first, then the initial policies, then each step.
    pub stages: Vec<Stage>,
    /// The watch after the last stage's convergence, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<WatchInfo>,
    /// What the scenario's `known:` list says will go wrong, and what came of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<KnownInfo>,
    /// Every agent, in order of name.
    pub agents: Vec<AgentInfo>,
    /// What happened around it, in order of time.
    #[serde(default)]
    pub events: Vec<Happening>,
    /// What a person should know though it changes no verdict.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Where the scenario's file says something else than the cluster whose policies were adopted: the cluster was believed.
    /// Each stands among the warnings too, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<Drift>,
    /// What tear-down could not remove.
    #[serde(default)]
    pub left_behind: Vec<String>,
    /// Why the run ended early, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aborted: Option<String>,
    /// Sums over all stages.
    pub counts: Counts,
    /// Everything that sets the exit code, or would if nothing graver did; gravest first, empty where all is as meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// The exit code: see the README's table.
    pub exit: u8,
}

/// One thing that sets the exit code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The code it comes to.
    pub exit: u8,
    /// What it is.
    pub of: CauseOf,
    /// In words, with how many there are.
    pub what: String,
}

/// What sets an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CauseOf {
    /// Cells of a stage: its findings, and what is inconclusive or unjudged.
    Cells,
    /// Connections that were held open.
    Connections,
    /// Pods that were born while watching.
    Newborns,
    /// The command under watch.
    Command,
    /// That the run ended early.
    Aborted,
    /// What tear-down could not remove.
    LeftBehind,
}

/// Which scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScenarioInfo {
    /// The file's name without its ending.
    pub name: String,
    /// The file as given.
    pub file: String,
    /// Its `about:`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
}

/// Which fabric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FabricInfo {
    /// `lab` or `cluster`.
    pub kind: FabricKind,
    /// One line for people: `lab: 2 nodes, nftables, Linux 6.18`, or `cluster kind-leak: Kubernetes 1.35.4, Calico
    /// 3.31.7`.
    pub summary: String,
    /// Versions and the like, by name: `kernel`, `kubernetes`, `cni`, `cni-version`, `context`.
    #[serde(default)]
    pub facts: BTreeMap<String, String>,
    /// The deliberate fault, where one was asked for: a run with one proves nothing about a policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// The fabrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FabricKind {
    /// Network namespaces on this machine.
    Lab,
    /// A Kubernetes cluster.
    Cluster,
}

impl std::fmt::Display for FabricKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Lab => "lab",
            Self::Cluster => "cluster",
        })
    }
}

/// How it was probed and judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Silence counts after so long.
    pub deadline_us: u64,
    /// So many silent attempts, from fresh source ports, make a denial.
    pub attempts: u32,
    /// A cell is tried anew so often: the resolution of every time in this document.
    pub interval_us: u64,
    /// Convergence had to come within this.
    pub converge_within_us: u64,
    /// Enforcement had to come within this, where the scenario says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_enforce_us: Option<u64>,
    /// In what form a denial had to come.
    pub deny: DenyForm,
    /// Whether what is merely weak or unstated is refused.
    pub strictness: Strictness,
}

/// Whether what is merely weak or unstated is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strictness {
    /// Weak witnesses and flows without intent are taken, and said so.
    #[default]
    Normal,
    /// A weak witness is inconclusive, a flow without intent refuses the scenario.
    Strict,
}

/// One endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndpointInfo {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: EndpointKind,
    /// Its namespace, for pods and services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its labels when it first appeared.
    #[serde(default)]
    pub labels: Labels,
    /// The node it was placed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Its addresses.
    pub addresses: Addresses,
    /// What it serves.
    #[serde(default)]
    pub serves: Vec<ServedPort>,
}

/// Time of one phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// `world`, `agents`, `baseline`, a stage's name, `tear-down`.
    pub name: String,
    /// When it began.
    pub began_us: u64,
    /// How long it took.
    pub took_us: u64,
}

/// One stage: the world after some changes, judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// `baseline`, `policies`, or the step's `about:` or number.
    pub name: String,
    /// What was changed before it, in words, one entry a change.
    pub changes: Vec<String>,
    /// When the last change was sent, or when the agents of all added pods ran, whichever is later.
    pub sent_us: u64,
    /// When the last change was acknowledged.
    pub acknowledged_us: u64,
    /// How convergence went.
    pub convergence: Convergence,
    /// Every cell, in order of flow.
    pub cells: Vec<Cell>,
    /// What is wrong, gravest first.
    pub findings: Vec<Finding>,
    /// Sums over the cells.
    pub counts: Counts,
    /// The reasons that cells' `egress` and `ingress` name by number.
    pub reasons: Vec<Reason>,
}

/// How convergence went. Times count from the moment the last change was sent and the agents of all added pods ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Convergence {
    /// Every cell became what it should be.
    Converged {
        /// After so long the last cell was right for good.
        after_us: u64,
        /// And after so long that was proven.
        proven_us: u64,
    },
    /// Time ran out.
    TimedOut {
        /// After so long.
        after_us: u64,
    },
    /// The run ended before.
    Interrupted,
}

/// One cell's three readings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The flow.
    #[serde(flatten)]
    pub flow: NamedFlow,
    /// What the author wrote.
    pub intent: Intent,
    /// What the policies say.
    pub meaning: Meaning,
    /// The reason on the source's side: a place in the stage's `reasons`, counted from 0.
    pub egress: u32,
    /// The reason on the destination's side, likewise.
    pub ingress: u32,
    /// The addresses chosen by leakproof that `meaning` rests on: with others it could be the opposite.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub planned: Vec<PlannedAddress>,
    /// What was seen in the final window.
    pub reality: Observation,
    /// The verdict on reality; none where it was not seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// The cell's row in the table of readings.
    pub call: Call,
    /// What its call counts as: one that is known is no finding, and is summed up apart.
    #[serde(default, skip_serializing_if = "Standing::is_counted")]
    pub standing: Standing,
    /// What proves a denial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<Witness>,
    /// From sending the change until the first attempt of those that were right for good was launched; none where the
    /// cell never became right. Zero where it was right throughout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_to_enforce_us: Option<u64>,
    /// The longest a reply took in the final window, for cells that were reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slowest_us: Option<u64>,
    /// Attempts of this stage whose outcome was seen.
    pub attempts: u32,
    /// Attempts of this stage that could not see.
    pub unseen: u32,
    /// The longest time after convergence in which it could not be observed, where that was longer than a denial takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unobserved: Option<Gap>,
    /// When it was wrong, before and after convergence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Window>,
    /// A remark: a rejection, a weak witness, a one-way delivery, why it is inconclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// One agent, as it was heard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentInfo {
    /// Whose.
    pub endpoint: String,
    /// Its clock less the harness's, in nanoseconds.
    pub clock_offset_ns: i64,
    /// The offset is right to within this: half a round trip.
    pub clock_error_ns: u64,
    /// Attempts it reported.
    pub attempts: u64,
    /// How often its stream was made anew.
    pub reconnects: u32,
    /// When it could not see.
    #[serde(default)]
    pub blind: Vec<BlindSpan>,
    /// How long it got no processor time, since it began; none where it never told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starved: Option<StarvedTime>,
    /// Why it was lost, where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<String>,
}

/// By how much an agent's heartbeats were late; those that were late by no more than 25 ms are left out. What of it was too long
/// to rely on what the agent saw is among its blind spans, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StarvedTime {
    /// The latest.
    pub longest_us: u64,
    /// All together.
    pub total_us: u64,
}

/// An interval in which an agent could not see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BlindSpan {
    /// From.
    pub from_us: u64,
    /// Until.
    pub until_us: u64,
    /// Why.
    pub why: Blindness,
}

/// Sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Cells.
    pub cells: u64,
    /// Of these: as they should be.
    pub ok: u64,
    /// Leaks.
    pub leaks: u64,
    /// Outages.
    pub outages: u64,
    /// Wrong servers.
    pub wrong_servers: u64,
    /// Cells whose meaning is not their intent; they count among the others too.
    pub contradictions: u64,
    /// Cells that could not be seen.
    pub inconclusive: u64,
    /// Cells that nothing says how they should be.
    pub unjudged: u64,
    /// Flows that this world cannot carry.
    pub unsupported: u64,
    /// Cells that no `expect:` entry covers.
    pub unstated: u64,
    /// Cells that are wrong as the scenario's `known:` list says.
    #[serde(default)]
    pub known: u64,
}

impl Counts {
    /// Adds another sum to this one.
    pub fn add(&mut self, other: &Self) {
        self.cells += other.cells;
        self.ok += other.ok;
        self.leaks += other.leaks;
        self.outages += other.outages;
        self.wrong_servers += other.wrong_servers;
        self.contradictions += other.contradictions;
        self.inconclusive += other.inconclusive;
        self.unjudged += other.unjudged;
        self.unsupported += other.unsupported;
        self.unstated += other.unstated;
        self.known += other.known;
    }
}
