//! What goes beyond one repository: siblings, the list of repositories, and the registry itself.

use bundle_core::name::reference::Place;

use super::*;
use crate::Stored;
use crate::error::RegistryError;
use crate::registry::catalog;

impl Server {
    fn beside(&self, name: &str) -> Registry {
        let beside = Place::Repository { host: self.host.clone(), name: name.to_owned() };
        self.remote_with(RemoteOptions { beside: Some(beside), ..RemoteOptions::default() })
    }
}

async fn push(registry: &Registry) -> Stored {
    registry.push_blob(&descriptor(), BlobSource::bytes(CONTENT)).await.unwrap()
}

#[tokio::test]
async fn one_request_mounts_or_opens() {
    let server = Server::new(|asked, before| match (asked.method.as_str(), before) {
        ("POST", 0) => reply(201, &["location: /v2/a/b/blobs/x"], b""),
        ("POST", _) => reply(202, &["location: /u?s=1"], b""),
        _ => reply(201, &[], b""),
    })
    .await;
    let registry = server.beside("c/d");
    assert_eq!(push(&registry).await, Stored::Mounted);
    assert_eq!(push(&registry).await, Stored::Sent);
    let asked = server.asked();
    let target = format!("/v2/a/b/blobs/uploads/?mount={}&from=c%2Fd", descriptor().digest);
    assert_eq!(asked.len(), 3);
    for asked in &asked[..2] {
        assert_eq!(asked.target.replace("%3A", ":"), target);
    }
    assert!(asked[2].target.starts_with("/u?s=1&digest="));
}

#[tokio::test]
async fn a_sibling_that_is_closed_is_asked_once() {
    for status in [400, 401, 403, 404, 405] {
        let server = Server::new(move |asked, _| match asked.method.as_str() {
            "POST" if asked.target.contains("mount=") => reply(status, &[], b""),
            "POST" => reply(202, &["location: /u"], b""),
            _ => reply(201, &[], b""),
        })
        .await;
        let registry = server.beside("c/d");
        assert_eq!((push(&registry).await, push(&registry).await), (Stored::Sent, Stored::Sent), "{status}");
        assert_eq!(server.asked().iter().filter(|asked| asked.target.contains("mount=")).count(), 1);
    }
}

#[tokio::test]
async fn only_a_sibling_is_asked_for_blobs() {
    let server = Server::new(|asked, _| match asked.method.as_str() {
        "POST" => reply(202, &["location: /u"], b""),
        _ => reply(201, &[], b""),
    })
    .await;
    let elsewhere = Place::Repository { host: "other.example".to_owned(), name: "c".to_owned() };
    let elsewhere = RemoteOptions { beside: Some(elsewhere), ..RemoteOptions::default() };
    for registry in [server.beside("a/b"), server.remote_with(elsewhere), server.remote()] {
        assert_eq!(push(&registry).await, Stored::Sent);
    }
    assert!(server.asked().iter().all(|asked| !asked.target.contains("mount=")));
}

#[tokio::test]
async fn repositories_come_in_pages() {
    let server = Server::new(|asked, _| match asked.target.as_str() {
        "/v2/_catalog?n=1000" => reply(
            200,
            &["link: </v2/_catalog?last=b&n=1000>; rel=\"next\""],
            br#"{"repositories":["b","a/x"]}"#,
        ),
        "/v2/_catalog?last=b&n=1000" => reply(200, &[], br#"{"repositories":["c","a"]}"#),
        _ => reply(404, &[], b""),
    })
    .await;
    let all = catalog::list(&server.host, None, &RemoteOptions::default()).await.unwrap();
    assert_eq!(
        (all.names.into_iter().collect::<Vec<_>>(), all.requests),
        (["a", "a/x", "b", "c"].map(str::to_owned).to_vec(), 2)
    );
    let some = catalog::list(&server.host, Some("a"), &RemoteOptions::default()).await.unwrap();
    assert_eq!(some.names.len(), 2);

    let endless = Server::new(|_, _| {
        reply(200, &["link: </v2/_catalog?n=1000>; rel=\"next\""], br#"{"repositories":[]}"#)
    })
    .await;
    assert!(catalog::list(&endless.host, None, &RemoteOptions::default()).await.is_err());
}

#[tokio::test]
async fn a_registry_says_what_time_it_is() {
    let server = Server::new(|_, before| match before {
        0 => reply(200, &["date: Fri, 31 Dec 1999 23:59:59 GMT"], b""),
        1 => reply(401, &[], b""),
        _ => reply(200, &["content-type: text/html"], b"<html>"),
    })
    .await;
    let registry = server.remote();
    let ping = registry.ping().await.unwrap();
    assert!(ping.is_open);
    assert_eq!(ping.date, httpdate::parse_http_date("Fri, 31 Dec 1999 23:59:59 GMT").ok());
    assert!(!registry.ping().await.unwrap().is_open);
    assert!(matches!(registry.ping().await, Err(RemoteError::Registry(RegistryError::NotARegistry { .. }))));
    assert_eq!(server.asked()[0].target, "/v2/");
}

#[tokio::test]
async fn a_tag_that_cannot_go_alone_is_told_from_deletes_that_are_off() {
    let digest = descriptor().digest;
    for status in [400, 405, 501] {
        let server =
            Server::new(move |_, _| reply(status, &[], br#"{"errors":[{"code":"UNSUPPORTED"}]}"#)).await;
        let registry = server.remote();
        assert_eq!(registry.delete(&tag(), Some(digest)).await.unwrap(), Deletion::OnlyManifests);
        let off = registry.delete(&Version::Digest(digest), Some(digest)).await;
        assert!(matches!(off, Err(RemoteError::Registry(RegistryError::DeletesOff { .. }))), "{status}");
    }
}
