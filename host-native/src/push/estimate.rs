//! What a push would add to its remote, without sending anything.

use std::collections::BTreeSet;

use bundle_core::bundle::descriptor::{Descriptor, media_type};
use bundle_core::bundle::layout::Layout;
use bundle_core::digest::Digest;
use bundle_core::file::{ByPath, File};
use bundle_core::pack::chunk_map::KnownChunks;
use bundle_core::pack::table::Table;
use bundle_core::plan::push::{Upload, is_worth_asking};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::held::Held;
use super::{PreparedPush, PushError};
use crate::bundle::{Bundle, Context};
use crate::project::Project;
use crate::remote::Stored;
use crate::threads::on_disk_here;
use crate::transfer::Copied;
use crate::transfer::packing::{NewChunks, PackBase, measure_files};
use crate::transfer::tables::load_all_tables;

/// What a push would add to its remote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Files that the remote's bundle does not have.
    pub added: u64,
    /// Files that it has with another content or mode.
    pub changed: u64,
    /// Files that the new bundle would not have any more.
    pub deleted: u64,
    /// Blobs that would be sent; in layout `packed`, new packs.
    pub blobs: u64,
    /// The contents of those, by their digests, in layout `files`.
    pub contents: BTreeSet<Digest>,
    /// Blobs that the registry would take from another repository of its own.
    pub mounted: Copied,
    /// In layout `packed`, chunks that no pack has yet.
    pub chunks: u64,
    /// The bytes of what is new.
    pub raw: u64,
    /// The same as they would be sent: in layout `packed`, compressed and with the packs' tables.
    pub stored: u64,
}

/// Finds out what carrying out `prepared` would send. In layout `packed`, reads the files that have changed.
pub async fn estimate(
    context: Context<'_>,
    project: &Project,
    prepared: &PreparedPush,
) -> Result<Estimate, PushError> {
    let (plan, local) = (&prepared.plan, prepared.files());
    let nothing = ByPath::default();
    let estimate = compare(local, prepared.destination.replaces.as_ref().map_or(&nothing, Bundle::files));
    if !plan.decision.changed {
        return Ok(estimate);
    }
    if prepared.layout == Layout::Files {
        let asked = plan.blobs.iter().map(|blob| (descriptor(blob), blob.ask_first)).collect();
        let Foreseen { sent, mounted } = foresee(context, asked).await?;
        let bytes = sent.iter().map(|blob| blob.size).sum();
        let contents = sent.iter().map(|blob| blob.digest).collect();
        return Ok(Estimate {
            blobs: sent.len() as u64,
            contents,
            mounted,
            raw: bytes,
            stored: bytes,
            ..estimate
        });
    }
    let held = Held::after(prepared.destination.with_packs());
    let tables = load_all_tables(context, held.packs()).await?;
    let new = on_disk_here(|| new_chunks(context, project, prepared, held, &tables))?;
    let (chunks, raw) = (new.count(), new.raw);
    let asked = new
        .packs
        .into_iter()
        .map(|pack| {
            let asks_first = is_worth_asking(pack.size);
            (pack, asks_first)
        })
        .collect();
    let Foreseen { sent, mounted } = foresee(context, asked).await?;
    let stored = sent.iter().map(|pack| pack.size).sum();
    Ok(Estimate { blobs: sent.len() as u64, mounted, chunks, raw, stored, ..estimate })
}

fn descriptor(blob: &Upload) -> Descriptor {
    Descriptor::new(media_type::FILE_LAYER, blob.digest, blob.size)
}

/// What sending blobs would come to.
struct Foreseen {
    /// What would be sent.
    sent: Vec<Descriptor>,
    /// What the registry would take from another repository of its own.
    mounted: Copied,
}

/// Finds out which of `blobs` a push would send: the others are there, or beside, as it would find out. With each stands
/// whether it would ask for that one first.
async fn foresee(context: Context<'_>, blobs: Vec<(Descriptor, bool)>) -> Result<Foreseen, PushError> {
    // On a disk each is looked for; by now a registry has been sent a request.
    let looks_at_all = context.remote.requests() == 0 || context.remote.may_have_blobs();
    let outcomes: Vec<(Descriptor, Stored)> = stream::iter(blobs)
        .map(async |(blob, asks_first)| {
            let stored = match asks_first || looks_at_all {
                true => context.remote.foresee_blob(&blob).await?,
                false => Stored::Sent,
            };
            Ok::<_, PushError>((blob, stored))
        })
        .buffered(context.concurrency)
        .try_collect()
        .await?;
    let mut foreseen = Foreseen { sent: Vec::new(), mounted: Copied::default() };
    for (blob, stored) in outcomes {
        match stored {
            Stored::Sent => foreseen.sent.push(blob),
            Stored::Mounted => foreseen.mounted = foreseen.mounted.and(Copied { blobs: 1, bytes: blob.size }),
            Stored::WasThere => {}
        }
    }
    Ok(foreseen)
}

fn compare(local: &ByPath<File>, remote: &ByPath<File>) -> Estimate {
    let mut estimate = Estimate::default();
    for file in local {
        match remote.at(&file.path) {
            None => estimate.added += 1,
            Some(other) if !file.is_same_as(other) => estimate.changed += 1,
            Some(_) => {}
        }
    }
    estimate.deleted = remote.iter().filter(|file| local.at(&file.path).is_none()).count() as u64;
    estimate
}

/// The chunks of what has changed, and of what is written anew because it lies in wasteful packs.
fn new_chunks(
    context: Context<'_>,
    project: &Project,
    prepared: &PreparedPush,
    mut held: Held,
    tables: &[Table],
) -> Result<NewChunks, PushError> {
    let (files, scan) = (prepared.files(), &prepared.scan);
    let (limits, next_pack) = (super::limits(files), held.packs().len() as u32);
    let mut new = NewChunks::default();
    let mut measure = |held: &mut Held, which: &[&File], dropped: &BTreeSet<u32>| {
        if which.is_empty() {
            return Ok(());
        }
        let to_pack = held.to_pack(which, project, scan);
        let known = KnownChunks::of((0..).zip(tables).filter(|(number, _)| !dropped.contains(number)));
        let base = PackBase { known: &known, next_pack, limits };
        let runs = measure_files(&base, &to_pack, &mut new)?;
        for (file, runs) in to_pack.iter().zip(runs) {
            file.expected.into_iter().for_each(|digest| held.add(digest, &runs));
        }
        Ok::<_, PushError>(())
    };
    let lacking = held.lacking(files);
    measure(&mut held, &lacking, &BTreeSet::new())?;
    let dropped = held.to_renew(context.core, files, &prepared.carried, tables)?;
    let displaced = held.displace(files, &dropped);
    measure(&mut held, &displaced, &dropped)?;
    Ok(new)
}
