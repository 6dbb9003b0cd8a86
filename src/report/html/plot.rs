//! Time to enforce, one dot a cell, stacked where several took equally long.

use std::collections::BTreeMap;

use maud::{Markup, html};

use crate::model::document::{Cell, Stage};
use crate::model::finding::Call;
use crate::model::verdict::Verdict;

use super::super::duration::human_us;
use super::super::story;
use super::axis::Scale;
use super::safe;
use super::stage::cells;

/// The drawing's coordinates.
const WIDTH: u64 = 900;
const HEIGHT: u64 = 150;
/// Room for the axis below, and for the column of cells that never came right.
const AXIS: u64 = 24;
const NEVER: u64 = 70;
/// So wide is one stack.
const STACK: u64 = 8;
/// More cells than this are drawn as bars, which a browser draws faster.
const DOTS: usize = 1_500;

/// The plot of a stage.
pub fn figure(place: usize, stage: &Stage) -> Markup {
    let timed: Vec<(&Cell, u64)> =
        stage.cells.iter().filter_map(|cell| Some((cell, cell.time_to_enforce_us.filter(|us| *us > 0)?))).collect();
    let never: Vec<&Cell> = stage.cells.iter().filter(|cell| never_right(cell)).collect();
    let throughout = stage.cells.iter().filter(|cell| cell.time_to_enforce_us == Some(0)).count();
    html! {
        @if timed.is_empty() && never.is_empty() {
            p { "Right throughout: " (cells(throughout)) "." }
        } @else {
            (drawing(place, &timed, &never))
            p .soft {
                "Not drawn: " (cells(throughout)) " right throughout. Each dot is a cell, placed by the time from sending "
                "the change until it was right for good."
            }
        }
    }
}

/// Seen, but never as it should be.
fn never_right(cell: &Cell) -> bool {
    cell.time_to_enforce_us.is_none()
        && match cell.call {
            Call::Leak | Call::Outage | Call::WrongServer | Call::Contradiction | Call::Ok => true,
            Call::Inconclusive | Call::Unjudged | Call::Unsupported => false,
        }
}

fn drawing(place: usize, timed: &[(&Cell, u64)], never: &[&Cell]) -> Markup {
    let longest = timed.iter().map(|(_, us)| *us).max().unwrap_or(0);
    let span = longest.saturating_add(longest / 20).max(1);
    let room = WIDTH - NEVER;
    let x = |us: u64| u64::try_from(u128::from(us) * u128::from(room) / u128::from(span)).unwrap_or(room).min(room);
    let mut stacks: BTreeMap<u64, Vec<&Cell>> = BTreeMap::new();
    for (cell, us) in timed {
        stacks.entry(x(*us) / STACK).or_default().push(cell);
    }
    if !never.is_empty() {
        stacks.insert((room + NEVER / 2) / STACK, never.to_vec());
    }
    let highest = stacks.values().map(Vec::len).max().unwrap_or(1).max(1) as f64;
    let rise = ((HEIGHT - AXIS - 6) as f64 / highest).min(STACK as f64 - 1.0);
    let label = format!("Time to enforce of {}, the longest {}", cells(timed.len()), human_us(longest));
    let base = HEIGHT - AXIS;
    html! {
        div .scroll role="region" tabindex="0" aria-label="Time to enforce" {
            svg .plot viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-labelledby={ "plot-" (place) } {
                title id={ "plot-" (place) } { (label) }
                line .axis x1="0" x2=(room) y1=(base) y2=(base) {}
                @for tick in Scale::new(0, span).ticks(8) {
                    line .tick x1=(x(tick)) x2=(x(tick)) y1="0" y2=(base + 4) {}
                    text .mark x=(x(tick)) y=(HEIGHT - 6) text-anchor=(if tick == 0 { "start" } else { "middle" }) {
                        (human_us(tick))
                    }
                }
                @if !never.is_empty() {
                    text .mark x=(room + NEVER / 2 + STACK / 2) y=(HEIGHT - 6) text-anchor="middle" { "never" }
                }
                @for (stack, cells) in &stacks {
                    @let middle = stack * STACK + STACK / 2;
                    @if timed.len() + never.len() > DOTS {
                        @let high = rise * cells.len() as f64;
                        rect .(colour(cells[0])) x=(stack * STACK) width=(STACK - 1) y=(format!("{:.1}", base as f64 - high))
                            height=(format!("{high:.1}")) { title { (super::stage::cells(cells.len())) } }
                    } @else {
                        @for (place, cell) in cells.iter().enumerate() {
                            @let y = base as f64 - rise * (place as f64 + 0.6);
                            circle .(colour(cell)) cx=(middle) cy=(format!("{y:.1}")) r=(format!("{:.1}", (rise / 2.0).clamp(1.0, 3.2))) {
                                title { (tip(cell)) }
                            }
                        }
                    }
                }
            }
        }
        ul .key {
            li { span .{ "swatch dot allowed" } {} "should be allowed" }
            li { span .{ "swatch dot denied" } {} "should be denied" }
            @if !never.is_empty() { li { span .{ "swatch dot leak" } {} "never right" } }
        }
    }
}

fn colour(cell: &Cell) -> &'static str {
    match (cell.time_to_enforce_us, cell.meaning.verdict().or(cell.intent.verdict())) {
        (None, _) => "dot leak",
        (Some(_), Some(Verdict::Denied)) => "dot denied",
        (Some(_), Some(Verdict::Allowed) | None) => "dot allowed",
    }
}

fn tip(cell: &Cell) -> String {
    let after = match cell.time_to_enforce_us {
        Some(us) => format!("right for good after {}", human_us(us)),
        None => "never right for good".into(),
    };
    safe(&format!("{}: {after}; {}", cell.flow, story::meaning(cell.meaning)))
}
