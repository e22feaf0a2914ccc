//! The label `fieldgate.dev/node` in a text of YAML or JSON: where it is missing or differs from `spec.nodeName`, the
//! smallest edit that puts it right. Pure. Comments, order and form stay; an edit that would change anything else in
//! the parsed tree is not made.

use std::ops::Range;

use fieldgate_crds::NODE_LABEL;
use granit_parser::{Event, Parser, ScalarStyle, Span, StructureStyle};
use serde_json::{Map, Value as Json};

use super::{
    document::{self, Kind},
    yaml::{self, Documents, Node},
};
use crate::model::DeviceId;

/// What was done to a Device's label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labelled {
    /// The Device.
    pub device: DeviceId,
    /// The line where its document begins, from 1.
    pub line: u32,
    /// What the label has to say.
    pub node: String,
    /// What it said.
    pub was: Option<String>,
    /// Why it could not be put right.
    pub failed: Option<String>,
}

/// The text with the right labels, and what was changed in it or could not be. Nothing if all is well already, and of a
/// text that is no YAML.
pub fn labelled(text: &str) -> (String, Vec<Labelled>) {
    let (Ok(before), Some(spots)) = (yaml::parse(text, 0), Spot::documents(text)) else {
        return (text.to_owned(), Vec::new());
    };
    let mut wanted: Vec<Wanted> = (0..).zip(&before.roots).filter_map(|(n, root)| wanted(n, root)).collect();
    let mut edits = Vec::new();
    for (n, wanted) in wanted.iter_mut().enumerate() {
        let mark = before.roots[wanted.document].mark;
        let spot = spots.iter().find(|spot| (spot.line, spot.column) == (mark.line, mark.column));
        let device = &mut wanted.labelled;
        if !is_label(&device.node) {
            device.failed = Some("no label can hold this name: at most 63 letters, digits, -, _ and . fit".into());
            continue;
        }
        match spot.and_then(|spot| edit(text, spot, &device.node)) {
            Some(edit) => edits.push((n, edit)),
            None => device.failed = Some(BY_HAND.into()),
        }
    }
    edits.sort_by_key(|(_, edit)| std::cmp::Reverse(edit.place.start));
    let mut done = text.to_owned();
    for (_, edit) in &edits {
        done.replace_range(edit.place.clone(), &edit.text);
    }
    if !is_right(&before, &done, &wanted) {
        // One of them does harm: each is tried by itself.
        text.clone_into(&mut done);
        for (n, _) in &edits {
            wanted[*n].labelled.failed = Some(BY_HAND.into());
        }
        for (n, edit) in &edits {
            let mut tried = done.clone();
            tried.replace_range(edit.place.clone(), &edit.text);
            let failed = wanted[*n].labelled.failed.take();
            if is_right(&before, &tried, &wanted) {
                done = tried;
            } else {
                wanted[*n].labelled.failed = failed;
            }
        }
    }
    (done, wanted.into_iter().map(|wanted| wanted.labelled).collect())
}

const BY_HAND: &str = "its metadata are written in a way that only a person should edit";

/// A document whose label is wrong.
struct Wanted {
    document: usize,
    labelled: Labelled,
}

fn wanted(document: usize, root: &Node) -> Option<Wanted> {
    let (head, device) = document::read(root, &mut Vec::new())?;
    let node = head.spec?.get("nodeName")?.text().filter(|_| head.kind == Kind::Device)?;
    let was = root.at(&["metadata", "labels", NODE_LABEL]);
    if was.and_then(Node::text) == Some(node) {
        return None;
    }
    let was = was.map(|was| was.text().map_or_else(|| was.to_json().to_string(), str::to_owned));
    let labelled = Labelled { device, line: root.mark.line, node: node.to_owned(), was, failed: None };
    Some(Wanted { document, labelled })
}

/// Whether the edited text says what the old one said, and the labels that were wanted.
fn is_right(before: &Documents, after: &str, wanted: &[Wanted]) -> bool {
    let Ok(after) = yaml::parse(after, 0) else { return false };
    let mut trees: Vec<Json> = before.roots.iter().map(Node::to_json).collect();
    for Wanted { document, labelled } in wanted.iter().filter(|wanted| wanted.labelled.failed.is_none()) {
        let labels = &mut trees[*document]["metadata"]["labels"];
        if labels.is_null() {
            *labels = Json::Object(Map::new());
        }
        let Some(labels) = labels.as_object_mut() else { return false };
        labels.insert(NODE_LABEL.to_owned(), labelled.node.clone().into());
    }
    after.roots.iter().map(Node::to_json).eq(trees) && after.notes.len() <= before.notes.len()
}

/// Whether Kubernetes takes it as the value of a label.
fn is_label(text: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

struct Edit {
    place: Range<usize>,
    text: String,
}

/// The edit of one document, if its metadata are written in a usual way.
fn edit(text: &str, document: &Spot, node: &str) -> Option<Edit> {
    let (_, metadata) = document.entry("metadata")?;
    let Some((key, labels)) = metadata.entry("labels") else { return new_labels(text, metadata, node) };
    match (&labels.what, labels.entry(NODE_LABEL)) {
        (_, Some((_, label))) => {
            let What::Scalar(style, _) = &label.what else { return None };
            let text = match style {
                ScalarStyle::Plain => value(node, false),
                ScalarStyle::SingleQuoted => format!("'{node}'"),
                ScalarStyle::DoubleQuoted => value(node, true),
                _ => return None,
            };
            Some(Edit { place: label.place.clone(), text })
        }
        (What::Map { entries, .. }, None) => {
            let Some((first, _)) = entries.first() else {
                // The brackets of an empty map.
                let place = labels.place.start + 1;
                return Some(Edit { place: place..place, text: pair(node, key.is_quoted()) });
            };
            let separator = if labels.is_flow() { separator(text, labels, first)? } else { newline(text, first)? };
            let text = pair(node, first.is_quoted()) + &separator;
            Some(Edit { place: first.place.start..first.place.start, text })
        }
        (What::Scalar(ScalarStyle::Plain, nothing), None) => {
            let labels_text = format!("{{ {} }}", pair(node, key.is_quoted()));
            if nothing.is_empty() || text[labels.place.clone()] != **nothing {
                // Nothing is written there: the parser made it up.
                let colon = key.place.end + text[key.place.end..].find(':')? + 1;
                Some(Edit { place: colon..colon, text: format!(" {labels_text}") })
            } else {
                Some(Edit { place: labels.place.clone(), text: labels_text })
            }
        }
        _ => None,
    }
}

/// Labels where there are none: behind name and namespace.
fn new_labels(text: &str, metadata: &Spot, node: &str) -> Option<Edit> {
    let What::Map { entries, .. } = &metadata.what else { return None };
    let (first, _) = entries.first()?;
    let is_head = |(key, value): &&(Spot, Spot)| {
        matches!(&value.what, What::Scalar(..)) && (key.says("name") || key.says("namespace"))
    };
    let (_, last) = entries.iter().rfind(is_head)?;
    let end = last.place.end;
    if metadata.is_flow() {
        let separator = separator(text, metadata, first)?;
        let quoted = first.is_quoted();
        let key = if quoted { "\"labels\"" } else { "labels" };
        let gap = if text[metadata.place.start + 1..].starts_with(' ') { " " } else { "" };
        let text = format!("{separator}{key}: {{{gap}{}{gap}}}", pair(node, quoted));
        return Some(Edit { place: end..end, text });
    }
    let end = end + text[end..].find('\n').unwrap_or(text.len() - end);
    let end = if text[..end].ends_with('\r') { end - 1 } else { end };
    let newline = newline(text, first)?;
    Some(Edit { place: end..end, text: format!("{newline}labels:{newline}  {}", pair(node, false)) })
}

/// What stands between two entries of a flow map that begins with this key.
fn separator(text: &str, map: &Spot, first: &Spot) -> Option<String> {
    let on_its_own_line = text[map.place.start..first.place.start].contains('\n');
    if on_its_own_line { Some(format!(",{}", newline(text, first)?)) } else { Some(", ".to_owned()) }
}

/// A line break and the indentation of a key that begins its line.
fn newline(text: &str, key: &Spot) -> Option<String> {
    let line = text[..key.place.start].rfind('\n').map_or(0, |at| at + 1);
    let indent = &text[line..key.place.start];
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    indent.bytes().all(|b| matches!(b, b' ' | b'\t')).then(|| format!("{end}{indent}"))
}

fn pair(node: &str, quoted: bool) -> String {
    if quoted { format!("\"{NODE_LABEL}\": \"{node}\"") } else { format!("{NODE_LABEL}: {}", value(node, false)) }
}

/// A text; in quotes where it would be something else without.
fn value(node: &str, quoted: bool) -> String {
    let plain = yaml::parse(node, 0).is_ok_and(|documents| {
        documents.notes.is_empty() && documents.roots.first().and_then(Node::text) == Some(node)
    });
    if plain && !quoted { node.to_owned() } else { format!("\"{node}\"") }
}

/// A node's place in the text, in bytes.
struct Spot {
    place: Range<usize>,
    line: u32,
    column: u32,
    what: What,
}

enum What {
    Scalar(ScalarStyle, String),
    Map { flow: bool, entries: Vec<(Spot, Spot)> },
    Other,
}

impl Spot {
    /// The documents of a text; none if it cannot be parsed.
    fn documents(text: &str) -> Option<Vec<Self>> {
        let events = Parser::new_from_str(text).map_while(Result::ok);
        // The parser may tell of comments and more, as other users of it in the same program wish.
        let mut events = events.filter(|(event, _)| {
            matches!(
                event,
                Event::StreamStart
                    | Event::StreamEnd
                    | Event::DocumentStart(..)
                    | Event::DocumentEnd
                    | Event::Alias(_)
                    | Event::Scalar(..)
                    | Event::SequenceStart(..)
                    | Event::SequenceEnd
                    | Event::MappingStart(..)
                    | Event::MappingEnd
            )
        });
        let mut documents = Vec::new();
        while let Some((event, span)) = events.next() {
            match event {
                Event::StreamEnd => return Some(documents),
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => documents.extend(Self::read(text, event, span, &mut events)),
            }
        }
        None
    }

    /// The node that begins with this event; none where a collection ends. Its depth was limited by the first parse.
    fn read<'a>(
        text: &str,
        event: Event<'a>,
        span: Span,
        events: &mut impl Iterator<Item = (Event<'a>, Span)>,
    ) -> Option<Self> {
        let start = span.start.byte_offset()?;
        let mut end = span.end.byte_offset()?;
        let mut next = || {
            let (event, span) = events.next()?;
            Self::read(text, event, span, events)
        };
        let what = match event {
            Event::Scalar(scalar, style, ..) => {
                if style == ScalarStyle::Plain && text[start..].starts_with(&*scalar) {
                    end = start + scalar.len();
                }
                What::Scalar(style, scalar.into_owned())
            }
            Event::MappingStart(style, ..) => {
                let mut entries = Vec::new();
                while let Some(key) = next() {
                    entries.push((key, next()?));
                }
                What::Map { flow: style == StructureStyle::Flow, entries }
            }
            Event::SequenceStart(..) => {
                while next().is_some() {}
                What::Other
            }
            Event::Alias(_) => What::Other,
            _ => return None,
        };
        let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let (line, column) = (narrow(span.start.line()), narrow(span.start.col()).saturating_add(1));
        Some(Self { place: start..end, line, column, what })
    }

    fn entry(&self, name: &str) -> Option<&(Spot, Spot)> {
        let What::Map { entries, .. } = &self.what else { return None };
        entries.iter().find(|(key, _)| key.says(name))
    }

    fn says(&self, name: &str) -> bool {
        matches!(&self.what, What::Scalar(_, text) if text == name)
    }

    fn is_flow(&self) -> bool {
        matches!(self.what, What::Map { flow: true, .. })
    }

    fn is_quoted(&self) -> bool {
        matches!(self.what, What::Scalar(ScalarStyle::DoubleQuoted, _))
    }
}

#[cfg(test)]
#[path = "label_tests.rs"]
mod tests;
