//! The list of files as a page turns over it: filtered, ordered, a part at a time.

use std::cmp::Ordering;

use bundle_core::bundle::index::Entry;

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

#[cfg(test)]
mod tests {
    use bundle_core::digest::Digest;

    use super::*;
    use crate::bundle::tests::sealed;

    fn bundle() -> Bundle {
        let sealed = sealed(&[("B", "4444"), ("a", "22"), ("a-b", "#!"), ("c", "333")]);
        Bundle::open(sealed.manifest.as_bytes(), None, None).unwrap()
    }

    fn paths(table: &mut Table, bundle: &Bundle, query: &Query) -> Vec<String> {
        table.rows(bundle, query).rows.into_iter().map(|row| row.path).collect()
    }

    #[test]
    fn files_come_in_the_order_asked_for() {
        let bundle = bundle();
        let mut table = Table::default();
        for (sort, descending, expected) in [
            (SortKey::Path, false, ["B", "a", "a-b", "c"]),
            (SortKey::Path, true, ["c", "a-b", "a", "B"]),
            (SortKey::Size, false, ["a", "a-b", "c", "B"]),
            // Equal ones stay by path.
            (SortKey::Size, true, ["B", "c", "a", "a-b"]),
            (SortKey::Executable, true, ["a-b", "B", "a", "c"]),
            (SortKey::Layer, false, ["B", "a", "a-b", "c"]),
        ] {
            let query = Query { sort, descending, count: 10, ..Query::default() };
            assert_eq!(paths(&mut table, &bundle, &query), expected, "{sort:?} {descending}");
        }
    }

    #[test]
    fn a_filter_leaves_what_holds_its_text() {
        let bundle = bundle();
        let mut table = Table::default();
        let digest = Digest::of(b"333").short();
        for (filter, expected) in [
            ("", vec!["B", "a", "a-b", "c"]),
            // A path in either case; hyphens stand in no digest.
            ("A-B", vec!["a-b"]),
            (&digest, vec!["c"]),
            ("z", vec![]),
        ] {
            let query = Query { filter: filter.to_owned(), count: 10, ..Query::default() };
            assert_eq!(paths(&mut table, &bundle, &query), expected, "{filter}");
        }
    }

    #[test]
    fn a_page_is_a_part_of_the_whole() {
        let bundle = bundle();
        let mut table = Table::default();
        let mut query = Query { first: 1, count: 2, ..Query::default() };
        assert_eq!(paths(&mut table, &bundle, &query), ["a", "a-b"]);
        assert_eq!(table.rows(&bundle, &query).matching, 4);
        query.first = 9;
        assert_eq!(paths(&mut table, &bundle, &query), Vec::<String>::new());
    }

    #[test]
    fn what_is_learned_of_bytes_can_be_ordered_by() {
        let mut bundle = bundle();
        let mut table = Table::default();
        let query = Query { sort: SortKey::Content, descending: true, count: 1, ..Query::default() };
        assert_eq!(paths(&mut table, &bundle, &query), ["B"]);
        bundle.check_content("c", Digest::of(b"other"), 5);
        table.forget();
        assert_eq!(paths(&mut table, &bundle, &query), ["c"]);
    }
}
