//! From judgements to findings and sums.

use crate::model::document::Counts;
use crate::model::finding::{Blame, Call, Contradiction, Finding, Passing, Subject};
use crate::model::flow::{Flow, FlowId};
use crate::model::matrix::Matrix;
use crate::model::verdict::{Intent, Meaning};
use crate::model::watch::Standing;

use super::judgement::Judgement;
use super::rules::Who;
use super::table::blame_offline;

/// The findings of a stage, gravest first, and in order of flow among equals. `because` says in words why meaning is
/// what it is.
pub fn findings(
    judgements: &Matrix<Judgement>,
    intent: &Matrix<Intent>,
    meaning: &Matrix<Meaning>,
    who: &Who,
    mut because: impl FnMut(FlowId, &Flow) -> String,
) -> Vec<Finding> {
    let mut findings: Vec<Finding> = judgements
        .iter()
        .filter_map(|(id, flow, judgement)| {
            let call = finding_call(judgement)?;
            let intent = intent.get(id).copied().unwrap_or(Intent::Unstated);
            let meaning = meaning.get(id).copied().unwrap_or(Meaning::Unknown);
            let blame = judgement.row.blame.or(blame_offline(intent, meaning)).unwrap_or(Blame::Network);
            Some(Finding {
                flow: who.named(flow),
                call,
                contradiction: judgement.row.contradiction,
                intent,
                meaning,
                reality: Some(judgement.observation.clone()),
                blame,
                because: because(id, flow),
                next: next(call, blame, judgement, flow, who),
                subject: Subject::Flow,
                seen: None,
                passing: judgement.passing,
                time_to_enforce_us: judgement.time_to_enforce_us(),
                windows: judgement.windows.clone(),
            })
        })
        .collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.call.gravity()));
    findings
}

/// What a judgement is a finding as; none if it is none.
fn finding_call(judgement: &Judgement) -> Option<Call> {
    if judgement.standing == Standing::Known {
        return None;
    }
    match judgement.row.call {
        Call::Leak | Call::Outage | Call::WrongServer | Call::Contradiction => Some(judgement.row.call),
        Call::Ok | Call::Inconclusive | Call::Unjudged | Call::Unsupported => match judgement.row.contradiction {
            Contradiction::Present => Some(Call::Contradiction),
            Contradiction::None => None,
        },
    }
}

/// What a person would do next.
fn next(call: Call, blame: Blame, judgement: &Judgement, flow: &Flow, who: &Who) -> String {
    let (from, to) = (who.name(flow.source), who.name(flow.destination));
    let explain = format!("`leakproof explain {} {from} {to} {}{}`", who.scenario, flow.port, who.asking);
    if call == Call::WrongServer {
        return format!(
            "find out who holds {to}'s address at {}: a stale route, a reused address or a translation answers in its place",
            flow.port
        );
    }
    match judgement.passing {
        Some(Passing::AfterConvergence) => {
            return format!("look at what changed when it was wrong; {explain} says what should have held");
        }
        Some(Passing::ToAndFro) => {
            return format!(
                "find what undoes and redoes the rules for {to} at these times; {explain} says what should hold"
            );
        }
        Some(Passing::Late) => {
            return "look at what delays enforcement on the nodes of both ends, or raise `max_enforce:`".into();
        }
        None => {}
    }
    match blame {
        Blame::PolicyTooStrict => format!("{explain} shows what the policy lacks to allow it"),
        Blame::PolicyTooOpen => format!("{explain} shows which rule lets it through"),
        Blame::PolicyNotEnforced => {
            format!(
                "{explain} shows what denies it: it will stop working once the policy is enforced, so allow it there"
            )
        }
        Blame::SomethingElse => {
            format!(
                "look for policies, firewalls or routes outside this scenario between {from} and {to}; {explain} shows why it should pass"
            )
        }
        Blame::CannotTell => format!("check the policies that {explain} names as unknown by hand"),
        Blame::Network => match call {
            Call::Leak => format!(
                "{explain} shows what should stop it; then look at the rules on the node of {to}, and of {from}"
            ),
            Call::Ok
            | Call::Outage
            | Call::WrongServer
            | Call::Contradiction
            | Call::Inconclusive
            | Call::Unjudged
            | Call::Unsupported => {
                format!(
                    "{explain} shows what should let it pass; then look at the rules and routes on the nodes of {from} and {to}"
                )
            }
        },
    }
}

/// Sums over the cells of a stage. `unsupported` are flows that were left out as this world cannot carry them, besides
/// those that are judged so.
pub fn counts(judgements: &Matrix<Judgement>, intent: &Matrix<Intent>) -> Counts {
    let mut counts = Counts::default();
    for (id, _, judgement) in judgements.iter() {
        counts.cells += 1;
        let counted = match judgement.row.call {
            _ if judgement.standing == Standing::Known => &mut counts.known,
            Call::Ok => &mut counts.ok,
            Call::Leak => &mut counts.leaks,
            Call::Outage => &mut counts.outages,
            Call::WrongServer => &mut counts.wrong_servers,
            Call::Contradiction | Call::Inconclusive => &mut counts.inconclusive,
            Call::Unjudged => &mut counts.unjudged,
            Call::Unsupported => &mut counts.unsupported,
        };
        *counted += 1;
        if judgement.row.contradiction == Contradiction::Present {
            counts.contradictions += 1;
        }
        if intent.get(id).is_none_or(|intent| intent.verdict().is_none()) {
            counts.unstated += 1;
        }
    }
    counts
}
