//! Other tools read what we write.

use std::process::Command;

use modelops_bundle_tests::{BundleCommand, Registry, TestProject, Tree, tools};

#[test]
fn oras_pulls_what_we_pushed() {
    let Some(registry) = Registry::get() else { return };
    let Some(python) = tools::require(&tools::PYTHON) else { return };
    let project = TestProject::new();
    let _ = project.run(&["init", "--ref", &format!("{}/team/p", registry.host())]).success();
    project
        .write("src/model.py", "def step(): ...\n")
        .write("data/deep/x.csv", "a,b\n1,2\n")
        .write("top", "t");
    let _ = project.run(&["add", "src", "data", "top"]).success();
    let _ = project.run(&["push"]).success();

    let target = tempfile::tempdir().unwrap();
    let script = "import sys, oras.client\n\
                  client = oras.client.OrasClient(insecure=True)\n\
                  client.pull(target=sys.argv[1], outdir=sys.argv[2])\n";
    let output = Command::new(python)
        .args(["-c", script, &format!("{}/team/p:latest", registry.host())])
        .arg(target.path())
        .env("HOME", project.home())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Tree::read(target.path()).assert_same(&project.tree().filtered(|path| path != ".gitignore"));
}

#[test]
fn skopeo_copies_what_we_exported() {
    let Some(skopeo) = tools::require(&tools::SKOPEO) else { return };
    let project = TestProject::on_layout();
    project.write("a", "1").write("b/c", "2").write("empty", "");
    let _ = project.run(&["add", "a", "b", "empty"]).success();
    let digest = project.run(&["push", "--json"]).success().json()["digest"].clone();
    let _ = project.run(&["export", "a.tar"]).success();
    let run = |arguments: &[&str]| {
        BundleCommand::of_program(&skopeo, project.home())
            .current_dir(project.path())
            // Debian's settings for it are not everywhere, and nothing here is signed.
            .arg("--insecure-policy")
            .args(arguments)
            .run()
            .success()
    };
    let manifest = run(&["inspect", "--raw", "oci-archive:a.tar:latest"]);
    assert_eq!(
        bundle_core::digest::Digest::of(manifest.stdout_bytes()).to_string(),
        digest.as_str().unwrap()
    );
    // There and back, through an archive and a layout that it wrote.
    let _ = run(&["copy", "oci-archive:a.tar:latest", "oci-archive:b.tar:latest"]);
    let _ = run(&["copy", "oci-archive:b.tar:latest", "oci:layout:latest"]);
    let second = TestProject::new();
    let archive = project.path().join("b.tar");
    let done = second.run(&["import", archive.to_str().unwrap(), "--dest", ".", "--json"]).success().json();
    assert_eq!(done["digest"], digest);
    assert_eq!((second.read_text("a"), second.read_text("b/c")), ("1".to_owned(), "2".to_owned()));
    let list = project.run(&["manifest", "oci:layout", "--json"]).success().json();
    assert_eq!(list["manifests"][0]["digest"], digest);
}
