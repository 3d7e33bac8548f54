//! `export`: writes a bundle to one file.

use std::io::{self, Write};
use std::path::PathBuf;

use bundle_core::digest::Digest;
use clap::Args;
use serde::Serialize;

use super::diff::find;
use crate::cli::args::Execution;
use crate::cli::error::CliError;
use crate::cli::session::{DEFAULT_TAG, Session, wanted_bundle};
use crate::cli::ui::{Report, bytes, counted, shown};
use crate::transfer::{Parts, copy_to_archive};

/// Write a bundle to one file
///
/// The file is a tar of an OCI image layout (`oci-archive:FILE`, which skopeo reads too) with all that the bundle needs,
/// and has the same bytes whoever writes it. It appears when it is whole; a file of that name is replaced then. Without
/// a REF it is the bundle of the project's own remote.
#[derive(Debug, Args)]
#[command(allow_missing_positional = true)]
pub(crate) struct ExportArgs {
    /// The bundle: a reference, or a tag or digest of the project's own remote
    #[arg(value_name = "REF")]
    reference: Option<String>,
    /// The file to write
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Show what would be written, and write nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// The document of `export`.
#[derive(Serialize)]
struct ExportReport {
    #[serde(rename = "ref")]
    reference: String,
    digest: Digest,
    tree: Digest,
    file: PathBuf,
    /// Blobs in the archive; the manifest is not counted.
    blobs: u64,
    /// Their bytes.
    bytes: u64,
    /// HTTP requests made.
    requests: u64,
    dry_run: bool,
}

impl Report for ExportReport {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let verb = if self.dry_run { "Would export" } else { "Exported" };
        let (blobs, size) = (counted(self.blobs as usize, "blob"), bytes(self.bytes));
        let file = self.file.display().to_string();
        writeln!(out, "{verb} {} to {}: {blobs}, {size}", self.reference, shown(&file))?;
        writeln!(out, "  bundle {}", self.digest)?;
        writeln!(out, "  tree   {}", self.tree)
    }
}

pub(crate) fn run(session: &Session<'_>, args: &ExportArgs) -> Result<(), CliError> {
    // A whole reference needs no project.
    let workspace = match args.reference {
        Some(_) => session.workspace().ok(),
        None => Some(session.workspace()?),
    };
    let reference = wanted_bundle(session, args.reference.as_deref(), workspace.as_ref())?;
    let tag = reference.tag.clone().map_or_else(|| DEFAULT_TAG.parse(), Ok)?;
    let file = session.cwd.join(&args.file);
    let core = session.core()?;
    let remote = session.remote(&reference)?;
    let context = session.context(&core, remote.as_ref());
    let execution = Execution::of(args.dry_run);
    let report = session.runtime()?.block_on(async {
        let bundle = find(context, &reference).await?;
        let parts = Parts::of(&bundle);
        if execution == Execution::Apply {
            copy_to_archive(context.remote, &file, &tag, &parts, context.concurrency).await?;
        }
        let sum = parts.sum();
        Ok::<_, CliError>(ExportReport {
            reference: reference.to_string(),
            digest: bundle.digest,
            tree: bundle.index_view.tree,
            file,
            blobs: sum.blobs,
            bytes: sum.bytes,
            requests: remote.requests(),
            dry_run: execution == Execution::DryRun,
        })
    })?;
    session.ui.report(&report)
}
