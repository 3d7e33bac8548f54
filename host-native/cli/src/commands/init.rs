//! `init`: makes a folder a project.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bundle_core::digest::Digest;
use bundle_core::name::reference::{Place, Reference, Tag};
use bundle_core::name::relocate::{Namespace, Registry};
use clap::Args;

use crate::args::{Execution, LayoutArg};
use crate::error::{CliError, Exit};
use crate::kept_settings::tell_only_kept;
use crate::session::{Session, absolute};
use crate::ui::{Report, shown};
use modelops_bundle::entry::{self, GitIgnore};
use modelops_bundle::environment::{
    Environment, EnvironmentName, Environments, pin, pinned, place_of_project, switch,
};
use modelops_bundle::project::folder::{PROJECT_FOLDER, is_project};
use modelops_bundle::project::settings::{SizeFault, parse_size};
use modelops_bundle::project::{Config, Project};
use modelops_bundle::user_folders::UserFolders;
use modelops_bundle::workspace::{GITIGNORE, Workspace};
use modelops_bundle_report::InitReport;

/// Make a folder a project
///
/// Creates `.modelops-bundle/` with the project's settings, and has git ignore it. Run again, it changes only what is
/// asked for. Without --ref the remote is in the registry of the environment, called as the folder is; where there is no
/// environment, it is an OCI image layout in the user's data folder, which needs no server.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
\x20 modelops-bundle init --ref registry.example/team/seir\n\
\x20 modelops-bundle init --ref oci:/srv/bundles/seir --layout files\n\
\x20 modelops-bundle init --dry-run")]
pub(crate) struct InitArgs {
    /// The folder; the current one by default
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
    /// The remote: HOST/NAME, or oci:DIR for a folder
    #[arg(long = "ref", value_name = "REF")]
    reference: Option<String>,
    /// The tag that counts where none is named
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// The namespace of the project in its registry, such as ORG/TEAM
    #[arg(long, value_name = "NS", conflicts_with = "reference")]
    namespace: Option<String>,
    /// How pushes lay out files in the repository
    #[arg(long, value_name = "LAYOUT")]
    layout: Option<LayoutArg>,
    /// Pin the project to an environment, and put it into the registry of that
    #[arg(short, long = "env", value_name = "ENV", conflicts_with = "reference")]
    environment: Option<EnvironmentName>,
    /// The size from which a file goes to external storage, with B, K, M or G; a number alone is in megabytes
    #[arg(long, value_name = "SIZE", value_parser = parse_threshold)]
    threshold: Option<Threshold>,
    /// Show what would be made, and make nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// The size from which a file goes to external storage, as it was given.
#[derive(Clone, Copy, Debug)]
struct Threshold {
    bytes: u64,
    unit: Unit,
}

/// Who says in what a size is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// The user, by a letter.
    Said,
    /// The Python tool, for which a number alone is in megabytes.
    Megabytes,
}

fn parse_threshold(text: &str) -> Result<Threshold, SizeFault> {
    let size = parse_size(text)?;
    if text.ends_with(|c: char| c.is_ascii_alphabetic()) {
        return Ok(Threshold { bytes: size, unit: Unit::Said });
    }
    let bytes = size.checked_mul(1 << 20).ok_or(SizeFault::TooLarge)?;
    Ok(Threshold { bytes, unit: Unit::Megabytes })
}

impl Report for InitReport {
    fn is_account(&self) -> bool {
        !self.dry_run
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let what = match (self.existed, self.dry_run) {
            (true, _) => "Project",
            (false, false) => "New project",
            (false, true) => "Would make a project",
        };
        let root = self.root.display().to_string();
        writeln!(out, "{what} in {}", shown(&root))?;
        writeln!(out, "Remote {}, tag {}", shown(&self.reference), self.tag)?;
        match (self.gitignore_changed, self.dry_run) {
            (false, _) => Ok(()),
            (true, false) => writeln!(out, "Added `.modelops-bundle/` to {GITIGNORE}"),
            (true, true) => writeln!(out, "Would add `.modelops-bundle/` to {GITIGNORE}"),
        }
    }
}

pub(crate) fn run(session: &Session<'_>, args: &InitArgs) -> Result<(), CliError> {
    let folder = args.folder.as_ref().map_or_else(|| session.cwd.clone(), |folder| session.cwd.join(folder));
    // Everything that can be wrong with the arguments is found before anything is created.
    let reference = args.reference.as_deref().map(|text| parse_remote(text, &session.cwd)).transpose()?;
    let tag = args.tag.as_deref().map(str::parse::<Tag>).transpose()?;
    let namespace = args.namespace.as_deref().map(str::parse::<Namespace>).transpose()?;
    let existed = is_project(&folder);
    let known = if reference.is_none() { Environments::read()? } else { Environments::default() };
    if !existed && reference.is_none() {
        Home::find(&known, args.environment.clone(), None, namespace.as_ref())?;
    }
    let execution = Execution::of(args.dry_run);
    // Held to the end, where anything is to be changed.
    let (entered, workspace) = match execution {
        Execution::Apply => {
            let entered = session.begin(&folder, "init")?;
            let workspace = entered.workspace.clone();
            (Some(entered), workspace)
        }
        Execution::DryRun => (None, to_be(&folder)?),
    };
    let mut config = workspace.config;
    if existed && let Some(wanted) = &args.environment {
        refuse_other_environment(&workspace.project, wanted)?;
    }
    let place = match (reference, &config.registry_ref) {
        (Some(reference), _) => Some(reference),
        (None, Some(_)) if namespace.is_none() => None,
        (None, remote) => {
            let project = &workspace.project;
            let home = {
                let name = args.environment.clone().map_or_else(|| pinned(project), |name| Ok(Some(name)))?;
                Home::find(&known, name, remote.as_ref(), namespace.as_ref())?
            };
            let namespace = namespace.as_ref().or(known.namespace.as_ref());
            Some(home.take_in(&mut config, project, namespace, execution)?)
        }
    };
    settle(&mut config, place, tag.as_ref(), args)?;
    let gitignore_changed = match execution {
        Execution::Apply => {
            config.write(&workspace.project)?;
            session.tell_lost_comments(&config);
            session.tell_of_pin(&workspace.project, &config);
            ignore_in_git(session, workspace.project.root(), execution)?
        }
        Execution::DryRun => ignore_in_git(session, workspace.project.root(), execution)?,
    };
    if let Some(Threshold { bytes, unit: Unit::Megabytes }) = args.threshold {
        session.ui.note(format_args!(
            "--threshold: a number alone is in megabytes, as for the Python tool: {bytes} bytes; `B` behind it means bytes"
        ));
    }
    if args.threshold.is_some() {
        tell_only_kept(session, "storage.threshold_bytes");
    }
    if let Some(entered) = entered {
        entered.keep()?;
    }
    let remote = config.registry_ref.as_ref().map(Reference::without_version);
    session.ui.report(&InitReport {
        root: workspace.project.root().to_owned(),
        reference: remote.map(|remote| remote.to_string()).unwrap_or_default(),
        tag: config.default_tag.to_string(),
        existed,
        gitignore_changed,
        dry_run: args.dry_run,
    })
}

/// To move a project to another environment is more than `init` does.
fn refuse_other_environment(project: &Project, wanted: &EnvironmentName) -> Result<(), CliError> {
    if pinned(project)?.as_ref() == Some(wanted) {
        return Ok(());
    }
    let name = wanted.as_str();
    Err(CliError::new(Exit::Usage, format_args!("the folder is a project already, and not pinned to {name}"))
        .hint(format!("switch it with `modelops-bundle env switch {name}`")))
}

/// The project that `folder` is or would be, without a lock.
fn to_be(folder: &Path) -> Result<Workspace, CliError> {
    Ok(Workspace::load(Project::to_be(folder).map_err(|error| cannot_create(folder, &error))?)?)
}

fn cannot_create(folder: &Path, error: &io::Error) -> CliError {
    CliError::because_of(Exit::Failure, format_args!("cannot create {}", folder.display()), error)
        .hint("name a folder, or one to be made, in a place that you may write to")
}

pub(super) fn parse_remote(text: &str, cwd: &Path) -> Result<Reference, CliError> {
    let reference = absolute(text.parse()?, cwd)?;
    if reference.digest.is_some() {
        return Err(CliError::new(Exit::Usage, "a project's remote is a place, and a digest never changes")
            .hint("leave out the part from `@` on"));
    }
    Ok(reference)
}

fn settle(
    config: &mut Config,
    reference: Option<Reference>,
    tag: Option<&Tag>,
    args: &InitArgs,
) -> Result<(), CliError> {
    if let Some(reference) = reference {
        config.set_value("registry_ref", reference.without_version().to_string().into())?;
        if let Some(tag) = &reference.tag {
            config.set_value("default_tag", tag.as_str().into())?;
        }
    }
    let default_tag = tag.map_or_else(|| config.default_tag.to_string(), Tag::to_string);
    config.set_value("default_tag", default_tag.into())?;
    match args.layout {
        Some(LayoutArg::Auto) => config.set_value("layout", "auto".into())?,
        Some(LayoutArg::Files) => config.set_value("layout", "files".into())?,
        Some(LayoutArg::Packed) => config.set_value("layout", "packed".into())?,
        None => {}
    }
    if let Some(threshold) = args.threshold {
        config.set_value("storage.threshold_bytes", threshold.bytes.into())?;
    }
    Ok(())
}

/// Where a project goes that names no remote.
struct Home<'a> {
    /// The environment that it is pinned to, or the user's default one.
    environment: Option<(EnvironmentName, &'a Environment)>,
    /// The registry; a project without one has a layout of its own.
    registry: Option<Registry>,
}

impl<'a> Home<'a> {
    fn find(
        known: &'a Environments,
        pinned: Option<EnvironmentName>,
        remote: Option<&Reference>,
        namespace: Option<&Namespace>,
    ) -> Result<Self, CliError> {
        let name = pinned.or_else(|| known.default.clone());
        let environment = match name {
            Some(name) => Some((name.clone(), known.get(&name)?)),
            None => None,
        };
        let registry = environment.as_ref().and_then(|(_, environment)| environment.registry.clone());
        let registry = registry.or_else(|| remote.and_then(|remote| Registry::host_of(&remote.place)));
        if registry.is_none() && namespace.is_some() {
            return Err(CliError::new(Exit::Usage, "a namespace is part of a registry, and none is known")
                .hint("name the remote in full with --ref HOST/NAMESPACE/NAME, or define an environment"));
        }
        Ok(Self { environment, registry })
    }

    /// The project's place there; pins it to the environment.
    fn take_in(
        self,
        config: &mut Config,
        project: &Project,
        namespace: Option<&Namespace>,
        execution: Execution,
    ) -> Result<Reference, CliError> {
        let place = match &self.registry {
            Some(registry) => place_of_project(registry, namespace, project)?,
            None => own_layout(project)?,
        };
        if let Some((name, environment)) = &self.environment {
            config.set_value("registry_ref", place.to_string().into())?;
            switch(config, project, None, environment, namespace)?;
            if execution == Execution::Apply {
                pin(project, name)?;
            }
        }
        Ok(place)
    }
}

/// The layout of a project that names no remote: in the user's data folder, one for each project folder.
fn own_layout(project: &Project) -> Result<Reference, CliError> {
    let no_home = || {
        CliError::new(Exit::Usage, "there is no data folder for a remote of the project's own")
            .hint("name a remote with --ref HOST/NAME or --ref oci:DIR, or set HOME")
    };
    let data = UserFolders::of_process().ok_or_else(no_home)?.data;
    let root = project.root().to_string_lossy();
    let name = project.root().file_name().map_or_else(|| "project".into(), |name| name.to_string_lossy());
    let directory =
        data.join("modelops-bundle").join(format!("{name}-{}", Digest::of(root.as_bytes()).short()));
    let directory = directory.to_str().ok_or_else(no_home)?.to_owned();
    Ok(Reference { place: Place::Layout { directory }, tag: None, digest: None })
}

/// Has git ignore the project's own folder; whether `.gitignore` changes for that.
fn ignore_in_git(session: &Session<'_>, root: &Path, execution: Execution) -> Result<bool, CliError> {
    let outcome = match execution {
        Execution::Apply => entry::ignore_in_git(root)?,
        Execution::DryRun => entry::foresee_ignoring(root)?,
    };
    tell_gitignore(session, &outcome);
    Ok(matches!(outcome, GitIgnore::Changed))
}

/// Says so where a `.gitignore` is none that can be changed.
pub(super) fn tell_gitignore(session: &Session<'_>, outcome: &GitIgnore) {
    if let GitIgnore::LeftAlone { file, fault } = outcome {
        session.ui.warning(format_args!(
            "{} is left as it is: {fault}. Let git ignore `{PROJECT_FOLDER}/` in another way",
            file.display()
        ));
    }
}
