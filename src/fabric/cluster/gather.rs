//! What a person needs to find out why something failed, out of the cluster and into files, before it is removed.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{Api, ListParams, LogParams};
use serde_json::Value;

use super::cni::{Cni, Name};
use super::doctor::calico::{self, NodePod};
use super::doctor::felix::Metrics;
use super::error::Said;
use super::mark;
use super::overheard;
use super::pages;
use super::pods::CONTAINER;
use super::raised::Raised;
use super::server::{Place, Server};
use crate::fabric::Realised;
use crate::model::endpoint::EndpointId;

/// So many lines of a node's policy engine are kept.
const LOG_LINES: i64 = 2000;
/// Of a log, no more than its last so many bytes.
const LOG_BYTES: usize = 4 << 20;
/// Each thing is there after so long, or is done without: what explains a failure may be of a cluster that is failing.
const PATIENCE: Duration = Duration::from_secs(10);
/// And all of it after so long: tear-down waits for it.
const WHOLE: Duration = Duration::from_secs(60);

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
    if tokio::time::timeout(WHOLE, fill(raised, concerned, &mut files)).await.is_err() {
        files.missed(&format!("after {} s it was given up: what is not here was not got in time", WHOLE.as_secs()));
    }
    files.write("commands.txt", &commands(raised, concerned));
    if !files.errors.is_empty() {
        let errors = std::mem::take(&mut files.errors);
        files.write("errors.txt", &errors);
    }
    files.names
}

async fn fill(raised: &Raised, concerned: &BTreeSet<EndpointId>, files: &mut Files<'_>) {
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
        // Pods of two namespaces may have one name.
        let shared = raised.pods.values().filter(|other| other.place.name == made.place.name).count() > 1;
        let within = made.place.namespace.as_deref().filter(|_| shared).map(|namespace| format!("{namespace}-"));
        let name = format!("agent-{}{}.log", within.unwrap_or_default(), made.place.name);
        (name, log(server, &made.place, CONTAINER, None).await)
    }));
    for (name, log) in logs.await {
        // An agent that has nothing to complain of says nothing.
        if log != Ok(String::new()) {
            files.keep(&name, log);
        }
    }
    let nodes: BTreeSet<&str> = concerned.iter().filter_map(|id| raised.placements.get(id)?.node.as_deref()).collect();
    engines(raised, &nodes, files).await;
}

/// A list as the server holds it, for a person to read.
async fn objects(server: &Server, path: &str, selector: Option<&str>) -> Result<String, String> {
    let wanted = ListParams { label_selector: selector.map(ToOwned::to_owned), ..ListParams::default() };
    let pages = pages::pages(&wanted, |params| async move {
        let request = kube::core::Request::new(path).list(&params).map_err(kube::Error::BuildRequest)?;
        let page: Value = server.client().request(request).await?;
        let next = page.pointer("/metadata/continue").and_then(Value::as_str).map(ToOwned::to_owned);
        Ok((page, next))
    });
    serde_json::to_string_pretty(&joined(in_time(pages).await?)).map_err(|error| error.to_string())
}

/// One list of the pages of one.
fn joined(pages: Vec<Value>) -> Value {
    let mut pages = pages.into_iter();
    let mut list = pages.next().unwrap_or_default();
    for mut page in pages {
        let items = |list: &mut Value| list.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take);
        let mut all = items(&mut list).unwrap_or_default();
        all.extend(items(&mut page).unwrap_or_default());
        if let Some(whole) = list.get_mut("items") {
            *whole = Value::Array(all);
        }
    }
    if let Some(metadata) = list.get_mut("metadata").and_then(Value::as_object_mut) {
        // What said that there is more.
        metadata.remove("continue");
        metadata.remove("remainingItemCount");
    }
    list
}

async fn events(server: &Server, namespace: &str) -> Result<String, String> {
    let api: Api<Event> = Api::namespaced(server.client(), namespace);
    let events = in_time(pages::all(&api, &ListParams::default())).await?;
    Ok(events.iter().map(in_words).collect())
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
    let mut text = in_time(api.logs(&place.name, &params)).await?;
    if let Some(surplus) = text.len().checked_sub(LOG_BYTES) {
        let from = text.bytes().skip(surplus).position(|byte| byte == b'\n').map_or(text.len(), |at| surplus + at + 1);
        text.drain(..from);
    }
    Ok(text)
}

/// What an API server answers, if it does.
async fn in_time<T>(request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, request).await {
        Ok(answer) => answer.map_err(|error| Said::new(&error).to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

/// What the policy engine said on the nodes concerned, and counted, where it is Calico's; all nodes at once.
async fn engines(raised: &Raised, nodes: &BTreeSet<&str>, files: &mut Files<'_>) {
    let name = "policy-engine.txt";
    let Some(cni) = raised.cni.as_ref() else {
        return files.write(name, "no network plugin recognised: there is no calico-node to ask\n");
    };
    if !matches!(cni.name, Name::Calico | Name::Canal) {
        return files.write(name, &format!("{cni} ({}): there is no calico-node to ask\n", cni.daemon_set));
    }
    let look = calico::look(&raised.server, cni).await;
    let concerned: Vec<&NodePod> = look.pods.iter().filter(|pod| nodes.contains(pod.node.as_str())).collect();
    files.write(name, &in_short(cni, look.metrics, &concerned, nodes));
    let told = join_all(concerned.iter().map(|pod| async {
        let metrics = async {
            match look.metrics {
                Metrics::On(port) => Some(metrics(&raised.server, pod, port).await),
                Metrics::Off => None,
            }
        };
        tokio::join!(log(&raised.server, &pod.place, "calico-node", Some(LOG_LINES)), metrics)
    }));
    for (pod, (log, metrics)) in concerned.iter().zip(told.await) {
        files.keep(&format!("calico-node-{}.log", pod.node), log);
        if let Some(metrics) = metrics {
            files.keep(&format!("calico-node-{}.metrics", pod.node), metrics);
        }
    }
}

/// Which engine it is, who was asked, and what was not there to be asked for.
fn in_short(cni: &Cni, metrics: Metrics, concerned: &[&NodePod], nodes: &BTreeSet<&str>) -> String {
    let mut text = format!("{cni} ({})\n", cni.daemon_set);
    for node in nodes {
        let on_it = concerned.iter().find(|pod| pod.node == *node);
        let pod = on_it.map_or_else(|| "no calico-node can be seen there".to_owned(), |pod| pod.place.to_string());
        let _always = writeln!(text, "on {node}: {pod}");
    }
    text.push_str(match metrics {
        Metrics::On(_) => "metrics: of each, in a file beside its log\n",
        Metrics::Off => "metrics: not enabled; FelixConfiguration `prometheusMetricsEnabled: true` has them kept\n",
    });
    text
}

async fn metrics(server: &Server, pod: &NodePod, port: u16) -> Result<String, String> {
    match overheard::get(server, &pod.place, port, "metrics").await? {
        overheard::Answer { status: 200..=299, body } => Ok(body),
        overheard::Answer { status, .. } => Err(format!("port {port} of {} answers {status}", pod.place)),
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
        let of_pods = ListParams::default().fields("involvedObject.kind=Pod,type=Warning");
        let Ok(events) = pages::all(&api, &of_pods).await else { continue };
        for (_, uid) in pods {
            let latest = events.iter().rfind(|event| event.involved_object.uid.as_ref() == Some(uid));
            if let Some(event) = latest {
                let _always = write!(told, "; {}", in_words(event).trim());
            }
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::super::doctor::calico::Ready;
    use super::*;

    #[test]
    fn which_engine_was_asked_is_said_and_metrics_that_are_off_are_no_error() {
        let cni =
            Cni { name: Name::Calico, version: Some("3.31.7".into()), daemon_set: "calico-system/calico-node".into() };
        let pod = NodePod {
            place: Place::inside("calico-system", "calico-node-x"),
            node: "worker".into(),
            version: None,
            ready: Ready::Yes,
        };
        let nodes = BTreeSet::from(["worker", "worker2"]);
        let told = in_short(&cni, Metrics::Off, &[&pod], &nodes);
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(
            lines,
            [
                "Calico 3.31.7 (calico-system/calico-node)",
                "on worker: `calico-system/calico-node-x`",
                "on worker2: no calico-node can be seen there",
                "metrics: not enabled; FelixConfiguration `prometheusMetricsEnabled: true` has them kept",
            ]
        );
        assert!(in_short(&cni, Metrics::On(9091), &[], &nodes).contains("in a file beside its log"));
    }
}
