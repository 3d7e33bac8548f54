//! Says once what a user should know of how a registry is reached.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bundle_core::name::reference::{Place, Reference};

use super::error::notice_words;
use super::ui::Ui;
use modelops_bundle::credentials::server::Server;
use modelops_bundle::remote::{Notice, Notices};

/// How much time lies at least between two words of what is tried again: many transfers fail at once where a registry does.
const BETWEEN_TRIES: Duration = Duration::from_secs(5);

/// Whoever hears of notices on behalf of the user.
pub(crate) struct ToldOnce {
    ui: Ui,
    /// The hosts that the user named on the command line.
    named: Vec<Server>,
    told: Mutex<BTreeSet<String>>,
    /// When it was last said that something is tried again.
    last_try: Mutex<Option<Instant>>,
}

impl ToldOnce {
    /// Speaks with the voice of a command whose arguments are `arguments`.
    pub(crate) fn new(ui: Ui, arguments: impl Iterator<Item = String>) -> Self {
        Self {
            ui,
            named: arguments.filter_map(|argument| named_host(&argument)).collect(),
            told: Mutex::default(),
            last_try: Mutex::default(),
        }
    }
}

/// The registry that an argument names, alone, in a reference or behind `--option=`.
fn named_host(argument: &str) -> Option<Server> {
    let value = match argument.strip_prefix("--") {
        Some(option) => option.split_once('=')?.1,
        None => argument,
    };
    let value = value.split_once("://").map_or(value, |(_, rest)| rest);
    let is_host = !value.contains('/');
    let reference: Reference = if is_host { format!("{value}/x").parse() } else { value.parse() }.ok()?;
    match reference.place {
        Place::Repository { host, .. } => Some(Server::new(&host, "")),
        Place::Layout { .. } | Place::Archive { .. } => None,
    }
}

impl Notices for ToldOnce {
    fn note(&self, notice: &Notice) {
        let is_named = |host: &str| self.named.contains(&Server::new(host, ""));
        let Some(words) = notice_words(notice, is_named) else { return };
        if let Notice::TryingAgain { .. } = notice {
            let now = Instant::now();
            let mut last = self.last_try.lock().unwrap_or_else(PoisonError::into_inner);
            if last.is_none_or(|last| now >= last + BETWEEN_TRIES) {
                *last = Some(now);
                self.ui.warning(words);
            }
            return;
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if !told.insert(words.clone()) {
            return;
        }
        match notice {
            // To wait is nothing to be warned of.
            Notice::Waiting { .. } => self.ui.note(words),
            _ => self.ui.warning(words),
        }
    }
}

impl fmt::Debug for ToldOnce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToldOnce").field("named", &self.named).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_named_in_many_ways() {
        for argument in [
            "r.example:5000",
            "R.example:5000/team/model:v1",
            "--ref=r.example:5000/team/model",
            "https://r.example:5000/team",
            "oci://r.example:5000/team/model",
        ] {
            assert_eq!(named_host(argument), Some(Server::new("r.example:5000", "")), "{argument}");
        }
        for argument in ["oci:dir", "--json", "-C", "a b", "", "r.example.evil:5000/x"] {
            assert_ne!(named_host(argument), Some(Server::new("r.example:5000", "")), "{argument}");
        }
    }
}
