//! Reads the types of [`super`] off the tree.

use std::collections::HashMap;
use std::time::Duration;

use super::port::{PortError, port, served};
use super::{Expect, Manifest, Named, Namespace, Outside, Pod, Relabel, Scenario, Step};
use crate::model::endpoint::Family;
use crate::model::labels::{Labels, check_dns_label, check_key, check_value};
use crate::model::port::ServedPort;
use crate::model::verdict::{DenyForm, Verdict};
use crate::scenario::decode::{At, Dialect, Fields, choice, entries, integer, items, text};
use crate::scenario::diagnostic::Code;
use crate::scenario::log::{Log, error};
use crate::scenario::text::Span;
use crate::scenario::tree::{Node, Resolved, Style, Value, resolve};

/// Labels under this prefix are leakproof's own: oracle and lab do not see them.
pub(in crate::scenario) const OWN_PREFIX: &str = "leakproof.dev";

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
        policies: fields.optional("policies").map(|node| manifests(node, "`policies`", log)).unwrap_or_default(),
        expect: fields.optional("expect").map(|node| expectations(node, log)).unwrap_or_default(),
        steps: fields.optional("steps").map(|node| steps(node, log)).unwrap_or_default(),
        deadline: duration_of(&mut fields, "deadline", log),
        attempts: fields
            .optional("attempts")
            .and_then(|node| integer(node, "`attempts`", (1, 100), log))
            .map(|at| at.map(|n| u32::try_from(n).unwrap_or(1))),
        interval: duration_of(&mut fields, "interval", log),
        converge_within: duration_of(&mut fields, "converge_within", log),
        max_enforce: duration_of(&mut fields, "max_enforce", log),
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

/// Checks a name that stands as a key, and gives it back with its place.
fn name(key: &crate::scenario::tree::Key, what: &str, log: &mut Log) -> At<String> {
    if let Err(why) = check_dns_label(&key.text) {
        log.push(error(Code::InvalidValue, format!("{what} name `{}` {why}", key.text)).at(key.span));
    }
    At::new(key.text.clone(), key.span)
}

fn namespaces(node: &Node, log: &mut Log) -> Named<Namespace> {
    let mut all = Vec::new();
    for (key, node) in entries(node, "`namespaces`", log) {
        let name = name(key, "the namespace", log);
        let Some(fields) = Fields::open(node, format!("namespace `{}`", key.text), OURS, log) else {
            all.push((name, Namespace { labels: Labels::default() }));
            continue;
        };
        let mut fields = fields.placed(key.span);
        let labels = fields.optional("labels").map(|node| labels(node, log)).unwrap_or_default();
        fields.close(log);
        all.push((name, Namespace { labels }));
    }
    all
}

fn pods(node: &Node, what: &str, log: &mut Log) -> Named<Pod> {
    let mut all = Vec::new();
    for (key, node) in entries(node, what, log) {
        let name = name(key, "the pod", log);
        refuse_any(&name, log);
        let Some(fields) = Fields::open(node, format!("pod `{}`", key.text), OURS, log) else { continue };
        let mut fields = fields.placed(key.span);
        let namespace = fields.required("namespace", log).and_then(|node| text(node, "`namespace`", OURS, log));
        let pod = Pod {
            // Where it is missing that has been said; an empty name resolves to nothing and says nothing more.
            namespace: namespace.unwrap_or_else(|| At::new(String::new(), key.span)),
            labels: fields.optional("labels").map(|node| labels(node, log)).unwrap_or_default(),
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

fn refuse_any(name: &At<String>, log: &mut Log) {
    if name.value == "any" {
        let message = "`any` stands for every pod in an expectation, so nothing can bear that name";
        log.push(error(Code::Reserved, message).at(name.span));
    }
}

fn outside(node: &Node, log: &mut Log) -> Named<Outside> {
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

/// Labels, checked as the API server checks them.
pub(in crate::scenario) fn labels(node: &Node, log: &mut Log) -> Labels {
    labels_in(node, OURS, Own::Refused, log)
}

/// Whether labels of leakproof's own may stand there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::scenario) enum Own {
    /// Where policies could see them.
    Refused,
    /// On objects no policy selects, such as the policies themselves.
    Taken,
}

/// Labels of a manifest or a scenario.
pub(in crate::scenario) fn labels_in(node: &Node, dialect: Dialect, own: Own, log: &mut Log) -> Labels {
    let mut all = Labels::default();
    for (key, node) in entries(node, "labels", log) {
        check_label_key(&key.text, key.span, own, log);
        let what = format!("the label `{}`", key.text);
        if let Some(value) = text(node, &what, dialect, log) {
            if let Err(why) = check_value(&value.value) {
                log.push(error(Code::InvalidValue, format!("the label value `{}` {why}", value.value)).at(value.span));
            }
            all.0.insert(key.text.clone(), value.value);
        }
    }
    all
}

/// Checks a label's key, and that it is none of leakproof's own where those are refused.
pub(in crate::scenario) fn check_label_key(key: &str, span: Span, own: Own, log: &mut Log) {
    if let Err(why) = check_key(key) {
        log.push(error(Code::InvalidValue, format!("the label key `{key}` {why}")).at(span));
    }
    let prefix = key.split_once('/').map(|(prefix, _)| prefix).unwrap_or_default();
    let ours = prefix == OWN_PREFIX || prefix.strip_suffix(OWN_PREFIX).is_some_and(|rest| rest.ends_with('.'));
    if ours && own == Own::Refused {
        let message = format!("the label `{key}` is leakproof's own: no policy sees it");
        log.push(error(Code::Reserved, message).at(span).help("use another label"));
    }
}

fn serves(node: &Node, log: &mut Log) -> Vec<ServedPort> {
    let mut all: Vec<At<ServedPort>> = Vec::new();
    for item in items(node, "`serves`", log) {
        let Some(one) = port_text(item, served, log) else { continue };
        let twice = all.iter().find(|other| other.value.port == one.value.port);
        let named = all.iter().find(|other| other.value.name.is_some() && other.value.name == one.value.name);
        let what = match (twice, named) {
            (Some(first), _) => Some((first, format!("the port `{}` is served twice", one.value.port))),
            (None, Some(first)) => {
                Some((first, format!("two ports are called `{}`", one.value.name.as_deref().unwrap_or_default())))
            }
            (None, None) => None,
        };
        if let Some((first, message)) = what {
            log.push(error(Code::Duplicate, message).note(one.span, "again here").note(first.span, "first here"));
        } else {
            all.push(one);
        }
    }
    all.into_iter().map(|at| at.value).collect()
}

fn port_text<T>(node: &Node, parse: impl Fn(&str) -> Result<T, PortError>, log: &mut Log) -> Option<At<T>> {
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
    Some(Expect { from: from?, to: to?, port, family, verdict: verdict?, span: node.span })
}

/// A name or a list of names.
fn who(node: &Node, what: &str, log: &mut Log) -> Vec<At<String>> {
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
        let before = log.errors();
        let Some(mut fields) = Fields::open(item, format!("step {}", place + 1), OURS, log) else { continue };
        let mut step = Step {
            about: fields.optional("about").and_then(|node| text(node, "`about`", OURS, log)),
            apply: fields.optional("apply").map(|node| manifests(node, "`apply`", log)).unwrap_or_default(),
            delete: fields.optional("delete").map(|node| names(node, "`delete`", log)).unwrap_or_default(),
            relabel: fields.optional("relabel").map(|node| relabel(node, log)).unwrap_or_default(),
            add: fields.optional("add").map(|node| pods(node, "`add`", log)).unwrap_or_default(),
            remove: fields.optional("remove").map(|node| names(node, "`remove`", log)).unwrap_or_default(),
            expect: fields.optional("expect").map(|node| expectations(node, log)).unwrap_or_default(),
            converge_within: duration_of(&mut fields, "converge_within", log),
            max_enforce: duration_of(&mut fields, "max_enforce", log),
            span: fields.span(),
            whole: true,
        };
        fields.close(log);
        step.whole = log.errors() == before;
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
            .map(|(key, node)| (At::new(key.text.clone(), key.span), labels(node, log)))
            .collect()
    };
    let relabel = Relabel { pods: named("pods", log), namespaces: named("namespaces", log) };
    fields.close(log);
    relabel
}

fn duration_of(fields: &mut Fields<'_>, key: &'static str, log: &mut Log) -> Option<At<Duration>> {
    let node = fields.optional(key)?;
    let what = format!("`{key}`");
    if let Value::Scalar(raw, style) = &node.value
        && let Resolved::Integer(number) = resolve(raw, *style)
    {
        let draft = error(Code::InvalidValue, format!("{what} has no unit")).at(node.span);
        log.push(draft.help(format!("write `{number}s` or `{number}ms`")));
        return None;
    }
    let text = text(node, &what, OURS, log)?;
    let parsed: Result<jiff::SignedDuration, _> = text.value.parse();
    let Ok(signed) = parsed else {
        let message = format!("{what} is no duration: `{}`", text.value);
        log.push(error(Code::InvalidValue, message).at(text.span).help("write `300ms`, `10s` or `1m 30s`"));
        return None;
    };
    let bounds = Duration::from_millis(1)..=Duration::from_secs(3600);
    match Duration::try_from(signed) {
        Ok(duration) if bounds.contains(&duration) => Some(At::new(duration, text.span)),
        _ => {
            let message = format!("{what} must be from 1ms to 1h, not `{}`", text.value);
            log.push(error(Code::InvalidValue, message).at(text.span));
            None
        }
    }
}
