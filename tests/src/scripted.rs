//! A registry on loopback that keeps everything in memory, and answers as a test tells it to.
//!
//! It does what the distribution-spec asks of one, but for what its script answers in its place: so a test says in a line what
//! some registry, proxy or cache does differently.

use crate::http::{self, Head, Plain, find};
use crate::tls::{self, Certified, Line};
use rustls::ServerConfig;
use std::collections::BTreeMap;
use std::io::{self, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

/// The media type of every manifest that it gives.
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A request, as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its method.
    pub method: String,
    /// Its path, without the query.
    pub path: String,
    /// What follows the `?`; empty where nothing does.
    pub query: String,
    /// Its body, without any transfer coding.
    pub body: Vec<u8>,
    headers: Vec<(String, String)>,
}

impl Asked {
    /// A header's value; names are compared without regard to case.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// Whether it has this method, and this text in its path.
    pub fn is(&self, method: &str, path_part: &str) -> bool {
        self.method == method && self.path.contains(path_part)
    }

    /// The same request for another path.
    #[must_use]
    pub fn at(&self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self.clone() }
    }

    /// The same request with another body.
    #[must_use]
    pub fn with_body(&self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self.clone() }
    }

    /// The last part of its path: a digest, a tag, the name of an upload.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Bytes of the body that go out at a time, and how long after each other.
    drip: Option<(usize, Duration)>,
}

impl Answer {
    /// A status and no more.
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), drip: None }
    }

    /// Adds a header. `Content-Length` is there without, unless `Transfer-Encoding` is given.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Gives it a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The words of a registry's error.
    #[must_use]
    pub fn error(self, code: &str, message: &str) -> Self {
        self.body(format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#))
    }

    /// Sends the body in pieces of so many bytes, one every `pause`.
    #[must_use]
    pub fn dripping(mut self, bytes: usize, pause: Duration) -> Self {
        self.drip = Some((bytes, pause));
        self
    }

    fn write(&self, method: &str, line: &mut dyn Write) -> io::Result<()> {
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let has = |name| find(&self.headers, name).is_some();
        if !has("content-length") && !has("transfer-encoding") {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        line.write_all(head.as_bytes())?;
        if method == "HEAD" {
            return Ok(());
        }
        let Some((bytes, pause)) = self.drip else { return line.write_all(&self.body) };
        for piece in self.body.chunks(bytes) {
            line.write_all(piece)?;
            line.flush()?;
            thread::sleep(pause);
        }
        Ok(())
    }
}

/// What the registry holds. A script may look at it and change it.
#[derive(Debug, Default)]
pub struct Held {
    blobs: Mutex<BTreeMap<String, Vec<u8>>>,
    manifests: Mutex<BTreeMap<String, Vec<u8>>>,
    tags: Mutex<BTreeMap<String, String>>,
    uploads: Mutex<BTreeMap<String, Vec<u8>>>,
    next_upload: AtomicU64,
}

impl Held {
    /// A blob.
    pub fn blob(&self, digest: &str) -> Option<Vec<u8>> {
        lock(&self.blobs).get(digest).cloned()
    }

    /// A manifest, by tag or digest.
    pub fn manifest(&self, name: &str) -> Option<Vec<u8>> {
        let digest = self.tag(name).unwrap_or_else(|| name.to_owned());
        lock(&self.manifests).get(&digest).cloned()
    }

    /// The digest that a tag names.
    pub fn tag(&self, tag: &str) -> Option<String> {
        lock(&self.tags).get(tag).cloned()
    }

    /// Every tag, sorted.
    pub fn tags(&self) -> Vec<String> {
        lock(&self.tags).keys().cloned().collect()
    }

    /// Makes a tag name `digest`.
    pub fn set_tag(&self, tag: &str, digest: &str) {
        lock(&self.tags).insert(tag.to_owned(), digest.to_owned());
    }

    /// Forgets a tag.
    pub fn drop_tag(&self, tag: &str) {
        lock(&self.tags).remove(tag);
    }

    /// Forgets every manifest that no tag names, as many registries do after a while.
    pub fn drop_untagged(&self) {
        let tags = lock(&self.tags);
        lock(&self.manifests).retain(|digest, _| tags.values().any(|named| named == digest));
    }

    /// What a registry answers that follows the specification.
    pub fn answer(&self, asked: &Asked) -> Answer {
        let name = asked.name();
        if asked.path.contains("/manifests/") {
            return self.about_manifest(asked, name);
        }
        if asked.path.contains("/blobs/uploads/") {
            return self.about_upload(asked, name);
        }
        match (&*asked.method, asked.path.contains("/blobs/")) {
            ("GET" | "HEAD", true) => match self.blob(name) {
                Some(blob) => part(asked, &blob),
                None => Answer::new(404).error("BLOB_UNKNOWN", "no such blob"),
            },
            ("GET", false) if asked.path.ends_with("/tags/list") => {
                let tags: Vec<String> = self.tags().iter().map(|tag| format!("{tag:?}")).collect();
                Answer::new(200).body(format!(r#"{{"name":"x","tags":[{}]}}"#, tags.join(",")))
            }
            ("GET", false) if asked.path == "/v2/" => Answer::new(200).body("{}"),
            _ => Answer::new(404).error("NAME_UNKNOWN", "no such thing"),
        }
    }

    fn about_manifest(&self, asked: &Asked, name: &str) -> Answer {
        match &*asked.method {
            "PUT" => {
                let digest = digest(&asked.body);
                lock(&self.manifests).insert(digest.clone(), asked.body.clone());
                if !name.starts_with("sha256:") {
                    self.set_tag(name, &digest);
                }
                Answer::new(201).header("Docker-Content-Digest", digest)
            }
            "DELETE" if name.starts_with("sha256:") => {
                lock(&self.tags).retain(|_, digest| digest != name);
                let found = lock(&self.manifests).remove(name);
                Answer::new(if found.is_some() { 202 } else { 404 })
            }
            "DELETE" => Answer::new(405).error("UNSUPPORTED", "tags are not deleted alone"),
            _ => match self.manifest(name) {
                Some(manifest) => Answer::new(200)
                    .header("Content-Type", MANIFEST)
                    .header("Docker-Content-Digest", digest(&manifest))
                    .body(manifest),
                None => Answer::new(404).error("MANIFEST_UNKNOWN", "no such manifest"),
            },
        }
    }

    fn about_upload(&self, asked: &Asked, name: &str) -> Answer {
        let mut uploads = lock(&self.uploads);
        match &*asked.method {
            "POST" => {
                let name = self.next_upload.fetch_add(1, Ordering::SeqCst).to_string();
                let location = format!("{}{name}", asked.path);
                uploads.insert(name, Vec::new());
                Answer::new(202).header("Location", location)
            }
            "PATCH" | "PUT" => {
                let Some(mut content) = uploads.remove(name) else {
                    return Answer::new(404).error("BLOB_UPLOAD_UNKNOWN", "no such upload");
                };
                content.extend_from_slice(&asked.body);
                if asked.method == "PATCH" {
                    let range = format!("0-{}", content.len().saturating_sub(1));
                    uploads.insert(name.to_owned(), content);
                    return Answer::new(202).header("Location", asked.path.clone()).header("Range", range);
                }
                let wanted = form_urlencoded::parse(asked.query.as_bytes()).find(|(key, _)| key == "digest");
                let actual = digest(&content);
                if wanted.is_none_or(|(_, wanted)| wanted != actual) {
                    return Answer::new(400).error("DIGEST_INVALID", "that is not its digest");
                }
                lock(&self.blobs).insert(actual, content);
                Answer::new(201)
            }
            "DELETE" => {
                uploads.remove(name);
                Answer::new(204)
            }
            _ => Answer::new(404).error("BLOB_UPLOAD_UNKNOWN", "no such upload"),
        }
    }
}

/// A blob, or the part of it that is asked for.
fn part(asked: &Asked, blob: &[u8]) -> Answer {
    let answer = |status| Answer::new(status).header("Content-Type", "application/octet-stream");
    let range = asked.header("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let Some((first, last)) = range else {
        return answer(200).header("Content-Length", blob.len().to_string()).body(blob);
    };
    let first: usize = first.parse().unwrap_or(0);
    let last = last.parse().unwrap_or(usize::MAX).min(blob.len().saturating_sub(1));
    if first > last || first >= blob.len() {
        return answer(416);
    }
    let range = format!("bytes {first}-{last}/{}", blob.len());
    answer(206).header("Content-Range", range).body(&blob[first..=last])
}

fn digest(bytes: &[u8]) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, bytes);
    let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

type Script = dyn Fn(&Asked, &Held) -> Option<Answer> + Send + Sync;

/// A running registry; it stops when this is dropped.
pub struct ScriptedRegistry {
    host: String,
    shared: Arc<Shared>,
}

struct Shared {
    script: Box<Script>,
    held: Held,
    tls: Option<Arc<ServerConfig>>,
    seen: Mutex<Vec<Asked>>,
    clients: Mutex<Vec<Weak<TcpStream>>>,
    ended: AtomicBool,
}

impl ScriptedRegistry {
    /// Starts one that answers each request with what `script` says, or as the specification has it where that says nothing.
    pub fn start(script: impl Fn(&Asked, &Held) -> Option<Answer> + Send + Sync + 'static) -> Self {
        Self::start_speaking(None, Box::new(script))
    }

    /// The same over TLS, with this certificate.
    pub fn start_with_tls(
        certified: &Certified,
        script: impl Fn(&Asked, &Held) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        Self::start_speaking(Some(certified.server()), Box::new(script))
    }

    fn start_speaking(tls: Option<Arc<ServerConfig>>, script: Box<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let host = listener.local_addr().expect("a listener has an address").to_string();
        let shared = Arc::new(Shared {
            script,
            held: Held::default(),
            tls,
            seen: Mutex::default(),
            clients: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, &accepting));
        Self { host, shared }
    }

    /// Where it listens: `127.0.0.1:PORT`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What it holds.
    pub fn held(&self) -> &Held {
        &self.shared.held
    }

    /// Every request so far, in the order in which they came.
    pub fn seen(&self) -> Vec<Asked> {
        lock(&self.shared.seen).clone()
    }

    /// How many requests had this method, and this text in their path.
    pub fn count(&self, method: &str, path_part: &str) -> usize {
        self.seen().iter().filter(|asked| asked.is(method, path_part)).count()
    }
}

impl Drop for ScriptedRegistry {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts, and those that read.
        let _ = TcpStream::connect(&self.host);
        for client in lock(&self.shared.clients).iter().filter_map(Weak::upgrade) {
            let _ = client.shutdown(Shutdown::Both);
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.ended.load(Ordering::SeqCst) {
            return;
        }
        let Ok(client) = client else { continue };
        let client = Arc::new(client);
        lock(&shared.clients).push(Arc::downgrade(&client));
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            // A client may hang up whenever it likes.
            let _ = serve(&client, &shared);
            let _ = client.shutdown(Shutdown::Both);
        });
    }
}

fn serve(client: &TcpStream, shared: &Shared) -> io::Result<()> {
    http::set_up(client)?;
    let mut line: BufReader<Box<dyn Line>> =
        BufReader::new(tls::to_client(client.try_clone()?, shared.tls.as_ref())?);
    while let Some(head) = Head::read(&mut line)? {
        let (method, path) = head.method_and_path()?;
        let query = head.first_line.split(' ').nth(1).and_then(|target| target.split_once('?'));
        let query = query.map(|(_, query)| query.to_owned()).unwrap_or_default();
        let (method, path) = (method.to_owned(), path.replace("%3A", ":"));
        let mut body = Vec::new();
        head.request_body()?.copy(&mut line, &mut Plain(&mut body))?;
        let closes = head.closes();
        let asked = Asked { method, path, query, body, headers: head.headers };
        lock(&shared.seen).push(asked.clone());
        let scripted = (shared.script)(&asked, &shared.held);
        let answer = scripted.unwrap_or_else(|| shared.held.answer(&asked));
        answer.write(&asked.method, line.get_mut())?;
        line.get_mut().flush()?;
        if closes {
            break;
        }
    }
    Ok(())
}

/// A test that failed with a lock in its hand has said so; the others see the data as it is.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
