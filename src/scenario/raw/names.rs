//! Reads `names:` off the tree, and the workload that a pod is like.

use super::{Named, Names};
use crate::scenario::borrowed::Workload;
use crate::scenario::decode::{At, Dialect, Fields, entries, text};
use crate::scenario::diagnostic::Code;
use crate::scenario::log::{Log, error};
use crate::scenario::tree::Node;

const OURS: Dialect = Dialect::Scenario;

pub(super) fn names(node: &Node, log: &mut Log) -> Names {
    let Some(mut fields) = Fields::open(node, "`names`", OURS, log) else { return Names::default() };
    let mut outputs = |key: &'static str, log: &mut Log| -> Named<At<String>> {
        let Some(node) = fields.optional(key) else { return Vec::new() };
        let what = format!("`{key}`");
        let mut all = Vec::new();
        for (key, node) in entries(node, &what, log) {
            let output = text(node, &format!("the output for `{}`", key.text), OURS, log);
            all.extend(output.map(|output| (At::new(key.text.clone(), key.span), output)));
        }
        all
    };
    let names = Names {
        namespaces: outputs("namespaces", log),
        policies: outputs("policies", log),
        workloads: outputs("workloads", log),
    };
    fields.close(log);
    names
}

pub(super) fn workload(node: &Node, log: &mut Log) -> Option<At<Workload>> {
    let At { value, span } = text(node, "`like`", OURS, log)?;
    match value.parse::<Workload>() {
        Ok(workload) => Some(At::new(workload, span)),
        Err(wrong) => {
            log.push(error(Code::InvalidValue, wrong.to_string()).at(span).help(wrong.help));
            None
        }
    }
}
