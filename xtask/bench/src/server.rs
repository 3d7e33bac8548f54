//! A registry for the length of a workload, on loopback.

use crate::arena::Arena;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use xtask::failure::{Context, Failure, Result};
use xtask::places;

/// How long it may take to answer its first request.
const START_LIMIT: Duration = Duration::from_secs(10);

/// The program, as it is named where it is missing.
pub(crate) const NAME: &str = places::DOCKER_REGISTRY.name;

/// The media type of the manifests that are asked for.
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A registry with a port and a folder of its own; it ends with this value.
pub(crate) struct Server {
    host: String,
    process: Child,
}

impl Server {
    /// Starts one and waits until it answers; none where the program is not on this machine.
    pub(crate) fn start(arena: &Arena) -> Result<Option<Self>> {
        let Some(program) = places::DOCKER_REGISTRY.find() else {
            println!("    {NAME} is not here; `cargo xtask test --tools-only` gets it");
            return Ok(None);
        };
        let folder = arena.fresh("registry")?;
        let host = free_host().context(|| "there is no free port".to_owned())?;
        let (config, log) = (folder.join("config.yml"), folder.join("log"));
        let cannot = || format!("cannot write into {}", folder.display());
        fs::write(&config, configuration(&folder, &host)).context(cannot)?;
        let said = File::create(&log).context(cannot)?;
        let mut command = arena.apart(&program);
        // It would look for a collector of traces otherwise.
        command.arg("serve").arg(&config).env("OTEL_TRACES_EXPORTER", "none");
        command.stdout(Stdio::null()).stderr(said);
        let process = command.spawn().context(|| format!("cannot run {}", program.display()))?;
        let mut server = Self { host, process };
        server.wait_until_it_answers(&log)?;
        Ok(Some(server))
    }

    /// Where it listens: `127.0.0.1:PORT`.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The manifest that a repository's `latest` names, as text.
    pub(crate) fn manifest(&self, repository: &str) -> Result<String> {
        let path = format!("/v2/{repository}/manifests/latest");
        let answer = get(&self.host, &path).context(|| format!("cannot get {path}"))?;
        match answer.split_once("\r\n\r\n") {
            Some((head, body)) if head.lines().next().is_some_and(|line| line.ends_with(" 200 OK")) => {
                Ok(body.to_owned())
            }
            _ => Err(Failure::step(format!("the registry has no {path}"))),
        }
    }

    fn wait_until_it_answers(&mut self, log: &Path) -> Result {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let is_answering = answers(&self.host).unwrap_or_default();
            // In this order: when its port was taken, someone else's server may answer while ours ends.
            let has_ended = matches!(self.process.try_wait(), Ok(Some(_)));
            if has_ended || Instant::now() > deadline {
                let said = fs::read_to_string(log).unwrap_or_default();
                return Err(Failure::step(format!("{NAME} does not answer at {}\n{said}", self.host)));
            }
            if is_answering {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_host() -> std::io::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

fn answers(host: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(START_LIMIT))?;
    stream.write_all(b"GET /v2/ HTTP/1.0\r\n\r\n")?;
    let mut start = [0; 12];
    stream.read_exact(&mut start)?;
    Ok(start.ends_with(b" 200"))
}

/// In HTTP/1.0, where an answer ends with its connection.
fn get(host: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(START_LIMIT))?;
    write!(stream, "GET {path} HTTP/1.0\r\nAccept: {MANIFEST}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn configuration(folder: &Path, host: &str) -> String {
    format!(
        "version: 0.1\n\
         log:\n  level: error\n  accesslog:\n    disabled: true\n\
         storage:\n  filesystem:\n    rootdirectory: {}\n  \
         maintenance:\n    uploadpurging:\n      enabled: false\n\
         http:\n  addr: {host}\n  secret: only-for-benchmarks\n",
        folder.join("storage").display(),
    )
}
