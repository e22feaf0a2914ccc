//! Devices of the own node and the DeviceModels that they name, as a [`Source`]: what lists and watches tell goes
//! through the store, and a set is yielded when it has been quiet for a moment. What was kept from before is yielded at
//! once, before anything is asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use fieldgate_crds::GROUP;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::{
    client::Link,
    confirm::confirm,
    kept::{Kept, KeptObject},
    list::{Query, Scope},
    mirror::Mirror,
    object::{self, Found, plural},
    reflect::{Told, reflect},
    store::{Offered, Seen, Store},
    trouble::Troubles,
    trust::{Doubt, Own, Verdict},
};
use crate::{
    control::{
        document::Kind,
        source::{Coming, Objects, Origin, Source, SourceText},
    },
    settings::{Kubernetes, Select},
};

/// A set is yielded when nothing has changed for this long,
const QUIET: Duration = Duration::from_millis(50);
/// or when changes have gone on for this long,
const LONGEST: Duration = Duration::from_millis(300);
/// but a model that a new Device names is waited for up to this long.
const MODELS: Duration = Duration::from_secs(2);
/// There is no timer when there is nothing to wait for.
const FAR: Duration = Duration::from_secs(24 * 3600);

/// How far a scope is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Waiting,
    Failed,
    Listed,
}

/// A task that ends with its owner.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The objects of a cluster.
pub struct ClusterSource {
    link: Arc<Link>,
    node: String,
    select: Select,
    mirror: Arc<Mirror>,
    store: Store,
    scopes: BTreeMap<Scope, (Progress, Task)>,
    troubles: Troubles,
    tells: mpsc::Sender<Told>,
    told: mpsc::Receiver<Told>,
    doubts: mpsc::UnboundedSender<Doubt>,
    _confirm: Task,
    kept: Option<Kept>,
    dice: fastrand::Rng,
    /// Since when there is something to yield.
    pending: Option<Instant>,
    /// What was yielded: the texts and the trouble.
    yielded: Option<(Vec<SourceText>, Option<String>)>,
    /// What was kept from before is to be yielded at once.
    recalled: bool,
    /// There was something kept from before.
    kept_some: bool,
    /// The trouble that stands in the log.
    logged: Option<String>,
}

impl ClusterSource {
    /// Lists and watches from now on. What was kept is served until something newer is known.
    pub fn new(
        link: Arc<Link>,
        settings: &Kubernetes,
        node: &str,
        mirror: Arc<Mirror>,
        kept: Option<(Kept, Vec<KeptObject>)>,
    ) -> Self {
        let mut dice = fastrand::Rng::new();
        // A page of a list is large: one waits at most.
        let (tells, told) = mpsc::channel(1);
        let (doubts, asked) = mpsc::unbounded_channel();
        let own = Own { node: node.to_owned(), select: settings.select };
        let confirming = confirm(link.clone(), own.clone(), asked, dice.fork(), tells.clone());
        let mut source = Self {
            link,
            node: node.to_owned(),
            select: settings.select,
            mirror,
            store: Store::new(own),
            scopes: BTreeMap::new(),
            troubles: Troubles::default(),
            tells,
            told,
            doubts,
            _confirm: Task(tokio::spawn(confirming)),
            kept: None,
            dice,
            pending: None,
            yielded: None,
            recalled: false,
            kept_some: false,
            logged: None,
        };
        if let Some((kept, objects)) = kept {
            let served = |object: &KeptObject| {
                settings.namespaces.is_empty() || settings.namespaces.iter().any(|n| **n == *object.namespace)
            };
            for object in objects.into_iter().filter(served) {
                if let Ok(found) = object::read(object.kind, &object.text) {
                    source.store.recall(&found, object.text);
                }
            }
            source.recalled = source.store.objects().next().is_some();
            source.kept_some = source.recalled;
            source.kept = Some(kept);
        }
        if settings.namespaces.is_empty() {
            source.reflect(Scope { kind: Kind::Device, namespace: None });
        }
        for namespace in settings.namespaces.iter().collect::<BTreeSet<_>>() {
            source.reflect(Scope { kind: Kind::Device, namespace: Some(namespace.as_str().into()) });
        }
        source.follow_models();
        source
    }

    fn reflect(&mut self, scope: Scope) {
        let query = Query::new(&scope, &self.node, self.select);
        let (link, dice, tells) = (self.link.clone(), self.dice.fork(), self.tells.clone());
        let task = Task(tokio::spawn(reflect(link, scope.clone(), query, dice, tells)));
        self.scopes.insert(scope, (Progress::Waiting, task));
    }

    /// Models are listed and watched where a Device names one, and nowhere else.
    fn follow_models(&mut self) {
        let wanted = self.store.namespaces_of_models();
        let followed: Vec<Scope> = self.scopes.keys().filter(|scope| scope.kind == Kind::Model).cloned().collect();
        for scope in &followed {
            let namespace = scope.namespace.as_deref().unwrap_or_default();
            if !wanted.contains(namespace) {
                self.scopes.remove(scope);
                self.troubles.well(scope);
                self.store.forget_models(namespace);
            }
        }
        for namespace in wanted {
            let scope = Scope { kind: Kind::Model, namespace: Some(namespace) };
            if !self.scopes.contains_key(&scope) {
                self.reflect(scope);
            }
        }
    }

    fn hear(&mut self, told: Told) {
        let changed = match told {
            Told::Seen(seen, objects) => {
                let mut changed = false;
                for found in objects {
                    changed |= self.offer(&found, seen);
                }
                changed
            }
            Told::Listed(scope, keys) => {
                for doubt in self.store.missing(&keys, scope.kind, scope.namespace.as_deref()) {
                    self.ask(doubt);
                }
                self.progress(&scope, Progress::Listed)
            }
            Told::Vanished(key) => {
                if let Some(doubt) = self.store.doubt(&key) {
                    self.ask(doubt);
                }
                false
            }
            Told::Trouble(scope, failure) => {
                if !self.scopes.contains_key(&scope) {
                    return;
                }
                self.troubles.failed(&scope, &failure, Instant::now());
                self.tell_up();
                self.progress(&scope, Progress::Failed)
            }
            Told::Watched(scope) => {
                self.troubles.well(&scope);
                self.tell_up();
                false
            }
            Told::Judged(doubt, verdict) => {
                let left = self.store.judged(&doubt, &verdict);
                if left && doubt.key.kind == Kind::Device {
                    self.mirror.forget(&doubt.key.id);
                }
                if left && matches!(verdict, Verdict::Unlabelled(_)) {
                    let object = doubt.key.name();
                    tracing::warn!(%object, "It has no longer the label {GROUP}/node={}, by which Devices are selected: not served any more.", self.node);
                }
                match verdict {
                    Verdict::Here(found) => self.settle(&doubt, &found) || left,
                    Verdict::Deleted | Verdict::Moved(_) | Verdict::Unlabelled(_) | Verdict::Unknown(_) => left,
                }
            }
        };
        if changed {
            self.follow_models();
            self.pending.get_or_insert_with(Instant::now);
        }
    }

    fn offer(&mut self, found: &Found, seen: Seen) -> bool {
        let offered = self.store.offer(found, seen);
        self.offered(found, offered)
    }

    fn settle(&mut self, doubt: &Doubt, found: &Found) -> bool {
        let offered = self.store.settle(doubt, found);
        self.offered(found, offered)
    }

    /// True if there is something to yield.
    fn offered(&mut self, found: &Found, offered: Offered) -> bool {
        let device = found.key.kind == Kind::Device;
        match offered {
            Offered::New | Offered::Same if device => self.mirror.put(found),
            Offered::Back => {
                let (object, generation) = (found.key.name(), found.generation);
                tracing::warn!(%object, generation, "The API server holds an older one than before, as after a restore; it is served.");
                if device {
                    self.mirror.set_back(found);
                }
            }
            _ => {}
        }
        match offered {
            Offered::New | Offered::Back => true,
            Offered::Same | Offered::Ignored => false,
            Offered::Doubtful(doubt) => {
                self.ask(doubt);
                false
            }
        }
    }

    fn ask(&self, doubt: Doubt) {
        // The other end lives as long as this.
        let _ = self.doubts.send(doubt);
    }

    /// True if that is news.
    fn progress(&mut self, scope: &Scope, to: Progress) -> bool {
        match self.scopes.get_mut(scope) {
            Some((progress, _)) if *progress != to && *progress != Progress::Listed => {
                *progress = to;
                true
            }
            _ => false,
        }
    }

    fn tell_up(&self) {
        let devices = self.scopes.keys().filter(|scope| scope.kind == Kind::Device);
        self.link.counts.set_up(devices.into_iter().all(|scope| !self.troubles.is_ill(scope)));
    }

    /// Whether everything that was asked for the first time has been answered, one way or the other.
    fn is_answered(&self) -> bool {
        self.scopes.values().all(|(progress, _)| *progress != Progress::Waiting)
    }

    /// Whether there is nothing to wait for. Models that could not be listed are asked for again in a moment: until then
    /// nobody should be told that they are missing.
    fn is_settled(&self) -> bool {
        let failed = |(scope, (progress, _)): (&Scope, &(Progress, Task))| {
            scope.kind == Kind::Model && *progress == Progress::Failed
        };
        self.is_answered() && !self.scopes.iter().any(failed)
    }

    /// What is not known of the first set, if nothing was kept from before: those who are not in it are not gone.
    fn gap(&self) -> Option<String> {
        if self.kept_some {
            return None;
        }
        let missing = |(scope, (progress, _)): (&Scope, &(Progress, Task))| {
            let place = scope.namespace.as_deref().map_or_else(String::new, |name| format!(" of namespace {name}"));
            (*progress != Progress::Listed)
                .then(|| format!("the {}{place} could not be listed yet", plural(scope.kind)))
        };
        self.scopes.iter().find_map(missing)
    }

    /// Whether there is anything to yield: what was kept, or a list of Devices.
    fn is_known(&self) -> bool {
        let listed = |(scope, (progress, _)): (&Scope, &(Progress, Task))| {
            scope.kind == Kind::Device && *progress == Progress::Listed
        };
        self.yielded.is_some() || (self.is_answered() && self.scopes.iter().any(listed))
    }

    async fn next_set(&mut self) -> Objects {
        if std::mem::take(&mut self.recalled) {
            return self.collect().unwrap_or_default();
        }
        loop {
            let now = Instant::now();
            self.note_trouble(now);
            let until = match self.pending {
                // Each thing that is told begins the quiet anew.
                Some(since) if self.is_known() => match self.latest(since) {
                    latest if self.is_settled() => latest.min(now + QUIET),
                    latest => latest,
                },
                _ => self.troubles.next(now).unwrap_or(now + FAR),
            };
            if until > now {
                match timeout_at(until, self.told.recv()).await {
                    Ok(Some(told)) => {
                        self.hear(told);
                        continue;
                    }
                    // The sender is ours as well: it never closes.
                    Ok(None) => std::future::pending().await,
                    Err(_) => {}
                }
            }
            if self.is_known()
                && self.pending.take().is_some()
                && let Some(objects) = self.collect()
            {
                return objects;
            }
        }
    }

    /// When what is pending is yielded at the latest.
    fn latest(&self, since: Instant) -> Instant {
        since + if self.is_settled() { LONGEST } else { MODELS }
    }

    /// A trouble that begins or ends is logged, and yielded if there was a set before.
    fn note_trouble(&mut self, now: Instant) {
        let told = self.troubles.told(now);
        if told == self.logged {
            return;
        }
        match &told {
            // Whoever takes the sets tells what is wrong with them.
            Some(words) if self.yielded.is_none() => tracing::warn!("No devices yet: {words}."),
            Some(_) => {}
            None => tracing::info!("Devices come from the Kubernetes API server again."),
        }
        self.logged = told;
        if self.yielded.is_some() {
            self.pending.get_or_insert(now);
        }
    }

    /// The set as it is now, unless it is as it was.
    fn collect(&mut self) -> Option<Objects> {
        let now = (self.store.texts(), self.logged.clone().or_else(|| self.gap()));
        if self.yielded.as_ref().is_some_and(|before| is_same(before, &now)) {
            return None;
        }
        let moved = self.store.take_moved();
        if let Some(kept) = &mut self.kept {
            let object = |(key, text): (&object::Key, &Arc<str>)| KeptObject {
                kind: key.kind,
                namespace: key.id.namespace.clone(),
                name: key.id.name.clone(),
                text: text.clone(),
            };
            kept.set(self.store.objects().map(object).collect());
        }
        let (texts, error) = now.clone();
        self.yielded = Some(now);
        Some(Objects { origin: Origin::Cluster, texts, error, moved })
    }
}

fn is_same(a: &(Vec<SourceText>, Option<String>), b: &(Vec<SourceText>, Option<String>)) -> bool {
    let same = |(a, b): (&SourceText, &SourceText)| Arc::ptr_eq(&a.text, &b.text) && a.name == b.name;
    a.1 == b.1 && a.0.len() == b.0.len() && a.0.iter().zip(&b.0).all(same)
}

impl Source for ClusterSource {
    fn next(&mut self) -> Coming<'_> {
        Box::pin(self.next_set())
    }
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
