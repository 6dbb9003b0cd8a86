//! What is wrong with a file, where, and what to do about it.
//!
//! A [`Diagnostic`] carries the lines it speaks of, so that it can be rendered long after the file is gone.

use std::fmt;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

use super::text::Text;

/// One error or warning about a file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diagnostic {
    /// What sort of trouble it is; stable, for scripts.
    pub code: Code,
    /// Whether it refuses the file.
    pub severity: Severity,
    /// One sentence, without a full stop.
    pub message: String,
    /// The places it speaks of; the first is where the trouble is. None where no file could be read.
    pub labels: Vec<Label>,
    /// What to do about it, one entry a hint.
    pub help: Vec<String>,
}

/// Whether a diagnostic refuses the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It does.
    Error,
    /// The file is taken; a person should know.
    Warning,
}

/// Sorts of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// A file could not be read.
    Unreadable,
    /// A file or what it describes is beyond the limits.
    TooLarge,
    /// No YAML.
    Syntax,
    /// A key that nothing reads.
    UnknownKey,
    /// A key or name given twice.
    Duplicate,
    /// A key that must be there is not.
    Missing,
    /// A list where a map belongs, and the like.
    WrongType,
    /// A value of the right type that cannot be.
    InvalidValue,
    /// A name that nothing bears.
    UnknownName,
    /// A kind of manifest that is no policy, or a policy whose meaning is not known.
    UnknownKind,
    /// Two entries that cannot both hold.
    Conflict,
    /// An entry without effect.
    NoEffect,
    /// A flow that no expectation covers, where all must be.
    Unstated,
    /// Something of leakproof's own was used.
    Reserved,
    /// Taken, though not as it stands there.
    Ignored,
}

impl Code {
    /// As it is shown: `unknown-key`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::TooLarge => "too-large",
            Self::Syntax => "syntax",
            Self::UnknownKey => "unknown-key",
            Self::Duplicate => "duplicate",
            Self::Missing => "missing",
            Self::WrongType => "wrong-type",
            Self::InvalidValue => "invalid-value",
            Self::UnknownName => "unknown-name",
            Self::UnknownKind => "unknown-kind",
            Self::Conflict => "conflict",
            Self::NoEffect => "no-effect",
            Self::Unstated => "unstated",
            Self::Reserved => "reserved",
            Self::Ignored => "ignored",
        }
    }
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Label {
    /// The file, as it was given.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// The bytes of the file it spans, from.
    pub start: usize,
    /// Up to, not included.
    pub end: usize,
    /// What to say there; empty says nothing.
    pub text: String,
    #[serde(skip)]
    pub(in crate::scenario) source: Arc<Text>,
}

/// Whether to render with colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Plain text.
    Never,
    /// With ANSI escapes.
    Always,
}

impl Diagnostic {
    /// The diagnostic as a person reads it, over several lines: message, file, line and column, the source line with a
    /// mark under the place, and what to do. No newline at the end.
    pub fn render(&self, colour: Colour) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = Group::with_title(level.primary_title(self.message.as_str()).id(self.code.as_str()));
        let mut files: Vec<&Arc<Text>> = Vec::new();
        for label in &self.labels {
            if !files.iter().any(|seen| Arc::ptr_eq(seen, &label.source)) {
                files.push(&label.source);
            }
        }
        for file in files {
            let here: Vec<(usize, &Label)> =
                self.labels.iter().enumerate().filter(|(_, label)| Arc::ptr_eq(&label.source, file)).collect();
            group = group.element(snippet(file, &here));
        }
        for help in &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let renderer = match colour {
            Colour::Never => Renderer::plain(),
            Colour::Always => Renderer::styled(),
        };
        renderer.render(&[group])
    }

    /// The diagnostic in one line: `file:line:column: message; help`.
    pub fn line(&self) -> String {
        let mut line = String::new();
        if let Some(label) = self.labels.first() {
            line.push_str(&format!("{}:{}:{}: ", label.file, label.line, label.column));
        }
        line.push_str(&self.message);
        for help in &self.help {
            line.push_str("; ");
            line.push_str(help);
        }
        line
    }
}

/// The lines of one file that labels speak of. Only these are handed to the renderer, whose work grows with the text.
fn snippet<'a>(file: &'a Arc<Text>, labels: &[(usize, &'a Label)]) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let first = labels.iter().map(|(_, label)| label.start).min().unwrap_or_default();
    let last = labels.iter().map(|(_, label)| label.end).max().unwrap_or_default();
    let (from, line) = file.line_start(first);
    let to = file.line_end(last);
    let annotations = labels.iter().map(|(place, label)| {
        let kind = if *place == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
        let annotation = kind.span(label.start - from..label.end - from);
        if label.text.is_empty() { annotation } else { annotation.label(label.text.as_str()) }
    });
    Snippet::source(&file.content()[from..to]).line_start(line).path(file.name()).annotations(annotations)
}

/// A file that was not taken: every error of it, with the warnings it had.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Refusal {
    /// The file, as it was given.
    pub file: String,
    /// What is wrong, errors before warnings, each in the order of the files.
    pub diagnostics: Vec<Diagnostic>,
    /// So many more were found and not kept.
    pub omitted: usize,
}

impl Refusal {
    /// All diagnostics as a person reads them, with a last line that counts them.
    pub fn render(&self, colour: Colour) -> String {
        let mut out = String::new();
        for diagnostic in &self.diagnostics {
            out.push_str(&diagnostic.render(colour));
            out.push_str("\n\n");
        }
        out.push_str(&self.to_string());
        out
    }

    /// How many errors there are, those not kept included.
    pub fn errors(&self) -> usize {
        self.omitted + self.diagnostics.iter().filter(|d| d.severity == Severity::Error).count()
    }
}

/// One line: which file, and how many errors.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = self.errors();
        let plural = if errors == 1 { "" } else { "s" };
        write!(f, "`{}` refused: {errors} error{plural}", self.file)?;
        if self.omitted > 0 {
            write!(f, ", {} of them not shown", self.omitted)?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}
