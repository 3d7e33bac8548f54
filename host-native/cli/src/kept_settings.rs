//! Settings of the Python tool that this version keeps and does not follow: who sets one, or pushes past one, is told.

use bundle_core::file::File;
use bundle_core::plan::storage::Storage;
use serde_json::Value;

use super::session::Session;
use super::ui::counted;
use modelops_bundle::project::Config;

/// What is kept, by the first part of its key.
const KEPT: [&str; 5] = ["cache_dir", "cache_link_mode", "layers", "roles", "storage"];

/// Whether nothing follows from the setting `key` yet.
pub(crate) fn is_only_kept(key: &str) -> bool {
    KEPT.contains(&key.split('.').next().unwrap_or(key))
}

/// Says that nothing follows from what was just set.
pub(crate) fn tell_only_kept(session: &Session<'_>, key: &str) {
    session.ui.warning(format_args!(
        "`{key}` is kept for other tools, and nothing follows from it here: this version sends every file to the project's \
         remote and pulls all of them"
    ));
}

/// Says which settings a push of `files` does not follow.
pub(crate) fn tell_passed_over(session: &Session<'_>, config: &Config, files: &[File]) {
    let is_external = |file: &&File| config.storage.place(&file.path, file.size) == Storage::Blob;
    let external = files.iter().filter(is_external).count();
    if external > 0 {
        session.ui.warning(format_args!(
            "by the settings `storage.*`, {} would go to the store `{}`: this version sends {} to the project's remote",
            counted(external, "file"),
            config.storage.provider,
            if external == 1 { "it" } else { "them" },
        ));
    }
    let lists_something = |key: &&str| match config.value(key) {
        Some(Value::Object(lists)) => !lists.is_empty(),
        _ => false,
    };
    let named: Vec<&str> = ["layers", "roles"].into_iter().filter(lists_something).collect();
    if !named.is_empty() {
        session.ui.warning(format_args!(
            "the bundle gets no {}: this version keeps these settings, and does not follow them",
            named.join(" and no ")
        ));
    }
}
