//! A static web server on loopback: folders served as they are, as any such server would.

use crate::http::{self, Head};
use std::fs;
use std::io::{self, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A running server; it stops when this is dropped.
pub struct WebServer {
    host: String,
    site: Arc<Site>,
}

struct Site {
    /// A prefix of paths, and the folder that it stands for; the first that fits counts.
    folders: Vec<(String, PathBuf)>,
    /// A path, and the address that it sends a client on to.
    redirects: Mutex<Vec<(String, String)>>,
    seen: Mutex<Vec<String>>,
    ended: AtomicBool,
}

impl WebServer {
    /// Serves each folder below its prefix, such as `/` or `/data/`.
    pub fn start(folders: &[(&str, &Path)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let host = listener.local_addr().expect("a bound socket has an address").to_string();
        let mut folders: Vec<_> =
            folders.iter().map(|(prefix, folder)| ((*prefix).to_owned(), folder.to_path_buf())).collect();
        folders.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        let site = Arc::new(Site {
            folders,
            redirects: Mutex::default(),
            seen: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let shared = Arc::clone(&site);
        thread::spawn(move || accept(&listener, &shared));
        Self { host, site }
    }

    /// The address of a path, which begins with a slash.
    pub fn address(&self, path: &str) -> String {
        format!("http://{}{path}", self.host)
    }

    /// Answers `path` by sending the client on to `address`.
    pub fn redirect(&self, path: &str, address: &str) {
        let mut redirects = self.site.redirects.lock().expect("no thread of the server panics");
        redirects.push((path.to_owned(), address.to_owned()));
    }

    /// The paths that were asked for, without their queries, in the order in which they came.
    pub fn seen(&self) -> Vec<String> {
        self.site.seen.lock().expect("no thread of the server panics").clone()
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        self.site.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(&self.host);
    }
}

fn accept(listener: &TcpListener, site: &Arc<Site>) {
    for stream in listener.incoming() {
        if site.ended.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let site = Arc::clone(site);
        thread::spawn(move || {
            // A browser opens connections that it never uses, and drops others half-way.
            let _ = serve(stream, &site);
        });
    }
}

fn serve(mut stream: TcpStream, site: &Site) -> io::Result<()> {
    http::set_up(&stream)?;
    let Some(head) = Head::read(&mut BufReader::new(&stream))? else { return Ok(()) };
    let (method, path) = head.method_and_path()?;
    site.seen.lock().expect("no thread of the server panics").push(path.to_owned());
    let (status, header, body) = site.answer(path);
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\n{header}\r\nContent-Length: {length}\r\nCache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )?;
    if method == "HEAD" { Ok(()) } else { stream.write_all(&body) }
}

impl Site {
    fn answer(&self, path: &str) -> (&'static str, String, Vec<u8>) {
        let redirects = self.redirects.lock().expect("no thread of the server panics");
        if let Some((_, address)) = redirects.iter().find(|(from, _)| from == path) {
            return ("302 Found", format!("Location: {address}"), Vec::new());
        }
        let path = if path.ends_with('/') { format!("{path}index.html") } else { path.to_owned() };
        match self.file(&path).and_then(|file| fs::read(file).ok()) {
            Some(body) => ("200 OK", format!("Content-Type: {}", media_type(&path)), body),
            None => ("404 Not Found", "Content-Type: text/plain".to_owned(), b"not here\n".to_vec()),
        }
    }

    fn file(&self, path: &str) -> Option<PathBuf> {
        if path.split('/').any(|part| part == "..") {
            return None;
        }
        let (prefix, folder) = self.folders.iter().find(|(prefix, _)| path.starts_with(prefix.as_str()))?;
        Some(folder.join(&path[prefix.len()..]))
    }
}

/// A module is compiled while it comes in only if it has its type, and a script runs only if it has one.
fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("css") => "text/css; charset=utf-8",
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    }
}
