//! The manifests a scenario names, each file read once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};

use crate::scenario::decode::At;
use crate::scenario::diagnostic::Code;
use crate::scenario::log::{Log, error};
use crate::scenario::manifest::{self, Manifest};
use crate::scenario::raw;
use crate::scenario::source::Source;
use crate::scenario::text::Span;
use crate::scenario::tree::Node;
use crate::scenario::yaml;

/// The most that all files of a scenario may hold together, in bytes.
const TOTAL: usize = 32 * 1024 * 1024;

/// Reads manifest files.
pub(super) struct Library<'s> {
    folder: PathBuf,
    source: &'s dyn Source,
    read: HashMap<PathBuf, Vec<Node>>,
    bytes: usize,
}

impl<'s> Library<'s> {
    /// For a scenario at `path`: files are named relative to its folder.
    pub fn new(path: &Path, source: &'s dyn Source) -> Self {
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        Self { folder, source, read: HashMap::new(), bytes: 0 }
    }

    /// All manifests of a list.
    pub fn gather(&mut self, entries: &[raw::Manifest], log: &mut Log) -> Vec<Manifest> {
        let mut all = Vec::new();
        for entry in entries {
            match entry {
                raw::Manifest::Inline(node) => all.extend(manifest::read(node, log)),
                raw::Manifest::File(name) => {
                    for path in self.find(name, log) {
                        if !self.read.contains_key(&path) {
                            let documents = self.open(&path, name.span, log);
                            self.read.insert(path.clone(), documents);
                        }
                        let documents = self.read.get(&path).map(Vec::as_slice).unwrap_or_default();
                        all.extend(documents.iter().flat_map(|document| manifest::read(document, log)));
                    }
                }
            }
        }
        all
    }

    /// The files that an entry names: one file, all manifests below a folder, or those that a pattern matches.
    fn find(&self, name: &At<String>, log: &mut Log) -> Vec<PathBuf> {
        let named = self.folder.join(&name.value);
        let pattern = name.value.contains(['*', '?', '[']).then(|| Pattern::new(&named.to_string_lossy()));
        let (folder, pattern) = match pattern {
            None => (named.clone(), None),
            Some(Ok(pattern)) => (before_wildcard(&named), Some(pattern)),
            Some(Err(why)) => {
                let message = format!("`{}` is no pattern for file names: {}", name.value, why.msg);
                log.push(error(Code::InvalidValue, message).at(name.span));
                return Vec::new();
            }
        };
        let mut files = match self.source.list(&folder) {
            Ok(files) => files,
            Err(why) => {
                let message = format!("cannot list `{}`: {why}", folder.display());
                log.push(error(why.code(), message).note(name.span, "named here"));
                return Vec::new();
            }
        };
        match pattern {
            // No folder, or an empty one: reading it says why there is no manifest.
            None if files.is_empty() => vec![named],
            None => files,
            Some(pattern) => {
                // `*` stops at a folder, as in a shell; `**` does not.
                let options = MatchOptions { require_literal_separator: true, ..MatchOptions::default() };
                files.retain(|file| pattern.matches_path_with(file, options));
                if files.is_empty() {
                    let message = format!("no manifest matches `{}`", named.display());
                    log.push(error(Code::Unreadable, message).at(name.span).help(
                        "a pattern is relative to the scenario's folder, and finds names in `.yaml`, `.yml` or `.json`",
                    ));
                }
                files
            }
        }
    }

    fn open(&mut self, path: &Path, span: crate::scenario::text::Span, log: &mut Log) -> Vec<Node> {
        let shown = path.display();
        let content = match self.source.read(path) {
            Ok(content) => content,
            Err(why) => {
                log.push(error(why.code(), format!("cannot read `{shown}`: {why}")).note(span, "named here"));
                return Vec::new();
            }
        };
        self.bytes += content.len();
        if self.bytes > TOTAL {
            let message = format!("the files of this scenario hold more than {} MiB together", TOTAL / 1024 / 1024);
            log.push(error(Code::TooLarge, message).note(span, "with this one"));
            return Vec::new();
        }
        let before = log.errors();
        let (file, text) = log.add_text(shown.to_string(), content);
        if let Some(span) = template(file, text.content()) {
            log.push(
                error(Code::Syntax, format!("`{shown}` is a Helm template that was not rendered"))
                    .at(span)
                    .help("render it first: `helm template ./chart > policies.yaml`"),
            );
            return Vec::new();
        }
        let documents = yaml::parse(file, text.content(), log);
        if documents.is_empty() && log.errors() == before {
            log.push(error(Code::NoEffect, format!("`{shown}` holds no manifest")).note(span, "named here"));
        }
        documents
    }
}

/// The folder above the first part of a path that has a wildcard.
fn before_wildcard(path: &Path) -> PathBuf {
    path.iter().take_while(|part| !part.to_string_lossy().contains(['*', '?', '['])).collect()
}

/// Where the first action of a template stands, in a text that is no YAML because of such.
fn template(file: u32, text: &str) -> Option<Span> {
    let start = text.find("{{")?;
    let end = start + text.get(start..)?.find("}}")? + 2;
    // Within quotes a text may say what it likes.
    let mut scratch = Log::default();
    scratch.add_text("", text);
    yaml::parse(0, text, &mut scratch);
    let bound = |byte: usize| u32::try_from(byte).unwrap_or(u32::MAX);
    (scratch.errors() > 0).then(|| Span { file, start: bound(start), end: bound(end) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::source::Memory;

    fn policy(name: &str) -> String {
        format!(
            "{{ apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{ name: {name} }}, \
             spec: {{ podSelector: {{}} }} }}"
        )
    }

    fn names(entry: &str) -> Vec<String> {
        let source = Memory::default()
            .with("at/b/two.yaml", policy("two"))
            .with("at/b/deep/three.json", policy("three"))
            .with("at/b/notes.txt", "no manifest")
            .with("at/one.yaml", policy("one"));
        let mut log = Log::default();
        let (file, _) = log.add_text("at/s.yaml", entry);
        let span = Span { file, start: 0, end: 1 };
        let entry = raw::Manifest::File(At::new(entry.to_owned(), span));
        let found = Library::new(Path::new("at/s.yaml"), &source).gather(&[entry], &mut log);
        let mut names: Vec<String> = found
            .iter()
            .map(|manifest| match manifest {
                Manifest::Policy { policy, .. } => policy.reference().name.clone(),
                Manifest::Namespace { name, .. } => name.value.clone(),
            })
            .collect();
        names.extend((log.errors() > 0).then(|| "refused".to_owned()));
        names
    }

    #[test]
    fn an_entry_names_a_file_a_folder_or_a_pattern() {
        let rows: [(&str, &[&str]); 8] = [
            ("one.yaml", &["one"]),
            ("b", &["three", "two"]),
            ("b/", &["three", "two"]),
            ("b/*.yaml", &["two"]),
            ("b/*", &["two"]),
            ("**/*.json", &["three"]),
            ("c/*", &["refused"]),
            ("c", &["refused"]),
        ];
        for (entry, expected) in rows {
            assert_eq!(names(entry), expected, "`{entry}`");
        }
    }
}
