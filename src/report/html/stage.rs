//! One stage: what was changed, how it converged, the matrix, remarks, and the time to enforce of its cells.

use maud::{Markup, html};

use crate::model::document::Stage;
use crate::model::flow::NamedFlow;

use super::super::duration::human_us;
use super::super::groups::{self, Group};
use super::super::mark::Mark;
use super::super::text::plural;
use super::super::{story, summary};
use super::{matrix, plot, safe};

/// So many flows are listed openly under one sentence; the rest is folded away.
const LISTED: usize = 12;
/// So many of the slowest cells stand in the table.
const SLOWEST: usize = 10;

/// The section of the stage at this place.
pub fn section(place: usize, stage: &Stage) -> Markup {
    let title = format!("stage-{place}-title");
    html! {
        section #{ "stage-" (place) } aria-labelledby=(title) {
            h2 id=(title) { (safe(&stage.name)) }
            p { (summary::counts(&stage.counts)) "; " (story::convergence(stage)) "." }
            @if !stage.changes.is_empty() {
                ul .changes { @for change in &stage.changes { li { (safe(change)) } } }
            }
            @if calm(stage) {
                details { summary { "Matrix: every cell was reached" } (matrix::figure(stage)) }
            } @else {
                (matrix::figure(stage))
            }
            (remarks("Weak witnesses", groups::weak(stage)))
            (remarks("Not supported here", groups::unsupported(stage)))
            (remarks("Notes", groups::notes(stage)))
            h3 { "Time to enforce" }
            (plot::figure(place, stage))
            (slowest(stage))
        }
    }
}

/// A baseline in which everything was reached has nothing to show.
fn calm(stage: &Stage) -> bool {
    stage.name == "baseline" && stage.cells.iter().all(|cell| Mark::of_cell(cell) == Mark::Allowed)
}

fn remarks(title: &str, groups: Vec<Group>) -> Markup {
    html! {
        @if !groups.is_empty() {
            h3 { (title) }
            @for group in &groups {
                p { (cells(group.flows.len())) ": " (safe(&group.sentence)) }
                (flow_list(&group.flows))
            }
        }
    }
}

fn slowest(stage: &Stage) -> Markup {
    let slowest = story::slowest(stage, SLOWEST);
    html! {
        @if !slowest.is_empty() {
            details {
                summary { "The slowest " (cells(slowest.len())) }
                table .list {
                    caption .vh { "Cells by time to enforce, slowest first" }
                    thead {
                        tr { th scope="col" { "flow" } th scope="col" { "right for good after" } th scope="col" { "meaning" } }
                    }
                    tbody {
                        @for (cell, us) in slowest {
                            tr {
                                th scope="row" { code { (safe(&cell.flow.to_string())) } }
                                td { (human_us(us)) }
                                td { (story::meaning(cell.meaning).trim_start_matches("meaning ")) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Flows, many of them folded away.
pub fn flow_list(flows: &[&NamedFlow]) -> Markup {
    let (open, folded) = flows.split_at(flows.len().min(LISTED));
    let list =
        |flows: &[&NamedFlow]| html! { ul .flows { @for flow in flows { li { code { (safe(&flow.to_string())) } } } } };
    html! {
        (list(open))
        @if !folded.is_empty() {
            details { summary { (folded.len()) " more" } (list(folded)) }
        }
    }
}

/// `1 cell`, `2 cells`.
pub fn cells(count: usize) -> String {
    plural(count as u64, "cell", "cells")
}
