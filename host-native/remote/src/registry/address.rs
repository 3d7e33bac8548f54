//! URLs of a repository: made, resolved, compared and shown. Nothing is sent here.

use std::net::IpAddr;

use bundle_core::digest::Digest;
use bundle_core::name::reference::Place;
use reqwest::Url;
use thiserror::Error;

use crate::{RemoteError, Transport, Version};

/// A repository's address on its registry.
#[derive(Clone, Debug)]
pub(super) struct Repository {
    /// Host and port, as errors call the registry.
    pub(super) host: String,
    /// The repository's name.
    pub(super) name: String,
    base: Url,
}

impl Repository {
    /// Names a repository, or with an empty name the registry as a whole.
    ///
    /// HTTPS, except to loopback or where `transport` says otherwise.
    pub(super) fn new(host: &str, name: &str, transport: Transport) -> Result<Self, RemoteError> {
        let fault = || RemoteError::Protocol {
            what: "the address of a repository".to_owned(),
            fault: "its host or name makes no URL".to_owned(),
        };
        let path = if name.is_empty() { "/v2/".to_owned() } else { format!("/v2/{name}/") };
        let address = address_of(host);
        let secure = Url::parse(&format!("https://{address}{path}")).map_err(|_| fault())?;
        let scheme = match transport {
            Transport::PlainHttp => "http",
            Transport::Secure if is_loopback(&secure) => "http",
            Transport::Secure | Transport::Tls => "https",
        };
        let base = Url::parse(&format!("{scheme}://{address}{path}")).map_err(|_| fault())?;
        // Whatever host and name held, they must not have become another part of the URL.
        let is_plain = base.path() == path
            && base.username().is_empty()
            && base.password().is_none()
            && base.query().is_none()
            && base.fragment().is_none();
        if !is_plain {
            return Err(fault());
        }
        Ok(Self { host: host.to_owned(), name: name.to_owned(), base })
    }

    /// Where the registry's own answers come from.
    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    pub(super) fn manifest(&self, which: &Version) -> Url {
        self.below(&format!("manifests/{which}"))
    }

    pub(super) fn blob(&self, digest: &Digest) -> Url {
        self.below(&format!("blobs/{digest}"))
    }

    pub(super) fn uploads(&self) -> Url {
        self.below("blobs/uploads/")
    }

    /// Opens an upload, unless the registry takes the blob from the repository `sibling` instead.
    pub(super) fn mount(&self, digest: &Digest, sibling: &str) -> Url {
        let mut url = self.uploads();
        url.query_pairs_mut().append_pair("mount", &digest.to_string()).append_pair("from", sibling);
        url
    }

    /// A blob of the repository `sibling`.
    pub(super) fn blob_of(&self, sibling: &str, digest: &Digest) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("/v2/{sibling}/blobs/{digest}"));
        url
    }

    /// What lies on the manifest `digest`: signatures and the like.
    pub(super) fn referrers(&self, digest: &Digest) -> Url {
        self.below(&format!("referrers/{digest}"))
    }

    /// Where a registry says that it is one.
    pub(super) fn root(&self) -> Url {
        let mut url = self.base.clone();
        url.set_path("/v2/");
        url
    }

    /// The repositories of the registry.
    pub(super) fn catalog(&self, page: u32) -> Url {
        let mut url = self.root();
        url.set_path("/v2/_catalog");
        url.query_pairs_mut().append_pair("n", &page.to_string());
        url
    }

    pub(super) fn tags(&self, page: u32) -> Url {
        let mut url = self.below("tags/list");
        url.query_pairs_mut().append_pair("n", &page.to_string());
        url
    }

    fn below(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        // Tags and digests hold nothing that means something in a path.
        url.set_path(&format!("{}{path}", self.base.path()));
        url
    }

    /// The repository at `beside`, where it is another one of the same registry.
    pub(super) fn sibling(&self, beside: Option<&Place>) -> Option<String> {
        match beside {
            Some(Place::Repository { host, name }) if *host == self.host && *name != self.name => {
                Some(name.clone())
            }
            _ => None,
        }
    }
}

/// Docker's own registry does not answer where it is said to be.
fn address_of(host: &str) -> &str {
    if matches!(host, "docker.io" | "index.docker.io") { "registry-1.docker.io" } else { host }
}

/// Whether two URLs have scheme, host and port in common.
pub(super) fn same_origin(a: &Url, b: &Url) -> bool {
    a.origin() == b.origin()
}

/// Whether a URL leads to this machine: `localhost`, `127.0.0.0/8` or `[::1]`.
pub(super) fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A URL for an error or a log: no user, no query, no fragment.
pub(super) fn redacted(url: &Url) -> String {
    format!("{}://{}{}", url.scheme(), authority(url), url.path())
}

/// Host and port of a URL.
pub(super) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Why a `Location` cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum BadLocation {
    #[error("it leads to something that is no URL")]
    NoUrl,
    #[error("it leads to something that is not http")]
    NotHttp,
    /// Holds the URL without its secrets.
    #[error("it leads from https to plain http")]
    ToPlainHttp { to: String },
    #[error("it leads to a URL with a user in it")]
    WithUser,
}

/// Resolves a `Location` against the URL that was asked.
///
/// A registry behind a proxy that ends TLS may not know that, and call itself `http`: where it means itself, TLS goes on.
pub(super) fn resolve(asked: &Url, location: &str) -> Result<Url, BadLocation> {
    let mut url = asked.join(location).map_err(|_| BadLocation::NoUrl)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(BadLocation::WithUser);
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if asked.scheme() == "http" => Ok(url),
        "http" => {
            let is_same = url.host() == asked.host() && (url.port().is_none() || url.port() == asked.port());
            if is_same && url.set_scheme("https").is_ok() && url.set_port(asked.port()).is_ok() {
                Ok(url)
            } else {
                Err(BadLocation::ToPlainHttp { to: redacted(&url) })
            }
        }
        _ => Err(BadLocation::NotHttp),
    }
}

/// The target with `rel="next"` of a `Link` header (RFC 8288), unresolved.
pub(super) fn next_link(header: &str) -> Option<&str> {
    let mut rest = header;
    loop {
        let (_, after) = rest.split_once('<')?;
        let (target, after) = after.split_once('>')?;
        let (parameters, others) = after.split_at(after.find('<').unwrap_or(after.len()));
        let is_next = parameters.split([';', ',']).any(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or_default();
            name.trim().eq_ignore_ascii_case("rel")
                && value.trim().trim_matches('"').eq_ignore_ascii_case("next")
        });
        if is_next {
            return Some(target);
        }
        rest = others;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn plain_http_only_to_this_machine_or_on_request() {
        for (host, transport, scheme) in [
            ("registry.example", Transport::Secure, "https"),
            ("registry.example:5000", Transport::PlainHttp, "http"),
            ("localhost:5000", Transport::Tls, "https"),
            ("localhost:5000", Transport::Secure, "http"),
            ("127.8.9.1:5000", Transport::Secure, "http"),
            ("[::1]:5000", Transport::Secure, "http"),
            ("128.0.0.1", Transport::Secure, "https"),
            ("localhost.example", Transport::Secure, "https"),
            ("127.0.0.1.example", Transport::Secure, "https"),
        ] {
            let repository = Repository::new(host, "a/b", transport).unwrap();
            assert_eq!(repository.base().scheme(), scheme, "{host}");
        }
        for (host, name) in
            [("a@b", "c"), ("a", "../c"), ("a", "b?c"), ("a", "b#c"), ("a:x", "b"), ("a/b", "c")]
        {
            let made = Repository::new(host, name, Transport::Secure);
            assert!(made.is_err(), "{host} {name}");
        }
    }

    #[test]
    fn a_registry_as_a_whole_has_an_address() {
        let base = |host| Repository::new(host, "", Transport::Secure).unwrap().base().to_string();
        assert_eq!(base("r.example:5000"), "https://r.example:5000/v2/");
        assert_eq!(base("docker.io"), "https://registry-1.docker.io/v2/");
    }

    #[test]
    fn addresses_are_those_of_the_distribution_spec() {
        let repository = Repository::new("localhost:5000", "a/b", Transport::Secure).unwrap();
        let digest = Digest::of(b"");
        assert_eq!(repository.uploads().as_str(), "http://localhost:5000/v2/a/b/blobs/uploads/");
        assert_eq!(
            repository.mount(&digest, "c/d").query(),
            Some(&*format!("mount={digest}&from=c%2Fd").replace("sha256:", "sha256%3A"))
        );
        for base in [&repository, &Repository::new("localhost:5000", "", Transport::Secure).unwrap()] {
            assert_eq!(base.root().as_str(), "http://localhost:5000/v2/");
            assert_eq!(base.catalog(9).as_str(), "http://localhost:5000/v2/_catalog?n=9");
        }
        assert_eq!(repository.tags(9).as_str(), "http://localhost:5000/v2/a/b/tags/list?n=9");
        assert_eq!(repository.blob(&digest).path(), format!("/v2/a/b/blobs/{digest}"));
        let tag = Version::Tag("v1.0_x-y".parse().unwrap());
        assert_eq!(repository.manifest(&tag).path(), "/v2/a/b/manifests/v1.0_x-y");
    }

    #[test]
    fn a_location_is_resolved_or_refused() {
        let asked = url("https://r.example/v2/a/blobs/uploads/");
        for (location, resolved) in [
            ("/v2/a/blobs/uploads/1?_state=x%2By", "https://r.example/v2/a/blobs/uploads/1?_state=x%2By"),
            ("2?s=1", "https://r.example/v2/a/blobs/uploads/2?s=1"),
            ("https://other.example/u?sig=1", "https://other.example/u?sig=1"),
            ("//other.example/u", "https://other.example/u"),
            ("http://r.example/u?s=1", "https://r.example/u?s=1"),
            ("http://r.example:80/u", "https://r.example/u"),
        ] {
            assert_eq!(resolve(&asked, location).unwrap().as_str(), resolved);
        }
        for location in [
            "http://other.example/u",
            "http://r.example:5000/u",
            "http://me:pw@r.example/",
            "file:///etc/passwd",
            "https://me:pw@r.example/",
            "https://:x:/",
        ] {
            assert!(resolve(&asked, location).is_err(), "{location}");
        }
        let behind_port = url("https://r.example:8443/v2/");
        for location in ["http://r.example/u", "http://r.example:8443/u"] {
            assert_eq!(resolve(&behind_port, location).unwrap().as_str(), "https://r.example:8443/u");
        }
        assert!(resolve(&url("http://localhost/a"), "http://other.example/b").is_ok());
    }

    #[test]
    fn origins_differ_by_scheme_host_and_port() {
        let origin = url("https://r.example/a");
        assert!(same_origin(&origin, &url("https://r.example:443/b?c")));
        for other in ["http://r.example/", "https://r.example:444/", "https://x.r.example/"] {
            assert!(!same_origin(&origin, &url(other)), "{other}");
        }
    }

    #[test]
    fn secrets_are_cut_from_a_url() {
        assert_eq!(redacted(&url("https://me:pw@h.example:8443/p?sig=secret#f")), "https://h.example:8443/p");
        assert_eq!(redacted(&url("http://[::1]:5/p?x")), "http://[::1]:5/p");
    }

    #[test]
    fn reads_the_next_page() {
        for (header, next) in [
            (r#"</v2/a/tags/list?last=x&n=2>; rel="next""#, Some("/v2/a/tags/list?last=x&n=2")),
            (r#"<a>; rel=prev, <b>; rel=Next"#, Some("b")),
            (r#"<a>; rel="first""#, None),
            ("<a", None),
            ("", None),
            (r#"rel="next""#, None),
        ] {
            assert_eq!(next_link(header), next, "{header}");
        }
    }
}
