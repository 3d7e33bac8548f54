//! Push: makes a bundle of the project's tracked files and gives it to the remote under tags.

use std::sync::Arc;

use bundle_core::name::reference::{Reference, Tag};
use thiserror::Error;

use crate::author::author;
use crate::client::{Cancelled, Client};
use crate::clock::creation_time;
use crate::component::LoadError;
use crate::entry::Entered;
use crate::push::{
    self, PreparedPush, PushError, PushOptions, Pushed, SentAhead, UploadRecord, open_destination,
};
use crate::remote::{Intent, Remote, RemoteError};
use crate::scan::{ScanError, Untracked};
use crate::threads::on_disk;

/// A push that has been decided.
#[derive(Debug)]
#[must_use = "nothing is sent before the push is applied"]
pub struct Planned {
    client: Client,
    remote: Box<dyn Remote>,
    entered: Entered,
    reference: Reference,
    prepared: PreparedPush,
}

/// What a push came to.
#[derive(Debug)]
#[non_exhaustive]
pub struct Done {
    /// What was written.
    pub pushed: Pushed,
    /// HTTP requests made.
    pub requests: u64,
}

/// Plans to push the project that is entered to the place of `reference` under `tags`; the first one names the bundle that is
/// replaced. Nothing is sent.
///
/// # Errors
///
/// The push would undo what others did, or drop most of the bundle, and nobody has said that it may; a tag may not be
/// written; the project cannot be looked at; or the remote fails.
pub async fn plan(
    client: &Client,
    entered: Entered,
    reference: &Reference,
    tags: &[Tag],
    options: PushOptions,
) -> Result<Planned, PushingError> {
    let beside = entered.workspace.state.synced_ref.as_ref().map(|last| last.place.clone());
    let unfinished = Arc::new(UploadRecord::read(&entered.lock));
    let remote_options = client.remote_options().clone().with_beside(beside).with_intent(Intent::Write);
    let remote = client.open_with(reference, &remote_options.with_unfinished(unfinished))?;
    let prepared = {
        let workspace = &entered.workspace;
        let context = client.context(remote.as_ref())?.with_cache(&workspace.project);
        let opening = async {
            Ok::<_, PushingError>(open_destination(context, workspace, reference, tags, options).await?)
        };
        let destination = client.unless_cancelled(opening).await?;
        let found = workspace.look(&[], Untracked::Skip, context.progress.as_ref())?;
        let prepared = push::prepare(context, workspace, destination, found.into())?;
        push::check(context, &prepared)?;
        prepared
    };
    let (client, reference) = (client.clone(), reference.clone());
    Ok(Planned { client, remote, entered, reference, prepared })
}

impl Planned {
    /// What was decided.
    pub fn prepared(&self) -> &PreparedPush {
        &self.prepared
    }

    /// HTTP requests made so far.
    pub fn requests(&self) -> u64 {
        self.remote.requests()
    }

    /// Says why there is a new bundle: a text that it carries.
    pub fn with_message(mut self, message: String) -> Self {
        self.prepared.lineage.message = Some(message);
        self
    }

    /// Sends what the remote lacks, then the manifest, and last the tags.
    ///
    /// # Errors
    ///
    /// The project or a tag has changed meanwhile, the remote fails, or the client was cancelled. What was sent by then serves
    /// the next push.
    pub async fn apply(self) -> Result<Done, PushingError> {
        let Self { client, remote, mut entered, reference, mut prepared } = self;
        let epoch = std::env::var("SOURCE_DATE_EPOCH").ok();
        let created = creation_time(epoch.as_deref()).map_err(|source| PushingError::Clock { source })?;
        // A bundle that can be made again carries no name either.
        if epoch.is_none() && prepared.plan.decision.changed {
            let (root, config) = (entered.workspace.root().to_owned(), entered.workspace.config.clone());
            prepared.lineage.author = on_disk(move || author(&root, &config)).await.unwrap_or_default();
        }
        let Entered { lock, workspace, .. } = &mut entered;
        let project = workspace.project.clone();
        let context = client.context(remote.as_ref())?.with_cache(&project);
        let pushing = async {
            let pushed =
                push::apply(context, lock, workspace, &reference, prepared, SentAhead::default(), &created);
            Ok::<_, PushingError>(pushed.await?)
        };
        let pushed = client.unless_cancelled(pushing).await?;
        Ok(Done { pushed, requests: remote.requests() })
    }
}

/// Why a project could not be pushed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PushingError {
    /// The client was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// `SOURCE_DATE_EPOCH` is no time.
    #[error("SOURCE_DATE_EPOCH is no time")]
    Clock {
        /// What is wrong with it.
        source: jiff::Error,
    },
    /// The core cannot be used.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The push stops, or failed.
    #[error(transparent)]
    Push(#[from] PushError),
    /// The place cannot be opened.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The project cannot be looked at.
    #[error(transparent)]
    Scan(#[from] ScanError),
}
