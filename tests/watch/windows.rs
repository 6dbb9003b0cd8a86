//! Whether the windows found are the windows made, and lie beside what made them.

use leakproof::model::document::{Cell, Document};
use leakproof::model::finding::{Call, Window};
use leakproof::model::happening::{Happening, Lies, Turn};
use leakproof::model::verdict::Verdict;
use leakproof::model::watch::WatchInfo;

use super::cases::Case;
use super::{Clarity, Run};

/// The edges of a window are known to within the time the lab took to make them.
pub const EDGE_US: i64 = 60_000;

pub fn check(case: &Case, run: &Run) -> Result<Clarity, String> {
    let Run { document, watch, .. } = run;
    let mut blurred = None;
    let made = match case.made {
        None => None,
        Some((begin, end)) => {
            let said = |event: &&Happening| format!("{} {}", event.subject, event.what);
            let at = |what| document.events.iter().find(|event| said(event) == what).map(|event| event.at_us);
            match (at(begin), at(end)) {
                (Some(begin), Some(end))
                    if begin > watch.from_us + 4 * watch.interval_us
                        && end < watch.until_us
                        && end > begin + 2 * watch.interval_us =>
                {
                    Some((begin, end))
                }
                // Too early, too late, or over at once, as the lab itself got no processor time.
                other => {
                    return Ok(Clarity::Blurred(format!(
                        "what was made lies outside of the watch, or was too short: {other:?}"
                    )));
                }
            }
        }
    };
    let node = |name: &str| document.endpoints.iter().find(|e| e.name == name).and_then(|e| e.node.as_deref());
    let stage = document.stages.last().ok_or("no stage")?;
    for cell in &stage.cells {
        let (from, to) = (node(&cell.flow.from).unwrap_or_default(), node(&cell.flow.to).unwrap_or_default());
        let windows: Vec<&Window> = cell.windows.iter().filter(|w| w.last_wrong_us >= watch.from_us).collect();
        match (made, (case.wrong)(cell, from, to)) {
            (Some(made), Some(call)) => {
                if let Clarity::Blurred(why) = the_window_made(cell, &windows, call, made, watch)? {
                    blurred = Some(why);
                }
                for window in &windows {
                    lies_beside_what_made_it(window, case, document)?;
                }
            }
            (None, Some(call)) => {
                if let Clarity::Blurred(why) = what_long_attempts_saw(cell, &windows, call)? {
                    blurred = Some(why);
                }
            }
            _ if !windows.is_empty() => return Err(format!("{} was never wrong, but: {windows:?}", cell.flow)),
            _ => {}
        }
        if cell.call == Call::Inconclusive && case.exit != 6 {
            if cell.unseen == 0 {
                return Err(format!("{} is inconclusive, though all was seen: {:?}", cell.flow, cell.note));
            }
            blurred = Some(format!("{} could not be seen: {:?}", cell.flow, cell.note));
        }
    }
    if let Err(why) = (case.holds)(document, watch) {
        // What agents could not see may be why; but then they must have said so.
        if watch.unseen == 0 {
            return Err(why);
        }
        blurred = Some(why);
    }
    match blurred {
        Some(why) => Ok(Clarity::Blurred(why)),
        None if run.code != i32::from(case.exit) => Err(format!("exit {} instead of {}", run.code, case.exit)),
        None => Ok(Clarity::Clear),
    }
}

/// Whether the one window found is the one that was made.
fn the_window_made(
    cell: &Cell,
    windows: &[&Window],
    call: Call,
    (begin, end): (u64, u64),
    watch: &WatchInfo,
) -> Result<Clarity, String> {
    let flow = &cell.flow;
    let late = |a: u64, b: u64| i64::try_from(a).unwrap_or(i64::MAX) - i64::try_from(b).unwrap_or(i64::MAX);
    for window in windows {
        if window.call != call {
            return Err(format!("{flow} was in {call}, not in {}: {window:?}", window.call));
        }
        // On a busy machine the packet leaves later than its attempt was launched.
        let began = window.first_wrong_by_us.unwrap_or(window.first_wrong_us);
        if late(begin, began) > EDGE_US || late(window.last_wrong_us, end) > EDGE_US {
            return Err(format!("{flow} was wrong from {begin} to {end}, not beyond: {window:?}"));
        }
        if window.right_before_us.is_none_or(|before| late(before, begin) > EDGE_US) {
            return Err(format!("{flow} was wrong from {begin} on, not right: {window:?}"));
        }
    }
    let two = i64::try_from(2 * watch.interval_us).unwrap_or(i64::MAX) + EDGE_US;
    let sharp = match windows {
        [window] => late(window.first_wrong_us, begin) <= two && late(end, window.last_wrong_us) <= two,
        _ => false,
    };
    match (sharp, cell.unseen) {
        (true, _) => Ok(Clarity::Clear),
        (false, 0) => Err(format!("{flow} was wrong from {begin} to {end}, and that was found as {windows:?}")),
        (false, _) => Ok(Clarity::Blurred(format!("{flow}: not all of {begin} to {end} could be seen: {windows:?}"))),
    }
}

/// Whether the flow was wrong for those who repeat a first packet, and for nobody else.
fn what_long_attempts_saw(cell: &Cell, windows: &[&Window], call: Call) -> Result<Clarity, String> {
    let flow = &cell.flow;
    for window in windows {
        // The kernel repeats a first packet after a second: so long after its launch the attempt got through, at least.
        let waited = window.right_before_us.map(|launched| window.first_wrong_us.saturating_sub(launched));
        if window.call != call || waited.is_none_or(|waited| waited < 900_000) {
            return Err(format!("{flow} was wrong after a repeat: {window:?}"));
        }
    }
    if cell.verdict != Some(Verdict::Denied) {
        return Err(format!("{flow} let first packets through: {cell:?}"));
    }
    match (windows, cell.unseen) {
        ([], 0) => Err(format!("{flow} lets repeats through, and nobody saw it")),
        ([], _) => Ok(Clarity::Blurred(format!("{flow}: no long attempt saw anything"))),
        _ => Ok(Clarity::Clear),
    }
}

/// A window must be laid beside what made it, first of all.
fn lies_beside_what_made_it(window: &Window, case: &Case, document: &Document) -> Result<(), String> {
    let Some((begin, _)) = case.made else { return Ok(()) };
    let first = window.beside.first().and_then(|beside| Some((beside, document.events.get(beside.event as usize)?)));
    let Some((beside, event)) = first else { return Err(format!("nothing lies beside {window:?}")) };
    let said = format!("{} {}", event.subject, event.what);
    let lies = match beside.lies {
        Lies::During => matches!(event.turn, Turn::Begins { .. }),
        // Its first wrong attempt may have been launched just before, and met what was made on its way.
        Lies::Within => beside.apart_us <= EDGE_US.unsigned_abs(),
        Lies::Before | Lies::After | Lies::Unknown => false,
    };
    if said == begin && lies { Ok(()) } else { Err(format!("{said} lies beside {window:?}, not {begin}")) }
}
