//! The document as JSON: the interface for scripts, and what every other report can be made of later.
//!
//! One line per cell, finding and event, so that the files can be searched and compared line by line.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

use crate::model::comparison::Comparison;
use crate::model::document::{Document, FORMAT};
use crate::model::forecast::Forecast;

/// Why a document could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The bytes could not be had.
    #[error("read the document")]
    Read(#[source] io::Error),
    /// They are no JSON, or not the JSON of a document.
    #[error("understand it as a document of format `{FORMAT}`")]
    Understand(#[source] serde_json::Error),
    /// It is JSON, but says nothing of a format: something else altogether.
    #[error("find the format: there is no `format`, so this is no document of leakproof")]
    NoFormat,
    /// Another version of the format.
    #[error("the document has format `{found}`, but this version of leakproof reads `{FORMAT}`")]
    OtherFormat {
        /// The format it names.
        found: String,
    },
}

#[derive(Deserialize)]
struct Head {
    format: Option<String>,
}

/// Writes a document, with a line break at the end.
///
/// # Errors
/// Whatever the writer refuses.
pub fn write(document: &Document, writer: &mut dyn Write) -> io::Result<()> {
    write_lines(document, writer)
}

/// Writes what is foreseen of a scenario, laid out in the same way.
///
/// # Errors
/// Whatever the writer refuses.
pub fn write_forecast(forecast: &Forecast, writer: &mut dyn Write) -> io::Result<()> {
    write_lines(forecast, writer)
}

/// Writes the comparison of two runs, laid out in the same way.
///
/// # Errors
/// Whatever the writer refuses.
pub fn write_comparison(comparison: &Comparison, writer: &mut dyn Write) -> io::Result<()> {
    write_lines(comparison, writer)
}

fn write_lines(document: &impl Serialize, writer: &mut dyn Write) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::with_formatter(&mut *writer, Lines::default());
    document.serialize(&mut serializer)?;
    writer.write_all(b"\n")?;
    writer.flush()
}

/// Reads a document.
///
/// # Errors
/// Where it cannot be read, is no document, or has another format than [`FORMAT`].
pub fn read(reader: &mut dyn Read) -> Result<Document, ReadError> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).map_err(ReadError::Read)?;
    // The format first: a document of another version need not look like this one in any other field.
    let head: Head = serde_json::from_slice(&bytes).map_err(ReadError::Understand)?;
    match head.format {
        None => Err(ReadError::NoFormat),
        Some(found) if found != FORMAT => {
            Err(ReadError::OtherFormat { found: super::text::harmless(&found, super::text::Charset::Unicode) })
        }
        Some(_) => serde_json::from_slice(&bytes).map_err(ReadError::Understand),
    }
}

/// How deep lines are still broken: document, stages, stage, its lists. What stands in those is one line each.
const DEEPEST_BROKEN: usize = 4;

/// Broken into lines outside, compact inside.
#[derive(Default)]
struct Lines {
    pretty: PrettyFormatter<'static>,
    compact: CompactFormatter,
    depth: usize,
}

/// Hands a formatter's method on: to the one for the depth we are at.
macro_rules! by_depth {
    ($self:ident . $method:ident ( $($argument:expr),* )) => {
        if $self.depth <= DEEPEST_BROKEN {
            $self.pretty.$method($($argument),*)
        } else {
            $self.compact.$method($($argument),*)
        }
    };
}

impl Formatter for Lines {
    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += 1;
        by_depth!(self.begin_array(writer))
    }
    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        let ended = by_depth!(self.end_array(writer));
        self.depth -= 1;
        ended
    }
    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        by_depth!(self.begin_array_value(writer, first))
    }
    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        by_depth!(self.end_array_value(writer))
    }
    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += 1;
        by_depth!(self.begin_object(writer))
    }
    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        let ended = by_depth!(self.end_object(writer));
        self.depth -= 1;
        ended
    }
    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        by_depth!(self.begin_object_key(writer, first))
    }
    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        by_depth!(self.begin_object_value(writer))
    }
    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        by_depth!(self.end_object_value(writer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{ClosedPipe, pipeline, troubled};

    fn written(document: &Document) -> String {
        let mut bytes = Vec::new();
        write(document, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        for document in [pipeline(), troubled()] {
            let text = written(&document);
            assert_eq!(read(&mut text.as_bytes()).unwrap(), document);
            assert_eq!(written(&document), text, "and is written the same again");
        }
    }

    #[test]
    fn the_format_comes_first_and_a_cell_is_one_line() {
        let text = written(&pipeline());
        assert!(text.starts_with("{\n  \"format\": \"leakproof/run/1\",\n"), "{}", &text[..80]);
        assert!(text.ends_with("}\n"), "a line break ends it");
        let cell = text.lines().find(|line| line.contains(r#""from":"intruder","to":"data-store-1""#)).unwrap();
        assert!(cell.contains(r#""call":"ok""#), "{cell} is whole");
    }

    #[test]
    fn what_is_no_document_of_this_format_is_refused_with_the_reason() {
        let other = written(&pipeline()).replace("leakproof/run/1", "leakproof/run/2");
        let table = [
            (other.as_str(), "format `leakproof/run/2`, but this version of leakproof reads `leakproof/run/1`"),
            ("{}", "no document of leakproof"),
            ("{\"format\":\"\\u001b[2J\"}", "format `\\u{1b}[2J`"),
            ("", "understand it as a document"),
            ("\u{0}\u{1}", "understand it as a document"),
            ("{\"format\":\"leakproof/run/1\"}", "understand it as a document"),
        ];
        for (text, expected) in table {
            let refused = read(&mut text.as_bytes()).unwrap_err().to_string();
            assert!(refused.contains(expected), "{refused} says {expected}");
        }
    }

    #[test]
    fn a_closed_pipe_is_an_error_not_a_panic() {
        assert_eq!(write(&pipeline(), &mut ClosedPipe).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
