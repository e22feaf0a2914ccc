//! What is told of an API server that is away or refuses, in words that stay the same while the trouble does. Pure.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use super::{
    failure::{Failure, Kind as Why},
    list::Scope,
    object::plural,
};
use crate::control::document::Kind;

/// A trouble that is over sooner than this is not worth a word.
const PATIENCE: Duration = Duration::from_secs(10);

/// The troubles of all scopes.
#[derive(Debug, Default)]
pub struct Troubles(BTreeMap<Scope, Trouble>);

#[derive(Debug)]
struct Trouble {
    /// What it is about: the kind of failure, and whether the resource is missing.
    about: (Why, bool),
    words: String,
    since: Instant,
}

impl Troubles {
    /// A scope failed. Another reason of the same kind changes no word.
    pub fn failed(&mut self, scope: &Scope, failure: &Failure, now: Instant) {
        let about = (failure.kind, is_missing(failure));
        let since = match self.0.get(scope) {
            Some(trouble) if trouble.about == about => return,
            Some(trouble) => trouble.since,
            None => now,
        };
        let words = words(scope, failure);
        self.0.insert(scope.clone(), Trouble { about, words, since });
    }

    /// A scope is well, or no longer of interest.
    pub fn well(&mut self, scope: &Scope) {
        self.0.remove(scope);
    }

    /// Whether a scope is in trouble, told or not.
    pub fn is_ill(&self, scope: &Scope) -> bool {
        self.0.contains_key(scope)
    }

    /// What is to be told now: of Devices first.
    pub fn told(&self, now: Instant) -> Option<String> {
        self.0.values().find(|trouble| now >= trouble.since + PATIENCE).map(|trouble| trouble.words.clone())
    }

    /// When there will be more to tell.
    pub fn next(&self, now: Instant) -> Option<Instant> {
        self.0.values().map(|trouble| trouble.since + PATIENCE).filter(|at| *at > now).min()
    }
}

fn words(scope: &Scope, failure: &Failure) -> String {
    let plural = plural(scope.kind);
    let place = scope.namespace.as_ref().map_or_else(String::new, |namespace| format!(" in namespace {namespace}"));
    match failure.kind {
        Why::Forbidden => format!(
            "the Kubernetes API server does not let this bridge read {plural}{place}; it needs get, list and watch on \
             {plural}.fieldgate.dev (it {failure})"
        ),
        Why::Unauthorized => format!("the Kubernetes API server does not accept this bridge's token (it {failure})"),
        _ if is_missing(failure) => format!(
            "the Kubernetes API server knows no {plural}.fieldgate.dev; install the CRDs: kubectl apply -f crds/"
        ),
        _ => {
            let what = if scope.kind == Kind::Device { "Devices" } else { "DeviceModels" };
            format!("the Kubernetes API server is away; what is known of {what}{place} is served on ({failure})")
        }
    }
}

/// Whether a list failed since nobody knows the resource. (The API server answers with plain text then.)
fn is_missing(failure: &Failure) -> bool {
    failure.kind == Why::NotFound || failure.message.ends_with("404 page not found")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn words_stay_while_the_trouble_does_and_come_late() {
        let scope = Scope { kind: Kind::Device, namespace: None };
        let (mut troubles, start) = (Troubles::default(), Instant::now());
        troubles.failed(&scope, &Failure::away("connection refused"), start);
        assert_eq!(troubles.told(start), None);
        assert_eq!(troubles.next(start), Some(start + PATIENCE));
        troubles.failed(&scope, &Failure::away("no answer within 10 s"), start + PATIENCE);
        let told = troubles.told(start + PATIENCE).unwrap();
        assert!(told.contains("connection refused"), "{told}");
        assert_eq!(troubles.next(start + PATIENCE), None);
        troubles.failed(&scope, &Failure::of_answer(503, None, b"http2: client connection lost"), start + 2 * PATIENCE);
        assert_eq!(troubles.told(start + 2 * PATIENCE), Some(told), "another reason of the same kind");
        troubles.failed(&scope, &Failure::of_answer(401, None, b""), start + 2 * PATIENCE);
        assert!(troubles.told(start + 2 * PATIENCE).unwrap().contains("token"));
        troubles.well(&scope);
        assert_eq!(troubles.told(start + 3 * PATIENCE), None);
    }

    #[test]
    fn words_say_what_to_do() {
        let scope = Scope { kind: Kind::Model, namespace: Some("plant".into()) };
        let status = |reason: &str, code| {
            let body = format!(r#"{{"kind":"Status","reason":"{reason}","message":"m","code":{code}}}"#);
            Failure::of_answer(code, None, body.as_bytes())
        };
        for (failure, says) in [
            (status("Forbidden", 403), "devicemodels in namespace plant; it needs get, list and watch"),
            (status("NotFound", 404), "install the CRDs"),
            (Failure::of_answer(404, None, b"404 page not found\n"), "install the CRDs"),
            (Failure::of_answer(404, None, b"dial tcp: connection refused"), "is away"),
        ] {
            let words = words(&scope, &failure);
            assert!(words.contains(says), "{words}");
        }
    }
}
