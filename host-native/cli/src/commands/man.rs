//! `man`: the manual as pages for `man`, made from the command line itself.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, CommandFactory};

use crate::args::{Cli, Execution};
use crate::error::{CliError, Exit};
use crate::session::Session;
use crate::ui::{Report, counted, shown};
use modelops_bundle::leftovers::Unfinished;
use modelops_bundle::output_file::OutputFile;
use modelops_bundle::project::atomic::{make_folders, remove_folders};
use modelops_bundle_report::ManReport;

/// Write the manual pages, one a command
///
/// For whoever packages the program: section 1, with the same bytes for the same version.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// The folder to write them to, which is made where it is not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Show what would be written, and write nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
}

impl Report for ManReport {
    fn is_account(&self) -> bool {
        !self.dry_run
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let folder = self.folder.display().to_string();
        let verb = if self.dry_run { "Would write" } else { "Wrote" };
        writeln!(out, "{verb} {} to {}", counted(self.pages, "page"), shown(&folder))
    }
}

pub(crate) fn run(session: &Session<'_>, args: &ManArgs) -> Result<(), CliError> {
    let folder = session.cwd.join(&args.folder);
    let fault = |error: io::Error| {
        CliError::because_of(Exit::Failure, format_args!("cannot write to {}", folder.display()), &error)
            .hint("name a folder, or one to be made, in a place that you may write to")
    };
    let execution = Execution::of(args.dry_run);
    let pages = pages()?;
    if execution == Execution::Apply {
        let made = make_folders(&folder).map_err(fault)?;
        let files: Vec<PathBuf> = pages.iter().map(|(name, _)| folder.join(name)).collect();
        let written = files.clone();
        let unfinished = Unfinished::new(move || {
            // In a folder that was there, pages may be those of earlier releases.
            if !made.is_empty() {
                written.iter().for_each(|file| _ = fs::remove_file(file));
                remove_folders(&made);
            }
        });
        for (file, (_, text)) in files.iter().zip(&pages) {
            OutputFile::at(file)?.write(text.as_bytes()).map_err(fault)?;
        }
        unfinished.keep();
    }
    session.ui.report(&ManReport { folder, pages: pages.len(), dry_run: args.dry_run })
}

/// The name and the text of each page.
fn pages() -> io::Result<Vec<(String, String)>> {
    // `help` has no page of its own.
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let mut commands = vec![root];
    let mut pages = Vec::new();
    while let Some(command) = commands.pop() {
        let visible = command.get_subcommands().filter(|inner| !inner.is_hide_set());
        commands.extend(visible.cloned());
        let version = concat!("modelops-bundle ", env!("CARGO_PKG_VERSION"));
        let page = clap_mangen::Man::new(command).source(version);
        let mut text = Vec::new();
        page.render(&mut text)?;
        write_common_sections(&mut text)?;
        let text = String::from_utf8_lossy(&text).replace(".SH EXTRA\nExamples:", ".SH EXAMPLES");
        pages.push((page.get_filename(), text));
    }
    Ok(pages)
}

/// What holds for every command, as further sections of a page.
fn write_common_sections(page: &mut Vec<u8>) -> io::Result<()> {
    writeln!(page, ".SH \"EXIT STATUS\"")?;
    for (code, meaning) in EXIT_STATUS {
        writeln!(page, ".TP\n.B {code}\n{meaning}")?;
    }
    writeln!(page, ".SH ENVIRONMENT")?;
    for (name, meaning) in ENVIRONMENT {
        writeln!(page, ".TP\n.B {name}\n{meaning}")?;
    }
    writeln!(page, ".SH FILES")?;
    for (name, meaning) in FILES {
        writeln!(page, ".TP\n.I {name}\n{meaning}")?;
    }
    writeln!(page, ".SH \"SEE ALSO\"\n.BR modelops-bundle (1),\n.BR git (1),\n.BR skopeo (1),\n.BR oras (1)")
}

/// The exit codes.
const EXIT_STATUS: [(&str, &str); 10] = [
    ("0", "done"),
    ("1", "another failure"),
    ("2", "the command line or an input cannot be understood"),
    ("3", "a conflict: something would be lost; nothing was changed"),
    ("4", "the tag moved, or the version exists"),
    ("5", "authentication"),
    ("6", "not found"),
    ("7", "no useful answer from the network"),
    ("8", "integrity: bytes are not what they should be"),
    ("129, 130, 143", "ended by a signal"),
];

/// The variables that count.
const ENVIRONMENT: [(&str, &str); 8] = [
    ("MODELOPS_BUNDLE_USERNAME, MODELOPS_BUNDLE_PASSWORD", "who asks, where a registry wants to know"),
    ("MODELOPS_BUNDLE_REGISTRY", "the only registry that these two are told"),
    ("MODELOPS_BUNDLE_PROGRESS", "how progress is shown: auto, plain or none"),
    ("REGISTRY_AUTH_FILE", "the only file of credentials"),
    ("DOCKER_CONFIG", "the folder of Docker\\(aqs config.json"),
    ("SOURCE_DATE_EPOCH", "the time that a push writes, in seconds since 1970"),
    ("HTTPS_PROXY, HTTP_PROXY, NO_PROXY", "proxies, as for other programs"),
    ("XDG_CONFIG_HOME, XDG_DATA_HOME", "where environments, and the remotes of projects without one, are"),
];

/// The files of a project.
const FILES: [(&str, &str); 4] = [
    (".modelops-bundle/config.yaml", "the settings of a project"),
    (".modelops-bundle/", "what a project tracks and last synced"),
    (".modelopsignore", "what `add` passes over, in any folder, in the syntax of gitignore(5)"),
    ("~/.config/modelops-bundle/config.yaml", "named environments"),
];
