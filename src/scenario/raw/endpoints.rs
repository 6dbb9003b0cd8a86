//! Reads namespaces, pods, services and outside endpoints off the tree.

use std::collections::HashMap;

use super::names::workload;
use super::port::{PortError, served, service};
use super::{Named, Namespace, Outside, Pod, Service};
use crate::model::labels::{Labels, check_dns_label};
use crate::model::port::{Port, ServedPort};
use crate::scenario::decode::{At, Dialect, Fields, entries, integer, items, text};
use crate::scenario::diagnostic::Code;
use crate::scenario::labels::{self, Own};
use crate::scenario::log::{Log, error};
use crate::scenario::text::Span;
use crate::scenario::tree::{Node, Resolved, Style, Value, resolve};
use crate::scenario::world::ServicePort;

const OURS: Dialect = Dialect::Scenario;

/// Checks a name that stands as a key, and gives it back with its place.
fn name(key: &crate::scenario::tree::Key, what: &str, log: &mut Log) -> At<String> {
    if let Err(why) = check_dns_label(&key.text) {
        log.push(error(Code::InvalidValue, format!("{what} name `{}` {why}", key.text)).at(key.span));
    }
    At::new(key.text.clone(), key.span)
}

/// The name of a pod, and its namespace where the key is `namespace/name`.
fn pod_name(key: &crate::scenario::tree::Key, log: &mut Log) -> (Option<At<String>>, At<String>) {
    let Some((namespace, short)) = key.text.split_once('/') else { return (None, name(key, "the pod", log)) };
    for (what, text) in [("namespace", namespace), ("pod", short)] {
        if let Err(why) = check_dns_label(text) {
            let message = format!("the {what} name `{text}` {why}");
            log.push(error(Code::InvalidValue, message).at(key.span));
        }
    }
    (Some(At::new(namespace.to_owned(), key.span)), At::new(short.to_owned(), key.span))
}

pub(super) fn namespaces(node: &Node, log: &mut Log) -> Named<Namespace> {
    let mut all = Vec::new();
    for (key, node) in entries(node, "`namespaces`", log) {
        let name = name(key, "the namespace", log);
        let Some(fields) = Fields::open(node, format!("namespace `{}`", key.text), OURS, log) else {
            all.push((name, Namespace { labels: Labels::default() }));
            continue;
        };
        let mut fields = fields.placed(key.span);
        let labels =
            fields.optional("labels").map(|node| labels::read(node, OURS, Own::Refused, log)).unwrap_or_default();
        fields.close(log);
        all.push((name, Namespace { labels }));
    }
    all
}

pub(super) fn pods(node: &Node, what: &str, log: &mut Log) -> Named<Pod> {
    let mut all = Vec::new();
    for (key, node) in entries(node, what, log) {
        let (within, name) = pod_name(key, log);
        refuse_any(&name, log);
        let Some(fields) = Fields::open(node, format!("pod `{}`", key.text), OURS, log) else { continue };
        let mut fields = fields.placed(key.span);
        let given = match within {
            Some(_) => fields.optional("namespace"),
            None => fields.required("namespace", log),
        };
        let given = given.and_then(|node| text(node, "`namespace`", OURS, log));
        if let (Some(within), Some(given)) = (&within, &given)
            && within.value != given.value
        {
            let message = format!("the pod `{}` cannot be in the namespace `{}`", key.text, given.value);
            log.push(error(Code::Conflict, message).at(given.span).help("leave `namespace` out"));
        }
        let namespace = within.or(given);
        let pod = Pod {
            // Where it is missing that has been said; an empty name resolves to nothing and says nothing more.
            namespace: namespace.unwrap_or_else(|| At::new(String::new(), key.span)),
            labels: fields.optional("labels").map(|node| labels::read(node, OURS, Own::Refused, log)),
            like: fields.optional("like").and_then(|node| workload(node, log)),
            serves: fields.optional("serves").map(|node| serves(node, log)),
            node: fields
                .optional("node")
                .and_then(|node| integer(node, "`node`", (1, 64), log))
                .map(|at| at.map(|n| u8::try_from(n).unwrap_or(1))),
            address: fields.optional("address").and_then(|node| address(node, "an IPv4 address", log)),
            address6: fields.optional("address6").and_then(|node| address(node, "an IPv6 address", log)),
        };
        fields.close(log);
        all.push((name, pod));
    }
    all
}

pub(super) fn services(node: &Node, log: &mut Log) -> Named<Service> {
    let mut all = Vec::new();
    for (key, node) in entries(node, "`services`", log) {
        let name = name(key, "the service", log);
        refuse_any(&name, log);
        let Some(fields) = Fields::open(node, format!("service `{}`", key.text), OURS, log) else { continue };
        let mut fields = fields.placed(key.span);
        let namespace = fields.required("namespace", log).and_then(|node| text(node, "`namespace`", OURS, log));
        let selects = fields.required("selects", log).map(|node| {
            let labels = labels::read(node, OURS, Own::Refused, log);
            if labels.0.is_empty() {
                let message = "a Service without a selector has no pods behind it";
                log.push(error(Code::NoEffect, message).at(node.span).help("name the labels its pods have"));
            }
            labels
        });
        let ports = fields.required("ports", log).map(|node| service_ports(node, log)).unwrap_or_default();
        fields.close(log);
        let namespace = namespace.unwrap_or_else(|| At::new(String::new(), key.span));
        all.push((name, Service { namespace, selects: selects.unwrap_or_default(), ports }));
    }
    all
}

fn service_ports(node: &Node, log: &mut Log) -> Vec<At<ServicePort>> {
    let mut all: Vec<At<ServicePort>> = Vec::new();
    let list = items(node, "`ports`", log);
    if list.is_empty() || list.len() > PORTS {
        let message = format!("a Service has from 1 to {PORTS} ports");
        log.push(error(Code::InvalidValue, message).at(node.span));
        return all;
    }
    for item in list {
        let Some(port) = port_text(item, service, log) else { continue };
        if let Some(first) = all.iter().find(|first| first.value.port == port.value.port) {
            let draft = error(Code::Duplicate, format!("the port `{}` is there twice", port.value.port));
            log.push(draft.note(port.span, "again here").note(first.span, "first here"));
        } else {
            all.push(port);
        }
    }
    all
}

fn refuse_any(name: &At<String>, log: &mut Log) {
    if name.value == "any" {
        let message = "`any` stands for every pod in an expectation, so nothing can bear that name";
        log.push(error(Code::Reserved, message).at(name.span));
    }
}

pub(super) fn outside(node: &Node, log: &mut Log) -> Named<Outside> {
    let mut all = Vec::new();
    for (key, node) in entries(node, "`outside`", log) {
        let name = name(key, "the outside", log);
        refuse_any(&name, log);
        let Some(fields) = Fields::open(node, format!("outside endpoint `{}`", key.text), OURS, log) else { continue };
        let mut fields = fields.placed(key.span);
        let outside = Outside {
            address: fields.optional("address").and_then(|node| address(node, "an IPv4 address", log)),
            address6: fields.optional("address6").and_then(|node| address(node, "an IPv6 address", log)),
            serves: fields.optional("serves").map(|node| serves(node, log)),
        };
        fields.close(log);
        all.push((name, outside));
    }
    all
}

fn address<T: std::str::FromStr>(node: &Node, what: &str, log: &mut Log) -> Option<At<T>> {
    let Value::Scalar(raw, _) = &node.value else {
        log.push(error(Code::WrongType, format!("{what} must be text, not {}", node.value.kind())).at(node.span));
        return None;
    };
    if let Ok(address) = raw.parse() {
        return Some(At::new(address, node.span));
    }
    let mut draft = error(Code::InvalidValue, format!("`{raw}` is not {what}")).at(node.span);
    match raw.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(_)) => draft = draft.help("an IPv4 address stands under `address`"),
        Ok(std::net::IpAddr::V6(_)) => draft = draft.help("an IPv6 address stands under `address6`"),
        Err(_) => {}
    }
    log.push(draft);
    None
}

/// The most ports one pod serves; each makes a cell with every other pod.
const PORTS: usize = 256;

fn serves(node: &Node, log: &mut Log) -> Vec<ServedPort> {
    let mut all = Vec::new();
    let mut ports: HashMap<Port, Span> = HashMap::new();
    let list = items(node, "`serves`", log);
    if list.len() > PORTS {
        let message = format!("{} ports are served here; at most {PORTS} fit", list.len());
        log.push(error(Code::TooLarge, message).at(node.span));
        return all;
    }
    for item in list {
        let Some(At { value: served, span }) = port_text(item, served, log) else { continue };
        if let Some(first) = ports.insert(served.port, span) {
            let draft = error(Code::Duplicate, format!("the port `{}` is served twice", served.port));
            log.push(draft.note(span, "again here").note(first, "first here"));
        } else {
            // Two ports may have one name: two containers of a pod may give it.
            all.push(served);
        }
    }
    all
}

pub(super) fn port_text<T>(node: &Node, parse: impl Fn(&str) -> Result<T, PortError>, log: &mut Log) -> Option<At<T>> {
    let text = match &node.value {
        // A number alone: the same advice as for the text of it.
        Value::Scalar(raw, Style::Plain) if matches!(resolve(raw, Style::Plain), Resolved::Integer(_)) => {
            At::new(raw.clone(), node.span)
        }
        Value::Scalar(..) | Value::List(_) | Value::Map(_) => text(node, "a port", OURS, log)?,
    };
    match parse(&text.value) {
        Ok(port) => Some(At::new(port, text.span)),
        Err(PortError { message, better }) => {
            let better = better.map(|better| format!("write `{better}`"));
            log.push(error(Code::InvalidValue, message).at(text.span).help_maybe(better));
            None
        }
    }
}
