//! The rights that leakproof uses, and whether we have them. `ci/rbac.yaml` grants exactly these; a test holds the two
//! against each other.

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::{Api, PostParams};

use crate::fabric::cluster::error::Said;
use crate::fabric::cluster::server::Server;
use crate::model::checkup::Check;

/// What is lost without a right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Without {
    /// No scenario can be run.
    Nothing,
    /// What the words say.
    Less(&'static str),
}

/// Rights on one resource.
#[derive(Debug, Clone, Copy)]
pub struct Right {
    /// The API group; empty for the core's.
    pub group: &'static str,
    /// The resource, with its subresource behind a `/`.
    pub resource: &'static str,
    /// The verbs.
    pub verbs: &'static [&'static str],
    /// What is lost without them.
    pub without: Without,
}

const fn right(group: &'static str, resource: &'static str, verbs: &'static [&'static str], without: Without) -> Right {
    Right { group, resource, verbs, without }
}

const GATHER: Without = Without::Less("less is gathered when something fails");
const OTHERS: Without = Without::Less("policies of this kind are neither made nor found");
const ADOPTING: Without = Without::Less("`--adopt` cannot be used");
const LIKE: Without = Without::Less("`like:` cannot be used for these");
const DOCTOR: Without = Without::Less("doctor sees less");
const LOG: Without = Without::Less("a watch's log of what happens around it has gaps");
const SERVICES: Without = Without::Less("scenarios with Services cannot be run");

/// Everything that leakproof asks of an API server.
pub const USED: &[Right] = &[
    right("", "namespaces", &["get", "list", "create", "delete", "patch"], Without::Nothing),
    right("", "nodes", &["get", "list"], Without::Nothing),
    right("", "pods", &["get", "list", "watch", "create", "delete", "patch"], Without::Nothing),
    right("", "pods/portforward", &["get", "create"], Without::Nothing),
    right("networking.k8s.io", "networkpolicies", &["get", "list", "create", "update", "delete"], Without::Nothing),
    right("", "nodes", &["watch"], LOG),
    right("networking.k8s.io", "networkpolicies", &["watch"], LOG),
    right("apps", "daemonsets", &["get", "list"], Without::Nothing),
    right("apps", "daemonsets", &["watch"], LOG),
    right("apps", "deployments", &["list", "watch"], LOG),
    right("", "services", &["get", "list", "create", "delete"], SERVICES),
    right("", "configmaps", &["list", "create", "delete"], ADOPTING),
    right("policy", "poddisruptionbudgets", &["list"], ADOPTING),
    right("apps", "deployments", &["get"], LIKE),
    right("apps", "statefulsets", &["get"], LIKE),
    right("apps", "replicasets", &["get"], LIKE),
    right("batch", "jobs", &["get"], LIKE),
    right("batch", "cronjobs", &["get"], LIKE),
    right("", "secrets", &["get", "list", "create", "delete"], Without::Less("`--pull-secret` cannot be used")),
    right("", "events", &["list"], GATHER),
    right("", "pods/log", &["get"], GATHER),
    right("apiregistration.k8s.io", "apiservices", &["list"], DOCTOR),
    right("operator.tigera.io", "installations", &["get", "list"], DOCTOR),
    right("operator.tigera.io", "installations", &["watch"], LOG),
    right("operator.tigera.io", "apiservers", &["list", "watch"], LOG),
    right("operator.tigera.io", "tigerastatuses", &["list", "watch"], LOG),
    right("projectcalico.org", "*", &["get", "list", "create", "update", "delete"], OTHERS),
    right("crd.projectcalico.org", "*", &["get", "list", "create", "update", "delete"], OTHERS),
    right("policy.networking.k8s.io", "*", &["get", "list", "create", "update", "delete"], OTHERS),
    right("projectcalico.org", "*", &["watch"], LOG),
    right("crd.projectcalico.org", "*", &["watch"], LOG),
    right("policy.networking.k8s.io", "*", &["watch"], LOG),
];

/// Asks for every right. One line for all that are there, and one for each resource where some are not.
pub(super) async fn ask(server: &Server) -> Vec<Check> {
    let asked = USED.iter().flat_map(|right| right.verbs.iter().map(move |verb| (right, *verb)));
    let answers = futures::future::join_all(
        asked.map(|(right, verb)| async move { (right, verb, allowed(server, right, verb).await) }),
    )
    .await;
    checks(&answers)
}

fn checks(answers: &[(&Right, &str, Result<bool, Said>)]) -> Vec<Check> {
    if let Some(said) = answers.iter().find_map(|(.., answer)| answer.as_ref().err()) {
        return vec![Check::warning(format!("which rights we have cannot be told: {said}"))];
    }
    let mut missing: Vec<(&Right, Vec<&str>)> = Vec::new();
    for (right, verb, answer) in answers {
        if matches!(answer, Ok(true)) {
            continue;
        }
        match missing.last_mut().filter(|(last, _)| std::ptr::eq(*last, *right)) {
            Some((_, verbs)) => verbs.push(verb),
            None => missing.push((right, vec![verb])),
        }
    }
    let has = answers.len() - missing.iter().map(|(_, verbs)| verbs.len()).sum::<usize>();
    let mut checks = vec![Check::fine(format!("{has} of the {} rights that leakproof uses", answers.len()))];
    checks.extend(missing.into_iter().map(|(right, verbs)| {
        let group = if right.group.is_empty() { String::new() } else { format!(".{}", right.group) };
        let what = format!("no right to {} {}{group}", verbs.join(", "), right.resource);
        let check = match right.without {
            Without::Nothing => Check::error(what),
            Without::Less(lost) => Check::warning(format!("{what}: {lost}")),
        };
        check.advice("`kubectl apply -f ci/rbac.yaml` grants what leakproof uses to its service account")
    }));
    checks
}

async fn allowed(server: &Server, right: &Right, verb: &str) -> Result<bool, Said> {
    let (resource, subresource) = match right.resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (right.resource, None),
    };
    let attributes = ResourceAttributes {
        group: Some(right.group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource,
        verb: Some(verb.to_owned()),
        ..ResourceAttributes::default()
    };
    let question = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), non_resource_attributes: None },
        ..SelfSubjectAccessReview::default()
    };
    let api: Api<SelfSubjectAccessReview> = Api::all(server.client());
    let answer = api.create(&PostParams::default(), &question).await.map_err(|error| Said::new(&error))?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};

    use super::*;
    use crate::model::checkup::State;

    #[test]
    fn the_manifest_that_ships_grants_exactly_what_is_used() {
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/ci/rbac.yaml")).unwrap();
        let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(&text).unwrap();
        let of_kind = |kind: &str| documents.iter().find(|one| one["kind"] == kind).cloned().unwrap();
        let role: ClusterRole = serde_json::from_value(of_kind("ClusterRole")).unwrap();
        let mut granted: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
        for rule in role.rules.unwrap() {
            for group in rule.api_groups.iter().flatten() {
                for resource in rule.resources.iter().flatten() {
                    let verbs = granted.entry((group.clone(), resource.clone())).or_default();
                    verbs.extend(rule.verbs.iter().cloned());
                }
            }
        }
        let mut used: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
        for right in USED {
            let verbs = used.entry((right.group.to_owned(), right.resource.to_owned())).or_default();
            verbs.extend(right.verbs.iter().map(|verb| (*verb).to_owned()));
        }
        assert_eq!(granted, used);
        let binding: ClusterRoleBinding = serde_json::from_value(of_kind("ClusterRoleBinding")).unwrap();
        let account = of_kind("ServiceAccount");
        let subject = &binding.subjects.unwrap()[0];
        assert_eq!(binding.role_ref.name, role.metadata.name.unwrap());
        assert_eq!(account["metadata"]["name"], subject.name.as_str());
        assert_eq!(account["metadata"]["namespace"].as_str(), subject.namespace.as_deref());
    }

    #[test]
    fn a_missing_right_is_an_error_or_a_warning_by_what_is_lost() {
        let answers = |denied: &[(&str, &str)]| -> Vec<(&Right, &str, Result<bool, Said>)> {
            let asked = USED.iter().flat_map(|right| right.verbs.iter().map(move |verb| (right, *verb)));
            asked.map(|(right, verb)| (right, verb, Ok(!denied.contains(&(right.resource, verb))))).collect()
        };
        let told = |denied: &[(&str, &str)]| -> Vec<(State, String)> {
            checks(&answers(denied)).into_iter().skip(1).map(|check| (check.state, check.says)).collect()
        };
        assert_eq!(told(&[]), [], "all are there");
        assert_eq!(
            told(&[("pods", "create"), ("pods", "delete"), ("events", "list")]),
            [
                (State::Error, "no right to create, delete pods".to_owned()),
                (State::Warning, "no right to list events: less is gathered when something fails".to_owned()),
            ]
        );
        let unknown = [(&USED[0], "get", Err(Said::text("the server is away")))];
        assert_eq!(checks(&unknown)[0].state, State::Warning, "a question without an answer is no missing right");
    }
}
