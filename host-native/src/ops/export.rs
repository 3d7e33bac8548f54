//! Export: writes a bundle to one file, as an archive of an OCI image layout or as a plain tar of its files.

use std::path::{Path, PathBuf};

use bundle_core::name::reference::{Reference, Tag};
use futures_util::future::BoxFuture;
use thiserror::Error;

use crate::bundle::{Bundle, OpenError, open, version_of};
use crate::client::{Cancelled, Client};
use crate::component::LoadError;
use crate::output_file::{Existing, OutputError, OutputFile};
use crate::remote::archive::Archive;
use crate::remote::disk::check_folder;
use crate::remote::{Intent, Remote, RemoteError, Version};
use crate::transfer::{ExportError, Parts, copy_to_archive, export_files, foresee_export};

/// What is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// A tar of an OCI image layout, which can be imported and copied from.
    #[default]
    OciArchive,
    /// A plain tar of the files.
    Tar,
}

/// How a bundle is exported.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ExportOptions {
    /// What is written.
    pub format: Format,
    /// What becomes of a file that is there; it stays by default.
    pub existing: Existing,
}

impl ExportOptions {
    /// Writes it in this format.
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// What becomes of a file that is there.
    #[must_use]
    pub fn existing(mut self, existing: Existing) -> Self {
        self.existing = existing;
        self
    }
}

/// A bundle that is about to be exported.
#[derive(Debug)]
#[must_use = "nothing is written before it is applied"]
pub struct Planned {
    client: Client,
    remote: Box<dyn Remote>,
    target: OutputFile,
    tag: Tag,
    bundle: Bundle,
    parts: Parts,
    options: ExportOptions,
}

/// What was written.
#[derive(Debug)]
#[non_exhaustive]
pub struct Done {
    /// HTTP requests made.
    pub requests: u64,
}

/// How much an export writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Amount {
    /// Blobs in the archive, where it has any; the manifest is not counted.
    pub blobs: Option<u64>,
    /// The bytes of the blobs, or in a plain tar those of the files.
    pub bytes: u64,
}

/// Plans to write the bundle of `reference` to `file`.
///
/// # Errors
///
/// There is no such bundle, the file is there and is to stay, or the remote fails.
pub async fn plan(
    client: &Client,
    reference: &Reference,
    file: &Path,
    options: ExportOptions,
) -> Result<Planned, ExportingError> {
    let target = OutputFile::at(file)?;
    let remote = client.open(reference, Intent::Read)?;
    let tag = reference.tag.clone().unwrap_or_else(Tag::latest);
    let context = client.context(remote.as_ref())?;
    let bundle = client
        .unless_cancelled(async {
            let found = open(context, &version_of(reference)).await?;
            let bundle = found.ok_or_else(|| ExportingError::NoBundle { reference: reference.clone() })?;
            let may_stay = options.format == Format::OciArchive && target.is_kept(options.existing);
            if may_stay && !is_archive_of(&target, &tag, &bundle).await {
                return Err(ExportingError::Exists { file: file.to_owned() });
            }
            Ok(bundle)
        })
        .await?;
    let parts = Parts::of(&bundle);
    Ok(Planned { client: client.clone(), remote, target, tag, bundle, parts, options })
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

impl Planned {
    /// The bundle.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// How much is written.
    pub fn amount(&self) -> Amount {
        match self.options.format {
            Format::OciArchive => {
                let sum = self.parts.sum();
                Amount { blobs: Some(sum.blobs), bytes: sum.bytes }
            }
            Format::Tar => Amount { blobs: None, bytes: self.bundle.index_view.total_size },
        }
    }

    /// HTTP requests made so far.
    pub fn requests(&self) -> u64 {
        self.remote.requests()
    }

    /// Finds out whether the file could be written, and writes nothing.
    ///
    /// # Errors
    ///
    /// It could not.
    pub fn foresee(&self) -> Result<(), ExportingError> {
        let context = self.client.context(self.remote.as_ref())?;
        match self.options.format {
            Format::OciArchive => check_folder(self.target.folder())?,
            Format::Tar => {
                foresee_export(context, &self.bundle, &self.target, self.options.existing)?;
            }
        }
        Ok(())
    }

    /// Writes the file: it is there whole, or not at all.
    ///
    /// # Errors
    ///
    /// The file cannot be written, the remote fails, or the client was cancelled.
    pub async fn apply(self) -> Result<Done, ExportingError> {
        let context = self.client.context(self.remote.as_ref())?;
        let Self { target, tag, bundle, parts, options, .. } = &self;
        let writing = async {
            match options.format {
                Format::OciArchive => {
                    let (concurrency, progress) = (context.concurrency, context.progress);
                    let copying: BoxFuture<'_, _> =
                        Box::pin(copy_to_archive(context.remote, target, tag, parts, concurrency, progress));
                    copying.await?;
                }
                Format::Tar => export_files(context, bundle, target, options.existing).await?,
            }
            Ok::<_, ExportingError>(())
        };
        self.client.unless_cancelled(writing).await?;
        Ok(Done { requests: self.remote.requests() })
    }
}

/// Why a bundle could not be exported.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExportingError {
    /// The client was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The file is there already, and was to stay.
    #[error("{} is there already", file.display())]
    Exists {
        /// The file.
        file: PathBuf,
    },
    /// Its files could not be written.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The core cannot be used.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// There is no such bundle.
    #[error("there is no bundle {reference}")]
    NoBundle {
        /// What was named.
        reference: Reference,
    },
    /// What was named is no bundle, or none that this version reads.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The file cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The remote failed.
    #[error(transparent)]
    Remote(#[from] RemoteError),
}
