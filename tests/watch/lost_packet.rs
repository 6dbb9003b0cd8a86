//! One lost packet: the flow is tried again at once, so that its window ends within milliseconds and not with its next turn.

use leakproof::model::document::Cell;
use leakproof::model::finding::{Call, Window};
use libtest_mimic::{Completion, Failed};

use super::{Clarity, Run, until_clear};

const FLOW: &str = "ai-processing -> data-store:5432/tcp";
const ARGUMENTS: &[&str] =
    &["--for", "6s", "--established", "none", "--fault", "lose-packet=ai-processing->data-store:5432/tcp@7s"];

/// From the first wrong attempt, the only one, to the first right one after it.
const RIGHT_AGAIN_WITHIN_US: u64 = 20_000;

pub fn lost_packet() -> Result<Completion, Failed> {
    until_clear(ARGUMENTS, check)
}

fn check(run: &Run) -> Result<Clarity, String> {
    let Run { document, watch, code, .. } = run;
    let cells = &document.stages.last().ok_or("no stage")?.cells;
    let mut outages: Vec<(&Cell, &Window)> = Vec::new();
    for cell in cells {
        outages.extend(cell.windows.iter().filter(|w| w.first_wrong_us >= watch.from_us).map(|window| (cell, window)));
    }
    let [(cell, window)] = outages.as_slice() else {
        return Err(format!("one window was made, and these were found: {outages:?}"));
    };
    if cell.flow.to_string() != FLOW || window.call != Call::Outage || window.attempts != 1 || *code != 10 {
        return Err(format!("exit {code}, {} was wrong: {window:?}", cell.flow));
    }
    let (Some(before), Some(after)) = (window.right_before_us, window.right_after_us) else {
        return Err(format!("it has no bounds: {window:?}"));
    };
    if before > window.first_wrong_us || after < window.first_wrong_us {
        return Err(format!("its bounds are out of order: {window:?}"));
    }
    // The lab's packet filter dropped it, at the destination's node: no counter of either pod moves by that.
    let ends: Vec<&str> = window.drops.iter().map(|at| at.end.as_str()).collect();
    if ends != ["ai-processing", "data-store"] || window.drops.iter().any(|at| at.node.is_none()) {
        return Err(format!("the counters of both ends were not read around it: {window:?}"));
    }
    let own = |counter: &str| !counter.contains("whole machine");
    if let Some(count) = window.drops.iter().flat_map(|at| &at.counted).find(|count| own(&count.counter)) {
        return Err(format!("{count:?} was counted, though nothing was dropped at either end"));
    }
    let said = run.said.split_whitespace().collect::<Vec<_>>().join(" ");
    if window.drops.iter().all(|at| at.counted.is_empty()) && !said.contains("no drop was counted at either end") {
        return Err("no report says that no drop was counted".to_owned());
    }
    let right_again = after - window.first_wrong_us;
    if right_again > RIGHT_AGAIN_WITHIN_US {
        // Agents of a busy machine are late to try again; that they do not try at all shows each time.
        return Ok(Clarity::Blurred(format!("right again only after {right_again} us: {window:?}")));
    }
    Ok(Clarity::Clear)
}
