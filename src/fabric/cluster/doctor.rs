//! What is there, told before anything is touched: the cluster, what enforces policy in it, and what we may do.
//!
//! - [`versions`]: which Calico is tested with which Kubernetes, as data
//! - [`rights`]: every right that leakproof uses, and whether we have it
//! - [`calico`]: its datastore, dataplane and nodes; `health` asks these how they are
//! - [`upgrade`]: what would mean something else after an upgrade; [`order`] is what decides between equal policies
//!
//! Nothing here writes anything, but for the questions about our own rights, which are posted.

pub mod calico;
pub mod felix;
mod health;
pub mod order;
pub mod rights;
pub mod upgrade;
pub mod versions;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};

use super::Cluster;
use super::cni::{self, Cni, Enforcement, Name};
use super::pages;
use super::server::Server;
use crate::model::checkup::{Check, Checkup, Part};
use versions::Minor;

/// Looks at a cluster, and with `target` at what an upgrade of Calico to that version would change.
///
/// What cannot be looked at is told among the checks: somebody with few rights gets as much as these let see.
pub async fn examine(cluster: &Cluster, target: Option<Minor>, checkup: &mut Checkup) {
    let server = cluster.server();
    checkup.facts.insert("context".into(), server.context().into());
    checkup.facts.insert("kubernetes".into(), cluster.version().into());
    let mut checks = vec![Check::fine(format!("Kubernetes {} at `{}`", cluster.version(), server.context()))];
    checks.extend(nodes(server).await);
    checkup.parts.push(Part { title: "Cluster".into(), checks });

    let (found, checks) = engine(server, cluster.version(), checkup).await;
    checkup.parts.push(Part { title: "Policy engine".into(), checks });
    if let Some(cni) = found.filter(|cni| matches!(cni.name, Name::Calico | Name::Canal)) {
        let look = calico::look(server, &cni).await;
        checkup.facts.insert("datastore".into(), look.flavour.fact().into());
        checkup.facts.insert("dataplane".into(), look.dataplane.clone());
        let mut checks = look.checks(&cni);
        checks.extend(health::ask(server, &look.pods, look.metrics).await);
        checkup.parts.push(Part { title: "Calico".into(), checks });
        if let Some(target) = target {
            let from = cni.version.as_deref().and_then(Minor::of);
            let kubernetes = Minor::of(cluster.version());
            let checks = upgrade::look(server, &look, from, target, kubernetes).await;
            checkup.parts.push(Part { title: format!("Upgrade to Calico {target}"), checks });
        }
    } else if let Some(target) = target {
        let checks =
            vec![Check::error(format!("an upgrade to Calico {target} was asked about, and Calico is not here"))];
        checkup.parts.push(Part { title: "Upgrade".into(), checks });
    }
    checkup.parts.push(Part { title: "Rights".into(), checks: rights::ask(server).await });
}

async fn nodes(server: &Server) -> Vec<Check> {
    let api: Api<Node> = Api::all(server.client());
    match pages::all(&api, &ListParams::default()).await {
        Ok(nodes) => node_checks(&nodes),
        Err(error) => vec![Check::warning(format!("the nodes cannot be listed: {}", super::error::Said::new(&error)))],
    }
}

fn node_checks(nodes: &[Node]) -> Vec<Check> {
    let ready = |node: &&Node| {
        let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
        conditions.into_iter().flatten().any(|one| one.type_ == "Ready" && one.status == "True")
    };
    let name = |node: &Node| node.metadata.name.clone().unwrap_or_default();
    let tainted = |node: &&Node| {
        let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
        taints.into_iter().flatten().any(|taint| taint.effect != "PreferNoSchedule")
    };
    let mut checks = Vec::new();
    let unready: Vec<String> = nodes.iter().filter(|node| !ready(node)).map(name).collect();
    let taking = nodes.iter().filter(ready).filter(|node| !tainted(node)).count();
    checks.push(Check::fine(format!("{} nodes, {taking} of them ready and without taints", nodes.len())));
    if !unready.is_empty() {
        checks.push(Check::warning(format!("not ready: {}", unready.join(", "))));
    }
    if taking == 1 {
        checks.push(
            Check::warning("only one node takes pods: flows between nodes cannot be tried")
                .advice("`--toleration` lets pods onto tainted nodes"),
        );
    } else if taking == 0 {
        checks.push(Check::error("no node takes pods").advice("`--toleration` lets pods onto tainted nodes"));
    }
    checks
}

async fn engine(server: &Server, kubernetes: &str, checkup: &mut Checkup) -> (Option<Cni>, Vec<Check>) {
    let api: Api<DaemonSet> = Api::all(server.client());
    let sets = match pages::all(&api, &ListParams::default()).await {
        Ok(sets) => sets,
        Err(error) => {
            let said = super::error::Said::new(&error);
            return (None, vec![Check::warning(format!("which network plugin this is cannot be told: {said}"))]);
        }
    };
    let found = cni::recognise(&sets);
    if let Some(cni) = &found {
        checkup.facts.insert("cni".into(), cni.name.word().into());
        if let Some(version) = &cni.version {
            checkup.facts.insert("cni-version".into(), version.clone());
        }
    }
    let checks = engine_checks(found.as_ref(), kubernetes);
    (found, checks)
}

fn engine_checks(cni: Option<&Cni>, kubernetes: &str) -> Vec<Check> {
    let Some(cni) = cni else {
        return vec![
            Check::warning("no known policy engine is here: nothing seems to enforce NetworkPolicy")
                .advice("without one every flow is open; a run says LEAK wherever something should be denied"),
        ];
    };
    let mut checks = vec![match cni.name.enforces() {
        Enforcement::Yes => Check::fine(format!("{cni} ({}), which enforces NetworkPolicy", cni.daemon_set)),
        Enforcement::No => Check::warning(format!("{cni} ({}) does not enforce NetworkPolicy", cni.daemon_set))
            .advice("every flow is open; a run says LEAK wherever something should be denied"),
        Enforcement::Depends => {
            Check::note(format!("{cni} ({}): some of its versions enforce NetworkPolicy", cni.daemon_set))
        }
    }];
    if cni.name == Name::Calico
        && let (Some(calico), Some(kubernetes)) = (cni.version.as_deref().and_then(Minor::of), Minor::of(kubernetes))
    {
        checks.push(versions::fit(calico, kubernetes));
    }
    checks
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::checkup::State;

    fn node(name: &str, ready: &str, tainted: bool) -> Node {
        let taints = if tainted { json!([ { "key": "x", "effect": "NoSchedule" } ]) } else { json!([]) };
        serde_json::from_value(json!({
            "metadata": { "name": name }, "spec": { "taints": taints },
            "status": { "conditions": [ { "type": "Ready", "status": ready } ] },
        }))
        .unwrap()
    }

    fn worst(checks: &[Check]) -> State {
        checks.iter().map(|check| check.state).max().unwrap()
    }

    #[test]
    fn nodes_are_told_by_what_they_are_good_for() {
        let (a, b) = (node("a", "True", false), node("b", "True", false));
        let rows = [
            (vec![a.clone(), b.clone()], State::Fine, "two that take pods"),
            (vec![a.clone(), b, node("c", "False", false)], State::Warning, "one is not ready"),
            (vec![a, node("c", "True", true)], State::Warning, "one alone crosses no node"),
            (vec![node("c", "True", true)], State::Error, "none takes pods"),
        ];
        for (nodes, state, why) in rows {
            assert_eq!(worst(&node_checks(&nodes)), state, "{why}");
        }
    }

    #[test]
    fn an_engine_is_told_by_whether_it_enforces_anything() {
        let cni = |name, version: &str| Cni { name, version: Some(version.into()), daemon_set: "kube-system/x".into() };
        let rows = [
            (None, State::Warning, "none at all"),
            (Some(cni(Name::Flannel, "0.27.0")), State::Warning, "one that does not"),
            (Some(cni(Name::Kindnet, "1")), State::Note, "one that may"),
            (Some(cni(Name::Calico, "3.31.7")), State::Fine, "one that does, with a Kubernetes it is tested with"),
            (Some(cni(Name::Calico, "3.30.1")), State::Fine, "the last of the range"),
            (Some(cni(Name::Calico, "3.29.1")), State::Warning, "and one it is not"),
            (Some(cni(Name::Calico, "master")), State::Fine, "a version that cannot be told fits nothing"),
        ];
        for (cni, state, why) in rows {
            assert_eq!(worst(&engine_checks(cni.as_ref(), "1.35.4")), state, "{why}");
        }
    }
}
