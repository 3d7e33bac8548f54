//! Which repositories a registry has.

use modelops_bundle_tests::{Fault, Matching, Proxy, Registry, TestProject};
use serde_json::json;

#[test]
fn a_registry_lists_its_repositories() {
    let Some(registry) = Registry::get() else { return };
    let proxy = Proxy::start(registry.host());
    let project = TestProject::on_registry(proxy.host(), "a/b/c/d/e");
    project.write("a", "1");
    let _ = project.run(&["add", "a"]).success();
    for name in ["a/b/c/d/e", "a/other", "ab", "z"] {
        let _ =
            project.run(&["config", "set", "registry_ref", &format!("{}/{name}", proxy.host())]).success();
        let _ = project.run(&["push"]).success();
    }
    let list = |arguments: &[&str]| {
        let arguments = [&["repos", "--json"], arguments].concat();
        project.run(&arguments).success().json()
    };
    let all = list(&[]);
    assert_eq!(all["repositories"], json!(["a/b/c/d/e", "a/other", "ab", "z"]));
    assert_eq!((&all["host"], &all["more"]), (&json!(proxy.host()), &json!(0)));
    let some = list(&[&format!("{}/a", registry.host())]);
    assert_eq!((&some["repositories"], &some["namespace"]), (&json!(["a/b/c/d/e", "a/other"]), &json!("a")));
    assert_eq!(list(&[registry.host(), "-n", "1"])["more"], 3);
    let text = project.run(&["repos", &format!("{}/a/b/", registry.host())]).success();
    assert_eq!(text.stdout(), format!("{}/a/b/c/d/e\n", registry.host()));
    let none = project.run(&["repos", &format!("{}/none", registry.host())]).success();
    assert!(none.stdout().contains("/none has no repositories"), "{none}");
    let bundle = format!("{}/a/other:latest", registry.host());
    let output = project.run(&["repos", &bundle]).code(2);
    assert!(output.stderr().contains(&format!("{bundle} names a bundle")), "{output}");
    let output = project.run(&["repos", &format!("{}/A", registry.host())]).code(2);
    assert!(output.stderr().contains("`A` is not a repository name"), "{output}");
}

#[test]
fn a_registry_that_lists_nothing_says_so() {
    let Some(registry) = Registry::get() else { return };
    let proxy = Proxy::start(registry.host());
    let project = TestProject::on_registry(proxy.host(), "p");
    for (status, code) in [(401, 5), (403, 5), (404, 1), (405, 1)] {
        proxy.inject(Matching::new("GET", "/v2/_catalog"), Fault::Answer(status, vec![]));
        let output = project.run(&["repos"]).code(code);
        assert!(output.stderr().contains("does not say") && output.stderr().contains("hint:"), "{output}");
    }
    let _ = project.run(&["repos", "oci:/srv"]).code(2);
    let _ = project.run(&["repos", "host:port"]).code(2);
}
