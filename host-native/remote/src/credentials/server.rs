//! What a registry is called where credentials are kept: one host has many spellings there.

/// What Docker calls its own registry in its files and to its helpers.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// Docker's own registry, by all its names.
const DOCKER_HUB: [&str; 4] =
    ["docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"];

/// A repository on a registry, or a registry as a whole, as the owner of credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Host and port.
    host: String,
    /// The repository's name; empty for the registry as a whole.
    repository: String,
}

impl Server {
    /// A repository on `host`, which may have a port.
    pub fn new(host: &str, repository: &str) -> Self {
        Self { host: one_name(&host.to_ascii_lowercase()).to_owned(), repository: repository.to_owned() }
    }

    /// The host that is asked, as people call it.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The key under which it is kept: that of Docker.
    pub fn key(&self) -> &str {
        if self.host == DOCKER_HUB[0] { DOCKER_HUB_KEY } else { &self.host }
    }

    /// How well a key fits: the length of the part of the address that it names, so that the greatest is the most
    /// specific; `None` where it names another server.
    pub fn fit(&self, key: &str) -> Option<usize> {
        let (host, path) = address(key);
        if host != self.host {
            return None;
        }
        let below = self.repository.strip_prefix(path.as_str())?;
        let is_part = path.is_empty() || below.is_empty() || below.starts_with('/');
        is_part.then_some(path.len())
    }

    /// Whether a key names this very registry, without any repository.
    pub fn is_named_by(&self, key: &str) -> bool {
        self.fit(key) == Some(0)
    }
}

/// Host and path that a key names: `host`, `host/path`, `https://host/v1/` and all that lies between.
fn address(key: &str) -> (String, String) {
    let rest = key.split_once("://").map_or(key, |(_, rest)| rest);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = path.trim_matches('/');
    let path = if matches!(path, "v1" | "v2") { "" } else { path };
    (one_name(&host.to_ascii_lowercase()).to_owned(), path.to_owned())
}

fn one_name(host: &str) -> &str {
    if DOCKER_HUB.contains(&host) { DOCKER_HUB[0] } else { host }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_understood_in_all_spellings() {
        let server = Server::new("R.example:5000", "team/model");
        for key in [
            "r.example:5000",
            "R.EXAMPLE:5000",
            "https://r.example:5000",
            "http://r.example:5000/",
            "https://r.example:5000/v1/",
            "https://r.example:5000/v2",
        ] {
            assert_eq!(server.fit(key), Some(0), "{key}");
        }
        assert_eq!(server.fit("r.example:5000/team"), Some(4));
        assert_eq!(server.fit("https://r.example:5000/team/model"), Some(10));
        for key in [
            "r.example",
            "r.example:5001",
            "x.r.example:5000",
            "r.example:5000/te",
            "r.example:5000/team/model/x",
            "r.example:5000.evil.example",
            "",
            "/",
        ] {
            assert_eq!(server.fit(key), None, "{key}");
        }
        assert_eq!(Server::new("r.example:5000", "").fit("r.example:5000/team"), None);
    }

    #[test]
    fn docker_hub_has_one_key() {
        for name in DOCKER_HUB {
            let server = Server::new(name, "team/model");
            assert_eq!(server.key(), DOCKER_HUB_KEY);
            assert!(server.is_named_by(DOCKER_HUB_KEY) && server.is_named_by("docker.io"));
        }
        assert_eq!(Server::new("r.example", "").key(), "r.example");
        assert!(!Server::new("r.example", "a").is_named_by(DOCKER_HUB_KEY));
    }
}
