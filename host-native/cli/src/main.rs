//! The program `modelops-bundle`: arguments become an operation of the library, and its result a report.

mod allocator;
mod args;
mod commands;
mod completion;
mod documents;
mod echo;
mod error;
mod keeping;
mod kept_settings;
mod lookalikes;
mod notices;
mod program;
mod progress;
mod scarcity;
mod session;
mod signals;
mod subject;
mod traffic;
mod ui;
mod wrap;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

use self::args::{Cli, Command};
use self::commands::{
    add, completions, config, copy, core, delete, diff, env, export, health, import, init, inspect, login,
    logout, man, manifest, pull, push, python, remove, repos, status, tag, undo, verify,
};
use self::error::{CliError, Exit};
use self::program::with_typed_examples;
use self::progress::{Board, ProgressMode};
use self::session::Session;
use self::signals::{Early, Run};
use self::ui::{Format, Talk, Ui};
use modelops_bundle::address_space;
use modelops_bundle::threads::{check_files, start_pool};

fn main() -> ExitCode {
    allocator::keep_freed_shortly();
    if let Err(lacking) = check_limits() {
        return refuse(&lacking);
    }
    if let Some(code) = completion::answer() {
        return code;
    }
    let cli = match parse() {
        Ok(cli) => cli,
        Err(error) => return refuse_arguments(&error),
    };
    let signals = Early::listen();
    let format = if cli.global.json { Format::Json } else { Format::Text };
    let talk = if cli.global.quiet { Talk::Quiet } else { Talk::Normal };
    let mode = match cli.global.progress {
        _ if cli.global.quiet => ProgressMode::None,
        Some(mode) => mode,
        None => ProgressMode::of_environment(),
    };
    let run = Arc::new(Run::default());
    let board = Board::new(mode, cli.global.verbose > 0);
    let ui = Arc::new(Ui::new(format, talk, board, Arc::clone(&run)));
    log_to_standard_error(&ui, cli.global.verbose);
    let listener = signals.answer(Arc::clone(&ui), &cli.command, Arc::clone(&run));
    listener.end(carry_out(&ui, &cli, &run))
}

fn parse() -> Result<Cli, clap::Error> {
    // Usage lines name the program as it was typed; so do the examples behind them.
    let mut command = with_typed_examples(Cli::command());
    let arguments = without_help_for_help(std::env::args_os().collect());
    let mut matches = command.try_get_matches_from_mut(arguments)?;
    Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

/// Whether the system lets the program begin at all.
fn check_limits() -> Result<(), CliError> {
    address_space::check()?;
    Ok(check_files()?)
}

/// Leaves out what asks `help` for help, behind that command: it is what is given.
fn without_help_for_help(arguments: Vec<OsString>) -> Vec<OsString> {
    let command =
        arguments.iter().skip(1).position(|argument| !argument.as_encoded_bytes().starts_with(b"-"));
    let Some(at) = command.map(|at| at + 1).filter(|at| arguments[*at] == "help") else { return arguments };
    let asks = |argument: &OsString| argument == "--help" || argument == "-h";
    let kept =
        arguments.into_iter().enumerate().filter(|(position, argument)| *position <= at || !asks(argument));
    kept.map(|(_, argument)| argument).collect()
}

fn carry_out(ui: &Ui, cli: &Cli, run: &Arc<Run>) -> Result<(), CliError> {
    if let Command::Completions(args) = &cli.command {
        return completions::run(ui, args);
    }
    start_pool()?;
    let session = Session::new(ui, &cli.global, run)?;
    match &cli.command {
        Command::Init(args) => init::run(&session, args),
        Command::Add(args) => add::run(&session, args),
        Command::Remove(args) => remove::run(&session, args),
        Command::Status(args) => status::run(&session, args),
        Command::Diff(args) => diff::run(&session, args),
        Command::Push(args) => push::run(&session, args),
        Command::Pull(args) => pull::run(&session, args),
        Command::Undo(args) => undo::run(&session, args),
        Command::Manifest(args) => manifest::run(&session, args),
        Command::Inspect(args) => inspect::run(&session, args),
        Command::Verify(args) => verify::run(&session, args),
        Command::Tag(args) => tag::run(&session, args),
        Command::Copy(args) => copy::run(&session, args),
        Command::Delete(args) => delete::run(&session, args),
        Command::Repos(args) => repos::run(&session, args),
        Command::Health(args) => health::run(&session, args),
        Command::Export(args) => export::run(&session, args),
        Command::Import(args) => import::run(&session, args),
        Command::Login(args) => login::run(&session, args),
        Command::Logout(args) => logout::run(&session, args),
        Command::Config(args) => config::run(&session, args),
        Command::Env(args) => env::run(&session, args),
        Command::Dev(args) => env::run_dev(&session, args),
        Command::Python(command) => Err(command.refuse()),
        Command::Core(args) => core::run(&session, args),
        Command::Man(args) => man::run(&session, args),
        Command::Completions(args) => completions::run(ui, args),
    }
}

/// Help and version are results; a command line that cannot be understood is a failure, in JSON where that is wanted.
fn refuse_arguments(error: &clap::Error) -> ExitCode {
    if let Some(refused) = python::refuse_option(error) {
        return refuse(&refused);
    }
    let is_result = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if !is_result && wanted_format() == Format::Json {
        let text = error.render().to_string();
        let message = text.trim().strip_prefix("error: ").unwrap_or(&text).to_owned();
        return refuse(&CliError::new(Exit::Usage, message));
    }
    // Nobody is there to be told that the terminal is closed.
    let _ = error.print();
    if is_result { ExitCode::SUCCESS } else { ExitCode::from(Exit::Usage as u8) }
}

/// Ends before anything was begun.
fn refuse(error: &CliError) -> ExitCode {
    Ui::new(wanted_format(), Talk::Normal, Board::Nothing, Arc::default()).error(error);
    ExitCode::from(error.exit as u8)
}

/// The format that is asked for, as far as that is known of arguments that nobody has understood.
fn wanted_format() -> Format {
    if std::env::args_os().any(|argument| argument == "--json") { Format::Json } else { Format::Text }
}

fn log_to_standard_error(ui: &Ui, verbosity: u8) {
    let level = match verbosity {
        0 => tracing::Level::WARN,
        1 => tracing::Level::INFO,
        2 => tracing::Level::DEBUG,
        _ => tracing::Level::TRACE,
    };
    let log =
        tracing_subscriber::fmt().with_max_level(level).with_writer(ui.log()).with_ansi(false).without_time();
    match verbosity {
        // Who asked for no log is told what else the program warns of, in the same words.
        0 => log.event_format(AsWarning).init(),
        _ => log.init(),
    }
}

/// A line of the log as the program's own warnings are written.
struct AsWarning;

impl<S, N> FormatEvent<S, N> for AsWarning
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &tracing::Event<'_>,
    ) -> std::fmt::Result {
        write!(writer, "warning: ")?;
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}
