//! `completions`: what a shell needs to complete our command line.

use std::path::Path;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::args::Cli;
use crate::error::CliError;
use crate::program;
use crate::ui::{Report, Ui};
use modelops_bundle_report::CompletionsReport;

/// Print the completion script of a shell
///
/// Completes commands, options and values: tags, settings, environments, tracked files. Tags are those that the remote
/// lists within a second and a half. The script calls the program, which therefore has to be where it was, or on PATH.
#[derive(Debug, Args)]
#[command(after_help = "Where it goes:\n\
\x20 bash  in ~/.bashrc: eval \"$(modelops-bundle completions bash)\"\n\
\x20 zsh   in ~/.zshrc, behind compinit: source <(modelops-bundle completions zsh)\n\
\x20 fish  modelops-bundle completions fish |\n\
\x20         tee ~/.config/fish/completions/modelops-bundle.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

impl Report for CompletionsReport {
    fn write_text(&self, out: &mut dyn std::io::Write) -> std::io::Result<()> {
        write!(out, "{}", self.script)
    }
}

pub(crate) fn run(ui: &Ui, args: &CompletionsArgs) -> Result<(), CliError> {
    let script = match args.shell {
        Shell::Bash => asking(include_str!("../completion/modelops-bundle.bash"), "'\\''"),
        Shell::Zsh => asking(include_str!("../completion/modelops-bundle.zsh"), "'\\''"),
        Shell::Fish => asking(include_str!("../completion/modelops-bundle.fish"), "\\'"),
        shell => complete_in_itself(shell),
    };
    ui.report(&CompletionsReport { shell: args.shell.to_string(), script })
}

/// A script that asks the program; `quote` is how a quote is written between quotes.
fn asking(script: &str, quote: &str) -> String {
    let names = program::names().join(" ");
    script
        .replace("@PROGRAM@", &format!("'{}'", whereabouts().replace('\'', quote)))
        .replace("@NAMES@", &names)
}

/// Where the program is for a shell that does not find it by what was typed: where it was started from, if by a path.
fn whereabouts() -> String {
    let named = std::env::args_os().next().unwrap_or_default();
    let is_path = Path::new(&named).components().count() > 1;
    let path = std::env::current_exe().ok().filter(|_| is_path);
    path.and_then(|path| path.to_str().map(str::to_owned)).unwrap_or_else(|| program::name().to_owned())
}

/// A script that knows the command line itself, without values that are only known when they are asked for.
fn complete_in_itself(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), program::name(), &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
