//! `logout`: forgets a registry's credentials.

use std::io::{self, Write};

use clap::Args;

use crate::args::Execution;
use crate::commands::login::{named_registry, stored, stored_in_words};
use crate::error::CliError;
use crate::session::Session;
use crate::ui::Report;
use modelops_bundle::ops::logout;
use modelops_bundle_report::LogoutReport;

/// Log out of a registry
///
/// Forgets what `login` kept. The registry itself is not asked: a token that it gave may have to be taken back there.
#[derive(Debug, Args)]
pub(crate) struct LogoutArgs {
    /// The registry, as HOST or HOST:PORT
    #[arg(value_name = "HOST")]
    host: String,
    /// Show what would be forgotten, and forget nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
}

impl Report for LogoutReport {
    fn is_account(&self) -> bool {
        !self.dry_run
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.removed.is_empty() {
            return writeln!(out, "There was no login to {}", self.host);
        }
        let (verb, kept) =
            if self.dry_run { ("Would log out", "is kept") } else { ("Logged out", "was kept") };
        writeln!(out, "{verb} of {}", self.host)?;
        self.removed.iter().try_for_each(|place| writeln!(out, "  {kept} {}", stored_in_words(place)))
    }
}

pub(crate) fn run(session: &Session<'_>, args: &LogoutArgs) -> Result<(), CliError> {
    let named = named_registry(&args.host)?;
    let host = named.noted(session);
    let (client, store, runtime) = (session.client()?, session.credentials(), session.runtime()?);
    let planned = logout::plan(&client, &store, host);
    let forgotten = match Execution::of(args.dry_run) {
        Execution::Apply => runtime.block_on(planned.apply())?,
        Execution::DryRun => runtime.block_on(planned.foresee())?,
    };
    let mut left: Vec<String> = forgotten.left.iter().map(|path| path.display().to_string()).collect();
    if forgotten.in_environment {
        left.push("the environment".to_owned());
    }
    for place in &left {
        session.ui.warning(format_args!("{place} still has credentials for {host}"));
    }
    let removed = forgotten.removed.into_iter().map(stored).collect();
    session.ui.report(&LogoutReport { host: host.to_owned(), removed, left, dry_run: args.dry_run })
}
