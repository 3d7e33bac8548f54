//! Private registries: every way to prove who asks, on real registries of two generations.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use modelops_bundle_tests::{
    Authority, Fault, Generation, IDENTITY_TOKEN, Lasts, Matching, PASSWORD, ProtectedRegistry, Protection,
    Proxy, READER, READER_PASSWORD, RegistrySetup, TestProject, TokenRequest, TokenServer, USER, changes_in,
    noise,
};
use serde_json::json;

/// A project with two files that are to be pushed to `repository`.
fn project_with_files(place: &ProtectedRegistry, repository: &str) -> TestProject {
    let project = TestProject::on_registry(place.host(), repository);
    project.write("a", "1").write("d/b", noise(7, 200_000));
    let _ = project.run(&["add", "a", "d"]).success();
    project
}

/// A registry that takes tokens.
fn with_tokens(generation: Generation) -> Option<ProtectedRegistry> {
    ProtectedRegistry::start(generation, Protection::Token)
}

/// Who gives the tokens of a registry that takes some.
fn tokens(place: &ProtectedRegistry) -> &TokenServer {
    place.tokens().unwrap()
}

/// A registry with tokens behind a proxy, and a project on it with so many files of so many bytes, which is logged in; and
/// nothing seen yet. Nothing at all where there is no registry.
fn logged_in(
    generation: Generation,
    files: u64,
    bytes: usize,
) -> Option<(ProtectedRegistry, Proxy, TestProject)> {
    let place = with_tokens(generation)?;
    let proxy = place.proxy();
    let project = TestProject::on_registry(proxy.host(), "team/model");
    for number in 0..files {
        project.write(&format!("f{number}"), noise(number, bytes));
    }
    let _ = project.run(&["add", "f*"]).success();
    let _ = project.login(proxy.host(), USER, PASSWORD).success();
    tokens(&place).take_seen();
    proxy.take_seen();
    Some((place, proxy, project))
}

/// Lets requests arrive this much later.
fn late(milliseconds: u64) -> Fault {
    Fault::Delay(Duration::from_millis(milliseconds))
}

/// The methods of the requests that were refused for want of a good token.
fn refused(proxy: &Proxy) -> Vec<String> {
    proxy.seen().into_iter().filter(|seen| seen.status == Some(401)).map(|seen| seen.method).collect()
}

/// The whole table: what a user does, on every kind of registry of both generations.
#[test]
fn a_private_registry_from_a_clean_machine() {
    let mut table = String::new();
    for generation in Generation::ALL {
        for protection in Protection::ALL {
            let Some(place) = ProtectedRegistry::start(generation, protection) else { return };
            for case in walk(&place) {
                writeln!(table, "{generation:?} {protection:?}: {case}").unwrap();
            }
        }
    }
    println!("{table}");
    assert_eq!(table.lines().count(), 2 * (8 + 3 * 12));
}

/// Goes through the cases with one registry and returns their names.
fn walk(place: &ProtectedRegistry) -> Vec<&'static str> {
    let mut done = Vec::new();
    let (host, is_private) = (place.host(), place.protection.is_private());
    let project = project_with_files(place, "team/model");
    let login = |project: &TestProject, password: &str| {
        let arguments = ["login", host, "-u", USER, "--password-stdin", "--json"];
        place.command(project, &arguments).input(password).run()
    };
    let config = project.home().join(".docker/config.json");
    if is_private {
        let refused = place.run(&project, &["push"]).code(5);
        assert!(refused.stderr().contains(&format!("modelops-bundle login {host}")), "{refused}");
        done.push("no password");
        let status = place.run(&project, &["status", "--json"]).success().json();
        assert_eq!(status["remote"]["state"], "auth_failed");
        let hint = status["remote"]["hint"].as_str().unwrap();
        assert!(hint.contains(&format!("modelops-bundle login {host}")), "{hint}");
        done.push("status without a password");
        let refused = login(&project, "wrong").code(5);
        assert_eq!(refused.json()["error"]["kind"], "authentication");
        assert!(!config.exists());
        done.push("wrong password, nothing stored");
        let report = login(&project, PASSWORD).success().json();
        assert_eq!((&report["host"], &report["user"]), (&json!(host), &json!(USER)));
        assert_eq!((&report["checked"], &report["stored"]["kind"]), (&json!(true), &json!("file")));
        assert_eq!(report["stored"]["path"], config.to_str().unwrap());
        assert_private(&config);
        done.push("login");
    }
    let first =
        place.run(&project, &["push", "--tag", "latest", "--tag", "v1.0.0", "--json"]).success().json();
    assert_eq!(first["uploaded"]["files"], 2);
    done.push("push");
    let again = place.run(&project, &["push", "--json"]).success().json();
    assert_eq!(again["changed"], false);
    // With what the login costs.
    assert!(again["requests"].as_u64().unwrap() <= if is_private { 5 } else { 3 }, "{again}");
    done.push("push with nothing to do");
    let status = place.run(&project, &["status", "--json"]).success().json();
    assert_eq!((&status["remote"]["state"], changes_in(&status)), (&json!("available"), Vec::new()));
    done.push("status");
    let tags = place.run(&project, &["manifest", "--json"]).success().json();
    assert_eq!(tags["manifests"][0]["tags"].as_array().unwrap().len(), 2);
    done.push("tags");
    let reference = format!("{host}/team/model:v1.0.0");
    let worker = TestProject::new();
    let pull = place.command(&worker, &["pull", &reference]);
    let pull = pull.env("MODELOPS_BUNDLE_USERNAME", USER).env("MODELOPS_BUNDLE_PASSWORD", PASSWORD);
    let _ = pull.run().success();
    worker
        .tree()
        .filtered(|path| path != ".gitignore")
        .assert_same(&project.tree().filtered(|path| path != ".gitignore"));
    done.push("pull on a worker, by the environment");
    let _ = place.run(&project, &["verify", "latest"]).success();
    done.push("verify");
    project.write("a", "2");
    let changed = place.run(&project, &["push", "--json"]).success().json();
    assert_eq!(changed["uploaded"]["files"], 1);
    done.push("push of a change");
    let logout = place.run(&project, &["logout", host, "--json"]).success().json();
    assert_eq!(logout["removed"].as_array().unwrap().len(), usize::from(is_private));
    let exit = if is_private { 5 } else { 0 };
    let _ = place.run(&project, &["pull"]).code(exit);
    done.push("logout");
    if let Some(tokens) = place.tokens() {
        assert!(tokens.take_seen().iter().all(|request| request.way == "GET"));
    }
    done
}

fn assert_private(file: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(file), mode(file.parent().unwrap())), (0o600, 0o700));
    }
    assert!(file.is_file());
}

/// The scopes that were asked for, in their order, each as `USER SCOPE…`.
fn asked(tokens: &TokenServer) -> Vec<String> {
    let line =
        |request: &TokenRequest| format!("{} {} {}", request.way, request.user, request.scopes.join(" "));
    tokens.take_seen().iter().map(line).collect()
}

#[test]
fn a_token_is_fetched_once_for_each_scope() {
    for generation in Generation::ALL {
        let Some((place, proxy, project)) = logged_in(generation, 40, 10_000) else { return };
        let _ = project.run(&["push"]).success();
        assert_eq!(asked(tokens(&place)), [format!("GET {USER} repository:team/model:pull,push")]);
        assert_eq!(refused(&proxy), ["GET"], "once told what is wanted, it is not asked again");
    }
}

#[test]
fn a_token_is_renewed_ahead_of_its_end() {
    let Some((place, proxy, project)) = logged_in(Generation::Second, 6, 10_000) else { return };
    // A token counts whole seconds, and its request is on the way for a while.
    tokens(&place).set_life(Duration::from_secs(5), Duration::from_secs(3));
    proxy.inject(Matching::new("POST", "/blobs/").always(), late(500));
    let _ = project.run(&["push", "--concurrency", "1"]).success();
    assert_eq!(refused(&proxy).len(), 1);
    let pushes = asked(tokens(&place)).iter().filter(|line| line.ends_with("pull,push")).count();
    assert!(pushes >= 2, "{pushes}");
}

#[test]
fn a_token_that_ends_before_its_time_is_replaced_in_the_middle_of_a_push() {
    for generation in Generation::ALL {
        let Some((place, proxy, project)) = logged_in(generation, 5, 300_000) else { return };
        // It is said to last, and the registry no longer takes it when a file arrives.
        tokens(&place).set_life(Duration::from_secs(3), Duration::from_secs(300));
        for nth in [2, 4] {
            proxy.inject(Matching::new("PUT", "/blobs/").nth(nth), late(3500));
        }
        let report = project.run(&["push", "--concurrency", "1", "--json"]).success().json();
        assert_eq!(report["uploaded"]["bytes"], 5 * 300_000, "no byte is counted twice");
        let puts = refused(&proxy).iter().filter(|method| *method == "PUT").count();
        assert!(puts >= 2, "{puts}");
        assert_pulled(&place, &proxy, &project);
    }
}

#[test]
fn a_growing_pack_survives_the_end_of_its_token() {
    let Some((place, proxy, project)) = logged_in(Generation::Second, 1, 6_000_000) else { return };
    let _ = project.run(&["init", "--layout", "packed"]).success();
    tokens(&place).set_life(Duration::from_secs(3), Duration::from_secs(300));
    for method in ["PATCH", "PUT"] {
        proxy.inject(Matching::new(method, "/blobs/"), late(3500));
    }
    let report = project.run(&["push", "--json"]).success().json();
    let bytes = report["uploaded"]["bytes"].as_u64().unwrap();
    assert!((6_000_000..6_100_000).contains(&bytes), "no byte is counted twice: {bytes}");
    assert!(refused(&proxy).len() >= 3, "{:?}", refused(&proxy));
    assert_pulled(&place, &proxy, &project);
}

/// Whether what a project pushed comes back as it was, with tokens that last.
#[track_caller]
fn assert_pulled(place: &ProtectedRegistry, proxy: &Proxy, project: &TestProject) {
    tokens(place).set_life(Duration::from_secs(300), Duration::from_secs(300));
    let other = TestProject::new();
    let _ = other.login(proxy.host(), USER, PASSWORD).success();
    let _ = other.run(&["pull", &format!("{}/team/model", proxy.host())]).success();
    let files = |project: &TestProject| project.tree().filtered(|path| path != ".gitignore");
    files(&other).assert_same(&files(project));
}

#[test]
fn tokens_come_by_oauth2_where_that_is_wanted() {
    for generation in Generation::ALL {
        let Some(place) = with_tokens(generation) else { return };
        let (host, tokens) = (place.host(), tokens(&place));
        let project = project_with_files(&place, "team/model");

        // An identity token is kept in place of the password, and used by POST.
        tokens.give_identity_tokens();
        let _ = project.login(host, USER, PASSWORD).success();
        let config = std::fs::read_to_string(project.home().join(".docker/config.json")).unwrap();
        assert!(config.contains(IDENTITY_TOKEN) && !config.contains(PASSWORD));
        tokens.take_seen();
        let _ = project.run(&["push"]).success();
        assert_eq!(asked(tokens), ["refresh_token researcher repository:team/model:pull,push"]);

        // A server that knows no GET is told the password by POST.
        tokens.refuse_get();
        let other = TestProject::new();
        let pull = other.command(["pull", &format!("{host}/team/model")]);
        let pull = pull.env("MODELOPS_BUNDLE_USERNAME", USER).env("MODELOPS_BUNDLE_PASSWORD", PASSWORD);
        let _ = pull.run().success();
        let scope = "repository:team/model:pull";
        assert_eq!(
            asked(tokens),
            [format!("GET researcher {scope}"), format!("password researcher {scope}")]
        );

        let wrong = other.command(["pull"]);
        let wrong = wrong.env("MODELOPS_BUNDLE_USERNAME", USER).env("MODELOPS_BUNDLE_PASSWORD", "wrong");
        assert!(wrong.run().code(5).stderr().contains("does not take the password"));
    }
}

#[test]
fn rights_that_are_lacking_are_named() {
    for generation in Generation::ALL {
        let Some(place) = with_tokens(generation) else { return };
        let host = place.host();
        let writer = project_with_files(&place, "public/model");
        let _ = writer.login(host, USER, PASSWORD).success();
        let _ = writer.run(&["push"]).success();

        // Who says nothing may pull what is public.
        let reference = format!("{host}/public/model");
        let reader = TestProject::new();
        let _ = reader.run(&["pull", &reference]).success();
        reader.write("a", "mine");
        let anonymous = reader.run(&["push"]).code(5);
        assert!(anonymous.stderr().contains("modelops-bundle login"), "{anonymous}");
        let _ = reader.login(host, READER, READER_PASSWORD).success();
        let denied = reader.run(&["push"]).code(5);
        assert!(denied.stderr().contains("denies the right to push to `public/model`"), "{denied}");
        let _ = reader.run(&["pull", "--overwrite"]).success();
    }
}

#[test]
fn a_registry_may_want_a_certificate() {
    for generation in Generation::ALL {
        let (authority, stranger) = (Authority::new(), Authority::new());
        let setup = RegistrySetup::new(generation).with_tls(&authority.certify(&["127.0.0.1", "localhost"]));
        let Some(registry) = setup.with_clients_of(&authority).start() else { return };
        let project = TestProject::on_registry(registry.host(), "team/model");
        project.write("a", "1");
        let _ = project.run(&["add", "a"]).success();
        let push = || project.command(["push"]).arg("--ca-file").arg(authority.certificate());
        let as_client = |of: &Authority| {
            let client = of.certify(&["worker"]);
            push().arg("--cert").arg(client.certificate()).arg("--key").arg(client.key()).run()
        };
        for refused in [push().run(), as_client(&stranger)] {
            let refused = refused.code(7);
            assert!(refused.stderr().contains("--cert"), "{refused}");
        }
        let _ = as_client(&authority).success();
        let half = authority.certify(&["half"]);
        let _ = push().arg("--cert").arg(half.certificate()).run().code(2);
    }
}

#[test]
fn a_certificate_is_checked() {
    for generation in Generation::ALL {
        let (authority, stranger) = (Authority::new(), Authority::new());
        let Some(registry) =
            RegistrySetup::new(generation).with_tls(&authority.certify(&["127.0.0.1"])).start()
        else {
            return;
        };
        let project = TestProject::on_registry(registry.host(), "team/model");
        project.write("a", "1");
        let _ = project.run(&["add", "a"]).success();

        let untrusted = project.command(["push"]).arg("--ca-file").arg(stranger.certificate()).run().code(7);
        let said = untrusted.stderr();
        assert!(said.contains("--ca-file") && said.contains("certificate"), "{untrusted}");
        let plain = project.run(&["push"]).code(7);
        assert!(plain.stderr().contains("speaks TLS") && plain.stderr().contains("--ca-file"), "{plain}");
        // The certificate is for another name of this machine.
        let (_, port) = registry.host().rsplit_once(':').unwrap();
        let by_name = format!("localhost:{port}/team/model");
        let named = project.command(["pull", &by_name]).arg("--ca-file").arg(authority.certificate());
        assert!(named.run().code(7).stderr().contains("certificate"));

        let insecure = project.run(&["push", "--insecure", "--quiet"]).success();
        assert!(insecure.stderr().contains("WARNING: --insecure"), "{insecure}");
        // Also where the system trusts nobody.
        let bare = project.command(["status", "--json"]).arg("--ca-file").arg(authority.certificate());
        let bare = bare.env("SSL_CERT_FILE", "/dev/null").env("SSL_CERT_DIR", "/nowhere").run().success();
        assert_eq!(bare.json()["remote"]["state"], "available");
        for file in ["a", "missing"] {
            let _ = project.run(&["status", "--ca-file", file]).code(2);
        }
    }
}

#[test]
fn a_certificate_that_is_trusted_itself_is_taken_in_its_dates_and_for_its_name() {
    for generation in Generation::ALL {
        let authority = Authority::new();
        let setup = |certified| RegistrySetup::new(generation).with_tls(certified);
        let good = authority.certify_itself(&["127.0.0.1"], Lasts::Still);
        let (named, expired) = (
            authority.certify_itself(&["other.example"], Lasts::Still),
            authority.certify_itself(&["127.0.0.1"], Lasts::NoMore),
        );
        let Some(registry) = setup(&good).start() else { return };
        let project = TestProject::on_registry(registry.host(), "team/model");
        project.write("a", "1");
        let _ = project.run(&["add", "a"]).success();
        let with =
            |file: &Path, arguments: &[&str]| project.command(arguments).arg("--ca-file").arg(file).run();
        let _ = with(good.certificate(), &["push"]).success();
        // Also where the system's list has it, and with the mark that some editors put in front.
        let system = project.command(["push", "--insecure", "-q"]).env("SSL_CERT_FILE", good.certificate());
        let _ = system.run().success();
        let marked = project.home().join("marked.pem");
        let content = std::fs::read_to_string(good.certificate()).unwrap();
        std::fs::write(&marked, format!("\u{feff}{content}")).unwrap();
        let _ = with(&marked, &["push"]).success();
        let refused = with(named.certificate(), &["push"]).code(7);
        assert!(refused.stderr().contains("meant for an authority"), "{refused}");
        let status = with(named.certificate(), &["status", "--json"]).success().json();
        assert_eq!(status["remote"]["state"], "unreachable");
        for (certified, part) in [(&named, "other.example"), (&expired, "has expired")] {
            let Some(registry) = setup(certified).start() else { return };
            let reference = format!("{}/team/model", registry.host());
            let refused = with(certified.certificate(), &["pull", &reference]).code(7);
            assert!(refused.stderr().contains(part) && !refused.stderr().contains("Error"), "{refused}");
        }
    }
}

#[test]
fn what_is_wrong_with_a_connection_is_said_in_words() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let setup = || RegistrySetup::new(Generation::Third);
    let Some(registry) = setup().with_tls(&authority.certify(&["127.0.0.1"])).start() else { return };
    let Some(plain) = setup().start() else { return };
    let (_, port) = registry.host().rsplit_once(':').unwrap();
    let by_name = format!("localhost:{port}");
    for (host, trusted, part) in [
        (registry.host(), &stranger, "signed by nobody who is trusted here"),
        (by_name.as_str(), &authority, "its certificate is for another name, 127.0.0.1"),
        (plain.host(), &authority, "it does not speak TLS"),
    ] {
        let project = TestProject::on_registry(host, "team/model");
        let status = project.command(["status", "--json"]).arg("--ca-file").arg(trusted.certificate());
        let remote = status.run().success().json()["remote"].clone();
        let message = remote["message"].as_str().unwrap();
        assert!(message.contains(part) && !message.contains("Error"), "{message}");
        assert_eq!(remote["state"], "unreachable");
        assert!(remote["hint"].is_string(), "{remote}");
    }
}

#[test]
fn a_challenge_without_quotation_marks_among_others_is_answered() {
    for form in [
        "Negotiate, Bearer realm=REALM,service=registry.test,scope=repository:team/model:pull,push",
        "Basic realm=\"x\", Bearer realm=\"REALM\",service=\"registry.test\"",
        "bearer Realm = REALM service=registry.test",
    ] {
        let Some((place, proxy, project)) = logged_in(Generation::Third, 1, 1000) else { return };
        let header = form.replace("REALM", &tokens(&place).realm());
        let header: &'static str = Box::leak(header.into_boxed_str());
        proxy.inject(Matching::new("", "/v2/").always(), Fault::AnswerHeader("WWW-Authenticate", header));
        let _ = project.run(&["push"]).success();
    }
}
