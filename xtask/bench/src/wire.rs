//! Counts the bytes between a client and the registry: a forwarder that the client takes for the registry.
//!
//! What is counted is all that a connection carries, requests and headers included. Nothing is timed through
//! it: it costs both sides something, and not the same.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use xtask::failure::{Context, Result};

/// How much is forwarded at once, in bytes.
const PIECE: usize = 1 << 16;

/// A port of this machine behind which the registry answers; it closes with this value.
pub(crate) struct Wire {
    host: String,
    counters: Arc<Counters>,
}

/// What went over the wire, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// From the client to the registry.
    pub(crate) sent: u64,
    /// From the registry to the client.
    pub(crate) received: u64,
}

#[derive(Default)]
struct Counters {
    sent: AtomicU64,
    received: AtomicU64,
    has_ended: AtomicBool,
}

impl Wire {
    /// Opens a port and forwards what comes to it to `server`, `HOST:PORT`.
    pub(crate) fn to(server: &str) -> Result<Self> {
        let cannot = || "cannot open a port".to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").context(cannot)?;
        let host = listener.local_addr().context(cannot)?.to_string();
        let counters = Arc::new(Counters::default());
        let (server, shared) = (server.to_owned(), Arc::clone(&counters));
        thread::spawn(move || accept(&listener, &server, &shared));
        Ok(Self { host, counters })
    }

    /// Where it listens: `127.0.0.1:PORT`.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Does `work` and counts what goes over the wire meanwhile.
    pub(crate) fn during(&self, work: impl FnOnce() -> Result) -> Result<Traffic> {
        let before = self.traffic();
        work()?;
        let after = self.traffic();
        Ok(Traffic { sent: after.sent - before.sent, received: after.received - before.received })
    }

    fn traffic(&self) -> Traffic {
        Traffic {
            sent: self.counters.sent.load(Ordering::Acquire),
            received: self.counters.received.load(Ordering::Acquire),
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.counters.has_ended.store(true, Ordering::Release);
        // Wakes the thread that waits for somebody to connect; without it that one would stay until we end.
        let _ = TcpStream::connect(&self.host);
    }
}

fn accept(listener: &TcpListener, server: &str, counters: &Arc<Counters>) {
    for client in listener.incoming() {
        if counters.has_ended.load(Ordering::Acquire) {
            return;
        }
        // A connection that breaks is the client's to tell of.
        if let Ok(client) = client {
            let _ = connect(client, server, counters);
        }
    }
}

fn connect(client: TcpStream, server: &str, counters: &Arc<Counters>) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    let (from_client, from_server) = (client.try_clone()?, server.try_clone()?);
    let (up, down) = (Arc::clone(counters), Arc::clone(counters));
    thread::spawn(move || forward(from_client, server, &up.sent));
    thread::spawn(move || forward(from_server, client, &down.received));
    Ok(())
}

/// Hands on what comes until there is no more.
///
/// Bytes are counted before they are handed on, so whatever has been answered or received has been counted.
fn forward(mut from: TcpStream, mut to: TcpStream, counter: &AtomicU64) {
    let mut piece = vec![0; PIECE];
    while let Ok(length @ 1..) = from.read(&mut piece) {
        counter.fetch_add(length as u64, Ordering::AcqRel);
        if to.write_all(&piece[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers each connection, once it has sent everything, with all of it twice.
    fn echo_twice() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        thread::spawn(move || {
            for stream in listener.incoming().take(2) {
                let (mut stream, mut all) = (stream.unwrap(), Vec::new());
                stream.read_to_end(&mut all).unwrap();
                stream.write_all(&all.repeat(2)).unwrap();
            }
        });
        host
    }

    fn send(host: &str, bytes: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(host).unwrap();
        stream.write_all(bytes).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    }

    #[test]
    fn every_byte_arrives_and_is_counted_in_its_direction() {
        let wire = Wire::to(&echo_twice()).unwrap();
        let long = vec![7; 3 * PIECE + 1];
        let traffic = wire.during(|| {
            assert_eq!(send(wire.host(), &long), long.repeat(2));
            Ok(())
        });
        let length = long.len() as u64;
        assert_eq!(traffic.unwrap(), Traffic { sent: length, received: 2 * length });
        let traffic = wire.during(|| {
            assert_eq!(send(wire.host(), b"short"), b"shortshort");
            Ok(())
        });
        assert_eq!(traffic.unwrap(), Traffic { sent: 5, received: 10 });
    }

    #[test]
    fn nobody_answers_after_the_end() {
        let wire = Wire::to("127.0.0.1:1").unwrap();
        let host = wire.host().to_owned();
        drop(wire);
        // The thread that lets go of the port may need a moment.
        let is_closed = || TcpStream::connect(&host).is_err();
        assert!((0..500).any(|_| is_closed() || {
            thread::sleep(std::time::Duration::from_millis(2));
            false
        }));
    }
}
