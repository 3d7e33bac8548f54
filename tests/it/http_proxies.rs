//! What the environment says of HTTP proxies: which hosts they are for, and whose fault it is when they refuse.

use modelops_bundle_tests::{CommandOutput, Fault, Matching, Proxy, Registry, TestProject};

/// A password of a proxy, and how it would look in a header.
const SECRETS: [&str; 2] = ["c4nary-pw", "bWU6YzRuYXJ5LXB3"];

/// Asks for the tags of a repository with these variables.
fn ask(reference: &str, arguments: &[&str], variables: &[(&str, &str)]) -> CommandOutput {
    let project = TestProject::new();
    let command = project.command(["manifest", reference, "--retries", "0"].iter().chain(arguments));
    let output = variables.iter().fold(command, |command, (name, value)| command.env(name, value)).run();
    let said = String::from_utf8_lossy(output.stdout_bytes()).into_owned() + output.stderr();
    assert!(SECRETS.iter().all(|secret| !said.contains(secret)), "{output}");
    output
}

fn with_secret(proxy: &Proxy) -> String {
    format!("http://me:{}@{}", SECRETS[0], proxy.host())
}

#[test]
fn hosts_that_no_proxy_lists_are_reached_without_one() {
    let Some(registry) = Registry::get() else { return };
    let proxy = Proxy::start(registry.host());
    let url = with_secret(&proxy);
    let reference = "reg.invalid:5000/t/x";
    for (list, is_direct) in [
        ("reg.invalid", true),
        ("reg.invalid:5000", true),
        ("x.example, *.invalid:5000", true),
        ("*", true),
        ("reg.invalid:5001", false),
        ("*.reg.invalid", false),
        ("", false),
    ] {
        let output = ask(reference, &["--plain-http"], &[("http_proxy", &url), ("NO_PROXY", list)]);
        // The name cannot be resolved; the proxy could ask the registry.
        let output = output.code_among(if is_direct { &[7] } else { &[0, 1, 6, 7] });
        assert_eq!(proxy.take_seen().is_empty(), is_direct, "{list}: {output}");
    }
    // This machine itself is never behind a proxy: the registry says that it has no such repository.
    let _ =
        ask(&format!("{}/t/x", registry.host()), &[], &[("HTTP_PROXY", &url), ("ALL_PROXY", &url)]).code(6);
    assert!(proxy.take_seen().is_empty());
}

#[test]
fn a_proxy_that_refuses_is_named_and_its_password_is_not() {
    let Some(registry) = Registry::get() else { return };
    for (status, part) in [(403, "refuses the request"), (407, "wants a login")] {
        let proxy = Proxy::start(registry.host());
        let url = with_secret(&proxy);
        proxy.inject(Matching::new("GET", "").always(), Fault::Answer(status, vec![]));
        for loud in ["-q", "-vvv", "--json"] {
            let refused = ask("reg.invalid/t/x", &["--plain-http", loud], &[("HTTP_PROXY", &url)]).code(7);
            let said = refused.stdout().to_owned() + refused.stderr();
            assert!(said.contains(&format!("through the proxy http://{}", proxy.host())), "{refused}");
            assert!(said.contains(part) && !said.contains("denies the right"), "{refused}");
        }
    }
    for (status, part) in [(403, "no connection to that host"), (407, "wants a login")] {
        let proxy = Proxy::start(registry.host());
        let url = with_secret(&proxy);
        proxy.inject(Matching::new("CONNECT", "").always(), Fault::Answer(status, vec![]));
        let refused = ask("reg.invalid/t/x", &["-vvv"], &[("https_proxy", &url)]).code(7);
        assert!(refused.stderr().contains(part) && refused.stderr().contains(proxy.host()), "{refused}");
    }
}

#[test]
fn a_proxy_that_makes_no_sense_is_an_error_and_no_way_around_it() {
    for (variable, value) in [
        ("HTTPS_PROXY", "http://me:c4nary-pw@:80"),
        ("https_proxy", "ftp://me:c4nary-pw@proxy.invalid"),
        ("ALL_PROXY", "proxy.invalid:c4nary-pw"),
    ] {
        let refused = ask("reg.invalid/t/x", &["-vvv"], &[(variable, value)]).code(7);
        assert!(refused.stderr().contains(&format!("{variable} names no proxy")), "{refused}");
        assert!(!refused.stderr().contains("DEBUG hyper"), "nothing is sent: {refused}");
        let direct = ask("reg.invalid/t/x", &[], &[(variable, value), ("no_proxy", ".invalid")]).code(7);
        assert!(!direct.stderr().contains("names no proxy"), "{direct}");
    }
}

#[cfg(unix)]
#[test]
fn a_proxy_that_is_no_text_is_not_passed_over() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    let project = TestProject::new();
    let command = project.command(["manifest", "reg.invalid/t/x", "--retries", "0"]);
    let refused = command.env("HTTPS_PROXY", OsStr::from_bytes(b"http://pr\xff.invalid")).run().code(7);
    assert!(refused.stderr().contains("HTTPS_PROXY names no proxy"), "{refused}");
}
