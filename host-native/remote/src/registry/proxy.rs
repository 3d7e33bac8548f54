//! Through which proxy a request goes, if any: what the environment says, read as Go's tools and curl read it.
//!
//! <https://pkg.go.dev/golang.org/x/net/http/httpproxy>: `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, or the same in lower
//! case; `ALL_PROXY` stands in for the first two, as in curl. Nothing is sent here.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use reqwest::Url;

use super::address;
pub use crate::error::proxy::{ProxyError, ProxyFault};

/// The proxies of an environment.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    http: Option<Result<Proxy, ProxyError>>,
    https: Option<Result<Proxy, ProxyError>>,
    exceptions: Vec<Exception>,
}

/// A proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Its address; may hold a user and a password.
    url: Url,
}

impl Proxy {
    /// Its address, with a user and a password where it has them: for those who connect to it alone.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.url.scheme(), address::authority(&self.url))
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What no proxy is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Exception {
    Everything,
    Network(IpNet),
    Address { ip: IpAddr, port: Option<u16> },
    Domain { name: String, covers: Covers, port: Option<u16> },
}

/// Which names an exception is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Covers {
    /// The domain and what is below it.
    Domain,
    /// What is below it alone.
    Below,
}

impl Proxies {
    /// What the environment of this process says.
    pub fn of_process() -> Self {
        // What is not UTF-8 names no proxy, and must not count as not set.
        Self::of(|name| Some(std::env::var_os(name)?.to_string_lossy().into_owned()))
    }

    /// What an environment says. An empty variable is none.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let value = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let first = |names: [&'static str; 2]| names.into_iter().find_map(|name| Some((name, value(name)?)));
        let proxy = |names| first(names).map(|(name, value)| parse(name, &value));
        // A web server passes on the header `Proxy` of whoever asks it in that variable.
        let is_of_a_request = variable("REQUEST_METHOD").is_some();
        let http = if is_of_a_request {
            proxy(["http_proxy", "http_proxy"])
        } else {
            proxy(["HTTP_PROXY", "http_proxy"])
        };
        let all = || proxy(["ALL_PROXY", "all_proxy"]);
        let exceptions = first(["NO_PROXY", "no_proxy"]).map(|(_, list)| exceptions(&list));
        Self {
            http: http.or_else(all),
            https: proxy(["HTTPS_PROXY", "https_proxy"]).or_else(all),
            exceptions: exceptions.unwrap_or_default(),
        }
    }

    /// The proxy for requests to `url`; none for what is on this machine itself, and for exceptions.
    ///
    /// # Errors
    ///
    /// Where a variable should name one and does not: such a request must not go past the proxy.
    pub fn proxy_for(&self, url: &Url) -> Result<Option<&Proxy>, &ProxyError> {
        let proxy = if url.scheme() == "http" { &self.http } else { &self.https };
        let Some(proxy) = proxy else { return Ok(None) };
        let is_direct =
            address::is_loopback(url) || self.exceptions.iter().any(|exception| exception.is_for(url));
        if is_direct { Ok(None) } else { proxy.as_ref().map(Some) }
    }
}

fn parse(variable: &'static str, value: &str) -> Result<Proxy, ProxyError> {
    let fault = |fault| ProxyError { variable, fault };
    let value = value.trim();
    let whole = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
    let mut url: Url = whole.parse().map_err(|_| fault("it is no URL, such as http://HOST:PORT"))?;
    match url.scheme() {
        "http" | "https" => {}
        "socks4" | "socks4a" | "socks5" | "socks5h" if url.port().is_none() => {
            url.set_port(Some(1080)).map_err(|()| fault("it has no host"))?;
        }
        "socks4" | "socks4a" | "socks5" | "socks5h" => {}
        _ => {
            return Err(fault(
                "it begins with none of http://, https://, socks4://, socks5:// and socks5h://",
            ));
        }
    }
    match url.host_str() {
        None | Some("") => Err(fault("it has no host")),
        Some(_) => Ok(Proxy { url }),
    }
}

fn exceptions(list: &str) -> Vec<Exception> {
    list.split(|c: char| c == ',' || c.is_whitespace()).filter_map(exception).collect()
}

fn exception(text: &str) -> Option<Exception> {
    let text = text.to_ascii_lowercase();
    if text == "*" {
        return Some(Exception::Everything);
    }
    if let Ok(network) = text.parse() {
        return Some(Exception::Network(network));
    }
    let (host, port) = split_port(&text);
    if let Ok(ip) = host.trim_matches(['[', ']']).parse() {
        return Some(Exception::Address { ip, port });
    }
    let (name, covers) = match host.strip_prefix('*').unwrap_or(host).strip_prefix('.') {
        Some(name) => (name, Covers::Below),
        None => (host, Covers::Domain),
    };
    (!name.is_empty()).then(|| Exception::Domain {
        name: name.trim_end_matches('.').to_owned(),
        covers,
        port,
    })
}

/// A host and its port, if it has one; an IPv6 address without brackets has none.
fn split_port(text: &str) -> (&str, Option<u16>) {
    let split = text.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.ends_with(']'));
    match split.and_then(|(host, port)| Some((host, port.parse().ok()?))) {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    }
}

impl Exception {
    fn is_for(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let address: Option<IpAddr> = host.parse().ok();
        let fits = |port: &Option<u16>| port.is_none_or(|port| url.port_or_known_default() == Some(port));
        match self {
            Self::Everything => true,
            Self::Network(network) => address.is_some_and(|address| network.contains(&address)),
            Self::Address { ip, port } => address == Some(*ip) && fits(port),
            Self::Domain { name, covers, port } => {
                let host = host.trim_end_matches('.').to_ascii_lowercase();
                let is_below = host.strip_suffix(name.as_str()).is_some_and(|rest| rest.ends_with('.'));
                fits(port) && (is_below || (*covers == Covers::Domain && host == *name))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        Proxies::of(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn shown(proxies: &Proxies, url: &str) -> Option<String> {
        proxies.proxy_for(&url.parse().unwrap()).unwrap().map(ToString::to_string)
    }

    #[test]
    fn exceptions_are_those_of_gos_tools() {
        for (list, direct, proxied) in [
            (
                "reg.example",
                vec!["reg.example", "a.reg.example:5000", "REG.example."],
                vec!["xreg.example", "example"],
            ),
            (".example", vec!["reg.example", "a.b.example"], vec!["example", "reg.example2"]),
            ("*.example", vec!["reg.example", "a.b.example"], vec!["example"]),
            (
                "reg.example:5000",
                vec!["reg.example:5000", "a.reg.example:5000"],
                vec!["reg.example", "reg.example:5001"],
            ),
            ("reg.example:80", vec!["reg.example", "reg.example:80"], vec!["reg.example:443"]),
            ("*.example:5000", vec!["reg.example:5000"], vec!["reg.example"]),
            ("192.0.2.7", vec!["192.0.2.7", "192.0.2.7:5000"], vec!["192.0.2.8"]),
            ("192.0.2.7:5000", vec!["192.0.2.7:5000"], vec!["192.0.2.7"]),
            ("192.0.2.0/24", vec!["192.0.2.7", "192.0.2.255:5"], vec!["192.0.3.1", "reg.example"]),
            ("2001:db8::1", vec!["[2001:db8::1]", "[2001:db8::1]:5000"], vec!["[2001:db8::2]"]),
            ("[2001:db8::1]:5000", vec!["[2001:db8::1]:5000"], vec!["[2001:db8::1]"]),
            ("2001:db8::/32", vec!["[2001:db8:ffff::1]"], vec!["[2001:db9::1]"]),
            ("*", vec!["reg.example", "192.0.2.7"], vec![]),
            (
                " x.example , reg.example y.example",
                vec!["reg.example", "x.example", "y.example"],
                vec!["z.example"],
            ),
            ("", vec![], vec!["reg.example"]),
            (",:5000,.,*.", vec![], vec!["reg.example:5000"]),
        ] {
            let proxies = proxies(&[("HTTP_PROXY", "http://p.example:3128"), ("NO_PROXY", list)]);
            for host in direct {
                assert_eq!(shown(&proxies, &format!("http://{host}/v2/")), None, "{list}: {host}");
            }
            for host in proxied {
                let proxy = shown(&proxies, &format!("http://{host}/v2/"));
                assert_eq!(proxy.as_deref(), Some("http://p.example:3128"), "{list}: {host}");
            }
        }
    }

    #[test]
    fn a_scheme_has_its_own_variable() {
        let both = proxies(&[
            ("http_proxy", "a.example:1"),
            ("HTTPS_PROXY", "socks5h://b.example"),
            ("HTTP_PROXY", ""),
        ]);
        assert_eq!(shown(&both, "http://r.example/").as_deref(), Some("http://a.example:1"));
        assert_eq!(shown(&both, "https://r.example/").as_deref(), Some("socks5h://b.example:1080"));
        let all = proxies(&[("ALL_PROXY", "http://c.example:2"), ("https_proxy", "http://d.example:3")]);
        assert_eq!(shown(&all, "http://r.example/").as_deref(), Some("http://c.example:2"));
        assert_eq!(shown(&all, "https://r.example/").as_deref(), Some("http://d.example:3"));
        for local in ["http://localhost:5000/", "http://127.0.0.1/", "http://[::1]:5/"] {
            assert_eq!(shown(&all, local), None, "{local}");
        }
        let of_a_request = proxies(&[("HTTP_PROXY", "http://evil.example"), ("REQUEST_METHOD", "GET")]);
        assert_eq!(shown(&of_a_request, "http://r.example/"), None);
    }

    #[test]
    fn a_broken_variable_is_an_error_where_it_would_count() {
        for broken in [
            "http://me:S3cret@:80",
            "ftp://me:S3cret@p.example",
            "http://",
            "://S3cret",
            "http://[S3cret",
            "p:S3cret",
        ] {
            let proxies = proxies(&[("https_proxy", broken), ("NO_PROXY", "free.example")]);
            let error = proxies.proxy_for(&"https://r.example/".parse().unwrap()).unwrap_err();
            assert!(
                error.to_string().contains("https_proxy") && !error.to_string().contains("S3cret"),
                "{error}"
            );
            assert!(!format!("{proxies:?}").contains("S3cret"));
            assert_eq!(shown(&proxies, "https://free.example/"), None);
            assert_eq!(shown(&proxies, "http://r.example/"), None);
        }
        let good = proxies(&[("https_proxy", "http://me:S3cret@p.example:3128/")]);
        assert_eq!(shown(&good, "https://r.example/").as_deref(), Some("http://p.example:3128"));
        assert!(!format!("{good:?}").contains("S3cret"));
    }
}
