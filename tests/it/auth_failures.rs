//! Where credentials are kept, and where they must never be: in the wrong hands, in an output, in a project.

use std::fs;
use std::path::{Path, PathBuf};

use modelops_bundle_tests::{
    Answer, CommandOutput, Fault, Generation, IDENTITY_TOKEN, Matching, PASSWORD, Proxy, Registry,
    RegistrySetup, Request, ScriptedRegistry, TestProject, TokenServer, USER, tools,
};
use serde_json::json;

/// [`USER`] and [`PASSWORD`] as Docker writes them.
const AUTH: &str = "cmVzZWFyY2hlcjpzZWlyLTIwMjQ=";

/// A helper that keeps each server's secret in a file; what it is asked is put down in `$HOME/helper.log`.
const HELPER: &str = r#"#!/usr/bin/env python3
import json, os, sys, urllib.parse
home = os.environ["HOME"]
folder = os.path.join(home, "secrets")
os.makedirs(folder, exist_ok=True)
verb, text = sys.argv[1], sys.stdin.read().strip()
with open(os.path.join(home, "helper.log"), "a") as log:
    log.write(verb + "\n")
at = lambda server: os.path.join(folder, urllib.parse.quote(server, safe=""))
if verb == "store":
    entry = json.loads(text)
    json.dump(entry, open(at(entry["ServerURL"]), "w"))
elif verb == "list":
    print(json.dumps({e["ServerURL"]: e["Username"] for e in (json.load(open(os.path.join(folder, f))) for f in os.listdir(folder))}))
elif not os.path.exists(at(text)):
    print("credentials not found in native keychain")
    sys.exit(1)
elif verb == "get":
    print(open(at(text)).read())
elif verb == "erase":
    os.remove(at(text))
"#;

/// A project with one file, whose remote is on `host`.
fn small_project(host: &str) -> TestProject {
    let project = TestProject::on_registry(host, "team/model");
    project.write("a", "1");
    let _ = project.run(&["add", "a"]).success();
    project
}

fn put(project: &TestProject, path: &str, text: &str) -> PathBuf {
    let path = project.home().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path
}

fn entry(host: &str) -> String {
    json!({"auths": {host: {"auth": AUTH}}}).to_string()
}

/// Puts a helper on a `PATH` of the project's own, and returns that.
fn put_helper(project: &TestProject, name: &str, text: &str) -> String {
    let path = put(project, &format!("bin/docker-credential-{name}"), text);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    format!("{}:{}", path.parent().unwrap().display(), std::env::var("PATH").unwrap())
}

#[test]
fn credentials_are_found_wherever_others_keep_them() {
    let Some(registry) = Registry::get_with_password() else { return };
    let host = registry.host();
    for (place, key) in [
        (".docker/config.json", host.to_owned()),
        (".docker/config.json", format!("https://{host}/v1/")),
        (".docker/config.json", format!("http://{host}")),
        (".docker/config.json", format!("{host}/team")),
        ("docker/config.json", host.to_owned()),
        ("auth-file.json", host.to_owned()),
        ("run/containers/auth.json", format!("{host}/team/model")),
        (".config/containers/auth.json", host.to_owned()),
    ] {
        let project = small_project(host);
        put(&project, place, &entry(&key));
        let mut command = project.command(["push"]).env("XDG_RUNTIME_DIR", project.home().join("run"));
        match place {
            "docker/config.json" => command = command.env("DOCKER_CONFIG", project.home().join("docker")),
            "auth-file.json" => command = command.env("REGISTRY_AUTH_FILE", project.home().join(place)),
            _ => {}
        }
        let _ = command.run().success();
    }
    for (variables, exit) in [
        (vec![("USERNAME", USER), ("PASSWORD", PASSWORD)], 0),
        (vec![("USERNAME", USER), ("PASSWORD", PASSWORD), ("REGISTRY", host)], 0),
        (vec![("USERNAME", USER), ("PASSWORD", PASSWORD), ("REGISTRY", "r.example")], 5),
        (vec![("USERNAME", USER), ("PASSWORD", "wrong")], 5),
        (vec![("USERNAME", USER)], 5),
    ] {
        let mut command = small_project(host).command(["push"]);
        let project = small_project(host);
        command = command.current_dir(project.path());
        for (name, value) in variables {
            command = command.env(&format!("MODELOPS_BUNDLE_{name}"), value);
        }
        let _ = command.run().code(exit);
    }
}

#[test]
fn login_keeps_what_else_is_in_the_file() {
    let Some(registry) = Registry::get_with_password() else { return };
    let (host, project) = (registry.host(), small_project(registry.host()));
    let old = json!({
        "psFormat": "x",
        "auths": {"other.example": {"auth": "YTpi", "x": 1}, format!("https://{host}"): {"auth": "YTpi"}},
    });
    let config = put(&project, "settings/docker.json", &old.to_string());
    let link = project.home().join(".docker/config.json");
    fs::create_dir(link.parent().unwrap()).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(&config, &link).unwrap();
    let _ = project.login(host, USER, "wrong").code(5);
    let read = || serde_json::from_slice::<serde_json::Value>(&fs::read(&config).unwrap()).unwrap();
    assert_eq!(read(), old);
    let told = project.login(host, USER, PASSWORD).success();
    assert!(told.stderr().contains("plain text") && told.stdout().contains("Logged in"), "{told}");
    let expected = json!({
        "psFormat": "x",
        "auths": {"other.example": {"auth": "YTpi", "x": 1}, host: {"auth": AUTH}},
    });
    assert_eq!(read(), expected);
    assert!(link.is_symlink());
    let _ = project.run(&["push"]).success();
    let _ = project.run(&["logout", host]).success();
    assert_eq!(read(), json!({"psFormat": "x", "auths": {"other.example": {"auth": "YTpi", "x": 1}}}));
    assert!(project.run(&["logout", host]).success().stdout().contains("There was no login"));

    // No password as an argument, none that is empty, no terminal to ask at.
    let _ = project.run(&["login", host, "-u", USER, "--password", PASSWORD]).code(2);
    let _ = project.login(host, USER, "").code(2);
    let asked = project.run(&["login", host, "-u", USER]).code(2);
    assert!(asked.stderr().contains("--password-stdin"));
    for arguments in [vec!["login", host], vec!["login", host, "--password-stdin"]] {
        let asked = project.command(arguments).input(PASSWORD).run().code(2);
        assert!(asked.stderr().contains("no user is named") && asked.stderr().contains("-u USER"), "{asked}");
    }
    // A path behind the host is cut off, which is said.
    let told = project.login(&format!("{host}/team/model:v1"), USER, PASSWORD).success();
    assert!(told.stderr().contains("`/team/model:v1` is left out"), "{told}");
    assert_eq!(read()["auths"][host], json!({"auth": AUTH}));
}

#[test]
fn an_open_registry_has_nothing_to_check() {
    let Some(registry) = Registry::get() else { return };
    let project = small_project(registry.host());
    let told = project.login(registry.host(), USER, PASSWORD).success();
    assert!(told.stderr().contains("nothing was checked"), "{told}");
}

#[test]
fn a_helper_keeps_the_secret() {
    let Some(registry) = Registry::get_with_password() else { return };
    let host = registry.host();
    for config in
        [json!({"credsStore": "files"}), json!({"credsStore": "absent", "credHelpers": {host: "files"}})]
    {
        let project = small_project(host);
        let path = put_helper(&project, "files", HELPER);
        let file = put(&project, ".docker/config.json", &config.to_string());
        let run = |arguments: &[&str]| project.command(arguments).env("PATH", &path).input(PASSWORD).run();
        let report = run(&["login", host, "-u", USER, "--password-stdin", "--json"]).success();
        assert!(!report.stderr().contains("plain text"));
        assert_eq!(report.json()["stored"], json!({"kind": "helper", "program": "docker-credential-files"}));
        assert_eq!(fs::read_to_string(&file).unwrap(), config.to_string(), "the file is as it was");
        let _ = run(&["push"]).success();
        let log = project.home().join("helper.log");
        assert_eq!(fs::read_to_string(&log).unwrap(), "store\nget\n", "once for all requests");
        let _ = run(&["logout", host]).success();
        let _ = run(&["status"]).success();
        let _ = run(&["push"]).code(5);

        // Another program kept it under another spelling.
        let secret = json!({"ServerURL": format!("https://{host}"), "Username": USER, "Secret": PASSWORD});
        let name = format!("https%3A%2F%2F{}", host.replace(':', "%3A"));
        put(&project, &format!("secrets/{name}"), &secret.to_string());
        let _ = run(&["push"]).success();
    }
}

#[test]
fn a_helper_that_fails_is_named() {
    let Some(registry) = Registry::get_with_password() else { return };
    let (host, project) = (registry.host(), small_project(registry.host()));
    let config = put(&project, ".docker/config.json", r#"{"credsStore":"bad"}"#);
    let missing = project.run(&["push"]).code(5);
    assert!(
        missing.stderr().contains("docker-credential-bad") && missing.stderr().contains("config.json"),
        "{missing}"
    );
    for (script, part) in [
        ("echo 'locked: S3cret' >&2; exit 1", "failed to get: it ended with exit status: 1"),
        ("echo locked S3cret; exit 3", "failed to get: it ended with exit status: 3"),
        ("echo junk S3cret", "something else than credentials"),
    ] {
        let path = put_helper(&project, "bad", &format!("#!/bin/sh\n{script}\n"));
        let failed = project.command(["push"]).env("PATH", &path).run().code(5);
        let said = failed.stderr();
        assert!(said.contains("docker-credential-bad") && said.contains(part), "{failed}");
        assert!(!said.contains("locked") && !said.contains("S3cret"), "its own words are not for everybody");
    }
    let path = put_helper(&project, "bad", "#!/bin/sh\necho '\x1b[31mlocked' >&2; exit 1\n");
    let asked = project.command(["push", "-vv"]).env("PATH", path).run().code(5);
    assert!(asked.stderr().contains("[31mlocked") && !asked.stderr().contains('\x1b'), "{asked}");
    // What it was given in secret is cut from what it says.
    let path = put_helper(&project, "bad", "#!/bin/sh\ncat >&2\nexit 1\n");
    let arguments = ["login", host, "-u", USER, "--password-stdin"];
    for loud in ["-q", "-vvv"] {
        let failed = project.command(arguments.iter().chain(&[loud])).env("PATH", &path).input(PASSWORD);
        let failed = failed.run().code(5);
        assert!(!failed.stderr().contains(PASSWORD), "{failed}");
    }
    fs::write(&config, r#"{"credsStore":"../x"}"#).unwrap();
    assert!(project.run(&["push"]).code(5).stderr().contains("`credsStore` is no name of a helper"));
    fs::write(&config, "{\n  \"auths\": {,").unwrap();
    let malformed = project.run(&["push"]).code(5);
    assert!(malformed.stderr().contains("config.json` cannot be understood: line 2"), "{malformed}");
    let refused = project.login(host, USER, PASSWORD).code(5);
    assert!(refused.stderr().contains("line 2"), "{refused}");
    assert_eq!(fs::read_to_string(&config).unwrap(), "{\n  \"auths\": {,", "the file is as it was");
}

/// All that a run said, and every file below a folder, searched for secrets.
fn search(output: &CommandOutput, folders: &[&Path], secrets: &[String]) {
    let said = String::from_utf8_lossy(output.stdout_bytes()).into_owned() + output.stderr();
    for secret in secrets {
        assert!(!said.contains(secret.as_str()), "`{secret}` was said:\n{output}");
    }
    let mut left: Vec<PathBuf> = folders.iter().map(|folder| folder.to_path_buf()).collect();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let content = fs::read(&path).unwrap_or_default();
        for secret in secrets {
            let is_there = content.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!is_there, "`{secret}` is in {}", path.display());
        }
    }
}

#[test]
fn no_secret_is_said_or_left_behind() {
    for generation in Generation::ALL {
        let tokens = TokenServer::start();
        let Some(basic) = RegistrySetup::new(generation).with_password().start() else { return };
        let Some(bearer) = RegistrySetup::new(generation).with_tokens(&tokens).start() else { return };
        for (registry, offline) in [(&basic, false), (&bearer, false), (&bearer, true)] {
            if offline {
                tokens.give_identity_tokens();
            }
            let proxy = Proxy::start(registry.host());
            let host = proxy.host();
            let project = small_project(host);
            let wrong = "not-the-password";
            let check = |output: CommandOutput| {
                let mut secrets: Vec<String> =
                    [PASSWORD, AUTH, IDENTITY_TOKEN, wrong].map(str::to_owned).into();
                secrets.extend(tokens.given());
                search(&output, &[project.path()], &secrets);
            };
            let arguments = ["login", host, "-u", USER, "--password-stdin", "-vvv"];
            let run = |extra: &[&str], password: &str| {
                project.command(arguments.iter().chain(extra)).input(password).run()
            };
            check(run(&[], wrong).code(5));
            check(run(&["--json"], wrong).code(5));
            check(run(&[], PASSWORD).success());
            check(project.run(&["push", "-vvv"]).success());
            check(project.run(&["push", "-vvv", "--json"]).success());
            check(project.run(&["manifest", "-vvv"]).success());
            project.write("a", "2");
            // Refused for good in the middle, broken, and answered with a redirect.
            proxy.inject(Matching::new("POST", "/blobs/"), Fault::Answer(403, vec![]));
            check(project.run(&["push", "-vvv", "--json"]).code(5));
            proxy.inject(
                Matching::new("PUT", "/manifests/").times(9),
                Fault::Answer(500, vec![("Retry-After", "0")]),
            );
            check(project.run(&["push", "-vvv", "--retries", "1"]).code(7));
            check(project.run(&["push", "--json", "-vvv", "--retries", "1"]).code(7));
        }
    }
}

#[test]
fn a_redirect_to_another_host_carries_nothing() {
    let tokens = TokenServer::start();
    let Some(registry) = Registry::get() else { return };
    let Some(private) = RegistrySetup::new(Generation::Third).with_tokens(&tokens).start() else { return };
    let (proxy, elsewhere) = (Proxy::start(private.host()), Proxy::start(registry.host()));
    let project = small_project(proxy.host());
    let _ = project.login(proxy.host(), USER, PASSWORD).success();
    let _ = project.run(&["push"]).success();
    for status in [301, 302, 303, 307, 308] {
        let location: &'static str = Box::leak(format!("http://{}/v2/x", elsewhere.host()).into_boxed_str());
        proxy.take_seen();
        // The first one is refused for want of a token, as it is.
        proxy.inject(
            Matching::new("GET", "/manifests/").nth(2),
            Fault::Answer(status, vec![("Location", location)]),
        );
        let _ = project.run(&["pull", "--retries", "0"]);
        assert!(proxy.seen()[1].header("authorization").is_some());
    }
    let seen = elsewhere.seen();
    assert_eq!(seen.len(), 5);
    assert!(seen.iter().all(|seen| seen.header("authorization").is_none()), "{seen:?}");
}

#[test]
fn skopeo_and_the_program_read_the_same_logins() {
    let Some(registry) = Registry::get_with_password() else { return };
    let Some(skopeo) = tools::require(&tools::SKOPEO) else { return };
    let (host, project) = (registry.host(), small_project(registry.host()));
    let _ = project.login(host, USER, PASSWORD).success();
    let _ = project.run(&["push"]).success();
    let inspect = || {
        let command = modelops_bundle_tests::BundleCommand::of_program(&skopeo, project.home());
        let command = command.args(["inspect", "--raw", "--tls-verify=false"]);
        command.arg(format!("docker://{host}/team/model:latest")).run()
    };
    let _ = inspect().success();
    assert_eq!(Request::new("GET", "/v2/").send(host).unwrap().status, 401);
}

/// The file of credentials in a user's folder.
fn docker_file(home: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(home.join(".docker/config.json")).unwrap()).unwrap()
}

#[test]
fn logins_at_the_same_time_are_all_kept() {
    let Some(registry) = Registry::get_with_password() else { return };
    let project = TestProject::new();
    let hosts: Vec<Proxy> = (0..8).map(|_| Proxy::start(registry.host())).collect();
    // What a program left that was killed locks nobody out.
    put(&project, ".docker/config.json.lock", "");
    put(&project, ".docker/config.json", r#"{"psFormat":"x","auths":{"other.example":{"auth":"YTpi"}}}"#);
    let together = |arguments: &dyn Fn(&str) -> Vec<String>| {
        let runs: Vec<_> = hosts
            .iter()
            .map(|proxy| project.command(arguments(proxy.host())).input(PASSWORD).spawn())
            .collect();
        for run in runs {
            let _ = run.wait().success();
        }
        docker_file(project.home())
    };
    let kept = together(&|host| ["login", host, "-u", USER, "--password-stdin"].map(str::to_owned).into());
    assert_eq!(kept["auths"].as_object().unwrap().len(), 9, "{kept}");
    let kept = together(&|host| ["logout", host].map(str::to_owned).into());
    assert_eq!(kept, json!({"psFormat": "x", "auths": {"other.example": {"auth": "YTpi"}}}));
    let left = fs::read_dir(project.home().join(".docker")).unwrap().count();
    assert_eq!(left, 1, "nothing stays beside the file");
}

#[test]
fn what_anybody_may_read_is_read_where_credentials_cannot_be_found_out() {
    for generation in Generation::ALL {
        let tokens = TokenServer::start();
        let Some(registry) = RegistrySetup::new(generation).with_tokens(&tokens).start() else { return };
        let host = registry.host();
        let writer = TestProject::on_registry(host, "public/model");
        writer.write("a", "1");
        let _ = writer.run(&["add", "a"]).success();
        let _ = writer.login(host, USER, PASSWORD).success();
        let _ = writer.run(&["push"]).success();
        let reference = format!("{host}/public/model");
        for (file, text, part) in [
            ("config.json", r#"{"credsStore":"absent"}"#, "docker-credential-absent"),
            (
                "config.json",
                r#"{"credHelpers":{"127.0.0.1":"x"},"credsStore":"absent"}"#,
                "docker-credential-absent",
            ),
            ("config.json", "{", "line 1 is no JSON"),
            ("config.json/x", "", "config.json"),
        ] {
            let reader = TestProject::new();
            put(&reader, &format!(".docker/{file}"), text);
            let pulled = reader.run(&["pull", &reference]).success();
            assert_eq!(pulled.stderr().matches("cannot be found out").count(), 1, "{pulled}");
            assert!(pulled.stderr().contains(part) && pulled.stderr().contains("config.json"), "{pulled}");
            let _ = reader.run(&["verify", "latest"]).success();
            let pulled = reader.run(&["pull", "--json"]).success();
            let _ = pulled.json();
            // What is private is refused, and both is said: that, and why nobody in particular asked.
            let private = reader.run(&["pull", &format!("{host}/team/model")]).code(5);
            let said = private.stderr();
            assert!(
                said.contains("error: ") && said.contains("wants a login") && said.contains(part),
                "{private}"
            );
            // Nothing is written for want of a name.
            reader.write("a", "mine");
            tokens.take_seen();
            let refused = reader.run(&["push"]).code(5);
            assert!(refused.stderr().contains(part), "{refused}");
            let pushes = |request: &modelops_bundle_tests::TokenRequest| {
                request.scopes.iter().any(|s| s.contains("push"))
            };
            assert!(!tokens.take_seen().iter().any(pushes), "no token to write with is asked for");
        }
    }
}

#[test]
fn a_hint_says_where_refused_credentials_come_from() {
    let Some(registry) = Registry::get_with_password() else { return };
    let (host, wrong) = (registry.host(), "d3ad-beef");
    let auth = "cmVzZWFyY2hlcjpkM2FkLWJlZWY=";
    let entries = |key: &str| json!({"auths": {key: {"auth": auth}}}).to_string();
    let ours = [("MODELOPS_BUNDLE_USERNAME", USER), ("MODELOPS_BUNDLE_PASSWORD", wrong)];
    let python = [("REGISTRY_USERNAME", USER), ("REGISTRY_PASSWORD", wrong)];
    let docker = entries(host);
    for (variables, part) in [
        (ours.to_vec(), "MODELOPS_BUNDLE_USERNAME and MODELOPS_BUNDLE_PASSWORD"),
        (python.to_vec(), "REGISTRY_USERNAME and REGISTRY_PASSWORD"),
        (vec![("DOCKER_AUTH_CONFIG", docker.as_str())], "the environment variable DOCKER_AUTH_CONFIG"),
    ] {
        let project = small_project(host);
        let mut command = project.command(["push"]);
        for (name, value) in variables {
            command = command.env(name, value);
        }
        let refused = command.run().code(5);
        let said = refused.stderr();
        assert!(said.contains(part) && said.contains("unset"), "{refused}");
        assert!(!said.contains(wrong) && !said.contains(auth), "{refused}");
    }
    for (key, part) in [(host.to_owned(), "log in anew"), (format!("{host}/team"), "mend that entry")] {
        let project = small_project(host);
        put(&project, ".docker/config.json", &entries(&key));
        let refused = project.run(&["push"]).code(5);
        assert!(refused.stderr().contains("config.json") && refused.stderr().contains(part), "{refused}");
    }
    let project = small_project(host);
    put(&project, ".docker/config.json", r#"{"credsStore":"w"}"#);
    let script = format!("#!/bin/sh\necho '{{\"Username\":\"{USER}\",\"Secret\":\"{wrong}\"}}'\n");
    let path = put_helper(&project, "w", &script);
    let refused = project.command(["push"]).env("PATH", path).run().code(5);
    assert!(refused.stderr().contains("credential helper `docker-credential-w`"), "{refused}");
    // Right ones in the same places are taken.
    for (variables, key) in
        [(["REGISTRY_USERNAME", "REGISTRY_PASSWORD"].to_vec(), ""), (vec![], "DOCKER_AUTH_CONFIG")]
    {
        let project = small_project(host);
        let mut command = project.command(["push"]);
        for (name, value) in variables.into_iter().zip([USER, PASSWORD]) {
            command = command.env(name, value);
        }
        if !key.is_empty() {
            command = command.env(key, entry(&format!("https://{host}")));
        }
        let _ = command.run().success();
    }
}

#[test]
fn credentials_for_no_registry_in_particular_are_named_before_they_go_to_one_of_the_projects_choice() {
    let Some(registry) = Registry::get_with_password() else { return };
    let (host, project) = (registry.host(), small_project(registry.host()));
    let run = |arguments: &[&str], variables: &[(&str, &str)]| {
        let command = project.command(arguments).env("MODELOPS_BUNDLE_USERNAME", USER);
        let command = command.env("MODELOPS_BUNDLE_PASSWORD", PASSWORD);
        variables.iter().fold(command, |command, (name, value)| command.env(name, value)).run()
    };
    let warns = |output: &CommandOutput| output.stderr().matches("MODELOPS_BUNDLE_REGISTRY=HOST").count();
    let pushed = run(&["push"], &[]).success();
    assert_eq!(warns(&pushed), 1, "once: {pushed}");
    assert!(pushed.stderr().contains(host), "{pushed}");
    assert_eq!(warns(&run(&["push", "-q"], &[]).success()), 0);
    assert_eq!(warns(&run(&["push"], &[("MODELOPS_BUNDLE_REGISTRY", host)]).success()), 0);
    assert_eq!(warns(&run(&["pull", &format!("{host}/team/model:latest")], &[]).success()), 0);
    if let Some(open) = Registry::get() {
        let elsewhere = small_project(open.host());
        let command = elsewhere.command(["push"]).env("MODELOPS_BUNDLE_USERNAME", USER);
        let pushed = command.env("MODELOPS_BUNDLE_PASSWORD", PASSWORD).run().success();
        assert_eq!(warns(&pushed), 0, "nothing was told: {pushed}");
    }
}

#[test]
fn a_login_that_cannot_be_kept_is_no_refusal() {
    let Some(registry) = Registry::get_with_password() else { return };
    let project = small_project(registry.host());
    let file = put(&project, "file", "");
    for folder in [Path::new("/proc/self"), &file.join("below")] {
        let arguments = ["login", registry.host(), "-u", USER, "--password-stdin", "--json"];
        let command = project.command(arguments).env("DOCKER_CONFIG", folder).input(PASSWORD);
        let failed = command.run().code(1);
        assert_eq!(failed.json()["error"]["kind"], "failure", "{failed}");
    }
}

#[test]
fn a_login_to_something_else_than_a_registry_says_so() {
    let Some(registry) = Registry::get() else { return };
    let proxy = Proxy::start(registry.host());
    let project = small_project(registry.host());
    for fault in [Fault::Answer(404, vec![]), Fault::Answer(405, vec![]), Fault::Page] {
        proxy.inject(Matching::new("GET", "/v2/"), fault);
        let refused = project.login(proxy.host(), USER, PASSWORD).code(7);
        let said = refused.stderr();
        assert!(
            said.contains("does not answer like a registry") && !said.contains("push it again"),
            "{refused}"
        );
    }
    assert!(!project.home().join(".docker").exists(), "nothing was stored");
    // Busy is not the same as being something else.
    proxy.inject(Matching::new("GET", "/v2/").always(), Fault::Answer(429, vec![("Retry-After", "0")]));
    let arguments = ["login", proxy.host(), "-u", USER, "--password-stdin", "--retries", "0"];
    let busy = project.command(arguments).input(PASSWORD).run().code(7);
    assert!(!busy.stderr().contains("like a registry"), "{busy}");
}

#[test]
fn a_hint_fits_what_is_wrong_with_a_reference() {
    let project = TestProject::new();
    for (reference, exit, part) in [
        ("r.invalid/a/", 2, "leave out the `/`"),
        ("r.invalid//a", 2, "leave out the `/`"),
        ("r.invalid/A", 2, "lower case"),
        ("lab/seir", 7, "docker.io/lab/NAME"),
    ] {
        let refused = project.run(&["inspect", reference, "--retries", "0"]).code(exit);
        assert!(refused.stderr().contains(part), "{refused}");
    }
}

/// A registry of Azure as its clients see it: its host is reached through a proxy, its tokens come from its own `/oauth2/token`,
/// for an identity token alone.
fn azure_registry() -> ScriptedRegistry {
    ScriptedRegistry::start(|asked, _| {
        if asked.path.ends_with("/oauth2/token") {
            let form = String::from_utf8_lossy(&asked.body);
            let is_known = asked.method == "POST"
                && ["grant_type=refresh_token", "refresh_token=from-az", "service=models.azurecr.io"]
                    .iter()
                    .all(|part| form.contains(part));
            let granted = Answer::new(200).body(r#"{"access_token":"granted"}"#);
            return Some(if is_known { granted } else { Answer::new(401) });
        }
        let challenge =
            "Bearer realm=\"http://models.azurecr.io/oauth2/token\",service=\"models.azurecr.io\"";
        let is_granted = asked.header("authorization") == Some("Bearer granted");
        (!is_granted).then(|| Answer::new(401).header("WWW-Authenticate", challenge))
    })
}

#[cfg(unix)]
#[test]
fn azures_own_command_line_is_asked_for_the_login_of_its_registries() {
    use std::os::unix::fs::PermissionsExt as _;

    let registry = azure_registry();
    let proxy = Proxy::start(registry.host());
    let project = TestProject::on_registry("models.azurecr.io", "team/model");
    project.write("a", "1");
    let _ = project.run(&["add", "a"]).success();
    let programs = project.home().join("bin");
    fs::create_dir_all(&programs).unwrap();
    let az = |script: &str| {
        fs::write(programs.join("az"), format!("#!/bin/sh\necho \"$@\" >>\"$HOME/asked\"\n{script}\n"))
            .unwrap();
        fs::set_permissions(programs.join("az"), fs::Permissions::from_mode(0o755)).unwrap();
    };
    let run = |arguments: &[&str]| {
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
        let url = format!("http://{}", proxy.host());
        let command = project.command(arguments).args(["--plain-http", "--retries", "0"]);
        command.env("PATH", path).env("http_proxy", url).run()
    };
    let answer = r#"{"accessToken":"from-az","loginServer":"models.azurecr.io"}"#;
    az(&format!("echo '{answer}'"));
    let _ = run(&["push"]).success();
    let asked = fs::read_to_string(project.home().join("asked")).unwrap();
    assert!(asked.starts_with("acr login --name models --expose-token "), "{asked}");
    assert_eq!(asked.lines().count(), 1, "one login for all requests: {asked}");

    // What is said of it is what to do, and never what it printed.
    for (script, part) in [
        ("echo c4nary; echo 'Please run az login' >&2; exit 1", "ended with exit status: 1"),
        ("echo c4nary", "answered with something else than a token"),
        (
            r#"echo '{"accessToken":"c4nary","loginServer":"other.azurecr.io"}'"#,
            "answered for another registry",
        ),
    ] {
        az(script);
        project.write("a", part);
        let refused = run(&["push"]).code(5);
        let words = refused.stderr();
        assert!(
            words.contains("`az acr login --name models --expose-token`") && words.contains(part),
            "{refused}"
        );
        assert!(words.contains("run `az login`") && !words.contains("c4nary"), "{refused}");
    }
    az(&format!("echo '{}'", answer.replace("from-az", "old")));
    let refused = run(&["push"]).code(5);
    assert!(refused.stderr().contains("they come from `az acr login --name models`"), "{refused}");

    // Whoever has logged in otherwise needs no `az`, and it is not run.
    fs::remove_file(project.home().join("asked")).unwrap();
    let docker = project.home().join(".docker");
    fs::create_dir_all(&docker).unwrap();
    let kept = r#"{"auths":{"models.azurecr.io":{"auth":"MDA6","identitytoken":"from-az"}}}"#;
    fs::write(docker.join("config.json"), kept).unwrap();
    let _ = run(&["push"]).success();
    assert!(!project.home().join("asked").exists());
    fs::remove_file(docker.join("config.json")).unwrap();
    fs::remove_file(programs.join("az")).unwrap();
    let refused = run(&["status"]).success();
    assert!(refused.stdout().contains("auth failed"), "{refused}");
}
