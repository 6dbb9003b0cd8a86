//! The log of what happens around a watch: the network plugin's pods on each node and their roll-out, the nodes, an
//! operator's statuses, and every policy that may bear on the scenario, whoever changes it.
//!
//! One list and one watch a kind, from beginning to end; nothing is asked in between. `follow` keeps up with one kind
//! and knows when it heard nothing, `hearing` tells that once for all of them; the others turn objects into
//! sentences.
//!
//! A time is when we heard of something. Objects' own times are to the second and on other machines' clocks: they are
//! told beside it, and no window is measured by them.

mod engine;
mod follow;
mod hearing;
mod node;
mod policy;
mod rollout;
mod status;

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Client;
use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::cni::Engine;
use super::error::{Said, Sort};
use super::journal::Journal;
use super::server::Server;
use super::watcher;
use engine::Engines;
use follow::{Followed, Reader, follow};
use hearing::Hearing;

/// A kind is known to be followed, or not, within this.
const FIRST_WITHIN: Duration = Duration::from_secs(10);

/// Kinds that decide flows or how they are enforced, by group and plural. Namespaced ones count in the scenario's own
/// namespaces, others everywhere.
const DECIDING: [(&str, &str, &str); 13] = [
    ("projectcalico.org", "GlobalNetworkPolicy", "globalnetworkpolicies"),
    ("projectcalico.org", "NetworkPolicy", "networkpolicies"),
    ("projectcalico.org", "GlobalNetworkSet", "globalnetworksets"),
    ("projectcalico.org", "NetworkSet", "networksets"),
    ("projectcalico.org", "Tier", "tiers"),
    ("projectcalico.org", "FelixConfiguration", "felixconfigurations"),
    ("projectcalico.org", "IPPool", "ippools"),
    ("projectcalico.org", "ClusterInformation", "clusterinformations"),
    ("policy.networking.k8s.io", "AdminNetworkPolicy", "adminnetworkpolicies"),
    ("policy.networking.k8s.io", "BaselineAdminNetworkPolicy", "baselineadminnetworkpolicies"),
    ("policy.networking.k8s.io", "ClusterNetworkPolicy", "clusternetworkpolicies"),
    ("operator.tigera.io", "Installation", "installations"),
    ("operator.tigera.io", "APIServer", "apiservers"),
];
/// Where the first group of a pair is not served, its kinds are followed in the second: what is behind it.
const BEHIND: (&str, &str) = ("projectcalico.org", "crd.projectcalico.org");
const OPERATOR: &str = "operator.tigera.io";
/// Namespaces whose Deployments are told of besides that of the network plugin.
const OPERATORS: [&str; 1] = ["tigera-operator"];

/// A log that is being kept. Dropping it ends it.
pub(super) struct Chronicle {
    tasks: JoinSet<()>,
    /// What was asked for, each with the sentence that is told once it is known to be out of reach.
    first: Vec<(String, oneshot::Receiver<Option<Said>>)>,
    hearing: Hearing,
}

impl Chronicle {
    /// Begins to follow everything there is. Gives one sentence where some of it cannot be.
    pub(super) async fn begin(
        server: &Server,
        engines: &[Engine],
        namespaces: &BTreeSet<String>,
        journal: &Journal,
    ) -> (Self, Vec<String>) {
        let mut log = Self { tasks: JoinSet::new(), first: Vec::new(), hearing: Hearing::new(journal.clone()) };
        let client = server.client();
        log.follow("nodes", &client, Api::<Node>::all, "", node::Nodes);
        let mut homes: BTreeSet<&str> = OPERATORS.into();
        for engine in engines {
            let Engine { namespace, name, selector } = engine;
            homes.insert(namespace);
            let pods = |client| Api::<Pod>::namespaced(client, namespace);
            log.follow(&format!("pods of {name}"), &client, pods, selector, Engines::of(name));
        }
        let sets: BTreeSet<&str> = engines.iter().map(|engine| engine.namespace.as_str()).collect();
        for namespace in sets {
            let names = engines.iter().filter(|engine| engine.namespace == namespace);
            let names = names.map(|engine| engine.name.clone()).collect();
            let sets = |client| Api::<DaemonSet>::namespaced(client, namespace);
            log.follow("daemonsets.apps", &client, sets, "", rollout::DaemonSets::called(names));
        }
        for namespace in homes {
            let deployments = |client| Api::<Deployment>::namespaced(client, namespace);
            log.follow("deployments.apps", &client, deployments, "", rollout::Deployments);
        }
        log.follow_policies(server, namespaces).await;
        let missing = log.first_heard().await;
        (log, missing)
    }

    async fn follow_policies(&mut self, server: &Server, namespaces: &BTreeSet<String>) {
        let client = server.client();
        let own = super::kinds::network_policy();
        let all = |client| Api::<DynamicObject>::all_with(client, &own);
        self.follow(
            "networkpolicies.networking.k8s.io",
            &client,
            all,
            "",
            policy::Policies::new(&own.kind, namespaces),
        );
        // Not to know the groups is told by what is then missing in the log; the API server is asked for much else.
        let Ok(groups) = client.list_api_groups().await else { return };
        let version = |name: &str| {
            let group = groups.groups.iter().find(|group| group.name == name)?;
            let preferred = group.preferred_version.as_ref().or(group.versions.first())?;
            Some(preferred.version.clone())
        };
        for (group, kind, plural) in DECIDING {
            let served = version(group).map(|version| (group, version));
            let behind = || version(BEHIND.1).filter(|_| group == BEHIND.0).map(|version| (BEHIND.1, version));
            let Some((group, version)) = served.or_else(behind) else { continue };
            let kind = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, &version, kind), plural);
            let all = |client| Api::<DynamicObject>::all_with(client, &kind);
            self.follow(&format!("{plural}.{group}"), &client, all, "", policy::Policies::new(&kind.kind, namespaces));
        }
        if let Some(version) = version(OPERATOR) {
            let kind = GroupVersionKind::gvk(OPERATOR, &version, "TigeraStatus");
            let kind = ApiResource::from_gvk_with_plural(&kind, "tigerastatuses");
            let all = |client| Api::<DynamicObject>::all_with(client, &kind);
            self.follow("tigerastatuses.operator.tigera.io", &client, all, "", status::Statuses);
        }
    }

    fn follow<R: Reader>(
        &mut self,
        what: &str,
        client: &Client,
        api: impl FnOnce(Client) -> Api<R::Object>,
        selector: &str,
        reader: R,
    ) {
        let (tell, told) = oneshot::channel();
        let updates = watcher::watch(client, api, selector);
        let followed = Followed { what: what.to_owned(), updates, reader, first: tell };
        self.tasks.spawn(follow(followed, self.hearing.clone()));
        self.first.push((what.to_owned(), told));
    }

    /// Waits until each kind was heard of once, or is known not to be.
    async fn first_heard(&mut self) -> Vec<String> {
        let answers = join_all(std::mem::take(&mut self.first).into_iter().map(|(what, told)| async move {
            match timeout(FIRST_WITHIN, told).await {
                Ok(Ok(lack)) => lack.map(|said| (what, said)),
                // It goes on trying.
                Err(_) | Ok(Err(_)) => Some((what, Said::text("no answer yet"))),
            }
        }))
        .await;
        let (mut forbidden, mut others): (BTreeSet<String>, Vec<String>) = (BTreeSet::new(), Vec::new());
        for (what, said) in answers.into_iter().flatten() {
            match said.sort() {
                // What a cluster does not serve is nothing to hear of.
                Sort::NotFound => {}
                Sort::Forbidden => drop(forbidden.insert(what)),
                Sort::AlreadyExists | Sort::Conflict | Sort::Passing | Sort::Lasting => {
                    others.push(format!("what happens to {what} is not logged yet: {said}"));
                }
            }
        }
        if !forbidden.is_empty() {
            let kinds = forbidden.into_iter().collect::<Vec<_>>().join(", ");
            others.push(format!(
                "what happens around the watch is logged in part only: no right to list and watch {kinds}; `kubectl apply \
                 -f ci/rbac.yaml` grants it to leakproof's service account"
            ));
        }
        others
    }
}
