//! The one way into the library: what every operation needs, owned, cheap to clone, and free of any command line.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bundle_core::name::reference::Reference;
use futures_util::future::BoxFuture;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::bundle::{Claims, Context};
use crate::component::{Core, LoadError};
use crate::entry::{EnterError, Entered};
use crate::progress::{Progress, Silent};
use crate::project::lock::LockError;
use crate::project::{Project, ProjectLock};
use crate::remote::{self, Intent, Remote, RemoteError, RemoteOptions};

/// How many transfers run at the same time where nobody says otherwise.
const CONCURRENCY: NonZeroUsize = NonZeroUsize::new(8).unwrap();

/// What every operation needs: the core, how remotes are reached, how many transfers run at the same time, who is told how
/// work gets on, and what stops it. A clone is the same client.
///
/// ```no_run
/// use modelops_bundle::client::Client;
/// use modelops_bundle::ops::verify::{self, VerifyOptions};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::default();
/// let reference = "registry.example/team/model:v1.0.0".parse()?;
/// let found = verify::plan(&client, &reference, VerifyOptions::default())?.apply().await?;
/// assert!(found.verification.is_good());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Client(Arc<Settings>);

/// How operations wait for one another at a project.
pub trait Locking: fmt::Debug + Send + Sync {
    /// Locks `project`; `purpose` tells others who holds it.
    ///
    /// # Errors
    ///
    /// Another process holds the lock for longer than this waits, or it cannot be had.
    fn acquire(&self, project: &Project, purpose: &str) -> Result<ProjectLock, LockError>;
}

/// Waits for so long, and tells nobody.
impl Locking for Duration {
    fn acquire(&self, project: &Project, purpose: &str) -> Result<ProjectLock, LockError> {
        ProjectLock::acquire(project, purpose, *self)
    }
}

/// How long an operation waits for another one where nobody says otherwise.
const PATIENCE: Duration = Duration::from_secs(10);

/// Makes a [`Client`] that is not the default one.
#[derive(Debug, Default)]
pub struct ClientBuilder(Settings);

/// Where the core comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum CoreSource {
    /// The one that the library carries.
    #[default]
    Embedded,
    /// A component in a file.
    File(PathBuf),
}

struct Settings {
    source: CoreSource,
    core: OnceLock<Core>,
    remote: RemoteOptions,
    concurrency: NonZeroUsize,
    claims: Claims,
    progress: Arc<dyn Progress>,
    cancellation: CancellationToken,
    locking: Arc<dyn Locking>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            source: CoreSource::default(),
            core: OnceLock::new(),
            remote: RemoteOptions::default(),
            concurrency: CONCURRENCY,
            claims: Claims::default(),
            progress: Arc::new(Silent),
            cancellation: CancellationToken::new(),
            locking: Arc::new(PATIENCE),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("source", &self.source)
            .field("remote", &self.remote)
            .field("concurrency", &self.concurrency)
            .field("claims", &self.claims)
            .finish_non_exhaustive()
    }
}

impl ClientBuilder {
    /// Takes the core from a component in a file, and not the one that the library carries.
    #[must_use]
    pub fn core_file(mut self, file: PathBuf) -> Self {
        self.0.source = CoreSource::File(file);
        self
    }

    /// How remotes are reached.
    #[must_use]
    pub fn remote(mut self, options: RemoteOptions) -> Self {
        self.0.remote = options;
        self
    }

    /// How many transfers run at the same time; 8 by default.
    #[must_use]
    pub fn concurrency(mut self, transfers: NonZeroUsize) -> Self {
        self.0.concurrency = transfers;
        self
    }

    /// What bundles may claim of the sizes of their files; what is plausible by default.
    #[must_use]
    pub fn claims(mut self, claims: Claims) -> Self {
        self.0.claims = claims;
        self
    }

    /// Who is told how work gets on; nobody by default.
    #[must_use]
    pub fn progress(mut self, progress: Arc<dyn Progress>) -> Self {
        self.0.progress = progress;
        self
    }

    /// What stops all operations of the client once it is cancelled: each ends with an error that says so, after it has
    /// taken away what it had made.
    #[must_use]
    pub fn cancellation(mut self, token: CancellationToken) -> Self {
        self.0.cancellation = token;
        self
    }

    /// How operations wait for one another at a project; for ten seconds by default.
    #[must_use]
    pub fn locking(mut self, locking: Arc<dyn Locking>) -> Self {
        self.0.locking = locking;
        self
    }

    /// The client.
    pub fn build(self) -> Client {
        Client(Arc::new(self.0))
    }
}

impl Client {
    /// Begins a client that is not the default one.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// The core, made ready by the first caller.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is no core.
    pub fn core(&self) -> Result<&Core, LoadError> {
        if let Some(core) = self.0.core.get() {
            return Ok(core);
        }
        let core = match &self.0.source {
            CoreSource::Embedded => Core::embedded()?,
            CoreSource::File(file) => Core::from_file(file)?,
        };
        Ok(self.0.core.get_or_init(|| core))
    }

    /// How remotes are reached.
    pub fn remote_options(&self) -> &RemoteOptions {
        &self.0.remote
    }

    /// Who is told how work gets on.
    pub fn progress(&self) -> &Arc<dyn Progress> {
        &self.0.progress
    }

    /// Enters the project that `folder` lies in; `purpose` tells others who holds its lock.
    ///
    /// # Errors
    ///
    /// There is no project, another process holds its lock, or it cannot be read.
    pub fn enter(&self, folder: &Path, purpose: &str) -> Result<Entered, EnterError> {
        let project = Project::find(folder)?;
        Entered::of(self.lock(&project, purpose)?)
    }

    /// Locks `project`.
    pub(crate) fn lock(&self, project: &Project, purpose: &str) -> Result<ProjectLock, LockError> {
        self.0.locking.acquire(project, purpose)
    }

    /// What stops all operations of the client.
    pub fn cancellation(&self) -> &CancellationToken {
        &self.0.cancellation
    }

    /// Opens the place of `reference` for what is meant to be done there; asks it nothing yet.
    ///
    /// # Errors
    ///
    /// As [`remote::open`].
    pub fn open(&self, reference: &Reference, intent: Intent) -> Result<Box<dyn Remote>, RemoteError> {
        self.open_with(reference, &self.0.remote.clone().with_intent(intent))
    }

    /// The same, by other options than those of the client.
    pub(crate) fn open_with(
        &self,
        reference: &Reference,
        options: &RemoteOptions,
    ) -> Result<Box<dyn Remote>, RemoteError> {
        remote::open(&reference.place, options)
    }

    /// The facts that work at `remote` needs.
    ///
    /// # Errors
    ///
    /// As [`Self::core`].
    pub fn context<'a>(&'a self, remote: &'a dyn Remote) -> Result<Context<'a>, LoadError> {
        Ok(Context {
            core: self.core()?,
            remote,
            concurrency: self.0.concurrency.get(),
            claims: self.0.claims,
            cache: None,
            progress: &self.0.progress,
        })
    }

    /// What comes of `work`, which is dropped where it waits once the client is cancelled.
    ///
    /// It is put into a box of a named type here, so that operations can be given to other threads: of what is in an async
    /// function the compiler does not find that out for every lifetime.
    pub(crate) async fn unless_cancelled<T, E: From<Cancelled>>(
        &self,
        work: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E> {
        let work: BoxFuture<'_, Result<T, E>> = Box::pin(work);
        self.0.cancellation.run_until_cancelled(work).await.unwrap_or_else(|| Err(Cancelled.into()))
    }
}

/// The client of an operation was cancelled while that waited. What the operation says of its errors holds for this one too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the operation was cancelled")]
pub struct Cancelled;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_is_the_same_client() {
        let client = Client::default();
        let clone = client.clone();
        client.cancellation().cancel();
        assert!(clone.cancellation().is_cancelled());
        assert!(std::ptr::eq(client.core().unwrap(), clone.core().unwrap()));
    }

    #[test]
    fn a_client_can_be_sent_to_other_threads_and_kept() {
        fn is_owned<T: Clone + Send + Sync + 'static>() {}
        is_owned::<Client>();
    }

    #[tokio::test]
    async fn work_that_waits_stops_with_its_client() {
        let client = Client::default();
        client.cancellation().cancel();
        let waits = client.unless_cancelled(std::future::pending::<Result<(), Cancelled>>());
        assert_eq!(waits.await, Err(Cancelled));
    }
}
