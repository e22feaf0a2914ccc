//! One text of a set: parsed, and what is remembered of it when its tree is gone: the heads of its documents, its notes,
//! and what there is to say of its models. Pure. It judges no Device, which may need a model of another text.

use std::sync::Arc;

use super::{
    document::{self, Kind},
    issue::{Finding, Issue, Places},
    judge::Judge,
    source::{Origin, SourceText},
    yaml::{self, Documents, Mark, Node},
};
use crate::model::DeviceId;

/// The bridge's own settings may stand beside the devices; they are no resource.
pub fn is_settings(name: &str) -> bool {
    matches!(name.rsplit('/').next(), Some("fieldgate.yaml" | "fieldgate.yml"))
}

/// What is remembered of a text, for as long as the source yields the very same one.
pub struct Scan {
    /// The text's name.
    pub name: Arc<str>,
    /// The text.
    pub text: Arc<str>,
    /// Its Devices and DeviceModels.
    pub objects: Vec<Head>,
    /// What there is to say of it apart from those.
    pub issues: Vec<Issue>,
    /// Where another YAML reads it otherwise.
    pub notes: Vec<Issue>,
}

/// The head of a Device or a DeviceModel.
pub struct Head {
    /// Which of both.
    pub kind: Kind,
    /// Its name.
    pub id: DeviceId,
    /// Which of the text's documents it is.
    pub root: usize,
    /// The line where it begins; 0 in the cluster.
    pub line: u32,
    /// The identity of the resource, if the cluster gave it one.
    pub uid: Option<Box<str>>,
    /// The generation of its spec, if the cluster counts it.
    pub generation: Option<i64>,
    /// When it was created, RFC 3339, if the cluster says so.
    pub created: Option<Box<str>>,
    /// `spec.nodeName`.
    pub node: Option<Box<str>>,
    /// `spec.model`.
    pub model: Option<Box<str>>,
    /// An issue about its name, yet without words.
    pub at_name: Issue,
    /// An issue about its bus, yet without words.
    pub at_bus: Issue,
    /// What there is to say of a model; a Device is judged later.
    pub issues: Vec<Issue>,
}

/// The documents of a text. `number` goes into the marks.
///
/// # Errors
/// It is no YAML; no JSON, if it comes from the cluster.
pub fn parse(name: &str, text: &str, origin: Origin, number: u32) -> Result<Documents, yaml::Remark> {
    match origin {
        Origin::Files if is_settings(name) => Ok(Documents::default()),
        Origin::Files => yaml::parse(text, number),
        Origin::Cluster => {
            let refused = |error| yaml::Remark {
                mark: Mark { file: number, line: 0, column: 0 },
                message: format!("no JSON: {error}"),
            };
            let object = serde_json::from_str(text).map_err(refused)?;
            Ok(Documents { roots: vec![Node::numbered(object, number)], notes: Vec::new() })
        }
    }
}

impl Scan {
    /// Reads a text. Its tree is handed on to whoever needs it now.
    pub fn read(source: &SourceText, origin: Origin, number: u32, judge: &Judge) -> (Self, Documents) {
        let SourceText { name, text, .. } = source;
        let mut scan =
            Self { name: name.clone(), text: text.clone(), objects: Vec::new(), issues: Vec::new(), notes: Vec::new() };
        let mut found = Vec::new();
        let documents = parse(name, text, origin, number).unwrap_or_else(|error| {
            found.push(Finding::on(error.mark, error.message));
            Documents::default()
        });
        let mut places = Places::default();
        places.add(number, name.clone(), &documents.roots);
        for (n, root) in documents.roots.iter().enumerate() {
            let mut head = Vec::new();
            match document::read(root, &mut head) {
                Some((document::Document { kind, spec: Some(spec), .. }, id)) => {
                    if origin == Origin::Cluster {
                        // The API server has judged the head, and may know more keys of it.
                        head.clear();
                    }
                    let issues = match kind {
                        Kind::Model => {
                            judge.model(&id, spec, &mut head);
                            head.into_iter().map(|f| places.issue(f)).collect()
                        }
                        Kind::Device => Vec::new(),
                    };
                    scan.objects.push(Head::of(kind, id, n, root, spec, &places, issues));
                }
                _ => found.extend(head),
            }
        }
        scan.issues = found.into_iter().map(|f| places.issue(f)).collect();
        let notes = documents.notes.iter().map(|note| Finding::on(note.mark, note.message.clone()).note());
        scan.notes = notes.map(|f| places.issue(f)).collect();
        (scan, documents)
    }
}

impl Head {
    fn of(
        kind: Kind,
        id: DeviceId,
        root: usize,
        document: &Node,
        spec: &Node,
        places: &Places<'_>,
        issues: Vec<Issue>,
    ) -> Self {
        let meta = |key: &str| document.at(&["metadata", key]);
        let text = |node: Option<&Node>| node.and_then(Node::text).map(Box::from);
        let at = |node: &Node| places.issue(Finding::at(node, String::new()));
        Self {
            kind,
            id,
            root,
            line: document.mark.line,
            uid: text(meta("uid")),
            generation: meta("generation").and_then(Node::whole),
            created: text(meta("creationTimestamp")),
            node: text(spec.get("nodeName")),
            model: text(spec.get("model")),
            at_name: at(meta("name").unwrap_or(document)),
            at_bus: at(spec.get("protocol").unwrap_or(spec)),
            issues,
        }
    }
}
