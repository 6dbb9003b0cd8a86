//! One line per finding, and its story below; findings that share a story share its telling.

use std::io;

use super::super::finding_groups::FindingGroup;
use super::super::mark::role_of;
use super::super::watched;
use super::{LISTED_FINDINGS, Page, Verbosity, page};

/// Writes findings, gravest first as they come.
pub fn render(groups: &[FindingGroup], page: &mut Page) -> io::Result<()> {
    let limit = match page.style().verbosity {
        Verbosity::Quiet | Verbosity::Normal => LISTED_FINDINGS,
        Verbosity::Verbose => usize::MAX,
    };
    for group in groups {
        let (told, alike) = (&group.story, &group.findings);
        if let (Some(title), Some(first)) = (&group.title, alike.first()) {
            page.entry(told.word, role_of(first.call), title)?;
        }
        for finding in alike.iter().take(limit) {
            match group.title {
                Some(_) => page.text(page::INDENT + 2, &finding.flow.to_string())?,
                None => page.entry(told.word, role_of(finding.call), &finding.flow.to_string())?,
            }
        }
        if let Some(more) = alike.len().checked_sub(limit).filter(|more| *more > 0) {
            let text = format!("and {more} more of the kind (listed with --verbose, and in the JSON)");
            page.text(page::INDENT, &text)?;
        }
        page.text(page::INDENT, &told.readings)?;
        page.text(page::INDENT, &format!("blame: {}", told.blame))?;
        for (lead, text) in [("because", &told.because), ("next", &told.next)] {
            if !text.is_empty() {
                page.text(page::INDENT, &format!("{lead}: {text}"))?;
            }
        }
        if let Some(took_effect) = &told.took_effect {
            page.text(page::INDENT, &format!("took effect: {took_effect}"))?;
        }
        for window in &told.windows {
            page.text(page::INDENT, &format!("window: {}", window.sentence))?;
            let named = if page.style().verbosity == Verbosity::Verbose { usize::MAX } else { watched::NAMED };
            if let Some(changed) = window.changed(named) {
                page.text(page::INDENT + 2, &changed)?;
            }
        }
    }
    Ok(())
}
