mod earlier_upload;
mod server;
mod siblings;

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use self::server::{Asked, Server, raw, reply};
use super::*;
use crate::credentials::Credentials;
use crate::error::{BlobError, ConnectionError, LoginError, RegistryError};
use crate::growing::growing;
use crate::{Login, RemoteErrorKind, Transferred, read_small_blob};

impl Server {
    fn remote(&self) -> Registry {
        self.remote_with(RemoteOptions::default())
    }

    fn remote_with(&self, options: RemoteOptions) -> Registry {
        let timeout = Duration::from_millis(500);
        Registry::new(&self.host, "a/b", &RemoteOptions { retries: 2, timeout, ..options }).unwrap()
    }
}

fn login() -> RemoteOptions {
    let credentials = Credentials::Password { user: "me".to_owned(), password: "pw".to_owned() };
    RemoteOptions { login: Login::As(credentials), ..RemoteOptions::default() }
}

fn tag() -> Version {
    Version::Tag("v1".parse().unwrap())
}

fn chain(error: &RemoteError) -> String {
    let mut text = format!("{error:?} {error}");
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        text += &format!(": {source:?} {source}");
        next = source.source();
    }
    text
}

const CONTENT: &[u8] = b"0123456789";

fn descriptor() -> Descriptor {
    Descriptor::of("x/y", CONTENT)
}

#[tokio::test]
async fn a_redirect_to_another_port_carries_no_login() {
    let storage = Server::new(|_, _| reply(200, &[], CONTENT)).await;
    let location = format!("location: http://{}/bucket?sig=secret", storage.host);
    let registry = Server::new(move |asked, _| {
        if asked.logs_in() {
            reply(307, &[&location], b"")
        } else {
            reply(401, &["www-authenticate: Basic realm=x"], b"")
        }
    })
    .await;
    let remote = registry.remote_with(login());
    assert_eq!(read_small_blob(&remote, &descriptor(), 100).await.unwrap(), CONTENT);
    assert_eq!(registry.asked().iter().map(Asked::logs_in).collect::<Vec<_>>(), [false, true]);
    assert_eq!(storage.asked().iter().map(Asked::logs_in).collect::<Vec<_>>(), [false]);
    assert_eq!(remote.requests(), 3);
}

#[tokio::test]
async fn a_wrong_password_is_sent_once() {
    let registry = Server::new(|_, _| reply(401, &["www-authenticate: Basic realm=x"], b"")).await;
    let error = registry.remote_with(login()).manifest(&tag()).await.unwrap_err();
    assert_eq!(error.kind(), RemoteErrorKind::Authentication);
    assert_eq!(registry.asked().len(), 2);
    assert!(!chain(&error).contains("pw"));
}

#[tokio::test]
async fn a_growing_blob_is_not_waited_for_where_no_other_way_helps() {
    for answer in [
        reply(401, &["www-authenticate: Basic realm=x"], b""),
        reply(400, &[], b"Client sent an HTTP request to an HTTPS server.\n"),
    ] {
        let registry = Server::new(move |_, _| answer.clone()).await;
        let (_grower, file) = growing("never read");
        let remote = registry.remote_with(login());
        let push = tokio::time::timeout(Duration::from_secs(10), remote.push_growing_blob(file));
        let error = push.await.unwrap().unwrap_err();
        let is_told = matches!(
            error,
            RemoteError::Login(LoginError::BadCredentials { .. })
                | RemoteError::Connection(ConnectionError::WantsTls { .. })
        );
        assert!(is_told, "{error}");
        assert!(registry.asked().iter().all(|asked| asked.method == "POST"));
    }
}

#[tokio::test]
async fn a_token_is_fetched_and_kept() {
    let registry = Server::new(|asked, _| {
        let realm = asked.head.split("host: ").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap();
        match &*asked.target {
            target if target.starts_with("/token?") => reply(200, &[], br#"{"token":"T0"}"#),
            _ if asked.head.contains("authorization: bearer t0") => reply(404, &[], b""),
            _ => {
                let challenge =
                    format!("www-authenticate: Bearer realm=\"http://{realm}/token\",service=\"s\"");
                reply(401, &[&challenge], b"")
            }
        }
    })
    .await;
    let remote = registry.remote();
    assert_eq!(remote.manifest(&tag()).await.unwrap(), None);
    assert!(!remote.has_blob(&descriptor()).await.unwrap());
    assert_eq!(remote.requests(), 4);
    assert!(registry.asked()[1].target.contains("service=s&scope=repository%3Aa%2Fb%3Apull"));
}

/// What a registry says to who comes without the token `T0`, which its own `/token` gives.
fn wants_token(asked: &Asked) -> Option<Vec<u8>> {
    if asked.head.contains("authorization: bearer t0") {
        return None;
    }
    let host = asked.head.split("host: ").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap();
    Some(reply(401, &[&format!("www-authenticate: Bearer realm=\"http://{host}/token\"")], b""))
}

#[tokio::test]
async fn many_requests_wait_for_one_token() {
    let registry = Server::new(|asked, _| match asked.target.starts_with("/token") {
        true => reply(200, &[], br#"{"token":"T0"}"#),
        false => wants_token(asked).unwrap_or_else(|| reply(404, &[], b"")),
    })
    .await;
    let remote = registry.remote_with(login());
    let descriptor = descriptor();
    let asking = (0..20).map(|_| remote.has_blob(&descriptor));
    assert!(futures_util::future::join_all(asking).await.into_iter().all(|found| !found.unwrap()));
    let tokens = registry.asked().iter().filter(|asked| asked.target.starts_with("/token")).count();
    assert_eq!(tokens, 1);
}

#[tokio::test]
async fn a_token_server_leads_a_password_nowhere_else() {
    let elsewhere = Server::new(|_, _| reply(200, &[], br#"{"token":"T0"}"#)).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("location: http://{}/token", elsewhere.host);
        let registry = Server::new(move |asked, _| match asked.target.starts_with("/token") {
            true => reply(status, &[&location], b""),
            false => wants_token(asked).unwrap_or_else(|| reply(404, &[], b"")),
        })
        .await;
        let error = registry.remote_with(login()).manifest(&tag()).await.unwrap_err();
        assert!(matches!(error, RemoteError::Registry(RegistryError::Status { .. })), "{error}");
    }
    assert!(elsewhere.asked().is_empty());
}

#[tokio::test]
async fn a_secret_that_a_registry_repeats_is_cut_out() {
    let error_body = br#"{"errors":[{"code":"DENIED","message":"not with pw, bWU6cHc= or T0"}]}"#;
    for token in [reply(403, &[], error_body), reply(200, &[], br#"{"token":"T0"}"#)] {
        let registry = Server::new(move |asked, _| match asked.target.starts_with("/token") {
            true => token.clone(),
            false => wants_token(asked).unwrap_or_else(|| reply(403, &[], error_body)),
        })
        .await;
        let error = registry.remote_with(login()).manifest(&tag()).await.unwrap_err();
        assert!(matches!(error, RemoteError::Login(LoginError::Denied { .. })), "{error}");
        let text = chain(&error);
        assert!(text.contains("pull from") && !text.contains("pw") && !text.contains("T0"), "{text}");
    }
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_stopped() {
    for honours_ranges in [true, false] {
        let registry = Server::new(move |asked, before| match before {
            0 => raw(200, &["content-length: 10"], &CONTENT[..4]),
            _ if honours_ranges => {
                assert!(asked.head.contains("range: bytes=4-\r\n"));
                reply(206, &["content-range: bytes 4-9/10"], &CONTENT[4..])
            }
            _ => reply(200, &[], CONTENT),
        })
        .await;
        let content = read_small_blob(&registry.remote(), &descriptor(), 100).await.unwrap();
        assert_eq!(content, CONTENT);
        assert_eq!(registry.asked().len(), 2);
    }
}

#[tokio::test]
async fn more_than_was_asked_for_is_taken_as_what_it_says_to_be() {
    let registry = Server::new(|_, before| match before {
        0 => raw(200, &["content-length: 10"], &CONTENT[..4]),
        _ => reply(206, &["content-range: bytes 0-9/10"], CONTENT),
    })
    .await;
    assert_eq!(read_small_blob(&registry.remote(), &descriptor(), 100).await.unwrap(), CONTENT);
}

#[tokio::test]
async fn another_part_than_asked_for_is_refused() {
    for answer in [
        reply(206, &["content-range: bytes 5-9/10"], &CONTENT[5..]),
        reply(206, &[], &CONTENT[4..]),
        reply(416, &["content-range: bytes */4"], b""),
    ] {
        let registry = Server::new(move |_, before| {
            if before == 0 { raw(200, &["content-length: 10"], &CONTENT[..4]) } else { answer.clone() }
        })
        .await;
        let error = read_small_blob(&registry.remote(), &descriptor(), 100).await.unwrap_err();
        assert!(
            matches!(error, RemoteError::Registry(RegistryError::ContentRange { expected: 4, .. })),
            "{error}"
        );
    }
}

#[tokio::test]
async fn tries_again_and_gives_up() {
    let registry = Server::new(|_, before| match before {
        0 => reply(429, &["retry-after: 0"], b""),
        1 => b"HTTP/1.1 2".to_vec(),
        _ => reply(200, &[], b"{}"),
    })
    .await;
    assert!(registry.remote().manifest(&tag()).await.unwrap().is_some());
    assert_eq!(registry.asked().len(), 3);

    let body = br#"{"errors":[{"code":"UNAVAILABLE","message":"tired\u001b"}]}"#;
    let registry = Server::new(|_, _| reply(503, &[], body)).await;
    let error = registry.remote().manifest(&tag()).await.unwrap_err();
    assert_eq!(error.kind(), RemoteErrorKind::Network);
    assert!(error.to_string().ends_with("answered 503: tired"), "{error}");
    assert_eq!(registry.asked().len(), 3);
}

#[tokio::test]
async fn silence_is_noticed() {
    let registry = Server::new(|_, _| Vec::new()).await;
    let error = registry.remote().manifest(&tag()).await.unwrap_err();
    assert!(matches!(error, RemoteError::Connection(ConnectionError::Stalled { .. })), "{error}");
    assert_eq!(registry.asked().len(), 3);
}

#[tokio::test]
async fn a_manifest_has_a_limit() {
    let head = format!("content-length: {}", MAX_MANIFEST_BYTES + 1);
    let announced = raw(200, &[&head], b"");
    let endless = raw(200, &[], &vec![b' '; 5 << 20]);
    for answer in [announced, endless] {
        let registry = Server::new(move |_, _| answer.clone()).await;
        let error = registry.remote().manifest(&tag()).await.unwrap_err();
        assert!(matches!(error, RemoteError::Blob(BlobError::TooLarge { .. })), "{error}");
    }
}

#[tokio::test]
async fn answers_that_lie_are_refused() {
    let lie = format!("docker-content-digest: {}", Digest::of(b"other"));
    for (headers, kind) in [
        (&[&*lie][..], RemoteErrorKind::Integrity),
        (&["content-encoding: gzip"], RemoteErrorKind::Integrity),
        (&["content-type: text/html; charset=utf-8"], RemoteErrorKind::Network),
    ] {
        let answer = reply(200, headers, b"{}");
        let registry = Server::new(move |_, _| answer.clone()).await;
        assert_eq!(registry.remote().manifest(&tag()).await.unwrap_err().kind(), kind);
    }
    let registry = Server::new(|_, _| reply(200, &[], b"{}")).await;
    let pinned = Version::Digest(Digest::of(b"other"));
    let error = registry.remote().manifest(&pinned).await.unwrap_err();
    assert!(matches!(error, RemoteError::Blob(BlobError::Digest { .. })));
}

#[tokio::test]
async fn no_signature_gets_into_an_error() {
    for location in ["http://127.0.0.1:1/x?sig=secret", "ftp://h/?sig=secret", "http://me:secret@h/"] {
        let answer = reply(302, &[&format!("location: {location}")], b"");
        let registry = Server::new(move |_, _| answer.clone()).await;
        let error = read_small_blob(&registry.remote(), &descriptor(), 100).await.unwrap_err();
        assert!(!chain(&error).contains("secret"), "{}", chain(&error));
    }
    let registry = Server::new(|asked, _| reply(307, &[&format!("location: {}", asked.target)], b"")).await;
    assert!(read_small_blob(&registry.remote(), &descriptor(), 100).await.is_err());
    assert_eq!(registry.asked().len(), 6);
}

#[derive(Default)]
struct Counter(AtomicU64);

impl Transferred for Counter {
    fn bytes(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn an_upload_is_opened_put_and_counted_once() {
    let registry = Server::new(|asked, before| match (&*asked.method, before) {
        ("POST", _) => reply(202, &["location: uploads/id?_state=a%2Bb"], b""),
        ("PUT", 1) => reply(500, &[], b""),
        ("HEAD", _) => reply(404, &[], b""),
        _ => reply(201, &[], b""),
    })
    .await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    let content = vec![1; 1_300_000];
    std::fs::write(&file, &content).unwrap();
    let counter = Arc::new(Counter::default());
    let source = BlobSource::file(&file).counted_by(Arc::clone(&counter) as Arc<dyn Transferred>);
    let descriptor = Descriptor::of("x/y", &content);
    registry.remote().push_blob(&descriptor, source).await.unwrap();
    let asked = registry.asked();
    let put = asked.last().unwrap();
    let hex = descriptor.digest.hex();
    assert_eq!(put.target, format!("/v2/a/b/blobs/uploads/uploads/id?_state=a%2Bb&digest=sha256%3A{hex}"));
    assert_eq!(put.body, content);
    assert_eq!(asked.len(), 5);
    assert_eq!(counter.0.load(Ordering::Relaxed), content.len() as u64);
}

#[tokio::test]
async fn what_is_too_large_goes_in_chunks_that_are_large_enough() {
    let registry = Server::new(|asked, _| match &*asked.method {
        "POST" => reply(202, &["location: /u", "oci-chunk-min-length: 4500000"], b""),
        "PUT" if asked.body.is_empty() => reply(201, &[], b""),
        "PUT" => reply(413, &[], b""),
        "PATCH" => reply(202, &["location: /u"], b""),
        _ => reply(404, &[], b""),
    })
    .await;
    let content = vec![7; 5_000_000];
    let descriptor = Descriptor::of("x/y", &content);
    let remote = registry.remote();
    remote.push_blob(&descriptor, BlobSource::bytes(content.clone())).await.unwrap();
    let patches = |asked: Vec<Asked>| -> Vec<usize> {
        asked.iter().filter(|asked| asked.method == "PATCH").map(|asked| asked.body.len()).collect()
    };
    assert_eq!(patches(registry.asked()), [4_500_000, 500_000]);
    let ranges: Vec<_> =
        ["0-4499999", "4500000-4999999"].map(|range| format!("content-range: {range}\r\n")).into();
    for range in ranges {
        assert!(registry.asked().iter().any(|asked| asked.head.contains(&range)), "{range}");
    }
    // What is smaller than the least chunk cannot be cut.
    let registry = Server::new(|asked, _| match &*asked.method {
        "POST" => reply(202, &["location: /u", "oci-chunk-min-length: 5000000"], b""),
        "PUT" => reply(413, &[], b""),
        _ => reply(404, &[], b""),
    })
    .await;
    let error = registry.remote().push_blob(&descriptor, BlobSource::bytes(content)).await.unwrap_err();
    assert!(matches!(error, RemoteError::Registry(RegistryError::Status { status: 413, .. })), "{error}");
    assert_eq!(patches(registry.asked()), [0; 0]);
}

#[tokio::test]
async fn an_upload_goes_on_from_where_the_registry_says() {
    let content: Vec<u8> = (0..5_000_000_u32).map(|at| (at % 251) as u8).collect();
    let descriptor = Descriptor::of("x/y", &content);
    for (held, from) in [
        ("range: 0-2999999", Some(3_000_000)),
        ("range: bytes=0-2999999", Some(3_000_000)),
        ("range: 0-4999999", Some(5_000_000)),
        // Nothing, more than there is, nonsense.
        ("range: 0-0", None),
        ("range: 0-5000000", None),
        ("range: 7-8", None),
        ("x: y", None),
    ] {
        let puts = AtomicU64::new(0);
        let registry = Server::new(move |asked, _| match &*asked.method {
            "POST" => reply(202, &["location: /u"], b""),
            "PUT" if puts.fetch_add(1, Ordering::Relaxed) == 0 => reply(500, &[], b""),
            "GET" => reply(204, &["location: /u?state=2", held], b""),
            "PATCH" => reply(202, &["location: /u?state=3"], b""),
            "HEAD" => reply(404, &[], b""),
            _ => reply(201, &[], b""),
        })
        .await;
        registry.remote().push_blob(&descriptor, BlobSource::bytes(content.clone())).await.unwrap();
        let asked = registry.asked();
        let last = asked.last().unwrap();
        let Some(from) = from else {
            assert!(last.target.starts_with("/u?digest=") && last.body == content, "{held}");
            continue;
        };
        assert!(last.body.is_empty() && !last.target.starts_with("/u?digest="), "{held}");
        let rest = asked.iter().find(|asked| asked.method == "PATCH");
        assert_eq!(rest.map(|rest| &*rest.body), (from < content.len()).then(|| &content[from..]), "{held}");
        assert!(rest.is_none_or(|rest| rest.target == "/u?state=2"));
        assert_eq!(asked.iter().filter(|asked| asked.method == "POST").count(), 1);
    }
}

#[tokio::test]
async fn a_page_in_place_of_a_blob_is_called_so() {
    let registry = Server::new(|_, _| reply(200, &["content-type: text/html"], b"<html>log in</html>")).await;
    let error = read_small_blob(&registry.remote(), &descriptor(), 100).await.unwrap_err();
    assert!(matches!(error, RemoteError::Registry(RegistryError::NotARegistry { .. })), "{error}");
    // A blob may well be a page itself.
    let registry = Server::new(|_, _| reply(200, &["content-type: text/html"], CONTENT)).await;
    assert_eq!(read_small_blob(&registry.remote(), &descriptor(), 100).await.unwrap(), CONTENT);
}

#[tokio::test]
async fn an_upload_elsewhere_carries_no_login() {
    let storage = Server::new(|_, _| reply(201, &[], b"")).await;
    let location = format!("location: http://{}/upload?sig=secret", storage.host);
    let registry = Server::new(move |asked, _| {
        if asked.logs_in() {
            reply(202, &[&location], b"")
        } else {
            reply(401, &["www-authenticate: basic"], b"")
        }
    })
    .await;
    let remote = registry.remote_with(login());
    remote.push_blob(&descriptor(), BlobSource::bytes(CONTENT)).await.unwrap();
    let asked = storage.asked();
    assert!(!asked[0].logs_in());
    assert_eq!(asked[0].body, CONTENT);
}

#[tokio::test]
async fn a_file_that_changed_is_never_stored() {
    let registry = Server::new(|asked, _| match &*asked.method {
        "POST" => reply(202, &["location: /u"], b""),
        _ => reply(201, &[], b""),
    })
    .await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"012345678X").unwrap();
    let error = registry.remote().push_blob(&descriptor(), BlobSource::file(&file)).await.unwrap_err();
    assert!(matches!(error, RemoteError::Blob(BlobError::ChangedWhileRead { .. })), "{error}");
    std::fs::write(&file, b"01234").unwrap();
    let error = registry.remote().push_blob(&descriptor(), BlobSource::file(&file)).await.unwrap_err();
    assert!(matches!(error, RemoteError::Blob(BlobError::ChangedWhileRead { .. })), "{error}");
    assert!(registry.asked().iter().all(|asked| asked.body.len() < CONTENT.len()));
}

#[tokio::test]
async fn a_blob_of_another_remote_is_read_again_and_never_stored_wrong() {
    let source = Server::new(|_, before| match before {
        0 | 1 => reply(200, &[], CONTENT),
        2 => reply(200, &[], b"012345678X"),
        3 => reply(404, &[], b""),
        _ => reply(200, &[], b"01234567890"),
    })
    .await;
    let puts = AtomicU64::new(0);
    let target = Server::new(move |asked, _| match &*asked.method {
        "POST" => reply(202, &["location: /u"], b""),
        "PUT" if puts.fetch_add(1, Ordering::Relaxed) == 0 => reply(503, &[], b""),
        "PUT" => reply(201, &[], b""),
        _ => reply(404, &[], b""),
    })
    .await;
    let origin: Arc<dyn Remote> = Arc::new(source.remote());
    let remote = target.remote();
    let push = async || remote.push_blob(&descriptor(), BlobSource::remote(Arc::clone(&origin))).await;
    push().await.unwrap();
    assert_eq!(source.asked().len(), 2, "once for each try");
    let whole = |asked: &Asked| asked.body == CONTENT;
    assert_eq!(target.asked().iter().filter(|asked| whole(asked)).count(), 2);
    assert!(matches!(push().await, Err(RemoteError::Blob(BlobError::Digest { .. }))));
    assert!(matches!(push().await, Err(RemoteError::Missing { .. })));
    assert!(matches!(push().await, Err(RemoteError::Blob(BlobError::Size { .. }))));
    assert_eq!(target.asked().iter().filter(|asked| whole(asked)).count(), 2);
}

#[tokio::test]
async fn a_condition_goes_with_the_manifest() {
    let registry = Server::new(|_, before| reply(if before == 0 { 201 } else { 412 }, &[], b"")).await;
    let remote = registry.remote();
    let push = |condition| {
        let remote = remote.clone();
        async move {
            remote.push_manifest(&tag(), media_type::MANIFEST, Bytes::from_static(b"{}"), condition).await
        }
    };
    push(Condition::Absent).await.unwrap();
    let digest = Digest::of(b"x");
    let error = push(Condition::Is(digest)).await.unwrap_err();
    assert!(matches!(error, RemoteError::ConditionFailed { found: None, .. }));
    let asked = registry.asked();
    assert!(asked[0].head.contains("if-none-match: *\r\n"));
    assert!(asked[1].head.contains(&format!("if-match: \"{digest}\"\r\n")));
    assert_eq!(asked[0].body, b"{}");
}

#[tokio::test]
async fn tags_come_page_by_page_from_one_host() {
    let registry = Server::new(|asked, _| match &*asked.target {
        "/v2/a/b/tags/list?n=1000" => {
            reply(200, &[r#"link: </v2/a/b/tags/list?last=b>; rel="next""#], br#"{"tags":["b","../x","a"]}"#)
        }
        _ => reply(200, &[], br#"{"tags":["c","a"]}"#),
    })
    .await;
    let tags = registry.remote().tags().await.unwrap();
    assert_eq!(tags.iter().map(Tag::as_str).collect::<Vec<_>>(), ["a", "b", "c"]);

    for link in ["/v2/a/b/tags/list?n=1000", "http://127.0.0.1:1/x", "ftp://h/"] {
        let answer = reply(200, &[&format!("link: <{link}>; rel=next")], br#"{"tags":null}"#);
        let registry = Server::new(move |_, _| answer.clone()).await;
        assert!(registry.remote().tags().await.is_err(), "{link}");
        assert_eq!(registry.asked().iter().map(|asked| &asked.target).collect::<HashSet<_>>().len(), 1);
    }
    let nothing = Server::new(|_, _| reply(404, &[], b"")).await;
    assert_eq!(nothing.remote().tags().await.unwrap(), []);
    // What came before a page that is gone stays.
    let ends = Server::new(|_, before| match before {
        0 => reply(200, &["link: </v2/a/b/tags/list?last=a>; rel=next"], br#"{"tags":["a"]}"#),
        _ => reply(404, &[], b""),
    })
    .await;
    assert_eq!(ends.remote().tags().await.unwrap().len(), 1);
    let endless = Server::new(|_, before| {
        reply(200, &[&format!("link: </v2/a/b/tags/list?page={before}>; rel=next")], br#"{"tags":["a"]}"#)
    })
    .await;
    let error = endless.remote().tags().await.unwrap_err();
    assert!(matches!(error, RemoteError::Protocol { .. }), "{error}");
    // The first page brings a tag, and ten more bring nothing new.
    assert_eq!(endless.asked().len(), 11);
}
