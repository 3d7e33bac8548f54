//! The library as a program uses it: through `Client` and the operations, without a process of the program.

use bundle_core::diff::Change;
use bundle_core::name::reference::{Reference, Tag};
use modelops_bundle::client::{Cancelled, Client};
use modelops_bundle::credentials::{Environment, Kept, Store};
use modelops_bundle::health::Verdict;
use modelops_bundle::ops::copy::{self, CopyOptions, Selection};
use modelops_bundle::ops::delete::{self, DeleteOptions, DeletionError};
use modelops_bundle::ops::export::{self, ExportOptions, ExportingError, Format};
use modelops_bundle::ops::health::{self, HealthOptions, Wanted};
use modelops_bundle::ops::list::{self, ListError, ListOptions};
use modelops_bundle::ops::login::{self, LoginError, LoginOptions};
use modelops_bundle::ops::logout;
use modelops_bundle::ops::pull::{self, PullOptions, PullingError, Settled, Target};
use modelops_bundle::ops::push;
use modelops_bundle::ops::repos::{self, ReposOptions};
use modelops_bundle::ops::status::{self, Answer, StatusError, StatusOptions};
use modelops_bundle::ops::tag::{self, TagOptions, TaggingError};
use modelops_bundle::ops::verify::{self, VerifyError, VerifyOptions};
use modelops_bundle::project::Project;
use modelops_bundle::pull::PullError;
use modelops_bundle::push::PushOptions;
use modelops_bundle::threads::ThreadError;
use modelops_bundle::workspace::Workspace;
use modelops_bundle_tests::{PASSWORD, Registry, TestProject, USER};
use tokio::runtime::Runtime;

/// A project whose bundle lies in a layout under the tag `latest`, and the reference of that.
pub(crate) fn pushed() -> (TestProject, Reference) {
    let project = TestProject::on_layout();
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
fn delete_says_what_goes_and_takes_no_tag_that_nobody_named() {
    let (_project, reference) = pushed();
    let client = Client::default();
    runtime().block_on(async {
        let tags = vec![tag("v1.0.0"), tag("beside")];
        let _ =
            tag::plan(&client, &reference, tags, TagOptions::default()).await.unwrap().apply().await.unwrap();
        let named = |name: &str| reference.with_tag(tag(name));
        let planned = delete::plan(&client, &named("beside"), DeleteOptions::default()).await.unwrap();
        assert_eq!(planned.tags(), [tag("beside"), tag("latest"), tag("v1.0.0")]);
        let planned_digest = planned.digest();
        assert_eq!(planned.foresee().await.unwrap().tags, [tag("beside")]);
        assert_eq!(planned.apply().await.unwrap().deleted.tags, [tag("beside")]);
        let digest = Reference { tag: None, digest: planned_digest, ..reference.clone() };
        let all = delete::plan(&client, &digest, DeleteOptions::default()).await.unwrap();
        assert!(matches!(all.apply().await, Err(DeletionError::Delete(_))), "nobody named the other tags");
        let all = delete::plan(&client, &digest, DeleteOptions::forced()).await.unwrap();
        assert_eq!(all.apply().await.unwrap().deleted.tags, [tag("latest"), tag("v1.0.0")]);
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

#[test]
fn list_tells_bundles_with_their_tags() {
    let (_project, reference) = pushed();
    let client = Client::default();
    let place = reference.without_version();
    runtime().block_on(async {
        let done = list::plan(&client, &place, ListOptions::default()).unwrap().apply().await.unwrap();
        let found: Vec<_> = done.manifests.iter().map(|one| (one.tags.as_slice(), one.files)).collect();
        assert_eq!(found, [(&[tag("latest")][..], Some(1))]);
        let tags = list::plan(&client, &place, ListOptions::default()).unwrap().tags().await.unwrap();
        assert_eq!(tags.tags, [tag("latest")]);
        let nowhere: Reference = format!("{place}-not-there").parse().unwrap();
        let refused = list::plan(&client, &nowhere, ListOptions::default()).unwrap().apply().await;
        assert!(matches!(refused, Err(ListError::NoPlace { .. })));
    });
}

#[test]
fn copy_brings_the_same_bundle_under_all_of_its_tags() {
    let (project, reference) = pushed();
    let client = Client::default();
    let target: Reference = format!("oci:{}", project.home().join("copy").display()).parse().unwrap();
    runtime().block_on(async {
        let source = reference.without_version();
        let plan = || copy::plan(&client, &source, &target, Selection::AllTags, CopyOptions::default());
        let planned = plan().await.unwrap();
        assert!(planned.bundles().all(|(_, delivery)| delivery.changes()));
        assert!(planned.foresee().await.unwrap().sent.blobs > 0);
        let digest = planned.bundles().next().unwrap().0.digest;
        let _ = planned.apply().await.unwrap();
        let again = plan().await.unwrap();
        let found: Vec<_> =
            again.bundles().map(|(bundle, delivery)| (bundle.digest, delivery.changes())).collect();
        assert_eq!(found, [(digest, false)]);
    });
}

#[test]
fn export_writes_one_file_and_replaces_none() {
    let (project, reference) = pushed();
    let client = Client::default();
    let file = project.home().join("bundle.tar");
    runtime().block_on(async {
        let options = ExportOptions::default().format(Format::Tar);
        let planned = export::plan(&client, &reference, &file, options).await.unwrap();
        planned.foresee().unwrap();
        assert!(!file.exists());
        let _ = planned.apply().await.unwrap();
        assert!(file.exists());
        let other = export::plan(&client, &reference, &file, ExportOptions::default()).await;
        assert!(matches!(other, Err(ExportingError::Exists { .. })));
    });
}

#[test]
fn pull_makes_a_project_and_then_stops_at_a_conflict() {
    let (project, reference) = pushed();
    let client = Client::default();
    let folder = project.home().join("elsewhere");
    std::fs::create_dir(&folder).unwrap();
    let pull = || async {
        let target = Target::at(&client, &folder).unwrap();
        pull::plan(&client, &reference, target, PullOptions::default()).await
    };
    let runtime = runtime();
    let planned = runtime.block_on(pull()).unwrap();
    assert_eq!(runtime.block_on(planned.foresee()).unwrap().downloaded.files, 1);
    assert!(!folder.join("a.txt").exists());
    let done = runtime.block_on(planned.apply()).unwrap();
    assert_eq!(done.pulled.downloaded.files, 1);
    assert_eq!(std::fs::read(folder.join("a.txt")).unwrap(), b"one");

    std::fs::write(folder.join("a.txt"), "mine").unwrap();
    project.write("a.txt", "theirs");
    let _ = project.run(&["push"]).success();
    let stopped = runtime.block_on(pull());
    assert!(matches!(stopped, Err(PullingError::Pull(PullError::Blocked { .. }))));
    let settled = Settled { theirs: vec!["a.txt".into()], relative_to: folder.clone(), ..Settled::default() };
    let options = PullOptions::default().settled(settled);
    let planned =
        runtime.block_on(pull::plan(&client, &reference, Target::at(&client, &folder).unwrap(), options));
    let _ = runtime.block_on(planned.unwrap().apply()).unwrap();
    assert_eq!(std::fs::read(folder.join("a.txt")).unwrap(), b"theirs");
}

#[test]
fn a_push_is_a_value_before_anything_is_sent() {
    let (project, reference) = pushed();
    let client = Client::default();
    project.write("a.txt", "two");
    let runtime = runtime();
    let plan = |tags: Vec<Tag>| {
        let entered = client.enter(project.path(), "test").unwrap();
        runtime.block_on(push::plan(&client, entered, &reference, &tags, PushOptions::default()))
    };
    let planned = plan(vec![tag("next")]).unwrap();
    assert!(planned.prepared().plan.decision.changed);
    drop(planned);
    let absent = verify::plan(&client, &reference.with_tag(tag("next")), VerifyOptions::default()).unwrap();
    assert!(matches!(runtime.block_on(absent.apply()), Err(VerifyError::NoBundle { .. })));
    let done = runtime.block_on(plan(vec![tag("next")]).unwrap().apply()).unwrap();
    assert!(done.pushed.changed);
    assert_eq!(done.pushed.sent, ["a.txt".parse().unwrap()]);
}

#[test]
fn status_compares_with_the_remote_or_with_what_was_last_synced() {
    let (project, reference) = pushed();
    let client = Client::default();
    project.write("a.txt", "two");
    let workspace = Workspace::load(Project::find(project.path()).unwrap()).unwrap();
    let plan = || status::plan(&client, &workspace, &reference, StatusOptions::default());
    for (done, is_asked) in [(runtime().block_on(plan().apply()), true), (plan().apply_offline(), false)] {
        let done = done.unwrap();
        assert_eq!(matches!(done.answer, Answer::Bundle(_)), is_asked);
        let changes: Vec<_> = done.changes.iter().map(|one| (one.path.as_str(), one.change)).collect();
        assert_eq!(changes, [("a.txt", Change::ModifiedLocal)]);
    }
}

/// Threads, as `threads.rs` has them: the engine refuses a runtime of one thread, and a future that is dropped leaves
/// nothing behind.
#[test]
fn a_runtime_of_one_thread_is_refused_and_a_dropped_pull_leaves_nothing() {
    let (project, reference) = pushed();
    let client = Client::default();
    let alone = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let workspace = Workspace::load(Project::find(project.path()).unwrap()).unwrap();
    let planned = status::plan(&client, &workspace, &reference, StatusOptions::default());
    let refused = alone.block_on(planned.apply());
    assert!(matches!(refused, Err(StatusError::Threads(ThreadError::Runtime))));

    let folder = project.home().join("elsewhere");
    std::fs::create_dir(&folder).unwrap();
    let runtime = runtime();
    let target = Target::at(&client, &folder).unwrap();
    let planned = runtime.block_on(pull::plan(&client, &reference, target, PullOptions::default())).unwrap();
    drop(planned.apply());
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
}

/// Operations can be given to another thread of a runtime.
#[test]
fn operations_can_be_spawned() {
    let (project, reference) = pushed();
    let client = Client::default();
    let folder = project.home().join("elsewhere");
    std::fs::create_dir(&folder).unwrap();
    let runtime = runtime();
    let done = runtime.spawn(async move {
        let target = Target::at(&client, &folder).unwrap();
        let planned = pull::plan(&client, &reference, target, PullOptions::default()).await.unwrap();
        planned.apply().await.unwrap().pulled.downloaded.files
    });
    assert_eq!(runtime.block_on(done).unwrap(), 1);
}

#[test]
fn health_tells_what_works_at_a_place() {
    let (_project, reference) = pushed();
    let client = Client::default();
    let options = HealthOptions::default().wanting(Wanted::Named);
    let checks = |reference: &Reference| {
        runtime().block_on(health::plan(&client, reference, options).apply()).unwrap().checks
    };
    assert!(checks(&reference).iter().all(|check| check.verdict() != Verdict::Fail));
    let absent = reference.with_tag(tag("absent"));
    assert!(checks(&absent).iter().any(|check| check.verdict() == Verdict::Fail));
}

#[test]
fn login_tries_credentials_before_it_keeps_them_and_logout_forgets_them() {
    let Some(registry) = Registry::get_with_password() else { return };
    let client = Client::default();
    let folder = tempfile::tempdir().unwrap();
    let mut environment = Environment::default();
    environment.docker_folder = Some(folder.path().to_owned());
    let store = Store::new(environment);
    let host = registry.host();
    runtime().block_on(async {
        let login = |password: &str| {
            login::plan(&client, &store, host, USER, password.to_owned(), LoginOptions::default())
        };
        assert!(matches!(login("wrong").await, Err(LoginError::Remote(_))));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let kept = login(PASSWORD).await.unwrap().apply().await.unwrap();
        assert!(matches!(kept, Kept::File(file) if file.starts_with(folder.path())));
        let planned = logout::plan(&client, &store, host);
        assert_eq!(planned.foresee().await.unwrap().removed.len(), 1);
        assert_eq!(planned.apply().await.unwrap().removed.len(), 1);
        assert_eq!(logout::plan(&client, &store, host).foresee().await.unwrap().removed.len(), 0);
    });
}

#[test]
fn repos_lists_what_a_registry_has() {
    let Some(registry) = Registry::get() else { return };
    let (_project, source) = pushed();
    let client = Client::default();
    let target: Reference = format!("{}/team/model:v1", registry.host()).parse().unwrap();
    runtime().block_on(async {
        let planned = copy::plan(&client, &source, &target, Selection::One, CopyOptions::default());
        let _ = planned.await.unwrap().apply().await.unwrap();
        let list = |options| repos::plan(&client, registry.host(), options).apply();
        assert_eq!(list(ReposOptions::default()).await.unwrap().names, ["team/model"]);
        let other = ReposOptions::default().below(Some("other".to_owned()));
        assert_eq!(list(other).await.unwrap().names, <[String; 0]>::default());
    });
}
