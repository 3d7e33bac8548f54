//! Named environments: a registry, and perhaps an external store, under a name that a project can be switched to.
//!
//! They are the user's, not a project's: one file of our own, `modelops-bundle/config.yaml` in the user's folder for
//! settings, and what the Python tool keeps, `~/.modelops/bundle-env/NAME.yaml`. Nothing else of those is taken, least of
//! all a password.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use bundle_core::name::reference::{Place, Reference, ReferenceError};
use bundle_core::name::relocate::{Namespace, Registry, RegistryError, repository_name};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::project::atomic::write_atomically;
use crate::project::config::{MAX_CONFIG_BYTES, SetError};
use crate::project::folder;
use crate::project::{Config, Project};
use crate::user_folders::UserFolders;
use crate::whole_file::{self, Links, excerpt};

/// Our file, in the user's folder for settings.
const OWN_FILE: &str = "modelops-bundle/config.yaml";

/// The folder of the Python tool, in the user's own.
const PYTHON_FOLDER: &str = ".modelops/bundle-env";

/// The longest name of an environment.
const MAX_NAME: usize = 128;

/// The longest file with such a name in it that is read, in bytes: whoever wrote it may have put lines around it.
const MAX_NAME_BYTES: u64 = 4096;

/// What an environment is called: letters, digits, `.`, `_` and `-`, the first of them none of `.` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EnvironmentName(Box<str>);

impl EnvironmentName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EnvironmentName {
    type Err = EnvironmentError;

    fn from_str(text: &str) -> Result<Self, EnvironmentError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if text.is_empty() || text.len() > MAX_NAME || text.starts_with(['.', '-']) || !text.chars().all(fits)
        {
            return Err(EnvironmentError::Name { name: text.to_owned() });
        }
        Ok(Self(text.into()))
    }
}

/// What an environment gives to a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// Where its projects are, if it says so.
    pub registry: Option<Registry>,
    /// Where large files are, if it says so.
    pub storage: Option<ExternalStore>,
    /// The file that says so.
    pub file: PathBuf,
}

/// An external store, as the settings `storage.*` name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalStore {
    /// Its kind.
    pub provider: String,
    /// The bucket or container.
    #[serde(default)]
    pub container: String,
    /// What its keys start with.
    #[serde(default)]
    pub prefix: String,
}

/// All environments of a user, and what he wants where nothing else is said.
#[derive(Debug, Default)]
pub struct Environments {
    /// The environment that a new project gets.
    pub default: Option<EnvironmentName>,
    /// The namespace that a new project gets in a registry.
    pub namespace: Option<Namespace>,
    /// Each environment.
    pub environments: BTreeMap<EnvironmentName, Environment>,
    /// Files of the Python tool that are no environments.
    pub faults: Vec<EnvironmentError>,
}

/// What our file says; whatever else it holds is for other versions.
#[derive(Deserialize)]
struct OwnFile {
    environment: Option<String>,
    namespace: Option<String>,
    #[serde(default)]
    environments: BTreeMap<String, OwnEnvironment>,
}

#[derive(Deserialize)]
struct OwnEnvironment {
    registry: Option<String>,
    storage: Option<ExternalStore>,
}

#[derive(Deserialize)]
struct PythonFile {
    registry: PythonRegistry,
    storage: Option<ExternalStore>,
}

#[derive(Deserialize)]
struct PythonRegistry {
    login_server: String,
}

impl Environments {
    /// Reads those of the user who runs this process.
    ///
    /// # Errors
    ///
    /// Where our file cannot be taken. One of the Python tool that cannot is only noted.
    pub fn read() -> Result<Self, EnvironmentError> {
        let user = UserFolders::of_process();
        let own = user.as_ref().map(|user| user.config.join(OWN_FILE));
        let python = user.map(|user| user.home.join(PYTHON_FOLDER));
        Self::read_from(own.as_deref(), python.as_deref())
    }

    fn read_from(own: Option<&Path>, python: Option<&Path>) -> Result<Self, EnvironmentError> {
        let mut found = Self::default();
        for file in python.map(yaml_files).transpose()?.unwrap_or_default() {
            match read_python(&file) {
                Ok((name, environment)) => _ = found.environments.insert(name, environment),
                Err(fault) => found.faults.push(fault),
            }
        }
        let Some(file) = own else { return Ok(found) };
        let Some(said) = read_yaml::<Option<OwnFile>>(file)?.flatten() else { return Ok(found) };
        found.default = said.environment.map(|name| name.parse()).transpose()?;
        found.namespace = said
            .namespace
            .map(|namespace| namespace.parse())
            .transpose()
            .map_err(|source| EnvironmentError::Namespace { file: file.to_owned(), source })?;
        for (name, OwnEnvironment { registry, storage }) in said.environments {
            let registry = registry.map(|registry| parse_registry(&registry, file)).transpose()?;
            found
                .environments
                .insert(name.parse()?, Environment { registry, storage, file: file.to_owned() });
        }
        Ok(found)
    }

    /// The environment of this name.
    ///
    /// # Errors
    ///
    /// [`EnvironmentError::Unknown`], with the names that there are.
    pub fn get(&self, name: &EnvironmentName) -> Result<&Environment, EnvironmentError> {
        self.environments.get(name).ok_or_else(|| EnvironmentError::Unknown {
            name: name.as_str().to_owned(),
            known: self.environments.keys().map(|name| name.as_str().to_owned()).collect(),
        })
    }
}

fn yaml_files(folder: &Path) -> Result<Vec<PathBuf>, EnvironmentError> {
    let fault = |source| EnvironmentError::Read { file: folder.to_owned(), source };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(fault(error)),
    };
    let mut files: Vec<PathBuf> =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>().map_err(fault)?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    Ok(files)
}

fn read_python(file: &Path) -> Result<(EnvironmentName, Environment), EnvironmentError> {
    let name = file.file_stem().unwrap_or_default().to_string_lossy().parse()?;
    let said: Option<PythonFile> = read_yaml(file)?;
    let PythonFile { registry, storage } = said.ok_or_else(|| EnvironmentError::Read {
        file: file.to_owned(),
        source: ErrorKind::NotFound.into(),
    })?;
    let registry = Some(parse_registry(&registry.login_server, file)?);
    Ok((name, Environment { registry, storage, file: file.to_owned() }))
}

/// Reads a file; `None` where there is none.
fn read_yaml<T: serde::de::DeserializeOwned>(file: &Path) -> Result<Option<T>, EnvironmentError> {
    let fault = |source| EnvironmentError::Read { file: file.to_owned(), source };
    let text = match whole_file::read_text(file, MAX_CONFIG_BYTES, Links::Follow) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fault(error)),
    };
    serde_saphyr::from_str(&text).map(Some).map_err(|error| EnvironmentError::Yaml {
        file: file.to_owned(),
        line: error.location().map(|location| location.line()),
    })
}

fn parse_registry(text: &str, file: &Path) -> Result<Registry, EnvironmentError> {
    let fault = |source| EnvironmentError::Registry { file: file.to_owned(), source };
    let registry: Registry = text.parse().map_err(fault)?;
    match registry.place(None, "name") {
        // It would mean another folder from wherever it is used.
        Ok(Place::Layout { directory }) if Path::new(&directory).is_relative() => {
            Err(EnvironmentError::Relative { file: file.to_owned(), registry: text.to_owned() })
        }
        _ => Ok(registry),
    }
}

/// The name of the environment that a project is pinned to.
pub fn pinned(project: &Project) -> Result<Option<EnvironmentName>, EnvironmentError> {
    let file = project.environment_file();
    match whole_file::read_text(&file, MAX_NAME_BYTES, Links::Refuse) {
        Ok(name) if name.trim().is_empty() => Ok(None),
        Ok(name) => name.trim().parse().map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(EnvironmentError::Read { file, source }),
    }
}

/// Where the environment that a project is pinned to takes the Python tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// The environment.
    pub environment: EnvironmentName,
    /// The place: the project's folder name in the environment's registry, whatever the project's settings name.
    pub place: Reference,
    /// Whether the settings name the same place.
    pub agrees: bool,
}

impl Pinned {
    /// Reads what the Python tool would; `None` where the project is pinned to nothing that it knows.
    ///
    /// # Errors
    ///
    /// Where the pin or the environment's file cannot be taken.
    pub fn read(project: &Project, config: &Config) -> Result<Option<Self>, EnvironmentError> {
        let Some(user) = UserFolders::of_process() else { return Ok(None) };
        Self::read_from(&user.home.join(PYTHON_FOLDER), project, config)
    }

    fn read_from(
        folder: &Path,
        project: &Project,
        config: &Config,
    ) -> Result<Option<Self>, EnvironmentError> {
        let Some(environment) = pinned(project)? else { return Ok(None) };
        let file = folder.join(format!("{}.yaml", environment.as_str()));
        let Some(PythonFile { registry, .. }) = read_yaml(&file)? else { return Ok(None) };
        let registry = parse_registry(&registry.login_server, &file)?;
        let place = place_of_project(&registry, None, project)?;
        let configured = config.registry_ref.as_ref();
        let agrees = configured.is_some_and(|configured| is_same(&configured.place, &place.place));
        Ok(Some(Self { environment, place, agrees }))
    }
}

/// Whether both are one place: hosts are spelled in any case, and this machine has several names.
fn is_same(a: &Place, b: &Place) -> bool {
    match (a, b) {
        (Place::Repository { host: a, name }, Place::Repository { host: b, name: other }) => {
            name == other && one_spelling(a) == one_spelling(b)
        }
        _ => a == b,
    }
}

fn one_spelling(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    match ["localhost", "127.0.0.1", "[::1]"].iter().find_map(|name| host.strip_prefix(name)) {
        Some(port) if port.is_empty() || port.starts_with(':') => format!("localhost{port}"),
        _ => host,
    }
}

/// Pins a project to no environment: its settings count for every tool.
pub fn unpin(project: &Project) -> Result<(), EnvironmentError> {
    let file = project.environment_file();
    match std::fs::remove_file(&file) {
        Err(source) if source.kind() != ErrorKind::NotFound => Err(EnvironmentError::Write { file, source }),
        _ => Ok(()),
    }
}

/// Pins a project to an environment, whose name the Python tool reads too.
pub fn pin(project: &Project, name: &EnvironmentName) -> Result<(), EnvironmentError> {
    write_atomically(project, folder::ENVIRONMENT, name.as_str().as_bytes())
        .map_err(|source| EnvironmentError::Write { file: project.environment_file(), source })
}

/// The place of a new project in a registry: its folder's name, in a namespace if one is wanted.
pub fn place_of_project(
    registry: &Registry,
    namespace: Option<&Namespace>,
    project: &Project,
) -> Result<Reference, EnvironmentError> {
    let folder = project.root().file_name().unwrap_or_default().to_string_lossy();
    let place = registry.place(namespace, &repository_name(&folder));
    let place = place.map_err(|source| EnvironmentError::Place { registry: registry.to_string(), source })?;
    Ok(Reference { place, tag: None, digest: None })
}

/// Takes the settings of a project from one environment to another: out goes what the one gave, in comes what the other
/// gives, and whatever is neither stays.
///
/// # Errors
///
/// Where the project can have no place in the new registry.
pub fn switch(
    config: &mut Config,
    project: &Project,
    from: Option<&Environment>,
    to: &Environment,
    namespace: Option<&Namespace>,
) -> Result<(), EnvironmentError> {
    if let Some(registry) = &to.registry {
        let former = from.and_then(|from| from.registry.as_ref());
        let remote = match &config.registry_ref {
            Some(remote) => registry
                .take_over(&remote.place, former)
                .map_err(|source| EnvironmentError::Place { registry: registry.to_string(), source })?
                .map(|place| Reference { place, ..remote.clone() }),
            None => None,
        };
        let remote = match remote {
            Some(remote) => remote,
            None => place_of_project(registry, namespace, project)?,
        };
        config.set_value("registry_ref", remote.to_string().into())?;
    }
    let given = from.and_then(|from| from.storage.as_ref());
    let storage = &config.storage;
    let now = [&storage.provider, &storage.container, &storage.prefix].map(String::as_str);
    let is_given = given.is_some_and(|store| store.values() == now);
    match &to.storage {
        Some(store) => store.put_into(config)?,
        None if is_given => {
            for key in ExternalStore::KEYS {
                config.unset(key)?;
            }
        }
        None => {}
    }
    Ok(())
}

impl ExternalStore {
    const KEYS: [&'static str; 3] = ["storage.provider", "storage.container", "storage.prefix"];

    fn values(&self) -> [&str; 3] {
        [&self.provider, &self.container, &self.prefix]
    }

    fn put_into(&self, config: &mut Config) -> Result<(), SetError> {
        for (key, value) in Self::KEYS.into_iter().zip(self.values()) {
            config.set_value(key, value.into())?;
        }
        Ok(())
    }
}

/// Why environments cannot be had, or a project not be switched to one.
#[derive(Debug, Error)]
pub enum EnvironmentError {
    /// A name is none.
    #[error("`{}` is not a name of an environment", excerpt(name))]
    Name {
        /// The text.
        name: String,
    },
    /// The default namespace is none.
    #[error("{}: `namespace` has a wrong value", file.display())]
    Namespace {
        /// The user's file.
        file: PathBuf,
        /// What is wrong.
        source: ReferenceError,
    },
    /// The project can have no place in a registry.
    #[error("the project can have no place in {registry}")]
    Place {
        /// The registry.
        registry: String,
        /// What is wrong.
        source: ReferenceError,
    },
    /// A file or folder cannot be read.
    #[error("cannot read {}", file.display())]
    Read {
        /// The file or folder.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An environment's registry is none.
    #[error("{}: an environment's registry has a wrong value", file.display())]
    Registry {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        source: RegistryError,
    },
    /// An environment's folder depends on where the user is.
    #[error("{}: the registry `{}` is not an absolute folder", file.display(), excerpt(registry))]
    Relative {
        /// The file.
        file: PathBuf,
        /// The text.
        registry: String,
    },
    /// A setting could not be changed.
    #[error(transparent)]
    Set(#[from] SetError),
    /// No environment has this name.
    #[error("there is no environment `{name}`")]
    Unknown {
        /// The name.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// The name of the pinned environment cannot be written.
    #[error("cannot write {}", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not say what it should. Its text may hold a password, so that nothing of it is repeated.
    #[error("{} does not hold environments in YAML{}", file.display(), at(*line))]
    Yaml {
        /// The file.
        file: PathBuf,
        /// The line on which that shows, counted from 1.
        line: Option<u64>,
    },
}

fn at(line: Option<u64>) -> String {
    line.map(|line| format!(": see line {line}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const OWN: &str = "environment: lab
namespace: org/team
environments:
  lab:
    registry: registry.example/data
  cloud:
    registry: cloud.example
    storage: {provider: s3, container: bundles, endpoint: https://s3.example}
  local:
    registry: oci:/srv/bundles
later: 1
";

    const PYTHON: &str = "environment: dev
registry:
  provider: docker
  login_server: localhost:5555
  username: me
  password: secret
storage:
  provider: azure
  container: modelops
  connection_string: secret
";

    fn name(text: &str) -> EnvironmentName {
        text.parse().unwrap()
    }

    fn read(own: &str, python: &[(&str, &str)]) -> Result<Environments, EnvironmentError> {
        let folder = TempDir::new().unwrap();
        let (file, python_folder) = (folder.path().join("config.yaml"), folder.path().join("bundle-env"));
        std::fs::write(&file, own).unwrap();
        std::fs::create_dir(&python_folder).unwrap();
        for (name, text) in python {
            std::fs::write(python_folder.join(name), text).unwrap();
        }
        Environments::read_from(Some(&file), Some(&python_folder))
    }

    #[test]
    fn both_tools_files_are_read() {
        let found = read(OWN, &[("dev.yaml", PYTHON), ("local.yaml", PYTHON), ("notes.txt", "x")]).unwrap();
        assert_eq!(found.default, Some(name("lab")));
        assert_eq!(found.namespace.as_ref().unwrap().to_string(), "org/team");
        let registry = |of: &str| found.get(&name(of)).unwrap().registry.as_ref().unwrap().to_string();
        assert_eq!([registry("lab"), registry("dev")], ["registry.example/data", "localhost:5555"]);
        // Our own file is nearer.
        assert_eq!(registry("local"), "oci:/srv/bundles");
        let store = found.get(&name("dev")).unwrap().storage.as_ref().unwrap();
        assert_eq!(store.values(), ["azure", "modelops", ""]);
        assert!(!format!("{found:?}").contains("secret"));
        let EnvironmentError::Unknown { known, .. } = found.get(&name("x")).unwrap_err() else { panic!() };
        assert_eq!(known, ["cloud", "dev", "lab", "local"]);
        let none = Environments::read_from(Some(Path::new("/nowhere")), Some(Path::new("/nowhere"))).unwrap();
        assert!(none.environments.is_empty() && none.default.is_none());
        assert!(read("", &[]).unwrap().environments.is_empty());
    }

    #[test]
    fn what_is_no_environment_is_named_without_its_text() {
        let password = "registry:\n  password: secret\n  login_server: [secret]\n";
        let found = read("", &[("a.yaml", password), ("b.yaml", ""), ("c d.yaml", PYTHON)]).unwrap();
        assert_eq!((found.environments.len(), found.faults.len()), (0, 3));
        assert!(found.faults.iter().all(|fault| !format!("{fault:?} {fault}").contains("secret")));
        for own in [
            "environments: {a: {registry: 'https://x'}}",
            "environments: {a: {registry: 'oci:here'}}",
            "environments: {'../a': {}}",
            "namespace: A",
            "environment: ''",
            "- a",
        ] {
            assert!(read(own, &[]).is_err(), "{own}");
        }
    }

    #[test]
    fn a_switch_takes_out_what_the_last_one_gave() {
        let found = read(OWN, &[]).unwrap();
        let folder = TempDir::new().unwrap();
        let project = Project::create(&folder.path().join("Model")).unwrap();
        let mut config = Config::read(&project).unwrap();
        let mut last = None;
        for (to, remote, provider) in [
            ("lab", "registry.example/data/org/team/model", ""),
            ("cloud", "cloud.example/org/team/model", "s3"),
            ("local", "oci:/srv/bundles/org/team/model", ""),
            ("lab", "registry.example/data/org/team/model", ""),
        ] {
            let to = found.get(&name(to)).unwrap();
            switch(&mut config, &project, last, to, found.namespace.as_ref()).unwrap();
            assert_eq!(config.registry_ref.as_ref().unwrap().to_string(), remote);
            assert_eq!(config.storage.provider, provider);
            last = Some(to);
        }
        // A store of the project's own stays.
        config.set_value("storage.provider", "gcs".into()).unwrap();
        switch(&mut config, &project, found.environments.get(&name("cloud")), last.unwrap(), None).unwrap();
        assert_eq!(config.storage.provider, "gcs");
    }

    #[test]
    fn a_pin_that_takes_the_python_tool_elsewhere_is_found() {
        let top = TempDir::new().unwrap();
        let project = Project::create(&top.path().join("Pj")).unwrap();
        std::fs::write(top.path().join("dev.yaml"), PYTHON).unwrap();
        let read = |remote: &str| {
            let config =
                Config::from_yaml(&format!("registry_ref: {remote}"), Path::new("config.yaml")).unwrap();
            Pinned::read_from(top.path(), &project, &config)
        };
        assert_eq!(read("localhost:5555/pj").unwrap(), None);
        pin(&project, &name("other")).unwrap();
        assert_eq!(read("localhost:5555/pj").unwrap(), None, "the Python tool does not know it");
        pin(&project, &name("dev")).unwrap();
        for (remote, agrees) in [
            ("localhost:5555/pj", true),
            ("LOCALHOST:5555/pj:v1", true),
            ("127.0.0.1:5555/pj", true),
            ("localhost:5556/pj", false),
            ("localhost:5555/team/pj", false),
            ("localhost:5555/pj2", false),
            ("registry.example/pj", false),
            ("oci:/srv/pj", false),
            ("''", false),
        ] {
            let found = read(remote).unwrap().unwrap();
            assert_eq!(
                (found.place.to_string().as_str(), found.agrees),
                ("localhost:5555/pj", agrees),
                "{remote}"
            );
        }
        unpin(&project).unwrap();
        unpin(&project).unwrap();
        assert_eq!(read("localhost:5556/pj").unwrap(), None);
    }

    #[test]
    fn a_pin_is_read_back() {
        let folder = TempDir::new().unwrap();
        let project = Project::create(folder.path()).unwrap();
        assert_eq!(pinned(&project).unwrap(), None);
        pin(&project, &name("lab")).unwrap();
        assert_eq!(pinned(&project).unwrap(), Some(name("lab")));
        std::fs::write(project.environment_file(), "two words").unwrap();
        assert!(matches!(pinned(&project), Err(EnvironmentError::Name { .. })));
    }
}
