//! References: how a person names a bundle, on a registry, in an OCI image layout or in an archive.
//!
//! Registry names follow the distribution-spec
//! (<https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pulling-manifests>); `oci:` and
//! `oci-archive:` are spelled as skopeo spells them (containers-transports(5)). `oci://HOST/NAME` is a repository too, as
//! Helm and Flux write one.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::digest::{Digest, DigestError};

/// A tag: at most 128 of `A-Za-z0-9_.-`, the first one no `.` or `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(Box<str>);

impl Tag {
    /// The tag that counts where none is named: `latest`.
    pub fn latest() -> Self {
        Self("latest".into())
    }

    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A version's own text, which is that of a tag: it was one, or it is three numbers.
    pub(crate) fn of_version(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Tag {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let fits = text.len() <= 128
            && text.bytes().enumerate().all(|(at, b)| {
                b.is_ascii_alphanumeric() || b == b'_' || (at > 0 && (b == b'.' || b == b'-'))
            });
        if text.is_empty() || !fits {
            return Err(ReferenceError::Tag { tag: text.to_owned() });
        }
        Ok(Self(text.into()))
    }
}

/// Where bundles lie: a place that holds tags and blobs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// A repository on a registry.
    Repository {
        /// Host, with its port if there is one.
        host: String,
        /// Path of the repository on that host; any number of parts.
        name: String,
    },
    /// An OCI image layout: a directory, named as the user named it.
    Layout {
        /// The directory, in the spelling of the user's system.
        directory: String,
    },
    /// A tar archive of an OCI image layout.
    Archive {
        /// The file, in the spelling of the user's system.
        file: String,
    },
}

/// A place, and which bundle of it.
///
/// Without tag and digest it names the place; the tag then is the project's default one. With both, the digest
/// counts and the tag is a remark.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    /// Where to look.
    pub place: Place,
    /// The name of a bundle there, which may move.
    pub tag: Option<Tag>,
    /// A bundle itself: the digest of its manifest.
    pub digest: Option<Digest>,
}

impl Reference {
    /// The same place, without tag and digest.
    #[must_use]
    pub fn without_version(&self) -> Self {
        Self { place: self.place.clone(), tag: None, digest: None }
    }

    /// The same place with this tag and no digest.
    #[must_use]
    pub fn with_tag(&self, tag: Tag) -> Self {
        Self { place: self.place.clone(), tag: Some(tag), digest: None }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repository { host, name } => write!(f, "{host}/{name}"),
            // Behind `oci:`, two slashes would name a registry; to a file system they are one.
            Self::Layout { directory } if directory.starts_with("//") => {
                write!(f, "oci:/{}", directory.trim_start_matches('/'))
            }
            Self::Layout { directory } => write!(f, "oci:{directory}"),
            Self::Archive { file } => write!(f, "oci-archive:{file}"),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.chars().any(char::is_control) {
            return Err(ReferenceError::ControlCharacter);
        }
        // Helm's and Flux's spelling of a registry.
        let (text, is_url) = match text.strip_prefix("oci://") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        if is_url || !is_file(text) {
            refuse_user(text)?;
        }
        if is_url && text.starts_with('/') {
            return Err(ReferenceError::FolderAsUrl { folder: format!("/{}", text.trim_start_matches('/')) });
        }
        let (text, digest) = match text.rsplit_once('@') {
            Some((rest, digest)) if digest.contains(':') => {
                (rest, Some(digest.parse().map_err(ReferenceError::Digest)?))
            }
            _ => (text, None),
        };
        if let Some(rest) = text.strip_prefix("oci:").filter(|_| !is_url) {
            let (directory, tag) = split_file_tag(rest)?;
            return Ok(Self { place: Place::Layout { directory }, tag, digest });
        }
        if let Some(rest) =
            text.strip_prefix("oci-archive:").filter(|rest| !is_url && !rest.starts_with("//"))
        {
            let (file, tag) = split_file_tag(rest)?;
            return Ok(Self { place: Place::Archive { file }, tag, digest });
        }
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(ReferenceError::Scheme { scheme: scheme.to_owned() });
        }
        let Some((host, rest)) = text.split_once('/') else {
            return Err(ReferenceError::NoHost { text: text.to_owned() });
        };
        if matches!(host, "" | "." | ".." | "~") {
            return Err(ReferenceError::Path { path: text.to_owned() });
        }
        check_host(host)?;
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) => (name, Some(tag.parse()?)),
            None => (rest, None),
        };
        check_repository(name)?;
        Ok(Self { place: Place::Repository { host: host.to_owned(), name: name.to_owned() }, tag, digest })
    }
}

/// Whether a text names a folder or a file, in which any `@` is part of a name.
fn is_file(text: &str) -> bool {
    text.starts_with("oci:") || text.starts_with("oci-archive:")
}

/// Refuses the name of a registry, or a reference to what is on one, that holds a user and perhaps a password. Neither gets
/// into the error.
///
/// # Errors
///
/// [`ReferenceError::Credentials`]; only a digest stands behind an `@`.
pub fn refuse_user(text: &str) -> Result<(), ReferenceError> {
    let rest = match text.rsplit_once('@') {
        Some((rest, digest)) if looks_like_a_digest(digest) => rest,
        _ => text,
    };
    if rest.contains('@') { Err(ReferenceError::Credentials) } else { Ok(()) }
}

/// Whether a text is meant to be a digest: it names a hash function, or is as long as one's value.
fn looks_like_a_digest(text: &str) -> bool {
    text.split_once(':').is_some_and(|(function, value)| {
        function.starts_with("sha") && !function.contains('.')
            || value.len() >= 32 && value.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

/// Splits `DIR[:TAG]`; a colon that a path separator follows belongs to the path, as in `C:\bundles`.
fn split_file_tag(text: &str) -> Result<(String, Option<Tag>), ReferenceError> {
    let (path, tag) = match text.rsplit_once(':') {
        Some((path, tag)) if !tag.contains(['/', '\\']) => (path, Some(tag.parse()?)),
        _ => (text, None),
    };
    if path.is_empty() {
        return Err(ReferenceError::NoDirectory);
    }
    Ok((path.to_owned(), tag))
}

fn check_host(host: &str) -> Result<(), ReferenceError> {
    let fault = || ReferenceError::Host { host: host.to_owned() };
    let (name, port) = match host.rsplit_once(':') {
        // An IPv6 address stands in brackets: its own colons are no port's.
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    if port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return Err(fault());
    }
    let is_ipv6 = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if is_ipv6 || name.split('.').all(is_label) { Ok(()) } else { Err(fault()) }
}

/// The grammar of a repository name in the distribution-spec:
/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/…)*`, at most 255 bytes.
pub(crate) fn check_repository(name: &str) -> Result<(), ReferenceError> {
    let is_part = |part: &str| {
        let ends = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let inner = part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b));
        // Separators are one dot, one or two underscores, or hyphens, and never of two kinds.
        let separators = part.split(|c: char| c.is_ascii_alphanumeric()).all(|separator| {
            matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-')
        });
        ends(part.bytes().next()) && ends(part.bytes().last()) && inner && separators
    };
    if name.len() <= 255 && name.split('/').all(is_part) {
        return Ok(());
    }
    Err(ReferenceError::Repository { name: name.to_owned() })
}

/// Why a text names no bundle.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReferenceError {
    /// It holds a control character.
    #[error("a reference holds no control characters")]
    ControlCharacter,
    /// It has a user before the host.
    #[error("a reference holds no user name and no password")]
    Credentials,
    /// The part after `@` is no digest.
    #[error("the digest after `@` is not one")]
    Digest(#[source] DigestError),
    /// A folder was written as a URL is.
    #[error("`oci://{folder}` names no registry: between `oci://` and the next `/` stands its host")]
    FolderAsUrl {
        /// The folder that is probably meant.
        folder: String,
    },
    /// The host is no name or address with an optional port.
    #[error("`{host}` is not a registry's host name")]
    Host {
        /// The text before the first slash.
        host: String,
    },
    /// `oci:` or `oci-archive:` with nothing behind it.
    #[error("no directory or file is named after the colon")]
    NoDirectory,
    /// No slash, so no repository on a host.
    #[error("`{text}` names no repository: expected HOST/NAME, oci:DIR or oci-archive:FILE")]
    NoHost {
        /// The whole text.
        text: String,
    },
    /// It is a path, which names no registry.
    #[error("`{path}` is a path, and names no repository on a registry")]
    Path {
        /// The path.
        path: String,
    },
    /// The repository's name breaks the distribution-spec's grammar.
    #[error(
        "`{name}` is not a repository name: parts of a-z, 0-9 and single separators `.`, `_`, `-`, joined by `/`"
    )]
    Repository {
        /// The text between host and tag.
        name: String,
    },
    /// A URL was given.
    #[error("a reference has no `{scheme}://` in front")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// The tag breaks the distribution-spec's grammar.
    #[error(
        "`{tag}` is not a tag: at most 128 of A-Z, a-z, 0-9, `_`, `.`, `-`, not starting with `.` or `-`"
    )]
    Tag {
        /// The text after the last colon.
        tag: String,
    },
}

/// One spelling for the host of a registry, to compare places by: in lower case, without the port that HTTPS has by default,
/// and with one name for this machine.
#[must_use]
pub fn canonical_host(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => {
            (name, Some(port))
        }
        _ => (host.as_str(), None),
    };
    let name = if matches!(name, "127.0.0.1" | "[::1]") { "localhost" } else { name };
    match port.filter(|port| *port != "443") {
        Some(port) => format!("{name}:{port}"),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_one_spelling() {
        for (host, spelling) in [
            ("R.Example", "r.example"),
            ("r.example:443", "r.example"),
            ("r.example:5000", "r.example:5000"),
            ("127.0.0.1:5000", "localhost:5000"),
            ("[::1]:5000", "localhost:5000"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(canonical_host(host), spelling);
        }
    }

    fn parse(text: &str) -> Reference {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn reads_every_form() {
        let digest = Digest::of(b"x");
        for text in [
            "localhost:5000/pyproj".to_owned(),
            "registry.example/org/team/name:v1.2.3".to_owned(),
            "[::1]:5000/a/b__c:latest".to_owned(),
            format!("127.0.0.1:5000/a/b@{digest}"),
            format!("127.0.0.1:5000/a/b:tag@{digest}"),
            "oci:some/dir".to_owned(),
            "oci:/abs/dir:v1".to_owned(),
            format!("oci:dir@{digest}"),
            "oci:C:\\bundles\\x:v1".to_owned(),
            "oci-archive:out.tar:v1".to_owned(),
        ] {
            assert_eq!(parse(&text).to_string(), text);
        }
        assert_eq!(parse("oci:/abs/dir:v1").tag.unwrap().as_str(), "v1");
        assert_eq!(parse("oci:C:\\bundles").place, Place::Layout { directory: "C:\\bundles".to_owned() });
        assert_eq!(parse("oci:me@home/dir").place, Place::Layout { directory: "me@home/dir".to_owned() });
        assert_eq!(parse("localhost:5000/pyproj").tag, None);
    }

    #[test]
    fn a_registry_may_be_written_as_a_url_of_helm() {
        let digest = Digest::of(b"x");
        for (text, plain) in [
            ("oci://ghcr.io/team/x", "ghcr.io/team/x"),
            ("oci://localhost:5000/x:v1", "localhost:5000/x:v1"),
            ("oci://[::1]:5000/x", "[::1]:5000/x"),
        ] {
            assert_eq!(parse(text), parse(plain));
            assert_eq!(parse(text).to_string(), plain);
            assert_eq!(parse(&format!("{text}@{digest}")), parse(&format!("{plain}@{digest}")));
        }
        for text in ["oci:///srv/x", "oci:////srv/x", "oci:///srv/x:v1"] {
            let error = text.parse::<Reference>().unwrap_err();
            assert!(
                matches!(&error, ReferenceError::FolderAsUrl { folder } if folder.starts_with("/srv/x")),
                "{error}"
            );
        }
        for text in [
            "oci://",
            "oci://host",
            "oci://host/A",
            "oci-archive://host/x",
            "oci://oci:/x",
            "oci://https://h/x",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
        assert_eq!("oci://me:secret@host/x".parse::<Reference>(), Err(ReferenceError::Credentials));
    }

    #[test]
    fn a_path_is_told_from_a_host() {
        for path in ["/tmp/x/lay", "../lay.tar", "./lay", "~/lay"] {
            assert_eq!(path.parse::<Reference>(), Err(ReferenceError::Path { path: path.to_owned() }));
        }
    }

    #[test]
    fn a_folder_is_never_written_as_a_registry() {
        let layout = Place::Layout { directory: "//srv//x".to_owned() };
        assert_eq!(layout.to_string(), "oci:/srv//x");
    }

    #[test]
    fn a_password_gets_into_no_error() {
        for text in ["u:secret@host/a", "u:secret@host:5000/a:tag", "u:secret@host", "u:secret@host:5000"] {
            let error = text.parse::<Reference>().unwrap_err();
            assert!(
                !error.to_string().contains("secret") && !format!("{error:?}").contains("secret"),
                "{error}"
            );
        }
        for text in [
            "u:secret@host:5000/a",
            "u:secret@host:5000",
            "u:secret@127.0.0.1:5000",
            "u:sec/secret@host/a",
            "https://u:secret@host/a",
            "oci://u:secret@host/a:v1",
            &format!("u:secret@host/a@{}", Digest::of(b"x")),
        ] {
            assert_eq!(text.parse::<Reference>(), Err(ReferenceError::Credentials), "{text}");
        }
        assert!(matches!("v1@sha256:00".parse::<Reference>(), Err(ReferenceError::Digest(_))));
    }

    #[test]
    fn refuses_what_names_nothing() {
        for text in [
            "",
            "name",
            "https://host/name",
            "host/Name",
            "host/a//b",
            "host/../b",
            "host/a:",
            "host/a:.x",
            "ho st/a",
            "host:port/a",
            "host:99999/a",
            "-h/a",
            "oci:",
            "oci-archive:",
            "host/a@sha256:00",
            "host/a._b",
            "host/a_",
            "host/a\u{1b}",
            "/abs/path",
            "user@host/a",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text:?}");
        }
    }
}
