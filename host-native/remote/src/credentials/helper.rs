//! A program that keeps credentials for others, by Docker's protocol.
//!
//! <https://github.com/docker/docker-credential-helpers#development>: the program `docker-credential-NAME` is given a verb,
//! reads its standard input and answers on its standard output.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::config::ConfigPlace;
use super::program::{self, Ended, RunFault};
use super::server::Server;
use super::{Credentials, CredentialsError};
use crate::text::harmless;

/// What a helper says where it has nothing for a server; a text that is part of the protocol.
const NOT_FOUND: &str = "credentials not found";

/// The user that a helper names where the secret is an identity token.
const TOKEN_USER: &str = "<token>";

/// A helper.
#[derive(Clone, Debug)]
pub struct Helper {
    program: String,
    /// What names it.
    named_by: ConfigPlace,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

impl Helper {
    /// The helper that `named_by` calls `name`.
    pub fn new(name: &str, named_by: ConfigPlace) -> Self {
        Self { program: format!("docker-credential-{name}"), named_by }
    }

    /// Its program's name.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// What it keeps for a server, in whatever spelling.
    ///
    /// # Errors
    ///
    /// Any of the variants of [`CredentialsError`] that are about a helper.
    pub async fn find(&self, server: &Server) -> Result<Option<Credentials>, CredentialsError> {
        if let Some(found) = self.get(server.key()).await? {
            return Ok(Some(found));
        }
        // A helper that cannot list what it has is as good as others.
        let Ok(listed) = self.list().await else { return Ok(None) };
        match listed.keys().find(|key| server.is_named_by(key) && *key != server.key()) {
            Some(key) => self.get(key).await,
            None => Ok(None),
        }
    }

    async fn get(&self, key: &str) -> Result<Option<Credentials>, CredentialsError> {
        let ended = self.run("get", key.as_bytes()).await?;
        if !ended.status.success() {
            let is_absent = [&ended.stdout, &ended.stderr]
                .into_iter()
                .any(|said| String::from_utf8_lossy(said).contains(NOT_FOUND));
            return if is_absent { Ok(None) } else { Err(self.failed("get", &ended, None)) };
        }
        let answer: Answer = serde_json::from_slice(&ended.stdout).map_err(|_| self.nonsense())?;
        let (user, secret) = (answer.username, answer.secret);
        Ok(match () {
            () if secret.is_empty() => None,
            () if user == TOKEN_USER => {
                Some(Credentials::IdentityToken { user: String::new(), token: secret })
            }
            () => Some(Credentials::Password { user, password: secret }),
        })
    }

    /// The users whose credentials it keeps, by server.
    async fn list(&self) -> Result<BTreeMap<String, String>, CredentialsError> {
        let ended = self.run("list", b"").await?;
        if !ended.status.success() {
            return Err(self.failed("list", &ended, None));
        }
        serde_json::from_slice(&ended.stdout).map_err(|_| self.nonsense())
    }

    /// Has it keep credentials.
    ///
    /// # Errors
    ///
    /// Any of the variants of [`CredentialsError`] that are about a helper.
    pub async fn store(&self, server: &Server, credentials: &Credentials) -> Result<(), CredentialsError> {
        let user = match credentials {
            Credentials::Password { user, .. } => user,
            Credentials::IdentityToken { .. } => TOKEN_USER,
        };
        let secret = credentials.secret();
        let input = json!({"ServerURL": server.key(), "Username": user, "Secret": secret}).to_string();
        let ended = self.run("store", input.as_bytes()).await?;
        if ended.status.success() { Ok(()) } else { Err(self.failed("store", &ended, Some(secret))) }
    }

    /// Has it forget what it keeps for a server, in every spelling; whether there was anything.
    ///
    /// # Errors
    ///
    /// Any of the variants of [`CredentialsError`] that are about a helper.
    pub async fn erase(&self, server: &Server) -> Result<bool, CredentialsError> {
        let listed = self.list().await.unwrap_or_default();
        let mut keys: Vec<&str> =
            listed.keys().map(String::as_str).filter(|key| server.is_named_by(key)).collect();
        if keys.is_empty() && self.get(server.key()).await?.is_some() {
            keys.push(server.key());
        }
        for key in &keys {
            let ended = self.run("erase", key.as_bytes()).await?;
            if !ended.status.success() {
                return Err(self.failed("erase", &ended, None));
            }
        }
        Ok(!keys.is_empty())
    }

    async fn run(&self, verb: &'static str, input: &[u8]) -> Result<Ended, CredentialsError> {
        let missing = |source| CredentialsError::HelperMissing {
            program: self.program.clone(),
            named_by: self.named_by.clone(),
            source,
        };
        tracing::debug!(program = self.program, verb, "credential helper");
        program::run(&self.program, &[verb], input).await.map_err(|fault| match fault {
            RunFault::Missing(source) => missing(source),
            RunFault::Silent { seconds } => {
                CredentialsError::HelperSilent { program: self.program.clone(), seconds }
            }
        })
    }

    /// A failure. The helper's own words are only for those who ask for them, and without `secret`.
    fn failed(&self, verb: &'static str, ended: &Ended, secret: Option<&str>) -> CredentialsError {
        let (stdout, stderr) =
            (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        // The protocol has errors on standard output; what looks like an answer there is none.
        let said = if stderr.trim().is_empty() && !stdout.contains('{') { stdout } else { stderr };
        let said = match secret.filter(|secret| !secret.is_empty()) {
            Some(secret) => said.replace(secret, "..."),
            None => said.into_owned(),
        };
        tracing::debug!(program = self.program, verb, words = harmless(&said), "a credential helper failed");
        CredentialsError::Helper { program: self.program.clone(), verb, status: ended.status }
    }

    fn nonsense(&self) -> CredentialsError {
        CredentialsError::HelperAnswer { program: self.program.clone() }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use tempfile::TempDir;

    use super::*;

    /// A helper that is a script of the shell.
    fn helper(script: &str) -> (TempDir, Helper) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("helper");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let program = path.to_str().unwrap().to_owned();
        (folder, Helper { program, named_by: ConfigPlace::File("config.json".into()) })
    }

    // The clock of the test goes ahead by itself when there is nothing to do but wait.
    #[tokio::test(start_paused = true)]
    async fn a_helper_that_hangs_is_given_up_on() {
        let (_folder, helper) = helper("exec sleep 1000");
        let error = helper.find(&Server::new("r.example", "")).await.unwrap_err();
        assert!(matches!(error, CredentialsError::HelperSilent { seconds: 60, .. }), "{error}");
    }

    #[tokio::test]
    async fn answers_are_understood_or_refused() {
        let found = async |script: &str| {
            let (_folder, helper) = helper(script);
            helper.find(&Server::new("r.example", "a")).await
        };
        let answer = |user: &str| format!(r#"echo '{{"ServerURL":"x","Username":"{user}","Secret":"S"}}'"#);
        let password = Credentials::Password { user: "me".to_owned(), password: "S".to_owned() };
        assert_eq!(found(&answer("me")).await.unwrap(), Some(password));
        let token = Credentials::IdentityToken { user: String::new(), token: "S".to_owned() };
        assert_eq!(found(&answer("<token>")).await.unwrap(), Some(token));
        assert_eq!(found("echo credentials not found in native keychain; exit 1").await.unwrap(), None);
        for junk in ["echo junk", "echo '[]'", "true", r#"echo '{"Username":1,"Secret":"S"}'"#] {
            let error = found(junk).await.unwrap_err();
            assert!(matches!(error, CredentialsError::HelperAnswer { .. }), "{error}");
        }
        let error = found("head -c 3000000 /dev/zero; echo no >&2; exit 1").await.unwrap_err();
        assert!(error.to_string().ends_with("failed to get: it ended with exit status: 1"), "{error}");
    }

    #[tokio::test]
    async fn a_helper_ends_with_itself_and_not_with_what_it_leaves_behind() {
        let (_folder, helper) = helper(r#"sleep 30 & echo '{"ServerURL":"x","Username":"me","Secret":"S"}'"#);
        let server = Server::new("r.example", "");
        let finding = helper.find(&server);
        let found = tokio::time::timeout(Duration::from_secs(20), finding).await;
        assert_eq!(found.unwrap().unwrap().unwrap().user(), "me");
    }
}
