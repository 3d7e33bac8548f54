//! What several documents hold: made of the library's values, and in words.

use bundle_core::bundle::history::Ancestor;
use bundle_core::diff::PathChange;
use modelops_bundle_report::{AtReport, SeenChange, UnreadableReport};

use super::ui::shown;
use modelops_bundle::scan::Refused;

/// A path, and what became of it.
pub(crate) fn seen(each: &PathChange) -> SeenChange {
    SeenChange { path: each.path.to_string(), change: each.change.name().into() }
}

/// The paths that cannot be read.
pub(crate) fn unreadable(refused: &[Refused]) -> Vec<UnreadableReport> {
    let report = |one: &Refused| UnreadableReport { path: one.path.clone(), reason: one.reason.to_string() };
    refused.iter().map(report).collect()
}

/// The bundle that a project is at.
pub(crate) fn at(bundle: &Ancestor) -> AtReport {
    AtReport { digest: bundle.digest.to_string(), version: bundle.version.clone() }
}

/// The same in words: its version, else the start of its digest.
pub(crate) fn at_in_words(AtReport { digest, version }: &AtReport) -> String {
    version.as_ref().map_or_else(|| short(digest).to_owned(), |version| shown(version).to_string())
}

/// The first twelve hex digits of a digest.
pub(crate) fn short(digest: &str) -> &str {
    let hex = digest.split_once(':').map_or(digest, |(_, hex)| hex);
    hex.get(..12).unwrap_or(hex)
}
