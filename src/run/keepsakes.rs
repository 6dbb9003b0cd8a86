//! What explains a failure, gathered into one folder before the world is removed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Order;
use super::again::{Again, quoted};
use super::assemble::BASELINE;
use crate::fabric::Realised;
use crate::model::document::Document;
use crate::model::endpoint::EndpointId;
use crate::model::finding::Call;
use crate::scenario::{Pick, Scenario};

/// Gathers into a folder of its own below `within`, if anything was not as it should be. Gives what to say about it.
pub(super) async fn gather<R: Realised>(
    world: &R,
    document: &Document,
    order: &Order<'_>,
    within: &Path,
) -> Vec<String> {
    if document.exit == 0 {
        return Vec::new();
    }
    let folder = within.join(format!("leakproof-{}-{}", document.scenario.name, document.run));
    if let Err(error) = std::fs::create_dir_all(&folder) {
        return vec![format!("nothing was gathered: making the folder `{}`: {error}", folder.display())];
    }
    let mut files = world.gather(&folder, &concerned(document, order.scenario)).await;
    files.extend(own(document, &order.again, &folder));
    vec![format!("gathered {} files in {}", files.len(), folder.display())]
}

/// The endpoints of every flow that is not as it should be, in any stage.
fn concerned(document: &Document, scenario: &Scenario) -> BTreeSet<EndpointId> {
    let cells = document.stages.iter().flat_map(|stage| &stage.cells);
    let wrong = cells.filter(|cell| !matches!(cell.call, Call::Ok | Call::Unsupported | Call::Unjudged));
    wrong.flat_map(|cell| [&cell.flow.from, &cell.flow.to]).filter_map(|name| scenario.find(name)).collect()
}

/// What the run itself knows: all agents' records, judged, and how to see them and try again.
fn own(document: &Document, again: &Again, folder: &Path) -> Option<String> {
    let name = "run.json";
    let text = serde_json::to_string_pretty(document).ok()?;
    std::fs::write(folder.join(name), text).ok()?;
    let file = quoted(&document.scenario.file);
    let mut lines = format!("leakproof report {}\n", PathBuf::from(name).display());
    let stages = document.stages.iter().filter(|stage| stage.name != BASELINE).enumerate();
    let cells = stages.flat_map(|(place, stage)| stage.cells.iter().map(move |cell| (place, stage, cell)));
    // The same cell of several stages is repeated by one run.
    let mut once_more = BTreeSet::new();
    let wrong = cells.filter(|(.., cell)| !matches!(cell.call, Call::Ok | Call::Unsupported | Call::Unjudged));
    for (place, stage, cell) in wrong.take(20) {
        let (flow, asking) = (&cell.flow, again.explaining((place > 0).then_some(&stage.name)));
        lines.push_str(&format!("leakproof explain {file} {} {} {}{asking}\n", flow.from, flow.to, flow.port));
        let pick = Pick { from: flow.from.clone(), to: flow.to.clone(), port: Some(flow.port) };
        once_more.insert(format!("leakproof run {file} --only {}{}\n", quoted(&pick.to_string()), again.running()));
    }
    lines.extend(once_more);
    lines.push_str(&format!("leakproof run {file}{}\n", again.running()));
    // The commands are a help; the run's document above is what counts.
    let _missing = std::fs::write(folder.join("leakproof.txt"), lines);
    Some(name.to_owned())
}
