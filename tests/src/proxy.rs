//! A proxy between the program under test and a registry: it counts, it can act between two requests, and it
//! can break things.
//!
//! It rewrites nothing but what [`Fault::Header`], [`Fault::AnswerHeader`] and [`Fault::Truncate`] say. The client's `Host` header goes through, and a registry answers
//! with upload locations at the host that it was asked by, so those lead back to the proxy. Where it speaks TLS, it does so on
//! either side, and what it breaks is the connection below.

use crate::http::{self, Body, Head, Sink};
use crate::tls::{self, Authority, Certified, Line};
use rustls::{ClientConfig, ServerConfig};
use socket2::SockRef;
use std::fmt;
use std::io::{self, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

/// What a body ends with where it is to be cut.
const CUT: io::ErrorKind = io::ErrorKind::ConnectionAborted;

/// What [`Fault::Page`] answers with.
const PAGE: &str = "<!DOCTYPE html><title>Welcome</title><p>Please accept the terms of this network.";

/// A recording HTTP/1.1 proxy on loopback, in front of one server; ends with this value.
#[derive(Debug)]
pub struct Proxy {
    host: String,
    shared: Arc<Shared>,
}

/// One request that came through.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its method.
    pub method: String,
    /// Its path, without the query.
    pub path: String,
    /// The status of the answer that the client got; nothing while there is none, or when it was cut off
    /// before.
    pub status: Option<u16>,
    /// Bytes of body that went to the server.
    pub sent: u64,
    /// Bytes of body that went to the client.
    pub received: u64,
    headers: Vec<(String, String)>,
}

/// Which requests a hook or a fault is for: see [`Matching::new`].
#[derive(Clone, Debug)]
pub struct Matching {
    method: String,
    path_part: String,
    first: usize,
    times: usize,
}

/// What goes wrong with a request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The server never hears of it; the client gets this status and these headers, with no body.
    Answer(u16, Vec<(&'static str, &'static str)>),
    /// The answer reaches the client with this header changed, where it has it.
    AnswerHeader(&'static str, &'static str),
    /// The connection is closed this much later than so many bytes of the answer's body have reached the client.
    CloseLate(u64, Duration),
    /// The connection is closed when so many bytes of the request's body have reached the server.
    CutRequest(u64),
    /// The connection is closed when so many bytes of the answer's body have reached the client.
    CutResponse(u64),
    /// It reaches the server with this header changed, or without it: a server that never heard of `Range` ignores it.
    Header(&'static str, Option<&'static str>),
    /// The server does what it is asked, and the client never gets an answer.
    LoseAnswer,
    /// It reaches the server this much later.
    Delay(Duration),
    /// The server never hears of it; the client gets a page in HTML, as if all were well.
    Page,
    /// As [`CutRequest`](Self::CutRequest), with a reset.
    ResetRequest(u64),
    /// As [`CutResponse`](Self::CutResponse), with a reset.
    ResetResponse(u64),
    /// No more than so many bytes a second go in either direction.
    Slow(u32),
    /// Nothing moves any more when so many bytes of the request's body have reached the server, which is hung up on.
    StallRequest(u64),
    /// Nothing moves any more when so many bytes of the answer's body have reached the client.
    StallResponse(u64),
    /// The answer's body ends after so many bytes and says that this is all.
    Truncate(u64),
}

/// Where a body ends that does not come to its own end.
#[derive(Clone, Copy, Debug)]
struct Cut {
    after: u64,
    end: End,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// With a farewell, after a while.
    Close(Duration),
    Reset,
    /// When the proxy does.
    Never,
}

impl Matching {
    /// The first request with this method (any, when empty) and with this text in its path.
    pub fn new(method: &str, path_part: &str) -> Self {
        Self { method: method.into(), path_part: path_part.into(), first: 1, times: 1 }
    }

    /// The n-th such request rather than the first; counted from when the rule is made, from 1.
    #[must_use]
    pub fn nth(mut self, n: usize) -> Self {
        self.first = n;
        self
    }

    /// So many of them in a row rather than one.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// All from there on.
    #[must_use]
    pub fn always(self) -> Self {
        self.times(usize::MAX)
    }

    fn concerns(&self, method: &str, path: &str) -> bool {
        (self.method.is_empty() || self.method == method) && path.contains(&self.path_part)
    }
}

impl Proxy {
    /// Starts a proxy in front of the server at `upstream` (`127.0.0.1:PORT`).
    pub fn start(upstream: &str) -> Self {
        Self::start_speaking(upstream, None)
    }

    /// Starts a proxy that speaks TLS to its clients, with this certificate, and to the server at `upstream`, which has to
    /// show one of this authority.
    pub fn start_with_tls(upstream: &str, certified: &Certified, authority: &Authority) -> Self {
        Self::start_speaking(
            upstream,
            Some(Tls { to_client: certified.server(), to_server: authority.client() }),
        )
    }

    fn start_speaking(upstream: &str, tls: Option<Tls>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let host = listener.local_addr().expect("a listener has an address").to_string();
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            tls,
            seen: Mutex::default(),
            rules: Mutex::default(),
            clients: Mutex::default(),
            connections: AtomicUsize::new(0),
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

    /// Every request so far, in the order in which they came.
    pub fn seen(&self) -> Vec<Seen> {
        snapshot(&lock(&self.shared.seen))
    }

    /// Every request since the last call of this or since the start.
    pub fn take_seen(&self) -> Vec<Seen> {
        snapshot(&std::mem::take(&mut *lock(&self.shared.seen)))
    }

    /// How many requests had this method (any, when empty) and this text in their path.
    pub fn count(&self, method: &str, path_part: &str) -> usize {
        let matching = Matching::new(method, path_part);
        self.seen().iter().filter(|seen| matching.concerns(&seen.method, &seen.path)).count()
    }

    /// How many connections were made to it.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Calls `hook` before such a request is passed on; the request waits for it.
    pub fn before(&self, matching: Matching, hook: impl FnMut() + Send + 'static) {
        self.add_rule(matching, Action::Hook(Arc::new(Mutex::new(hook))));
    }

    /// Breaks such a request.
    pub fn inject(&self, matching: Matching, fault: Fault) {
        self.add_rule(matching, Action::Fault(fault));
    }

    fn add_rule(&self, matching: Matching, action: Action) {
        lock(&self.shared.rules).push(Rule { matching, met: 0, action });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts, and those that read.
        let _ = TcpStream::connect(&self.host);
        for client in lock(&self.shared.clients).iter().filter_map(Weak::upgrade) {
            let _ = client.shutdown(Shutdown::Both);
        }
    }
}

impl Seen {
    /// A header of the request.
    pub fn header(&self, name: &str) -> Option<&str> {
        http::find(&self.headers, name)
    }
}

/// `PUT /v2/…/manifests/latest 201`, for messages.
impl fmt::Display for Seen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.method, self.path)?;
        match self.status {
            Some(status) => write!(formatter, " {status}"),
            None => write!(formatter, " (no answer)"),
        }
    }
}

/// What the connections have in common.
#[derive(Debug)]
struct Shared {
    upstream: String,
    tls: Option<Tls>,
    /// Each request has a lock of its own, so that it is found again when the list was taken meanwhile.
    seen: Mutex<Vec<Arc<Mutex<Seen>>>>,
    rules: Mutex<Vec<Rule>>,
    clients: Mutex<Vec<Weak<TcpStream>>>,
    connections: AtomicUsize,
    ended: AtomicBool,
}

/// How TLS is spoken on either side.
#[derive(Debug)]
struct Tls {
    to_client: Arc<ServerConfig>,
    to_server: Arc<ClientConfig>,
}

#[derive(Debug)]
struct Rule {
    matching: Matching,
    /// How many matching requests there were.
    met: usize,
    action: Action,
}

#[derive(Clone)]
enum Action {
    Hook(Arc<Mutex<dyn FnMut() + Send>>),
    Fault(Fault),
}

impl fmt::Debug for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hook(_) => formatter.write_str("Hook"),
            Self::Fault(fault) => fault.fmt(formatter),
        }
    }
}

impl Shared {
    /// Records one more request, and tells what is to happen to it.
    fn register(&self, head: &Head) -> io::Result<(Arc<Mutex<Seen>>, Vec<Action>)> {
        let (method, path) = head.method_and_path()?;
        let record = Arc::new(Mutex::new(Seen {
            method: method.to_owned(),
            path: path.to_owned(),
            status: None,
            sent: 0,
            received: 0,
            headers: head.headers.clone(),
        }));
        lock(&self.seen).push(Arc::clone(&record));
        let mut rules = lock(&self.rules);
        let actions = rules.iter_mut().filter_map(|rule| rule.action_for(method, path)).collect();
        Ok((record, actions))
    }
}

impl Rule {
    /// What this rule does to one more request.
    fn action_for(&mut self, method: &str, path: &str) -> Option<Action> {
        if !self.matching.concerns(method, path) {
            return None;
        }
        self.met += 1;
        let Matching { first, times, .. } = self.matching;
        (self.met >= first && self.met - first < times).then(|| self.action.clone())
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.ended.load(Ordering::SeqCst) {
            return;
        }
        let Ok(client) = client else { continue };
        shared.connections.fetch_add(1, Ordering::SeqCst);
        let client = Arc::new(client);
        lock(&shared.clients).push(Arc::downgrade(&client));
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            // Either side may hang up whenever it likes; the client sees it and the test judges that.
            let _ = Connection::new(&client, &shared).and_then(|mut connection| connection.serve());
            if !is_to_be_reset(&client) {
                let _ = client.shutdown(Shutdown::Both);
            }
        });
    }
}

/// Whether closing the connection resets it, which a farewell would prevent.
fn is_to_be_reset(client: &TcpStream) -> bool {
    SockRef::from(client).linger().is_ok_and(|linger| linger == Some(Duration::ZERO))
}

/// A client's connection, and the one to the server that goes with it.
struct Connection<'a> {
    client_socket: &'a TcpStream,
    client: BufReader<Box<dyn Line>>,
    server_socket: TcpStream,
    server: BufReader<Box<dyn Line>>,
    shared: &'a Shared,
}

/// One request on its way through.
struct Exchange {
    head: Head,
    record: Arc<Mutex<Seen>>,
    cut_request: Option<Cut>,
    cut_response: Option<Cut>,
    lose_answer: bool,
    answer_header: Option<(&'static str, &'static str)>,
    bytes_per_second: Option<u32>,
    truncated_to: Option<u64>,
}

impl<'a> Connection<'a> {
    fn new(client_socket: &'a TcpStream, shared: &'a Shared) -> io::Result<Self> {
        http::set_up(client_socket)?;
        let server_socket = http::connect(&shared.upstream)?;
        let (tls, upstream) = (shared.tls.as_ref(), &shared.upstream);
        let client = tls::to_client(client_socket.try_clone()?, tls.map(|tls| &tls.to_client))?;
        let server = tls::to_server(server_socket.try_clone()?, upstream, tls.map(|tls| &tls.to_server))?;
        let (client, server) = (BufReader::new(client), BufReader::new(server));
        Ok(Self { client_socket, client, server_socket, server, shared })
    }

    fn serve(&mut self) -> io::Result<()> {
        while let Some(head) = Head::read(&mut self.client)? {
            if !self.exchange(head)? {
                break;
            }
        }
        Ok(())
    }

    /// Passes one request on and its answer back; returns whether another may follow.
    fn exchange(&mut self, head: Head) -> io::Result<bool> {
        let (record, actions) = self.shared.register(&head)?;
        let mut exchange = Exchange {
            head,
            record,
            cut_request: None,
            cut_response: None,
            lose_answer: false,
            answer_header: None,
            bytes_per_second: None,
            truncated_to: None,
        };
        let at_once = End::Close(Duration::ZERO);
        for action in actions {
            match action {
                Action::Hook(hook) => lock(&hook)(),
                Action::Fault(Fault::Answer(status, headers)) => {
                    return self.answer(&exchange, status, &headers, "");
                }
                Action::Fault(Fault::Page) => {
                    return self.answer(&exchange, 200, &[("Content-Type", "text/html")], PAGE);
                }
                Action::Fault(Fault::CutRequest(after)) => {
                    exchange.cut_request = Some(Cut { after, end: at_once });
                }
                Action::Fault(Fault::ResetRequest(after)) => {
                    exchange.cut_request = Some(Cut { after, end: End::Reset });
                }
                Action::Fault(Fault::StallRequest(after)) => {
                    exchange.cut_request = Some(Cut { after, end: End::Never });
                }
                Action::Fault(Fault::CutResponse(after)) => {
                    exchange.cut_response = Some(Cut { after, end: at_once });
                }
                Action::Fault(Fault::CloseLate(after, wait)) => {
                    exchange.cut_response = Some(Cut { after, end: End::Close(wait) });
                }
                Action::Fault(Fault::ResetResponse(after)) => {
                    exchange.cut_response = Some(Cut { after, end: End::Reset });
                }
                Action::Fault(Fault::StallResponse(after)) => {
                    exchange.cut_response = Some(Cut { after, end: End::Never });
                }
                Action::Fault(Fault::AnswerHeader(name, value)) => {
                    exchange.answer_header = Some((name, value));
                }
                Action::Fault(Fault::Header(name, value)) => exchange.head.change(name, value),
                Action::Fault(Fault::LoseAnswer) => exchange.lose_answer = true,
                Action::Fault(Fault::Delay(time)) => thread::sleep(time),
                Action::Fault(Fault::Slow(rate)) => exchange.bytes_per_second = Some(rate),
                Action::Fault(Fault::Truncate(length)) => exchange.truncated_to = Some(length),
            }
        }
        let passed = self.pass_on(&exchange);
        self.end_at(exchange.cut_request, passed)?;
        let passed = self.pass_back(&exchange);
        self.end_at(exchange.cut_response, passed)
    }

    /// Ends the connections as `cut` says, where the body came to that.
    fn end_at<T>(&mut self, cut: Option<Cut>, passed: io::Result<T>) -> io::Result<T> {
        let (Some(cut), Err(error)) = (cut, &passed) else { return passed };
        if error.kind() != CUT {
            return passed;
        }
        let _ = self.server_socket.shutdown(Shutdown::Both);
        match cut.end {
            End::Close(wait) => thread::sleep(wait),
            // Otherwise the client might still get what is on its way to it, and only then learn that this was all.
            End::Reset => self.reset()?,
            End::Never => {
                while !self.shared.ended.load(Ordering::SeqCst) {
                    thread::sleep(Duration::from_millis(10));
                }
            }
        }
        passed
    }

    /// Closes the client's connection with a reset.
    fn reset(&self) -> io::Result<()> {
        SockRef::from(self.client_socket).set_linger(Some(Duration::ZERO))
    }

    /// Answers in the server's place.
    fn answer(
        &mut self,
        exchange: &Exchange,
        status: u16,
        headers: &[(&str, &str)],
        body: &str,
    ) -> io::Result<bool> {
        exchange.head.request_body()?.copy(&mut self.client, &mut http::Plain(&mut Vec::new()))?;
        let mut head = format!("HTTP/1.1 {status} Injected\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        if exchange.head.method_and_path()?.0 != "HEAD" {
            head.push_str(body);
        }
        lock(&exchange.record).status = Some(status);
        self.client.get_mut().write_all(head.as_bytes())?;
        Ok(!exchange.head.closes())
    }

    fn pass_on(&mut self, exchange: &Exchange) -> io::Result<()> {
        if exchange.head.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
            // The server's own interim answer is dropped on the way back: this one is enough.
            self.client.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let count = |size| lock(&exchange.record).sent += size;
        let server = self.server.get_mut();
        let mut sink = Passing {
            to: server,
            passed: 0,
            cut_after: exchange.cut_request.map(|cut| cut.after),
            bytes_per_second: exchange.bytes_per_second,
            count: &count,
        };
        let sent = sink
            .to
            .write_all(&exchange.head.bytes)
            .and_then(|()| exchange.head.request_body()?.copy(&mut self.client, &mut sink));
        match sent {
            // A server may answer and stop listening before it has heard all: its answer counts.
            Err(error) if exchange.cut_request.is_none() && is_hang_up(&error) => Ok(()),
            other => other,
        }
    }

    fn pass_back(&mut self, exchange: &Exchange) -> io::Result<bool> {
        let mut head = loop {
            let head = Head::read(&mut self.server)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            if head.status()? >= 200 {
                break head;
            }
        };
        if exchange.lose_answer {
            return Ok(false);
        }
        // Before the client hears of it: a test that has its answer must find it recorded.
        lock(&exchange.record).status = Some(head.status()?);
        let (method, _) = exchange.head.method_and_path()?;
        let body = head.response_body(method)?;
        if let Some((name, value)) = exchange.answer_header {
            head.change(name, Some(value));
        }
        if let Some(length) = exchange.truncated_to {
            head.change("Content-Length", Some(&length.to_string()));
        }
        let count = |size| lock(&exchange.record).received += size;
        let mut sink = Passing {
            to: self.client.get_mut(),
            passed: 0,
            cut_after: exchange.cut_response.map(|cut| cut.after).or(exchange.truncated_to),
            bytes_per_second: exchange.bytes_per_second,
            count: &count,
        };
        sink.to.write_all(&head.bytes)?;
        body.copy(&mut self.server, &mut sink)?;
        Ok(body != Body::ToEnd && !head.closes() && !exchange.head.closes())
    }
}

/// Passes a body on as it comes, up to where it is to be cut.
struct Passing<'a, W> {
    to: &'a mut W,
    passed: u64,
    cut_after: Option<u64>,
    bytes_per_second: Option<u32>,
    /// Called with the size of each piece, just before it goes out: a test that has its answer finds it
    /// counted.
    count: &'a dyn Fn(u64),
}

impl<W: Write> Sink for Passing<'_, W> {
    fn content(&mut self, bytes: &[u8]) -> io::Result<()> {
        let left = self.cut_after.map_or(u64::MAX, |limit| limit - self.passed);
        let piece = &bytes[..bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
        let size = piece.len() as u64;
        if let Some(rate) = self.bytes_per_second {
            thread::sleep(Duration::from_secs(1).mul_f64(size as f64 / f64::from(rate)));
        }
        (self.count)(size);
        self.to.write_all(piece)?;
        self.passed += size;
        if size == left { Err(CUT.into()) } else { Ok(()) }
    }

    fn framing(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.to.write_all(bytes)
    }
}

fn snapshot(records: &[Arc<Mutex<Seen>>]) -> Vec<Seen> {
    records.iter().map(|record| lock(record).clone()).collect()
}

/// Whether an error means that the other side stopped listening.
fn is_hang_up(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted
    )
}

/// A test that failed with a lock in its hand has said so; the others see the data as it is.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
