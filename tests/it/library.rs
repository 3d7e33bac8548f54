//! The library as a program uses it: through `Client` and the operations, without a process of the program.

use bundle_core::name::reference::{Reference, Tag};
use modelops_bundle::client::{Cancelled, Client};
use modelops_bundle::ops::delete::{self, DeleteOptions, DeletionError};
use modelops_bundle::ops::tag::{self, TagOptions, TaggingError};
use modelops_bundle::ops::verify::{self, VerifyError, VerifyOptions};
use modelops_bundle_tests::TestProject;
use tokio::runtime::Runtime;

use crate::cmd_project::project;

/// A project whose bundle lies in a layout under the tag `latest`, and the reference of that.
pub(crate) fn pushed() -> (TestProject, Reference) {
    let project = project();
    project.write("a.txt", "one");
    let _ = project.run(&["add", "a.txt"]).success();
    let _ = project.run(&["push"]).success();
    let reference = format!("oci:{}:latest", project.home().join("layout").display()).parse().unwrap();
    (project, reference)
}

/// A runtime such as a program that embeds the library has.
pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// A tag of this name.
fn tag(name: &str) -> Tag {
    name.parse().unwrap()
}

#[test]
fn verify_reads_everything_of_a_bundle() {
    let (_project, reference) = pushed();
    let client = Client::default();
    let planned = verify::plan(&client, &reference, VerifyOptions::default()).unwrap();
    let done = runtime().block_on(planned.apply()).unwrap();
    assert!(done.verification.is_good());
    assert_eq!(done.verification.checked.files, 1);

    let absent = reference.with_tag(tag("absent"));
    let planned = verify::plan(&client, &absent, VerifyOptions::default()).unwrap();
    let refused = runtime().block_on(planned.apply());
    assert!(matches!(refused, Err(VerifyError::NoBundle { reference }) if reference == absent));
}

#[test]
fn tag_writes_nothing_before_it_is_applied() {
    let (project, reference) = pushed();
    let client = Client::default();
    runtime().block_on(async {
        let planned =
            tag::plan(&client, &reference, vec![tag("v1.0.0")], TagOptions::default()).await.unwrap();
        planned.foresee().await.unwrap();
        assert!(planned.tags().all(|tag| tag.before.is_none()));
        let before =
            verify::plan(&client, &reference.with_tag(tag("v1.0.0")), VerifyOptions::default()).unwrap();
        assert!(matches!(before.apply().await, Err(VerifyError::NoBundle { .. })));
        let digest = planned.digest();
        assert!(planned.apply().await.unwrap().unconfirmed.is_empty());
        let again = tag::plan(&client, &reference, vec![tag("v1.0.0")], TagOptions::default()).await.unwrap();
        assert!(again.tags().all(|tag| tag.before == Some(digest)));
    });

    project.write("a.txt", "two");
    let _ = project.run(&["push"]).success();
    let refused =
        runtime().block_on(tag::plan(&client, &reference, vec![tag("v1.0.0")], TagOptions::default()));
    assert!(matches!(refused, Err(TaggingError::Tag(_))), "a published version does not move");
}

#[test]
fn delete_says_what_goes_and_leaves_published_versions() {
    let (_project, reference) = pushed();
    let client = Client::default();
    runtime().block_on(async {
        let tags = vec![tag("v1.0.0"), tag("beside")];
        let _ =
            tag::plan(&client, &reference, tags, TagOptions::default()).await.unwrap().apply().await.unwrap();
        let named = |name: &str| reference.with_tag(tag(name));
        let planned = delete::plan(&client, &named("beside"), DeleteOptions::default()).await.unwrap();
        assert_eq!(planned.tags(), [tag("beside"), tag("latest"), tag("v1.0.0")]);
        assert_eq!(planned.foresee().await.unwrap().tags, [tag("beside")]);
        assert_eq!(planned.apply().await.unwrap().deleted.tags, [tag("beside")]);
        let version = delete::plan(&client, &named("v1.0.0"), DeleteOptions::default()).await.unwrap();
        assert!(matches!(version.apply().await, Err(DeletionError::Delete(_))));
        let version = delete::plan(&client, &named("v1.0.0"), DeleteOptions::forced()).await.unwrap();
        assert_eq!(version.apply().await.unwrap().deleted.tags, [tag("v1.0.0")]);
        let gone = delete::plan(&client, &named("v1.0.0"), DeleteOptions::default()).await;
        assert!(matches!(gone, Err(DeletionError::Nothing { .. })));
    });
}

#[test]
fn a_cancelled_client_does_nothing_more() {
    let (_project, reference) = pushed();
    let client = Client::default();
    client.cancellation().cancel();
    let planned = verify::plan(&client, &reference, VerifyOptions::default()).unwrap();
    let refused = runtime().block_on(planned.apply());
    assert!(matches!(refused, Err(VerifyError::Cancelled(Cancelled))));
}
