//! The rights that leakproof uses, and whether we have them. `ci/rbac.yaml` grants exactly these; a test holds the two
//! against each other.
//!
//! `doctor` asks for all of them. A run asks before it makes anything for those it cannot do without: half-way through it
//! would leave what it has no right to remove.

use std::collections::BTreeSet;

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, ResourceRule, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SelfSubjectRulesReview,
    SelfSubjectRulesReviewSpec,
};
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
    /// The one object it is needed for, by namespace and name; none: all of them.
    pub object: Option<(&'static str, &'static str)>,
    /// The verbs.
    pub verbs: &'static [&'static str],
    /// What is lost without them.
    pub without: Without,
}

const fn right(group: &'static str, resource: &'static str, verbs: &'static [&'static str], without: Without) -> Right {
    Right { group, resource, object: None, verbs, without }
}

/// kube-proxy's mode decides what Calico's dataplane may be.
const PROXY: Right = Right { object: Some(("kube-system", "kube-proxy")), ..right("", "configmaps", &["get"], DOCTOR) };

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
    right("", "namespaces", &["watch"], Without::Less("removing a run asks again and again whether it is gone")),
    right("", "nodes", &["watch"], LOG),
    right("networking.k8s.io", "networkpolicies", &["watch"], LOG),
    right("apps", "daemonsets", &["get", "list"], Without::Less("the network plugin is not recognised")),
    right("apps", "daemonsets", &["watch"], LOG),
    right("apps", "deployments", &["list", "watch"], LOG),
    right("", "services", &["get", "list", "create", "delete"], SERVICES),
    right("", "configmaps", &["list", "create", "delete"], ADOPTING),
    PROXY,
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

/// What a scenario does besides what every one does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// It changes labels.
    Relabels,
    /// It changes a policy.
    Replaces,
    /// It makes Services.
    Serves,
    /// It stands among what is somebody else's.
    Adopts,
}

/// The rights that a scenario cannot be run without: resource and verb, with its group.
fn needed(deeds: &BTreeSet<Deed>) -> Vec<(&'static Right, &'static str)> {
    let by_verb = |verb: &str| match verb {
        "patch" => deeds.contains(&Deed::Relabels),
        "update" => deeds.contains(&Deed::Replaces),
        _ => true,
    };
    let wanted = |right: &Right| match right.without {
        Without::Nothing => true,
        SERVICES => deeds.contains(&Deed::Serves),
        ADOPTING => deeds.contains(&Deed::Adopts),
        Without::Less(_) => false,
    };
    let all = USED.iter().filter(|right| wanted(right));
    all.flat_map(|right| right.verbs.iter().filter(|verb| by_verb(verb)).map(move |verb| (right, *verb))).collect()
}

/// The rights that a scenario cannot be run without and that we do not have, in words; none where nobody can tell.
///
/// One question about all our rights answers most of the time. What is not among its answers may still be granted in a way
/// that cannot be listed, so it is asked for by name.
pub(in crate::fabric::cluster) async fn missing(server: &Server, deeds: &BTreeSet<Deed>) -> Option<String> {
    let needed = needed(deeds);
    let listed = listed(server).await;
    let open: Vec<_> =
        needed.into_iter().filter(|(right, verb)| !listed.iter().any(|rule| grants(rule, right, verb))).collect();
    let asked = open.iter().map(|(right, verb)| allowed(server, right, verb));
    let answers = futures::future::join_all(asked).await;
    let denied = open.iter().zip(answers).filter(|(_, answer)| matches!(answer, Ok(false)));
    let mut words: Vec<(&Right, Vec<&str>)> = Vec::new();
    for ((right, verb), _) in denied {
        match words.last_mut().filter(|(last, _)| std::ptr::eq(*last, *right)) {
            Some((_, verbs)) => verbs.push(verb),
            None => words.push((right, vec![verb])),
        }
    }
    let words: Vec<String> = words.iter().map(|(right, verbs)| in_words(right, verbs)).collect();
    (!words.is_empty()).then(|| words.join("; "))
}

/// `no right to create, delete pods`, `no right to get configmaps kube-system/kube-proxy`
fn in_words(right: &Right, verbs: &[&str]) -> String {
    let group = if right.group.is_empty() { String::new() } else { format!(".{}", right.group) };
    let object = right.object.map_or_else(String::new, |(namespace, name)| format!(" {namespace}/{name}"));
    format!("no right to {} {}{group}{object}", verbs.join(", "), right.resource)
}

/// What we are granted by rules that hold for whole clusters, as far as they can be listed. Rules of one namespace may be
/// among them, of one where nobody is likely to be granted anything.
async fn listed(server: &Server) -> Vec<ResourceRule> {
    let question = SelfSubjectRulesReview {
        spec: SelfSubjectRulesReviewSpec { namespace: Some("kube-node-lease".to_owned()) },
        ..SelfSubjectRulesReview::default()
    };
    let api: Api<SelfSubjectRulesReview> = Api::all(server.client());
    let answer = api.create(&PostParams::default(), &question).await;
    answer.ok().and_then(|answer| answer.status).map(|status| status.resource_rules).unwrap_or_default()
}

/// Whether a rule grants a right on all objects of its resource.
fn grants(rule: &ResourceRule, right: &Right, verb: &str) -> bool {
    let has = |list: Option<&Vec<String>>, wanted: &str| {
        list.is_some_and(|list| list.iter().any(|one| one == "*" || one == wanted))
    };
    rule.verbs.iter().any(|one| one == "*" || one == verb)
        && has(rule.api_groups.as_ref(), right.group)
        && has(rule.resources.as_ref(), right.resource)
        && rule.resource_names.as_ref().is_none_or(Vec::is_empty)
}

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
        let what = in_words(right, &verbs);
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
        namespace: right.object.map(|(namespace, _)| namespace.to_owned()),
        name: right.object.map(|(_, name)| name.to_owned()),
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
    use std::collections::BTreeMap;

    use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};

    use super::*;
    use crate::model::checkup::State;

    #[test]
    fn the_manifest_that_ships_grants_exactly_what_is_used() {
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/ci/rbac.yaml")).unwrap();
        let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(&text).unwrap();
        let of_kind = |kind: &str| documents.iter().find(|one| one["kind"] == kind).cloned().unwrap();
        let role: ClusterRole = serde_json::from_value(of_kind("ClusterRole")).unwrap();
        // By group, resource, and the names of single objects.
        type Subject = (String, String, Vec<String>);
        let mut granted: BTreeMap<Subject, BTreeSet<String>> = BTreeMap::new();
        for rule in role.rules.unwrap() {
            for group in rule.api_groups.iter().flatten() {
                for resource in rule.resources.iter().flatten() {
                    let objects = rule.resource_names.clone().unwrap_or_default();
                    let verbs = granted.entry((group.clone(), resource.clone(), objects)).or_default();
                    verbs.extend(rule.verbs.iter().cloned());
                }
            }
        }
        let mut used: BTreeMap<Subject, BTreeSet<String>> = BTreeMap::new();
        for right in USED {
            let objects = right.object.iter().map(|(_, name)| (*name).to_owned()).collect();
            let verbs = used.entry((right.group.to_owned(), right.resource.to_owned(), objects)).or_default();
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
    fn a_run_asks_for_what_it_does_and_no_more() {
        let has = |deeds: &[Deed], resource: &str, verb: &str| {
            needed(&deeds.iter().copied().collect()).iter().any(|(right, v)| right.resource == resource && *v == verb)
        };
        let rows = [
            (&[][..], "pods", "create", true, "every run makes pods"),
            (&[], "namespaces", "delete", true, "and removes namespaces"),
            (&[], "nodes", "watch", false, "what is only less without it"),
            (&[], "daemonsets", "list", false, "likewise"),
            (&[], "pods", "patch", false, "no labels change"),
            (&[Deed::Relabels], "pods", "patch", true, "now they do"),
            (&[], "networkpolicies", "update", false, "no policy changes"),
            (&[Deed::Replaces], "networkpolicies", "update", true, "now one does"),
            (&[], "services", "create", false, "no Service is made"),
            (&[Deed::Serves], "services", "create", true, "now one is"),
            (&[Deed::Adopts], "configmaps", "create", true, "what its pods belong to"),
            (&[Deed::Adopts], "events", "list", false, "what is gathered after a failure"),
        ];
        for (deeds, resource, verb, expected, why) in rows {
            assert_eq!(has(deeds, resource, verb), expected, "{why}");
        }
    }

    #[test]
    fn a_rule_grants_what_it_names_and_only_on_all_objects() {
        let rule = |rule: serde_json::Value| -> ResourceRule { serde_json::from_value(rule).unwrap() };
        let pods = &USED[2];
        assert_eq!(pods.resource, "pods");
        let json = |text: &str| serde_json::from_str(text).unwrap();
        let rows = [
            (r#"{ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"] }"#, true, "named"),
            (r#"{ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }"#, true, "everything"),
            (r#"{ "verbs": ["list"], "apiGroups": [""], "resources": ["pods"] }"#, false, "another verb"),
            (r#"{ "verbs": ["get"], "apiGroups": ["apps"], "resources": ["pods"] }"#, false, "another group"),
            (
                r#"{ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["x"] }"#,
                false,
                "of one",
            ),
            (r#"{ "verbs": ["get"], "nonResourceURLs": ["*"] }"#, false, "of no resource"),
        ];
        for (text, expected, why) in rows {
            assert_eq!(grants(&rule(json(text)), pods, "get"), expected, "{why}");
        }
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
            told(&[("pods", "create"), ("pods", "delete"), ("configmaps", "get"), ("events", "list")]),
            [
                (State::Error, "no right to create, delete pods".to_owned()),
                (State::Warning, "no right to get configmaps kube-system/kube-proxy: doctor sees less".to_owned(),),
                (State::Warning, "no right to list events: less is gathered when something fails".to_owned()),
            ]
        );
        let unknown = [(&USED[0], "get", Err(Said::text("the server is away")))];
        assert_eq!(checks(&unknown)[0].state, State::Warning, "a question without an answer is no missing right");
    }
}
