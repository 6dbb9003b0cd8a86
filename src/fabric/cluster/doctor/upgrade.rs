//! Before an upgrade of Calico: what is in use that the target version treats otherwise, each a warning.

use std::cmp::Ordering;

use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::Value;

use super::calico::Look;
use super::order::{Does, Ranked, turned};
use super::versions::{self, Minor};
use crate::fabric::cluster::pages;
use crate::fabric::cluster::server::Server;
use crate::model::checkup::{Check, State};

/// From here on AdminNetworkPolicy is enforced by nobody, and nftables follows kube-proxy.
const NO_ADMIN: Minor = Minor { major: 3, minor: 32 };
/// From here on Felix, not BIRD, makes the routes of IPIP.
const FELIX_ROUTES: Minor = Minor { major: 3, minor: 33 };
/// At most so many of a sort are listed.
const LISTED: usize = 20;

/// What is in use.
#[derive(Debug, Clone, Default)]
struct InUse {
    /// AdminNetworkPolicies and BaselineAdminNetworkPolicies, by kind and name.
    admin: Vec<String>,
    policies: Vec<Ranked>,
    ipip_pools: Vec<String>,
    nftables_mode: Option<String>,
    proxy: Option<String>,
}

/// Looks at what is in use.
pub(super) async fn look(
    server: &Server,
    calico: &Look,
    from: Option<Minor>,
    target: Minor,
    kubernetes: Option<Minor>,
) -> Vec<Check> {
    let Some(from) = from else {
        return vec![Check::warning("which version of Calico is here cannot be told, so neither what would change")];
    };
    let mut used =
        InUse { nftables_mode: calico.nftables_mode.clone(), proxy: calico.proxy.clone(), ..InUse::default() };
    let admin = [
        ("AdminNetworkPolicy", "adminnetworkpolicies"),
        ("BaselineAdminNetworkPolicy", "baselineadminnetworkpolicies"),
    ];
    for (kind, plural) in admin {
        let objects = all(server, "policy.networking.k8s.io", "v1alpha1", kind, plural).await;
        used.admin.extend(objects.iter().filter_map(|one| Some(format!("{kind} {}", one.metadata.name.as_ref()?))));
    }
    if let Some((group, version)) = calico.flavour.group() {
        for (kind, plural) in [("NetworkPolicy", "networkpolicies"), ("GlobalNetworkPolicy", "globalnetworkpolicies")] {
            let objects = all(server, group, version, kind, plural).await;
            used.policies.extend(objects.iter().filter_map(|object| ranked(kind, object)));
        }
        let pools = all(server, group, version, "IPPool", "ippools").await;
        let ipip = |pool: &&DynamicObject| {
            let mode = pool.data.pointer("/spec/ipipMode").and_then(Value::as_str);
            mode.is_some_and(|mode| mode != "Never")
        };
        used.ipip_pools.extend(pools.iter().filter(ipip).filter_map(|pool| pool.metadata.name.clone()));
    }
    let own: Api<NetworkPolicy> = Api::all(server.client());
    if let Ok(found) = pages::all(&own, &ListParams::default()).await {
        used.policies.extend(found.into_iter().filter_map(|policy| {
            Some(Ranked {
                kind: "KubernetesNetworkPolicy".into(),
                namespace: policy.metadata.namespace,
                name: policy.metadata.name?,
                tier: "default".into(),
                order: Some(1000.0),
                does: Does::Allow,
            })
        }));
    }
    checks(&used, from, target, kubernetes)
}

async fn all(server: &Server, group: &str, version: &str, kind: &str, plural: &str) -> Vec<DynamicObject> {
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
    let api: Api<DynamicObject> = Api::all_with(server.client(), &resource);
    pages::all(&api, &ListParams::default()).await.unwrap_or_default()
}

/// A Calico policy's place among others. The datastore's own objects carry the tier before their name.
fn ranked(kind: &str, object: &DynamicObject) -> Option<Ranked> {
    let spec = object.data.get("spec");
    let field = |name: &str| spec.and_then(|spec| spec.get(name));
    let tier = field("tier").and_then(Value::as_str).filter(|tier| !tier.is_empty()).unwrap_or("default").to_owned();
    let name = object.metadata.name.clone()?;
    let name = name.strip_prefix(&format!("{tier}.")).map_or(name.clone(), ToOwned::to_owned);
    if object.metadata.name.as_deref().is_some_and(|name| name.starts_with("knp.default.")) {
        // The datastore's shadow of a Kubernetes policy, which is counted as itself.
        return None;
    }
    let rules = ["ingress", "egress"].into_iter().filter_map(&field).filter_map(Value::as_array).flatten();
    let actions: Vec<&str> = rules.filter_map(|rule| rule.get("action")?.as_str()).filter(|a| *a != "Log").collect();
    let does = if actions.iter().all(|action| *action == "Allow") {
        Does::Allow
    } else if actions.iter().all(|action| *action == "Deny") {
        Does::Deny
    } else {
        Does::Both
    };
    let order = field("order").and_then(Value::as_f64);
    Some(Ranked { kind: kind.to_owned(), namespace: object.metadata.namespace.clone(), name, tier, order, does })
}

fn checks(used: &InUse, from: Minor, target: Minor, kubernetes: Option<Minor>) -> Vec<Check> {
    let mut checks = Vec::new();
    let crosses = |change: Minor| from < change && target >= change;
    match target.cmp(&from) {
        Ordering::Equal => checks.push(Check::note(format!("Calico {from} is here already"))),
        Ordering::Less => checks.push(
            Check::warning(format!("from {from} to {target} is a step back, which Calico does not support"))
                .advice("nothing more is known of it here"),
        ),
        Ordering::Greater => {}
    }
    if let Some(kubernetes) = kubernetes {
        let fit = versions::fit(target, kubernetes);
        checks.push(if fit.state >= State::Warning { fit.advice("upgrade Kubernetes first") } else { fit });
    }
    if crosses(NO_ADMIN) {
        for policy in used.admin.iter().take(LISTED) {
            checks.push(
                Check::warning(format!("{policy} stays, and from {NO_ADMIN} on nobody enforces it, without any error"))
                    .advice("what it denies is open after the upgrade: replace it by a ClusterNetworkPolicy, or a Calico policy"),
            );
        }
        checks.extend(more(used.admin.len(), "AdminNetworkPolicies"));
        if used.nftables_mode.is_none() && used.proxy.as_deref() == Some("nftables") {
            checks.push(
                Check::warning(
                    "kube-proxy is in nftables mode, and from 3.32 on Calico's dataplane follows it by itself",
                )
                .advice(
                    "the switch is a restart and a sweep: set nftablesMode in the FelixConfiguration to decide when",
                ),
            );
        }
        checks.push(
            Check::note(
                "a calico-node of the old version that restarts after the new objects are applied never gets ready",
            )
            .advice("roll out without a pause; `leakproof watch` shows what such a node misses"),
        );
    }
    let pairs = turned(&used.policies, from, target);
    for (first, second) in pairs.iter().take(LISTED) {
        let order = first.order.map_or("no order".to_owned(), |order| format!("order {order}"));
        checks.push(
            Check::warning(format!(
                "{first} is looked at before {second} by {from}, and after it by {target}: both have {order} in tier `{}`",
                first.tier
            ))
            .advice("where both match, the other one decides after the upgrade: give them different orders"),
        );
    }
    checks.extend(more(pairs.len(), "pairs of policies that change places"));
    if crosses(FELIX_ROUTES) && !used.ipip_pools.is_empty() {
        checks.push(
            Check::warning(format!(
                "IP pools with IPIP: {}; from {FELIX_ROUTES} on Felix makes their routes, not BIRD",
                used.ipip_pools.join(", ")
            ))
            .advice("watch flows between nodes through this upgrade"),
        );
    }
    if checks.iter().all(|check| check.state < State::Warning) {
        checks.push(Check::fine("nothing in use here is known to mean something else afterwards"));
    }
    checks
}

fn more(count: usize, what: &str) -> Option<Check> {
    (count > LISTED).then(|| Check::warning(format!("and {} more {what}", count - LISTED)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn minor(text: &str) -> Minor {
        text.parse().unwrap()
    }

    fn told(used: &InUse, from: &str, to: &str) -> Vec<String> {
        let checks = checks(used, minor(from), minor(to), Some(minor("1.35")));
        checks.into_iter().filter(|check| check.state == State::Warning).map(|check| check.says).collect()
    }

    fn calico(name: &str, action: &str) -> Ranked {
        let object: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "crd.projectcalico.org/v1", "kind": "NetworkPolicy",
            "metadata": { "name": name, "namespace": "shop" },
            "spec": { "order": 100, "tier": "default", "ingress": [ { "action": "Log" }, { "action": action } ] },
        }))
        .unwrap();
        ranked("NetworkPolicy", &object).unwrap()
    }

    #[test]
    fn what_changes_its_meaning_is_told_by_the_versions_crossed() {
        let admin = InUse { admin: vec!["AdminNetworkPolicy deny-all".into()], ..InUse::default() };
        let tie =
            InUse { policies: vec![calico("default.a-b", "Allow"), calico("default.a", "Deny")], ..InUse::default() };
        let plane = InUse { proxy: Some("nftables".into()), ..InUse::default() };
        let chosen = InUse { nftables_mode: Some("Disabled".into()), ..plane.clone() };
        let pools = InUse { ipip_pools: vec!["default-pool".into()], ..InUse::default() };
        let rows = [
            (&admin, "3.31", "3.32", Some("AdminNetworkPolicy deny-all stays"), "nobody enforces it any more"),
            (&admin, "3.32", "3.33", None, "nobody did before either"),
            (
                &tie,
                "3.31",
                "3.32",
                Some("NetworkPolicy shop/a is looked at before NetworkPolicy shop/a-b"),
                "a tie turns",
            ),
            (&tie, "3.32", "3.33", None, "the rule stays"),
            (&plane, "3.31", "3.32", Some("kube-proxy is in nftables mode"), "the dataplane switches by itself"),
            (&chosen, "3.31", "3.32", None, "somebody has chosen"),
            (&pools, "3.32", "3.33", Some("default-pool"), "routes change hands"),
            (&pools, "3.31", "3.32", None, "not yet"),
            (&InUse::default(), "3.31", "3.33", None, "nothing in use"),
            (&InUse::default(), "3.32", "3.31", Some("a step back"), "backwards"),
        ];
        for (used, from, to, expected, why) in rows {
            let warnings = told(used, from, to);
            match expected {
                None => assert_eq!(warnings, [] as [String; 0], "{why}"),
                Some(text) => {
                    assert_eq!(warnings.len(), 1, "{why}: {warnings:?}");
                    assert!(warnings[0].contains(text), "{why}: {warnings:?}");
                }
            }
        }
    }

    #[test]
    fn a_policy_is_ranked_by_what_its_object_says() {
        let one = calico("default.a", "Deny");
        assert_eq!((one.name.as_str(), one.order, one.does), ("a", Some(100.0), Does::Deny), "a Log decides nothing");
        let shadow: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "crd.projectcalico.org/v1", "kind": "NetworkPolicy",
            "metadata": { "name": "knp.default.a", "namespace": "shop" }, "spec": {},
        }))
        .unwrap();
        assert_eq!(ranked("NetworkPolicy", &shadow), None);
    }
}
