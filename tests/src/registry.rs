//! A real registry for one test, with a folder and a port of its own: Debian's `docker-registry`, or its next generation.

use crate::http::{self, Request, Response};
use crate::tls::{self, Authority, Certified};
use crate::token_server::TokenServer;
use crate::tools::{self, Place};
use rustls::ClientConfig;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The user that [`Registry::get_with_password`] knows.
pub const USER: &str = "researcher";

/// That user's password.
pub const PASSWORD: &str = "seir-2024";

/// The line of an htpasswd file for [`USER`] and [`PASSWORD`]; bcrypt, at a cost low enough for tests.
const HTPASSWD: &str = "researcher:$2a$05$5K4Dt/2A0A1m6yXxDyqetOS0SUzCbfaVz7.7f04V1suM4RhD10Yf.\n";

/// [`USER`] and [`PASSWORD`] as the header of basic authentication.
const AUTHORIZATION: &str = "Basic cmVzZWFyY2hlcjpzZWlyLTIwMjQ=";

/// How long a registry may take to answer its first request.
const START_LIMIT: Duration = Duration::from_secs(10);

/// Between looking for a free port and the registry taking it, another process may have taken it.
const PORTS_TRIED: usize = 5;

/// Which program serves as a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// Debian's `docker-registry`, 2.8.
    Second,
    /// The distribution project's `registry`, 3.
    Third,
}

impl Generation {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Second, Self::Third];

    fn program(self) -> &'static Place {
        match self {
            Self::Second => &tools::DOCKER_REGISTRY,
            Self::Third => &tools::REGISTRY3,
        }
    }
}

/// What a registry speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaks {
    Plain,
    Tls,
}

/// Whether a registry deletes what it is asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deletes {
    Allowed,
    Off,
}

/// A registry that is not started yet; anyone may read and write, without TLS, unless something else is said.
#[derive(Debug)]
pub struct RegistrySetup {
    generation: Generation,
    has_password: bool,
    deletes: Deletes,
    /// The lines of its configuration below `http`.
    tls: String,
    /// The lines of its configuration below `auth`.
    auth: String,
}

impl RegistrySetup {
    /// A registry of a generation.
    pub fn new(generation: Generation) -> Self {
        Self {
            generation,
            has_password: false,
            deletes: Deletes::Allowed,
            tls: String::new(),
            auth: String::new(),
        }
    }

    /// Only [`USER`] with [`PASSWORD`] may use it, by basic authentication.
    #[must_use]
    pub fn with_password(mut self) -> Self {
        self.has_password = true;
        self
    }

    /// It deletes nothing.
    #[must_use]
    pub fn without_deletes(mut self) -> Self {
        self.deletes = Deletes::Off;
        self
    }

    /// It speaks TLS, and shows this certificate.
    #[must_use]
    pub fn with_tls(mut self, certified: &Certified) -> Self {
        let (certificate, key) = (certified.certificate().display(), certified.key().display());
        self.tls = format!("  tls:\n    certificate: {certificate}\n    key: {key}\n");
        self
    }

    /// It wants a certificate of its clients, signed by this authority; after [`with_tls`](Self::with_tls).
    #[must_use]
    pub fn with_clients_of(mut self, authority: &Authority) -> Self {
        self.tls.push_str(&format!("    clientcas: [{}]\n", authority.certificate().display()));
        self
    }

    /// It takes the tokens of this server.
    #[must_use]
    pub fn with_tokens(mut self, server: &TokenServer) -> Self {
        self.auth = format!(
            "auth:\n  token:\n    realm: {}\n    service: {}\n    issuer: {}\n    rootcertbundle: {}\n",
            server.realm(),
            TokenServer::SERVICE,
            TokenServer::ISSUER,
            server.certificate().display(),
        );
        self
    }

    /// Starts it; see [`Registry::get`].
    #[track_caller]
    pub fn start(self) -> Option<Registry> {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let speaks = if self.tls.is_empty() { Speaks::Plain } else { Speaks::Tls };
        let program = tools::require(self.generation.program())?;
        match launch(&program, folder.path(), &self, speaks) {
            Ok((host, server)) => {
                let authorization = self.has_password.then_some(AUTHORIZATION);
                Some(Registry { host, authorization, server, folder })
            }
            Err(why) => {
                tools::skip(&format!("cannot connect to a registry: {why}"));
                None
            }
        }
    }
}

/// A registry of its own, on loopback, that ends with this value.
///
/// Keep it in the test and not in a `static`: those are never dropped, and the process would stay behind.
#[derive(Debug)]
pub struct Registry {
    host: String,
    authorization: Option<&'static str>,
    server: Child,
    folder: TempDir,
}

impl Registry {
    /// Starts a registry that anyone may read and write.
    ///
    /// `None` where there can be none on this machine: its program is not here, or does not start. The test returns
    /// early then, and counts as skipped; in continuous integration, where `CI` is set, this panics instead.
    ///
    /// ```no_run
    /// # use modelops_bundle_tests::Registry;
    /// let Some(registry) = Registry::get() else { return };
    /// ```
    #[track_caller]
    pub fn get() -> Option<Self> {
        RegistrySetup::new(Generation::Second).start()
    }

    /// Like [`get`](Self::get), and it deletes nothing: as registries are unless told otherwise.
    #[track_caller]
    pub fn get_without_deletes() -> Option<Self> {
        RegistrySetup::new(Generation::Second).without_deletes().start()
    }

    /// Like [`get`](Self::get), and only [`USER`] with [`PASSWORD`] may use it, by basic authentication.
    #[track_caller]
    pub fn get_with_password() -> Option<Self> {
        RegistrySetup::new(Generation::Second).with_password().start()
    }

    /// Where it listens: `127.0.0.1:PORT`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The folder in which it keeps everything, to look into or to damage.
    pub fn storage(&self) -> PathBuf {
        storage(self.folder.path())
    }

    /// Talks to it, as its user where it has one.
    pub fn client(&self) -> RegistryClient {
        let authorization = self.authorization.map(str::to_owned);
        RegistryClient { host: self.host.clone(), authorization, tls: None }
    }

    /// What it printed, for a failure's message.
    pub fn log(&self) -> String {
        fs::read_to_string(log_file(self.folder.path())).unwrap_or_default()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Talks to a registry past the program under test: to see what is there, or to move a tag behind its back.
#[derive(Clone, Debug)]
pub struct RegistryClient {
    host: String,
    authorization: Option<String>,
    tls: Option<Arc<ClientConfig>>,
}

impl RegistryClient {
    /// Talks to whatever registry listens at `host`, in plain HTTP and as nobody.
    pub fn of_host(host: &str) -> Self {
        Self { host: host.to_owned(), authorization: None, tls: None }
    }

    /// Speaks TLS, and trusts this authority.
    #[must_use]
    pub fn trusting(self, authority: &Authority) -> Self {
        Self { tls: Some(authority.client()), ..self }
    }

    /// Shows this token.
    #[must_use]
    pub fn with_token(self, token: &str) -> Self {
        Self { authorization: Some(format!("Bearer {token}")), ..self }
    }

    /// Sends any request.
    #[track_caller]
    pub fn send(&self, request: Request) -> Response {
        let request = match &self.authorization {
            Some(authorization) => request.header("Authorization", authorization),
            None => request,
        };
        let line = http::connect(&self.host)
            .and_then(|socket| tls::to_server(socket, &self.host, self.tls.as_ref()));
        match line.and_then(|line| request.send_over(line, &self.host)) {
            Ok(response) => response,
            Err(error) => panic!("{} did not answer {request:?}: {error}", self.host),
        }
    }

    /// A manifest by its tag or digest, with its digest in the header `Docker-Content-Digest`; nothing when
    /// there is none.
    #[track_caller]
    pub fn manifest(&self, repository: &str, reference: &str) -> Option<Response> {
        self.find(&format!("/v2/{repository}/manifests/{reference}"))
    }

    /// The digest that a tag points to; nothing when there is no such tag.
    #[track_caller]
    pub fn tag_digest(&self, repository: &str, tag: &str) -> Option<String> {
        self.manifest(repository, tag)?.header("Docker-Content-Digest").map(ToOwned::to_owned)
    }

    /// The tags of a repository, sorted; none when there is no such repository.
    #[track_caller]
    pub fn tags(&self, repository: &str) -> Vec<String> {
        let Some(list) = self.find(&format!("/v2/{repository}/tags/list")) else {
            return Vec::new();
        };
        let tags = list.json()["tags"].as_array().cloned().unwrap_or_default();
        let mut tags: Vec<String> =
            tags.iter().filter_map(|tag| tag.as_str().map(ToOwned::to_owned)).collect();
        tags.sort();
        tags
    }

    /// A blob's bytes; nothing when there is none.
    #[track_caller]
    pub fn blob(&self, repository: &str, digest: &str) -> Option<Vec<u8>> {
        self.find(&format!("/v2/{repository}/blobs/{digest}")).map(|response| response.body)
    }

    /// Stores a manifest and points a tag at it; what it refers to must be there.
    #[track_caller]
    pub fn put_manifest(&self, repository: &str, tag: &str, media_type: &str, manifest: &[u8]) {
        let request = Request::new("PUT", &format!("/v2/{repository}/manifests/{tag}"))
            .header("Content-Type", media_type)
            .body(manifest);
        let response = self.send(request);
        assert_eq!(response.status, 201, "the manifest was refused: {response}");
    }

    /// Stores a blob in one request, under a digest that the registry checks.
    #[track_caller]
    pub fn put_blob(&self, repository: &str, digest: &str, content: &[u8]) {
        let opened = self.send(Request::new("POST", &format!("/v2/{repository}/blobs/uploads/")));
        let location = opened.header("Location").unwrap_or_else(|| panic!("no upload was opened: {opened}"));
        let path = location.split_once(&self.host).map_or(location, |(_, path)| path);
        let joined = if path.contains('?') { '&' } else { '?' };
        let request = Request::new("PUT", &format!("{path}{joined}digest={digest}"))
            .header("Content-Type", "application/octet-stream")
            .body(content);
        let response = self.send(request);
        assert_eq!(response.status, 201, "the blob was refused: {response}");
    }

    #[track_caller]
    fn find(&self, path: &str) -> Option<Response> {
        // A registry converts a manifest to an older form for a client that does not say it takes this one.
        let accept =
            "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, */*";
        let response = self.send(Request::new("GET", path).header("Accept", accept));
        match response.status {
            200 => Some(response),
            404 => None,
            _ => panic!("unexpected answer to GET {path}: {response}"),
        }
    }
}

/// Starts the program on a free port and waits until it answers. Returns where it listens as well.
fn launch(
    program: &Path,
    folder: &Path,
    setup: &RegistrySetup,
    speaks: Speaks,
) -> Result<(String, Child), String> {
    let mut why = String::new();
    for _ in 0..PORTS_TRIED {
        let host = free_host();
        let config = folder.join("config.yml");
        fs::write(&config, configuration(folder, &host, setup)).expect("a temporary file can be written");
        fs::write(folder.join("htpasswd"), HTPASSWD).expect("a temporary file can be written");
        let log = File::create(log_file(folder)).expect("a temporary file can be made");
        let spawned = Command::new(program)
            .arg("serve")
            .arg(&config)
            // It would look for a collector of traces otherwise.
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file handle can be copied"))
            .stderr(log)
            .spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) => return Err(format!("cannot run {}: {error}", program.display())),
        };
        match wait_until_it_answers(&mut child, &host, speaks) {
            Ok(()) => return Ok((host, child)),
            Err(reason) => why = reason,
        }
        let _ = child.kill();
        let _ = child.wait();
        why.push('\n');
        why.push_str(&fs::read_to_string(log_file(folder)).unwrap_or_default());
    }
    Err(why)
}

fn wait_until_it_answers(child: &mut Child, host: &str, speaks: Speaks) -> Result<(), String> {
    let deadline = Instant::now() + START_LIMIT;
    loop {
        let answering = answers(host, speaks);
        // In this order: when its port was taken, someone else's server may answer while ours ends.
        if let Ok(Some(status)) = child.try_wait() {
            return Err(format!("the registry ended at once, {status}"));
        }
        if answering {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("the registry did not answer within {START_LIMIT:?}"));
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Whether a registry is there: it says so to everyone, if only by asking who he is.
fn answers(host: &str, speaks: Speaks) -> bool {
    Request::new("GET", "/v2/").send(host).is_ok_and(|response| match speaks {
        Speaks::Plain => matches!(response.status, 200 | 401),
        // It says that it wants to be spoken to otherwise.
        Speaks::Tls => response.status == 400,
    })
}

fn free_host() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("a listener has an address").to_string()
}

fn configuration(folder: &Path, host: &str, setup: &RegistrySetup) -> String {
    let storage = storage(folder);
    let mut text = format!(
        "version: 0.1\n\
         log:\n  level: error\n  accesslog:\n    disabled: true\n\
         storage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: {}\n  \
         maintenance:\n    uploadpurging:\n      enabled: false\n\
         http:\n  addr: {host}\n  secret: only-for-tests\n",
        storage.display(),
        setup.deletes == Deletes::Allowed,
    );
    text.push_str(&setup.tls);
    text.push_str(&setup.auth);
    if setup.has_password {
        let htpasswd = folder.join("htpasswd");
        text.push_str(&format!("auth:\n  htpasswd:\n    realm: tests\n    path: {}\n", htpasswd.display()));
    }
    text
}

fn storage(folder: &Path) -> PathBuf {
    folder.join("storage")
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("log")
}
