//! As much of HTTP/1.1 as the harness needs: to ask a server on loopback, and to stand between two others.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The largest head of a message that is read.
const HEAD_LIMIT: usize = 64 * 1024;

/// How long one read or write may stand still.
const STILLNESS_LIMIT: Duration = Duration::from_secs(60);

/// A request to a server on loopback.
#[derive(Debug)]
pub struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// A request with no body. The path may have a query.
    pub fn new(method: &str, path: &str) -> Self {
        Self { method: method.into(), path: path.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.body = bytes.into();
        self
    }

    /// Sends it to `host` (`127.0.0.1:PORT`) on a connection of its own.
    pub fn send(&self, host: &str) -> io::Result<Response> {
        self.send_over(connect(host)?, host)
    }

    /// Sends it to `host` on a connection that is there, and that ends with the answer.
    pub(crate) fn send_over(&self, mut stream: impl Read + Write, host: &str) -> io::Result<Response> {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: {host}\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\nConnection: close\r\n\r\n", self.body.len()));
        stream.write_all(head.as_bytes())?;
        stream.write_all(&self.body)?;
        let mut reader = BufReader::new(stream);
        let head = Head::read(&mut reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut body = Vec::new();
        head.response_body(&self.method)?.copy(&mut reader, &mut Plain(&mut body))?;
        Ok(Response { status: head.status()?, headers: head.headers, body })
    }
}

/// A server's answer.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The body, without any transfer coding.
    pub body: Vec<u8>,
    headers: Vec<(String, String)>,
}

impl Response {
    /// A header's value; names are compared without regard to case.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The body as text, for messages.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("the answer is not JSON: {error}\n{self}"))
    }
}

impl fmt::Display for Response {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "status {}\n{}", self.status, self.text())
    }
}

/// Connects, with limits on how long the other side may stand still.
pub(crate) fn connect(host: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(host)?;
    set_up(&stream)?;
    Ok(stream)
}

/// Sets what both ends of every connection want: small writes sent at once, and no endless waiting.
pub(crate) fn set_up(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(STILLNESS_LIMIT))?;
    stream.set_write_timeout(Some(STILLNESS_LIMIT))
}

/// The head of a message: its first line and its headers, and the very bytes that they came as.
pub(crate) struct Head {
    pub(crate) bytes: Vec<u8>,
    pub(crate) first_line: String,
    pub(crate) headers: Vec<(String, String)>,
}

impl Head {
    /// Reads a head, or nothing when the other side closed the connection before one.
    pub(crate) fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        loop {
            let line_start = bytes.len();
            let read = reader.by_ref().take(HEAD_LIMIT as u64).read_until(b'\n', &mut bytes)?;
            if read == 0 && bytes.is_empty() {
                return Ok(None);
            }
            if read == 0 || bytes.len() > HEAD_LIMIT {
                return Err(malformed("the head of a message has no end"));
            }
            if bytes[line_start..].trim_ascii().is_empty() && line_start > 0 {
                break;
            }
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let mut lines = text.lines();
        let first_line = lines.next().unwrap_or_default().to_owned();
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
            .collect();
        Ok(Some(Self { bytes, first_line, headers }))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The method and the path of a request, without its query.
    pub(crate) fn method_and_path(&self) -> io::Result<(&str, &str)> {
        let mut words = self.first_line.split(' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Err(malformed("a request's first line has no path"));
        };
        Ok((method, target.split('?').next().unwrap_or(target)))
    }

    /// Gives a header that is there another value, or leaves it out.
    pub(crate) fn change(&mut self, name: &str, value: Option<&str>) {
        if find(&self.headers, name).is_none() {
            return;
        }
        self.headers.retain(|(header, _)| !header.eq_ignore_ascii_case(name));
        self.headers.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        let mut head = format!("{}\r\n", self.first_line);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        self.bytes = head.into_bytes();
    }

    /// The status of a response.
    pub(crate) fn status(&self) -> io::Result<u16> {
        let status = self.first_line.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.ok_or_else(|| malformed("a response's first line has no status"))
    }

    /// Whether the sender means to close the connection after this message.
    pub(crate) fn closes(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// How the body of this request is delimited.
    pub(crate) fn request_body(&self) -> io::Result<Body> {
        Ok(self.declared_body()?.unwrap_or(Body::Sized(0)))
    }

    /// How the body of this response to a request of `method` is delimited.
    pub(crate) fn response_body(&self, method: &str) -> io::Result<Body> {
        if method == "HEAD" || matches!(self.status()?, 100..=199 | 204 | 304) {
            return Ok(Body::Sized(0));
        }
        Ok(self.declared_body()?.unwrap_or(Body::ToEnd))
    }

    fn declared_body(&self) -> io::Result<Option<Body>> {
        if self.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            return Ok(Some(Body::Chunked));
        }
        let Some(length) = self.header("content-length") else {
            return Ok(None);
        };
        length.parse().map(|length| Some(Body::Sized(length))).map_err(|_| malformed("a length is no number"))
    }
}

/// How a body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// So many bytes.
    Sized(u64),
    /// In chunks.
    Chunked,
    /// Up to the end of the connection.
    ToEnd,
}

/// Takes a body as it is read.
pub(crate) trait Sink {
    /// Takes bytes of the body itself.
    fn content(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Takes bytes that only delimit it.
    fn framing(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// Keeps the content alone.
pub(crate) struct Plain<'a>(pub(crate) &'a mut Vec<u8>);

impl Sink for Plain<'_> {
    fn content(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn framing(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

impl Body {
    /// Moves the body from the reader to the sink, piece by piece.
    pub(crate) fn copy(self, reader: &mut impl BufRead, sink: &mut impl Sink) -> io::Result<()> {
        match self {
            Self::Sized(length) => copy_exactly(length, reader, sink),
            Self::ToEnd => copy_up_to(u64::MAX, reader, sink).map(drop),
            Self::Chunked => loop {
                let size_line = read_line(reader)?;
                sink.framing(&size_line)?;
                let size = chunk_size(&size_line)?;
                if size == 0 {
                    break copy_trailer(reader, sink);
                }
                copy_exactly(size, reader, sink)?;
                sink.framing(&read_line(reader)?)?;
            },
        }
    }
}

fn copy_exactly(length: u64, reader: &mut impl BufRead, sink: &mut impl Sink) -> io::Result<()> {
    if copy_up_to(length, reader, sink)? == length {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

fn copy_up_to(limit: u64, reader: &mut impl BufRead, sink: &mut impl Sink) -> io::Result<u64> {
    let mut copied = 0;
    while copied < limit {
        let available = reader.fill_buf()?;
        if available.is_empty() {
            break;
        }
        let left = usize::try_from(limit - copied).unwrap_or(usize::MAX);
        let taken = available.len().min(left);
        sink.content(&available[..taken])?;
        reader.consume(taken);
        copied += taken as u64;
    }
    Ok(copied)
}

fn copy_trailer(reader: &mut impl BufRead, sink: &mut impl Sink) -> io::Result<()> {
    loop {
        let line = read_line(reader)?;
        sink.framing(&line)?;
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
    }
}

fn chunk_size(line: &[u8]) -> io::Result<u64> {
    let text = String::from_utf8_lossy(line);
    let size = text.split(';').next().unwrap_or_default().trim();
    u64::from_str_radix(size, 16).map_err(|_| malformed("a chunk's size is no number"))
}

fn read_line(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    reader.by_ref().take(HEAD_LIMIT as u64).read_until(b'\n', &mut line)?;
    if line.ends_with(b"\n") { Ok(line) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// A header's value; names are compared without regard to case.
pub(crate) fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn malformed(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
