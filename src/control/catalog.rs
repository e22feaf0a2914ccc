//! From a set of files to devices: parse, merge with the models, validate, settle conflicts. Pure.
//!
//! A device whose merged spec is as it was keeps its very [`Arc`], so that what changed is seen by comparing pointers.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet, btree_map::Entry},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use mapper_api::Mapper;
use serde_json::Value as Json;

use super::{
    conflicts,
    crd::Schemas,
    document::{self, Document, Kind},
    issue::{Finding, Issue, Places, Severity},
    resolve, schema,
    source::{Objects, SourceText},
    validate::{self, Identity, Verdict},
    yaml::{self, Documents, Mark, Node},
};
use crate::model::{Device, DeviceId};

/// What files are judged by: the mappers of this binary, their schemas, and the node that is served.
pub struct Judge {
    mappers: Vec<Arc<dyn Mapper>>,
    schemas: Schemas,
    node: Option<String>,
}

impl Judge {
    /// A judge for these mappers. With a node, devices that name another are left out.
    pub fn new(mappers: Vec<Arc<dyn Mapper>>, node: Option<String>) -> Self {
        let schemas = Schemas::of(&mappers);
        Self { mappers, schemas, node }
    }
}

/// The devices of one set.
#[derive(Default)]
pub struct Catalog {
    /// Every device of this node: ready to run, or what is wrong with it.
    pub devices: BTreeMap<DeviceId, Result<Arc<Device>, Vec<Issue>>>,
    /// Everything there is to say, by file and line; the devices' mistakes among it.
    pub issues: Vec<Issue>,
    /// Devices that are left to another node.
    pub elsewhere: Vec<DeviceId>,
    /// Something could not be read and has no last good text: there may be devices that are not listed here.
    pub incomplete: bool,
    /// Those of the refused that lost their bus to another device: not even their last accepted spec can go on.
    pub displaced: BTreeSet<DeviceId>,
    /// How many models the set holds.
    pub models: usize,
    generations: BTreeMap<DeviceId, (u64, i64)>,
}

struct Object<'a> {
    document: Document<'a>,
    spec: &'a Node,
    /// Mistakes in its head.
    head: Vec<Finding>,
}

type Named<'a> = BTreeMap<DeviceId, Object<'a>>;

impl Catalog {
    /// How often the merged spec of a device has changed, from 1; 0 for one that is not in the set.
    pub fn generation(&self, id: &DeviceId) -> i64 {
        self.generations.get(id).map_or(0, |(_, generation)| *generation)
    }

    /// The catalogue of a set. Devices whose spec is as in `previous` are taken over from there.
    pub fn build(objects: &Objects, judge: &Judge, previous: &Self) -> Self {
        let parsed = Parsed::read(objects);
        let mut build = Build { judge, places: parsed.places(), found: parsed.found.clone(), catalog: Self::default() };
        let (models, devices) = build.sort_out(&parsed);
        for (id, model) in &models {
            build.model(id, model);
        }
        build.catalog.models = models.len();
        let mut nodes = BTreeMap::new();
        for (id, device) in &devices {
            if build.device(id, device, &models, previous)
                && let Some(node) = device.spec.get("protocol")
            {
                nodes.insert(id.clone(), node);
            }
        }
        build.conflicts(&nodes, previous);
        build.catalog.incomplete =
            objects.error.is_some() || objects.texts.iter().any(|f| f.error.is_some() && f.text.is_empty());
        build.finish(objects)
    }
}

/// The documents of every file.
struct Parsed {
    files: Vec<(Arc<str>, Documents)>,
    found: Vec<Finding>,
}

impl Parsed {
    fn read(objects: &Objects) -> Self {
        let mut parsed = Self { files: Vec::new(), found: Vec::new() };
        for (number, file) in (0..).zip(&objects.texts) {
            let documents =
                if is_settings(&file.name) { Ok(Documents::default()) } else { yaml::parse(&file.text, number) };
            if let Some((line, message)) = &file.error {
                let mark = Mark { file: number, line: *line, column: 0 };
                parsed.found.push(Finding::on(mark, message.clone()));
            }
            let documents = documents.unwrap_or_else(|error| {
                parsed.found.push(Finding::on(error.mark, error.message));
                Documents::default()
            });
            // Notes of a text that is no longer the file's would point to lines that are not there.
            for note in documents.notes.iter().filter(|_| file.error.is_none()) {
                parsed.found.push(Finding::on(note.mark, note.message.clone()).note());
            }
            parsed.files.push((file.name.clone(), documents));
        }
        parsed
    }

    fn places(&self) -> Places<'_> {
        let mut places = Places::default();
        for (name, documents) in &self.files {
            places.add(name.clone(), documents.roots.iter().collect());
        }
        places
    }
}

/// The bridge's own settings may stand beside the devices; they are no resource.
pub fn is_settings(name: &str) -> bool {
    matches!(name.rsplit('/').next(), Some("fieldgate.yaml" | "fieldgate.yml"))
}

struct Build<'a> {
    judge: &'a Judge,
    places: Places<'a>,
    found: Vec<Finding>,
    catalog: Catalog,
}

impl<'a> Build<'a> {
    /// Models and devices by name; the first of a name keeps it.
    fn sort_out(&mut self, parsed: &'a Parsed) -> (Named<'a>, Named<'a>) {
        let (mut models, mut devices) = (Named::new(), Named::new());
        for (file, documents) in &parsed.files {
            for root in &documents.roots {
                let mut head = Vec::new();
                let Some((document, id)) = document::read(root, &mut head) else {
                    self.found.extend(head);
                    continue;
                };
                let Some(spec) = document.spec else {
                    self.found.extend(head);
                    continue;
                };
                let named = if document.kind == Kind::Device { &mut devices } else { &mut models };
                match named.entry(id) {
                    Entry::Vacant(free) => drop(free.insert(Object { document, spec, head })),
                    Entry::Occupied(first) => {
                        let (word, holder) = (root.get("kind").and_then(Node::text).unwrap_or_default(), first.get());
                        let mark = holder.document.root.mark;
                        let name = parsed.files.get(mark.file as usize).map_or(&**file, |f| &*f.0);
                        let message = format!(
                            "{word} {} already stands in {name}, line {}; this one is ignored",
                            first.key(),
                            mark.line
                        );
                        let node = root.at(&["metadata", "name"]).unwrap_or(root);
                        self.found.push(Finding::at(node, message));
                    }
                }
            }
        }
        (models, devices)
    }

    /// Checks a model by itself, and its samples.
    fn model(&mut self, id: &DeviceId, model: &Object<'a>) {
        let mut found = model.head.clone();
        schema::walk(model.spec, &self.judge.schemas.model["properties"]["spec"], &mut found);
        let samples = model.spec.get("samples").map(Node::items).unwrap_or_default();
        if found.is_empty() {
            let Verdict { device, findings } = self.model_alone(id, model.spec);
            match device {
                Some(device) => samples.iter().for_each(|s| validate::sample(&device, s, &mut found)),
                None if !samples.is_empty() && lacks(&findings) => found.push(
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
        self.found.extend(found);
    }

    /// The model as a device of its own. Where it leaves keys of the endpoint to its devices, one that the mapper names
    /// stands in; the first that makes it whole is taken.
    fn model_alone(&self, id: &DeviceId, spec: &Node) -> Verdict {
        let alone = resolve::merge(&empty(spec), spec);
        let own = self.validate(id, &alone, 0);
        let Some(protocol) = spec.get("protocol").filter(|_| own.device.is_none()) else { return own };
        let named = |m: &&Arc<dyn Mapper>| protocol.get(m.name()).is_some();
        let stand_ins = self.judge.mappers.iter().filter(named).flat_map(|m| {
            let under = |endpoint| Json::from_iter([("protocol", Json::from_iter([(m.name(), endpoint)]))]);
            m.stand_ins().into_iter().map(under)
        });
        stand_ins
            .map(|base| self.validate(id, &resolve::merge(&alone, &Node::from_json(&base, protocol.mark)), 0))
            .find(|verdict| verdict.device.is_some())
            .unwrap_or(own)
    }

    fn validate(&self, id: &DeviceId, spec: &Node, generation: i64) -> Verdict {
        let identity = Identity { id: id.clone(), uid: format!("files:{id}"), generation };
        validate::validate(identity, spec, &self.judge.mappers, &self.judge.schemas)
    }

    /// Judges a device; true if it can run.
    fn device(&mut self, id: &DeviceId, device: &Object<'a>, models: &Named<'a>, previous: &Catalog) -> bool {
        let node = device.spec.get("nodeName").and_then(Node::text);
        if let (Some(own), Some(node)) = (&self.judge.node, node)
            && own != node
        {
            self.catalog.elsewhere.push(id.clone());
            return false;
        }
        let mut found = device.head.clone();
        let named = device.spec.get("model");
        let model = named.and_then(Node::text).map(|name| DeviceId::new(&id.namespace, name));
        let merged = match (named, model.as_ref().map(|model| models.get(model))) {
            (Some(_), Some(Some(model))) => resolve::merge(device.spec, model.spec),
            (Some(node), Some(None)) => {
                found.push(Finding::at(node, missing_model(id, node, models)));
                // What the model would give is missing now: only what the device says itself can be judged.
                schema::walk(device.spec, &self.judge.schemas.device["properties"]["spec"], &mut found);
                self.refuse(id, found);
                return false;
            }
            _ => device.spec.clone(),
        };
        let spec = validate::canonical(&merged);
        let generation = self.generation(id, &spec, previous);
        if let (true, Some(Ok(same))) = (found.is_empty(), previous.devices.get(id))
            && same.spec == spec
        {
            self.catalog.devices.insert(id.clone(), Ok(same.clone()));
            return true;
        }
        let Verdict { device, findings } = self.validate(id, &merged, generation);
        found.extend(findings);
        match device {
            Some(device) if found.iter().all(|f| f.severity == Severity::Note) => {
                self.found.extend(found);
                self.catalog.devices.insert(id.clone(), Ok(Arc::new(device)));
                true
            }
            _ => {
                self.refuse(id, found);
                false
            }
        }
    }

    fn refuse(&mut self, id: &DeviceId, found: Vec<Finding>) {
        let mut issues: Vec<Issue> = found.iter().map(|f| self.places.issue(f.clone())).collect();
        issues.retain(|issue| issue.severity == Severity::Error);
        issues.sort();
        issues.dedup();
        self.found.extend(found);
        self.catalog.devices.insert(id.clone(), Err(issues));
    }

    fn generation(&mut self, id: &DeviceId, spec: &str, previous: &Catalog) -> i64 {
        let mut hasher = DefaultHasher::new();
        spec.hash(&mut hasher);
        let hash = hasher.finish();
        let generation = match previous.generations.get(id) {
            Some((same, generation)) if *same == hash => *generation,
            Some((_, generation)) => generation + 1,
            None => 1,
        };
        self.catalog.generations.insert(id.clone(), (hash, generation));
        generation
    }

    /// Refuses the devices that cannot have their bus.
    fn conflicts(&mut self, protocols: &BTreeMap<DeviceId, &'a Node>, previous: &Catalog) {
        let holds = |device: &Device| {
            let before = previous.devices.get(&device.id).and_then(|old| old.as_ref().ok());
            before.is_some_and(|old| old.bound.bus_key() == device.bound.bus_key())
        };
        let running: Vec<Arc<Device>> = self.catalog.devices.values().flatten().cloned().collect();
        let claims: Vec<conflicts::Claim<'_>> = running
            .iter()
            .map(|d| conflicts::Claim {
                id: &d.id,
                holds: holds(d),
                created: None,
                protocol: d.bound.protocol(),
                key: d.bound.bus_key(),
            })
            .collect();
        for (id, message) in conflicts::refused(&claims) {
            let Some(node) = protocols.get(id) else { continue };
            self.refuse(id, vec![Finding::at(node, message)]);
            self.catalog.displaced.insert(id.clone());
        }
    }

    fn finish(mut self, objects: &Objects) -> Catalog {
        let issues: HashSet<Issue> = self.found.into_iter().map(|f| self.places.issue(f)).collect();
        self.catalog.issues = issues.into_iter().collect();
        if let Some(message) = &objects.error {
            self.catalog.issues.push(Issue {
                file: "".into(),
                line: 0,
                column: 0,
                path: String::new(),
                message: message.clone(),
                severity: Severity::Error,
            });
        }
        self.catalog.issues.sort();
        self.catalog
    }
}

/// A device that says nothing, at the model's place.
fn empty(model: &Node) -> Node {
    Node { mark: model.mark, value: yaml::Value::Map(Vec::new()) }
}

fn lacks(findings: &[Finding]) -> bool {
    findings.iter().any(|f| f.lack)
}

fn missing_model(id: &DeviceId, node: &Node, models: &Named<'_>) -> String {
    let name = node.text().unwrap_or_default();
    let names: Vec<&str> = models.keys().filter(|m| m.namespace == id.namespace).map(|m| &*m.name).collect();
    let hint = schema::did_you_mean(name, &names).unwrap_or_else(|| {
        if names.is_empty() { "; there is none".to_owned() } else { format!("; there are {}", names.join(", ")) }
    });
    format!("no DeviceModel {name} in namespace {}{hint}", id.namespace)
}

/// The files as one set, for callers that have texts at hand.
impl FromIterator<(String, String)> for Objects {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(texts: T) -> Self {
        let file = |(name, text): (String, String)| SourceText { name: name.into(), text: text.into(), error: None };
        let mut files: Vec<SourceText> = texts.into_iter().map(file).collect();
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Self { texts: files, ..Self::default() }
    }
}

#[cfg(test)]
#[path = "catalog_tests.rs"]
mod tests;
