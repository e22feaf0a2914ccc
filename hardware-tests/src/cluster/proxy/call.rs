//! What a request asks of the Kubernetes API, read from its method, path and query.

use http::{Method, Uri};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// One object.
    Get,
    /// Many of them.
    List,
    /// Their changes.
    Watch,
    /// A change of one.
    Patch,
    /// A new one.
    Create,
    /// Anything else, or a path that is no resource.
    Other,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What is asked.
    pub verb: Verb,
    /// Of what: `devices`, `devices/status`; empty for a path that is no resource.
    pub resource: String,
    /// The path and query.
    pub uri: String,
}

impl Call {
    /// Reads one.
    pub fn new(method: &Method, uri: &Uri) -> Self {
        let mut parts = uri.path().split('/').filter(|part| !part.is_empty());
        // `api/VERSION/...` or `apis/GROUP/VERSION/...`
        let head = match parts.next() {
            Some("api") => 1,
            Some("apis") => 2,
            _ => usize::MAX,
        };
        let mut rest: Vec<&str> = parts.skip(head).collect();
        if rest.len() > 2 && rest[0] == "namespaces" {
            rest.drain(..2);
        }
        let resource = match rest[..] {
            [resource, _, sub, ..] => format!("{resource}/{sub}"),
            [resource, ..] => resource.to_owned(),
            [] => String::new(),
        };
        let watches = uri.query().unwrap_or_default().split('&').any(|pair| matches!(pair, "watch=true" | "watch=1"));
        let verb = match (method, rest.len()) {
            (_, 0) => Verb::Other,
            (&Method::GET, _) if watches => Verb::Watch,
            (&Method::GET, 1) => Verb::List,
            (&Method::GET, _) => Verb::Get,
            (&Method::PATCH, _) => Verb::Patch,
            (&Method::POST, _) => Verb::Create,
            _ => Verb::Other,
        };
        Self { verb, resource, uri: uri.to_string() }
    }
}

/// Which requests are meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Matches {
    /// These only.
    pub verb: Option<Verb>,
    /// Of these only.
    pub resource: Option<&'static str>,
}

impl Matches {
    /// Every request.
    pub const ANY: Self = Self { verb: None, resource: None };

    /// These of this resource: `devices`, `devices/status`.
    pub const fn of(verb: Verb, resource: &'static str) -> Self {
        Self { verb: Some(verb), resource: Some(resource) }
    }

    /// These of any resource.
    pub const fn all(verb: Verb) -> Self {
        Self { verb: Some(verb), resource: None }
    }

    /// Whether a request is meant.
    pub fn fits(&self, call: &Call) -> bool {
        self.verb.is_none_or(|verb| verb == call.verb) && self.resource.is_none_or(|resource| resource == call.resource)
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::{Call, Verb};

    #[test]
    fn requests_are_told_apart() {
        for (method, uri, verb, resource) in [
            (Method::GET, "/apis/fieldgate.dev/v1alpha1/devices?limit=500", Verb::List, "devices"),
            (Method::GET, "/apis/fieldgate.dev/v1alpha1/devices?watch=true&a=b", Verb::Watch, "devices"),
            (Method::GET, "/apis/fieldgate.dev/v1alpha1/namespaces/a/devices", Verb::List, "devices"),
            (Method::GET, "/apis/fieldgate.dev/v1alpha1/namespaces/a/devices/d", Verb::Get, "devices"),
            (
                Method::PATCH,
                "/apis/fieldgate.dev/v1alpha1/namespaces/a/devices/d/status",
                Verb::Patch,
                "devices/status",
            ),
            (Method::POST, "/apis/events.k8s.io/v1/namespaces/a/events", Verb::Create, "events"),
            (Method::GET, "/api/v1/namespaces", Verb::List, "namespaces"),
            (Method::GET, "/api/v1/namespaces/a", Verb::Get, "namespaces"),
            (Method::GET, "/readyz", Verb::Other, ""),
            (Method::GET, "/apis/fieldgate.dev/v1alpha1", Verb::Other, ""),
        ] {
            let call = Call::new(&method, &uri.parse().unwrap());
            assert_eq!((call.verb, call.resource.as_str()), (verb, resource), "{uri}");
        }
    }
}
