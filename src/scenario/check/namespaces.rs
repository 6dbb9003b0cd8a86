//! The namespaces at the start, and that every pod and Service is in one of them.

use std::collections::{BTreeMap, HashMap};

use super::cast::Cast;
use crate::model::labels::Labels;
use crate::scenario::decode::At;
use crate::scenario::diagnostic::Code;
use crate::scenario::log::{Log, error};
use crate::scenario::manifest::Manifest;
use crate::scenario::raw;
use crate::scenario::text::Span;

/// The label every namespace has from the API server.
const METADATA_NAME: &str = "kubernetes.io/metadata.name";

/// The namespaces of the file and those that the initial manifests declare.
pub(super) fn namespaces(raw: &raw::Scenario, manifests: &[Manifest], log: &mut Log) -> BTreeMap<String, Labels> {
    let mut all: BTreeMap<String, Labels> = BTreeMap::new();
    let mut places: HashMap<&str, Span> = HashMap::new();
    for (name, namespace) in &raw.namespaces {
        all.insert(name.value.clone(), named(&namespace.labels, name, log));
        places.insert(&name.value, name.span);
    }
    for manifest in manifests {
        let Manifest::Namespace { name, labels } = manifest else { continue };
        let labels = named(labels, name, log);
        let first = *places.entry(&name.value).or_insert(name.span);
        let known = all.entry(name.value.clone()).or_default();
        for (key, value) in labels.0 {
            let before = known.0.insert(key.clone(), value.clone());
            if let Some(before) = before.filter(|before| *before != value) {
                let message = format!("namespace `{}` has `{key}={before}` and `{key}={value}`", name.value);
                log.push(error(Code::Conflict, message).note(name.span, "here").note(first, "and here"));
            }
        }
    }
    all
}

/// The labels with the one that the API server sets.
pub(super) fn named(labels: &Labels, name: &At<String>, log: &mut Log) -> Labels {
    let mut labels = labels.clone();
    let before = labels.0.insert(METADATA_NAME.to_owned(), name.value.clone());
    if let Some(before) = before.filter(|before| *before != name.value) {
        let message = format!("`{METADATA_NAME}` is always the namespace's name, never `{before}`");
        log.push(error(Code::Conflict, message).at(name.span).help("leave the label out"));
    }
    labels
}

/// The namespace of every pod and Service must be there.
pub(super) fn home(cast: &Cast, namespaces: &BTreeMap<String, Labels>, log: &mut Log) {
    let pods = cast.pods.iter().map(|(id, pod)| (id, &pod.namespace));
    let services = cast.services.iter().map(|(id, service)| (id, &service.namespace));
    for (id, namespace) in pods.chain(services) {
        if namespace.is_empty() || namespaces.contains_key(namespace) {
            continue;
        }
        let span = cast.homes.get(id).copied().unwrap_or_default();
        let hint = log
            .nearest(namespace, namespaces.keys().map(String::as_str))
            .unwrap_or_else(|| format!("add `{namespace}: {{}}` under `namespaces`"));
        log.push(
            error(Code::UnknownName, format!("there is no namespace `{namespace}`"))
                .note(span, "not among `namespaces`")
                .help(hint),
        );
    }
}
