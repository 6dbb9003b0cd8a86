//! Reads the types of [`super`] off the tree.

use std::collections::HashMap;

use super::endpoints::{namespaces, outside, pods, port_text, services};
use super::port::port;
use super::{Expect, Manifest, Relabel, Requires, Scenario, Step};
use super::{duration, known, names};
use crate::model::endpoint::Family;
use crate::model::verdict::{DenyForm, Verdict};
use crate::scenario::decode::{At, Dialect, Fields, choice, entries, integer, items, text};
use crate::scenario::diagnostic::Code;
use crate::scenario::labels::{self, Own};
use crate::scenario::log::{Log, error};
use crate::scenario::requirement::Versions;
use crate::scenario::text::Span;
use crate::scenario::tree::{Node, Resolved, Value, resolve};

const OURS: Dialect = Dialect::Scenario;
const FAMILIES: [(&str, Family); 2] = [("ipv4", Family::V4), ("ipv6", Family::V6)];
const VERDICTS: [(&str, Verdict); 2] = [("allowed", Verdict::Allowed), ("denied", Verdict::Denied)];
const FORMS: [(&str, DenyForm); 3] =
    [("drop", DenyForm::Drop), ("reject", DenyForm::Reject), ("either", DenyForm::Either)];

/// Reads a scenario. None only where it is no map at all; else whatever could be read, and the log says what could not.
pub(in crate::scenario) fn scenario(node: &Node, log: &mut Log) -> Option<Scenario> {
    let mut fields = Fields::open(node, "a scenario", OURS, log)?;
    if let Some(node) = fields.required("version", log) {
        version(node, log);
    }
    let scenario = Scenario {
        span: fields.span(),
        version: (),
        about: fields.optional("about").and_then(|node| text(node, "`about`", OURS, log)),
        families: fields.optional("families").map(|node| families(node, log)),
        namespaces: fields.required("namespaces", log).map(|node| namespaces(node, log)).unwrap_or_default(),
        pods: fields.required("pods", log).map(|node| pods(node, "`pods`", log)).unwrap_or_default(),
        outside: fields.optional("outside").map(|node| outside(node, log)).unwrap_or_default(),
        services: fields.optional("services").map(|node| services(node, log)).unwrap_or_default(),
        names: fields.optional("names").map(|node| names::names(node, log)).unwrap_or_default(),
        requires: fields.optional("requires").and_then(|node| requires(node, log)),
        policies: fields.optional("policies").map(|node| manifests(node, "`policies`", log)).unwrap_or_default(),
        expect: fields.optional("expect").map(|node| expectations(node, log)).unwrap_or_default(),
        steps: fields.optional("steps").map(|node| steps(node, log)).unwrap_or_default(),
        known: fields.optional("known").map(|node| known::list(node, log)).unwrap_or_default(),
        deadline: duration::read(&mut fields, "deadline", log),
        attempts: fields
            .optional("attempts")
            .and_then(|node| integer(node, "`attempts`", (1, 100), log))
            .map(|at| at.map(|n| u32::try_from(n).unwrap_or(1))),
        interval: duration::read(&mut fields, "interval", log),
        converge_within: duration::read(&mut fields, "converge_within", log),
        max_enforce: duration::read(&mut fields, "max_enforce", log),
        deny: fields.optional("deny").and_then(|node| choice(node, "`deny`", &FORMS, OURS, log)),
    };
    fields.close(log);
    Some(scenario)
}

fn version(node: &Node, log: &mut Log) {
    if let Value::Scalar(raw, style) = &node.value {
        match resolve(raw, *style) {
            Resolved::Integer(1) => return,
            Resolved::Integer(other) => {
                log.push(
                    error(Code::InvalidValue, format!("this leakproof reads version 1 of the format, not {other}"))
                        .at(node.span),
                );
                return;
            }
            Resolved::Null | Resolved::Bool(_) | Resolved::Number(_) | Resolved::Text(_) => {}
        }
    }
    let message = format!("`version` must be the number 1, not {}", node.value.kind());
    log.push(error(Code::WrongType, message).at(node.span).help("write `version: 1`"));
}

fn requires(node: &Node, log: &mut Log) -> Option<Requires> {
    let mut fields = Fields::open(node, "`requires`", OURS, log)?;
    let calico = fields.required("calico", log).and_then(|node| versions(node, log));
    fields.close(log);
    Some(Requires { calico: calico? })
}

/// Versions of Calico.
fn versions(node: &Node, log: &mut Log) -> Option<At<Versions>> {
    let At { value, span } = text(node, "`calico`", OURS, log)?;
    match value.parse() {
        Ok(versions) => Some(At::new(versions, span)),
        Err(why) => {
            let message = format!("`{value}` names no versions: {why}");
            log.push(error(Code::InvalidValue, message).at(span).help("write it as `>=3.31, <3.33`"));
            None
        }
    }
}

fn families(node: &Node, log: &mut Log) -> Vec<At<Family>> {
    let mut all: Vec<At<Family>> = Vec::new();
    for item in items(node, "`families`", log) {
        if let Some(family) = choice(item, "a family", &FAMILIES, OURS, log) {
            if let Some(first) = all.iter().find(|other| other.value == family.value) {
                let draft = error(Code::Duplicate, format!("`{}` is given twice", word(family.value)));
                log.push(draft.note(family.span, "again here").note(first.span, "first here"));
            } else {
                all.push(family);
            }
        }
    }
    if let Value::List(list) = &node.value
        && list.is_empty()
    {
        let draft = error(Code::InvalidValue, "`families` names no family");
        log.push(draft.at(node.span).help("leave it out for `[ ipv4 ]`"));
    }
    all
}

/// A family as files write it.
pub(in crate::scenario) fn word(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}

fn manifests(node: &Node, what: &str, log: &mut Log) -> Vec<Manifest> {
    let mut all = Vec::new();
    for item in items(node, what, log) {
        match &item.value {
            Value::Map(_) => all.push(Manifest::Inline(item.clone())),
            Value::List(_) | Value::Scalar(..) => {
                let what = format!("an entry of {what}");
                all.extend(text(item, &what, OURS, log).map(Manifest::File));
            }
        }
    }
    all
}

fn expectations(node: &Node, log: &mut Log) -> Vec<Expect> {
    items(node, "`expect`", log).iter().filter_map(|item| expectation(item, log)).collect()
}

fn expectation(node: &Node, log: &mut Log) -> Option<Expect> {
    let mut fields = Fields::open(node, "an expectation", OURS, log)?;
    let from = fields.required("from", log).map(|node| who(node, "`from`", log));
    let to = fields.required("to", log).map(|node| who(node, "`to`", log));
    let port = fields.optional("port").map(|node| port_text(node, port, log));
    let family = fields.optional("family").map(|node| choice(node, "`family`", &FAMILIES, OURS, log));
    let verdict = fields.required("verdict", log).and_then(|node| choice(node, "`verdict`", &VERDICTS, OURS, log));
    let overrides = fields.optional("overrides").map(|node| flag(node, "`overrides`", log));
    let calico = fields.optional("calico").map(|node| versions(node, log));
    let max_outage = duration::read_from_zero(&mut fields, "max_outage", log);
    let max_leak = duration::read_from_zero(&mut fields, "max_leak", log);
    fields.close(log);
    // An entry with a part that could not be read would cover other flows than it was meant to: it is left out.
    let port = match port {
        Some(None) => return None,
        Some(Some(port)) => Some(port),
        None => None,
    };
    let family = match family {
        Some(None) => return None,
        Some(Some(family)) => Some(family),
        None => None,
    };
    let overrides = match overrides {
        Some(None) => return None,
        Some(Some(overrides)) => overrides,
        None => false,
    };
    let calico = match calico {
        Some(None) => return None,
        Some(Some(calico)) => Some(calico),
        None => None,
    };
    let (from, to, verdict) = (from?, to?, verdict?);
    Some(Expect { from, to, port, family, verdict, overrides, calico, max_outage, max_leak, span: node.span })
}

/// `true` or `false`.
fn flag(node: &Node, what: &str, log: &mut Log) -> Option<bool> {
    if let Value::Scalar(raw, style) = &node.value
        && let Resolved::Bool(value) = resolve(raw, *style)
    {
        return Some(value);
    }
    let message = format!("{what} must be `true` or `false`, not {}", node.value.kind());
    log.push(error(Code::WrongType, message).at(node.span));
    None
}

/// A name or a list of names.
pub(super) fn who(node: &Node, what: &str, log: &mut Log) -> Vec<At<String>> {
    match &node.value {
        Value::List(items) => {
            if items.is_empty() {
                log.push(error(Code::InvalidValue, format!("{what} names nobody")).at(node.span));
            }
            let mut all: Vec<At<String>> = Vec::new();
            let mut seen: HashMap<String, Span> = HashMap::new();
            for item in items {
                let Some(name) = text(item, &format!("an entry of {what}"), OURS, log) else { continue };
                if let Some(first) = seen.insert(name.value.clone(), name.span) {
                    let draft = error(Code::Duplicate, format!("`{}` is named twice", name.value));
                    log.push(draft.note(name.span, "again here").note(first, "first here"));
                    continue;
                }
                all.push(name);
            }
            all
        }
        Value::Scalar(..) | Value::Map(_) => {
            let what = format!("{what} must be a name, a list of names or `any`:");
            match &node.value {
                Value::Map(_) => {
                    log.push(error(Code::WrongType, format!("{what} not a map")).at(node.span));
                    Vec::new()
                }
                Value::List(_) | Value::Scalar(..) => {
                    text(node, what.trim_end_matches(':'), OURS, log).into_iter().collect()
                }
            }
        }
    }
}

fn steps(node: &Node, log: &mut Log) -> Vec<Step> {
    let mut all = Vec::new();
    for (place, item) in items(node, "`steps`", log).iter().enumerate() {
        let Some(mut fields) = Fields::open(item, format!("step {}", place + 1), OURS, log) else { continue };
        let step = Step {
            about: fields.optional("about").and_then(|node| text(node, "`about`", OURS, log)),
            apply: fields.optional("apply").map(|node| manifests(node, "`apply`", log)).unwrap_or_default(),
            delete: fields.optional("delete").map(|node| names(node, "`delete`", log)).unwrap_or_default(),
            relabel: fields.optional("relabel").map(|node| relabel(node, log)).unwrap_or_default(),
            add: fields.optional("add").map(|node| pods(node, "`add`", log)).unwrap_or_default(),
            remove: fields.optional("remove").map(|node| names(node, "`remove`", log)).unwrap_or_default(),
            expect: fields.optional("expect").map(|node| expectations(node, log)).unwrap_or_default(),
            converge_within: duration::read(&mut fields, "converge_within", log),
            max_enforce: duration::read(&mut fields, "max_enforce", log),
            span: fields.span(),
        };
        fields.close(log);
        all.push(step);
    }
    all
}

fn names(node: &Node, what: &str, log: &mut Log) -> Vec<At<String>> {
    let entry = format!("an entry of {what}");
    items(node, what, log).iter().filter_map(|item| text(item, &entry, OURS, log)).collect()
}

fn relabel(node: &Node, log: &mut Log) -> Relabel {
    let Some(mut fields) = Fields::open(node, "`relabel`", OURS, log) else { return Relabel::default() };
    let mut named = |key: &'static str, log: &mut Log| {
        let Some(node) = fields.optional(key) else { return Vec::new() };
        entries(node, &format!("`{key}`"), log)
            .iter()
            .map(|(key, node)| (At::new(key.text.clone(), key.span), labels::read(node, OURS, Own::Refused, log)))
            .collect()
    };
    let relabel = Relabel { pods: named("pods", log), namespaces: named("namespaces", log) };
    fields.close(log);
    relabel
}
