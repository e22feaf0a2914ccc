//! The objects that are served, and what each answer changes about them. Pure. It takes nothing away, and takes nothing
//! that is older than what is known, unless the verdict on a doubt says so.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use super::{
    mirror::is_older,
    object::{Found, Key},
    trust::{Doubt, Own, Verdict},
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
    /// The newest resourceVersion seen; empty if it was only kept.
    version: String,
    model: Option<String>,
    name: Arc<str>,
    text: Arc<str>,
}

/// Where an object was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// In a list, which holds the newest of everything if the API server made it.
    Listed,
    /// In a watch, whose events may come after a newer answer to something else.
    Watched,
}

/// What came of an object that was offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offered {
    /// It is served now, with another text than before.
    New,
    /// It is served already; its status may be another.
    Same,
    /// It is served now, though something newer was known.
    Back,
    /// It is not ours, or older than what was learned since it was asked for.
    Ignored,
    /// One of ours is said to be another node's, or is older than what is known.
    Doubtful(Doubt),
}

impl Held {
    /// Whether another object of that name is older than this one.
    fn is_newer(&self, found: &Found, seen: Seen) -> bool {
        if self.uid != found.uid {
            return found.created < self.created;
        }
        found.generation < self.generation || (seen == Seen::Listed && is_older(&found.version, &self.version))
    }

    fn doubt(&self, key: &Key) -> Doubt {
        Doubt { key: key.clone(), uid: self.uid.clone(), version: self.version.clone() }
    }
}

/// The objects that are served.
#[derive(Debug)]
pub struct Store {
    own: Own,
    held: BTreeMap<Key, Held>,
    /// Who left, by uid, and up to which generation.
    gone: VecDeque<(String, i64)>,
    moved: BTreeSet<DeviceId>,
}

impl Store {
    /// Nothing is served yet. Devices of other nodes never are.
    pub fn new(own: Own) -> Self {
        Self { own, held: BTreeMap::new(), gone: VecDeque::new(), moved: BTreeSet::new() }
    }

    /// An object was seen.
    pub fn offer(&mut self, found: &Found, seen: Seen) -> Offered {
        let held = self.held.get(&found.key);
        let ours = self.own.has(found);
        if held.is_some_and(|held| !ours || held.is_newer(found, seen)) {
            return self.doubt(&found.key).map_or(Offered::Ignored, Offered::Doubtful);
        }
        if !ours {
            return Offered::Ignored;
        }
        if self.is_gone(found) {
            let Found { key, uid, version, .. } = found;
            return Offered::Doubtful(Doubt { key: key.clone(), uid: uid.clone(), version: version.clone() });
        }
        self.take(found, None)
    }

    /// The API server itself said, of an object in doubt, that this is what it holds.
    pub fn settle(&mut self, doubt: &Doubt, found: &Found) -> Offered {
        if !self.own.has(found) {
            return Offered::Ignored;
        }
        let held = self.held.get(&found.key);
        let back = held.is_some_and(|held| held.is_newer(found, Seen::Listed));
        if back && held.is_some_and(|held| held.uid != doubt.uid || held.version != doubt.version) {
            // Something newer was heard since the question was asked.
            return Offered::Ignored;
        }
        if held.is_some() && !back {
            return self.take(found, None);
        }
        self.gone.retain(|(uid, _)| *uid != found.uid);
        let before = self.held.remove(&found.key).filter(|before| *before.text == *found.text);
        let offered = self.take(found, before.map(|before| before.text));
        if back { Offered::Back } else { offered }
    }

    /// An object that was kept is served, as long as nothing newer is known. (Labels are not kept.)
    pub fn recall(&mut self, found: &Found, text: Arc<str>) {
        if self.own.is_here(found) {
            self.take(found, Some(text));
        }
    }

    fn is_gone(&self, found: &Found) -> bool {
        self.gone.iter().any(|(uid, last)| *uid == found.uid && found.generation <= *last)
    }

    /// Takes what is not older than what is known.
    fn take(&mut self, found: &Found, text: Option<Arc<str>>) -> Offered {
        let text = || text.unwrap_or_else(|| found.text.as_str().into());
        if let Some(held) = self.held.get_mut(&found.key)
            && held.uid == found.uid
        {
            if !is_older(&found.version, &held.version) {
                held.version.clone_from(&found.version);
            }
            if *held.text == *found.text {
                return Offered::Same;
            }
            (held.generation, held.text) = (found.generation, text());
            held.model.clone_from(&found.model);
            return Offered::New;
        }
        // Of two that had the same name one after the other, the one that was made first is gone.
        if let Some(before) = self.held.get(&found.key).map(|held| held.uid.clone()) {
            self.forget(before, i64::MAX);
        }
        self.moved.remove(&found.key.id);
        let held = Held {
            uid: found.uid.clone(),
            created: found.created.clone(),
            generation: found.generation,
            version: found.version.clone(),
            model: found.model.clone(),
            name: found.key.name(),
            text: text(),
        };
        self.held.insert(found.key.clone(), held);
        Offered::New
    }

    /// The doubts about what a whole list does not hold, though it is served and would belong there.
    pub fn missing(&self, listed: &BTreeSet<Key>, kind: Kind, namespace: Option<&str>) -> Vec<Doubt> {
        self.held
            .iter()
            .filter(|(key, _)| key.kind == kind && namespace.is_none_or(|namespace| *key.id.namespace == *namespace))
            .filter(|(key, _)| !listed.contains(key))
            .map(|(key, held)| held.doubt(key))
            .collect()
    }

    /// The doubt about one that is said to be gone, if it is served.
    pub fn doubt(&self, key: &Key) -> Option<Doubt> {
        self.held.get(key).map(|held| held.doubt(key))
    }

    /// Takes away what a verdict says. (One that is [`Verdict::Here`] is to be settled.) True if it was served.
    pub fn judged(&mut self, doubt: &Doubt, verdict: &Verdict) -> bool {
        let Some(held) = self.held.get(&doubt.key).filter(|held| held.uid == doubt.uid) else { return false };
        let last = match verdict {
            Verdict::Deleted => i64::MAX,
            Verdict::Moved(at) | Verdict::Unlabelled(at) if *at >= held.generation => *at,
            Verdict::Moved(_) | Verdict::Unlabelled(_) | Verdict::Here(_) | Verdict::Unknown(_) => return false,
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
    use crate::settings::Select;

    fn found(name: &str, node: &str, uid: &str, generation: i64) -> Found {
        object::read(Kind::Device, &device(name, node, uid, generation).to_string()).unwrap()
    }

    fn empty() -> Store {
        Store::new(Own { node: "gw-1".into(), select: Select::Field })
    }

    fn names(store: &Store) -> Vec<String> {
        store.texts().iter().map(|text| text.name.to_string()).collect()
    }

    #[test]
    fn what_did_not_change_keeps_its_very_text() {
        let mut store = empty();
        assert_eq!(store.offer(&found("a", "gw-1", "u1", 1), Seen::Listed), Offered::New);
        let before = store.texts();
        let mut again = found("a", "gw-1", "u1", 1);
        again.status.protocol = Some("other".into());
        assert_eq!(store.offer(&again, Seen::Watched), Offered::Same);
        assert!(Arc::ptr_eq(&before[0].text, &store.texts()[0].text));
        assert_eq!(store.offer(&found("a", "gw-1", "u1", 2), Seen::Watched), Offered::New);
        assert_eq!(store.offer(&found("a", "gw-1", "u2", 1), Seen::Listed), Offered::New, "another device");
    }

    #[test]
    fn a_foreign_device_is_never_served() {
        let mut store = empty();
        assert_eq!(store.offer(&found("a", "gw-2", "u1", 1), Seen::Watched), Offered::Ignored);
        store.recall(&found("b", "gw-2", "u1", 1), "".into());
        assert_eq!(names(&store), [""; 0]);
    }

    #[test]
    fn who_left_leaves_once_and_is_not_brought_back_by_an_old_list() {
        let mut store = empty();
        for name in ["a", "b"] {
            store.offer(&found(name, "gw-1", name, 1), Seen::Listed);
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
            let offered = store.offer(&found(name, "gw-1", name, 1), Seen::Listed);
            assert!(matches!(offered, Offered::Doubtful(_)), "{offered:?}");
        }
        assert_eq!(store.offer(&found("a", "gw-1", "a", 3), Seen::Listed), Offered::New, "it came back");
        assert_eq!(store.offer(&found("b", "gw-1", "b2", 1), Seen::Listed), Offered::New, "made again");
        assert!(!store.judged(&doubts[1], &Verdict::Deleted), "the doubt was about the one before");
    }

    #[test]
    fn of_two_that_had_one_name_the_younger_stays() {
        let made = |uid: &str, created: &str| Found { created: created.into(), ..found("a", "gw-1", uid, 1) };
        let (old, new) = (made("old", "2026-01-01T00:00:00Z"), made("new", "2026-01-01T00:00:05Z"));
        let mut store = empty();
        assert_eq!(store.offer(&old, Seen::Listed), Offered::New);
        assert_eq!(store.offer(&new, Seen::Listed), Offered::New);
        assert!(matches!(store.offer(&old, Seen::Listed), Offered::Doubtful(_)), "an old list");
        let mut store = empty();
        store.offer(&new, Seen::Listed);
        let offered = store.offer(&old, Seen::Listed);
        assert!(matches!(offered, Offered::Doubtful(_)), "an old list, of one that was never seen: {offered:?}");
    }

    /// (what, what is known, what is seen and where, whether it is doubted)
    #[test]
    fn what_is_older_is_taken_only_on_the_api_servers_word() {
        let of = |uid: &str, generation: i64, version: &str, created: &str| Found {
            version: version.into(),
            created: created.into(),
            ..found("a", "gw-1", uid, generation)
        };
        let known = || of("u2", 3, "30", "2026-01-01T00:00:05Z");
        let table = [
            ("an older generation in a list", of("u2", 2, "20", "2026-01-01T00:00:05Z"), Seen::Listed, true),
            ("an older generation in a watch", of("u2", 2, "20", "2026-01-01T00:00:05Z"), Seen::Watched, true),
            ("written after it went back", of("u2", 2, "40", "2026-01-01T00:00:05Z"), Seen::Watched, true),
            ("an older status in a list", of("u2", 3, "20", "2026-01-01T00:00:05Z"), Seen::Listed, true),
            ("a watch that comes after an answer", of("u2", 3, "20", "2026-01-01T00:00:05Z"), Seen::Watched, false),
            ("the one before it", of("u1", 9, "10", "2026-01-01T00:00:00Z"), Seen::Listed, true),
        ];
        for (what, old, seen, doubted) in table {
            let mut store = empty();
            store.offer(&known(), Seen::Listed);
            let before = store.texts();
            let offered = store.offer(&old, seen);
            let Offered::Doubtful(doubt) = offered else {
                assert!(!doubted && offered == Offered::Same, "{what}: {offered:?}");
                continue;
            };
            assert!(doubted, "{what}");
            assert_eq!(store.texts(), before, "{what}: it does not win even briefly");
            assert_eq!(store.settle(&doubt, &known()), Offered::Same, "{what}: a cache lied");
            assert_eq!(store.settle(&doubt, &old), Offered::Back, "{what}");
            assert!(store.texts()[0].text.contains(&format!("\"generation\":{}", old.generation)), "{what}");
            assert_eq!(store.offer(&old, Seen::Listed), Offered::Same, "{what}");
            // It is edited again, while an old question is answered.
            let newer = of(&old.uid, old.generation + 1, "50", &old.created);
            assert_eq!(store.offer(&newer, Seen::Watched), Offered::New, "{what}");
            assert_eq!(store.settle(&doubt, &old), Offered::Ignored, "{what}: something newer was heard");
        }
    }

    #[test]
    fn one_that_was_deleted_comes_back_with_a_restored_server() {
        let mut store = empty();
        let device = found("a", "gw-1", "u1", 2);
        store.offer(&device, Seen::Listed);
        let doubt = store.doubt(&device.key).unwrap();
        store.judged(&doubt, &Verdict::Deleted);
        let Offered::Doubtful(doubt) = store.offer(&device, Seen::Listed) else { panic!("it is not doubted") };
        assert_eq!(names(&store), [""; 0]);
        assert_eq!(store.settle(&doubt, &device), Offered::New);
        assert_eq!(store.offer(&device, Seen::Listed), Offered::Same);
    }
}
