//! Whether anything enforces policy at all: where every denial leaks, the policies are not to blame.

use crate::model::document::{Document, FabricKind};
use crate::model::finding::Call;
use crate::model::verdict::Verdict;

use super::assemble::BASELINE;

/// A sentence where nothing in this cluster seems to enforce policy.
pub(super) fn nobody_enforces(document: &Document) -> Option<String> {
    if document.fabric.kind != FabricKind::Cluster || document.fabric.fault.is_some() {
        return None;
    }
    let stages = document.stages.iter().filter(|stage| stage.name != BASELINE);
    let denied = |cell: &&crate::model::document::Cell| {
        // Where meaning is unknown, policies that are enforced may well say something else than was wanted.
        cell.meaning.verdict() == Some(Verdict::Denied) && cell.call != Call::Unsupported
    };
    let calls: Vec<Call> = stages.flat_map(|stage| &stage.cells).filter(denied).map(|cell| cell.call).collect();
    if calls.is_empty() || calls.iter().any(|call| *call != Call::Leak) {
        return None;
    }
    let plugin = match document.fabric.facts.get("cni") {
        Some(cni) => {
            format!("its network plugin is {cni}; is its policy engine switched on and running on every node?")
        }
        None => "no network plugin that enforces NetworkPolicy was recognised".to_owned(),
    };
    Some(format!(
        "every flow that the policies deny is open ({} of {}): nothing in this cluster seems to enforce NetworkPolicy; {plugin}",
        calls.len(),
        calls.len()
    ))
}
