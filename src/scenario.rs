//! Scenario files: YAML in, a valid [`Scenario`] out, or every error of the file at once.
//!
//! [`load`] is the only door. What it lets through is whole: every name resolved, every expectation covering a cell,
//! every stage's world computed, so that no room behind it has to check anything again.

pub mod world;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::model::endpoint::{EndpointId, EndpointKind, Family};
use crate::model::flow::{CellSet, Flow, FlowTable, NamedFlow};
use crate::model::labels::Labels;
use crate::model::matrix::Matrix;
use crate::model::prediction::PolicyRef;
use crate::model::verdict::{DenyForm, Intent};
use crate::policy::Policy;
use world::{Pod, World};

/// A valid scenario.
#[derive(Debug, Clone)]
pub struct Scenario {
    pub(in crate::scenario) name: String,
    pub(in crate::scenario) file: PathBuf,
    pub(in crate::scenario) about: Option<String>,
    pub(in crate::scenario) families: Vec<Family>,
    pub(in crate::scenario) endpoints: Vec<Endpoint>,
    pub(in crate::scenario) flows: Arc<FlowTable>,
    pub(in crate::scenario) bare: World,
    pub(in crate::scenario) baseline: Arc<CellSet>,
    pub(in crate::scenario) stages: Vec<Stage>,
    pub(in crate::scenario) timing: Timing,
    pub(in crate::scenario) deny: DenyForm,
    pub(in crate::scenario) warnings: Vec<String>,
}

/// One endpoint the scenario names, in any stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: EndpointKind,
}

/// The world after some changes, and what is expected of it.
#[derive(Debug, Clone)]
pub struct Stage {
    /// `policies` for the first, then each step's `about:`, or `step 1` and so on; unique within the scenario.
    pub name: String,
    /// What leads here from the stage before, in order; for the first, the initial policies.
    pub changes: Vec<Change>,
    /// The world once they are made.
    pub world: World,
    /// The flows whose two ends exist then.
    pub cells: Arc<CellSet>,
    /// What the author wrote about each.
    pub intent: Matrix<Intent>,
    /// Time limits of this stage: the step's own where it gives them, else the scenario's.
    pub timing: Timing,
}

/// One change of the world.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A policy that was not there is created.
    CreatePolicy(Policy),
    /// A policy of the same kind, namespace and name is replaced.
    ReplacePolicy(Policy),
    /// A policy is deleted.
    DeletePolicy(PolicyRef),
    /// A pod's labels become these, all of them.
    RelabelPod(EndpointId, Labels),
    /// A namespace's labels become these, all of them.
    RelabelNamespace(String, Labels),
    /// A pod is added.
    AddPod(EndpointId, Pod),
    /// A pod is removed.
    RemovePod(EndpointId),
}

/// Time limits; what the file leaves out, the fabric's default fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// `deadline:` of one attempt.
    pub deadline: Option<Duration>,
    /// `attempts:` that make a denial.
    pub attempts: Option<u32>,
    /// `interval:` between attempts on one cell.
    pub interval: Option<Duration>,
    /// `converge_within:`.
    pub converge_within: Duration,
    /// `max_enforce:`.
    pub max_enforce: Option<Duration>,
}

impl Scenario {
    /// The file's name without its ending.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// The file.
    pub fn file(&self) -> &std::path::Path {
        &self.file
    }
    /// `about:`.
    pub fn about(&self) -> Option<&str> {
        self.about.as_deref()
    }
    /// The families its flows use, IPv4 first.
    pub fn families(&self) -> &[Family] {
        &self.families
    }
    /// Every endpoint of any stage, in order of name; an [`EndpointId`] is a place in this list.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }
    /// Every flow of any stage.
    pub fn flows(&self) -> &Arc<FlowTable> {
        &self.flows
    }
    /// The world before any policy: what the fabric makes first and the baseline is taken of.
    pub fn bare(&self) -> &World {
        &self.bare
    }
    /// The cells of the bare world.
    pub fn baseline(&self) -> &Arc<CellSet> {
        &self.baseline
    }
    /// The stages, at least one.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }
    /// Limits for the whole scenario.
    pub fn timing(&self) -> Timing {
        self.timing
    }
    /// `deny:`.
    pub fn deny(&self) -> DenyForm {
        self.deny
    }
    /// What a person should know though the file is valid.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
    /// An endpoint by name.
    pub fn find(&self, name: &str) -> Option<EndpointId> {
        self.endpoints.binary_search_by(|e| e.name.as_str().cmp(name)).ok().map(|place| EndpointId(place as u32))
    }
    /// The name of an endpoint of this scenario.
    pub fn name_of(&self, id: EndpointId) -> &str {
        self.endpoints.get(id.index()).map_or("?", |e| e.name.as_str())
    }
    /// A flow of this scenario with names.
    pub fn named(&self, flow: &Flow) -> NamedFlow {
        NamedFlow {
            from: self.name_of(flow.source).into(),
            to: self.name_of(flow.destination).into(),
            family: flow.family,
            port: flow.port,
        }
    }
}
