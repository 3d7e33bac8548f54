//! The tables of packs: from the project's cache, or from the end of each pack.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;

use bundle_core::bundle::descriptor::{Descriptor, media_type};
use bundle_core::digest::Digest;
use bundle_core::pack::table::{Pack, Table, TableError};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use thiserror::Error;

use crate::bundle::Context;
use crate::project::Project;
use crate::project::folder::TABLES;
use crate::project::own_folder::{Access, OwnFolder};
use crate::project::parents::Missing;
use crate::remote::RemoteError;
use crate::remote::error::BlobError;

/// How many tables a project keeps, beside those of the bundle that it is about.
const MAX_KEPT_TABLES: usize = 1024;

/// The tables of some packs.
#[derive(Debug, Default)]
pub struct Tables {
    /// One for each pack, in their order.
    pub tables: Vec<Table>,
    /// How many bytes were fetched to get them.
    pub fetched: u64,
}

/// The tables of those of `packs` whose numbers are `needed`; an empty one stands for each of the others.
///
/// # Errors
///
/// Refuses a table that is not the one that the index names, or that contradicts itself.
pub async fn load_tables(
    context: Context<'_>,
    packs: &[Pack],
    needed: &BTreeSet<u32>,
) -> Result<Tables, TablesError> {
    let wanted: Vec<Option<Pack>> =
        (0..).zip(packs).map(|(number, pack)| needed.contains(&number).then(|| pack.clone())).collect();
    stream::iter(wanted)
        .map(async |pack: Option<Pack>| match pack {
            Some(pack) => load_table(context, &pack).await,
            None => Ok((Table::default(), 0)),
        })
        .buffered(context.concurrency)
        .try_fold(Tables::default(), async |mut tables, (table, fetched)| {
            tables.tables.push(table);
            tables.fetched += fetched;
            Ok(tables)
        })
        .await
}

/// The same for who only looks: nothing is kept of what is fetched.
///
/// # Errors
///
/// As [`load_tables`].
pub(super) async fn look_at_tables(
    context: Context<'_>,
    packs: &[Pack],
    needed: &BTreeSet<u32>,
) -> Result<Tables, TablesError> {
    let (mut known, mut unknown) = (Tables::default(), BTreeSet::new());
    for (number, pack) in (0..).zip(packs) {
        let table = match context.cache.filter(|_| needed.contains(&number)) {
            Some(project) => cached(project, pack).and_then(|stored| Table::parse(&stored, pack).ok()),
            None => None,
        };
        if table.is_none() && needed.contains(&number) {
            unknown.insert(number);
        }
        known.tables.push(table.unwrap_or_default());
    }
    let fetched = load_tables(Context { cache: None, ..context }, packs, &unknown).await?;
    for (number, table) in (0..).zip(fetched.tables) {
        if unknown.contains(&number) {
            known.tables[number as usize] = table;
        }
    }
    Ok(Tables { fetched: fetched.fetched, ..known })
}

/// The tables of all of `packs`, in their order.
///
/// # Errors
///
/// As [`load_tables`].
pub async fn load_all_tables(context: Context<'_>, packs: &[Pack]) -> Result<Vec<Table>, TablesError> {
    // A bundle has a few hundred packs.
    let all = (0..packs.len() as u32).collect();
    Ok(load_tables(context, packs, &all).await?.tables)
}

/// The table of one pack, and how many bytes were fetched to get it.
pub(super) async fn load_table(context: Context<'_>, pack: &Pack) -> Result<(Table, u64), TablesError> {
    let refused = |source| TablesError::Refused { pack: pack.digest, source };
    // Also before anything is fetched: the numbers say how much that would be.
    pack.check().map_err(|error| refused(error.into()))?;
    if let Some(stored) = context.cache.and_then(|project| cached(project, pack)) {
        return Ok((Table::parse(&stored, pack).map_err(refused)?, 0));
    }
    let stored = fetch(context, pack).await?;
    let table = Table::parse(&stored, pack).map_err(refused)?;
    if let Some(project) = context.cache {
        keep_table(project, &pack.toc.digest, &stored);
    }
    Ok((table, pack.toc.size))
}

/// Remembers the stored table with this digest; that it cannot be is no fault.
pub(crate) fn keep_table(project: &Project, digest: &Digest, stored: &[u8]) {
    let kept = tables_folder(project, Missing::Create).and_then(|folder| match folder {
        Some(folder) => folder.write_unsynced(&digest.hex(), &[stored], Access::Shared),
        None => Err(io::ErrorKind::NotFound.into()),
    });
    if let Err(error) = kept {
        tracing::debug!(%error, "the table of a pack cannot be kept");
    }
}

/// Forgets tables of packs that are not among `packs`, once there are very many.
pub(crate) fn forget_tables(project: &Project, packs: &[Pack]) {
    let Ok(Some(folder)) = tables_folder(project, Missing::Leave) else { return };
    let Ok(entries) = folder.dir().entries() else { return };
    let files: Vec<OsString> = entries.flatten().map(|entry| entry.file_name()).collect();
    if files.len() <= MAX_KEPT_TABLES {
        return;
    }
    let needed: BTreeSet<OsString> = packs.iter().map(|pack| pack.toc.digest.hex().into()).collect();
    for file in files.iter().filter(|file| !needed.contains(*file)) {
        // What stays does no harm.
        let _ = folder.dir().remove_file(file);
    }
}

fn tables_folder(project: &Project, missing: Missing) -> io::Result<Option<OwnFolder>> {
    OwnFolder::cache(project, missing)?.map_or(Ok(None), |cache| cache.below(TABLES, missing))
}

fn cached(project: &Project, pack: &Pack) -> Option<Vec<u8>> {
    let folder = tables_folder(project, Missing::Leave).ok()??;
    let stored = folder.read(&pack.toc.digest.hex(), pack.toc.size).ok()?;
    (Digest::of(&stored) == pack.toc.digest).then_some(stored)
}

async fn fetch(context: Context<'_>, pack: &Pack) -> Result<Bytes, TablesError> {
    let fault = |source| TablesError::Fetch { pack: pack.digest, source };
    let descriptor = Descriptor::new(media_type::PACK, pack.digest, pack.size);
    let range = pack.toc.offset..pack.size;
    let mut pieces = context.remote.blob_range_unverified(&descriptor, range).await.map_err(fault)?;
    let mut stored = BytesMut::new();
    while let Some(piece) = pieces.next().await {
        stored.extend_from_slice(&piece.map_err(fault)?);
    }
    let actual = Digest::of(&stored);
    if actual != pack.toc.digest {
        let what = format!("the table of the pack {}", pack.digest);
        return Err(fault(RemoteError::Blob(BlobError::Digest { what, expected: pack.toc.digest, actual })));
    }
    Ok(stored.freeze())
}

/// Why the table of a pack is not here.
#[derive(Debug, Error)]
pub enum TablesError {
    /// It did not come, or was not what it should be.
    #[error("cannot fetch the table of the pack {pack}")]
    Fetch {
        /// The pack.
        pack: Digest,
        /// What the remote says.
        source: RemoteError,
    },
    /// It is the one that the index names, and cannot be taken.
    #[error("the table of the pack {pack} cannot be taken")]
    Refused {
        /// The pack.
        pack: Digest,
        /// Why not.
        source: TableError,
    },
}
