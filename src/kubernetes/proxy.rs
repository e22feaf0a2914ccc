//! Whether an API server is to be reached by way of an HTTP proxy, as kubectl decides it. Proxies are not supported, so one is
//! refused; its password, which such an address often has, is in no word of that. Pure over the environment.

use std::net::IpAddr;

use anyhow::{Context, bail};
use http::{Uri, uri::Scheme};

/// Refuses the proxy that the cluster names (`proxy-url`), or that the environment has for this server. As in Go's
/// `httpproxy`, which kubectl goes by: HTTPS_PROXY is for https alone, and for nothing that NO_PROXY names, nor for this
/// machine itself.
///
/// # Errors
/// There is one.
pub fn refuse(named: Option<&str>, server: &Uri, env: impl Fn(&str) -> Option<String>) -> anyhow::Result<()> {
    let variable = |names: [&'static str; 2]| {
        names.into_iter().find_map(|name| env(name).filter(|value| !value.is_empty()).map(|value| (name, value)))
    };
    if let Some(proxy) = named {
        bail!("proxy-url asks for the proxy {}; HTTP proxies are not supported", shown(proxy, "proxy-url")?);
    }
    let (Some((name, proxy)), Some(host)) = (variable(["HTTPS_PROXY", "https_proxy"]), server.host()) else {
        return Ok(());
    };
    let exempt = variable(["NO_PROXY", "no_proxy"]).map(|(_, list)| list).unwrap_or_default();
    let port = server.port_u16().unwrap_or(443);
    if server.scheme() != Some(&Scheme::HTTPS) || is_exempt(&exempt, host, port) {
        return Ok(());
    }
    let host = host.trim_matches(['[', ']']);
    bail!(
        "{name} asks for the proxy {}; HTTP proxies are not supported; if {host} can be reached without it, add it to NO_PROXY",
        shown(&proxy, name)?
    )
}

/// Host and port alone.
fn shown(proxy: &str, whence: &str) -> anyhow::Result<String> {
    let url = proxy.parse::<Uri>().ok().filter(|url| url.host().is_some());
    let url = url.with_context(|| format!("the proxy in {whence} is no URL; and HTTP proxies are not supported"))?;
    let host = url.host().unwrap_or_default();
    Ok(url.port_u16().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

/// Whether a host and port need no proxy: it is this machine, or the list names it: `*`, a name (and what is below it),
/// `.name` (only what is below it), an address, or a range of addresses; a name or address may have a port.
fn is_exempt(list: &str, host: &str, port: u16) -> bool {
    let host = host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
    let address = host.parse::<IpAddr>().ok();
    if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
        return true;
    }
    list.split(',').map(|entry| entry.trim().to_ascii_lowercase()).filter(|entry| !entry.is_empty()).any(|entry| {
        if entry == "*" {
            return true;
        }
        if let Some((range, bits)) = entry.split_once('/') {
            let within = |address| Some(is_within(address, range.parse().ok()?, bits.parse().ok()?));
            return address.and_then(within).unwrap_or(false);
        }
        let (name, its_port) = name_and_port(&entry);
        if its_port.is_some_and(|its| its != port) {
            return false;
        }
        match (address, name.parse::<IpAddr>()) {
            (Some(address), Ok(of_list)) => address == of_list,
            (Some(_), Err(_)) | (None, Ok(_)) => false,
            (None, Err(_)) => {
                let name = name.strip_prefix('*').unwrap_or(name);
                let below = name.strip_prefix('.').unwrap_or(name);
                (below.len() == name.len() && host == name)
                    || (!below.is_empty() && host.strip_suffix(below).is_some_and(|rest| rest.ends_with('.')))
            }
        }
    })
}

fn name_and_port(entry: &str) -> (&str, Option<u16>) {
    if let Some((name, rest)) = entry.strip_prefix('[').and_then(|entry| entry.split_once(']')) {
        return (name, rest.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match entry.split_once(':') {
        Some((name, port)) if !port.contains(':') => (name, port.parse().ok()),
        _ => (entry, None),
    }
}

fn is_within(address: IpAddr, range: IpAddr, bits: u32) -> bool {
    let same = |a: u128, b: u128, width: u32| bits <= width && (a ^ b).checked_shr(width - bits).unwrap_or(0) == 0;
    match (address, range) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same(a.to_bits().into(), b.to_bits().into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{is_exempt, refuse};

    #[test]
    fn a_proxy_is_refused_by_its_host_and_port_and_without_its_password() {
        let server = "https://10.0.0.1:6443".parse().unwrap();
        let none = |_: &str| None;
        for (named, of_process, says) in [
            (Some("http://user:s3cret@proxy:3128"), None, "proxy-url asks for the proxy proxy:3128; HTTP proxies"),
            (Some("socks5://user:s3cret@[2001:db8::1]"), None, "asks for the proxy [2001:db8::1]; "),
            (Some("http://user:s3cret@a b"), None, "the proxy in proxy-url is no URL"),
            (Some("/s3cret"), None, "the proxy in proxy-url is no URL"),
            (None, Some("http://user:s3cret@proxy:3128"), "HTTPS_PROXY asks for the proxy proxy:3128; HTTP"),
            (None, Some("user:s3cret@proxy:3128"), "if 10.0.0.1 can be reached without it, add it to NO_PROXY"),
            (None, Some("http://user:s3cret@a b"), "the proxy in HTTPS_PROXY is no URL"),
        ] {
            let env = |name: &str| of_process.filter(|_| name == "HTTPS_PROXY").map(str::to_owned);
            let error = format!("{:#}", refuse(named, &server, env).unwrap_err());
            assert!(error.contains(says) && !error.contains("s3cret"), "{says}: {error}");
        }
        refuse(None, &server, none).unwrap();
    }

    #[test]
    fn the_environments_proxy_is_for_https_and_for_whom_no_proxy_does_not_name() {
        for (server, no_proxy, refused) in [
            ("https://10.0.0.1:6443", "", true),
            ("https://10.0.0.1:6443", "10.0.0.0/8", false),
            ("http://10.0.0.1:8001", "", false),
            ("http://127.0.0.1:8001", "", false),
            ("https://127.0.0.1:6443", "", false),
            ("https://[::1]:6443", "", false),
            ("https://localhost:6443", "", false),
        ] {
            for (proxy, exempt) in [("HTTPS_PROXY", "NO_PROXY"), ("https_proxy", "no_proxy")] {
                let env = |name: &str| match name {
                    _ if name == proxy => Some("http://proxy:3128".to_owned()),
                    _ if name == exempt => Some(no_proxy.to_owned()),
                    _ if name == "HTTPS_PROXY" => Some(String::new()),
                    _ => None,
                };
                let found = refuse(None, &server.parse().unwrap(), env);
                assert_eq!(found.is_err(), refused, "{server} {no_proxy}: {found:?}");
            }
        }
    }

    #[test]
    fn no_proxy_names_hosts_domains_addresses_and_ranges() {
        for (list, host, exempt) in [
            ("*", "api.example.com", true),
            ("other, api.example.com", "api.example.com", true),
            ("api.example.com", "API.example.com.", true),
            ("example.com", "api.example.com", true),
            (".example.com", "api.example.com", true),
            ("*.example.com", "api.example.com", true),
            (".example.com", "example.com", false),
            ("example.com", "badexample.com", false),
            ("api.example.com:6443", "api.example.com", true),
            ("api.example.com:443", "api.example.com", false),
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1:6443", "10.0.0.1", true),
            ("0.0.1", "10.0.0.1", false),
            ("10.0.0.0/24", "10.0.0.255", true),
            ("10.0.0.0/24", "10.0.1.0", false),
            ("0.0.0.0/0", "10.0.1.0", true),
            ("10.0.0.1/32", "10.0.0.1", true),
            ("10.0.0.0/33", "10.0.0.0", false),
            ("10.0.0.0/24", "api.example.com", false),
            ("2001:db8::/32", "[2001:db8::1]", true),
            ("2001:db9::/32", "[2001:db8::1]", false),
            ("2001:db8::1", "[2001:db8::1]", true),
            ("[2001:db8::1]:6443", "[2001:db8::1]", true),
            (", .,/,:", "api.example.com", false),
            ("", "10.0.0.1", false),
        ] {
            assert_eq!(is_exempt(list, host, 6443), exempt, "{list} {host}");
        }
    }
}
