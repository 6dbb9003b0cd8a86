//! A matrix drawn in text: rows sources, columns destinations.
//!
//! A few columns get their names on a staircase above them; many get numbers, in blocks that fit the width.

use crate::model::flow::NamedFlow;

use super::super::grid::{Folding, Grid, Group};
use super::super::mark::{Attention, Mark};
use super::super::paint::{Role, paint};
use super::super::text::{Charset, harmless, pack, shorten, width, wrap};
use super::Style;

/// So many endpoints, or columns, are shown each for itself; where there are more, those that look alike are folded.
const UNFOLDED_ENDPOINTS: usize = 16;
const UNFOLDED_COLUMNS: usize = 30;
/// A staircase of more steps is harder to follow than numbers.
const LONGEST_STAIRCASE: usize = 16;
/// Longer row names are shortened in the matrix, and told in full below.
const LONGEST_LABEL: usize = 28;
/// Numbered columns stand in groups of so many.
const GAP_EVERY: usize = 10;
const INDENT: usize = 2;
/// Room for the status word behind a row: ` < OUTAGE`.
const MARGIN: usize = 9;

/// Whether so many cells are better folded.
pub fn folding(cells: &[(&NamedFlow, Mark)]) -> Folding {
    let endpoints: std::collections::BTreeSet<&str> =
        cells.iter().flat_map(|(flow, _)| [flow.from.as_str(), flow.to.as_str()]).collect();
    let columns: std::collections::BTreeSet<_> =
        cells.iter().map(|(flow, _)| (flow.to.as_str(), flow.family, flow.port)).collect();
    if endpoints.len() > UNFOLDED_ENDPOINTS || columns.len() > UNFOLDED_COLUMNS {
        Folding::Alike
    } else {
        Folding::Never
    }
}

/// Draws a grid: lines without a break at their end, painted, none wider than the style says.
pub fn draw(grid: &Grid, style: Style) -> Vec<String> {
    let drawing = Drawing::new(grid, style);
    let mut lines = drawing.staircase().unwrap_or_else(|| drawing.blocks());
    lines.extend(drawing.legend());
    lines
}

struct Drawing<'g> {
    grid: &'g Grid,
    style: Style,
    labels: Vec<String>,
    label_width: usize,
}

impl<'g> Drawing<'g> {
    fn new(grid: &'g Grid, style: Style) -> Self {
        let limit = LONGEST_LABEL.min(style.width / 3);
        let labels: Vec<String> =
            grid.rows.iter().map(|row| shorten(&harmless(&row.label(), style.charset), limit, style.charset)).collect();
        let label_width = labels.iter().map(|label| width(label)).max().unwrap_or(0);
        Self { grid, style, labels, label_width }
    }

    fn column_name(&self, column: usize) -> String {
        let name = self.grid.columns.get(column).map(|column| self.grid.column_label(column)).unwrap_or_default();
        harmless(&name, self.style.charset)
    }

    fn painted(&self, mark: Option<Mark>) -> String {
        match mark {
            Some(mark) => paint(&mark.symbol(self.style.charset).to_string(), mark.role(), self.style.colour),
            None => " ".into(),
        }
    }

    /// The word for the gravest thing in a part of a row, to stand behind it.
    fn margin(&self, row: usize, columns: std::ops::Range<usize>) -> String {
        let gravest = columns.filter_map(|column| self.grid.at(row, column)).max();
        match gravest.filter(|mark| mark.calls_for_attention() == Attention::Needed) {
            Some(mark) => format!(" < {}", paint(mark.word(), mark.role(), self.style.colour)),
            None => String::new(),
        }
    }

    /// Names on a staircase; none where there are too many columns or they do not fit.
    fn staircase(&self) -> Option<Vec<String>> {
        let count = self.grid.columns.len();
        let start = INDENT + self.label_width + 2;
        let names: Vec<String> = (0..count).map(|column| self.column_name(column)).collect();
        let fits = names.iter().enumerate().all(|(step, name)| start + 2 * step + 2 + width(name) <= self.style.width)
            && start + 2 * count + MARGIN <= self.style.width;
        if count > LONGEST_STAIRCASE || !fits {
            return None;
        }
        let (riser, tread) = match self.style.charset {
            Charset::Unicode => ("│ ", "┌ "),
            Charset::Ascii => ("| ", "+ "),
        };
        let mut lines: Vec<String> = names
            .iter()
            .enumerate()
            .map(|(step, name)| {
                let stairs = paint(&format!("{}{tread}", riser.repeat(step)), Role::Faint, self.style.colour);
                format!("{:start$}{stairs}{name}", "")
            })
            .collect();
        for row in 0..self.grid.rows.len() {
            let cells: Vec<String> = (0..count).map(|column| self.painted(self.grid.at(row, column))).collect();
            lines.push(self.row(row, 2, &cells.join(" "), &self.margin(row, 0..count)));
        }
        Some(lines)
    }

    fn row(&self, row: usize, gap: usize, cells: &str, margin: &str) -> String {
        let label = self.labels.get(row).map_or("", String::as_str);
        let pad = self.label_width.saturating_sub(width(label)) + gap;
        format!("{:INDENT$}{label}{:pad$}{cells}{margin}", "", "").trim_end().to_owned()
    }

    /// Numbered columns, in as many blocks as it takes.
    fn blocks(&self) -> Vec<String> {
        let shared = self.grid.shared_port();
        let count = self.grid.columns.len();
        let digits = count.to_string().len();
        // Where every row is also a column, one numbering serves both.
        let numbers = if shared.is_some() { digits + 1 } else { 0 };
        let room = self.style.width.saturating_sub(INDENT + numbers + self.label_width + 1 + MARGIN).max(GAP_EVERY);
        let most = (room * GAP_EVERY / (GAP_EVERY + 1)).max(1);
        let blocks = count.div_ceil(most).max(1);
        let even = count.div_ceil(blocks);
        let per_block = even.next_multiple_of(GAP_EVERY).min(most).max(even).max(1);

        let mut lines = self.indented(&match &shared {
            Some(port) => format!("columns have the numbers of the rows; every port is {port}"),
            None => "columns are numbered; their names stand below".into(),
        });
        let mut start = 0;
        while start < count {
            let columns = start..(start + per_block).min(count);
            if start > 0 {
                lines.push(String::new());
            }
            lines.extend(self.numbers(digits, INDENT + numbers + self.label_width + 1, columns.clone()));
            for row in 0..self.grid.rows.len() {
                let number = if shared.is_some() { format!("{:>digits$} ", row + 1) } else { String::new() };
                let cells = gapped(columns.clone(), |column| self.painted(self.grid.at(row, column)));
                let label = self.labels.get(row).map_or("", String::as_str);
                let pad = self.label_width.saturating_sub(width(label)) + 1;
                let margin = self.margin(row, columns.clone());
                let line = format!("{:INDENT$}{number}{label}{:pad$}{cells}{margin}", "", "");
                lines.push(line.trim_end().to_owned());
            }
            start = columns.end;
        }
        if shared.is_none() {
            lines.push(String::new());
            lines.extend(self.column_names(digits));
        }
        lines
    }

    /// The numbers of columns, their digits one above the other.
    fn numbers(&self, digits: usize, indent: usize, columns: std::ops::Range<usize>) -> Vec<String> {
        (0..digits)
            .map(|place| {
                let line = gapped(columns.clone(), |column| {
                    let number = format!("{:>digits$}", column + 1);
                    number.chars().nth(place).unwrap_or(' ').to_string()
                });
                format!("{:indent$}{line}", "").trim_end().to_owned()
            })
            .filter(|line| !line.is_empty())
            .map(|line| paint(&line, Role::Faint, self.style.colour))
            .collect()
    }

    fn column_names(&self, digits: usize) -> Vec<String> {
        let entries: Vec<String> = (0..self.grid.columns.len())
            .map(|column| format!("{:>digits$} {}", column + 1, self.column_name(column)))
            .collect();
        let room = self.style.width.saturating_sub(INDENT);
        let widest = entries.iter().map(|entry| width(entry)).max().unwrap_or(1);
        let beside = ((room + 2) / (widest + 2)).max(1);
        let high = entries.len().div_ceil(beside);
        let mut lines = Vec::new();
        for row in 0..high {
            let mut line = String::new();
            for entry in entries.iter().skip(row).step_by(high) {
                let pad = (widest + 2).saturating_sub(width(entry));
                line.push_str(entry);
                line.extend(std::iter::repeat_n(' ', pad));
            }
            let line = line.trim_end();
            match width(line) <= room {
                true => lines.push(format!("{:INDENT$}{line}", "")),
                false => lines.extend(self.indented(line)),
            }
        }
        lines
    }

    fn legend(&self) -> Vec<String> {
        let symbols: Vec<String> = self
            .grid
            .marks()
            .into_iter()
            .map(|mark| format!("{} {}", mark.symbol(self.style.charset), mark.meaning()))
            .collect();
        let mut lines = vec![String::new()];
        let packed = pack(&symbols, "   ", self.style.width.saturating_sub(INDENT));
        lines.extend(packed.iter().map(|line| format!("{:INDENT$}{line}", "")));
        for (row, label) in self.grid.rows.iter().zip(&self.labels) {
            let full = harmless(&row.label(), self.style.charset);
            match row {
                Group { members } if members.len() > 1 => {
                    let names = harmless(&members.join(", "), self.style.charset);
                    lines.extend(self.indented(&format!("{label}: {names}")));
                }
                Group { .. } if full != *label => lines.extend(self.indented(&format!("{label}: {full}"))),
                Group { .. } => {}
            }
        }
        lines
    }

    /// Wrapped, and farther in from the second line on.
    fn indented(&self, text: &str) -> Vec<String> {
        let lines = wrap(text, self.style.width.saturating_sub(INDENT + 2));
        lines.iter().enumerate().map(|(place, line)| format!("{:1$}{line}", "", INDENT + 2 * place.min(1))).collect()
    }
}

fn gapped(columns: std::ops::Range<usize>, mut show: impl FnMut(usize) -> String) -> String {
    let start = columns.start;
    let mut line = String::new();
    for column in columns {
        if column > start && (column - start).is_multiple_of(GAP_EVERY) {
            line.push(' ');
        }
        line.push_str(&show(column));
    }
    line
}
