//! The text of a file, and places in it.

/// A file's name and content.
#[derive(Debug, PartialEq, Eq)]
pub struct Text {
    name: String,
    content: String,
    /// The byte at which each line begins.
    lines: Vec<usize>,
}

/// A range of bytes in one of the files of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(in crate::scenario) struct Span {
    /// Which file, in the order they were read.
    pub file: u32,
    /// From.
    pub start: u32,
    /// Up to, not included.
    pub end: u32,
}

impl Text {
    pub(in crate::scenario) fn new(name: String, content: String) -> Self {
        let lines =
            std::iter::once(0).chain(content.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1));
        let lines = lines.collect();
        Self { name, content, lines }
    }

    /// The file, as it was given.
    pub(in crate::scenario) fn name(&self) -> &str {
        &self.name
    }

    /// All of it.
    pub(in crate::scenario) fn content(&self) -> &str {
        &self.content
    }

    /// Where the line of a byte begins, and its number from 1.
    pub(in crate::scenario) fn line_start(&self, byte: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|start| *start <= byte);
        (self.lines.get(line.saturating_sub(1)).copied().unwrap_or_default(), line.max(1))
    }

    /// Where the line of a byte ends, its newline included.
    pub(in crate::scenario) fn line_end(&self, byte: usize) -> usize {
        let line = self.lines.partition_point(|start| *start <= byte);
        self.lines.get(line).copied().unwrap_or(self.content.len())
    }

    /// The byte itself, or the next one below it at which a character begins.
    pub(in crate::scenario) fn snap(&self, byte: usize) -> usize {
        let mut byte = byte.min(self.content.len());
        while !self.content.is_char_boundary(byte) {
            byte -= 1;
        }
        byte
    }

    /// The line and column of a byte, both counted from 1; the column in characters.
    pub(in crate::scenario) fn position(&self, byte: usize) -> (usize, usize) {
        let byte = self.snap(byte);
        let (start, line) = self.line_start(byte);
        (line, self.content[start..byte].chars().count() + 1)
    }
}
