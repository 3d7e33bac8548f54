//! A token server on loopback, whose tokens real registries verify.
//!
//! It gives tokens by `GET` and by OAuth2 `POST`, as
//! <https://distribution.github.io/distribution/spec/auth/> describes, and signs them as JSON Web Tokens (RFC 7519).

use crate::http::{self, Head, Plain};
use crate::registry::{PASSWORD, USER};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, KeyPair};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// A user who may pull and not push.
pub const READER: &str = "reader";

/// That user's password.
pub const READER_PASSWORD: &str = "only-looking";

/// What [`USER`] may log in with in place of the password.
pub const IDENTITY_TOKEN: &str = "identity-of-the-researcher";

/// A registry takes a token for so long after its end.
const LEEWAY: u64 = 60;

/// A running token server; it stops when this is dropped. Nobody gets anything without a login, but to pull what is below
/// `public/`.
pub struct TokenServer {
    host: String,
    shared: Arc<Shared>,
    folder: TempDir,
}

/// One request for a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// How it was asked: `GET`, or the `grant_type` of a `POST`.
    pub way: String,
    /// Who asked; empty where nobody said.
    pub user: String,
    /// What for.
    pub scopes: Vec<String>,
    /// The status of the answer.
    pub status: u16,
}

struct Shared {
    key: EcdsaKeyPair,
    certificate: String,
    /// How long a token really lasts.
    life: AtomicU64,
    /// How long it is said to last.
    said_life: AtomicU64,
    takes_get: AtomicBool,
    gives_identity_tokens: AtomicBool,
    /// Every token given, to look for it where it must not be.
    given: Mutex<Vec<String>>,
    seen: Mutex<Vec<TokenRequest>>,
    ended: AtomicBool,
}

impl Default for TokenServer {
    fn default() -> Self {
        Self::start()
    }
}

impl TokenServer {
    /// What registries that take its tokens call themselves.
    pub const SERVICE: &str = "registry.test";

    /// What it calls itself.
    pub const ISSUER: &str = "issuer.test";

    /// Starts it with a key of its own.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let key = KeyPair::generate().expect("a key can be made");
        let certificate =
            CertificateParams::default().self_signed(&key).expect("a certificate can be signed");
        fs::write(folder.path().join("issuer.pem"), certificate.pem())
            .expect("a temporary file can be written");
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.serialize_der(), &random);
        let shared = Arc::new(Shared {
            key: key.expect("a key just made can be read"),
            certificate: STANDARD.encode(certificate.der()),
            life: AtomicU64::new(300),
            said_life: AtomicU64::new(300),
            takes_get: AtomicBool::new(true),
            gives_identity_tokens: AtomicBool::new(false),
            given: Mutex::default(),
            seen: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let host = listener.local_addr().expect("a bound socket has an address").to_string();
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, &accepting));
        Self { host, shared, folder }
    }

    /// Where tokens are to be had.
    pub fn realm(&self) -> String {
        format!("http://{}/token", self.host)
    }

    /// Where it listens: `127.0.0.1:PORT`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The file with the certificate that registries verify its tokens with.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("issuer.pem")
    }

    /// From now on a token lasts `life` and is said to last `said`.
    pub fn set_life(&self, life: Duration, said: Duration) {
        self.shared.life.store(life.as_secs(), Ordering::SeqCst);
        self.shared.said_life.store(said.as_secs(), Ordering::SeqCst);
    }

    /// From now on it answers `GET` with 405.
    pub fn refuse_get(&self) {
        self.shared.takes_get.store(false, Ordering::SeqCst);
    }

    /// From now on it gives [`IDENTITY_TOKEN`] to [`USER`] where that is asked for.
    pub fn give_identity_tokens(&self) {
        self.shared.gives_identity_tokens.store(true, Ordering::SeqCst);
    }

    /// A token for [`USER`] that nobody asked for: for the test's own eyes, and not among those [`given`](Self::given).
    pub fn token(&self, scope: &str) -> String {
        self.shared.token(USER, &[scope.to_owned()])
    }

    /// Every request since the last call of this or since the start.
    pub fn take_seen(&self) -> Vec<TokenRequest> {
        std::mem::take(&mut *self.shared.seen.lock().expect("no thread of the server panics"))
    }

    /// Every token given so far.
    pub fn given(&self) -> Vec<String> {
        self.shared.given.lock().expect("no thread of the server panics").clone()
    }
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(&self.host);
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.ended.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            // A client that goes away is none of its concern.
            let _ = serve(stream, &shared);
        });
    }
}

fn serve(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    http::set_up(&stream)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let Some(head) = Head::read(&mut reader)? else { return Ok(()) };
    let mut body = Vec::new();
    head.request_body()?.copy(&mut reader, &mut Plain(&mut body))?;
    let (method, path) = head.method_and_path()?;
    let target = head.first_line.split(' ').nth(1).unwrap_or_default();
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let (status, answer) = match (method, path) {
        ("GET", "/token") => shared.get(&parameters(query.as_bytes()), head.header("authorization")),
        ("POST", "/token") => shared.post(&parameters(&body)),
        _ => (404, json!({})),
    };
    let answer = answer.to_string();
    write!(
        stream,
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
        answer.len()
    )
}

fn parameters(text: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(text).into_owned().collect()
}

fn value<'a>(parameters: &'a [(String, String)], name: &str) -> &'a str {
    http::find(parameters, name).unwrap_or_default()
}

impl Shared {
    fn get(&self, query: &[(String, String)], authorization: Option<&str>) -> (u16, Value) {
        let scopes: Vec<String> =
            query.iter().filter(|(name, _)| name == "scope").map(|(_, scope)| scope.clone()).collect();
        let (user, is_known) = match authorization {
            None => (String::new(), true),
            Some(header) => check_basic(header),
        };
        let offline = value(query, "offline_token") == "true";
        let status = match () {
            () if !self.takes_get.load(Ordering::SeqCst) => 405,
            () if is_known && value(query, "service") == TokenServer::SERVICE => 200,
            () => 401,
        };
        self.answer("GET", user, scopes, status, offline)
    }

    fn post(&self, form: &[(String, String)]) -> (u16, Value) {
        let way = value(form, "grant_type");
        let scopes = value(form, "scope").split_ascii_whitespace().map(str::to_owned).collect();
        let (user, is_known) = match way {
            "password" => (
                value(form, "username").to_owned(),
                is_user(value(form, "username"), value(form, "password")),
            ),
            _ => (USER.to_owned(), way == "refresh_token" && value(form, "refresh_token") == IDENTITY_TOKEN),
        };
        let is_good = is_known
            && value(form, "service") == TokenServer::SERVICE
            && !value(form, "client_id").is_empty();
        let offline = value(form, "access_type") == "offline";
        self.answer(way, user, scopes, if is_good { 200 } else { 400 }, offline)
    }

    fn answer(
        &self,
        way: &str,
        user: String,
        scopes: Vec<String>,
        status: u16,
        offline: bool,
    ) -> (u16, Value) {
        let answer = match status {
            200 => {
                let token = self.token(&user, &scopes);
                self.given.lock().expect("no thread of the server panics").push(token.clone());
                let mut answer = json!({"token": token, "expires_in": self.said_life.load(Ordering::SeqCst)});
                if offline && user == USER && self.gives_identity_tokens.load(Ordering::SeqCst) {
                    answer["refresh_token"] = json!(IDENTITY_TOKEN);
                }
                answer
            }
            400 => json!({"error": "invalid_grant", "error_description": "who are you?"}),
            _ => json!({"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}),
        };
        let request = TokenRequest { way: way.to_owned(), user, scopes, status };
        self.seen.lock().expect("no thread of the server panics").push(request);
        (status, answer)
    }

    /// Signs a token for as much of what is wanted as the user may do.
    fn token(&self, user: &str, scopes: &[String]) -> String {
        let mut access: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
        for scope in scopes {
            let Some((resource, actions)) = scope.rsplit_once(':') else { continue };
            let Some((kind, name)) = resource.split_once(':') else { continue };
            let allowed = actions.split(',').filter(|action| match user {
                USER => true,
                READER => *action == "pull",
                _ => *action == "pull" && name.starts_with("public/"),
            });
            access.entry((kind, name)).or_default().extend(allowed);
        }
        let access: Vec<Value> = access
            .into_iter()
            .map(|((kind, name), actions)| json!({"type": kind, "name": name, "actions": actions}))
            .collect();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let claims = json!({
            "iss": TokenServer::ISSUER,
            "sub": user,
            "aud": TokenServer::SERVICE,
            "iat": now.as_secs(),
            "nbf": now.as_secs() - 2 * LEEWAY,
            "exp": now.as_secs() + self.life.load(Ordering::SeqCst) - LEEWAY,
            "jti": now.as_nanos().to_string(),
            "access": access,
        });
        let header = json!({"typ": "JWT", "alg": "ES256", "x5c": [self.certificate]});
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature =
            self.key.sign(&SystemRandom::new(), signed.as_bytes()).expect("a token can be signed");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn check_basic(header: &str) -> (String, bool) {
    let pair = header.strip_prefix("Basic ").and_then(|pair| STANDARD.decode(pair).ok());
    let pair = pair.and_then(|pair| String::from_utf8(pair).ok()).unwrap_or_default();
    let (user, password) = pair.split_once(':').unwrap_or_default();
    (user.to_owned(), is_user(user, password))
}

fn is_user(user: &str, password: &str) -> bool {
    matches!((user, password), (USER, PASSWORD) | (READER, READER_PASSWORD))
}
