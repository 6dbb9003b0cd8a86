//! The matrix as a table: a heat map that can be read as text, by eye or by a screen reader.

use std::collections::{BTreeSet, HashMap};

use maud::{Markup, html};

use crate::model::document::{Cell, Stage};
use crate::model::endpoint::Family;
use crate::model::port::Port;

use super::super::grid::{Column, Folding, Grid, Group};
use super::super::mark::{Attention, Mark};
use super::super::story;
use super::super::text::Charset;
use super::{class, safe};

/// So many endpoints are shown each for itself; a page has more room than a terminal.
const UNFOLDED: usize = 40;
/// With so many columns there is room for status words; with more, their first letters stand for them.
const WORDED: usize = 12;

type Place<'a> = (&'a str, &'a str, Family, Port);

/// The matrix of a stage, with its legend.
pub fn figure(stage: &Stage) -> Markup {
    let endpoints: BTreeSet<&str> =
        stage.cells.iter().flat_map(|cell| [cell.flow.from.as_str(), cell.flow.to.as_str()]).collect();
    let folding = if endpoints.len() > UNFOLDED { Folding::Alike } else { Folding::Never };
    let grid = Grid::lay_out(stage.cells.iter().map(|cell| (&cell.flow, Mark::of_cell(cell))), folding);
    let by_place: HashMap<Place, &Cell> = stage
        .cells
        .iter()
        .map(|cell| ((cell.flow.from.as_str(), cell.flow.to.as_str(), cell.flow.family, cell.flow.port), cell))
        .collect();
    let label = format!("Matrix of {}", safe(&stage.name));
    html! {
        div .scroll role="region" tabindex="0" aria-label=(label) {
            table .matrix .worded[grid.columns.len() <= WORDED] {
                caption { "Rows are sources, columns destinations with their ports." }
                thead {
                    tr {
                        td {}
                        @for column in &grid.columns {
                            th scope="col" { span { (safe(&grid.column_label(column))) } }
                        }
                    }
                }
                tbody {
                    @for (row, group) in grid.rows.iter().enumerate() {
                        tr {
                            th scope="row" { (safe(&group.label())) }
                            @for (place, column) in grid.columns.iter().enumerate() {
                                (cell(grid.at(row, place), tip(group, column, &grid, &by_place), grid.columns.len()))
                            }
                        }
                    }
                }
            }
        }
        (legend(&grid))
    }
}

fn cell(mark: Option<Mark>, tip: Option<String>, columns: usize) -> Markup {
    let Some(mark) = mark else {
        return html! { td .self { span .vh { "no such cell" } } };
    };
    let shown = match mark.calls_for_attention() {
        Attention::Needed if columns <= WORDED => mark.word().to_owned(),
        Attention::Needed | Attention::None => symbol(mark).to_string(),
    };
    html! {
        td .(class(mark)) title=[tip] { span aria-hidden="true" { (shown) } span .vh { (mark.meaning()) } }
    }
}

/// What a person sees who rests on a cell: its readings. A folded cell stands for several, and has none of its own.
fn tip(group: &Group, column: &Column, grid: &Grid, by_place: &HashMap<Place, &Cell>) -> Option<String> {
    let to = grid.rows.get(column.group)?;
    let ([from], [to], [(family, port)]) = (group.members.as_slice(), to.members.as_slice(), column.ports.as_slice())
    else {
        return None;
    };
    let cell = by_place.get(&(from.as_str(), to.as_str(), *family, *port))?;
    let (intent, meaning) = (story::intent(cell.intent), story::meaning(cell.meaning));
    Some(safe(&format!("{}: {intent}, {meaning}, seen: {}", cell.flow, story::seen(&cell.reality))))
}

/// A page can show a proper cross.
fn symbol(mark: Mark) -> char {
    match mark {
        Mark::Denied => '×',
        Mark::Allowed
        | Mark::Unsupported
        | Mark::Known
        | Mark::Unjudged
        | Mark::Inconclusive
        | Mark::Contradiction
        | Mark::Outage
        | Mark::WrongServer
        | Mark::Leak => mark.symbol(Charset::Unicode),
    }
}

fn legend(grid: &Grid) -> Markup {
    let folded: Vec<&Group> = grid.rows.iter().filter(|group| group.members.len() > 1).collect();
    html! {
        ul .key aria-label="Legend" {
            @for mark in grid.marks() {
                li { span .swatch .(class(mark)) { (symbol(mark)) } (mark.meaning()) }
            }
        }
        @if !folded.is_empty() {
            details {
                summary { "Who is folded together" }
                p .soft { "These could change places without any cell changing." }
                dl .story {
                    @for group in folded {
                        div { dt { (safe(&group.label())) } dd { (safe(&group.members.join(", "))) } }
                    }
                }
            }
        }
    }
}
