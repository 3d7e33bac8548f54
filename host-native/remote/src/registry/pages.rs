//! Lists of names that come page by page, each of which names the next one.
//!
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#listing-tags>

use std::collections::BTreeSet;

use reqwest::header::{HeaderMap, LINK};
use reqwest::{Method, Url};

use super::address;
use super::client::Client;
use super::request::Request;
use crate::RemoteError;

/// How many names are asked for at a time.
pub(super) const PER_PAGE: u32 = 1000;

/// How many pages are read at most.
const MAX_PAGES: usize = 1000;

/// The largest page, in bytes.
const MAX_PAGE_BYTES: u64 = 4 << 20;

/// How many bytes all pages may have.
const MAX_LIST_BYTES: usize = 64 << 20;

/// How many names a list may have.
const MAX_NAMES: usize = 1_000_000;

/// How many pages in a row may bring no name that an earlier one has not brought: registries leave out of a page what its
/// reader may not see.
const MAX_BARREN_PAGES: usize = 10;

/// A list, not asked for yet.
#[derive(Debug)]
pub(super) struct List {
    /// What errors call it.
    pub(super) what: String,
    /// Its first page.
    pub(super) first: Url,
    /// Statuses that say that there are no more names.
    pub(super) ends_with: &'static [u16],
    /// Reads the names of a page; nothing where it is none.
    pub(super) names: fn(&[u8]) -> Option<Vec<String>>,
}

impl List {
    /// Reads all of it, and gives each name to `take` as it comes.
    pub(super) async fn read(
        self,
        client: &Client,
        mut take: impl FnMut(String) + Send,
    ) -> Result<(), RemoteError> {
        let mut seen = BTreeSet::new();
        let mut known = BTreeSet::new();
        let (mut bytes, mut barren) = (0, 0);
        let mut next = Some(self.first);
        while let Some(url) = next {
            let mut request = Request::new(Method::GET, url.clone(), &*self.what);
            request.accepted = self.ends_with;
            if !seen.insert(url.to_string()) || seen.len() > MAX_PAGES {
                return Err(request.fault("its pages have no end"));
            }
            let (status, headers, body) = client.document(&request, MAX_PAGE_BYTES).await?;
            if !status.is_success() {
                break;
            }
            let names = (self.names)(&body);
            let names = names.ok_or_else(|| request.fault("it is not the JSON that it should be"))?;
            bytes += body.len();
            let before = known.len();
            for name in names {
                if known.insert(name.clone()) {
                    take(name);
                }
            }
            if bytes > MAX_LIST_BYTES || known.len() > MAX_NAMES {
                return Err(request.fault("it has more names than can be read"));
            }
            barren = if known.len() > before { 0 } else { barren + 1 };
            next = next_page(&request, &url, &headers)?;
            if next.is_some() && barren >= MAX_BARREN_PAGES {
                return Err(request
                    .fault(&format!("{barren} pages in a row bring nothing new, and it names a next one")));
            }
        }
        Ok(())
    }
}

fn next_page(request: &Request<'_>, asked: &Url, headers: &HeaderMap) -> Result<Option<Url>, RemoteError> {
    let links = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    let Some(link) = links.filter_map(address::next_link).next() else {
        return Ok(None);
    };
    let url = address::resolve(asked, link).map_err(|fault| request.bad_location(asked, fault))?;
    if !address::same_origin(asked, &url) {
        return Err(request.fault("its next page is on another host"));
    }
    Ok(Some(url))
}
