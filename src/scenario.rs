//! Scenario files: YAML in, a valid [`Scenario`] out, or every error of the file at once.
//!
//! [`load`] is the only door. What it lets through is whole: every name resolved, every expectation covering a cell,
//! every stage's world computed, so that no room behind it has to check anything again.

pub mod adopted;
pub mod borrowed;
mod check;
mod decode;
pub mod diagnostic;
mod labels;
mod log;
mod manifest;
mod narrow;
pub mod newborns;
pub mod outputs;
mod phases;
mod raw;
pub mod requirement;
mod schema;
pub mod source;
mod text;
mod tree;
pub mod versioned;
mod widen;
pub mod world;
mod yaml;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;

use crate::model::document::Strictness;
use crate::model::endpoint::{EndpointId, EndpointKind, Family};
use crate::model::finding::Call;
use crate::model::flow::{CellSet, Flow, FlowTable, NamedFlow};
use crate::model::labels::Labels;
use crate::model::matrix::Matrix;
use crate::model::prediction::PolicyRef;
use crate::model::verdict::{DenyForm, Intent};
use crate::policy::Policy;
use diagnostic::{Code, Diagnostic};
use log::{Log, error};
use requirement::Requirement;
use source::{Disk, Memory, Source};
use world::{Pod, World};

pub use diagnostic::Refusal;
pub use manifest::policy_from_json;
pub use narrow::{Pick, PickSyntax};
pub use phases::Phases;
pub use schema::schema;

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
    pub(in crate::scenario) known: Vec<Known>,
    pub(in crate::scenario) requirement: Option<Requirement>,
    pub(in crate::scenario) newborns: Vec<newborns::Newborn>,
    /// So many of the endpoints are those of the file, in order of name; the others come after them.
    pub(in crate::scenario) named: usize,
    pub(in crate::scenario) adopted: Option<adopted::Adopted>,
    pub(in crate::scenario) borrowed: BTreeMap<EndpointId, borrowed::Borrowed>,
    pub(in crate::scenario) names: outputs::Names,
    pub(in crate::scenario) deny: DenyForm,
    pub(in crate::scenario) warnings: Vec<String>,
    pub(in crate::scenario) remarks: Vec<Diagnostic>,
}

/// Loads a scenario from disk, and the manifests it names, relative to its folder.
///
/// # Errors
/// Every error of all these files at once, with the warnings there were. With [`Strictness::Strict`] a flow that no
/// expectation covers is an error too.
pub fn load(path: &Path, strictness: Strictness) -> Result<Scenario, Refusal> {
    load_with(&Disk, path, strictness)
}

/// Loads a scenario from a text, which can name no files. It is called `scenario.yaml` in diagnostics.
///
/// # Errors
/// As [`load`].
pub fn load_str(text: &str, strictness: Strictness) -> Result<Scenario, Refusal> {
    let name = "scenario.yaml";
    load_with(&Memory::default().with(name, text), Path::new(name), strictness)
}

/// Loads a scenario from wherever files come from.
///
/// # Errors
/// As [`load`].
pub fn load_with(source: &dyn Source, path: &Path, strictness: Strictness) -> Result<Scenario, Refusal> {
    let mut log = Log::default();
    let scenario = read(source, path, strictness, &mut log);
    let shown = path.display().to_string();
    if scenario.is_none() && log.errors() == 0 {
        log.push(error(Code::Syntax, format!("`{shown}` could not be read as a scenario")));
    }
    let remarks = log.finish(&shown)?;
    let warnings = remarks.iter().map(Diagnostic::line).collect();
    match scenario {
        Some(scenario) => Ok(Scenario { warnings, remarks, ..scenario }),
        None => Err(Refusal { file: shown, diagnostics: remarks, omitted: 1 }),
    }
}

/// Whether a file holds a Kubernetes manifest where a scenario is wanted, as a pattern of a shell finds them beside each other.
/// A file that cannot be read is none.
pub fn holds_manifest(path: &Path) -> bool {
    let Ok(content) = Disk.read(path) else { return false };
    let mut log = Log::default();
    let (file, text) = log.add_text("", content);
    yaml::parse(file, text.content(), &mut log).first().is_some_and(is_manifest)
}

fn is_manifest(document: &tree::Node) -> bool {
    let has = |key| document.get(key).is_some();
    has("apiVersion") && has("kind") && !has("version")
}

fn read(source: &dyn Source, path: &Path, strictness: Strictness, log: &mut Log) -> Option<Scenario> {
    let shown = path.display();
    let content = match source.read(path) {
        Ok(content) => content,
        Err(why) => {
            log.push(error(why.code(), format!("cannot read `{shown}`: {why}")));
            return None;
        }
    };
    let (file, text) = log.add_text(shown.to_string(), content);
    let documents = yaml::parse(file, text.content(), log);
    if log.errors() > 0 && documents.is_empty() {
        return None;
    }
    let Some(document) = documents.first() else {
        log.push(error(Code::Missing, format!("`{shown}` holds nothing")).help("a scenario begins with `version: 1`"));
        return None;
    };
    if let Some(second) = documents.get(1) {
        let message = "a scenario is one document, and here a second one begins";
        log.push(error(Code::Syntax, message).at(second.span).help("policies stand under `policies`"));
    }
    if is_manifest(document) {
        log.push(
            error(Code::WrongType, format!("`{shown}` is a Kubernetes manifest, not a scenario"))
                .at(document.span)
                .help("name the scenario that lists this file under `policies:`"),
        );
        return None;
    }
    let raw = raw::read::scenario(document, log)?;
    check::check(&raw, path, source, strictness, log)
}

/// One endpoint the scenario names, in any stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    /// Its name: of a pod `namespace/name` where a pod of another namespace has that name too.
    pub name: String,
    /// What it is.
    pub kind: EndpointKind,
    /// Of a pod that the file names, the namespace as the file calls it.
    pub namespace: Option<String>,
}

impl Endpoint {
    /// The name of the object that is made for it, unique within its namespace.
    pub fn object(&self) -> &str {
        self.name.split_once('/').map_or(self.name.as_str(), |(_, name)| name)
    }
}

/// The names of the pods that a name without a namespace could mean, quoted; none where it means one thing or nothing.
fn candidates(endpoints: &[Endpoint], name: &str) -> Vec<String> {
    let all = endpoints.iter().filter(|endpoint| endpoint.name != name && endpoint.object() == name);
    all.map(|endpoint| format!("`{}`", endpoint.name)).collect()
}

/// The world after some changes, and what is expected of it.
#[derive(Debug, Clone)]
pub struct Stage {
    /// `policies` for the first, then each step's `about:`, or `step 1` and so on; unique within the scenario.
    pub name: String,
    /// What leads here from the stage before, in the order of [`Phases`]; for the first, the initial policies.
    pub changes: Vec<Change>,
    /// The world once they are made.
    pub world: World,
    /// The flows whose two ends exist then.
    pub cells: Arc<CellSet>,
    /// What the author wrote about each.
    pub intent: Matrix<Intent>,
    /// How much may go wrong with single flows while they are watched; those that are not here have no budget of their
    /// own.
    pub budgets: HashMap<Flow, Budget>,
    /// Both, for ranges of Calico's versions, in order. Empty where nothing depends on the version; else `intent` and
    /// `budgets` are what holds where it is not known.
    pub by_release: Vec<versioned::ByRelease>,
    /// Time limits of this stage: the step's own where it gives them, else the scenario's.
    pub timing: Timing,
}

/// How much may go wrong with a flow while it is watched, where its expectation says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budget {
    /// `max_outage:`.
    pub max_outage: Option<Duration>,
    /// `max_leak:`.
    pub max_leak: Option<Duration>,
}

/// An entry of `known:`: what is known to go wrong and is put up with until a day.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// The entry's flows in words, as written.
    pub words: String,
    /// The flows it covers, of all stages.
    pub flows: HashSet<Flow>,
    /// A leak or an outage.
    pub call: Call,
    /// Why it is put up with.
    pub reason: String,
    /// The last day on which it is.
    pub until: Date,
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
    /// Every endpoint of any stage, in order of name, then those of the run itself, then newborns; an [`EndpointId`] is a place in this list.
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
    /// `known:`.
    pub fn known(&self) -> &[Known] {
        &self.known
    }
    /// `requires:`: what the place it is run in must be.
    pub fn requirement(&self) -> Option<&Requirement> {
        self.requirement.as_ref()
    }
    /// What was found in a cluster and is left as it is, where this scenario was made of that.
    pub fn adopted(&self) -> Option<&adopted::Adopted> {
        self.adopted.as_ref()
    }
    /// `deny:`.
    pub fn deny(&self) -> DenyForm {
        self.deny
    }
    /// What a person should know though the file is valid: one line each, with file, line and column.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
    /// The same with code, places and help, for those who render or sort them.
    pub fn remarks(&self) -> &[Diagnostic] {
        &self.remarks
    }
    /// An endpoint by name, or a pod by `namespace/name`.
    pub fn find(&self, name: &str) -> Option<EndpointId> {
        let (named, others) = self.endpoints.split_at(self.named.min(self.endpoints.len()));
        let other = || others.iter().position(|e| e.name == name).map(|place| named.len() + place);
        let in_full = || {
            let (namespace, name) = name.split_once('/')?;
            named.iter().position(|e| e.namespace.as_deref() == Some(namespace) && e.object() == name)
        };
        let place = named.binary_search_by(|e| e.name.as_str().cmp(name)).ok().or_else(other).or_else(in_full);
        place.map(|place| EndpointId(place as u32))
    }
    /// The names of the pods that a name could mean to which [`Self::find`] finds nothing, quoted.
    pub fn candidates(&self, name: &str) -> Vec<String> {
        candidates(&self.endpoints, name)
    }
    /// The name of the object that is made for an endpoint of this scenario.
    pub fn object_name(&self, id: EndpointId) -> &str {
        self.endpoints.get(id.index()).map_or("?", Endpoint::object)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::verdict::{Intent, Verdict};

    fn pipeline() -> Scenario {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/ai-data-pipeline.yaml");
        load(&file, Strictness::Strict)
            .unwrap_or_else(|refusal| panic!("{}", refusal.render(diagnostic::Colour::Never)))
    }

    #[test]
    fn the_pipeline_scenario_is_whole() {
        let scenario = pipeline();
        assert_eq!(scenario.name(), "ai-data-pipeline");
        assert_eq!(scenario.warnings(), &[] as &[String]);
        let names: Vec<&str> = scenario.endpoints().iter().map(|endpoint| endpoint.name.as_str()).collect();
        assert_eq!(names, ["ai-processing", "data-store", "data-store-2", "impostor", "intruder", "unlabelled"]);
        let [stage] = scenario.stages() else { panic!("{} stages", scenario.stages().len()) };
        assert_eq!((stage.name.as_str(), stage.changes.len(), stage.world.policies.len()), ("policies", 1, 1));
        // 5 sources for each of 3 ports of data-store, 1 of data-store-2, and 4 pods that serve 8080/tcp.
        assert_eq!(stage.cells.len(), 5 * (3 + 1 + 4));
        assert_eq!(scenario.baseline().len(), stage.cells.len());
        let wrong: Vec<String> = stage
            .intent
            .iter()
            .filter(|(_, flow, intent)| {
                let into = scenario.name_of(flow.destination).starts_with("data-store");
                let right = if into && scenario.name_of(flow.source) != "ai-processing" {
                    Verdict::Denied
                } else {
                    Verdict::Allowed
                };
                **intent != Intent::Stated(right)
            })
            .map(|(_, flow, intent)| format!("{} {intent:?}", scenario.named(flow)))
            .collect();
        assert_eq!(wrong, [] as [String; 0]);
    }
}
