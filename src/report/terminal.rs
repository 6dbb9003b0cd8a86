//! The report at a terminal: the summary, a matrix per stage, and what a person must look at.

mod cells;
pub(in crate::report) mod findings;
pub mod matrix;
pub(in crate::report) mod page;
mod watch;

use std::io::{self, Write};

use crate::model::document::{Document, Stage};
use crate::model::watch::KnownOutcome;

use super::blindness::{self, Detail};
use super::duration::human_us;
use super::grid::Grid;
use super::groups::{self, Group};
use super::mark::{Attention, Mark};
use super::paint::{Colour, Role};
use super::text::{Charset, plural};
use super::{finding_groups, story, summary, watched};
pub(in crate::report) use page::Page;

/// How to write for one terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether to colour.
    pub colour: Colour,
    /// How wide it is, in columns. What is narrower than 40 is taken as 40.
    pub width: usize,
    /// Which characters it can show.
    pub charset: Charset,
    /// How much to say.
    pub verbosity: Verbosity,
}

impl Default for Style {
    /// Plain Unicode in 80 columns.
    fn default() -> Self {
        Self { colour: Colour::Off, width: 80, charset: Charset::Unicode, verbosity: Verbosity::Normal }
    }
}

/// How much to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Verbosity {
    /// The summary line.
    Quiet,
    /// The matrices, and what calls for attention.
    #[default]
    Normal,
    /// Every cell with its timings besides.
    Verbose,
}

/// So many flows are listed under one sentence before the rest is counted; all of them with [`Verbosity::Verbose`].
pub(in crate::report) const LISTED_FINDINGS: usize = 30;
/// And so many where the sentence matters more than the flows.
const LISTED_REMARKS: usize = 3;
/// So many kinds of remarks are told that change no verdict.
const NOTES: usize = 3;
/// So many of the slowest cells are named.
const SLOWEST: usize = 3;

/// Writes the report of a run.
///
/// # Errors
/// Whatever the writer refuses, a closed pipe for instance.
pub fn render(document: &Document, style: Style, writer: &mut dyn Write) -> io::Result<()> {
    let mut page = Page::new(style, writer);
    if style.verbosity > Verbosity::Quiet {
        head(document, &mut page)?;
        for stage in &document.stages {
            page.blank()?;
            render_stage(document, stage, &mut page)?;
        }
        if let Some(watch) = &document.watch {
            page.blank()?;
            watch::render(document, watch, &mut page)?;
        }
        remarks(document, &mut page)?;
        page.blank()?;
    }
    conclusion(document, &mut page)?;
    page.flush()
}

/// Writes what is left to tell after tear-down, of a report that was shown before it.
///
/// # Errors
/// Whatever the writer refuses.
pub fn after_tear_down(document: &Document, style: Style, writer: &mut dyn Write) -> io::Result<()> {
    let mut page = Page::new(style, writer);
    if let Some(told) = summary::tear_down(document).filter(|_| style.verbosity > Verbosity::Quiet) {
        page.text(page::INDENT, &told)?;
    }
    page.flush()
}

fn head(document: &Document, page: &mut Page) -> io::Result<()> {
    page.heading(&summary::subject(document))?;
    if let Some(about) = &document.scenario.about {
        page.text(0, about)?;
    }
    if let Some(fault) = summary::fault(document) {
        page.entry("FAULT", Role::Outage, &fault)?;
    }
    Ok(())
}

fn render_stage(document: &Document, stage: &Stage, page: &mut Page) -> io::Result<()> {
    let verbose = page.style().verbosity == Verbosity::Verbose;
    page.heading(&format!("{}: {}", stage.name, summary::counts(&stage.counts)))?;
    for change in &stage.changes {
        page.text(2, change)?;
    }
    page.text(2, &timing(stage))?;

    let calm = stage.cells.iter().all(|cell| Mark::of_cell(cell).calls_for_attention() == Attention::None);
    // A baseline in which everything was reached has nothing to show in a matrix.
    if !(stage.name == "baseline" && calm) || verbose {
        let marks = stage.cells.iter().map(|cell| (&cell.flow, Mark::of_cell(cell)));
        let cells: Vec<_> = marks.collect();
        let grid = Grid::lay_out(cells.iter().copied(), matrix::folding(&cells));
        page.blank()?;
        for line in matrix::draw(&grid, page.style()) {
            page.raw(&line)?;
        }
    }
    if !calm || !stage.findings.is_empty() {
        page.blank()?;
    }
    findings::render(&finding_groups::of_stage(document, stage), page)?;
    for group in groups::unsure(stage) {
        grouped("UNSURE", Role::Unsure, &group, LISTED_FINDINGS, page)?;
    }
    match (groups::weakness(stage), verbose) {
        (Some(weakness), false) => {
            let how = "--verbose lists them; --strict makes them inconclusive";
            page.entry("weak", Role::Unsure, &format!("{} ({how})", weakness.sentence()))?;
        }
        (Some(_), true) => {
            for group in groups::weak(stage) {
                grouped("weak", Role::Unsure, &group, LISTED_REMARKS, page)?;
            }
        }
        (None, _) => {}
    }
    for group in groups::unsupported(stage) {
        remark("n/a", &group, page)?;
    }
    let notes = groups::notes(stage);
    let told = if verbose { notes.len() } else { NOTES.min(notes.len()) };
    for group in &notes[..told] {
        remark("note", group, page)?;
    }
    if notes.len() > told {
        let cells: usize = notes[told..].iter().map(|group| group.flows.len()).sum();
        let cells = plural(cells as u64, "cell", "cells");
        page.entry("note", Role::Faint, &format!("{cells} with other remarks (--verbose lists them)"))?;
    }
    if verbose {
        page.blank()?;
        cells::render(stage, page)?;
    }
    Ok(())
}

/// A remark that changes no verdict: a few flows are named, more are counted.
fn remark(word: &str, group: &Group, page: &mut Page) -> io::Result<()> {
    if group.flows.len() <= LISTED_REMARKS || page.style().verbosity == Verbosity::Verbose {
        return grouped(word, Role::Faint, group, LISTED_REMARKS, page);
    }
    let count = plural(group.flows.len() as u64, "cell", "cells");
    page.entry(word, Role::Faint, &format!("{count}: {} (--verbose lists them)", group.sentence))
}

/// How long it took: convergence, and which cells were slowest. What was slow before any policy says nothing of one.
fn timing(stage: &Stage) -> String {
    if stage.name == "baseline" {
        return story::convergence(stage);
    }
    let slowest: Vec<String> = story::slowest(stage, SLOWEST)
        .into_iter()
        .map(|(cell, us)| format!("{} {}", cell.flow, human_us(us)))
        .collect();
    let convergence = story::convergence(stage);
    if slowest.is_empty() { convergence } else { format!("{convergence}; slowest: {}", slowest.join(", ")) }
}

/// A sentence, how many cells it holds for, and the first of them.
pub(in crate::report) fn grouped(
    word: &str,
    role: Role,
    group: &Group,
    limit: usize,
    page: &mut Page,
) -> io::Result<()> {
    let count = plural(group.flows.len() as u64, "cell", "cells");
    page.entry(word, role, &format!("{count}: {}", group.sentence))?;
    page.flows(&group.flows, limit)
}

fn remarks(document: &Document, page: &mut Page) -> io::Result<()> {
    let verbose = page.style().verbosity == Verbosity::Verbose;
    let blind = blindness::blind(document, if verbose { Detail::All } else { Detail::Some });
    let hint = if verbose || blind.len() >= document.agents.iter().filter(|agent| !agent.blind.is_empty()).count() {
        ""
    } else {
        " (--verbose lists when)"
    };
    let mut lines: Vec<(&str, Role, String)> =
        blind.iter().map(|told| ("blind", Role::Faint, format!("{told}{hint}"))).collect();
    if verbose {
        lines.extend(blindness::starved(document).map(|told| ("starved", Role::Faint, told)));
    }
    lines.extend(blindness::lost(document).map(|told| ("lost", Role::Unsure, told)));
    lines.extend(document.known.iter().map(|known| {
        let role = match known.outcome {
            KnownOutcome::Happened => Role::Faint,
            KnownOutcome::Passed | KnownOutcome::Expired => Role::Unsure,
        };
        ("known", role, watched::known(known))
    }));
    lines.extend(document.warnings.iter().map(|warning| ("warning", Role::Unsure, warning.clone())));
    lines.extend(document.left_behind.iter().map(|left| ("LEFT", Role::Unsure, format!("left behind: {left}"))));
    lines.extend(document.aborted.iter().map(|why| ("STOPPED", Role::Leak, format!("the run ended early: {why}"))));
    if !lines.is_empty() {
        page.blank()?;
    }
    lines.iter().try_for_each(|(word, role, text)| page.entry(word, *role, text))
}

fn conclusion(document: &Document, page: &mut Page) -> io::Result<()> {
    let outcome = summary::outcome(document.exit, &document.counts);
    let fault = if document.fabric.fault.is_some() { "deliberate fault; " } else { "" };
    let result = format!("{fault}{}; {}", summary::counts(&document.counts), summary::exit(document));
    if page.style().verbosity == Verbosity::Quiet {
        return page.summary(outcome, &format!("{}: {result}", summary::subject(document)));
    }
    page.entry(outcome.word, outcome.role, &summary::subject(document))?;
    for lead in summary::lead(document) {
        page.text(page::INDENT, &lead)?;
    }
    page.text(page::INDENT, &result)?;
    if let Some(unstated) = summary::unstated(&document.counts) {
        page.text(page::INDENT, &unstated)?;
    }
    page.text(page::INDENT, &summary::took(document))
}

#[cfg(test)]
mod tests;
