//! A page of text: everything from outside goes through here, is made harmless and wrapped to the terminal's width.

use std::io::{self, Write};

use crate::model::flow::NamedFlow;

use super::super::paint::{Role, paint};
use super::super::summary::Outcome;
use super::super::text::{harmless, width, wrap};
use super::{Style, Verbosity};

/// How far texts stand from the left when a status word stands before them: as far as the longest word and two blanks.
pub const INDENT: usize = 10;
/// No terminal is taken to be narrower.
const NARROWEST: usize = 40;

/// Where a report at a terminal is written.
pub struct Page<'w> {
    style: Style,
    out: &'w mut dyn Write,
}

impl<'w> Page<'w> {
    /// A page on a writer.
    pub fn new(style: Style, out: &'w mut dyn Write) -> Self {
        Self { style: Style { width: style.width.max(NARROWEST), ..style }, out }
    }

    /// The style, with a width that can be worked with.
    pub fn style(&self) -> Style {
        self.style
    }

    /// An empty line.
    pub fn blank(&mut self) -> io::Result<()> {
        self.out.write_all(b"\n")
    }

    /// A line that is already safe and fits.
    pub fn raw(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.out, "{line}")
    }

    /// A heading.
    pub fn heading(&mut self, text: &str) -> io::Result<()> {
        for line in self.lines(0, text) {
            let line = paint(&line, Role::Strong, self.style.colour);
            self.raw(&line)?;
        }
        Ok(())
    }

    /// Text so far from the left.
    pub fn text(&mut self, indent: usize, text: &str) -> io::Result<()> {
        for line in self.lines(indent, text) {
            writeln!(self.out, "{:indent$}{line}", "")?;
        }
        Ok(())
    }

    /// A status word, and text beside it.
    pub fn entry(&mut self, word: &str, role: Role, text: &str) -> io::Result<()> {
        let painted = paint(word, role, self.style.colour);
        let gap = INDENT.saturating_sub(2 + width(word)).max(1);
        for (place, line) in self.lines(INDENT, text).iter().enumerate() {
            match place {
                0 => writeln!(self.out, "  {painted}{:gap$}{line}", "")?,
                _ => writeln!(self.out, "{:INDENT$}{line}", "")?,
            }
        }
        Ok(())
    }

    /// Flows one a line, at most `limit` of them unless everything is to be said.
    pub fn flows(&mut self, flows: &[&NamedFlow], limit: usize) -> io::Result<()> {
        let limit = match self.style.verbosity {
            Verbosity::Quiet | Verbosity::Normal => limit,
            Verbosity::Verbose => usize::MAX,
        };
        for flow in flows.iter().take(limit) {
            self.text(INDENT + 2, &flow.to_string())?;
        }
        match flows.len().saturating_sub(limit) {
            0 => Ok(()),
            more => self.text(INDENT + 2, &format!("and {more} more (listed with --verbose, and in the JSON)")),
        }
    }

    /// The one line of a quiet report, which is never broken: scripts and logs take it by the line.
    pub fn summary(&mut self, outcome: Outcome, text: &str) -> io::Result<()> {
        let word = paint(outcome.word, outcome.role, self.style.colour);
        writeln!(self.out, "{word}  {}", harmless(text, self.style.charset))
    }

    /// Hands everything on.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn lines(&self, indent: usize, text: &str) -> Vec<String> {
        wrap(&harmless(text, self.style.charset), self.style.width.saturating_sub(indent))
    }
}
