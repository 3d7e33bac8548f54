//! What every command needs, made when it is first needed: the core, a remote, the runtime, the project in order.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bundle_core::digest::Digest;
use bundle_core::name::path::BundlePath;
use bundle_core::name::reference::{Place, Reference, Tag};

use super::args::GlobalArgs;
use super::error::{CliError, Exit, in_one_line, settle_places, two_places};
use super::notices::ToldOnce;
use super::signals::Run;
use super::subject::{only_bundle, place_on_disk};
use super::ui::{Ui, counted};
use modelops_bundle::bundle::{Claims, Context};
use modelops_bundle::client::{Client, Locking};
use modelops_bundle::component::{Core, MAX_FILE_BYTES};
use modelops_bundle::credentials::{Environment, Store};
use modelops_bundle::entry::Entered;
use modelops_bundle::environment::Pinned;
use modelops_bundle::file_lock::SILENT_FOR;
use modelops_bundle::project::folder::FindError;
use modelops_bundle::project::lock::{Holder, LockError, Patience, name};
use modelops_bundle::project::recovery::{Applied, RecoverError, Recovery, RolledBack, recover};
use modelops_bundle::project::{Config, Project, ProjectLock};
use modelops_bundle::remote::{
    Intent, Login, Notices, Remote, RemoteOptions, TlsOptions, Transport, Unfinished, Verification, open,
};
use modelops_bundle::transfer::{Doubt, Unconfirmed};
use modelops_bundle::whole_file::{self, Links};
use modelops_bundle::workspace::Workspace;

/// How long a command waits for another one that is changing the project.
const PATIENCE: Duration = Duration::from_secs(10);

/// Waits for another command, and says so.
struct Waiting {
    ui: Ui,
    run: Arc<Run>,
    has_said: bool,
}

impl Patience for Waiting {
    fn lasts(&mut self, holder: Option<&Holder>, waited: Duration) -> bool {
        // Whoever has just taken the lock may not have said yet who it is.
        if !waited.is_zero() && !self.has_said && (holder.is_some() || waited > SILENT_FOR) {
            self.has_said = true;
            self.ui.note(format_args!("waiting for {} to finish", name(holder)));
        }
        waited < PATIENCE && !self.run.is_to_stop()
    }
}

/// How operations of the library wait for one another: as commands do.
struct Waits {
    ui: Ui,
    run: Arc<Run>,
}

impl fmt::Debug for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waits")
    }
}

impl Waits {
    fn patience(&self) -> Waiting {
        Waiting { ui: self.ui.clone(), run: Arc::clone(&self.run), has_said: false }
    }
}

impl Locking for Waits {
    fn acquire(&self, project: &Project, purpose: &str) -> Result<ProjectLock, LockError> {
        let lock = ProjectLock::acquire(project, purpose, self.patience())?;
        self.run.changes(project);
        Ok(lock)
    }
}

/// One run of the program.
pub(crate) struct Session<'a> {
    pub(crate) ui: &'a Ui,
    global: &'a GlobalArgs,
    /// Who hears what the user should know of how registries are reached.
    notices: Arc<ToldOnce>,
    /// The folder that the user is in, free of links.
    pub(crate) cwd: PathBuf,
    run: &'a Arc<Run>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(ui: &'a Ui, global: &'a GlobalArgs, run: &'a Arc<Run>) -> Result<Self, CliError> {
        let start = global.directory.clone().unwrap_or_else(|| PathBuf::from("."));
        let cwd = start.canonicalize().map_err(|error| {
            CliError::new(Exit::NotFound, format_args!("cannot enter {}: {error}", start.display()))
        })?;
        if !cwd.is_dir() {
            return Err(CliError::new(Exit::NotFound, format_args!("{} is not a folder", start.display()))
                .hint("name a folder with -C; files are named as arguments"));
        }
        if global.insecure {
            ui.alarm(
                "--insecure: the registry's certificate is not checked, and whoever is on the way there can read and \
                 change everything, your password too",
            );
        }
        let arguments = std::env::args_os().skip(1).filter_map(|argument| argument.into_string().ok());
        let notices = Arc::new(ToldOnce::new(ui.clone(), arguments));
        Ok(Self { ui, global, notices, cwd, run })
    }

    /// The core.
    pub(crate) fn core(&self) -> Result<Core, CliError> {
        let core = match &self.global.core_file {
            Some(file) => Core::from_file(&self.cwd.join(file)),
            None => Core::embedded(),
        };
        Ok(core?)
    }

    /// The core, made ready while `work` is done.
    pub(crate) fn core_beside<T: Send>(
        &self,
        work: impl FnOnce() -> Result<T, CliError> + Send,
    ) -> Result<(T, Core), CliError> {
        let (done, core) = rayon::join(work, || self.core());
        Ok((done?, core?))
    }

    /// The bytes of the core.
    pub(crate) fn component_bytes(&self) -> Result<Cow<'static, [u8]>, CliError> {
        let Some(file) = &self.global.core_file else { return Ok(Cow::Borrowed(Core::embedded_bytes())) };
        let bytes =
            whole_file::read(&self.cwd.join(file), MAX_FILE_BYTES, Links::Follow).map_err(|error| {
                CliError::new(Exit::NotFound, format_args!("cannot read {}: {error}", file.display()))
            })?;
        Ok(Cow::Owned(bytes))
    }

    /// The project that the user is in, after a crash put in order, and what its folder says.
    pub(crate) fn workspace(&self) -> Result<Workspace, CliError> {
        let project = Project::find(&self.cwd)?;
        match recover(&project, self.waits().patience()) {
            Ok(recovery) => self.tell(&recovery),
            // Who only looks is told, and sees the project as it lies there.
            Err(
                error @ (RecoverError::Apply { .. } | RecoverError::Lock { source: LockError::File { .. } }),
            ) => {
                self.ui.warning(CliError::from(error).message());
            }
            Err(error) => return Err(error.into()),
        }
        self.load(project)
    }

    /// The project around, which has a say in what `text` means where that leaves out some of `needs`.
    ///
    /// # Errors
    ///
    /// A project that cannot be used, where `text` does not name everything by itself: a default would mean something else.
    pub(crate) fn workspace_for(&self, text: &str, needs: Needs) -> Result<Option<Workspace>, CliError> {
        match self.workspace() {
            Ok(workspace) => Ok(Some(workspace)),
            Err(_) if is_whole(text, needs) || self.cwd.join(text).exists() => Ok(None),
            Err(_) if matches!(Project::find(&self.cwd), Err(FindError::NoProject { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn load(&self, project: Project) -> Result<Workspace, CliError> {
        let workspace = Workspace::load(project)?;
        self.tell_respelled_remote(&workspace.config);
        Ok(workspace)
    }

    /// Says what a remote means now that earlier releases took for a folder.
    fn tell_respelled_remote(&self, config: &Config) {
        let Some(remote) = &config.registry_ref else { return };
        let Some(text) = config.value("registry_ref").and_then(|value| value.as_str()) else { return };
        let Some(rest) = text.strip_prefix("oci://") else { return };
        self.ui.warning(format_args!(
            "the project's remote, `{}`, is the repository {remote} on a registry; earlier releases took it for the folder \
             /{}. Say which one is meant, once: `modelops-bundle config set registry_ref {remote}`, or `… oci:/{}`",
            super::ui::shown(text),
            super::ui::shown(rest),
            super::ui::shown(rest),
        ));
    }

    /// The same for a command that changes the project: holds its lock until that is dropped.
    pub(crate) fn locked_workspace(&self, command: &str) -> Result<(ProjectLock, Workspace), CliError> {
        let Entered { lock, workspace, .. } = self.enter(&Project::find(&self.cwd)?, command)?;
        Ok((lock, workspace))
    }

    /// Enters a project that was found, once no other command changes it.
    pub(crate) fn enter(&self, project: &Project, command: &str) -> Result<Entered, CliError> {
        Ok(self.entered(Entered::of(self.acquire(project, command)?)?))
    }

    /// Enters `folder`, which becomes a project if it is none.
    pub(crate) fn begin(&self, folder: &Path, command: &str) -> Result<Entered, CliError> {
        Ok(self.entered(Entered::begin(folder, |project| self.acquire(project, command))?))
    }

    /// Says what was found on the way into a project.
    fn entered(&self, entered: Entered) -> Entered {
        self.tell(&entered.recovery);
        self.tell_respelled_remote(&entered.workspace.config);
        entered
    }

    /// Locks a project once no other command changes it.
    fn acquire(&self, project: &Project, command: &str) -> Result<ProjectLock, LockError> {
        self.waits().acquire(project, command)
    }

    fn waits(&self) -> Waits {
        Waits { ui: self.ui.clone(), run: Arc::clone(self.run) }
    }

    fn tell(&self, recovery: &Recovery) {
        match recovery {
            Recovery::NothingToDo | Recovery::DiscardedStaging => {}
            Recovery::Finished(applied) => {
                self.ui.note("finished a change that had been broken off");
                self.tell_applied(applied);
            }
            Recovery::Undone { reason, back } => {
                self.ui.warning(format_args!(
                    "a change had been broken off and could not be finished: {reason}; it was taken back, and the project \
                     is as it was before: run that command again once that is mended"
                ));
                self.tell_rolled_back(back);
            }
            Recovery::GivenUp { reason, back } => {
                self.ui.warning(format_args!(
                    "a change had been broken off, and could neither be finished nor taken back as a whole: {reason}; \
                     `modelops-bundle status` shows what differs"
                ));
                self.tell_rolled_back(back);
            }
            Recovery::Refused { why, now_at } => self.ui.warning(format_args!(
                "a journal of changes was found, and nothing of it was done: {why}; it is kept at {}. If a pull was \
                 broken off here, pull again",
                now_at.display()
            )),
        }
    }

    /// Says what could not be put back.
    fn tell_rolled_back(&self, back: &RolledBack) {
        for aside in &back.aside {
            self.ui.warning(format_args!(
                "what was {} is kept at {}",
                super::ui::shown(&aside.path),
                aside.now_at.display()
            ));
        }
        for path in &back.left {
            self.ui.warning(format_args!("{} has what was pulled", super::ui::shown(path)));
        }
    }

    /// Says what a commit could not leave where it was.
    pub(crate) fn tell_applied(&self, applied: &Applied) {
        for rescued in &applied.rescued {
            self.ui.warning(format_args!(
                "{} had been edited meanwhile; your version is kept at {}",
                super::ui::shown(&rescued.path),
                rescued.now_at.display()
            ));
        }
        for path in &applied.lost {
            self.ui.warning(format_args!(
                "{path} could not be put in place: its staged content is gone; pull again"
            ));
        }
    }

    /// Says which files cannot be run, on a disk that keeps no modes.
    pub(crate) fn warn_of_lost_modes(&self, paths: &[BundlePath]) {
        // On Windows no file is marked so, and nobody misses it.
        let Some((first, others)) = paths.split_first().filter(|_| cfg!(unix)) else { return };
        let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
        self.ui.warning(format_args!(
            "{}{more} could not be made executable: the file system keeps no modes; in the bundle the mode stays, also \
             after a push from here",
            super::ui::shown(first.as_str())
        ));
    }

    /// Says which tags were written and were not seen to name what they were to name.
    pub(crate) fn warn_of_unconfirmed(&self, tags: &[Unconfirmed]) {
        for Unconfirmed { tag, why } in tags {
            match why {
                Doubt::Late => self.ui.warning(format_args!(
                    "the tag `{tag}` was written, and the registry still shows what it named before: a replica or a \
                     cache of it is late; look again in a minute with `modelops-bundle manifest`"
                )),
                Doubt::Unread(why) => self.ui.warning(format_args!(
                    "the tag `{tag}` was written and names your bundle; it could not be looked at again: {}",
                    in_one_line(why.as_ref())
                )),
            }
        }
    }

    /// Says what a place has lost or damaged of what its tags name, and that it is sent again.
    pub(crate) fn tell_mended(&self, place: &Reference, lost: &BTreeSet<Digest>) {
        if let Some(first) = lost.first() {
            self.ui.warning(format_args!(
                "{} has lost {}, or has them damaged, {first} among them: sent again",
                place.place,
                counted(lost.len(), "blob")
            ));
        }
    }

    /// Understands a reference as the user writes it, and finds its folder or file from where he is.
    pub(crate) fn reference(&self, text: &str, default: Option<&Reference>) -> Result<Reference, CliError> {
        match understand(text, default) {
            Ok(reference) => absolute(reference, &self.cwd),
            Err(error) => Err(match place_on_disk(text, &self.cwd) {
                Some(place) => {
                    CliError::new(Exit::Usage, format_args!("`{text}` is a path, and names no bundle here"))
                        .hint(format!("write it as {place}"))
                }
                None => error,
            }),
        }
    }

    /// Says that comments in the settings file are gone, where they are.
    pub(crate) fn tell_lost_comments(&self, config: &Config) {
        if config.lost_comments() {
            self.ui.warning("the settings file was written anew, and the comments in it are lost");
        }
    }

    /// Where the environment that a project is pinned to takes the Python tool; a pin that cannot be followed is warned of.
    pub(crate) fn pinned(&self, project: &Project, config: &Config) -> Option<Pinned> {
        Pinned::read(project, config).unwrap_or_else(|error| {
            self.ui.warning(error);
            None
        })
    }

    /// Says it where the pinned environment and the settings of a project name two places.
    pub(crate) fn tell_of_pin(&self, project: &Project, config: &Config) {
        if let Some(pinned) = self.pinned(project, config).filter(|pinned| !pinned.agrees) {
            self.ui.warning(format_args!("{}; {}", two_places(&pinned), settle_places(&pinned)));
        }
    }

    /// The remote at the place of `reference`, to be read.
    pub(crate) fn remote(&self, reference: &Reference) -> Result<Box<dyn Remote>, CliError> {
        self.remote_for(reference, Intent::Read)
    }

    /// The same for whatever is meant to be done there.
    pub(crate) fn remote_for(
        &self,
        reference: &Reference,
        intent: Intent,
    ) -> Result<Box<dyn Remote>, CliError> {
        let options = self.remote_options()?.with_intent(intent);
        Ok(open(&reference.place, &options)?)
    }

    /// The same for a push, of which `unfinished` keeps what a later one can go on with.
    pub(crate) fn remote_to_push(
        &self,
        reference: &Reference,
        beside: Option<&Place>,
        unfinished: Arc<dyn Unfinished>,
    ) -> Result<Box<dyn Remote>, CliError> {
        let options = self.remote_options()?.with_beside(beside.cloned()).with_intent(Intent::Write);
        let options = options.with_unfinished(unfinished);
        Ok(open(&reference.place, &options)?)
    }

    /// How remotes are reached.
    pub(crate) fn remote_options(&self) -> Result<RemoteOptions, CliError> {
        let global = self.global;
        let mut tls = TlsOptions::default();
        if let Some(file) = &global.ca_file {
            tls.trust_file(&self.cwd.join(file))?;
        }
        match (&global.cert, &global.key) {
            (Some(certificate), Some(key)) => {
                tls.identify(&self.cwd.join(certificate), &self.cwd.join(key))?;
            }
            (None, None) => {}
            _ => return Err(CliError::new(Exit::Usage, "--cert and --key belong together")),
        }
        if global.insecure {
            tls.verification = Verification::Off;
        }
        let says_tls = global.ca_file.is_some() || global.cert.is_some() || global.insecure;
        let transport = match says_tls {
            true => Transport::Tls,
            false if global.plain_http || wants_plain_http() => Transport::PlainHttp,
            false => Transport::Secure,
        };
        Ok(RemoteOptions::default()
            .with_retries(global.retries)
            .with_timeout(Duration::from_secs(global.timeout))
            .with_login(Login::Stored(Arc::new(self.credentials())))
            .with_notices(Arc::clone(&self.notices) as Arc<dyn Notices>)
            .with_tls(tls)
            .with_transport(transport))
    }

    /// Where the user's credentials are.
    pub(crate) fn credentials(&self) -> Store {
        Store::new(Environment::of_process())
    }

    pub(crate) fn context<'b>(&'b self, core: &'b Core, remote: &'b dyn Remote) -> Context<'b> {
        Context {
            core,
            remote,
            concurrency: usize::from(self.global.concurrency),
            claims: self.claims(),
            cache: None,
            progress: self.ui.progress(),
        }
    }

    /// The library's client, as the global options want it.
    pub(crate) fn client(&self) -> Result<Client, CliError> {
        let builder = Client::builder()
            .remote(self.remote_options()?)
            .concurrency(NonZeroUsize::new(self.global.concurrency.into()).unwrap_or(NonZeroUsize::MIN))
            .claims(self.claims())
            .progress(Arc::clone(self.ui.progress()))
            .cancellation(self.run.cancellation())
            .locking(Arc::new(self.waits()));
        Ok(match &self.global.core_file {
            Some(file) => builder.core_file(self.cwd.join(file)).build(),
            None => builder.build(),
        })
    }

    fn claims(&self) -> Claims {
        if self.global.any_size { Claims::Any } else { Claims::Plausible }
    }

    /// What transfers run on.
    pub(crate) fn runtime(&self) -> Result<Runtime<'_>, CliError> {
        Ok(Runtime { runtime: modelops_bundle::threads::runtime()?, run: self.run })
    }
}

/// Whether the Python tool's variable asks for what `--plain-http` does.
fn wants_plain_http() -> bool {
    std::env::var("MODELOPS_BUNDLE_INSECURE")
        .is_ok_and(|value| ["true", "1", "yes"].contains(&value.to_ascii_lowercase().as_str()))
}

/// What transfers run on, until a signal asks for the end.
pub(crate) struct Runtime<'a> {
    runtime: tokio::runtime::Runtime,
    run: &'a Run,
}

impl Runtime<'_> {
    /// What comes of `work`, which is dropped where it waits once a signal asks for the end; then this does not return.
    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(self.run.unless_stopped(work)).unwrap_or_else(|| self.run.stop_here())
    }
}

/// What an argument has to name, by itself or with the project's help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// A place.
    Place,
    /// A bundle in a place, by its tag or digest.
    Bundle,
}

fn is_whole(text: &str, needs: Needs) -> bool {
    text.parse::<Reference>()
        .is_ok_and(|reference| needs == Needs::Place || reference.tag.is_some() || reference.digest.is_some())
}

/// Understands a reference as the user writes it: whole, or as a tag or digest at the project's own place.
pub(crate) fn understand(text: &str, default: Option<&Reference>) -> Result<Reference, CliError> {
    if let Some(default) = default {
        if let Ok(tag) = text.strip_prefix(':').unwrap_or(text).parse::<Tag>() {
            return Ok(default.with_tag(tag));
        }
        if let Ok(digest) = text.strip_prefix('@').unwrap_or(text).parse::<Digest>() {
            return Ok(Reference { digest: Some(digest), ..default.without_version() });
        }
    }
    Ok(text.parse()?)
}

/// The bundle that is meant by `text`, or by the project where nothing is named; it has a tag or a digest, if only the
/// default tag.
pub(crate) fn wanted_bundle(
    session: &Session<'_>,
    text: Option<&str>,
    workspace: Option<&Workspace>,
) -> Result<Reference, CliError> {
    let default = workspace.and_then(Workspace::default_reference);
    let reference = match (text, workspace) {
        (Some(text), _) => session.reference(text, default.as_ref())?,
        (None, Some(workspace)) => configured_or_named(workspace)?,
        (None, None) => return Err(CliError::new(Exit::Usage, "no bundle is named")),
    };
    if reference.tag.is_some() || reference.digest.is_some() {
        return Ok(reference);
    }
    let tag = workspace.map(|workspace| workspace.config.default_tag.clone());
    let tag = tag.unwrap_or_else(Tag::latest);
    match text {
        Some(_) => only_bundle(session, &reference, &tag),
        None => Ok(reference.with_tag(tag)),
    }
}

/// Makes the folder or file of a reference absolute, so that it means the same from everywhere.
pub(crate) fn absolute(mut reference: Reference, cwd: &Path) -> Result<Reference, CliError> {
    if let Place::Layout { directory: path } | Place::Archive { file: path } = &mut reference.place {
        let absolute = tidied(&cwd.join(&*path));
        *path = absolute.to_str().map(str::to_owned).ok_or_else(|| {
            CliError::new(Exit::Usage, format_args!("the path {} is not UTF-8", absolute.display()))
        })?;
    }
    Ok(reference)
}

/// A path without `.` and `..`. What `..` leads out of is resolved first where it is a link.
fn tidied(path: &Path) -> PathBuf {
    let mut tidied = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                if tidied.is_symlink()
                    && let Ok(real) = tidied.canonicalize()
                {
                    tidied = real;
                }
                tidied.pop();
            }
            part => tidied.push(part),
        }
    }
    tidied
}

/// Refuses a place that nothing can be written to, before anything else is done.
pub(crate) fn refuse_archive(reference: &Reference) -> Result<(), CliError> {
    match &reference.place {
        place @ Place::Archive { .. } => Err(CliError::read_only_archive(place)),
        Place::Layout { .. } | Place::Repository { .. } => Ok(()),
    }
}

/// The configured reference, or the words for there being none.
pub(crate) fn configured(workspace: &Workspace) -> Result<Reference, CliError> {
    workspace.default_reference().ok_or_else(|| {
        CliError::new(Exit::Usage, "the project has no remote")
            .hint("set one with `modelops-bundle init --ref HOST/NAME`")
    })
}

/// The same for a command that a reference can be given to.
pub(crate) fn configured_or_named(workspace: &Workspace) -> Result<Reference, CliError> {
    configured(workspace).map_err(|error| {
        error.hint("set one with `modelops-bundle init --ref HOST/NAME`, or name it on the command line")
    })
}

/// The bundle of a tag at the project's own place.
pub(crate) fn at_tag(workspace: &Workspace, tag: &Tag) -> Result<Reference, CliError> {
    Ok(configured(workspace)?.without_version().with_tag(tag.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_tidied() {
        for (path, tidy) in
            [("/a/b/.", "/a/b"), ("/a/./b/", "/a/b"), ("/a/nothing/../b.tar", "/a/b.tar"), ("/../a", "/a")]
        {
            assert_eq!(tidied(Path::new(path)), Path::new(tidy), "{path}");
        }
    }
}
