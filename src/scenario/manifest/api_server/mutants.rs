//! The manifests of the table, and their mutants.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::scenario::log::Log;
use crate::scenario::yaml;

/// What takes the place of each value. The names of the mutations are these texts, and `deleted`.
const REPLACEMENTS: [&str; 24] = [
    "null",
    "~",
    "\"\"",
    "{}",
    "[]",
    "x",
    "7",
    "-1",
    "true",
    "[x]",
    "{x: y}",
    "\"80\"",
    "yes",
    "y",
    "no",
    "0b11",
    "0b1010000",
    "1_000",
    "080",
    "0x50",
    "0o120",
    "80.0",
    "1e2",
    "12:30",
];
const DELETED: &str = "deleted";

/// One step of a path to a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    Key(String),
    Item(usize),
    /// The key of an entry, not its value.
    Name(String),
}

/// A manifest in which one value was replaced.
pub(super) struct Mutant {
    pub path: Vec<Step>,
    pub mutation: &'static str,
    pub text: String,
}

pub(super) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The manifests of Kubernetes kinds in all scenarios and in `tests/api-server/more.yaml`, by place.
pub(super) fn manifests() -> Vec<(String, Value)> {
    let mut files = vec![root().join("tests/api-server/more.yaml")];
    let mut folders = vec![root().join("scenarios")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                files.push(path);
            }
        }
    }
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let name = file.strip_prefix(root()).unwrap().display().to_string();
        let mut found = Vec::new();
        for document in yaml::parse(0, &fs::read_to_string(&file).unwrap(), &mut Log::default()) {
            search(&document.to_json(), &mut found);
        }
        let numbered = found.into_iter().enumerate().map(|(place, value)| (format!("{name} {}", place + 1), value));
        all.extend(numbered);
    }
    all
}

fn search(value: &Value, found: &mut Vec<Value>) {
    match value {
        Value::Object(map) => {
            if matches!(map.get("apiVersion").and_then(Value::as_str), Some("v1" | "networking.k8s.io/v1")) {
                found.push(value.clone());
            } else {
                map.values().for_each(|value| search(value, found));
            }
        }
        Value::Array(items) => items.iter().for_each(|value| search(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Every mutant of a manifest, in the order of the table.
pub(super) fn mutants(manifest: &Value) -> Vec<Mutant> {
    let mut paths = Vec::new();
    walk(manifest, &mut Vec::new(), &mut paths);
    let mut all = Vec::new();
    for path in paths {
        for mutation in REPLACEMENTS.into_iter().chain([DELETED]) {
            all.push(Mutant { path: path.clone(), mutation, text: write(manifest, &path, mutation) });
        }
    }
    all
}

fn walk(value: &Value, path: &mut Vec<Step>, paths: &mut Vec<Vec<Step>>) {
    let mut go = |step: Step, value: &Value| {
        path.push(step);
        paths.push(path.clone());
        walk(value, path, paths);
        path.pop();
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| go(Step::Key(key.clone()), value)),
        Value::Array(items) => items.iter().enumerate().for_each(|(place, value)| go(Step::Item(place), value)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    // Of keys that a person chooses, the key too.
    if let (Value::Object(map), Some(Step::Key(of))) = (value, path.last())
        && matches!(of.as_str(), "labels" | "matchLabels" | "annotations")
    {
        for key in map.keys() {
            paths.push(path.iter().cloned().chain([Step::Name(key.clone())]).collect());
        }
    }
}

/// The text of a mutant: the manifest's own keys as lines, and behind each what JSON has for it.
pub(super) fn write(manifest: &Value, path: &[Step], mutation: &str) -> String {
    let mut text = String::new();
    for (key, value) in manifest.as_object().unwrap() {
        let Some((_, value)) = entry(key, value, path, mutation) else { continue };
        let _ = writeln!(text, "{key}: {value}");
    }
    text
}

fn entry(key: &str, value: &Value, path: &[Step], mutation: &str) -> Option<(String, String)> {
    let quoted = Value::from(key).to_string();
    match path {
        [Step::Name(name)] if name == key && mutation == DELETED => None,
        [Step::Name(name)] if name == key => Some((mutation.to_owned(), value.to_string())),
        [Step::Key(name)] if name == key && mutation == DELETED => None,
        [Step::Key(name)] if name == key => Some((quoted, mutation.to_owned())),
        [Step::Key(name), rest @ ..] if name == key => Some((quoted, flow(value, rest, mutation))),
        _ => Some((quoted, value.to_string())),
    }
}

fn flow(value: &Value, path: &[Step], mutation: &str) -> String {
    match (value, path) {
        (Value::Object(map), _) => {
            let entries = map.iter().filter_map(|(key, value)| entry(key, value, path, mutation));
            format!("{{{}}}", entries.map(|(key, value)| format!("{key}: {value}")).collect::<Vec<_>>().join(", "))
        }
        (Value::Array(items), [Step::Item(changed), rest @ ..]) => {
            let items = items.iter().enumerate().filter_map(|(place, item)| match rest {
                _ if place != *changed => Some(item.to_string()),
                [] if mutation == DELETED => None,
                [] => Some(mutation.to_owned()),
                rest => Some(flow(item, rest, mutation)),
            });
            format!("[{}]", items.collect::<Vec<_>>().join(", "))
        }
        (value, _) => value.to_string(),
    }
}

pub(super) fn shown(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => text.extend([".", key]),
            Step::Item(place) => text.extend(["[", &place.to_string(), "]"]),
            Step::Name(key) => text.extend(["{", key, "}"]),
        }
    }
    text
}

/// A path without what differs between manifests: `spec.ingress[].from[].podSelector.matchLabels.*`.
pub(super) fn general(path: &[Step]) -> String {
    let chosen = |place: usize| {
        let above = place.checked_sub(1).and_then(|above| path.get(above));
        matches!(above, Some(Step::Key(key)) if matches!(key.as_str(), "labels" | "matchLabels" | "annotations"))
    };
    let mut text = String::new();
    for (place, step) in path.iter().enumerate() {
        match step {
            Step::Key(_) if chosen(place) => text.push_str(".*"),
            Step::Key(key) => text.extend([".", key]),
            Step::Item(_) => text.push_str("[]"),
            Step::Name(_) => text.push_str("{}"),
        }
    }
    text
}
