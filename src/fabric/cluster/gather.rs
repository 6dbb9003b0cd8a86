//! What a person needs to find out why something failed, out of the cluster and into files, before it is removed.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use futures::future::join_all;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{Api, ListParams, LogParams};
use serde_json::Value;

use super::cni::Name;
use super::error::Said;
use super::mark;
use super::pods::CONTAINER;
use super::raised::Raised;
use super::server::{Place, Server};
use crate::fabric::Realised;
use crate::model::endpoint::EndpointId;

/// So many lines of a node's policy engine are kept.
const LOG_LINES: i64 = 2000;

/// Files in a folder, and what could not be got.
struct Files<'a> {
    folder: &'a Path,
    names: Vec<String>,
    errors: String,
}

impl Files<'_> {
    fn write(&mut self, name: &str, content: &str) {
        match std::fs::write(self.folder.join(name), content) {
            Ok(()) => self.names.push(name.to_owned()),
            Err(error) => self.missed(&format!("writing {name}: {error}")),
        }
    }

    fn missed(&mut self, why: &str) {
        let _always = writeln!(self.errors, "{why}");
    }

    fn keep(&mut self, name: &str, content: Result<String, String>) {
        match content {
            Ok(content) => self.write(name, &content),
            Err(why) => self.missed(&format!("{name}: {why}")),
        }
    }
}

/// Gathers everything; goes on after errors.
pub(super) async fn gather(raised: &Raised, folder: &Path, concerned: &BTreeSet<EndpointId>) -> Vec<String> {
    let mut files = Files { folder, names: Vec::new(), errors: String::new() };
    let server = &raised.server;
    let selector = mark::selector(Some(&raised.run));
    files.keep("pods.json", objects(server, "/api/v1/pods", Some(&selector)).await);
    files.keep("namespaces.json", objects(server, "/api/v1/namespaces", Some(&selector)).await);
    files.keep("nodes.json", objects(server, "/api/v1/nodes", None).await);
    for namespace in raised.around() {
        let path = format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies");
        files.keep(&format!("policies-{namespace}.json"), objects(server, &path, None).await);
        files.keep(&format!("events-{namespace}.txt"), events(server, namespace).await);
    }
    let made = concerned.iter().filter_map(|id| raised.pods.get(id));
    let logs = join_all(made.map(|made| async move {
        let name = format!("agent-{}.log", made.place.name);
        (name, log(server, &made.place, CONTAINER, None).await)
    }));
    for (name, log) in logs.await {
        // An agent that has nothing to complain of says nothing.
        if log != Ok(String::new()) {
            files.keep(&name, log);
        }
    }
    let nodes: BTreeSet<&str> = concerned.iter().filter_map(|id| raised.placements.get(id)?.node.as_deref()).collect();
    engines(raised, &nodes, &mut files).await;
    files.write("commands.txt", &commands(raised, concerned));
    if !files.errors.is_empty() {
        let errors = std::mem::take(&mut files.errors);
        files.write("errors.txt", &errors);
    }
    files.names
}

/// A list as the server holds it, for a person to read.
async fn objects(server: &Server, path: &str, selector: Option<&str>) -> Result<String, String> {
    let wanted = ListParams { label_selector: selector.map(ToOwned::to_owned), ..ListParams::default() };
    let request = kube::core::Request::new(path).list(&wanted).map_err(|error| error.to_string())?;
    let list = server.client().request::<Value>(request).await.map_err(|error| Said::new(&error).to_string())?;
    serde_json::to_string_pretty(&list).map_err(|error| error.to_string())
}

async fn events(server: &Server, namespace: &str) -> Result<String, String> {
    let api: Api<Event> = Api::namespaced(server.client(), namespace);
    let events = api.list(&ListParams::default()).await.map_err(|error| Said::new(&error).to_string())?;
    Ok(events.items.iter().map(in_words).collect())
}

fn in_words(event: &Event) -> String {
    let when = event.last_timestamp.as_ref().map(|time| time.0.to_string());
    let when = when.or_else(|| event.event_time.as_ref().map(|time| time.0.to_string())).unwrap_or_default();
    let about = &event.involved_object;
    format!(
        "{when} {} {}/{} {}: {}\n",
        event.type_.as_deref().unwrap_or_default(),
        about.kind.as_deref().unwrap_or_default(),
        about.name.as_deref().unwrap_or_default(),
        event.reason.as_deref().unwrap_or_default(),
        event.message.as_deref().unwrap_or_default().trim()
    )
}

async fn log(server: &Server, place: &Place, container: &str, lines: Option<i64>) -> Result<String, String> {
    let api: Api<Pod> = Api::namespaced(server.client(), place.namespace.as_deref().unwrap_or_default());
    let params = LogParams {
        container: Some(container.to_owned()),
        tail_lines: lines,
        timestamps: true,
        ..LogParams::default()
    };
    api.logs(&place.name, &params).await.map_err(|error| Said::new(&error).to_string())
}

/// What the policy engine said on the nodes concerned, where it is Calico.
async fn engines(raised: &Raised, nodes: &BTreeSet<&str>, files: &mut Files<'_>) {
    let Some(cni) = raised.cni.as_ref().filter(|cni| cni.name == Name::Calico) else { return };
    let namespace = cni.daemon_set.split('/').next().unwrap_or_default();
    let api: Api<Pod> = Api::namespaced(raised.server.client(), namespace);
    let found = match api.list(&ListParams::default().labels("k8s-app=calico-node")).await {
        Ok(found) => found.items,
        Err(error) => return files.missed(&format!("listing calico-node pods: {}", Said::new(&error))),
    };
    for pod in found {
        let node = pod.spec.and_then(|spec| spec.node_name).unwrap_or_default();
        if nodes.contains(node.as_str()) {
            let place = Place::inside(namespace, &pod.metadata.name.unwrap_or_default());
            let log = log(&raised.server, &place, "calico-node", Some(LOG_LINES)).await;
            files.keep(&format!("calico-node-{node}.log"), log);
        }
    }
}

/// What a person would type next.
fn commands(raised: &Raised, concerned: &BTreeSet<EndpointId>) -> String {
    let kubectl = format!("kubectl --context {}", raised.server.context());
    let mut text = String::from("# As long as the world stands (run again with --keep to have it stay):\n");
    for made in concerned.iter().filter_map(|id| raised.pods.get(id)) {
        let namespace = made.place.namespace.as_deref().unwrap_or_default();
        let _always = writeln!(text, "{kubectl} -n {namespace} describe pod {}", made.place.name);
    }
    for namespace in raised.around() {
        let _always = writeln!(text, "{kubectl} -n {namespace} get networkpolicies -o yaml");
    }
    let _always = writeln!(text, "{kubectl} get nodes -o wide");
    if let Some(cni) = &raised.cni {
        let (namespace, name) = cni.daemon_set.split_once('/').unwrap_or_default();
        let _always = writeln!(text, "{kubectl} -n {namespace} rollout status daemonset/{name}");
        if cni.name == Name::Calico {
            let _always = writeln!(text, "{kubectl} -n {namespace} logs daemonset/{name} -c calico-node --tail=200");
        }
    }
    let _always = writeln!(text, "# {}", raised.info().summary);
    text
}

/// What the cluster says of pods that did not start in time: their latest event each.
pub(super) async fn why_late(server: &Server, pods: &[(Place, String)]) -> String {
    let namespaces: BTreeSet<&str> = pods.iter().filter_map(|(place, _)| place.namespace.as_deref()).collect();
    let mut told = String::new();
    for namespace in namespaces {
        let api: Api<Event> = Api::namespaced(server.client(), namespace);
        let Ok(events) = api.list(&ListParams::default().fields("involvedObject.kind=Pod,type=Warning")).await else {
            continue;
        };
        for (_, uid) in pods {
            let latest = events.items.iter().rfind(|event| event.involved_object.uid.as_ref() == Some(uid));
            if let Some(event) = latest {
                let _always = write!(told, "; {}", in_words(event).trim());
            }
        }
    }
    told
}
