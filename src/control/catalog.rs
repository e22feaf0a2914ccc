//! From a set of texts to devices: which object has which name, each judged with its model, conflicts settled. Pure.
//!
//! Only one tree is held at a time, and those of the models that are asked for. A text that is the very same as in the
//! set before is not parsed again, unless the model of one of its devices has changed. A device whose merged spec is as
//! it was keeps its very [`Arc`], so that what changed is seen by comparing pointers.

use std::{
    collections::{BTreeMap, HashSet, btree_map::Entry},
    sync::Arc,
};

pub use super::judge::{Judge, Serve};
use super::{
    conflicts,
    document::Kind,
    heads::{self, Head, Scan},
    issue::Issue,
    judge::{Basis, Judged, Place},
    schema,
    source::{Objects, Origin, SourceText},
    yaml::{Documents, Node},
};
use crate::model::{Device, DeviceId};

/// The devices of one set.
#[derive(Default)]
pub struct Catalog {
    /// Every device that is served here: ready to run, or what is wrong with it.
    pub devices: BTreeMap<DeviceId, Result<Arc<Device>, Vec<Issue>>>,
    /// Everything there is to say, by file and line; the devices' mistakes among it.
    pub issues: Vec<Issue>,
    /// Devices that are left to another node.
    pub elsewhere: Vec<DeviceId>,
    /// Something could not be read and has no last good text: there may be devices that are not listed here.
    pub incomplete: bool,
    /// How many models the set holds.
    pub models: usize,
    at_work: BTreeMap<DeviceId, Arc<Device>>,
    origin: Origin,
    scans: BTreeMap<Arc<str>, Arc<Scan>>,
    judged: BTreeMap<DeviceId, Arc<Judged>>,
}

impl Catalog {
    /// The catalogue of a set. What did not change is taken over from `previous`.
    pub fn build(objects: &Objects, judge: &Judge, previous: &Self) -> Self {
        let mut build = Build::new(objects, judge, previous);
        for number in order(objects) {
            build.text(number);
        }
        for (number, index) in std::mem::take(&mut build.waiting) {
            build.device(number, index, true);
        }
        build.settle();
        build.finish()
    }

    /// What is to be at work: each accepted device, and for a refused one its last accepted spec, as long as it is the
    /// same resource and can have its bus.
    pub fn at_work(&self) -> &BTreeMap<DeviceId, Arc<Device>> {
        &self.at_work
    }

    /// The generation of a device's spec as the resource counts it; of files, how often the merged spec has changed, from
    /// 1. 0 for a device that is not served, or not known yet.
    pub fn generation(&self, id: &DeviceId) -> i64 {
        self.judged.get(id).map_or(0, |judged| judged.generation)
    }

    /// The identity of a device's resource, accepted or not.
    pub fn uid(&self, id: &DeviceId) -> Option<&str> {
        self.judged.get(id).map(|judged| &*judged.uid)
    }
}

/// Models of the cluster first, so that each Device can be judged while its tree is at hand. Of files nobody knows before
/// they are parsed; and the first of a name keeps it, so they stay in order.
fn order(objects: &Objects) -> Vec<usize> {
    let mut order: Vec<usize> = (0..objects.texts.len()).collect();
    if objects.origin == Origin::Cluster {
        order.sort_by_key(|n| !objects.texts[*n].name.starts_with("DeviceModel "));
    }
    order
}

/// An object of the set: the number of its text, and which object of it.
type Object = (usize, usize);

struct Build<'a> {
    objects: &'a Objects,
    judge: &'a Judge,
    previous: &'a Catalog,
    catalog: Catalog,
    issues: HashSet<Issue>,
    scans: Vec<Option<Arc<Scan>>>,
    models: BTreeMap<DeviceId, Object>,
    devices: BTreeMap<DeviceId, Object>,
    /// Devices whose model has not been seen.
    waiting: Vec<Object>,
    /// The one tree that is at hand.
    tree: Option<(usize, Documents)>,
    /// The models that were asked for.
    bases: BTreeMap<Object, Node>,
}

impl<'a> Build<'a> {
    fn new(objects: &'a Objects, judge: &'a Judge, previous: &'a Catalog) -> Self {
        Self {
            objects,
            judge,
            previous,
            catalog: Catalog { origin: objects.origin, ..Catalog::default() },
            issues: HashSet::new(),
            scans: vec![None; objects.texts.len()],
            models: BTreeMap::new(),
            devices: BTreeMap::new(),
            waiting: Vec::new(),
            tree: None,
            bases: BTreeMap::new(),
        }
    }

    fn scan(&self, number: usize) -> &Arc<Scan> {
        self.scans[number].as_ref().expect("its text was read before its objects are asked for")
    }

    fn head(&self, (number, index): Object) -> &Head {
        &self.scan(number).objects[index]
    }

    /// Takes a text's objects in, and judges those of its devices whose model is known.
    fn text(&mut self, number: usize) {
        let source = &self.objects.texts[number];
        if let Some((line, message)) = &source.error {
            self.issues.insert(Issue::of_text(source.name.clone(), *line, message.clone()));
        }
        let known = self
            .previous
            .scans
            .get(&source.name)
            .filter(|scan| Arc::ptr_eq(&scan.text, &source.text) && self.previous.origin == self.objects.origin);
        let scan = known.cloned().unwrap_or_else(|| {
            let (scan, tree) = Scan::read(source, self.objects.origin, mark(number), self.judge);
            self.tree = Some((number, tree));
            Arc::new(scan)
        });
        self.scans[number] = Some(scan.clone());
        self.catalog.scans.insert(source.name.clone(), scan.clone());
        self.issues.extend(scan.issues.iter().cloned());
        // Notes of a text that is no longer the file's would point to lines that are not there.
        if source.error.is_none() {
            self.issues.extend(scan.notes.iter().cloned());
        }
        for (index, head) in scan.objects.iter().enumerate() {
            self.name(number, index, head);
        }
        for (index, head) in scan.objects.iter().enumerate() {
            if head.kind == Kind::Device && self.devices.get(&head.id) == Some(&(number, index)) {
                self.device(number, index, false);
            }
        }
    }

    /// The first of a name keeps it.
    fn name(&mut self, number: usize, index: usize, head: &Head) {
        let (word, named) = match head.kind {
            Kind::Device => ("Device", &mut self.devices),
            Kind::Model => ("DeviceModel", &mut self.models),
        };
        let first = match named.entry(head.id.clone()) {
            Entry::Vacant(free) => {
                free.insert((number, index));
                self.issues.extend(head.issues.iter().cloned());
                return;
            }
            Entry::Occupied(first) => *first.get(),
        };
        let (name, line) = (&self.scan(first.0).name, self.head(first).line);
        let line = if line > 0 { format!(", line {line}") } else { String::new() };
        let message = format!("{word} {} already stands in {name}{line}; this one is ignored", head.id);
        self.issues.insert(Issue { message, ..head.at_name.clone() });
    }

    /// Judges a device, or puts it off until `all` texts have been read.
    fn device(&mut self, number: usize, index: usize, all: bool) {
        let scan = self.scan(number).clone();
        let head = &scan.objects[index];
        let id = &head.id;
        if !self.judge.serves(head.node.as_deref()) {
            if head.node.is_none() {
                let message = "spec.nodeName is required: no node serves the device".to_owned();
                self.issues.insert(Issue { path: String::new(), message, ..head.at_bus.clone() });
            }
            self.catalog.elsewhere.push(id.clone());
            return;
        }
        let model = head.model.as_ref().map(|name| DeviceId::new(&id.namespace, name));
        let base = model.as_ref().and_then(|model| self.models.get(model)).copied();
        let basis = match (model, base) {
            (None, _) => Basis::Alone,
            (Some(_), Some(base)) => Basis::Model(self.scan(base.0).clone(), base.1),
            (Some(_), None) if !all => return self.waiting.push((number, index)),
            (Some(model), None) => Basis::Missing(missing_model(&model, &self.models)),
        };
        let before = self.previous.judged.get(id).filter(|_| self.previous.origin == self.objects.origin);
        let judged = match before.filter(|before| before.holds(&scan, index, &basis)) {
            Some(same) => same.clone(),
            None => Arc::new(self.judged((number, index), base, &basis, before.map(|before| &**before))),
        };
        self.issues.extend(judged.issues.iter().cloned());
        self.catalog.devices.insert(id.clone(), judged.result.clone());
        self.catalog.judged.insert(id.clone(), judged);
    }

    fn judged(&mut self, own: Object, base: Option<Object>, basis: &Basis, before: Option<&Judged>) -> Judged {
        if let Some(base) = base.filter(|base| !self.bases.contains_key(base)) {
            let root = self.head(base).root;
            let model = self.tree(base.0).roots[root].clone();
            self.bases.insert(base, model);
        }
        let root = self.head(own).root;
        self.tree(own.0);
        let (_, tree) = self.tree.as_ref().expect("it was just parsed");
        let place =
            |(number, index): Object, root| Place { object: (self.scan(number), index), number: mark(number), root };
        let model = base.map(|base| place(base, &self.bases[&base]));
        self.judge.device(self.objects.origin, place(own, &tree.roots[root]), model, basis, before)
    }

    /// The documents of a text that has objects.
    fn tree(&mut self, number: usize) -> &Documents {
        if self.tree.as_ref().is_none_or(|(at_hand, _)| *at_hand != number) {
            self.tree = None;
            let source = &self.objects.texts[number];
            let parsed = heads::parse(&source.name, &source.text, self.objects.origin, mark(number));
            self.tree = Some((number, parsed.expect("a text that has objects could be parsed")));
        }
        &self.tree.as_ref().expect("it is at hand").1
    }

    /// Decides what is at work, and refuses the devices that cannot have their bus. A device whose new spec was refused
    /// is still on the bus of its last accepted one, and so has its say.
    fn settle(&mut self) {
        let before = &self.previous.at_work;
        let mut at_work = BTreeMap::new();
        for (id, judged) in &self.catalog.judged {
            let last = || before.get(id).filter(|last| last.uid == judged.uid);
            if let Some(device) = judged.result.as_ref().ok().or_else(last) {
                at_work.insert(id.clone(), device.clone());
            }
        }
        let holds = |d: &Device| before.get(&d.id).is_some_and(|old| old.bound.bus_key() == d.bound.bus_key());
        // Whoever loses goes on with its last accepted spec, which is on its bus, and may take that from another.
        loop {
            let claims: Vec<conflicts::Claim<'_>> = at_work
                .values()
                .map(|device| conflicts::Claim {
                    id: &device.id,
                    holds: holds(device),
                    created: self.catalog.judged[&device.id].head().created.as_deref(),
                    protocol: device.bound.protocol(),
                    key: device.bound.bus_key(),
                })
                .collect();
            let refused = conflicts::refused(&claims);
            let losers: Vec<(DeviceId, String)> = refused.into_iter().map(|(id, words)| (id.clone(), words)).collect();
            if losers.is_empty() {
                break;
            }
            for (id, message) in losers {
                let judged = &self.catalog.judged[&id];
                let issue = Issue { message, ..judged.head().at_bus.clone() };
                self.issues.insert(issue.clone());
                if let Some(result) = self.catalog.devices.get_mut(&id) {
                    let mut issues = result.as_ref().err().cloned().unwrap_or_default();
                    issues.push(issue);
                    *result = Err(issues);
                }
                let last = before.get(&id).filter(|last| last.uid == judged.uid);
                match (at_work.remove(&id), last) {
                    (Some(new), Some(last)) if !Arc::ptr_eq(&new, last) => drop(at_work.insert(id, last.clone())),
                    _ => {}
                }
            }
        }
        self.catalog.at_work = at_work;
    }

    fn finish(mut self) -> Catalog {
        let Objects { texts, error, moved, .. } = self.objects;
        let gone = moved.iter().filter(|id| !self.devices.contains_key(*id));
        self.catalog.elsewhere.extend(gone.cloned());
        if let Some(message) = error {
            self.issues.insert(Issue::of_text("".into(), 0, message.clone()));
        }
        self.catalog.issues = self.issues.into_iter().collect();
        self.catalog.issues.sort();
        self.catalog.models = self.models.len();
        self.catalog.incomplete = error.is_some() || texts.iter().any(|f| f.error.is_some() && f.text.is_empty());
        self.catalog
    }
}

/// The number of a text in its marks.
fn mark(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn missing_model(model: &DeviceId, models: &BTreeMap<DeviceId, Object>) -> String {
    let DeviceId { namespace, name } = model;
    let names: Vec<&str> = models.keys().filter(|m| m.namespace == *namespace).map(|m| &*m.name).collect();
    let hint = schema::did_you_mean(name, &names).unwrap_or_else(|| {
        if names.is_empty() { "; there is none".to_owned() } else { format!("; there are {}", names.join(", ")) }
    });
    format!("no DeviceModel {name} in namespace {namespace}{hint}")
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

#[cfg(test)]
#[path = "cluster_tests.rs"]
mod cluster_tests;
