//! The document of `health`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The document of `health`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HealthReport {
    /// The place.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Whether all that is needed works.
    pub ok: bool,
    /// What was asked about, in this order.
    pub checks: Vec<CheckReport>,
    /// HTTP requests made.
    pub requests: u64,
}

/// What was found out about one aspect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckReport {
    /// `reachable`, `tls`, `auth`, `pull`, `push`, `ranges`, `referrers`, `delete`, `latency` or `clock`.
    pub check: Cow<'static, str>,
    /// `ok`, `warn`, `fail` or `skipped`.
    pub verdict: Cow<'static, str>,
    /// Why.
    pub reason: String,
    /// What can be done about it.
    pub hint: Option<String>,
    /// The exit code, where it failed.
    pub code: Option<u8>,
    /// A measured value: milliseconds for `latency`, seconds for `clock`.
    pub value: Option<f64>,
}
