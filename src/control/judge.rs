//! Judges one DeviceModel, or one Device with its model: merge, validate, and keep what did not change. Pure. What
//! devices do to each other is settled in the catalogue.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use fieldgate_crds::NODE_LABEL;
use mapper_api::Mapper;
use serde_json::Value as Json;

use super::{
    crd::Schemas,
    document,
    heads::{Head, Scan},
    issue::{Finding, Issue, Places, Severity},
    resolve, schema,
    shared::Shared,
    source::Origin,
    validate::{self, Identity, Verdict},
    yaml::{self, Node},
};
use crate::model::{Device, DeviceId};

/// Whose devices are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Serve {
    /// Every Device: a folder, and no node was named.
    All,
    /// Those without `nodeName` or with this one: a folder, and this node.
    Node(String),
    /// Only those with this `nodeName`: a cluster, where each Device belongs to one node.
    Own(String),
}

/// What objects are judged by: the mappers of this binary, their schemas, and whose devices are served.
pub struct Judge {
    mappers: Vec<Arc<dyn Mapper>>,
    schemas: Schemas,
    serve: Serve,
    shared: Shared,
}

/// What the model of a Device is.
#[derive(Clone)]
pub enum Basis {
    /// It names none.
    Alone,
    /// An object of this text.
    Model(Arc<Scan>, usize),
    /// It is not there: what to say of that.
    Missing(String),
}

/// What was found out about a Device.
pub struct Judged {
    /// The text that it stands in, and which object of it.
    pub object: (Arc<Scan>, usize),
    /// Its model.
    pub basis: Basis,
    /// The device, or what is wrong with it.
    pub result: Result<Arc<Device>, Vec<Issue>>,
    /// Everything there is to say of it.
    pub issues: Vec<Issue>,
    /// The identity of the resource.
    pub uid: String,
    /// The generation of its spec; of files, how often the merged spec has changed, from 1.
    pub generation: i64,
    /// The hash of the merged spec.
    spec: Option<u64>,
}

/// A document at hand.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The text that it stands in, and which object of it.
    pub object: (&'a Arc<Scan>, usize),
    /// The number in its marks.
    pub number: u32,
    /// The document.
    pub root: &'a Node,
}

impl Basis {
    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Alone, Self::Alone) => true,
            (Self::Model(a, m), Self::Model(b, n)) => Arc::ptr_eq(a, b) && m == n,
            (Self::Missing(a), Self::Missing(b)) => a == b,
            _ => false,
        }
    }
}

impl Judged {
    /// Whether it holds still: neither its own text nor its model's has changed.
    pub fn holds(&self, scan: &Arc<Scan>, index: usize, basis: &Basis) -> bool {
        Arc::ptr_eq(&self.object.0, scan) && self.object.1 == index && self.basis.same(basis)
    }

    /// The head of the object.
    pub fn head(&self) -> &Head {
        &self.object.0.objects[self.object.1]
    }
}

impl Judge {
    /// A judge for these mappers.
    pub fn new(mappers: Vec<Arc<dyn Mapper>>, serve: Serve) -> Self {
        let schemas = Schemas::of(&mappers);
        Self { mappers, schemas, serve, shared: Shared::default() }
    }

    /// Whether a device with this `nodeName` is served.
    pub fn serves(&self, node: Option<&str>) -> bool {
        match &self.serve {
            Serve::All => true,
            Serve::Node(own) => node.is_none_or(|node| node == own),
            Serve::Own(own) => node == Some(own),
        }
    }

    /// Checks a model by itself, and its samples. `found` has what is wrong with its head.
    pub fn model(&self, id: &DeviceId, spec: &Node, found: &mut Vec<Finding>) {
        schema::walk(spec, &self.schemas.model["properties"]["spec"], found);
        if !found.is_empty() {
            return;
        }
        let samples = spec.get("samples").map(Node::items).unwrap_or_default();
        let Verdict { device, findings } = self.model_alone(id, spec);
        match device {
            Some(device) => samples.iter().for_each(|s| validate::sample(&device, s, found)),
            None if !samples.is_empty() && findings.iter().any(|f| f.lack) => found.push(
                Finding::at(
                    &samples[0],
                    "the samples were not run, since the model leaves required keys of the protocol or of a \
                     property to its devices",
                )
                .note(),
            ),
            None => {}
        }
        found.extend(findings.into_iter().filter(|f| !f.lack));
    }

    /// The model as a device of its own. Where it leaves keys of the endpoint to its devices, one that the mapper names
    /// stands in; the first that makes it whole is taken.
    fn model_alone(&self, id: &DeviceId, spec: &Node) -> Verdict {
        let validate = |spec: &Node| {
            let identity = Identity { id: id.clone(), uid: String::new(), generation: 0, model_generation: None };
            validate::validate(identity, spec, &self.mappers, &self.schemas)
        };
        let alone = resolve::merge(&empty(spec), spec);
        let own = validate(&alone);
        let Some(protocol) = spec.get("protocol").filter(|_| own.device.is_none()) else { return own };
        let named = |m: &&Arc<dyn Mapper>| protocol.get(m.name()).is_some();
        let stand_ins = self.mappers.iter().filter(named).flat_map(|m| {
            let under = |endpoint| Json::from_iter([("protocol", Json::from_iter([(m.name(), endpoint)]))]);
            m.stand_ins().into_iter().map(under)
        });
        stand_ins
            .map(|base| validate(&resolve::merge(&alone, &Node::from_json(&base, protocol.mark))))
            .find(|verdict| verdict.device.is_some())
            .unwrap_or(own)
    }

    /// Judges a device. If its merged spec is as it was `before`, it is the very same device.
    pub fn device(
        &self,
        origin: Origin,
        own: Place<'_>,
        model: Option<Place<'_>>,
        basis: &Basis,
        before: Option<&Judged>,
    ) -> Judged {
        let (scan, index) = own.object;
        let head = &scan.objects[index];
        let mut found = Vec::new();
        let _ = document::read(own.root, &mut found);
        let uid = match origin {
            Origin::Files => format!("files:{}", head.id),
            Origin::Cluster => {
                // The API server has judged the head, and may know more keys of it.
                found.clear();
                head.uid.as_deref().unwrap_or_default().to_owned()
            }
        };
        let nothing = empty(own.root);
        let spec = own.root.get("spec").unwrap_or(&nothing);
        found.extend(other_label(own.root, head.node.as_deref()));
        let judged = |result, issues, generation, spec| Judged {
            object: (scan.clone(), index),
            basis: basis.clone(),
            result,
            issues,
            uid: uid.clone(),
            generation,
            spec,
        };
        let merged = match (basis, model.and_then(|model| model.root.get("spec"))) {
            (Basis::Missing(message), _) => {
                found.push(Finding::at(spec.get("model").unwrap_or(spec), message.clone()));
                // What the model would give is missing now: only what the device says itself can be judged.
                schema::walk(spec, &self.schemas.device["properties"]["spec"], &mut found);
                let (issues, errors) = told(own, model, found);
                // The count goes on when the model is there again.
                let (generation, spec) = before.map_or((0, None), |before| (before.generation, before.spec));
                return judged(Err(errors), issues, head.generation.unwrap_or(generation), spec);
            }
            (Basis::Model(..), Some(base)) => resolve::merge(spec, base),
            _ => spec.clone(),
        };
        let hash = hash(&merged.to_json().to_string());
        let generation = head.generation.unwrap_or_else(|| match before.and_then(|b| Some((b.spec?, b.generation))) {
            Some((same, generation)) if same == hash => generation,
            Some((_, generation)) => generation + 1,
            None => 1,
        });
        let model_generation = model.and_then(|Place { object: (scan, index), .. }| scan.objects[index].generation);
        let identity = Identity { id: head.id.clone(), uid: uid.clone(), generation, model_generation };
        let Verdict { device, findings } = validate::validate(identity, &merged, &self.mappers, &self.schemas);
        found.extend(findings);
        let (issues, errors) = told(own, model, found);
        let result = match device {
            Some(device) if errors.is_empty() => {
                let same = |d: &&Arc<Device>| d.uid == uid && d.print == device.print;
                let same = before.and_then(|b| b.result.as_ref().ok()).filter(same).cloned();
                Ok(same.unwrap_or_else(|| Arc::new(self.shared.with(device))))
            }
            _ => Err(errors),
        };
        judged(result, issues, generation, Some(hash))
    }
}

/// Everything that was found, and for the device the mistakes among it, of which those that stand in the model name it.
fn told(own: Place<'_>, model: Option<Place<'_>>, found: Vec<Finding>) -> (Vec<Issue>, Vec<Issue>) {
    let mut places = Places::default();
    for place in [Some(own), model].into_iter().flatten() {
        places.add(place.number, place.object.0.name.clone(), [place.root]);
    }
    let holds = |place: Place<'_>, f: &Finding| place.number == f.mark.file && place.root.path_of(f.anchor).is_some();
    let mut issues = Vec::with_capacity(found.len());
    let mut errors = Vec::new();
    for finding in found {
        let model = model.filter(|model| !holds(own, &finding) && holds(*model, &finding));
        let issue = places.issue(finding);
        if issue.severity == Severity::Error {
            errors.push(match model {
                Some(Place { object: (scan, index), .. }) => {
                    let message = format!("DeviceModel {}: {}", scan.objects[index].id, issue.said());
                    Issue { path: String::new(), message, ..issue.clone() }
                }
                None => issue.clone(),
            });
        }
        issues.push(issue);
    }
    errors.sort();
    errors.dedup();
    (issues, errors)
}

/// A label that names another node than the spec does.
fn other_label(root: &Node, node: Option<&str>) -> Option<Finding> {
    let (label, node) = (root.at(&["metadata", "labels", NODE_LABEL])?, node?);
    let says = label.text().filter(|label| *label != node)?;
    let message = format!(
        "says {says}, but spec.nodeName is {node}: whoever selects by this label does not find the device; \
         `fieldgate check --fix` mends it in a file"
    );
    Some(Finding::at(label, message).note())
}

/// A map that says nothing, at this place.
fn empty(place: &Node) -> Node {
    Node { mark: place.mark, value: yaml::Value::Map(Vec::new()) }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
