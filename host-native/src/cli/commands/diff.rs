//! `diff`: which files differ, and how.

use std::io::{self, Write};

use bundle_core::diff::{PathChange, Sides};
use bundle_core::path::BundlePath;
use bundle_core::reference::Reference;
use bundle_core::snapshot::{ByPath, File, SyncedFile, synced};
use clap::Args;
use serde::Serialize;

use super::status::{ChangeReport, Sizes, change_reports};
use crate::bundle::{Bundle, Context, open};
use crate::cli::error::{CliError, Exit};
use crate::cli::session::{Session, configured, look, understand, version_of};
use crate::cli::ui::{Report, bytes, counted, shown};
use crate::scan::Untracked;

/// Show which files differ
///
/// Without a REF, between the remote's bundle and the project; with one, between that bundle and the project; with
/// two, between the first bundle and the second.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// Bundles: references, or tags and digests of the project's own remote
    #[arg(value_name = "REF", num_args = 0..=2)]
    references: Vec<String>,
    /// Show how many bytes each file has on both sides
    #[arg(long)]
    stat: bool,
}

/// The document of `diff`.
#[derive(Serialize)]
struct DiffReport<'a> {
    /// What is compared with: the old side.
    from: String,
    /// What is compared: the new side; `project` where it is the files on disk.
    to: String,
    /// Every path that differs. `local` is the new side, `remote` the old one.
    changes: Vec<ChangeReport<'a>>,
    #[serde(skip)]
    stat: bool,
}

impl Report for DiffReport<'_> {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        for change in &self.changes {
            let letter = match (&change.local, &change.remote) {
                (Some(_), None) => 'A',
                (None, Some(_)) => 'D',
                (Some(new), Some(old)) if new.digest == old.digest => 'X',
                _ => 'M',
            };
            write!(out, "{letter} {}", shown(change.path))?;
            if self.stat {
                let size = |file: &Option<super::status::FileReport>| {
                    file.as_ref().and_then(|file| file.size).map_or_else(|| "-".to_owned(), bytes)
                };
                write!(out, "  {} -> {}", size(&change.remote), size(&change.local))?;
            }
            writeln!(out)?;
        }
        match self.changes.len() {
            0 => writeln!(out, "No differences"),
            count => writeln!(out, "{} differ{}", counted(count, "file"), if count == 1 { "s" } else { "" }),
        }
    }
}

pub(crate) fn run(session: &Session<'_>, args: &DiffArgs) -> Result<(), CliError> {
    let core = session.core()?;
    let runtime = session.runtime()?;
    let opened = |reference: &Reference| -> Result<Bundle, CliError> {
        let remote = session.remote(reference)?;
        runtime.block_on(find(session.context(&core, remote.as_ref()), reference))
    };
    if let [old, new] = args.references.as_slice() {
        // Two whole references need no project.
        let default = session.workspace().ok().and_then(|workspace| workspace.default_reference());
        let (old, new) = (understand(old, default.as_ref())?, understand(new, default.as_ref())?);
        let (from, to) = (opened(&old)?, opened(&new)?);
        let changes =
            core.diff(two_sides(&from, &to, &synced(from.files()), &paths(from.files(), to.files())))?;
        return session.ui.report(&report(
            &old.to_string(),
            &new.to_string(),
            &changes,
            to.files(),
            from.files(),
            args,
        ));
    }
    let workspace = session.workspace()?;
    let reference = match args.references.first() {
        Some(text) => understand(text, workspace.default_reference().as_ref())?,
        None => configured(&workspace)?,
    };
    let from = opened(&reference)?;
    let found = look(&workspace, &[], Untracked::Skip)?;
    let sides = Sides {
        local: &found.files,
        remote: from.files(),
        base: &workspace.state.last_synced,
        tracked: &workspace.tracked,
    };
    let changes = core.diff(sides)?;
    session.ui.report(&report(&reference.to_string(), "project", &changes, &found.files, from.files(), args))
}

/// Opens a bundle that must be there.
pub(crate) async fn find(context: Context<'_>, reference: &Reference) -> Result<Bundle, CliError> {
    open(context, &version_of(reference)?).await?.ok_or_else(|| {
        CliError::new(Exit::NotFound, format_args!("there is no bundle {reference}"))
            .hint("see what there is with `modelops-bundle manifest`")
    })
}

/// Two bundles as the sides of a comparison in which only the new one has changed.
fn two_sides<'a>(
    from: &'a Bundle,
    to: &'a Bundle,
    base: &'a ByPath<SyncedFile>,
    tracked: &'a ByPath<BundlePath>,
) -> Sides<'a> {
    Sides { local: to.files(), remote: from.files(), base, tracked }
}

fn paths(one: &ByPath<File>, other: &ByPath<File>) -> ByPath<BundlePath> {
    let mut paths: Vec<_> = one.iter().chain(other).map(|file| file.path.clone()).collect();
    paths.sort();
    paths.dedup();
    ByPath::new(paths).unwrap_or_default()
}

fn report<'a>(
    from: &str,
    to: &str,
    changes: &'a [PathChange],
    new: &ByPath<File>,
    old: &ByPath<File>,
    args: &DiffArgs,
) -> DiffReport<'a> {
    DiffReport {
        from: from.to_owned(),
        to: to.to_owned(),
        changes: change_reports(changes, new, old, Sizes::Known),
        stat: args.stat,
    }
}
