//! `logout`: forgets a registry's credentials.

use std::io::{self, Write};

use clap::Args;
use serde::Serialize;

use crate::cli::commands::login::{NamedRegistry, Stored, named_registry};
use crate::cli::error::CliError;
use crate::cli::session::Session;
use crate::cli::ui::Report;
use crate::credentials::server::Server;

/// Log out of a registry
///
/// Forgets what `login` kept. The registry itself is not asked: a token that it gave may have to be taken back there.
#[derive(Debug, Args)]
pub(crate) struct LogoutArgs {
    /// The registry, as HOST or HOST:PORT
    #[arg(value_name = "HOST", value_parser = named_registry)]
    host: NamedRegistry,
}

#[derive(Serialize)]
struct LogoutReport {
    host: String,
    /// Where credentials were.
    removed: Vec<Stored>,
    /// Where there still are some, which are not ours to remove.
    left: Vec<String>,
}

impl Report for LogoutReport {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.removed.is_empty() {
            return writeln!(out, "There was no login to {}", self.host);
        }
        writeln!(out, "Logged out of {}", self.host)?;
        self.removed.iter().try_for_each(|place| writeln!(out, "  was kept {place}"))
    }
}

pub(crate) fn run(session: &Session<'_>, args: &LogoutArgs) -> Result<(), CliError> {
    let host = args.host.noted(session);
    let server = Server::new(host, "");
    let forgotten = session.runtime()?.block_on(session.credentials().forget(&server))?;
    let mut left: Vec<String> = forgotten.left.iter().map(|path| path.display().to_string()).collect();
    if forgotten.in_environment {
        left.push("the environment".to_owned());
    }
    for place in &left {
        session.ui.warning(format_args!("{place} still has credentials for {host}"));
    }
    let removed = forgotten.removed.into_iter().map(Stored::from).collect();
    session.ui.report(&LogoutReport { host: host.to_owned(), removed, left })
}
