//! What an answer may take away or set back. A Device that is missing in a list, or whose end a watch tells, is only in
//! doubt: caches at the edge give empty lists, other people's lists and old lists, all with status 200. It leaves when
//! the API server itself, proven to be there, says of this name that it is gone or another node's. Pure.
//!
//! The same holds for an object that is older than the one known. The API server reads a GET by name from a majority of
//! its store, and so never answers with less than it has shown before, unless the store itself went back: it was restored
//! from a backup. So an older object is served when a GET by name gives it and GET /version proves the API server's
//! presence before and after that GET; a cache that gives old objects does not answer the one, or gives the newer object
//! when its cloud is there.

use serde_json::Value as Json;

use super::{
    failure::{Failure, Kind as Why},
    object::{Found, Key},
};
use crate::{control::document::Kind, settings::Select};

/// Which objects are served here.
#[derive(Debug, Clone)]
pub struct Own {
    /// The Devices of this node,
    pub node: String,
    /// that can be found like this.
    pub select: Select,
}

impl Own {
    /// Whether an object is of this node: a Device's `spec.nodeName` says so. (Every model is.)
    pub fn is_here(&self, found: &Found) -> bool {
        found.key.kind == Kind::Model || found.node.as_deref() == Some(&*self.node)
    }

    /// Whether it is served. A Device without the label that Devices are selected by is not: no watch would tell of its
    /// edits, and a bridge that starts anew would not find it.
    pub fn has(&self, found: &Found) -> bool {
        let labelled = || self.select == Select::Field || found.label.as_deref() == Some(&*self.node);
        self.is_here(found) && (found.key.kind == Kind::Model || labelled())
    }
}

/// An object that may be gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// Its name.
    pub key: Key,
    /// Its identity: another one under the same name is not in doubt.
    pub uid: String,
    /// The newest resourceVersion that was known when the doubt arose; empty if it was only kept.
    pub version: String,
}

/// What became of a doubt.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// This very object is gone.
    Deleted,
    /// It is another node's since this generation.
    Moved(i64),
    /// It is this node's, but has no longer the label that Devices are selected by.
    Unlabelled(i64),
    /// It is there, so and not otherwise: whoever said otherwise lied, or another has its name, or it went back.
    Here(Box<Found>),
    /// Nobody knows: it is served on, and asked for again.
    Unknown(Failure),
}

/// What an answer to a GET by name says of an object in doubt.
pub fn judge(answer: Result<Found, Failure>, doubt: &Doubt, own: &Own) -> Verdict {
    match answer {
        Ok(found) if own.has(&found) => Verdict::Here(Box::new(found)),
        Ok(found) if found.uid == doubt.uid && own.is_here(&found) => Verdict::Unlabelled(found.generation),
        Ok(found) if found.uid == doubt.uid => Verdict::Moved(found.generation),
        Ok(_) => Verdict::Deleted,
        Err(failure) if failure.kind == Why::NotFound => Verdict::Deleted,
        Err(failure) => Verdict::Unknown(failure),
    }
}

/// Whether an answer to GET /version shows that the API server itself is there. Caches do not keep it: away,
/// lite-apiserver answers 503 and YurtHub 400. Who is not allowed to read it was told so by the API server.
pub fn proves_presence(answer: &Result<impl AsRef<[u8]>, Failure>) -> bool {
    match answer {
        Ok(body) => serde_json::from_slice::<Json>(body.as_ref()).is_ok_and(|json| json["gitVersion"].is_string()),
        Err(failure) => failure.kind == Why::Forbidden,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::object::{self, tests::device},
        *,
    };

    type Expected = fn(&Verdict) -> bool;

    fn found(node: &str, uid: &str, generation: i64) -> Found {
        object::read(Kind::Device, &device("a", node, uid, generation).to_string()).unwrap()
    }

    #[test]
    fn only_the_api_servers_own_word_takes_a_device_away() {
        let doubt = Doubt { key: found("gw-1", "u1", 1).key, uid: "u1".into(), version: "7".into() };
        let status = |reason: &str, kind: &str, code: u16| {
            let body = format!(r#"{{"kind":"{kind}","reason":"{reason}","message":"m","code":{code}}}"#);
            Err(Failure::of_answer(code, None, body.as_bytes()))
        };
        let text = |code, body: &str| Err(Failure::of_answer(code, None, body.as_bytes()));
        let unknown: Expected = |v| matches!(v, Verdict::Unknown(_));
        let rows: [(&str, Result<Found, Failure>, Expected); 11] = [
            ("deleted", status("NotFound", "Status", 404), |v| *v == Verdict::Deleted),
            ("moved", Ok(found("gw-2", "u1", 2)), |v| *v == Verdict::Moved(2)),
            ("no longer anyone's name", Ok(found("gw-2", "u2", 1)), |v| *v == Verdict::Deleted),
            ("the list lied", Ok(found("gw-1", "u1", 1)), |v| matches!(v, Verdict::Here(_))),
            ("deleted and made again", Ok(found("gw-1", "u2", 1)), |v| matches!(v, Verdict::Here(f) if f.uid == "u2")),
            ("404 of a proxy", text(404, "dial tcp: connection refused"), unknown),
            ("404 without a kind", status("NotFound", "", 404), unknown),
            ("gateway", text(502, ""), unknown),
            ("busy", text(429, ""), unknown),
            ("not allowed", status("Forbidden", "Status", 403), unknown),
            ("silence", Err(Failure::away("no answer within 10 s")), unknown),
        ];
        for (what, answer, expected) in rows {
            let verdict = judge(answer, &doubt, &Own { node: "gw-1".into(), select: Select::Field });
            assert!(expected(&verdict), "{what}: {verdict:?}");
        }
    }

    #[test]
    fn who_loses_the_label_leaves_where_devices_are_selected_by_it() {
        let doubt = Doubt { key: found("gw-1", "u1", 1).key, uid: "u1".into(), version: "7".into() };
        let here: Expected = |v| matches!(v, Verdict::Here(_));
        let rows: [(&str, Select, Option<&str>, &str, Expected); 5] = [
            ("by field", Select::Field, None, "gw-1", here),
            ("by label", Select::Label, Some("gw-1"), "gw-1", here),
            ("none", Select::Label, None, "gw-1", |v| *v == Verdict::Unlabelled(1)),
            ("another", Select::Label, Some("gw-2"), "gw-1", |v| *v == Verdict::Unlabelled(1)),
            ("moved", Select::Label, Some("gw-1"), "gw-2", |v| *v == Verdict::Moved(1)),
        ];
        for (what, select, label, node, expected) in rows {
            let answer = Ok(Found { label: label.map(str::to_owned), ..found(node, "u1", 1) });
            let verdict = judge(answer, &doubt, &Own { node: "gw-1".into(), select });
            assert!(expected(&verdict), "{what}: {verdict:?}");
        }
    }

    #[test]
    fn a_cache_does_not_pass_for_the_api_server() {
        let text = |code, body: &str| Err(Failure::of_answer(code, None, body.as_bytes()));
        let forbidden = r#"{"kind":"Status","reason":"Forbidden","message":"no","code":403}"#;
        let local =
            r#"{"kind":"Status","reason":"BadRequest","message":"local proxy does not support request","code":400}"#;
        for (what, answer, proves) in [
            ("a version", Ok(r#"{"gitVersion":"v1.37.2"}"#.to_owned()), true),
            ("forbidden by the API server", text(403, forbidden), true),
            ("something else", Ok("OK".to_owned()), false),
            ("YurtHub", text(400, local), false),
            ("lite-apiserver", text(503, "dial tcp: i/o timeout"), false),
            ("nobody", Err(Failure::away("refused")), false),
        ] {
            assert_eq!(proves_presence(&answer), proves, "{what}");
        }
    }
}
