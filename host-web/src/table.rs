//! The list of files as a page turns over it: filtered, ordered, a part at a time.

use std::cmp::Ordering;

use bundle_core::index::Entry;

use crate::bundle::{Bundle, layer};
use crate::view::{Content, Query, Rows, SortKey};

/// The places of the files that a filter leaves, in the order asked for. Kept between queries, because turning a
/// page changes neither.
#[derive(Debug, Default)]
pub(crate) struct Table {
    shown: Option<Shown>,
}

#[derive(Debug)]
struct Shown {
    filter: String,
    sort: SortKey,
    descending: bool,
    places: Vec<usize>,
}

impl Table {
    /// Forgets the order, because what is known of the files' bytes has changed.
    pub(crate) fn forget(&mut self) {
        self.shown = None;
    }

    /// Answers a query about the files of `bundle`, which is always the same one.
    pub(crate) fn rows(&mut self, bundle: &Bundle, query: &Query) -> Rows {
        let shown = self.shown.take().filter(|shown| {
            (shown.filter.as_str(), shown.sort, shown.descending)
                == (query.filter.as_str(), query.sort, query.descending)
        });
        let shown = self.shown.insert(shown.unwrap_or_else(|| Shown {
            filter: query.filter.clone(),
            sort: query.sort,
            descending: query.descending,
            places: places(bundle, query),
        }));
        let wanted = shown.places.iter().skip(query.first as usize).take(query.count as usize);
        Rows {
            matching: u32::try_from(shown.places.len()).unwrap_or(u32::MAX),
            rows: wanted.filter_map(|at| bundle.row(*at)).collect(),
        }
    }
}

fn places(bundle: &Bundle, query: &Query) -> Vec<usize> {
    let filter = query.filter.to_lowercase();
    let mut found: Vec<(usize, (&Entry, Content))> =
        bundle.entries().enumerate().filter(|(_, (entry, _))| matches(entry, &filter)).collect();
    // Both sorts are stable, and the files come by path.
    match query.descending {
        false => found.sort_by(|a, b| order(query.sort, a.1, b.1)),
        true => found.sort_by(|a, b| order(query.sort, b.1, a.1)),
    }
    found.into_iter().map(|(at, _)| at).collect()
}

fn matches(entry: &Entry, filter: &str) -> bool {
    filter.is_empty()
        || entry.file.path.as_str().to_lowercase().contains(filter)
        || layer(entry).is_some_and(|layer| layer.to_lowercase().contains(filter))
        || entry.file.digest.to_string().contains(filter)
}

fn order(by: SortKey, a: (&Entry, Content), b: (&Entry, Content)) -> Ordering {
    match by {
        SortKey::Path => a.0.file.path.cmp(&b.0.file.path),
        SortKey::Size => a.0.file.size.cmp(&b.0.file.size),
        SortKey::Digest => a.0.file.digest.cmp(&b.0.file.digest),
        SortKey::Executable => a.0.file.executable.cmp(&b.0.file.executable),
        SortKey::Layer => layer(a.0).cmp(&layer(b.0)),
        SortKey::Content => a.1.cmp(&b.1),
    }
}
