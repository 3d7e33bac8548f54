//! What every refused pull has in common.

use crate::project::TestProject;
use crate::tree::Tree;

/// Pulls into a folder with a file of its own, expects a failure with one of `codes`, and nothing changed anywhere.
/// Gives the most memory that a pull held, where the system tells.
#[track_caller]
pub fn assert_pull_is_refused(reference: &str, codes: &[i32], words: &str) -> Option<u64> {
    let project = TestProject::new();
    let _ = project.run(&["init", "--ref", reference]).success();
    project.write("mine", "precious");
    let around = project.path().parent().expect("a project lies in a temporary folder");
    let before = Tree::read(around);
    let mut peak = None;
    for arguments in [&["pull"][..], &["pull", "--overwrite"]] {
        let output = project.run(arguments).code_among(codes);
        assert!(
            output.stderr().lines().any(|line| line.starts_with("error: "))
                && output.stderr().contains(words),
            "{words}: {output}"
        );
        assert!(!output.stderr().contains('\u{1b}'), "{output}");
        peak = peak.max(output.peak_memory());
    }
    let after = Tree::read(around);
    let own = |path: &str| !path.starts_with("project/.modelops-bundle/");
    after.filtered(own).assert_same(&before.filtered(own));
    assert!(!project.exists(".modelops-bundle/staging"));
    peak
}
