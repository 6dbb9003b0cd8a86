//! The manifests a scenario names, each file read once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::scenario::diagnostic::Code;
use crate::scenario::log::{Log, error};
use crate::scenario::manifest::{self, Manifest};
use crate::scenario::raw;
use crate::scenario::source::Source;
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
                    let path = self.folder.join(&name.value);
                    if !self.read.contains_key(&path) {
                        let documents = self.open(&path, name.span, log);
                        self.read.insert(path.clone(), documents);
                    }
                    let documents = self.read.get(&path).map(Vec::as_slice).unwrap_or_default();
                    all.extend(documents.iter().flat_map(|document| manifest::read(document, log)));
                }
            }
        }
        all
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
        let documents = yaml::parse(file, text.content(), log);
        if documents.is_empty() && log.errors() == before {
            log.push(error(Code::NoEffect, format!("`{shown}` holds no manifest")).note(span, "named here"));
        }
        documents
    }
}
