//! Uploads that an earlier run has left: where their URLs lead, and what is told there.

use std::sync::Mutex;

use bundle_core::name::reference::Place;

use super::*;
use crate::unfinished::{Content, Unfinished};

const SIZE: usize = 3 << 20;

/// One upload that was left, at a URL.
#[derive(Debug, Default)]
struct Kept {
    url: String,
    /// What was kept, and how far that had come.
    kept: Mutex<Vec<(String, u64)>>,
    forgotten: Mutex<Vec<Content>>,
}

impl Unfinished for Kept {
    fn broke_off(&self, _place: &Place) -> bool {
        true
    }

    fn take(&self, _place: &Place, content: &Content) -> Option<String> {
        matches!(content, Content::Blob(_)).then(|| self.url.clone())
    }

    fn keep(&self, _place: &Place, _content: &Content, url: &str, reached: u64) {
        self.kept.lock().unwrap().push((url.to_owned(), reached));
    }

    fn rename(&self, _place: &Place, _from: &Content, _to: &Content) {}

    fn forget(&self, _place: &Place, content: &Content) {
        self.forgotten.lock().unwrap().push(*content);
    }

    fn finish(&self, _place: &Place) {}
}

/// Pushes a blob of which an upload was left at `url`; what was kept of that.
async fn push(server: &Server, url: String) -> Arc<Kept> {
    let kept = Arc::new(Kept { url, ..Kept::default() });
    let unfinished = Arc::clone(&kept) as Arc<dyn Unfinished>;
    let registry = server.remote_with(RemoteOptions { unfinished, ..login() });
    let content = vec![7; SIZE];
    let descriptor = Descriptor::of("x/y", &content);
    assert_eq!(registry.push_blob(&descriptor, BlobSource::bytes(content)).await.unwrap(), Stored::Sent);
    assert_eq!(*kept.forgotten.lock().unwrap(), [Content::Blob(descriptor.digest)]);
    kept
}

/// A registry that wants a login, and opens uploads.
fn registry(asked: &Asked) -> Vec<u8> {
    match &*asked.method {
        _ if !asked.logs_in() => reply(401, &["www-authenticate: Basic realm=x"], b""),
        "POST" => reply(202, &["location: /u"], b""),
        _ => reply(201, &[], b""),
    }
}

#[tokio::test]
async fn goes_on_where_the_registry_itself_has_it() {
    let server = Server::new(|asked, _| match &*asked.method {
        "GET" => reply(204, &["range: 0-2097151"], b""),
        "PATCH" => reply(202, &["location: /s?sig=2"], b""),
        _ => reply(201, &[], b""),
    })
    .await;
    let url = format!("http://{}/s?sig=1", server.host);
    let kept = push(&server, url.clone()).await;
    let asked = server.asked();
    let methods: Vec<&str> = asked.iter().map(|asked| &*asked.method).collect();
    assert_eq!(methods, ["GET", "PATCH", "PUT"]);
    assert_eq!(asked[1].body.len(), SIZE - (2 << 20));
    let next = format!("http://{}/s?sig=2", server.host);
    assert_eq!(*kept.kept.lock().unwrap(), [(url, 2 << 20), (next, SIZE as u64)]);
}

#[tokio::test]
async fn what_a_record_says_is_left_on_another_host_is_sent_to_the_registry_itself() {
    let elsewhere = Server::new(|_, _| reply(201, &[], b"")).await;
    let server = Server::new(|asked, _| registry(asked)).await;
    let port = elsewhere.host.rsplit_once(':').unwrap().1;
    let urls = [
        format!("http://{}/s", elsewhere.host),
        format!("//{}/s", elsewhere.host),
        format!("http://{}@{}/s", server.host.replace(':', "%3a"), elsewhere.host),
        format!("http://localhost:{port}/s"),
    ];
    for url in urls {
        let before = server.asked().len();
        let _ = push(&server, url.clone()).await;
        assert!(elsewhere.asked().is_empty(), "{url}");
        assert!(server.asked()[before..].iter().any(|asked| asked.body.len() == SIZE), "{url}");
    }
}

#[tokio::test]
async fn what_no_location_may_be_is_not_gone_to() {
    let server = Server::new(|asked, _| registry(asked)).await;
    let urls = ["file:///etc/passwd", "http://:x:/", "", "\n"].map(str::to_owned);
    for url in urls.into_iter().chain([format!("http://me:pw@{}/u", server.host)]) {
        let before = server.asked().len();
        let _ = push(&server, url.clone()).await;
        let asked = server.asked().split_off(before);
        assert!(asked.iter().any(|asked| asked.body.len() == SIZE), "{url}");
        assert!(!asked.iter().any(|asked| asked.method == "PATCH"), "{url}");
    }
}

#[tokio::test]
async fn what_is_refused_at_its_end_is_sent_from_its_start() {
    let server = Server::new(|asked, _| match &*asked.method {
        "GET" => reply(204, &["range: 0-2097151"], b""),
        "PATCH" => reply(202, &["location: /left"], b""),
        "PUT" if asked.target.starts_with("/left") => reply(400, &[], b""),
        "POST" => reply(202, &["location: /u"], b""),
        _ => reply(201, &[], b""),
    })
    .await;
    let _ = push(&server, format!("http://{}/left", server.host)).await;
    let bodies: Vec<usize> = server.asked().iter().map(|asked| asked.body.len()).collect();
    assert_eq!(bodies, [0, 1 << 20, 0, 0, SIZE]);
}
