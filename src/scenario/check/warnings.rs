//! What is in a scenario and does nothing.

use super::cast::Cast;
use crate::model::labels::Labels;
use crate::model::matrix::Matrix;
use crate::model::verdict::Intent;
use crate::policy::Policy;
use crate::policy::network_policy::NetworkPolicy;
use crate::policy::selector::{LabelSelector, Operator};
use crate::scenario::Stage;
use crate::scenario::borrowed::Borrowed;
use crate::scenario::diagnostic::Code;
use crate::scenario::log::{Log, warning};
use crate::scenario::raw;
use crate::scenario::text::Span;

/// Says what has no effect in any stage.
pub(super) fn unused(raw: &raw::Scenario, stages: &[Stage], placed: &[(Policy, Span)], cast: &Cast, log: &mut Log) {
    for (policy, span) in placed {
        let Policy::Network(policy) = policy else { continue };
        let asked = |borrowed: &Borrowed| borrowed.said.is_none() && borrowed.namespace == policy.namespace;
        // What labels a pod has that is like a workload, only a cluster knows.
        let unknown = cast.borrowed.values().any(asked);
        if !unknown && !stages.iter().any(|stage| selects_somebody(policy, stage)) {
            let message = format!("the policy `{}` selects no pod of this scenario", policy.reference());
            log.push(warning(Code::NoEffect, message).at(*span));
        }
    }
    for (name, _) in &raw.namespaces {
        let lived_in = cast.pods.values().any(|pod| pod.namespace == name.value);
        let governed = placed.iter().any(|(policy, _)| policy.reference().namespace.as_deref() == Some(&name.value));
        if !lived_in && !governed {
            let message = format!("no pod and no policy is in the namespace `{}`", name.value);
            log.push(warning(Code::NoEffect, message).at(name.span));
        }
    }
    let stated = raw.expect.len() + raw.steps.iter().map(|step| step.expect.len()).sum::<usize>();
    if stated == 0 {
        let message = "nothing is expected: what the policies say is all there is to judge by";
        log.push(warning(Code::Unstated, message).at(raw.span).help("say under `expect` what is meant"));
        return;
    }
    let mut named = vec![false; cast.endpoints.len()];
    for stage in stages {
        let versions = stage.by_release.iter().map(|by| &by.intent);
        for (_, flow, intent) in [&stage.intent].into_iter().chain(versions).flat_map(Matrix::iter) {
            if *intent != Intent::Unstated {
                for id in [flow.source, flow.destination] {
                    if let Some(slot) = named.get_mut(id.index()) {
                        *slot = true;
                    }
                }
            }
        }
    }
    for ((endpoint, span), named) in cast.endpoints.iter().zip(&cast.spans).zip(named) {
        if !named {
            let message = format!("no expectation speaks of `{}`", endpoint.name);
            log.push(warning(Code::Unstated, message).at(*span));
        }
    }
}

fn selects_somebody(policy: &NetworkPolicy, stage: &Stage) -> bool {
    let in_force = |other: &Policy| matches!(other, Policy::Network(other) if **other == *policy);
    stage.world.policies.iter().any(in_force)
        && stage
            .world
            .pods
            .values()
            .any(|pod| pod.namespace == policy.namespace && matches(&policy.pod_selector, &pod.labels))
}

/// For a warning only: the readings that verdicts come from are the oracle's and the lab's own.
fn matches(selector: &LabelSelector, labels: &Labels) -> bool {
    selector.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
        && selector.match_expressions.iter().all(|requirement| {
            let value = labels.get(&requirement.key);
            match &requirement.operator {
                Operator::In(values) => value.is_some_and(|value| values.iter().any(|one| one == value)),
                Operator::NotIn(values) => !value.is_some_and(|value| values.iter().any(|one| one == value)),
                Operator::Exists => value.is_some(),
                Operator::DoesNotExist => value.is_none(),
            }
        })
}
