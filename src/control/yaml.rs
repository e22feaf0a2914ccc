//! YAML 1.2 (and so JSON) into a tree in which every node and key knows its line.
//!
//! It reads the core schema and refuses what has no JSON form: complex keys, unknown tags, `.nan`. Duplicate keys,
//! deep nesting and alias bombs are errors. Where YAML 1.1, which kubectl reads, gives a plain scalar another meaning,
//! it leaves a note (see `yaml11`).

use std::collections::BTreeMap;

use granit_parser::{Event, Parser, ScalarStyle, Span, Tag};
use serde_json::{Map, Number, Value as Json};

use super::yaml11;

/// The deepest nesting, and the most nodes of one file with its aliases expanded.
const MAX_DEPTH: usize = 64;
const MAX_NODES: usize = 200_000;

/// A place in a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// The number of the file, given by the caller.
    pub file: u32,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub mark: Mark,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(Box<str>),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key; a number or a truth value stands here as its text.
    pub key: Box<str>,
    /// Where the key stands.
    pub mark: Mark,
    /// The value.
    pub node: Node,
}

/// A remark or a mistake at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Where.
    pub mark: Mark,
    /// One line for people.
    pub message: String,
}

/// The documents of a file, and what YAML 1.1 would read otherwise.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Documents {
    /// The documents that are not empty, in order.
    pub roots: Vec<Node>,
    /// Scalars that kubectl reads differently.
    pub notes: Vec<Remark>,
}

impl Node {
    /// The value of a key, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|e| &*e.key == key).map(|e| &e.node)
    }

    /// The value below these keys.
    pub fn at(&self, keys: &[&str]) -> Option<&Node> {
        keys.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The entries; none if this is no map.
    pub fn entries(&self) -> &[Entry] {
        if let Value::Map(entries) = &self.value { entries } else { &[] }
    }

    /// The items; none if this is no list.
    pub fn items(&self) -> &[Node] {
        if let Value::List(items) = &self.value { items } else { &[] }
    }

    /// The text, if this is one.
    pub fn text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    /// The whole number, if this is one that fits.
    pub fn whole(&self) -> Option<i64> {
        if let Value::Number(number) = &self.value { number.as_i64() } else { None }
    }

    /// What kind of value it is, in the words of a schema.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(n) if n.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::Text(_) => "string",
            Value::List(_) => "array",
            Value::Map(_) => "object",
        }
    }

    /// The same value without its places. Its keys come out in alphabetical order.
    pub fn to_json(&self) -> Json {
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(v) => Json::Bool(*v),
            Value::Number(v) => Json::Number(v.clone()),
            Value::Text(v) => Json::String(v.to_string()),
            Value::List(items) => items.iter().map(Node::to_json).collect(),
            Value::Map(entries) => {
                entries.iter().map(|e| (e.key.to_string(), e.node.to_json())).collect::<Map<_, _>>().into()
            }
        }
    }

    /// A value that nobody wrote, at the place that it stands for.
    pub fn from_json(json: &Json, mark: Mark) -> Self {
        let value = match json {
            Json::Null => Value::Null,
            Json::Bool(v) => Value::Bool(*v),
            Json::Number(v) => Value::Number(v.clone()),
            Json::String(v) => Value::Text(v.as_str().into()),
            Json::Array(items) => Value::List(items.iter().map(|v| Self::from_json(v, mark)).collect()),
            Json::Object(map) => Value::Map(
                map.iter()
                    .map(|(key, v)| Entry { key: key.as_str().into(), mark, node: Self::from_json(v, mark) })
                    .collect(),
            ),
        };
        Self { mark, value }
    }

    /// An object that came as JSON, with no lines. Its nodes are told apart by the columns of their marks, which count
    /// them from 1, and a key stands where its value does.
    pub fn numbered(json: Json, file: u32) -> Self {
        fn node(json: Json, mark: &mut Mark) -> Node {
            mark.column += 1;
            let own = *mark;
            let value = match json {
                Json::Null => Value::Null,
                Json::Bool(v) => Value::Bool(v),
                Json::Number(v) => Value::Number(v),
                Json::String(v) => Value::Text(v.into()),
                Json::Array(items) => Value::List(items.into_iter().map(|v| node(v, mark)).collect()),
                Json::Object(map) => Value::Map(
                    map.into_iter()
                        .map(|(key, v)| {
                            let node = node(v, mark);
                            Entry { key: key.into(), mark: node.mark, node }
                        })
                        .collect(),
                ),
            };
            Node { mark: own, value }
        }
        node(json, &mut Mark { file, line: 0, column: 0 })
    }

    /// The path of the node or key at a mark, such as `spec.properties[2].modbus`; none if nothing begins there.
    /// A node that stands at its parent's place yields to the parent.
    pub fn path_of(&self, mark: Mark) -> Option<String> {
        if self.mark == mark {
            return Some(String::new());
        }
        match &self.value {
            Value::List(items) => items
                .iter()
                .enumerate()
                .find_map(|(n, item)| item.path_of(mark).map(|rest| join(&format!("[{n}]"), &rest))),
            Value::Map(entries) => entries.iter().find_map(|e| {
                let rest = if e.mark == mark { Some(String::new()) } else { e.node.path_of(mark) };
                rest.map(|rest| join(&e.key, &rest))
            }),
            _ => None,
        }
    }

    fn count(&self) -> usize {
        1 + match &self.value {
            Value::List(items) => items.iter().map(Node::count).sum(),
            Value::Map(entries) => entries.iter().map(|e| e.node.count()).sum(),
            _ => 0,
        }
    }

    fn depth(&self) -> usize {
        1 + match &self.value {
            Value::List(items) => items.iter().map(Node::depth).max().unwrap_or(0),
            Value::Map(entries) => entries.iter().map(|e| e.node.depth()).max().unwrap_or(0),
            _ => 0,
        }
    }
}

/// `a` and `b[0]` make `a.b[0]`; `a` and `[0]` make `a[0]`.
pub fn join(head: &str, tail: &str) -> String {
    match (head, tail) {
        ("", path) | (path, "") => path.to_owned(),
        (head, tail) if tail.starts_with('[') => format!("{head}{tail}"),
        (head, tail) => format!("{head}.{tail}"),
    }
}

/// Reads every document of a text. `file` goes into the marks.
///
/// # Errors
/// The first thing that is no YAML, or that has no JSON form.
pub fn parse(text: &str, file: u32) -> Result<Documents, Remark> {
    let mut reader = Reader { file, ..Reader::default() };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let at = error.marker();
            Remark { mark: place(file, at.line(), at.col()), message: format!("no YAML: {}", error.info()) }
        })?;
        reader.take(event, span)?;
    }
    Ok(reader.done)
}

fn place(file: u32, line: usize, column: usize) -> Mark {
    let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Mark { file, line: narrow(line).max(1), column: narrow(column).saturating_add(1) }
}

#[derive(Default)]
struct Reader {
    file: u32,
    done: Documents,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
}

/// A collection whose end has not come yet.
struct Open {
    mark: Mark,
    anchor: usize,
    items: Vec<Node>,
    map: Option<Keys>,
}

#[derive(Default)]
struct Keys {
    entries: Vec<Entry>,
    key: Option<(Box<str>, Mark)>,
}

impl Reader {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Remark> {
        let mark = place(self.file, span.start.line(), span.start.col());
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = self.scalar(&text, style, tag.as_deref(), mark)?;
                self.put(Node { mark, value }, anchor, style == ScalarStyle::Plain)
            }
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned();
                let node = node.ok_or_else(|| refuse(mark, "an alias inside the very node that it stands for"))?;
                self.nodes += node.count();
                if self.open.len() + node.depth() > MAX_DEPTH {
                    return Err(too_deep(mark));
                }
                self.put(node, 0, false)
            }
            Event::SequenceStart(_, anchor, tag) => self.open(mark, anchor, None, tag.as_deref()),
            Event::MappingStart(_, anchor, tag) => self.open(mark, anchor, Some(Keys::default()), tag.as_deref()),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else { return Ok(()) };
                let value = match open.map {
                    Some(keys) => Value::Map(keys.entries),
                    None => Value::List(open.items),
                };
                self.put(Node { mark: open.mark, value }, open.anchor, false)
            }
            Event::DocumentEnd => {
                self.anchors.clear();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, mark: Mark, anchor: usize, map: Option<Keys>, tag: Option<&Tag>) -> Result<(), Remark> {
        let own = if map.is_some() { "map" } else { "seq" };
        if let Some(tag) = tag.filter(|t| core_tag(t) != Some(own)) {
            return Err(refuse(mark, &format!("tag {}{} is not understood", tag.handle(), tag.suffix())));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(mark));
        }
        if self.open.last().is_some_and(|o| o.map.as_ref().is_some_and(|m| m.key.is_none())) {
            return Err(refuse(mark, "a list or a map cannot be a key"));
        }
        self.open.push(Open { mark, anchor, items: Vec::new(), map });
        Ok(())
    }

    fn put(&mut self, node: Node, anchor: usize, plain: bool) -> Result<(), Remark> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(refuse(node.mark, &format!("more than {MAX_NODES} values in one file, aliases counted")));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            if node.value != Value::Null {
                self.done.roots.push(node);
            }
            return Ok(());
        };
        let Some(keys) = &mut open.map else {
            open.items.push(node);
            return Ok(());
        };
        if let Some((key, mark)) = keys.key.take() {
            keys.entries.push(Entry { key, mark, node });
            return Ok(());
        }
        let key: Box<str> = match node.value {
            Value::Text(text) if &*text == "<<" && plain => {
                return Err(refuse(node.mark, "YAML 1.2 has no merge key `<<`; write the keys out"));
            }
            Value::Text(text) => text,
            Value::Number(number) => number.to_string().into(),
            Value::Bool(flag) => flag.to_string().into(),
            _ => return Err(refuse(node.mark, "a key must be a text")),
        };
        if let Some(first) = keys.entries.iter().find(|e| e.key == key) {
            return Err(refuse(node.mark, &format!("key {key:?} stands twice; first in line {}", first.mark.line)));
        }
        keys.key = Some((key, node.mark));
        Ok(())
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, mark: Mark) -> Result<Value, Remark> {
        if let Some(tag) = tag {
            let value = match core_tag(tag) {
                Some("str") => Some(Value::Text(text.into())),
                Some("int" | "float" | "bool" | "null") => core(text).filter(|v| !matches!(v, Value::Text(_))),
                _ => None,
            };
            let name = format!("{}{}", tag.handle(), tag.suffix());
            return value.ok_or_else(|| refuse(mark, &format!("{text:?} does not fit the tag {name}")));
        }
        if style != ScalarStyle::Plain {
            return Ok(Value::Text(text.into()));
        }
        let value = core(text)
            .ok_or_else(|| refuse(mark, &format!("{text} has no form in JSON; write a finite number or quote it")))?;
        if let Some(other) = yaml11::differs(text, &value) {
            let here = Node { mark, value: value.clone() }.to_json();
            let message = format!(
                "{text} is read as {here} here (YAML 1.2), but as {other} by kubectl (YAML 1.1); \
                 write {here}{}",
                if here.is_string() { " in quotes" } else { "" }
            );
            self.done.notes.push(Remark { mark, message });
        }
        Ok(value)
    }
}

fn refuse(mark: Mark, message: &str) -> Remark {
    Remark { mark, message: message.to_owned() }
}

fn too_deep(mark: Mark) -> Remark {
    refuse(mark, &format!("nested deeper than {MAX_DEPTH} levels"))
}

fn core_tag(tag: &Tag) -> Option<&str> {
    (tag.handle() == "tag:yaml.org,2002:").then(|| tag.suffix())
}

/// A plain scalar by YAML 1.2's core schema. None for infinity and NaN, which JSON has no form for.
fn core(text: &str) -> Option<Value> {
    Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ if is_not_finite(text) => return None,
        _ => number(text)?,
    })
}

fn is_not_finite(text: &str) -> bool {
    let bare = text.strip_prefix(['+', '-']).unwrap_or(text);
    matches!(bare, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN")
}

/// The number, or the text that is none. None for a number beyond every double.
fn number(text: &str) -> Option<Value> {
    let words = Some(Value::Text(text.into()));
    let radix = [("0x", 16), ("0o", 8)].iter().find_map(|(p, radix)| text.strip_prefix(p).map(|d| (d, *radix)));
    if let Some((digits, radix)) = radix {
        let all = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
        let whole = u64::from_str_radix(digits, radix).ok().filter(|_| all);
        return whole.map(|v| Value::Number(v.into())).or(words);
    }
    let bare = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_digit()) {
        let plain = text.strip_prefix('+').unwrap_or(text);
        if let Ok(v) = plain.parse::<u64>() {
            return Some(Value::Number(v.into()));
        }
        if let Ok(v) = plain.parse::<i64>() {
            return Some(Value::Number(v.into()));
        }
    }
    if !is_float(bare) {
        return words;
    }
    Number::from_f64(text.parse().ok()?).map(Value::Number)
}

/// `(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(bare: &str) -> bool {
    let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(bare);
    let mut rest = &bare[whole..];
    let mut fraction = 0;
    if let Some(tail) = rest.strip_prefix('.') {
        fraction = digits(tail);
        rest = &tail[fraction..];
    }
    if whole + fraction == 0 {
        return false;
    }
    let Some(tail) = rest.strip_prefix(['e', 'E']) else { return rest.is_empty() };
    let tail = tail.strip_prefix(['+', '-']).unwrap_or(tail);
    !tail.is_empty() && digits(tail) == tail.len()
}

#[cfg(test)]
#[path = "yaml_tests.rs"]
mod tests;
