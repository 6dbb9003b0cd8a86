//! YAML text in, [`Node`]s out. The only file that knows the YAML crate.
//!
//! The tree is built from the parser's events, within bounds: on depth, and on the number of values once aliases are
//! filled in, so that a small file cannot become a big tree.

use std::collections::HashMap;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, Tag};

use super::diagnostic::Code;
use super::log::{Draft, Log, error};
use super::text::Span;
use super::tree::{Key, Node, Style, Value};

/// The deepest nesting; a NetworkPolicy in a scenario's step needs about 15.
const DEPTH: usize = 64;
/// The most values in one file, aliases filled in: 4 MiB of manifests have about 250,000.
const VALUES: usize = 400_000;

/// Parses all documents of a text. Documents that hold nothing are left out. What is wrong goes to the log; a text that
/// is no YAML gives the documents before the place.
pub(in crate::scenario) fn parse(file: u32, text: &str, log: &mut Log) -> Vec<Node> {
    let mut builder = Builder { file, text, log, anchors: HashMap::new(), values: 0, deepest: 0 };
    let mut documents = Vec::new();
    if let Err(draft) = builder.stream(&mut documents) {
        builder.log.push(*draft);
    }
    documents
}

fn too_deep() -> String {
    format!("this is nested deeper than {DEPTH} levels")
}

type Failed = Box<Draft>;
type Events<'t> = Parser<'t, granit_parser::StrInput<'t>>;

struct Builder<'t, 'l> {
    file: u32,
    text: &'t str,
    log: &'l mut Log,
    anchors: HashMap<usize, Anchored>,
    values: usize,
    /// The deepest level reached inside the value being read.
    deepest: usize,
}

struct Anchored {
    node: Node,
    /// How many values it holds.
    values: usize,
    /// How many levels it has below its own.
    height: usize,
}

impl<'t> Builder<'t, '_> {
    fn stream(&mut self, documents: &mut Vec<Node>) -> Result<(), Failed> {
        let options = granit_parser::options! {
            emit_comments: false,
            emit_unresolved_aliases: true,
            flow_nesting_limit: DEPTH,
            block_nesting_limit: DEPTH,
        };
        let mut events = Parser::new_from_str_with_options(self.text, options);
        loop {
            let Some((event, span)) = self.next(&mut events)? else { return Ok(()) };
            match event {
                Event::StreamEnd => return Ok(()),
                Event::DocumentStart(..) => self.anchors.clear(),
                Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..) => {
                    let node = self.node(event, span, &mut events, 0)?;
                    if !node.value.is_null() {
                        documents.push(node);
                    }
                }
                Event::Alias(_) | Event::UnresolvedAlias(_) => {
                    self.node(event, span, &mut events, 0)?;
                }
                // What opens or closes something else, and what carries no value.
                _ => {}
            }
        }
    }

    fn next(&mut self, events: &mut Events<'t>) -> Result<Option<(Event<'t>, Span)>, Failed> {
        match events.next_event() {
            None => Ok(None),
            Some(Ok((event, span))) => {
                let range = span.byte_range().unwrap_or_default();
                Ok(Some((event, self.span(range.start, range.end))))
            }
            Some(Err(failure)) => {
                let at = failure.marker().byte_offset().unwrap_or_default();
                let (code, message) = match failure.kind() {
                    ErrorKind::RecursionLimitExceeded => (Code::TooLarge, too_deep()),
                    other => (Code::Syntax, format!("this is not YAML: {other}")),
                };
                Err(Box::new(error(code, message).at(self.span(at, at + 1))))
            }
        }
    }

    fn span(&self, start: usize, end: usize) -> Span {
        let bound = |byte: usize| u32::try_from(byte.min(self.text.len())).unwrap_or(u32::MAX);
        Span { file: self.file, start: bound(start), end: bound(end) }
    }

    fn node(&mut self, event: Event<'t>, span: Span, events: &mut Events<'t>, depth: usize) -> Result<Node, Failed> {
        self.descend(depth, span)?;
        let before = self.values;
        let outside = std::mem::replace(&mut self.deepest, depth);
        self.count(1, span)?;
        let (node, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let style = self.style(style, tag.as_deref(), span);
                (Node { span, value: Value::Scalar(text.into_owned(), style) }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), "seq", span);
                (self.list(span, events, depth)?, anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), "map", span);
                (self.map(span, events, depth)?, anchor)
            }
            Event::Alias(id) => (self.alias(id, span, depth)?, 0),
            Event::UnresolvedAlias(name) => {
                let message = format!("no `&{name}` stands before this alias");
                self.log.push(error(Code::UnknownName, message).at(span));
                (Node { span, value: Value::Scalar(String::new(), Style::Plain) }, 0)
            }
            // The parser gives a value here or fails.
            _ => (Node { span, value: Value::Scalar(String::new(), Style::Plain) }, 0),
        };
        if anchor != 0 {
            // The copy kept counts too: anchors within anchors would otherwise keep a copy for every level.
            let values = self.values - before;
            self.count(values, span)?;
            self.anchors.insert(anchor, Anchored { node: node.clone(), values, height: self.deepest - depth });
        }
        self.deepest = self.deepest.max(outside);
        Ok(node)
    }

    fn descend(&mut self, depth: usize, span: Span) -> Result<(), Failed> {
        self.deepest = self.deepest.max(depth);
        if depth > DEPTH {
            return Err(Box::new(error(Code::TooLarge, too_deep()).at(span)));
        }
        Ok(())
    }

    fn count(&mut self, more: usize, span: Span) -> Result<(), Failed> {
        self.values = self.values.saturating_add(more);
        if self.values > VALUES {
            let message = format!("this file holds more than {VALUES} values, its aliases filled in");
            return Err(Box::new(error(Code::TooLarge, message).note(span, "here the limit is passed")));
        }
        Ok(())
    }

    fn alias(&mut self, id: usize, span: Span, depth: usize) -> Result<Node, Failed> {
        let Some(anchored) = self.anchors.get(&id) else {
            self.log.push(error(Code::InvalidValue, "this alias stands within the very value it names").at(span));
            return Ok(Node { span, value: Value::Scalar(String::new(), Style::Plain) });
        };
        let (values, height, node) = (anchored.values, anchored.height, anchored.node.clone());
        self.count(values, span)?;
        self.descend(depth + height, span)?;
        Ok(node)
    }

    fn style(&mut self, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Style {
        if let Some(tag) = tag {
            if tag.is_yaml_core_schema_tag("str") || tag.original() == "!" {
                return Style::Quoted;
            }
            self.log.push(
                error(Code::Syntax, format!("the tag `{}` is not understood", tag.original()))
                    .at(span)
                    .help("write the value without a tag"),
            );
        }
        if style == ScalarStyle::Plain { Style::Plain } else { Style::Quoted }
    }

    fn refuse_tag(&mut self, tag: Option<&Tag>, fits: &str, span: Span) {
        if let Some(tag) = tag
            && !tag.is_yaml_core_schema_tag(fits)
        {
            let message = format!("the tag `{}` is not understood", tag.original());
            self.log.push(error(Code::Syntax, message).at(span).help("write the value without a tag"));
        }
    }

    fn list(&mut self, open: Span, events: &mut Events<'t>, depth: usize) -> Result<Node, Failed> {
        let mut items = Vec::new();
        let mut end = open;
        while let Some((event, span)) = self.next(events)? {
            if matches!(event, Event::SequenceEnd) {
                end = span;
                break;
            }
            items.push(self.node(event, span, events, depth + 1)?);
        }
        let span = self.collection(open, end, items.first().map(|item| item.span));
        Ok(Node { span, value: Value::List(items) })
    }

    fn map(&mut self, open: Span, events: &mut Events<'t>, depth: usize) -> Result<Node, Failed> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut merged: Vec<(Span, Node)> = Vec::new();
        let mut end = open;
        while let Some((event, span)) = self.next(events)? {
            if matches!(event, Event::MappingEnd) {
                end = span;
                break;
            }
            let key = self.node(event, span, events, depth + 1)?;
            let Some((event, span)) = self.next(events)? else { break };
            let value = self.node(event, span, events, depth + 1)?;
            let span = key.span;
            match key.value {
                Value::Scalar(text, Style::Plain) if text == "<<" => merged.push((span, value)),
                Value::Scalar(text, style) => {
                    if let Some(first) = places.get(&text).and_then(|place| entries.get(*place)) {
                        let draft = error(Code::Duplicate, format!("the key `{text}` is given twice"))
                            .note(span, "again here")
                            .note(first.0.span, "first here");
                        self.log.push(draft);
                    } else {
                        places.insert(text.clone(), entries.len());
                        entries.push((Key { span, text, style }, value));
                    }
                }
                Value::List(_) | Value::Map(_) => {
                    self.log.push(error(Code::WrongType, "a key must be text, not a collection").at(span));
                }
            }
        }
        for (span, from) in merged {
            self.merge(span, from, &mut entries, &mut places);
        }
        let span = self.collection(open, end, entries.first().map(|(key, _)| key.span));
        Ok(Node { span, value: Value::Map(entries) })
    }

    /// Fills in `<<: *anchor`, as kubectl does: what the map itself says goes before.
    fn merge(&mut self, span: Span, from: Node, entries: &mut Vec<(Key, Node)>, places: &mut HashMap<String, usize>) {
        match from.value {
            Value::Map(more) => {
                for (key, value) in more {
                    if !places.contains_key(&key.text) {
                        places.insert(key.text.clone(), entries.len());
                        entries.push((key, value));
                    }
                }
            }
            Value::List(maps) if maps.iter().all(|map| matches!(map.value, Value::Map(_))) => {
                for map in maps {
                    self.merge(span, map, entries, places);
                }
            }
            Value::List(_) | Value::Scalar(..) => {
                self.log.push(error(Code::WrongType, "`<<` merges a map or a list of maps, nothing else").at(span));
            }
        }
    }

    /// What to mark when speaking of a collection: not all of its lines.
    fn collection(&self, open: Span, close: Span, first: Option<Span>) -> Span {
        if open.end == open.start {
            return first.unwrap_or(open);
        }
        let whole = Span { end: close.end.max(open.end), ..open };
        let text = self.text.get(whole.start as usize..whole.end as usize).unwrap_or_default();
        if text.contains('\n') { open } else { whole }
    }
}
