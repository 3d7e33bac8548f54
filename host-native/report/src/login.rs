//! The documents of `login` and `logout`.

use serde::{Deserialize, Serialize};

/// The document of `login`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoginReport {
    /// The registry.
    pub host: String,
    /// The user.
    pub user: String,
    /// Whether the registry took the credentials; not where it does not ask for any.
    pub checked: bool,
    /// The other host that was told the credentials, where the registry names one.
    pub token_server: Option<String>,
    /// Where they are, or would be, kept.
    pub stored: StoredReport,
    /// Whether nothing was kept.
    pub dry_run: bool,
}

/// Where credentials are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum StoredReport {
    /// With a helper.
    Helper {
        /// Its program.
        program: String,
    },
    /// In a file.
    File {
        /// Its path.
        path: String,
    },
}

/// The document of `logout`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogoutReport {
    /// The registry.
    pub host: String,
    /// Where credentials were.
    pub removed: Vec<StoredReport>,
    /// Where there still are some, which are not ours to remove.
    pub left: Vec<String>,
    /// Whether nothing was forgotten.
    pub dry_run: bool,
}
