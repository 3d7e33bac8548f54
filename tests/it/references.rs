//! How a person writes a reference: what each spelling means, to every command.

use modelops_bundle_tests::{Registry, TestProject};

#[test]
fn a_reference_as_helm_writes_it_names_a_registry() {
    let Some(registry) = Registry::get() else { return };
    let plain = format!("{}/team/seir", registry.host());
    let url = format!("oci://{plain}");
    let project = TestProject::new();
    project.write("a", "1");
    let made = project.run(&["init", "--ref", &format!("{url}:main"), "--json"]).success().json();
    assert_eq!((made["ref"].as_str(), made["tag"].as_str()), (Some(plain.as_str()), Some("main")));
    let _ = project.run(&["add", "a"]).success();
    assert_eq!(project.run(&["push", "--json"]).success().json()["ref"], plain);

    for arguments in [
        vec!["inspect", &format!("{url}:main")],
        vec!["verify", &format!("{url}:main")],
        vec!["manifest", &url],
        vec!["diff", &format!("{url}:main"), &format!("{plain}:main")],
        vec!["copy", &format!("{url}:main"), &format!("{url}-copy:main")],
        vec!["export", &format!("{url}-copy:main"), "../x.tar"],
        vec!["import", "../x.tar", "--to", &format!("{url}-import")],
        vec!["tag", &format!("{url}:main"), "other"],
        vec!["health", &url, "--read-only"],
        vec!["config", "set", "registry_ref", &url],
    ] {
        let _ = project.run(&arguments).success();
    }
    assert_eq!(project.run(&["config", "get", "registry_ref"]).success().stdout(), format!("{plain}\n"));
    let other = TestProject::new();
    let _ = other.run(&["pull", &format!("{url}:main")]).success();
    assert_eq!(other.read_text("a"), "1");
}

#[test]
fn a_folder_written_as_a_url_is_refused_with_its_right_spelling() {
    let project = TestProject::on_layout();
    for arguments in [
        ["init", "--ref", "oci:///srv/x"].as_slice(),
        &["inspect", "oci:///srv/x"],
        &["pull", "oci:////srv/x"],
        &["config", "set", "registry_ref", "oci:///srv/x"],
    ] {
        let error = project.run(arguments).code(2);
        assert!(error.stderr().contains("hint: write the folder as oci:/srv/x"), "{error}");
    }
    for (reference, hint) in [
        ("host.example/a/", "leave out the `/`"),
        ("host.example/a//b", "leave out the `/`"),
        ("host.example/A", "lower case"),
        ("host.example/", "name the repository behind the host"),
        ("oci-archive:///x.tar", "write a file as oci-archive:FILE"),
    ] {
        let error = project.run(&["inspect", reference]).code(2);
        assert!(error.stderr().contains(hint), "{error}");
    }
}

#[test]
fn a_remote_that_was_a_folder_once_is_explained() {
    let project = TestProject::on_layout();
    project.write(".modelops-bundle/config.yaml", "registry_ref: oci://127.0.0.1:1/team/x\n");
    let said = project.run(&["status", "--offline"]).success();
    for part in ["earlier releases", "/127.0.0.1:1/team/x", "config set registry_ref 127.0.0.1:1/team/x"] {
        assert!(said.stderr().contains(part), "{said}");
    }
    let _ = project.run(&["config", "set", "registry_ref", "127.0.0.1:1/team/x"]).success();
    assert_eq!(project.run(&["status", "--offline"]).success().stderr(), "");

    project.write(".modelops-bundle/config.yaml", "registry_ref: oci:///srv/x\n");
    let error = project.run(&["status", "--offline"]).code(1);
    assert!(error.stderr().contains("hint: write the folder as oci:/srv/x, in that file"), "{error}");
}

#[test]
fn a_project_with_broken_settings_is_not_taken_for_none() {
    let project = TestProject::on_layout();
    let _ = project.run(&["init", "--tag", "main"]).success();
    project.write("a", "a");
    let _ = project.run(&["add", "a"]).success();
    let _ = project.run(&["push"]).success();
    let _ = project.run(&["export", "b.tar"]).success();
    let layout = format!("oci:{}", project.home().join("layout").display());
    project.write(".modelops-bundle/config.yaml", "default_tag: [");

    // Whatever leaves something to the project stops, and says why: a default would mean another bundle.
    for arguments in [
        &["verify", "main"][..],
        &["inspect", &layout],
        &["tag", "main", "v1"],
        &["copy", "main", "oci:other:v1"],
        &["export", ":main", "c.tar"],
        &["manifest", "main"],
        &["delete", "main", "-n"],
        &["diff", "main", &format!("{layout}:main")],
        &["health", "main"],
        &["import", "b.tar", "--to", "main"],
    ] {
        let output = project.run(arguments);
        assert!(output.exit_code() != Some(0), "{output}");
        assert!(output.stderr().contains("config.yaml"), "{output}");
    }
    // A whole reference needs no project.
    let whole = format!("{layout}:main");
    for arguments in [
        &["verify", &whole][..],
        &["inspect", "b.tar"],
        &["manifest", &layout],
        &["copy", &whole, "oci:other"],
        &["import", "b.tar", "--to", "oci:in"],
        &["tag", &whole, "v1"],
    ] {
        let _ = project.run(arguments).success();
    }
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_no_text_does_not_count_as_not_set() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    let project = TestProject::on_layout();
    project.write("a", "a");
    let _ = project.run(&["add", "a"]).success();
    let no_text = OsStr::from_bytes(b"\xff");
    let output = project.command(["push"]).env("SOURCE_DATE_EPOCH", no_text).run().code(2);
    assert!(output.stderr().contains("SOURCE_DATE_EPOCH"), "{output}");
}

#[test]
fn a_path_where_a_reference_is_wanted_is_told_how_to_write_it() {
    let project = TestProject::on_layout();
    project.write("a", "1");
    let _ = project.run(&["add", "a"]).success();
    let _ = project.run(&["push"]).success();
    let _ = project.run(&["export", "latest", "../x.tar"]).success();
    let layout = project.home().join("layout").display().to_string();
    for (path, spelling) in
        [(layout.as_str(), format!("oci:{layout}")), ("../x.tar", "oci-archive:../x.tar".to_owned())]
    {
        for arguments in [&["pull", path][..], &["health", path], &["manifest", path]] {
            let output = project.run(arguments).code(2);
            assert!(output.stderr().contains(&format!("hint: write it as {spelling}")), "{output}");
        }
    }
    let output = project.run(&["inspect", "none.tar"]).code(6);
    assert!(output.stderr().contains("`none.tar` was taken for a tag"), "{output}");
}

#[test]
fn a_place_is_called_by_its_plain_path() {
    let project = TestProject::on_layout();
    project.write("a", "1");
    let _ = project.run(&["add", "a"]).success();
    let _ = project.run(&["push"]).success();
    let layout = project.home().join("layout");
    let (plain, odd) = (format!("oci:{}", layout.display()), format!("oci:{}/blobs/../.", layout.display()));
    let listed = project.run(&["manifest", &odd, "--json"]).success().json();
    assert_eq!(listed["ref"], plain);
}

#[test]
fn what_is_no_list_of_a_layout_is_told_with_its_place() {
    let project = TestProject::on_layout();
    project.write("a", "1");
    let _ = project.run(&["add", "a"]).success();
    let _ = project.run(&["push"]).success();
    let layout = project.home().join("layout");
    std::fs::write(layout.join("index.json"), "junk").unwrap();
    for arguments in [["manifest"], ["status"]] {
        let output = project.run(&arguments).code_among(&[0, 8]);
        let said = format!("{}{}", output.stdout(), output.stderr());
        assert!(said.contains(&format!("oci:{}, index.json: ", layout.display())), "{output}");
    }
}
