//! `export`: writes a bundle to one file.

use std::io::{self, Write};
use std::path::PathBuf;

use bundle_core::name::reference::Tag;
use clap::Args;

use super::diff::find;
use crate::args::Execution;
use crate::error::CliError;
use crate::session::{Needs, Session, wanted_bundle};
use crate::ui::{Report, bytes, counted, shown};
use modelops_bundle::bundle::Bundle;
use modelops_bundle::output_file::{Existing, OutputFile};
use modelops_bundle::remote::archive::Archive;
use modelops_bundle::remote::disk::check_folder;
use modelops_bundle::remote::{Remote as _, Version};
use modelops_bundle::transfer::{Parts, copy_to_archive, export_files, foresee_export};
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

/// Whether `target` is an archive of `bundle` alone, which would only be replaced by the same bytes.
async fn is_archive_of(target: &OutputFile, tag: &Tag, bundle: &Bundle) -> bool {
    let archive = Archive::new(target.path());
    archive.tags().await.is_ok_and(|tags| tags == [tag.clone()])
        && archive
            .manifest(&Version::Tag(tag.clone()))
            .await
            .is_ok_and(|found| found.is_some_and(|found| found.digest == bundle.digest))
}

pub(crate) fn run(session: &Session<'_>, args: &ExportArgs) -> Result<(), CliError> {
    let workspace = match &args.reference {
        Some(text) => session.workspace_for(text, Needs::Bundle)?,
        None => Some(session.workspace()?),
    };
    let reference = wanted_bundle(session, args.reference.as_deref(), workspace.as_ref())?;
    let tag = reference.tag.clone().unwrap_or_else(Tag::latest);
    let file = session.cwd.join(&args.file);
    let target = OutputFile::at(&file)?;
    let core = session.core()?;
    let remote = session.remote(&reference)?;
    let context = session.context(&core, remote.as_ref());
    let execution = Execution::of(args.dry_run);
    let format = if args.files { ExportFormat::Tar } else { ExportFormat::OciArchive };
    let existing = if args.force { Existing::Goes } else { Existing::Stays };
    let report = session.runtime()?.block_on(async {
        let bundle = find(context, &reference).await?;
        if target.is_kept(existing)
            && format == ExportFormat::OciArchive
            && !is_archive_of(&target, &tag, &bundle).await
        {
            return Err(CliError::exists(&file));
        }
        let parts = Parts::of(&bundle);
        match (execution, format) {
            (Execution::DryRun, ExportFormat::OciArchive) => check_folder(target.folder())?,
            (Execution::DryRun, ExportFormat::Tar) => {
                foresee_export(context, &bundle, &target, existing)?;
            }
            (Execution::Apply, ExportFormat::OciArchive) => {
                copy_to_archive(context.remote, &target, &tag, &parts, context.concurrency, context.progress)
                    .await?;
            }
            (Execution::Apply, ExportFormat::Tar) => {
                export_files(context, &bundle, &target, existing).await?;
            }
        }
        let (blobs, bytes) = match format {
            ExportFormat::OciArchive => (Some(parts.sum().blobs), parts.sum().bytes),
            ExportFormat::Tar => (None, bundle.index_view.total_size),
        };
        Ok::<_, CliError>(ExportReport {
            reference: reference.to_string(),
            digest: bundle.digest.to_string(),
            tree: bundle.index_view.tree.to_string(),
            file,
            format,
            files: bundle.files().len(),
            blobs,
            bytes,
            requests: remote.requests(),
            dry_run: execution == Execution::DryRun,
        })
    })?;
    session.ui.report(&report)
}
