//! What a token is for: rights to resources, as token servers spell them.
//!
//! <https://distribution.github.io/distribution/spec/auth/scope/>

use std::collections::{BTreeMap, BTreeSet};

use reqwest::{Method, Url};

use crate::Intent;

/// The most resources that are asked for at once.
const MAX_RESOURCES: usize = 16;

/// Rights, by resource: `repository:NAME` and what is to be done with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scopes(BTreeMap<String, BTreeSet<String>>);

impl Scopes {
    /// Reads the scopes of a challenge, separated by spaces; what is none is left out.
    pub(super) fn parse(text: &str) -> Self {
        let mut scopes = Self::default();
        for one in text.split_ascii_whitespace().take(MAX_RESOURCES) {
            if let Some((resource, actions)) = one.rsplit_once(':') {
                scopes.insert(resource, actions.split(','));
            }
        }
        scopes
    }

    /// What a request needs, as far as it can be told before it is sent, together with what `intent` needs later.
    ///
    /// A token for `pull` alone opens nothing where a repository is only made by the first push, and one token for all
    /// requests is fetched once.
    pub(super) fn needed(repository: &str, intent: Intent, method: &Method, url: &Url) -> Self {
        let mut scopes = Self::default();
        if repository.is_empty() {
            return scopes;
        }
        let reads = matches!(*method, Method::GET | Method::HEAD);
        let actions: &[&str] = match intent {
            Intent::Delete if reads => &["delete", "pull"],
            Intent::Read if reads => &["pull"],
            _ if *method == Method::DELETE => &["delete", "pull"],
            Intent::Delete | Intent::Read | Intent::Tag | Intent::Write => &["pull", "push"],
        };
        scopes.insert(&format!("repository:{repository}"), actions.iter().copied());
        // A blob is mounted from a repository that has to be read.
        for (_, from) in url.query_pairs().filter(|(name, from)| name == "from" && !from.is_empty()) {
            scopes.insert(&format!("repository:{from}"), ["pull"].into_iter());
        }
        scopes
    }

    fn insert<'a>(&mut self, resource: &str, actions: impl Iterator<Item = &'a str>) {
        let actions = actions.filter(|action| !action.is_empty()).map(str::to_owned);
        self.0.entry(resource.to_owned()).or_default().extend(actions);
    }

    /// Adds what `other` has.
    pub(super) fn join(mut self, other: &Self) -> Self {
        for (resource, actions) in &other.0 {
            self.insert(resource, actions.iter().map(String::as_str));
        }
        self
    }

    /// Whether all of `other` is in this.
    pub(super) fn cover(&self, other: &Self) -> bool {
        other.0.iter().all(|(resource, wanted)| {
            let own = self.0.get(resource);
            own.is_some_and(|own| own.contains("*") || own.is_superset(wanted))
        })
    }

    /// Each as it is spelled in a request.
    pub(super) fn spelled(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(resource, actions)| {
            let actions: Vec<&str> = actions.iter().map(String::as_str).collect();
            format!("{resource}:{}", actions.join(","))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(scopes: &Scopes) -> String {
        scopes.spelled().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn scopes_are_read_joined_and_compared() {
        let (pull, push) = (Scopes::parse("repository:a/b:pull"), Scopes::parse("repository:a/b:push,pull"));
        assert!(push.cover(&pull) && !pull.cover(&push) && pull.cover(&Scopes::default()));
        let both = pull.clone().join(&Scopes::parse("repository:a/b:push repository:c:pull nonsense"));
        assert_eq!(spelled(&both), "repository:a/b:pull,push repository:c:pull");
        assert!(Scopes::parse("registry:catalog:*").cover(&Scopes::parse("registry:catalog:list")));
        // A host with a port may stand in a resource.
        assert_eq!(spelled(&Scopes::parse("repository:h:5000/a:pull")), "repository:h:5000/a:pull");
    }

    #[test]
    fn a_request_says_what_it_needs() {
        let needed = |intent, method, query: &str| {
            let url = format!("https://r.example/v2/a/b/blobs/uploads/{query}").parse().unwrap();
            spelled(&Scopes::needed("a/b", intent, &method, &url))
        };
        for (intent, method, actions) in [
            (Intent::Read, Method::HEAD, "pull"),
            (Intent::Read, Method::PATCH, "pull,push"),
            (Intent::Read, Method::DELETE, "delete,pull"),
            (Intent::Write, Method::HEAD, "pull,push"),
            (Intent::Tag, Method::GET, "pull,push"),
            (Intent::Write, Method::DELETE, "delete,pull"),
            (Intent::Delete, Method::GET, "delete,pull"),
            (Intent::Delete, Method::DELETE, "delete,pull"),
        ] {
            let wanted = format!("repository:a/b:{actions}");
            assert_eq!(needed(intent, method.clone(), "?_state=x"), wanted, "{intent:?} {method}");
        }
        assert_eq!(
            needed(Intent::Read, Method::POST, "?mount=sha256:0&from=c%2Fd"),
            "repository:a/b:pull,push repository:c/d:pull"
        );
    }
}
