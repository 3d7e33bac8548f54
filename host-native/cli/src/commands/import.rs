//! `import`: takes a bundle from an archive to a remote, or into a folder.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bundle_core::name::reference::{Place, Reference, Tag, refuse_user};
use clap::Args;

use super::diff::find;
use super::pull::{ChoiceArgs, carry_out};
use crate::args::Execution;
use crate::error::{CliError, Exit};
use crate::session::{Needs, Runtime, Session, absolute, configured_or_named, refuse_archive};
use crate::subject::one_bundle;
use crate::traffic::{blobs, sent_in_words, traffic};
use crate::ui::{Report, shown};
use modelops_bundle::bundle::Bundle;
use modelops_bundle::ops::pull::{self, Target};
use modelops_bundle::progress::Work;
use modelops_bundle::project::Project;
use modelops_bundle::project::folder::is_project;
use modelops_bundle::project::undo::Kind;
use modelops_bundle::push::Force;
use modelops_bundle::remote::archive::Archive;
use modelops_bundle::remote::{Intent, Remote};
use modelops_bundle::transfer::{Carried, claim, deliver, find_lost, foresee_deliveries, verify_bundle};
use modelops_bundle::workspace::Workspace;
use modelops_bundle_report::{ImportReport, PullReport};

/// Take a bundle from an archive to a remote, or into a folder
///
/// Checks every byte of the bundle before it changes anything. Without --to the bundle goes to the project's own remote;
/// the tag there is the one that --to names, else the archive's. It stays as it is where it names another bundle.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
\x20 modelops-bundle import seir.tar --to registry.example/team/seir\n\
\x20 modelops-bundle import seir.tar --dest seir")]
pub(crate) struct ImportArgs {
    /// The archive; as `oci-archive:FILE:TAG` where it holds several bundles
    #[arg(value_name = "FILE")]
    file: String,
    /// Copy to this place: a reference, or a tag of the project's own remote
    #[arg(long, value_name = "REF")]
    to: Option<String>,
    /// Pull the files into this folder instead, which becomes a project if it is none
    #[arg(long, value_name = "DIR", conflicts_with = "to")]
    pub(crate) dest: Option<PathBuf>,
    /// Move the tag whatever it names
    #[arg(short, long, conflicts_with = "dest")]
    force: bool,
    /// Check the archive and show what would be done, and change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    #[command(flatten, next_help_heading = "With --dest, as `pull` has them")]
    choices: ChoiceArgs,
}

impl Report for ImportReport {
    fn is_account(&self) -> bool {
        !self.dry_run
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.changed {
            let verb = if self.dry_run { "Would import" } else { "Imported" };
            let traffic = traffic(sent_in_words(self.uploaded), self.mounted);
            writeln!(out, "{verb} {} to {}: {traffic}", shown(&self.file), self.reference)?;
        } else {
            writeln!(out, "Nothing to import: {} is this bundle already", self.reference)?;
        }
        writeln!(out, "  bundle {}", self.digest)?;
        writeln!(out, "  tree   {}", self.tree)
    }
}

pub(crate) fn run(session: &Session<'_>, args: &ImportArgs) -> Result<(), CliError> {
    if let Some(option) = args.choices.first().filter(|_| args.dest.is_none()) {
        let message = format_args!("{option} is for files that come into a folder, and none is named");
        return Err(CliError::new(Exit::Usage, message).hint("name the folder with --dest DIR"));
    }
    let place = archive_place(session, &args.file)?;
    let Place::Archive { file } = &place.place else {
        return Err(CliError::new(Exit::Usage, format_args!("`{}` is no archive", args.file))
            .hint("copy from other places with `modelops-bundle pull` and `modelops-bundle push`"));
    };
    let archive = Archive::new(file);
    let core = session.core()?;
    let context = session.context(&core, &archive);
    let runtime = session.runtime()?;
    let source = runtime.block_on(one_bundle(context, &place))?;
    let bundle = runtime.block_on(find(context, &source))?;
    let target = match args.dest {
        Some(_) => None,
        None => Some(target(session, args.to.as_deref(), source.tag.as_ref())?),
    };
    let found = runtime.block_on(verify_bundle(context, Work::Hash, &bundle))?;
    if !found.is_good() {
        return Err(CliError::damaged(&source.to_string(), &found.faults));
    }
    let Some((target, tag)) = target else {
        let folder = session.cwd.join(args.dest.as_deref().unwrap_or(Path::new(".")));
        let report = into_folder(session, &runtime, folder, args, (source, Box::new(archive), bundle))?;
        return session.ui.report(&report);
    };
    let remote = session.remote_for(&target, Intent::Write)?;
    let to = session.context(&core, remote.as_ref());
    let force = if args.force { Force::Yes } else { Force::No };
    let mut delivery = runtime.block_on(claim(to, &bundle, std::slice::from_ref(&tag), force, None))?;
    runtime.block_on(find_lost(std::slice::from_mut(&mut delivery), to, force))?;
    session.tell_mended(&target, &delivery.lost);
    let changed = delivery.changes();
    let carried = match (changed, Execution::of(args.dry_run)) {
        (false, _) => Carried::default(),
        (true, Execution::DryRun) => {
            runtime.block_on(remote.foresee_writing())?;
            runtime.block_on(foresee_deliveries(std::slice::from_ref(&delivery), to))?
        }
        (true, Execution::Apply) => {
            let source: Arc<dyn Remote> = Arc::new(archive.clone());
            let delivered = runtime.block_on(deliver(std::slice::from_ref(&delivery), &source, to))?;
            session.warn_of_unconfirmed(&delivered.unconfirmed);
            delivered.carried
        }
    };
    session.ui.report(&ImportReport {
        reference: target.with_tag(tag).to_string(),
        digest: bundle.digest.to_string(),
        tree: bundle.index_view.tree.to_string(),
        file: file.clone(),
        changed,
        uploaded: blobs(carried.sent),
        mounted: blobs(carried.mounted),
        requests: remote.requests(),
        dry_run: args.dry_run,
    })
}

/// The archive that is meant, and the version in it if one is named.
fn archive_place(session: &Session<'_>, text: &str) -> Result<Reference, CliError> {
    let reference = if text.starts_with("oci-archive:") || text.starts_with("oci:") {
        text.parse()?
    } else {
        // What is no file was meant to be on a registry.
        if !session.cwd.join(text).exists() {
            refuse_user(text)?;
        }
        Reference { place: Place::Archive { file: text.to_owned() }, tag: None, digest: None }
    };
    absolute(reference, &session.cwd)
}

/// The place to copy to, and the tag that is to name the bundle there.
fn target(
    session: &Session<'_>,
    text: Option<&str>,
    archive_tag: Option<&Tag>,
) -> Result<(Reference, Tag), CliError> {
    let (reference, default_tag) = match text {
        Some(text) => {
            let needs = if archive_tag.is_some() { Needs::Place } else { Needs::Bundle };
            let workspace = session.workspace_for(text, needs)?;
            let default = workspace.as_ref().and_then(Workspace::default_reference);
            let reference = session.reference(text, default.as_ref())?;
            (reference, workspace.map(|workspace| workspace.config.default_tag))
        }
        None => {
            let workspace = session.workspace()?;
            (configured_or_named(&workspace)?.without_version(), Some(workspace.config.default_tag))
        }
    };
    refuse_archive(&reference)?;
    if reference.digest.is_some() {
        return Err(CliError::new(Exit::Usage, "a bundle has its digest wherever it goes")
            .hint("leave out the part from `@` on"));
    }
    let tag = match reference.tag.clone().or_else(|| archive_tag.cloned()).or(default_tag) {
        Some(tag) => tag,
        None => Tag::latest(),
    };
    Ok((reference, tag))
}

/// Pulls a bundle that was verified in an archive into `folder`, as `pull` would.
fn into_folder(
    session: &Session<'_>,
    runtime: &Runtime<'_>,
    folder: PathBuf,
    args: &ImportArgs,
    (source, archive, bundle): (Reference, Box<Archive>, Bundle),
) -> Result<PullReport, CliError> {
    let reference = match &source.tag {
        Some(tag) => source.with_tag(tag.clone()),
        None => source,
    };
    let target = match is_project(&folder) {
        true => Target::Project(Box::new(session.enter(&Project::find(&folder)?, "import")?)),
        false => Target::Folder(folder),
    };
    let workspace = match &target {
        Target::Project(entered) => Some(&entered.workspace),
        Target::Folder(_) => None,
    };
    let told_as = (Kind::Import, format!("import {}", args.file));
    let options = args.choices.options(session, workspace, told_as)?;
    let client = session.client()?;
    let planned = pull::plan_opened(&client, &reference, archive, bundle, target, options)?;
    carry_out(session, runtime, &client, &reference, planned, Execution::of(args.dry_run))
}
