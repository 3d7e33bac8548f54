//! Other tools read what we write.

use std::process::Command;

use modelops_bundle_tests::{Registry, TestProject, Tree, can_connect_to_registry, tools};

#[test]
fn oras_pulls_what_we_pushed() {
    let registry = Registry::start();
    let Some(python) = tools::require(&tools::PYTHON) else { return };
    if !can_connect_to_registry(&registry) {
        return;
    }
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
