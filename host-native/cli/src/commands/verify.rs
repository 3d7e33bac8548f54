//! `verify`: reads everything of a bundle and says what is not as it should be.

use std::io::{self, Write};

use bundle_core::digest::Digest;
use bundle_core::name::reference::Reference;
use clap::Args;
use serde::Serialize;

use crate::error::CliError;
use crate::session::{Needs, Session};
use crate::subject::subject;
use crate::ui::{Report, bytes, counted, shown};
use modelops_bundle::ops::verify::{self, Done, VerifyOptions};
use modelops_bundle::transfer::{Checked, Fault, Verification};

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

/// The document of `verify`.
#[derive(Serialize)]
pub(crate) struct VerifyReport {
    /// The bundle, as it was named.
    #[serde(rename = "ref")]
    reference: String,
    /// The bundle's digest; absent where its manifest cannot be read.
    digest: Option<Digest>,
    /// The tree digest of its files; absent where its index cannot be read.
    tree: Option<Digest>,
    /// Whether there is no fault.
    ok: bool,
    /// How much was read.
    checked: CheckedReport,
    /// Whatever is wrong.
    faults: Vec<FaultReport>,
    /// HTTP requests made.
    requests: u64,
}

/// How much was read and compared, whether or not it was right.
#[derive(Serialize)]
struct CheckedReport {
    /// Blobs, packs among them.
    blobs: u64,
    /// Packs.
    packs: u64,
    /// Chunks of packs.
    chunks: u64,
    /// Files.
    files: u64,
    /// Bytes of blobs.
    bytes: u64,
}

/// Something that is not as it should be.
#[derive(Serialize)]
struct FaultReport {
    /// `missing`, `damaged`, `manifest`, `index`, `tree`, `table`, `chunk` or `file`.
    kind: &'static str,
    /// What it is about, such as `pack sha256:…`.
    what: String,
    /// What is wrong with it.
    message: String,
    /// The files that cannot be had because of it.
    paths: Vec<String>,
}

impl VerifyReport {
    pub(crate) fn of(reference: String, found: &Verification, requests: u64) -> Self {
        let Checked { blobs, packs, chunks, files, bytes } = found.checked;
        Self {
            reference,
            digest: found.digest,
            tree: found.tree,
            ok: found.is_good(),
            checked: CheckedReport { blobs, packs, chunks, files, bytes },
            faults: found.faults.iter().map(FaultReport::of).collect(),
            requests,
        }
    }
}

impl FaultReport {
    fn of(fault: &Fault) -> Self {
        Self {
            kind: fault.kind.name(),
            what: fault.what.clone(),
            message: fault.message.clone(),
            paths: fault.paths.iter().map(ToString::to_string).collect(),
        }
    }
}

impl Report for VerifyReport {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        for fault in &self.faults {
            fault.write_text(out)?;
        }
        let outcome = if self.ok { "is whole" } else { "is damaged" };
        writeln!(out, "{} {outcome}: checked {}", shown(&self.reference), self.checked)?;
        for (name, digest) in [("bundle", self.digest), ("tree", self.tree)] {
            if let Some(digest) = digest {
                writeln!(out, "  {name:<6} {digest}")?;
            }
        }
        Ok(())
    }
}

impl FaultReport {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}: {}: {}", self.kind, shown(&self.what), shown(&self.message))?;
        for path in self.paths.iter().take(NAMED_PATHS) {
            writeln!(out, "  {}", shown(path))?;
        }
        let more = self.paths.len().saturating_sub(NAMED_PATHS);
        if more > 0 {
            writeln!(out, "  and {more} more")?;
        }
        Ok(())
    }
}

impl std::fmt::Display for CheckedReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in {}", counted(self.files as usize, "file"), counted(self.blobs as usize, "blob"))?;
        if self.packs > 0 {
            let (packs, chunks) = (self.packs as usize, self.chunks as usize);
            write!(f, ", among them {} with {}", counted(packs, "pack"), counted(chunks, "chunk"))?;
        }
        write!(f, ", {}", bytes(self.bytes))
    }
}

pub(crate) fn run(session: &Session<'_>, args: &VerifyArgs) -> Result<(), CliError> {
    let workspace = match &args.reference {
        Some(text) => session.workspace_for(text, Needs::Bundle)?,
        None => Some(session.workspace()?),
    };
    let reference = subject(session, args.reference.as_deref(), workspace.as_ref())?;
    let planned = verify::plan(&session.client()?, &reference, VerifyOptions::default())?;
    let Done { verification: found, requests, .. } = session.runtime()?.block_on(planned.apply())?;
    let report = VerifyReport::of(reference.to_string(), &found, requests);
    match verdict(&reference, &found) {
        None => session.ui.report(&report),
        Some(failure) => Err(session.ui.report_failed(&report, failure)),
    }
}

/// The failure that a damaged bundle is, beside the report of its faults.
pub(crate) fn verdict(reference: &Reference, found: &Verification) -> Option<CliError> {
    (!found.is_good()).then(|| CliError::faulty(reference, &found.faults))
}
