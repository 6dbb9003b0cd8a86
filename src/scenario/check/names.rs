//! Resolves `names:`: every name there must be one of the scenario's.

use std::collections::{BTreeMap, BTreeSet};

use super::cast::Cast;
use crate::policy::Policy;
use crate::scenario::decode::At;
use crate::scenario::diagnostic::Code;
use crate::scenario::log::{Log, error};
use crate::scenario::outputs::Names;
use crate::scenario::raw;
use crate::scenario::text::Span;
use crate::scenario::world::World;

/// Which names are outputs.
pub(super) fn resolve(raw: &raw::Names, bare: &World, placed: &[(Policy, Span)], cast: &Cast, log: &mut Log) -> Names {
    let namespaces = bare.namespaces.keys().cloned().collect();
    let policies = placed.iter().map(|(policy, _)| policy.reference().to_string()).collect();
    let workloads = cast.borrowed.values().map(|borrowed| borrowed.like.to_string()).collect();
    Names {
        namespaces: known(&raw.namespaces, "namespace", &namespaces, log),
        policies: known(&raw.policies, "policy", &policies, log),
        workloads: known(&raw.workloads, "workload that a pod is like", &workloads, log),
    }
}

fn known(
    raw: &raw::Named<At<String>>,
    what: &str,
    known: &BTreeSet<String>,
    log: &mut Log,
) -> BTreeMap<String, String> {
    for (name, _) in raw {
        if known.contains(&name.value) {
            continue;
        }
        let full = known.iter().find(|full| full.rsplit('/').next() == Some(name.value.as_str()));
        let hint = full.map(|full| format!("write `{full}`"));
        let hint = hint.or_else(|| log.nearest(&name.value, known.iter().map(String::as_str)));
        let draft = error(Code::UnknownName, format!("there is no {what} `{}`", name.value));
        log.push(draft.at(name.span).help_maybe(hint));
    }
    raw.iter().map(|(name, output)| (name.value.clone(), output.value.clone())).collect()
}
