//! A mistake or a note, with the place where it stands: file, line, path.

use std::{fmt, sync::Arc};

use mapper_api::ErrorKind;
use serde::Serialize;

use super::yaml::{Mark, Node, join};

/// Whether it must be mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// It cannot be so.
    Error,
    /// It can, but may not mean what its author thinks.
    Note,
}

/// Why it cannot be so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// It is wrong.
    #[default]
    Config,
    /// It may be right, but the mapper cannot do it.
    Unsupported,
}

impl From<ErrorKind> for Cause {
    fn from(kind: ErrorKind) -> Self {
        if kind == ErrorKind::Unsupported { Self::Unsupported } else { Self::Config }
    }
}

/// What is wrong, where, and what would be accepted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Issue {
    /// The file as it was given; `Device plant-a/boiler-7` for an object of the cluster.
    #[serde(serialize_with = "as_text")]
    pub file: Arc<str>,
    /// The line, from 1; 0 for the file as a whole, and for an object of the cluster.
    pub line: u32,
    /// The column, from 1; 0 for the line as a whole.
    pub column: u32,
    /// The place in the document, such as `spec.properties[2].modbus.register`; empty for the whole.
    pub path: String,
    /// One line for people.
    pub message: String,
    /// Whether it must be mended.
    pub severity: Severity,
    /// Why it must.
    #[serde(skip)]
    pub cause: Cause,
}

impl Issue {
    /// The reason of a condition and its message, of everything that is wrong with a device. What is wrong comes before
    /// what is not supported: as long as it is not mended, nobody knows what the device needs.
    pub fn refused(issues: &[Self]) -> (&'static str, String) {
        let cause = issues.iter().map(|issue| issue.cause).min().unwrap_or_default();
        let reason = match cause {
            Cause::Config => "Config",
            Cause::Unsupported => "Unsupported",
        };
        (reason, issues.iter().map(Self::said).collect::<Vec<_>>().join("; "))
    }

    /// What is wrong, with the path and without the file.
    pub fn said(&self) -> String {
        if self.path.is_empty() { self.message.clone() } else { format!("{}: {}", self.path, self.message) }
    }

    /// A mistake of a text as a whole, or of a line of it (0 for none).
    pub fn of_text(file: Arc<str>, line: u32, message: impl Into<String>) -> Self {
        let (severity, cause) = (Severity::Error, Cause::Config);
        Self { file, line, column: 0, path: String::new(), message: message.into(), severity, cause }
    }
}

fn as_text<S: serde::Serializer>(file: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(file)
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.file.is_empty() {
            return f.write_str(&self.said());
        }
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if self.severity == Severity::Note {
            f.write_str(": note")?;
        }
        write!(f, ": {}", self.said())
    }
}

/// An issue before its file and path are looked up: steps that merge documents keep marks, not paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The place to show.
    pub mark: Mark,
    /// The place of the node that the path leads to.
    pub anchor: Mark,
    /// The rest of the path below that node, such as a key that is missing.
    pub tail: String,
    /// One line for people.
    pub message: String,
    /// Whether it must be mended.
    pub severity: Severity,
    /// Why it must.
    pub cause: Cause,
    /// Whether something is missing, which a model may leave to its devices.
    pub lack: bool,
}

impl Finding {
    /// A mistake in a node.
    pub fn at(node: &Node, message: impl Into<String>) -> Self {
        Self::below(node, "", message)
    }

    /// A key that the node must have.
    pub fn missing(node: &Node, key: &str, message: impl Into<String>) -> Self {
        Self { lack: true, ..Self::below(node, key, message) }
    }

    /// A mistake below a node, at a path that leads to no node of its own.
    pub fn below(node: &Node, tail: &str, message: impl Into<String>) -> Self {
        Self { tail: tail.to_owned(), ..Self::on(node.mark, message) }
    }

    /// A mistake in a path below a node: as much of the path as is there leads to the place.
    pub fn inside(node: &Node, path: &str, message: impl Into<String>) -> Self {
        let (mut here, mut rest) = (node, path);
        while !rest.is_empty() {
            let (step, after) = first_step(rest);
            let next = match step.strip_prefix('[').and_then(|s| s.strip_suffix(']')).map(str::parse::<usize>) {
                Some(Ok(index)) => here.items().get(index),
                _ => here.get(step),
            };
            let Some(next) = next else { break };
            (here, rest) = (next, after);
        }
        Self::below(here, rest, message)
    }

    /// A remark on a place that has no node, such as a line of a file.
    pub fn on(mark: Mark, message: impl Into<String>) -> Self {
        Self {
            mark,
            anchor: mark,
            tail: String::new(),
            message: message.into(),
            severity: Severity::Error,
            cause: Cause::Config,
            lack: false,
        }
    }

    /// The same as a note.
    #[must_use]
    pub fn note(mut self) -> Self {
        self.severity = Severity::Note;
        self
    }
}

/// `serial.baud` gives `serial` and `baud`; `[2].x` gives `[2]` and `x`.
fn first_step(path: &str) -> (&str, &str) {
    let end = path.char_indices().skip(1).find(|(_, c)| matches!(c, '.' | '[')).map_or(path.len(), |(i, _)| i);
    (&path[..end], path[end..].trim_start_matches('.'))
}

/// The documents at hand, by the number in their marks.
#[derive(Debug, Default)]
pub struct Places<'a> {
    texts: Vec<(u32, Arc<str>, Vec<&'a Node>)>,
}

impl<'a> Places<'a> {
    /// Adds documents of a text, whose marks have this number.
    pub fn add(&mut self, number: u32, file: Arc<str>, roots: impl IntoIterator<Item = &'a Node>) {
        self.texts.push((number, file, roots.into_iter().collect()));
    }

    /// The finding with file, line and path.
    pub fn issue(&self, finding: Finding) -> Issue {
        let mut texts = self.texts.iter().filter(|(number, ..)| *number == finding.mark.file).peekable();
        let file = texts.peek().map_or_else(|| Arc::from(""), |(_, file, _)| file.clone());
        let head =
            texts.flat_map(|(.., roots)| roots).find_map(|root| root.path_of(finding.anchor)).unwrap_or_default();
        let Mark { line, column, .. } = finding.mark;
        Issue {
            file,
            line,
            // Objects of the cluster have no lines; their columns only tell the nodes apart.
            column: if line == 0 { 0 } else { column },
            path: join(&head, &finding.tail),
            message: finding.message,
            severity: finding.severity,
            cause: finding.cause,
        }
    }
}
