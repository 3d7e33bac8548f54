//! One large file on its way to a registry, for tests of uploads that break off.

use crate::content::noise;
use crate::project::TestProject;
use crate::proxy::{Proxy, Seen};
use crate::registry::Registry;

/// What the path of every request of an upload contains.
pub const UPLOADS: &str = "/blobs/uploads/";

/// So many bytes.
pub const MIB: u64 = 1 << 20;

/// A project with one file of so many MiB, whose way to the registry is through `proxy`.
#[track_caller]
pub fn project_with_large_file(proxy: &Proxy, mib: u64) -> TestProject {
    let project = TestProject::on_registry(proxy.host(), "p").in_layout("files");
    project.write("large", noise(1, (mib * MIB) as usize));
    let _ = project.run(&["add", "large"]).success();
    project
}

/// Pulls what [`project_with_large_file`] pushed, and compares.
#[track_caller]
pub fn assert_large_file_arrived(project: &TestProject, registry: &Registry) {
    let second = TestProject::new();
    let _ = second.run(&["pull", &format!("{}/p:latest", registry.host())]).success();
    second.tree().assert_same(&project.tree());
}

/// Those requests of uploads that have this method.
pub fn upload_requests<'a>(seen: &'a [Seen], method: &str) -> Vec<&'a Seen> {
    seen.iter().filter(|one| one.method == method && one.path.contains(UPLOADS)).collect()
}
