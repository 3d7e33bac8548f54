//! `core`: the component inside this program, for those who want to load it elsewhere or call it from a script.

use std::io::{self, Read as _, Write};
use std::path::PathBuf;

use bundle_core::digest::Digest;
use clap::{Args, Subcommand};
use serde_json::Value;

use crate::args::Execution;
use crate::error::{CliError, Exit};
use crate::session::Session;
use crate::ui::{Report, bytes, counted, shown};
use modelops_bundle::component::measure::Cost;
use modelops_bundle::component::{Core, FunctionInfo};
use modelops_bundle::output_file::{Existing, Found, OutputFile};
use modelops_bundle::whole_file::{self, Links};
use modelops_bundle_report::{ComponentReport, CostReport, ExtractReport, FunctionReport, MeasureReport};

/// The longest document that `core call` reads, in bytes: as long as the text of an index may be. Its values take several
/// times as much.
const MAX_INPUT: u64 = 256 << 20;

/// Show, extract or call the component that decides
///
/// Every decision of this program is made by a WASM component that imports nothing. Any host that runs components can
/// load it and gets the same answers.
#[derive(Debug, Args)]
pub(crate) struct CoreArgs {
    #[command(subcommand)]
    command: CoreCommand,
}

#[derive(Debug, Subcommand)]
enum CoreCommand {
    /// Show the component's digest, its contract and its functions
    Info,
    /// Write the component to a file
    Extract {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Replace a file that is there
        #[arg(short, long)]
        force: bool,
        /// Show what would be written, and write nothing
        #[arg(short = 'n', long)]
        dry_run: bool,
    },
    /// Call one of its functions: one JSON object in on standard input, one out on standard output
    Call {
        /// The function, such as `diff`, `plan-push` or `plan-pull`
        name: String,
    },
    /// Measure what deciding in the component costs, against the same code without it
    Measure {
        /// How many files there are on each side
        #[arg(long, default_value_t = 100_000)]
        files: usize,
    },
}

impl Report for MeasureReport {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{} on each side", counted(self.files, "file"))?;
        for CostReport { function, component_us, native_us } in &self.costs {
            let (component, native) = (*component_us as f64 / 1e3, *native_us as f64 / 1e3);
            writeln!(
                out,
                "  {function:<10} {component:>8.1} ms in the component, {native:>8.1} ms natively"
            )?;
        }
        Ok(())
    }
}

impl Report for ComponentReport {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "component {} ({} bytes)", self.digest, self.size)?;
        writeln!(out, "contract  {}", self.contract)?;
        writeln!(out, "imports   none")?;
        let mut interface = "";
        for function in &self.functions {
            if function.interface != interface {
                interface = &function.interface;
                writeln!(out, "\n{interface}")?;
            }
            writeln!(out, "  {}: {}", function.name, function.signature)?;
        }
        Ok(())
    }
}

impl Report for ExtractReport {
    fn is_account(&self) -> bool {
        !self.dry_run
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let verb = if self.dry_run { "would write" } else { "wrote" };
        let file = self.file.display().to_string();
        writeln!(out, "{verb} {} ({} bytes)\n  {}", shown(&file), self.size, self.digest)
    }
}

pub(crate) fn run(session: &Session<'_>, args: &CoreArgs) -> Result<(), CliError> {
    match &args.command {
        CoreCommand::Info => info(session),
        CoreCommand::Extract { file, force, dry_run } => {
            let existing = if *force { Existing::Goes } else { Existing::Stays };
            extract(session, file, existing, Execution::of(*dry_run))
        }
        CoreCommand::Call { name } => call(session, name),
        CoreCommand::Measure { files } => measure(session, *files),
    }
}

fn measure(session: &Session<'_>, files: usize) -> Result<(), CliError> {
    let us = |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let costs = modelops_bundle::component::measure::measure(&session.core()?, files)?.into_iter();
    let report = |cost: Cost| CostReport {
        function: cost.function.into(),
        component_us: us(cost.component),
        native_us: us(cost.native),
    };
    session.ui.report(&MeasureReport { files, costs: costs.map(report).collect() })
}

fn info(session: &Session<'_>) -> Result<(), CliError> {
    let component = session.component_bytes()?;
    let core = session.core()?;
    let functions = core.functions().into_iter();
    session.ui.report(&ComponentReport {
        digest: core.digest().to_string(),
        size: component.len() as u64,
        contract: core.contract(),
        functions: functions
            .map(|FunctionInfo { interface, name, signature }| FunctionReport { interface, name, signature })
            .collect(),
    })
}

fn extract(
    session: &Session<'_>,
    file: &PathBuf,
    existing: Existing,
    execution: Execution,
) -> Result<(), CliError> {
    let target = OutputFile::at(&session.cwd.join(file))?;
    let component = session.component_bytes()?;
    let is_there = target.found() == Found::File
        && whole_file::read(target.path(), component.len() as u64, Links::Refuse)
            .is_ok_and(|found| found == *component);
    if target.found() == Found::File && existing == Existing::Stays && !is_there {
        return Err(CliError::exists(file));
    }
    if execution == Execution::Apply {
        target.write(&component).map_err(|error| {
            let what = format_args!("cannot write {}", target.path().display());
            CliError::because_of(Exit::Failure, what, &error).hint("check the permissions of its folder")
        })?;
    }
    session.ui.report(&ExtractReport {
        file: file.clone(),
        digest: Digest::of(&component).to_string(),
        size: component.len() as u64,
        dry_run: execution == Execution::DryRun,
    })
}

fn call(session: &Session<'_>, name: &str) -> Result<(), CliError> {
    let mut json = Vec::new();
    // One byte more than may come tells that there is more.
    io::stdin().lock().take(MAX_INPUT + 1).read_to_end(&mut json)?;
    if json.len() as u64 > MAX_INPUT {
        return Err(CliError::new(
            Exit::Usage,
            format_args!("standard input has more than {}", bytes(MAX_INPUT)),
        )
        .hint("give one JSON object; a project with as many files is compared by `modelops-bundle diff`"));
    }
    let input: Value = bundle_core::canonical::parse(&json).map_err(|error| {
        CliError::new(Exit::Usage, format_args!("standard input is no JSON that can be taken: {error}")).hint(
            "give one JSON object, such as {\"local\": [], \"remote\": [], \"base\": [], \"tracked\": []}",
        )
    })?;
    let core: Core = session.core()?;
    let output = core.call_json(name, input)?;
    let mut text = serde_json::to_vec(&output).map_err(io::Error::from)?;
    text.push(b'\n');
    session.ui.raw(&text)
}
