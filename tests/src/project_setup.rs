//! Projects as many tests begin with them: on a remote, in a layout, pushed, or pulled from another.

use crate::command::CommandOutput;
use crate::project::TestProject;
use bundle_core::digest::Digest;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;

impl TestProject {
    /// A project whose remote is an OCI layout beside it, with nothing tracked yet.
    #[track_caller]
    pub fn on_layout() -> Self {
        let project = Self::new();
        let layout = format!("oci:{}", project.home().join("layout").display());
        let _ = project.run(&["init", "--ref", &layout]).success();
        project
    }

    /// A project whose remote is `repository` on the registry at `host`, with nothing tracked yet.
    #[track_caller]
    pub fn on_registry(host: &str, repository: &str) -> Self {
        let project = Self::new();
        let _ = project.run(&["init", "--ref", &format!("{host}/{repository}")]).success();
        project
    }

    /// Like [`on_layout`](Self::on_layout), in layout `packed`.
    #[track_caller]
    pub fn packed_on_layout() -> Self {
        Self::on_layout().in_layout("packed")
    }

    /// Like [`on_registry`](Self::on_registry), in layout `packed`.
    #[track_caller]
    pub fn packed_on_registry(host: &str, repository: &str) -> Self {
        Self::on_registry(host, repository).in_layout("packed")
    }

    /// Pushes in this layout: `files`, `packed` or `auto`.
    #[must_use]
    #[track_caller]
    pub fn in_layout(self, layout: &str) -> Self {
        let _ = self.run(&["init", "--layout", layout]).success();
        self
    }

    /// A second project on the OCI layout beside this one, with what this one pushed.
    #[track_caller]
    pub fn pulled_again(&self) -> Self {
        let second = Self::new();
        let layout = format!("oci:{}:latest", self.home().join("layout").display());
        let _ = second.run(&["pull", &layout]).success();
        second
    }

    /// Tracks and pushes everything in the project; gives the document that the push printed.
    #[track_caller]
    pub fn push_everything(&self) -> Value {
        let _ = self.run(&["add", "--quiet", "."]).success();
        self.run(&["push", "--json"]).success().json()
    }

    /// Logs in, with the password on standard input.
    #[must_use = "check the exit code with .success() or .code(n)"]
    #[track_caller]
    pub fn login(&self, host: &str, user: &str, password: &str) -> CommandOutput {
        self.command(["login", host, "-u", user, "--password-stdin"]).input(format!("{password}\n")).run()
    }

    /// The digests of the contents that the project keeps for `undo`.
    pub fn undo_store(&self) -> BTreeSet<String> {
        let mut folders = vec![self.path().join(".modelops-bundle/undo")];
        let mut contents = BTreeSet::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push(entry.path());
                } else if let Ok(content) = fs::read(entry.path()) {
                    contents.insert(Digest::of(&content).to_string());
                }
            }
        }
        contents
    }
}
