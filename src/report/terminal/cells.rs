//! Every cell of a stage with its readings and timings, for those who ask for all.

use std::io;

use crate::model::document::{Cell, Stage};
use crate::model::finding::Window;

use super::super::duration::human_us;
use super::super::mark::role_of;
use super::super::story;
use super::super::text::plural;
use super::{Page, page};

/// Writes every cell.
pub fn render(stage: &Stage, page: &mut Page) -> io::Result<()> {
    for cell in &stage.cells {
        page.entry(cell.call.word(), role_of(cell.call), &cell.flow.to_string())?;
        page.text(page::INDENT + 2, &readings(cell))?;
        page.text(page::INDENT + 2, &timings(cell))?;
        let reasons = story::reasons(&stage.reasons, cell.egress, cell.ingress);
        if !reasons.is_empty() {
            page.text(page::INDENT + 2, &reasons)?;
        }
        if let Some(witness) = &cell.witness {
            page.text(page::INDENT + 2, &format!("witness: {}", story::witness(witness)))?;
        }
        // What was wrong before convergence is in the time to enforce; where that is not known, it is all there is.
        let told = |window: &&Window| !window.before_convergence || cell.time_to_enforce_us.is_none();
        for window in cell.windows.iter().filter(told) {
            page.text(page::INDENT + 2, &format!("window: {}", story::window(window)))?;
        }
        if let Some(note) = &cell.note {
            page.text(page::INDENT + 2, &format!("note: {note}"))?;
        }
    }
    Ok(())
}

fn readings(cell: &Cell) -> String {
    format!("{}, {}, seen: {}", story::intent(cell.intent), story::meaning(cell.meaning), story::seen(&cell.reality))
}

fn timings(cell: &Cell) -> String {
    let mut parts = vec![match cell.time_to_enforce_us {
        Some(0) => "right throughout".to_owned(),
        Some(us) => format!("right for good after {}", human_us(us)),
        None => "never right for good".to_owned(),
    }];
    parts.extend(cell.slowest_us.map(|us| format!("slowest reply {}", human_us(us))));
    parts.push(plural(u64::from(cell.attempts), "attempt", "attempts"));
    if cell.unseen > 0 {
        parts.push(format!("{} could not see", cell.unseen));
    }
    parts.join(", ")
}
