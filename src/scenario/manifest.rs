//! Kubernetes manifests, read strictly into [`crate::policy`]: what the API server would refuse is refused, and what it
//! would quietly drop is said.

mod metadata;
mod network_policy;
mod selector;

use std::sync::Arc;

use super::decode::{At, Dialect, Fields, entries, items, text};
use super::diagnostic::{Code, Diagnostic, Refusal};
use super::log::{Log, error, nearest, warning};
use super::raw::read::Own;
use super::text::Span;
use super::tree::{Node, Value};
use super::yaml;
use crate::model::labels::Labels;
use crate::model::prediction::PolicyRef;
use crate::policy::Policy;
use crate::policy::unknown::UnknownPolicy;

const KUBERNETES: Dialect = Dialect::Manifest;

/// Groups whose kinds are policies, or bear on them. What they mean is not known here.
const POLICY_GROUPS: [&str; 3] = ["projectcalico.org", "crd.projectcalico.org", "policy.networking.k8s.io"];

/// One manifest.
#[derive(Debug)]
pub(in crate::scenario) enum Manifest {
    /// A Namespace: its labels count.
    Namespace {
        /// Its name.
        name: At<String>,
        /// Its labels.
        labels: Labels,
    },
    /// A policy.
    Policy {
        /// The policy.
        policy: Policy,
        /// Where its name stands.
        name: Span,
        /// Where its namespace stands, or its name where it has none.
        namespace: Span,
    },
}

/// Reads one document: a manifest, or a `List` of them.
pub(in crate::scenario) fn read(node: &Node, log: &mut Log) -> Vec<Manifest> {
    let mut all = Vec::new();
    read_into(node, log, &mut all);
    all
}

fn read_into(node: &Node, log: &mut Log, all: &mut Vec<Manifest>) {
    let Some(mut fields) = Fields::open(node, "a manifest", KUBERNETES, log) else { return };
    let version = fields.required("apiVersion", log).and_then(|node| text(node, "`apiVersion`", KUBERNETES, log));
    let kind = fields.required("kind", log).and_then(|node| text(node, "`kind`", KUBERNETES, log));
    let (Some(version), Some(kind)) = (version, kind) else { return };
    let group = version.value.split_once('/').map(|(group, _)| group).unwrap_or_default();
    match (version.value.as_str(), kind.value.as_str()) {
        ("v1", "List") | ("networking.k8s.io/v1", "NetworkPolicyList") => list(fields, log, all),
        ("v1", "Namespace") => all.extend(namespace(fields, log)),
        ("networking.k8s.io/v1", "NetworkPolicy") => all.extend(network_policy::read(node, fields, log)),
        _ if POLICY_GROUPS.contains(&group) => all.extend(unknown(node, fields, &version, &kind, log)),
        (_, "NetworkPolicy" | "Namespace" | "List") => {
            let right = if kind.value == "NetworkPolicy" { "networking.k8s.io/v1" } else { "v1" };
            let message = format!("there is no {} in `{}`", kind.value, version.value);
            log.push(error(Code::UnknownKind, message).at(version.span).help(format!("write `{right}`")));
        }
        _ => {
            let message = format!("a {} is no policy", kind.value);
            let hint = nearest(&kind.value, ["NetworkPolicy", "Namespace", "List"])
                .unwrap_or_else(|| "a scenario's manifests are policies, and namespaces for their labels".to_owned());
            log.push(error(Code::UnknownKind, message).at(kind.span).help(hint));
        }
    }
}

fn list(mut fields: Fields<'_>, log: &mut Log, all: &mut Vec<Manifest>) {
    fields.optional("metadata");
    let found = fields.required("items", log);
    fields.close(log);
    let Some(found) = found else { return };
    for item in items(found, "`items`", log) {
        // A list within a list could go on for long, and no server takes one.
        if item.get("kind").and_then(Node::text) == Some("List") {
            log.push(error(Code::UnknownKind, "a List holds no other List").at(item.span));
        } else {
            read_into(item, log, all);
        }
    }
}

fn namespace(mut fields: Fields<'_>, log: &mut Log) -> Option<Manifest> {
    let metadata = metadata::read(&mut fields, Own::Refused, log);
    drop_filled(&mut fields, &["spec", "status"], log);
    fields.close(log);
    let metadata = metadata?;
    if let Err(why) = crate::model::labels::check_dns_label(&metadata.name.value) {
        let message = format!("the namespace name `{}` {why}", metadata.name.value);
        log.push(error(Code::InvalidValue, message).at(metadata.name.span));
    }
    Some(Manifest::Namespace { name: metadata.name, labels: metadata.labels })
}

/// Takes keys that a server fills in, and says that they are left out.
fn drop_filled(fields: &mut Fields<'_>, keys: &[&'static str], log: &mut Log) {
    let found: Vec<&'static str> = keys.iter().copied().filter(|key| fields.optional(key).is_some()).collect();
    if let Some(first) = found.first() {
        let names = found.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
        let verb = if found.len() == 1 { "is" } else { "are" };
        let message = format!("{names} {verb} the server's to fill: left out");
        log.push(warning(Code::Ignored, message).at(fields.key_span(first)));
    }
}

fn unknown(
    node: &Node,
    mut fields: Fields<'_>,
    version: &At<String>,
    kind: &At<String>,
    log: &mut Log,
) -> Option<Manifest> {
    let metadata = metadata::read(&mut fields, Own::Taken, log)?;
    // The rest is another server's business.
    log.push(
        warning(Code::UnknownKind, format!("what a {} means is not known here", kind.value))
            .note(kind.span, "kept, and given to a cluster as it is")
            .help("expectations are judged against what is seen; flows it could touch have no meaning"),
    );
    // Two servers have a NetworkPolicy: the other one is called as kubectl calls it.
    let group = version.value.split_once('/').map(|(group, _)| group).unwrap_or_default();
    let namespaced = matches!(kind.value.as_str(), "NetworkPolicy" | "StagedNetworkPolicy" | "NetworkSet");
    let called = if kind.value == "NetworkPolicy" { format!("{}.{group}", kind.value) } else { kind.value.clone() };
    let given = metadata.namespace.as_ref().map(|at| at.value.clone());
    let namespace = given.or_else(|| namespaced.then(|| "default".to_owned()));
    let reference = PolicyRef { kind: called, namespace, name: metadata.name.value.clone() };
    let policy = UnknownPolicy { reference, api_version: version.value.clone(), manifest: clean(node) };
    let at = metadata.namespace.as_ref().map_or(metadata.name.span, |at| at.span);
    Some(Manifest::Policy { policy: Policy::Unknown(Arc::new(policy)), name: metadata.name.span, namespace: at })
}

/// The manifest without what a server fills in.
fn clean(node: &Node) -> serde_json::Value {
    let mut json = node.to_json();
    if let Some(object) = json.as_object_mut() {
        object.remove("status");
        if let Some(metadata) = object.get_mut("metadata").and_then(|m| m.as_object_mut()) {
            for key in metadata::FILLED {
                metadata.remove(key);
            }
        }
    }
    json
}

/// Reads one policy from JSON, as an API server gives it. `origin` names it in diagnostics, which show the JSON.
///
/// # Errors
/// Where it is no policy, or none that this version knows all of.
pub fn policy_from_json(value: &serde_json::Value, origin: &str) -> Result<(Policy, Vec<Diagnostic>), Refusal> {
    let mut log = Log::default();
    // JSON is YAML too, and printed it has lines to point at.
    let printed = serde_json::to_string_pretty(value).unwrap_or_default();
    let (file, text) = log.add_text(origin, printed);
    let documents = yaml::parse(file, text.content(), &mut log);
    let mut found = documents.iter().flat_map(|document| read(document, &mut log)).collect::<Vec<_>>();
    let policy = match (found.pop(), found.is_empty()) {
        (Some(Manifest::Policy { policy, .. }), true) => Some(policy),
        (Some(_), _) => {
            log.push(error(Code::UnknownKind, "this is not one policy"));
            None
        }
        (None, _) => {
            if log.errors() == 0 {
                log.push(error(Code::UnknownKind, "there is no policy"));
            }
            None
        }
    };
    let warnings = log.finish(origin)?;
    match policy {
        Some(policy) => Ok((policy, warnings)),
        // Nothing was found and nothing was said: the log above is never empty then.
        None => Err(Refusal { file: origin.to_owned(), diagnostics: warnings, omitted: 1 }),
    }
}

/// The keys of a map that holds text, for annotations: read, and otherwise left alone.
fn texts(node: &Node, what: &str, log: &mut Log) {
    for (key, node) in entries(node, what, log) {
        if !matches!(node.value, Value::Scalar(..)) {
            let message = format!("{what} `{}` must be text, not {}", key.text, node.value.kind());
            log.push(error(Code::WrongType, message).at(node.span));
        } else {
            text(node, &format!("{what} `{}`", key.text), KUBERNETES, log);
        }
    }
}
