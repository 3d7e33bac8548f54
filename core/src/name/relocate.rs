//! Registries as places for projects: what a project is called in one, and where it goes when it changes to another.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::name::reference::{Place, Reference, ReferenceError, check_repository};

/// What a project is called whose folder's name has no letter or digit that a repository may have.
const NAMELESS: &str = "project";

/// Where an environment keeps its projects: `HOST[:PORT][/NAMESPACE]`, or `oci:DIR` with an image layout for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry(Box<str>);

impl Registry {
    /// The host of a repository, without its namespace; a layout or an archive has none.
    pub fn host_of(place: &Place) -> Option<Self> {
        match place {
            Place::Repository { host, .. } => Some(Self(host.as_str().into())),
            Place::Layout { .. } | Place::Archive { .. } => None,
        }
    }

    /// The place of a project that is called `name`, in a namespace if one is given.
    pub fn place(&self, namespace: Option<&Namespace>, name: &str) -> Result<Place, ReferenceError> {
        let reference: Reference = match namespace {
            Some(namespace) => format!("{self}/{namespace}/{name}").parse()?,
            None => format!("{self}/{name}").parse()?,
        };
        Ok(reference.place)
    }

    /// What a place is called in this registry, if it lies in it.
    fn name_of(&self, place: &Place) -> Option<String> {
        let place = place.to_string();
        place.strip_prefix(&*self.0)?.strip_prefix('/').map(str::to_owned)
    }

    /// Where a project at `place` goes that changes to this registry.
    ///
    /// It keeps its name: the part after the registry `from`, or else the part after the host. `None` where it has no such
    /// name, as an image layout of its own.
    pub fn take_over(&self, place: &Place, from: Option<&Self>) -> Result<Option<Place>, ReferenceError> {
        if self.name_of(place).is_some() {
            return Ok(Some(place.clone()));
        }
        let name = from.and_then(|from| from.name_of(place)).or_else(|| match place {
            Place::Repository { name, .. } => Some(name.clone()),
            Place::Layout { .. } | Place::Archive { .. } => None,
        });
        name.map(|name| self.place(None, &name)).transpose()
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Registry {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, RegistryError> {
        let text = text.strip_prefix("oci://").filter(|rest| !rest.starts_with('/')).unwrap_or(text);
        let registry = Self(text.trim_end_matches('/').into());
        // A name behind it would make it the top of the file system.
        if registry.0.ends_with(':') {
            return Err(RegistryError::Reference(ReferenceError::NoDirectory));
        }
        match registry.place(None, NAMELESS).map_err(RegistryError::Reference)? {
            Place::Archive { .. } => Err(RegistryError::Archive),
            Place::Layout { .. } | Place::Repository { .. } => Ok(registry),
        }
    }
}

/// The parts of a repository's name before the last one: an organization, perhaps with teams of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace(Box<str>);

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Namespace {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        check_repository(text)?;
        Ok(Self(text.into()))
    }
}

/// The name for the repository of a project in a folder of this name: lower case, with single hyphens for what no
/// repository's name holds.
#[must_use]
pub fn repository_name(folder: &str) -> String {
    let lower = folder.to_ascii_lowercase();
    let parts = lower.split(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit());
    let name = parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    if check_repository(&lower).is_ok() {
        lower
    } else if name.is_empty() {
        NAMELESS.to_owned()
    } else {
        name
    }
}

/// Why a text names no registry.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RegistryError {
    /// An archive was named.
    #[error("an archive is written as a whole and holds no projects")]
    Archive,
    /// No place could be in it.
    #[error("this is no registry: expected HOST[:PORT][/NAMESPACE] or oci:DIR")]
    Reference(#[source] ReferenceError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(text: &str) -> Registry {
        text.parse().unwrap()
    }

    fn place(text: &str) -> Place {
        text.parse::<Reference>().unwrap().place
    }

    #[test]
    fn a_project_has_a_place_in_a_registry() {
        let namespace: Namespace = "org/team".parse().unwrap();
        for (text, expected) in [
            ("localhost:5000", "localhost:5000/org/team/p"),
            ("registry.example/data/", "registry.example/data/org/team/p"),
            ("oci://registry.example/data", "registry.example/data/org/team/p"),
            ("oci:/srv/bundles", "oci:/srv/bundles/org/team/p"),
        ] {
            assert_eq!(registry(text).place(Some(&namespace), "p").unwrap(), place(expected));
        }
        for text in [
            "",
            "https://host",
            "oci:///srv",
            "host/Team",
            "oci:",
            "oci-archive:a",
            "host:x",
            "u:p@host",
            "host/a:t",
        ] {
            assert!(text.parse::<Registry>().is_err(), "{text}");
        }
        for text in ["", "/", "a//b", "../a", "A", "a/"] {
            assert!(text.parse::<Namespace>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_project_keeps_its_name_where_it_goes() {
        for (from, at, to, expected) in [
            (None, "localhost:5000/pyproj", "registry.example/team", Some("registry.example/team/pyproj")),
            (None, "localhost:5000/a/p", "registry.example", Some("registry.example/a/p")),
            (Some("localhost:5000/a"), "localhost:5000/a/p", "registry.example", Some("registry.example/p")),
            (Some("elsewhere.example"), "localhost:5000/a/p", "other.example", Some("other.example/a/p")),
            (Some("oci:/srv"), "oci:/srv/a/p", "other.example", Some("other.example/a/p")),
            (None, "other.example/team/p", "other.example/team", Some("other.example/team/p")),
            (Some("localhost:5000"), "localhost:5000/p", "oci:/srv", Some("oci:/srv/p")),
            (None, "oci:/home/x/p-1234", "other.example", None),
            (Some("oci:/srv"), "oci:/srv2/p", "other.example", None),
        ] {
            let from = from.map(registry);
            let moved = registry(to).take_over(&place(at), from.as_ref()).unwrap();
            assert_eq!(moved, expected.map(place), "{at} to {to}");
        }
        // What a folder may be called a repository may not always.
        assert!(
            registry("host.example").take_over(&place("oci:/srv/P"), Some(&registry("oci:/srv"))).is_err()
        );
    }

    #[test]
    fn a_folder_gives_its_name() {
        for (folder, name) in [
            ("seir", "seir"),
            ("My Model (v2)", "my-model-v2"),
            ("a_b.c-d", "a_b.c-d"),
            ("_x_", "x"),
            ("a._b", "a-b"),
            ("数据", "project"),
            ("Grün", "gr-n"),
        ] {
            assert_eq!(repository_name(folder), name);
            assert!(check_repository(name).is_ok());
        }
    }
}
