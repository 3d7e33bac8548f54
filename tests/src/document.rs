//! What the documents of `--json` say, as values that a test compares.

use serde_json::Value;
use std::collections::BTreeSet;

/// The changes that `status` or `diff` lists, as `change path`.
#[track_caller]
pub fn changes_in(document: &Value) -> Vec<String> {
    let text = |change: &Value, field: &str| match change[field].as_str() {
        Some(text) => text.to_owned(),
        None => panic!("a change has no text {field}: {change}"),
    };
    let Some(changes) = document["changes"].as_array() else { panic!("there are no changes in {document}") };
    changes.iter().map(|change| format!("{} {}", text(change, "change"), text(change, "path"))).collect()
}

/// The paths of a list, whether its items are paths or say more of them; those of the program's own are left out.
pub fn paths_in(document: &Value, list: &str) -> BTreeSet<String> {
    let items = document[list].as_array().into_iter().flatten();
    let paths = items.filter_map(|item| item["path"].as_str().or(item.as_str()).map(str::to_owned));
    paths.filter(|path| path != ".gitignore").collect()
}

/// Every path that a document names as replaced or gone.
pub fn paths_lost_in(document: &Value) -> BTreeSet<String> {
    let mut lost = BTreeSet::new();
    let mut open = vec![document];
    while let Some(value) = open.pop() {
        if let Value::Object(object) = value {
            for list in ["deleted", "replaced", "dropped", "expired", "overwritten"] {
                lost.extend(paths_in(value, list));
            }
            open.extend(object.values());
        } else if let Value::Array(items) = value {
            open.extend(items);
        }
    }
    lost
}
