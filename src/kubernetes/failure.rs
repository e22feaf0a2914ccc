//! What an answer that is no success means. Pure over status code, content type, Retry-After and body: proxies at the
//! edge answer in plain text, with empty bodies, and with codes that the API server would not use.

use std::{fmt, time::Duration};

use serde::Deserialize;

/// Why a request did not give what it asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What it means.
    pub kind: Kind,
    /// In words, on one line.
    pub message: String,
    /// The server asked to wait this long.
    pub wait: Option<Duration>,
}

/// What a failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Nothing can be told from it: nobody answered, or somebody who does not know. What was sent may have been done.
    Away,
    /// The API server is too busy.
    TooMany,
    /// The resourceVersion is too old, or one that this server has yet to reach: list again.
    Expired,
    /// The API server says that there is no such thing. (An answer that a proxy makes up is [`Kind::Away`].)
    NotFound,
    /// The token is not accepted.
    Unauthorized,
    /// A right is missing, or a policy forbids it.
    Forbidden,
    /// The object was changed meanwhile, or is another.
    Conflict,
    /// What was sent cannot be.
    Invalid,
}

impl Kind {
    /// As a metric shows it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::TooMany => "tooMany",
            Self::Expired => "expired",
            Self::NotFound => "notFound",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Conflict => "conflict",
            Self::Invalid => "invalid",
        }
    }
}

/// The body of an error of the API server.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    kind: String,
    message: String,
    reason: String,
    details: Option<Details>,
    code: u16,
}

impl Status {
    fn has_cause(&self, reason: &str) -> bool {
        self.details.iter().flat_map(|details| &details.causes).any(|cause| cause.reason == reason)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Details {
    retry_after_seconds: u64,
    causes: Vec<Cause>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Cause {
    reason: String,
}

/// The longest text of a proxy that is repeated to people.
const LONGEST: usize = 300;
/// A server that asks for more time than this is asked again all the same.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

impl Failure {
    /// Nobody answered.
    pub fn away(message: impl Into<String>) -> Self {
        Self { kind: Kind::Away, message: message.into(), wait: None }
    }

    /// What an answer means. `retry_after` is the header of this name.
    pub fn of_answer(code: u16, retry_after: Option<&str>, body: &[u8]) -> Self {
        let status = serde_json::from_slice::<Status>(body).ok();
        let genuine = status.as_ref().is_some_and(|status| status.kind == "Status");
        let text = match &status {
            Some(status) if !status.message.is_empty() => shorten(&status.message),
            Some(_) => String::new(),
            None => shorten(&String::from_utf8_lossy(body)),
        };
        let reason = status.as_ref().map_or("", |status| status.reason.as_str());
        let kind = match code {
            404 if genuine && reason == "NotFound" => Kind::NotFound,
            410 => Kind::Expired,
            504 if status.as_ref().is_some_and(|status| status.has_cause("ResourceVersionTooLarge")) => Kind::Expired,
            429 => Kind::TooMany,
            401 => Kind::Unauthorized,
            403 if genuine => Kind::Forbidden,
            409 if genuine => Kind::Conflict,
            422 if genuine => Kind::Invalid,
            _ => Kind::Away,
        };
        let asked = retry_after.and_then(|text| text.trim().parse().ok());
        let details = status.as_ref().and_then(|status| status.details.as_ref()).map(|d| d.retry_after_seconds);
        let wait = asked
            .or(details.filter(|seconds| *seconds > 0))
            .map(|seconds| Duration::from_secs(seconds).min(LONGEST_WAIT));
        let message = if text.is_empty() { format!("answered {code}") } else { format!("answered {code}: {text}") };
        Self { kind, message, wait }
    }

    /// What an event of type ERROR means: its object is a status.
    pub fn of_event(object: &str) -> Self {
        let code = serde_json::from_str::<Status>(object).map_or(0, |status| status.code);
        Self::of_answer(code, None, object.as_bytes())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// One line of bounded length.
pub fn shorten(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::{Failure, Kind};

    #[test]
    fn answers_of_servers_and_proxies() {
        let not_found = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"devices \"a\" not found","reason":"NotFound","code":404}"#;
        let no_kind = r#"{"metadata":{},"status":"Failure","message":"delete request is not supported in local cache","reason":"Forbidden","code":403}"#;
        let forbidden = r#"{"kind":"Status","apiVersion":"v1","message":"devices is forbidden: User \"u\" cannot list","reason":"Forbidden","code":403}"#;
        let busy = r#"{"kind":"Status","message":"storage is (re)initializing","reason":"TooManyRequests","details":{"retryAfterSeconds":1},"code":429}"#;
        let unlisted = r#"{"kind":"Status","message":"can not cache for notlisted/0.1 get devices","reason":"BadRequest","code":400}"#;
        let edge = r#"{"kind":"Status","message":"connection lost between EdgeCore and CloudCore","code":500}"#;
        let ahead = r#"{"kind":"Status","message":"Too large resource version: 9, current: 5","reason":"Timeout","details":{"causes":[{"reason":"ResourceVersionTooLarge","message":"Too large resource version"}],"retryAfterSeconds":1},"code":504}"#;
        let wordless = r#"{"kind":"Status","code":500}"#;
        let refused = "dial tcp 10.0.0.1:6443: connect: connection refused";
        for (what, code, after, body, kind, says, wait) in [
            ("the API server has none", 404, None, not_found, Kind::NotFound, "not found", None),
            ("lite-apiserver has none cached", 404, None, refused, Kind::Away, "connection refused", None),
            ("a status of unknown kind", 404, None, "{\"reason\":\"NotFound\"}", Kind::Away, "404", None),
            ("no such path", 404, None, "404 page not found\n", Kind::Away, "page not found", None),
            ("restored", 504, None, ahead, Kind::Expired, "Too large", Some(1)),
            ("a gateway", 504, None, "", Kind::Away, "504", None),
            ("gone", 410, None, "", Kind::Expired, "410", None),
            ("busy", 429, Some("2"), busy, Kind::TooMany, "initializing", Some(2)),
            ("busy, without a header", 429, None, busy, Kind::TooMany, "initializing", Some(1)),
            ("busy, and a date", 429, Some("Wed, 21 Oct 2026 07:28:00 GMT"), "", Kind::TooMany, "429", None),
            ("token", 401, None, "Unauthorized", Kind::Unauthorized, "Unauthorized", None),
            ("right", 403, None, forbidden, Kind::Forbidden, "cannot list", None),
            ("YurtHub's DELETE", 403, None, no_kind, Kind::Away, "local cache", None),
            ("YurtHub's agents", 400, None, unlisted, Kind::Away, "can not cache", None),
            ("YurtHub, not yet unhealthy", 502, None, "", Kind::Away, "answered 502", None),
            ("lite-apiserver's writes", 503, None, "http2: client connection lost", Kind::Away, "lost", None),
            ("MetaServer's writes", 500, None, edge, Kind::Away, "EdgeCore", None),
            ("MetaServer, cloudcore up", 500, None, wordless, Kind::Away, "answered 500", None),
            ("overloaded", 503, Some("7"), "", Kind::Away, "503", Some(7)),
        ] {
            let failure = Failure::of_answer(code, after, body.as_bytes());
            assert_eq!(failure.kind, kind, "{what}");
            assert!(failure.message.contains(says), "{what}: {}", failure.message);
            assert_eq!(failure.wait.map(|wait| wait.as_secs()), wait, "{what}");
        }
    }

    #[test]
    fn an_error_event_is_read_by_its_code() {
        let expired = r#"{"kind":"Status","message":"too old resource version: 1 (9)","reason":"Expired","code":410}"#;
        assert_eq!(Failure::of_event(expired).kind, Kind::Expired);
        assert_eq!(Failure::of_event("[1]").kind, Kind::Away);
    }

    #[test]
    fn a_page_of_html_becomes_one_bounded_line() {
        let failure = Failure::of_answer(502, None, "<html>\n  <p>Bad</p>\n".repeat(100).as_bytes());
        assert!(failure.message.len() < 350 && !failure.message.contains('\n'));
    }
}
