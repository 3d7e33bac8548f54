//! Repositories that a registry does not speak of: many refuse to say what is in one that does not exist yet, or whether it
//! does, to who may well make it by a push.

use reqwest::Method;

use super::client::Client;
use super::request::Request;
use crate::error::LoginError;
use crate::{Intent, RemoteError};

impl Client {
    /// Whether the refusal to show a tag may only mean that the repository is not there, so that the first write decides: not
    /// where its list of tags is shown.
    pub(super) async fn is_hidden(&self, error: &RemoteError) -> bool {
        let is_hidden = self.intent == Intent::Write
            && is_refusal(error)
            && self.visibility.may_be_absent()
            && self.auth.has_logged_in().await
            && (self.visibility.has_refused() || !self.shows_list().await);
        if is_hidden {
            self.visibility.was_refused();
        }
        is_hidden
    }

    async fn shows_list(&self) -> bool {
        let request = Request::new(Method::GET, self.repository.tags(1), "the list of tags".to_owned());
        self.attempt(&request).await.is_ok()
    }

    /// The same for the refusal to list tags, which says nothing by itself: many registries list none to anybody.
    pub(super) fn hides_tags(&self, error: &RemoteError) -> bool {
        is_refusal(error) && self.visibility.has_refused() && self.visibility.may_be_absent()
    }
}

/// Whether a registry refuses one whose login it has not called wrong.
fn is_refusal(error: &RemoteError) -> bool {
    matches!(error, RemoteError::Login(LoginError::Denied { .. } | LoginError::Unauthorized { .. }))
}
