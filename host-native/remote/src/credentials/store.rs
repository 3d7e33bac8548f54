//! Where credentials are looked for, kept and forgotten.

use std::path::PathBuf;

use super::azure;
use super::config::{Config, ConfigPlace};
use super::helper::Helper;
use super::lock::ConfigLock;
use super::server::Server;
use super::{Audience, Credentials, CredentialsError, Found, Origin};
use crate::files::user_folders::UserFolders;

/// The variable of the user's name.
const USER: &str = "MODELOPS_BUNDLE_USERNAME";

/// The variable of the password.
const PASSWORD: &str = "MODELOPS_BUNDLE_PASSWORD";

/// The two that the Python tool reads.
const PYTHON_USER: &str = "REGISTRY_USERNAME";
const PYTHON_PASSWORD: &str = "REGISTRY_PASSWORD";

/// The variable that holds what Docker's file would.
const AUTH_CONFIG: &str = "DOCKER_AUTH_CONFIG";

/// The variable of the registry that those two are for.
const REGISTRY: &str = "MODELOPS_BUNDLE_REGISTRY";

/// What the environment says about credentials.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Environment {
    /// `MODELOPS_BUNDLE_USERNAME`.
    pub user: Option<String>,
    /// `MODELOPS_BUNDLE_PASSWORD`.
    pub password: Option<String>,
    /// `REGISTRY_USERNAME` and `REGISTRY_PASSWORD`, where both are set.
    pub python: Option<(String, String)>,
    /// `MODELOPS_BUNDLE_REGISTRY`: the only host, or `HOST/PATH`, that a user and a password are for.
    pub registry: Option<String>,
    /// `DOCKER_AUTH_CONFIG`: the text of a file of Docker's.
    pub auth_config: Option<String>,
    /// `REGISTRY_AUTH_FILE`: the only file, as Podman has it.
    pub auth_file: Option<PathBuf>,
    /// Docker's folder: `DOCKER_CONFIG`, or `.docker` in the user's own.
    pub docker_folder: Option<PathBuf>,
    /// The folders in which Podman keeps `containers/auth.json`.
    pub podman_folders: Vec<PathBuf>,
    /// Azure's command line, which is asked for the login of Azure's registries; no program is run without.
    pub azure: Option<String>,
}

impl Environment {
    /// What the environment of this process says. An empty variable is none.
    pub fn of_process() -> Self {
        let path = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let text = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let (home, config) = UserFolders::of_process().map(|user| (user.home, user.config)).unzip();
        Self {
            user: text(USER),
            password: text(PASSWORD),
            python: text(PYTHON_USER).zip(text(PYTHON_PASSWORD)),
            registry: text(REGISTRY),
            auth_config: text(AUTH_CONFIG),
            auth_file: path("REGISTRY_AUTH_FILE"),
            docker_folder: path("DOCKER_CONFIG").or_else(|| home.map(|home| home.join(".docker"))),
            podman_folders: path("XDG_RUNTIME_DIR").into_iter().chain(config).collect(),
            azure: Some(azure::PROGRAM.to_owned()),
        }
    }

    /// The credentials that are in the environment itself.
    fn credentials(&self, server: &Server) -> Result<Option<Found>, CredentialsError> {
        match self.variables(server)? {
            Some(found) => Ok(Some(found)),
            None => self.auth_config()?.map_or(Ok(None), |config| config.credentials(server)),
        }
    }

    /// Those that are in two variables.
    fn variables(&self, server: &Server) -> Result<Option<Found>, CredentialsError> {
        let audience = match &self.registry {
            Some(registry) if server.fit(registry).is_none() => return Ok(None),
            Some(_) => Audience::One,
            None => Audience::Anyone,
        };
        let found = |names: (&'static str, &'static str), (user, password): (&String, &String)| Found {
            credentials: Credentials::Password { user: user.clone(), password: password.clone() },
            origin: Origin::Variables { user: names.0, password: names.1, audience },
        };
        match (&self.user, &self.password) {
            (Some(user), Some(password)) => Ok(Some(found((USER, PASSWORD), (user, password)))),
            (Some(_), None) => Err(CredentialsError::Environment { present: USER, missing: PASSWORD }),
            (None, Some(_)) => Err(CredentialsError::Environment { present: PASSWORD, missing: USER }),
            (None, None) => {
                let python = self.python.as_ref();
                Ok(python.map(|(user, password)| found((PYTHON_USER, PYTHON_PASSWORD), (user, password))))
            }
        }
    }

    /// What a variable holds in place of a file. Docker reads the credentials alone in it, and names no helpers there.
    fn auth_config(&self) -> Result<Option<Config>, CredentialsError> {
        let text = self.auth_config.as_ref();
        text.map(|text| Config::parse(ConfigPlace::Variable(AUTH_CONFIG), text.as_bytes())).transpose()
    }

    /// The files to look into, in their order; the first one is that which is written.
    fn files(&self) -> Vec<PathBuf> {
        if let Some(file) = &self.auth_file {
            return vec![file.clone()];
        }
        let docker = self.docker_folder.iter().map(|folder| folder.join("config.json"));
        docker
            .chain(self.podman_folders.iter().map(|folder| folder.join("containers").join("auth.json")))
            .collect()
    }
}

/// The user's credentials, in all the places where they may be.
///
/// The environment's go first: two variables of ours, those of the Python tool, and `DOCKER_AUTH_CONFIG`, which goes before
/// files in Docker as well. Then each file is asked: by the helper that it names for the registry or for all of them,
/// then in the file itself, where the most specific entry counts. The first that has any ends the search. Where none has,
/// Azure's command line is asked for a registry of Azure, as the Python tool does.
#[derive(Clone)]
pub struct Store {
    environment: Environment,
}

/// Where credentials are kept now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// With a helper, by the name of its program.
    Helper(String),
    /// In a file, for everyone to read who can read that.
    File(PathBuf),
}

/// What became of credentials that were to be forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Where they were.
    pub removed: Vec<Kept>,
    /// Files that are not ours to write and still have some.
    pub left: Vec<PathBuf>,
    /// Whether the environment still has some.
    pub in_environment: bool,
}

impl Store {
    /// The store that an environment describes.
    pub fn new(environment: Environment) -> Self {
        Self { environment }
    }

    /// Looks for the credentials of a server.
    ///
    /// # Errors
    ///
    /// Any [`CredentialsError`] but those of writing: a place that cannot be understood is never taken for an empty one.
    pub async fn find(&self, server: &Server) -> Result<Option<Found>, CredentialsError> {
        if let Some(found) = self.environment.credentials(server)? {
            return Ok(Some(found));
        }
        for path in self.environment.files() {
            let config = Config::read(&path)?;
            if let Some(helper) = helper(&config, server)?
                && let Some(credentials) = helper.find(server).await?
            {
                let origin = Origin::Helper { program: helper.program().to_owned() };
                return Ok(Some(Found { credentials, origin }));
            }
            if let Some(found) = config.credentials(server)? {
                return Ok(Some(found));
            }
        }
        let Some(program) = &self.environment.azure else { return Ok(None) };
        let found = azure::find(program, server).await?;
        Ok(found.map(|(registry, credentials)| Found { credentials, origin: Origin::Azure { registry } }))
    }

    /// Keeps the credentials of a registry: with the helper that is configured for it, else in the file.
    ///
    /// # Errors
    ///
    /// Any [`CredentialsError`]; the file is then as it was.
    pub async fn save(&self, server: &Server, credentials: &Credentials) -> Result<Kept, CredentialsError> {
        let path = self.environment.files().into_iter().next().ok_or(CredentialsError::NoHome)?;
        if let Some(helper) = helper(&Config::read(&path)?, server)? {
            helper.store(server, credentials).await?;
            return Ok(Kept::Helper(helper.program().to_owned()));
        }
        // Read again: another login may have written it since.
        let _lock = ConfigLock::acquire(&path).await;
        let mut config = Config::read(&path)?;
        config.insert(server, credentials)?;
        config.write(&path)?;
        Ok(Kept::File(path))
    }

    /// Where [`save`](Self::save) would keep the credentials of a registry.
    ///
    /// # Errors
    ///
    /// Any [`CredentialsError`] of finding that out.
    pub fn place(&self, server: &Server) -> Result<Kept, CredentialsError> {
        let path = self.environment.files().into_iter().next().ok_or(CredentialsError::NoHome)?;
        let helper = helper(&Config::read(&path)?, server)?;
        Ok(helper.map_or(Kept::File(path), |helper| Kept::Helper(helper.program().to_owned())))
    }

    /// What [`forget`](Self::forget) would do; nothing is changed.
    ///
    /// # Errors
    ///
    /// Any [`CredentialsError`] of finding that out.
    pub async fn would_forget(&self, server: &Server) -> Result<Forgotten, CredentialsError> {
        let mut files = self.environment.files().into_iter();
        let path = files.next().ok_or(CredentialsError::NoHome)?;
        let mut config = Config::read(&path)?;
        let mut removed = Vec::new();
        if let Some(helper) = helper(&config, server)?
            && helper.find(server).await?.is_some()
        {
            removed.push(Kept::Helper(helper.program().to_owned()));
        }
        if config.remove(server)? {
            removed.push(Kept::File(path));
        }
        self.left_in(files, server, removed)
    }

    /// What still has credentials of a registry once those in `removed` are gone.
    fn left_in(
        &self,
        files: impl Iterator<Item = PathBuf>,
        server: &Server,
        removed: Vec<Kept>,
    ) -> Result<Forgotten, CredentialsError> {
        let mut left = Vec::new();
        for path in files {
            if Config::read(&path)?.credentials(server)?.is_some() {
                left.push(path);
            }
        }
        let in_environment = self.environment.credentials(server)?.is_some();
        Ok(Forgotten { removed, left, in_environment })
    }

    /// Forgets the credentials of a registry, where [`save`](Self::save) keeps them.
    ///
    /// # Errors
    ///
    /// Any [`CredentialsError`].
    pub async fn forget(&self, server: &Server) -> Result<Forgotten, CredentialsError> {
        let mut files = self.environment.files().into_iter();
        let path = files.next().ok_or(CredentialsError::NoHome)?;
        let mut config = Config::read(&path)?;
        let mut removed = Vec::new();
        if let Some(helper) = helper(&config, server)?
            && helper.erase(server).await?
        {
            removed.push(Kept::Helper(helper.program().to_owned()));
        }
        if config.remove(server)? {
            let _lock = ConfigLock::acquire(&path).await;
            let mut config = Config::read(&path)?;
            config.remove(server)?;
            config.write(&path)?;
            removed.push(Kept::File(path));
        }
        self.left_in(files, server, removed)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("files", &self.environment.files()).finish_non_exhaustive()
    }
}

fn helper(config: &Config, server: &Server) -> Result<Option<Helper>, CredentialsError> {
    Ok(config.helper(server)?.map(|name| Helper::new(&name, config.place().clone())))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn environment() -> Environment {
        Environment { user: Some("me".to_owned()), password: Some("pw".to_owned()), ..Environment::default() }
    }

    #[tokio::test]
    async fn the_environments_are_for_one_registry_where_it_says_so() {
        let server = Server::new("r.example:5000", "team/model");
        let found = async |registry: Option<&str>| {
            let registry = registry.map(str::to_owned);
            Store::new(Environment { registry, ..environment() }).find(&server).await.unwrap().is_some()
        };
        assert!(found(None).await && found(Some("r.example:5000")).await);
        assert!(found(Some("https://r.example:5000/team")).await);
        for other in ["r.example", "r.example:5000/other", "x.example"] {
            assert!(!found(Some(other)).await, "{other}");
        }
        let half = Environment { password: None, ..environment() };
        assert!(matches!(Store::new(half).find(&server).await, Err(CredentialsError::Environment { .. })));
    }

    #[tokio::test]
    async fn variables_of_other_programs_count_after_ours_and_before_files() {
        let server = Server::new("r.example", "team/model");
        let folder = tempfile::tempdir().unwrap();
        let entry =
            |user: &str| format!(r#"{{"auths":{{"r.example":{{"username":"{user}","password":"x"}}}}}}"#);
        let file = folder.path().join("auth.json");
        fs::write(&file, entry("file")).unwrap();
        let mut environment = Environment { auth_file: Some(file), ..Environment::default() };
        let found = async |environment: &Environment| {
            Store::new(environment.clone()).find(&server).await.unwrap().unwrap()
        };
        assert_eq!(found(&environment).await.credentials.user(), "file");
        environment.auth_config = Some(entry("docker"));
        let docker = found(&environment).await;
        assert_eq!(
            (docker.credentials.user(), docker.origin),
            ("docker", Origin::Variable { name: AUTH_CONFIG })
        );
        // The helper that it may name is not run, and what is for another host does not count.
        environment.auth_config =
            Some(r#"{"credsStore":"absent","auths":{"x.example":{"auth":"YTpi"}}}"#.to_owned());
        assert_eq!(found(&environment).await.credentials.user(), "file");
        environment.python = Some(("python".to_owned(), "x".to_owned()));
        assert_eq!(found(&environment).await.credentials.user(), "python");
        environment.user = Some("ours".to_owned());
        environment.password = Some("x".to_owned());
        assert_eq!(found(&environment).await.credentials.user(), "ours");
        environment.registry = Some("other.example".to_owned());
        assert_eq!(found(&environment).await.credentials.user(), "file");
        environment.auth_config = Some("{".to_owned());
        let error = Store::new(environment).find(&server).await.unwrap_err();
        assert!(
            error.to_string().starts_with("the environment variable DOCKER_AUTH_CONFIG cannot be"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn files_are_asked_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        let write = |path: &str, user: &str| {
            fs::create_dir_all(at(path).parent().unwrap()).unwrap();
            let text = format!(r#"{{"auths":{{"r.example":{{"username":"{user}","password":"pw"}}}}}}"#);
            fs::write(at(path), text).unwrap();
        };
        let environment = Environment {
            docker_folder: Some(at("docker")),
            podman_folders: vec![at("run"), at("config")],
            ..Environment::default()
        };
        let (server, store) = (Server::new("r.example", "a"), Store::new(environment.clone()));
        assert_eq!(store.find(&server).await.unwrap(), None);
        for (path, user) in [
            ("config/containers/auth.json", "third"),
            ("run/containers/auth.json", "second"),
            ("docker/config.json", "first"),
        ] {
            write(path, user);
            assert_eq!(store.find(&server).await.unwrap().unwrap().credentials.user(), user);
        }
        let forgotten = store.forget(&server).await.unwrap();
        assert_eq!(forgotten.removed, [Kept::File(at("docker/config.json"))]);
        assert_eq!(forgotten.left.len(), 2);
        write("only.json", "only");
        let only = Store::new(Environment { auth_file: Some(at("only.json")), ..environment });
        assert_eq!(only.find(&server).await.unwrap().unwrap().credentials.user(), "only");
        fs::write(at("only.json"), "{").unwrap();
        assert!(matches!(only.find(&server).await, Err(CredentialsError::Config { .. })));
    }
}
