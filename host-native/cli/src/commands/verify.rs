//! `verify`: reads everything of a bundle and says what is not as it should be.

use std::io::{self, Write};

use bundle_core::name::reference::Reference;
use clap::Args;

use crate::error::CliError;
use crate::session::{Needs, Session};
use crate::subject::subject;
use crate::ui::{Report, bytes, counted, shown};
use modelops_bundle::ops::verify::{self, Done, VerifyOptions};
use modelops_bundle::transfer::{Checked, Fault, Verification};
use modelops_bundle_report::{CheckedReport, FaultReport, VerifyReport};

/// So many files of one fault are named where people read.
const NAMED_PATHS: usize = 20;

/// Read everything of a bundle and compare it with its digests
///
/// Manifest, index, every blob, and what is in them: chunks, and the files that these make. Lists every fault with the
/// files that suffer from it, and ends with exit code 8 where there is one. Without a REF it is the bundle of the project's
/// own remote.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
\x20 modelops-bundle verify\n\
\x20 modelops-bundle verify registry.example/team/seir:v1.0.0")]
pub(crate) struct VerifyArgs {
    /// The bundle: a reference, a tag or digest of the project's own remote, a FILE.tar or the folder of an OCI layout
    #[arg(value_name = "REF")]
    reference: Option<String>,
}

/// The document of what was found out about the bundle that `reference` names.
pub(super) fn verified(reference: String, found: &Verification, requests: u64) -> VerifyReport {
    let Checked { blobs, packs, chunks, files, bytes } = found.checked;
    VerifyReport {
        reference,
        digest: found.digest.map(|digest| digest.to_string()),
        tree: found.tree.map(|tree| tree.to_string()),
        ok: found.is_good(),
        checked: CheckedReport { blobs, packs, chunks, files, bytes },
        faults: found.faults.iter().map(fault).collect(),
        requests,
    }
}

fn fault(fault: &Fault) -> FaultReport {
    FaultReport {
        kind: fault.kind.name().into(),
        what: fault.what.clone(),
        message: fault.message.clone(),
        paths: fault.paths.iter().map(ToString::to_string).collect(),
    }
}

impl Report for VerifyReport {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        for fault in &self.faults {
            write_fault(fault, out)?;
        }
        let outcome = if self.ok { "is whole" } else { "is damaged" };
        writeln!(out, "{} {outcome}: checked {}", shown(&self.reference), in_words(&self.checked))?;
        for (name, digest) in [("bundle", &self.digest), ("tree", &self.tree)] {
            if let Some(digest) = digest {
                writeln!(out, "  {name:<6} {digest}")?;
            }
        }
        Ok(())
    }
}

fn write_fault(fault: &FaultReport, out: &mut dyn Write) -> io::Result<()> {
    let FaultReport { kind, what, message, paths } = fault;
    writeln!(out, "{kind}: {}: {}", shown(what), shown(message))?;
    for path in paths.iter().take(NAMED_PATHS) {
        writeln!(out, "  {}", shown(path))?;
    }
    let more = paths.len().saturating_sub(NAMED_PATHS);
    if more > 0 {
        writeln!(out, "  and {more} more")?;
    }
    Ok(())
}

/// How much was read, in words.
fn in_words(checked: &CheckedReport) -> String {
    let CheckedReport { blobs, packs, chunks, files, bytes: size } = *checked;
    let (files, blobs) = (counted(files as usize, "file"), counted(blobs as usize, "blob"));
    let packs = match packs {
        0 => String::new(),
        packs => {
            let (packs, chunks) = (counted(packs as usize, "pack"), counted(chunks as usize, "chunk"));
            format!(", among them {packs} with {chunks}")
        }
    };
    format!("{files} in {blobs}{packs}, {}", bytes(size))
}

pub(crate) fn run(session: &Session<'_>, args: &VerifyArgs) -> Result<(), CliError> {
    let workspace = match &args.reference {
        Some(text) => session.workspace_for(text, Needs::Bundle)?,
        None => Some(session.workspace()?),
    };
    let reference = subject(session, args.reference.as_deref(), workspace.as_ref())?;
    let planned = verify::plan(&session.client()?, &reference, VerifyOptions::default())?;
    let Done { verification: found, requests, .. } = session.runtime()?.block_on(planned.apply())?;
    let report = verified(reference.to_string(), &found, requests);
    match verdict(&reference, &found) {
        None => session.ui.report(&report),
        Some(failure) => Err(session.ui.report_failed(&report, failure)),
    }
}

/// The failure that a damaged bundle is, beside the report of its faults.
pub(crate) fn verdict(reference: &Reference, found: &Verification) -> Option<CliError> {
    (!found.is_good()).then(|| CliError::faulty(reference, &found.faults))
}
