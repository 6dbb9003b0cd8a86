//! Gathers diagnostics while files are read, so that a person sees all errors at once.

use std::sync::Arc;

use super::diagnostic::{Code, Diagnostic, Label, Refusal, Severity};
use super::text::{Span, Text};

/// More than this helps nobody.
const KEPT: usize = 100;

/// The files read so far, and what was found in them.
#[derive(Debug, Default)]
pub(in crate::scenario) struct Log {
    texts: Vec<Arc<Text>>,
    diagnostics: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
    omitted: usize,
}

/// A diagnostic being written.
#[must_use]
pub(in crate::scenario) struct Draft {
    code: Code,
    severity: Severity,
    message: String,
    places: Vec<(Span, String)>,
    help: Vec<String>,
}

/// Starts an error.
pub(in crate::scenario) fn error(code: Code, message: impl Into<String>) -> Draft {
    Draft { code, severity: Severity::Error, message: message.into(), places: Vec::new(), help: Vec::new() }
}

/// Starts a warning.
pub(in crate::scenario) fn warning(code: Code, message: impl Into<String>) -> Draft {
    Draft { code, severity: Severity::Warning, message: message.into(), places: Vec::new(), help: Vec::new() }
}

impl Draft {
    /// Marks a place, with nothing said there.
    pub fn at(self, span: Span) -> Self {
        self.note(span, "")
    }

    /// Marks a place, with something said there.
    pub fn note(mut self, span: Span, text: impl Into<String>) -> Self {
        self.places.push((span, text.into()));
        self
    }

    /// Says what to do.
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }

    /// Says what to do, where there is something to say.
    pub fn help_maybe(self, text: Option<impl Into<String>>) -> Self {
        match text {
            Some(text) => self.help(text),
            None => self,
        }
    }
}

impl Log {
    /// Takes a file in; spans name it by the number returned.
    pub fn add_text(&mut self, name: impl Into<String>, content: impl Into<String>) -> (u32, Arc<Text>) {
        let text = Arc::new(Text::new(name.into(), content.into()));
        self.texts.push(Arc::clone(&text));
        (self.texts.len() as u32 - 1, text)
    }

    /// Keeps a diagnostic. The same one twice is kept once: an aliased node is read wherever it is used.
    pub fn push(&mut self, draft: Draft) {
        match draft.severity {
            Severity::Error if self.is_full() => {
                self.omitted += 1;
                return;
            }
            Severity::Error => {}
            Severity::Warning => {
                if self.warnings >= KEPT {
                    self.warnings += 1;
                    return;
                }
            }
        }
        let labels = draft.places.into_iter().filter_map(|(span, text)| self.label(span, text)).collect();
        let diagnostic =
            Diagnostic { code: draft.code, severity: draft.severity, message: draft.message, labels, help: draft.help };
        if self.diagnostics.contains(&diagnostic) {
            return;
        }
        match diagnostic.severity {
            Severity::Error => self.errors += 1,
            Severity::Warning => self.warnings += 1,
        }
        self.diagnostics.push(diagnostic);
    }

    /// Whether further errors will only be counted: no need to search for the nearest name any more.
    pub fn is_full(&self) -> bool {
        self.errors >= KEPT
    }

    /// How many errors there are so far, those not kept included.
    pub fn errors(&self) -> usize {
        self.errors + self.omitted
    }

    fn label(&self, span: Span, text: String) -> Option<Label> {
        let source = self.texts.get(span.file as usize)?;
        let start = source.snap(span.start as usize);
        let end = source.snap(span.end as usize).max(start);
        let (line, column) = source.position(start);
        Some(Label { file: source.name().to_owned(), line, column, start, end, text, source: Arc::clone(source) })
    }

    /// Ends: the warnings, or the refusal.
    ///
    /// # Errors
    /// Where there was an error.
    pub fn finish(mut self, file: &str) -> Result<Vec<Diagnostic>, Refusal> {
        // Files are read in the order the scenario names them, and a file's checks run after its structure was read:
        // sorted, a person can work through the file from top to bottom.
        let place = |diagnostic: &Diagnostic| {
            diagnostic.labels.first().map(|label| {
                let file = self.texts.iter().position(|text| Arc::ptr_eq(text, &label.source));
                (file, label.start)
            })
        };
        self.diagnostics.sort_by_cached_key(|diagnostic| (diagnostic.severity, place(diagnostic)));
        if self.warnings > KEPT {
            self.diagnostics.push(Diagnostic {
                code: Code::Ignored,
                severity: Severity::Warning,
                message: format!("{} more warnings of `{file}` are not shown", self.warnings - KEPT),
                labels: Vec::new(),
                help: Vec::new(),
            });
        }
        if self.errors == 0 {
            return Ok(self.diagnostics);
        }
        Err(Refusal { file: file.to_owned(), diagnostics: self.diagnostics, omitted: self.omitted })
    }
}

/// `did you mean ...?` for the nearest of the known names, where one is near.
pub(in crate::scenario) fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    // A name longer than any that can be right needs no search, and the search grows with its square.
    if wrong.len() > 128 {
        return None;
    }
    let lower = wrong.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&lower, &name.to_lowercase()), name))
        .filter(|(distance, name)| distance * 3 <= name.chars().count().max(lower.chars().count()))
        .min()
        .map(|(_, name)| format!("did you mean `{name}`?"))
}
