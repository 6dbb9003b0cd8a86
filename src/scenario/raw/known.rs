//! Reads the `known:` list off the tree.

use jiff::civil::Date;

use super::Known;
use super::endpoints::port_text;
use super::port::port;
use super::read::who;
use crate::model::finding::Call;
use crate::scenario::decode::{At, Dialect, Fields, choice, items, text};
use crate::scenario::diagnostic::Code;
use crate::scenario::log::{Log, error};
use crate::scenario::tree::Node;

const OURS: Dialect = Dialect::Scenario;
const CALLS: [(&str, Call); 2] = [("outage", Call::Outage), ("leak", Call::Leak)];

pub(super) fn list(node: &Node, log: &mut Log) -> Vec<Known> {
    items(node, "`known`", log).iter().filter_map(|item| entry(item, log)).collect()
}

/// One entry. One with a part that could not be read would excuse other flows than it was meant to: it is left out.
fn entry(node: &Node, log: &mut Log) -> Option<Known> {
    let mut fields = Fields::open(node, "an entry of `known`", OURS, log)?;
    let from = fields.required("from", log).map(|node| who(node, "`from`", log));
    let to = fields.required("to", log).map(|node| who(node, "`to`", log));
    let port = match fields.optional("port") {
        None => Some(None),
        Some(node) => port_text(node, port, log).map(Some),
    };
    let call = fields.required("call", log).and_then(|node| choice(node, "`call`", &CALLS, OURS, log));
    let reason = fields.required("reason", log).and_then(|node| reason(node, log));
    let until = fields.required("until", log).and_then(|node| day(node, log));
    fields.close(log);
    Some(Known { from: from?, to: to?, port: port?, call: call?, reason: reason?, until: until?, span: node.span })
}

fn reason(node: &Node, log: &mut Log) -> Option<At<String>> {
    let reason = text(node, "`reason`", OURS, log)?;
    if reason.value.trim().is_empty() {
        log.push(error(Code::InvalidValue, "`reason` says nothing").at(reason.span).help("say why it is put up with"));
        return None;
    }
    Some(reason)
}

fn day(node: &Node, log: &mut Log) -> Option<At<Date>> {
    let written = text(node, "`until`", OURS, log)?;
    // Exactly as it is shown again: the parser would also take a time behind it.
    let date = written.value.parse::<Date>().ok().filter(|date| date.to_string() == written.value);
    if date.is_none() {
        let message = format!("`until` is no day: `{}`", written.value);
        log.push(error(Code::InvalidValue, message).at(written.span).help("write `2027-03-31`"));
    }
    date.map(|date| At::new(date, written.span))
}
