//! `export`: writes a bundle to one file.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use crate::args::Execution;
use crate::error::CliError;
use crate::session::{Needs, Session, wanted_bundle};
use crate::ui::{Report, bytes, counted, shown};
use modelops_bundle::ops::export::{self, ExportOptions, Format};
use modelops_bundle::output_file::Existing;
use modelops_bundle_report::{ExportFormat, ExportReport};

/// Write a bundle to one file
///
/// The file is a tar of an OCI image layout (`oci-archive:FILE`, which skopeo reads too) with all that the bundle needs,
/// and has the same bytes whoever writes it. With --files it is a plain tar of the bundle's files instead, for those who
/// have nothing but `tar`; it cannot be imported. Either appears when it is whole. A file of that name stays as it is, unless
/// it holds the same or --force says to replace it; where a link is of that name, the file that it leads to
/// is written.
/// Without a REF it is the bundle of the project's own remote.
#[derive(Debug, Args)]
#[command(allow_missing_positional = true)]
#[command(after_help = "Examples:\n\
\x20 modelops-bundle export seir.tar\n\
\x20 modelops-bundle export v1.0.0 files.tar --files")]
pub(crate) struct ExportArgs {
    /// The bundle: a reference, or a tag or digest of the project's own remote
    #[arg(value_name = "REF")]
    reference: Option<String>,
    /// The file to write
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Write a plain tar of the files, which any `tar` unpacks
    #[arg(long)]
    files: bool,
    /// Replace a file that is there
    #[arg(short, long)]
    force: bool,
    /// Show what would be written, and write nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
}

impl Report for ExportReport {
    fn is_account(&self) -> bool {
        !self.dry_run
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let verb = if self.dry_run { "Would export" } else { "Exported" };
        let parts = match self.blobs {
            Some(blobs) => counted(blobs as usize, "blob"),
            None => counted(self.files, "file"),
        };
        let (file, size) = (self.file.display().to_string(), bytes(self.bytes));
        writeln!(out, "{verb} {} to {}: {parts}, {size}", self.reference, shown(&file))?;
        writeln!(out, "  bundle {}", self.digest)?;
        writeln!(out, "  tree   {}", self.tree)
    }
}

pub(crate) fn run(session: &Session<'_>, args: &ExportArgs) -> Result<(), CliError> {
    let workspace = match &args.reference {
        Some(text) => session.workspace_for(text, Needs::Bundle)?,
        None => Some(session.workspace()?),
    };
    let reference = wanted_bundle(session, args.reference.as_deref(), workspace.as_ref())?;
    let file = session.cwd.join(&args.file);
    let execution = Execution::of(args.dry_run);
    let (format, shown_format) = match args.files {
        true => (Format::Tar, ExportFormat::Tar),
        false => (Format::OciArchive, ExportFormat::OciArchive),
    };
    let existing = if args.force { Existing::Goes } else { Existing::Stays };
    let (client, options) = (session.client()?, ExportOptions::default().format(format).existing(existing));
    let report = session.runtime()?.block_on(async {
        let planned = export::plan(&client, &reference, &file, options).await?;
        let (bundle, amount) = (planned.bundle(), planned.amount());
        let mut report = ExportReport {
            reference: reference.to_string(),
            digest: bundle.digest.to_string(),
            tree: bundle.index_view.tree.to_string(),
            file: file.clone(),
            format: shown_format,
            files: bundle.files().len(),
            blobs: amount.blobs,
            bytes: amount.bytes,
            requests: planned.requests(),
            dry_run: execution == Execution::DryRun,
        };
        match execution {
            Execution::DryRun => {
                planned.foresee()?;
                report.requests = planned.requests();
            }
            Execution::Apply => report.requests = planned.apply().await?.requests,
        }
        Ok::<_, CliError>(report)
    })?;
    session.ui.report(&report)
}
