//! `man`: the manual as pages for `man`, made from the command line itself.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use serde::Serialize;

use crate::cli::args::Cli;
use crate::cli::error::{CliError, Exit};
use crate::cli::session::Session;
use crate::cli::ui::{Report, counted, shown};
use crate::output_file::OutputFile;

/// Write the manual pages, one a command
///
/// For whoever packages the program: section 1, with the same bytes for the same version.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// The folder to write them to, which is made where it is not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// The document of `man`.
#[derive(Serialize)]
struct ManReport {
    /// The folder.
    folder: PathBuf,
    /// How many pages were written.
    pages: usize,
}

impl Report for ManReport {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let folder = self.folder.display().to_string();
        writeln!(out, "Wrote {} to {}", counted(self.pages, "page"), shown(&folder))
    }
}

pub(crate) fn run(session: &Session<'_>, args: &ManArgs) -> Result<(), CliError> {
    let folder = session.cwd.join(&args.folder);
    let fault = |error: io::Error| {
        CliError::new(Exit::Failure, format_args!("cannot write to {}: {error}", folder.display()))
    };
    fs::create_dir_all(&folder).map_err(fault)?;
    // `help` has no page of its own.
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let mut commands = vec![root];
    let mut pages = 0;
    while let Some(command) = commands.pop() {
        let visible = command.get_subcommands().filter(|inner| !inner.is_hide_set());
        commands.extend(visible.cloned());
        let version = concat!("modelops-bundle ", env!("CARGO_PKG_VERSION"));
        let page = clap_mangen::Man::new(command).source(version);
        let mut text = Vec::new();
        page.render(&mut text)?;
        OutputFile::at(&folder.join(page.get_filename()))?.write(&text).map_err(fault)?;
        pages += 1;
    }
    session.ui.report(&ManReport { folder, pages })
}
