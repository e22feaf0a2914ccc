//! The objects that are served, and what each answer changes about them. Pure. It takes nothing away unless the verdict
//! on a doubt says so, and what is older than what is known changes nothing.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use super::{
    object::{Found, Key},
    trust::{Doubt, Verdict},
};
use crate::{
    control::{document::Kind, source::SourceText},
    model::DeviceId,
};

/// How many of those that left are remembered, so that an old list does not bring them back.
const REMEMBERED: usize = 4096;

/// An object that is served.
#[derive(Debug)]
struct Held {
    uid: String,
    created: String,
    generation: i64,
    model: Option<String>,
    name: Arc<str>,
    text: Arc<str>,
}

/// Where an object was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// In a list, or as an answer, or as added: it may be old.
    Somewhere,
    /// A watch told that it was changed just now.
    Changed,
}

/// What came of an object that was offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offered {
    /// It is served now, with another text than before.
    New,
    /// It is served already; its status may be another.
    Same,
    /// It is not ours, or older than what is known.
    Ignored,
    /// One of ours is said to be another node's.
    Doubtful(Doubt),
}

/// The objects that are served.
#[derive(Debug)]
pub struct Store {
    node: String,
    held: BTreeMap<Key, Held>,
    /// Who left, by uid, and up to which generation.
    gone: VecDeque<(String, i64)>,
    moved: BTreeSet<DeviceId>,
}

impl Store {
    /// Nothing is served yet. Devices of other nodes never are.
    pub fn new(node: &str) -> Self {
        Self { node: node.to_owned(), held: BTreeMap::new(), gone: VecDeque::new(), moved: BTreeSet::new() }
    }

    /// An object was seen.
    pub fn offer(&mut self, found: &Found, seen: Seen) -> Offered {
        let held = self.held.get_mut(&found.key);
        if found.key.kind == Kind::Device && found.node.as_deref() != Some(&*self.node) {
            let doubt = |held: &mut Held| Doubt { key: found.key.clone(), uid: held.uid.clone() };
            return held.map_or(Offered::Ignored, |held| Offered::Doubtful(doubt(held)));
        }
        if self.gone.iter().any(|(uid, last)| *uid == found.uid && found.generation <= *last) {
            return Offered::Ignored;
        }
        self.take(found, seen, None)
    }

    /// An object that was kept is served, as long as nothing newer is known.
    pub fn recall(&mut self, found: &Found, text: Arc<str>) {
        if found.key.kind == Kind::Model || found.node.as_deref() == Some(&*self.node) {
            self.take(found, Seen::Somewhere, Some(text));
        }
    }

    fn take(&mut self, found: &Found, seen: Seen, text: Option<Arc<str>>) -> Offered {
        let text = || text.unwrap_or_else(|| found.text.as_str().into());
        if let Some(held) = self.held.get_mut(&found.key)
            && held.uid == found.uid
        {
            if found.generation < held.generation && seen != Seen::Changed {
                return Offered::Ignored;
            }
            if *held.text == *found.text {
                return Offered::Same;
            }
            (held.generation, held.text) = (found.generation, text());
            held.model.clone_from(&found.model);
            return Offered::New;
        }
        // Of two that had the same name one after the other, the one that was made first is gone, whoever shows it.
        if let Some(held) = self.held.get(&found.key) {
            if found.created < held.created {
                return Offered::Ignored;
            }
            let before = held.uid.clone();
            self.forget(before, i64::MAX);
        }
        let (uid, created) = (found.uid.clone(), found.created.clone());
        let (generation, model, name) = (found.generation, found.model.clone(), found.key.name());
        self.moved.remove(&found.key.id);
        self.held.insert(found.key.clone(), Held { uid, created, generation, model, name, text: text() });
        Offered::New
    }

    /// The doubts about what a whole list does not hold, though it is served and would belong there.
    pub fn missing(&self, listed: &BTreeSet<Key>, kind: Kind, namespace: Option<&str>) -> Vec<Doubt> {
        self.held
            .iter()
            .filter(|(key, _)| key.kind == kind && namespace.is_none_or(|namespace| *key.id.namespace == *namespace))
            .filter(|(key, _)| !listed.contains(key))
            .map(|(key, held)| Doubt { key: key.clone(), uid: held.uid.clone() })
            .collect()
    }

    /// The doubt about one that is said to be gone, if it is served.
    pub fn doubt(&self, key: &Key) -> Option<Doubt> {
        self.held.get(key).map(|held| Doubt { key: key.clone(), uid: held.uid.clone() })
    }

    /// Takes away what a verdict says. (One that is [`Verdict::Here`] is to be offered.) True if it was served.
    pub fn judged(&mut self, doubt: &Doubt, verdict: &Verdict) -> bool {
        let Some(held) = self.held.get(&doubt.key).filter(|held| held.uid == doubt.uid) else { return false };
        let last = match verdict {
            Verdict::Deleted => i64::MAX,
            Verdict::Moved(generation) if *generation >= held.generation => *generation,
            Verdict::Moved(_) | Verdict::Here(_) | Verdict::Unknown(_) => return false,
        };
        if *verdict != Verdict::Deleted {
            self.moved.insert(doubt.key.id.clone());
        }
        self.held.remove(&doubt.key);
        self.forget(doubt.uid.clone(), last);
        true
    }

    /// From now on this identity is not taken back, up to this generation.
    fn forget(&mut self, uid: String, last: i64) {
        self.gone.push_back((uid, last));
        if self.gone.len() > REMEMBERED {
            self.gone.pop_front();
        }
    }

    /// The namespaces in which a Device names a model.
    pub fn namespaces_of_models(&self) -> BTreeSet<Arc<str>> {
        let devices = self.held.iter().filter(|(key, held)| key.kind == Kind::Device && held.model.is_some());
        devices.map(|(key, _)| key.id.namespace.clone()).collect()
    }

    /// Models of a namespace where nobody names one any more are not served.
    pub fn forget_models(&mut self, namespace: &str) {
        self.held.retain(|key, _| key.kind != Kind::Model || *key.id.namespace != *namespace);
    }

    /// Every text, in the order of the names.
    pub fn texts(&self) -> Vec<SourceText> {
        let text = |held: &Held| SourceText { name: held.name.clone(), text: held.text.clone(), error: None };
        let mut texts: Vec<_> = self.held.values().map(text).collect();
        texts.sort_by(|a, b| a.name.cmp(&b.name));
        texts
    }

    /// Every object and its text.
    pub fn objects(&self) -> impl Iterator<Item = (&Key, &Arc<str>)> {
        self.held.iter().map(|(key, held)| (key, &held.text))
    }

    /// Who moved away since the last call.
    pub fn take_moved(&mut self) -> Vec<DeviceId> {
        std::mem::take(&mut self.moved).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::object::{self, tests::device},
        *,
    };

    fn found(name: &str, node: &str, uid: &str, generation: i64) -> Found {
        object::read(Kind::Device, &device(name, node, uid, generation).to_string()).unwrap()
    }

    fn names(store: &Store) -> Vec<String> {
        store.texts().iter().map(|text| text.name.to_string()).collect()
    }

    #[test]
    fn what_did_not_change_keeps_its_very_text() {
        let mut store = Store::new("gw-1");
        assert_eq!(store.offer(&found("a", "gw-1", "u1", 1), Seen::Somewhere), Offered::New);
        let before = store.texts();
        let mut again = found("a", "gw-1", "u1", 1);
        again.status.protocol = Some("other".into());
        assert_eq!(store.offer(&again, Seen::Changed), Offered::Same);
        assert!(Arc::ptr_eq(&before[0].text, &store.texts()[0].text));
        assert_eq!(store.offer(&found("a", "gw-1", "u1", 2), Seen::Changed), Offered::New);
        assert_eq!(store.offer(&found("a", "gw-1", "u1", 1), Seen::Somewhere), Offered::Ignored, "it is old");
        assert_eq!(
            store.offer(&found("a", "gw-1", "u1", 1), Seen::Changed),
            Offered::New,
            "the API server was restored"
        );
        assert_eq!(store.offer(&found("a", "gw-1", "u2", 1), Seen::Somewhere), Offered::New, "another device");
    }

    #[test]
    fn a_foreign_device_is_never_served() {
        let mut store = Store::new("gw-1");
        assert_eq!(store.offer(&found("a", "gw-2", "u1", 1), Seen::Changed), Offered::Ignored);
        store.recall(&found("b", "gw-2", "u1", 1), "".into());
        assert_eq!(names(&store), [""; 0]);
    }

    #[test]
    fn who_left_leaves_once_and_is_not_brought_back_by_an_old_list() {
        let mut store = Store::new("gw-1");
        for name in ["a", "b"] {
            store.offer(&found(name, "gw-1", name, 1), Seen::Somewhere);
        }
        let doubts = store.missing(&BTreeSet::new(), Kind::Device, Some("plant"));
        assert_eq!(doubts.len(), 2);
        assert_eq!(store.missing(&BTreeSet::new(), Kind::Device, Some("other")), []);
        assert_eq!(names(&store), ["Device plant/a", "Device plant/b"], "in doubt is not gone");
        assert!(!store.judged(&doubts[0], &Verdict::Moved(0)), "older than what is known");
        assert!(store.judged(&doubts[0], &Verdict::Moved(2)));
        assert!(store.judged(&doubts[1], &Verdict::Deleted));
        assert_eq!(store.take_moved(), [DeviceId::new("plant", "a")]);
        assert_eq!(store.take_moved(), []);
        for name in ["a", "b"] {
            assert_eq!(store.offer(&found(name, "gw-1", name, 1), Seen::Somewhere), Offered::Ignored);
        }
        assert_eq!(store.offer(&found("a", "gw-1", "a", 3), Seen::Somewhere), Offered::New, "it came back");
        assert_eq!(store.offer(&found("b", "gw-1", "b2", 1), Seen::Somewhere), Offered::New, "made again");
        assert!(!store.judged(&doubts[1], &Verdict::Deleted), "the doubt was about the one before");
    }

    #[test]
    fn of_two_that_had_one_name_the_younger_stays() {
        let made = |uid: &str, created: &str| Found { created: created.into(), ..found("a", "gw-1", uid, 1) };
        let (old, new) = (made("old", "2026-01-01T00:00:00Z"), made("new", "2026-01-01T00:00:05Z"));
        let mut store = Store::new("gw-1");
        assert_eq!(store.offer(&old, Seen::Somewhere), Offered::New);
        assert_eq!(store.offer(&new, Seen::Somewhere), Offered::New);
        assert_eq!(store.offer(&old, Seen::Somewhere), Offered::Ignored, "an old list");
        let mut store = Store::new("gw-1");
        store.offer(&new, Seen::Somewhere);
        assert_eq!(store.offer(&old, Seen::Somewhere), Offered::Ignored, "an old list, of one that was never seen");
    }
}
