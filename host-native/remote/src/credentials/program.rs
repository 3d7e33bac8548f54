//! Runs another program and takes what it prints, within limits on time and length.

use std::io;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

/// How long a program may take: a person may have to unlock something first.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long its pipes are read once it has ended: a process that it left behind may hold them open for ever.
const GRACE: Duration = Duration::from_millis(500);

/// The most of a program's answer that is read.
const MAX_ANSWER_BYTES: u64 = 1 << 20;

/// How a program ended, and what it printed.
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

/// Why a program did not come to its end.
pub(super) enum RunFault {
    /// It cannot be run.
    Missing(io::Error),
    /// It did not end within so many seconds.
    Silent { seconds: u64 },
}

/// Runs `program`, and writes a line to its standard input.
pub(super) async fn run(program: &str, arguments: &[&str], input: &[u8]) -> Result<Ended, RunFault> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(RunFault::Missing)?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // A program need not read what it has no use for.
            let _ = stdin.write_all(input).await;
            let _ = stdin.write_all(b"\n").await;
        }
    };
    let (mut said, mut complained) = (Vec::new(), Vec::new());
    let status = {
        let talk = async { tokio::join!(write, read(stdout, &mut said), read(stderr, &mut complained)) };
        let mut talk = pin!(talk.fuse());
        let ended = async {
            tokio::select! {
                status = child.wait() => {
                    let _ = tokio::time::timeout(GRACE, &mut talk).await;
                    status
                }
                _ = &mut talk => child.wait().await,
            }
        };
        let silent = |_| RunFault::Silent { seconds: PATIENCE.as_secs() };
        tokio::time::timeout(PATIENCE, ended).await.map_err(silent)?.map_err(RunFault::Missing)?
    };
    Ok(Ended { status, stdout: said, stderr: complained })
}

/// Adds what comes from a pipe to `bytes`, up to its end.
async fn read(pipe: Option<impl AsyncRead + Unpin>, bytes: &mut Vec<u8>) {
    if let Some(mut pipe) = pipe {
        // What came before an error is judged as it is.
        let _ = (&mut pipe).take(MAX_ANSWER_BYTES).read_to_end(bytes).await;
        // The program must not wait for a reader of the rest.
        let _ = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
    }
}
