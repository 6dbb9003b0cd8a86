//! The document of a run, put together from what the rooms give.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::Order;
use super::pipeline::{ATTEMPTS, Temper};
use crate::fabric::Placement;
use crate::judge::{self, Judgement, Rules, Who};
use crate::model::document::{Cell, Convergence, EndpointInfo, Settings, Stage};
use crate::model::endpoint::EndpointId;
use crate::model::flow::{Flow, FlowId, NamedFlow};
use crate::model::labels::Labels;
use crate::model::matrix::Matrix;
use crate::model::moment::Moment;
use crate::model::prediction::{PlannedAddress, Predictions, Reason, ReasonId};
use crate::model::verdict::{Intent, Meaning};
use crate::scenario::world::World;
use crate::scenario::{Change, Scenario};

/// Every endpoint the scenario ever names, as it was when it first appeared.
pub(super) fn endpoints(scenario: &Scenario, placed: &BTreeMap<EndpointId, Placement>) -> Vec<EndpointInfo> {
    let worlds: Vec<&World> =
        std::iter::once(scenario.bare()).chain(scenario.stages().iter().map(|stage| &stage.world)).collect();
    let describe = |(place, endpoint): (usize, &crate::scenario::Endpoint)| {
        let id = EndpointId(place as u32);
        let world = worlds.iter().find(|world| world.addresses(id).is_some());
        let pod = world.and_then(|world| world.pods.get(&id));
        let placement = placed.get(&id);
        EndpointInfo {
            name: endpoint.name.clone(),
            kind: endpoint.kind,
            namespace: pod
                .map(|pod| pod.namespace.clone())
                .or_else(|| world.and_then(|world| world.services.get(&id)).map(|service| service.namespace.clone())),
            labels: pod.map_or_else(Labels::default, |pod| pod.labels.clone()),
            node: placement.and_then(|p| p.node.clone()).or_else(|| pod.map(|pod| pod.node.to_string())),
            addresses: placement
                .map(|p| p.addresses)
                .or_else(|| world.and_then(|world| world.addresses(id)))
                .unwrap_or_default(),
            serves: world.map(|world| world.serves(id).to_vec()).unwrap_or_default(),
        }
    };
    let named = scenario.endpoints().len() - scenario.newborns().len();
    scenario.endpoints().iter().enumerate().take(named).map(describe).collect()
}

/// A change in words.
pub(super) fn in_words(change: &Change, scenario: &Scenario) -> String {
    match change {
        Change::CreatePolicy(policy) => format!("create {}", policy.reference()),
        Change::ReplacePolicy(policy) => format!("replace {}", policy.reference()),
        Change::DeletePolicy(policy) => format!("delete {policy}"),
        Change::RelabelPod(pod, labels) => format!("relabel pod {}: {labels}", scenario.name_of(*pod)),
        Change::RelabelNamespace(namespace, labels) => format!("relabel namespace {namespace}: {labels}"),
        Change::AddPod(pod, _) => format!("add pod {}", scenario.name_of(*pod)),
        Change::RemovePod(pod) => format!("remove pod {}", scenario.name_of(*pod)),
    }
}

/// So many adopted policies are named one by one.
const NAMED: usize = 8;

/// What leads to a stage, in words. The first begins with what was there already, where that was adopted.
pub(super) fn changes(stage: &crate::scenario::Stage, scenario: &Scenario) -> Vec<String> {
    let first = scenario.stages().first().is_some_and(|first| first.name == stage.name);
    let mut words = Vec::new();
    if let Some(adopted) = scenario.adopted().filter(|_| first) {
        words.extend(adopted.policies.iter().take(NAMED).map(|policy| format!("adopt {policy}")));
        let more = adopted.policies.len().saturating_sub(NAMED);
        words.extend((more > 0).then(|| format!("adopt {more} more policies")));
        if adopted.policies.is_empty() {
            words.push("adopt no policy: none is in force".to_owned());
        }
    }
    words.extend(stage.changes.iter().map(|change| in_words(change, scenario)));
    words
}

/// The name of the stage before any policy.
pub(super) const BASELINE: &str = "baseline";

/// A stage as the judge left it.
pub(super) struct Judged<'a> {
    pub(super) name: &'a str,
    pub(super) changes: Vec<String>,
    pub(super) sent: Moment,
    pub(super) acknowledged: Moment,
    pub(super) convergence: Convergence,
    pub(super) judgements: Matrix<Judgement>,
    pub(super) intent: &'a Matrix<Intent>,
    pub(super) predictions: &'a Predictions,
    pub(super) who: &'a Who,
}

/// A stage of the document; its times count from `began`.
pub(super) fn stage(judged: Judged<'_>, began: Moment) -> Stage {
    let Judged { judgements, predictions, who, intent, .. } = &judged;
    let meaning = predictions.matrix().map(|_, _, prediction| prediction.meaning);
    // Reasons are numbered anew: the document holds those that its cells name, in the order they are first named.
    let mut reasons = Numbering::default();
    let cells = judgements
        .iter()
        .map(|(id, flow, judgement)| {
            let prediction = predictions.matrix().get(id);
            let named = who.named(flow);
            Cell {
                planned: planned(predictions, (id, flow), &named),
                flow: named,
                intent: intent.get(id).copied().unwrap_or(Intent::Unstated),
                meaning: prediction.map_or(Meaning::Unknown, |prediction| prediction.meaning),
                egress: reasons.number(prediction.map(|prediction| prediction.egress)),
                ingress: reasons.number(prediction.map(|prediction| prediction.ingress)),
                reality: judgement.observation.clone(),
                verdict: judgement.verdict,
                call: judgement.row.call,
                standing: judgement.standing,
                witness: judgement.witness.clone(),
                time_to_enforce_us: judgement.time_to_enforce.map(micros),
                slowest_us: judgement.slowest.map(micros),
                attempts: judgement.attempts,
                unseen: judgement.unseen,
                unobserved: judgement.unobserved,
                windows: judgement.windows.clone(),
                note: judgement.note.clone(),
            }
        })
        .collect();
    let because =
        |id: FlowId, flow: &Flow| because(predictions, id, &planned(predictions, (id, flow), &who.named(flow)));
    let findings =
        if judged.name == BASELINE { Vec::new() } else { judge::findings(judgements, intent, &meaning, who, because) };
    Stage {
        name: judged.name.to_owned(),
        changes: judged.changes.clone(),
        sent_us: micros(judged.sent.since(began)),
        acknowledged_us: micros(judged.acknowledged.since(began)),
        convergence: judged.convergence.clone(),
        cells,
        findings,
        counts: judge::counts(judgements, intent),
        reasons: reasons.resolve(predictions),
    }
}

/// Numbers for reasons, from 0, as a document names them.
#[derive(Default)]
pub(super) struct Numbering {
    numbers: HashMap<Option<ReasonId>, u32>,
    order: Vec<Option<ReasonId>>,
}

impl Numbering {
    pub(super) fn number(&mut self, reason: Option<ReasonId>) -> u32 {
        *self.numbers.entry(reason).or_insert_with(|| {
            self.order.push(reason);
            self.order.len() as u32 - 1
        })
    }

    pub(super) fn resolve(self, predictions: &Predictions) -> Vec<Reason> {
        let unknown = || Reason::Unknown { by: Vec::new() };
        self.order.into_iter().map(|id| id.and_then(|id| predictions.reason(id)).unwrap_or_else(unknown)).collect()
    }
}

/// The addresses chosen by leakproof that the meaning of a cell rests on. Those of pods behind a Service have its name.
pub(super) fn planned(
    predictions: &Predictions,
    (id, flow): (FlowId, &Flow),
    named: &NamedFlow,
) -> Vec<PlannedAddress> {
    let name = |end: EndpointId| if end == flow.source { &named.from } else { &named.to };
    let all = predictions.planned(id).iter();
    all.map(|(end, address)| PlannedAddress { endpoint: name(*end).clone(), address: *address }).collect()
}

/// Why meaning is what it is, in one sentence.
pub(super) fn because(predictions: &Predictions, id: FlowId, planned: &[PlannedAddress]) -> String {
    let Some(prediction) = predictions.matrix().get(id) else { return String::new() };
    let side = |name: &str, id| match predictions.reason(id) {
        Some(Reason::NoPod) | None => String::new(),
        Some(Reason::NotIsolated) => format!("no policy isolates the {name}"),
        Some(Reason::Allowed { by }) => format!("at the {name}, {} allows it", list(&by)),
        Some(Reason::Isolated { by }) => format!("at the {name}, {} selects it and no rule matches", list(&by)),
        Some(reason @ Reason::Behind { .. }) => format!("at the {name}, {}", crate::report::story::reason(&reason)),
        Some(Reason::Unknown { by }) => format!("at the {name}, {} may touch it and is not understood", list(&by)),
    };
    let rests = if planned.is_empty() { String::new() } else { crate::report::story::planned(planned) };
    let sides = [side("source", prediction.egress), side("destination", prediction.ingress), rests];
    sides.into_iter().filter(|side| !side.is_empty()).collect::<Vec<_>>().join("; ")
}

fn list<T: std::fmt::Display>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The settings a stage was judged by.
pub(super) fn settings(rules: &Rules) -> Settings {
    Settings {
        deadline_us: micros(rules.deadline),
        attempts: rules.attempts,
        interval_us: micros(rules.interval),
        converge_within_us: micros(rules.converge_within),
        max_enforce_us: rules.max_enforce.map(micros),
        deny: rules.deny,
        strictness: rules.strictness,
    }
}

/// The settings a run begins with: what is known of them before any stage.
pub(super) fn settings_before(order: &Order<'_>, temper: Temper) -> Settings {
    let timing = order.scenario.timing();
    Settings {
        deadline_us: micros(order.deadline.or(timing.deadline).unwrap_or(temper.deadline)),
        attempts: order.attempts.or(timing.attempts).unwrap_or(ATTEMPTS),
        interval_us: 0,
        converge_within_us: micros(order.converge_within.unwrap_or(timing.converge_within)),
        max_enforce_us: timing.max_enforce.map(micros),
        deny: order.scenario.deny(),
        strictness: order.strictness,
    }
}

/// A duration in whole microseconds.
pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
