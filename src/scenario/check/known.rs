//! What is known to go wrong: names resolved, and the flows that each entry covers.

use std::collections::HashSet;

use super::cast::Cast;
use super::expectations::{Part, who};
use crate::model::endpoint::EndpointId;
use crate::model::flow::Flow;
use crate::scenario::decode::At;
use crate::scenario::diagnostic::Code;
use crate::scenario::log::{Log, error};
use crate::scenario::world::World;
use crate::scenario::{Known, Stage, raw};

/// Resolves the entries. Each must cover a flow of some stage.
pub(super) fn resolve(entries: &[raw::Known], stages: &[Stage], cast: &Cast, log: &mut Log) -> Vec<Known> {
    if entries.is_empty() {
        return Vec::new();
    }
    // Everybody who is there at any time: an entry speaks of all stages.
    let everybody = World {
        pods: cast.pods.clone(),
        outside: cast.outside.clone(),
        services: cast.services.clone(),
        ..World::default()
    };
    let flows: HashSet<Flow> = stages.iter().flat_map(|stage| stage.cells.iter().map(|(_, flow)| *flow)).collect();
    let mut known = Vec::new();
    for entry in entries {
        let from: HashSet<EndpointId> = who(&entry.from, Part::Sends, &everybody, cast, log).into_iter().collect();
        let to: HashSet<EndpointId> = who(&entry.to, Part::Receives, &everybody, cast, log).into_iter().collect();
        if from.is_empty() || to.is_empty() {
            continue;
        }
        let covers = |flow: &&Flow| {
            from.contains(&flow.source)
                && to.contains(&flow.destination)
                && entry.port.is_none_or(|port| port.value == flow.port)
        };
        let flows: HashSet<Flow> = flows.iter().filter(covers).copied().collect();
        if flows.is_empty() {
            log.push(error(Code::NoEffect, "this entry of `known` covers no flow").at(entry.span));
        }
        known.push(Known {
            words: words(entry),
            flows,
            call: entry.call.value,
            reason: entry.reason.value.clone(),
            until: entry.until.value,
        });
    }
    known
}

fn words(entry: &raw::Known) -> String {
    let names = |all: &[At<String>]| all.iter().map(|at| at.value.as_str()).collect::<Vec<_>>().join(", ");
    let port = entry.port.map(|at| format!(":{}", at.value)).unwrap_or_default();
    format!("{} -> {}{port}", names(&entry.from), names(&entry.to))
}
