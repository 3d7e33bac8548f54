//! Azure's registries, whose login its command line `az` has.
//!
//! `az acr login --expose-token` answers with a token that the registry's own token server gives others for
//! (<https://learn.microsoft.com/azure/container-registry/container-registry-authentication>).

use serde::Deserialize;

use super::program::{self, RunFault};
use super::server::Server;
use super::{Credentials, CredentialsError};
use crate::text::harmless;

/// What the hosts of Azure's registries end with.
const DOMAIN: &str = ".azurecr.io";

/// The program, by the name that the system runs it by.
pub(super) const PROGRAM: &str = if cfg!(windows) { "az.cmd" } else { "az" };

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    access_token: String,
    login_server: Option<String>,
}

/// The name that Azure has for a registry of its own, and the credentials that `program` has; `None` for any other, and where there is no such program.
///
/// # Errors
///
/// [`CredentialsError::Azure`] where it has none.
pub(super) async fn find(
    program: &str,
    server: &Server,
) -> Result<Option<(String, Credentials)>, CredentialsError> {
    let Some(registry) = registry_of(server) else { return Ok(None) };
    let fault = |fault: String| CredentialsError::Azure { registry: registry.to_owned(), fault };
    let arguments =
        ["acr", "login", "--name", registry, "--expose-token", "--only-show-errors", "--output", "json"];
    tracing::debug!(program, registry, "asking for the login of Azure");
    let ended = match program::run(program, &arguments, b"").await {
        Ok(ended) => ended,
        Err(RunFault::Missing(source)) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(RunFault::Missing(source)) => return Err(fault(format!("cannot be run: {source}"))),
        Err(RunFault::Silent { seconds }) => return Err(fault(format!("did not answer within {seconds} s"))),
    };
    if !ended.status.success() {
        let words = String::from_utf8_lossy(&ended.stderr);
        tracing::debug!(program, words = harmless(&words), "no login of Azure");
        return Err(fault(format!("ended with {}", ended.status)));
    }
    match serde_json::from_slice(&ended.stdout) {
        Ok(Answer { login_server: Some(other), .. }) if !other.eq_ignore_ascii_case(server.host()) => {
            Err(fault("answered for another registry".to_owned()))
        }
        Ok(Answer { access_token, .. }) if !access_token.is_empty() => {
            let credentials = Credentials::IdentityToken { user: String::new(), token: access_token };
            Ok(Some((registry.to_owned(), credentials)))
        }
        _ => Err(fault("answered with something else than a token".to_owned())),
    }
}

/// What Azure calls a registry: the first part of its host.
fn registry_of(server: &Server) -> Option<&str> {
    let name = server.host().strip_suffix(DOMAIN)?;
    let is_name = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    is_name.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_registries_of_azure_are_asked_for() {
        let name = |host: &str| registry_of(&Server::new(host, "a")).map(str::to_owned);
        assert_eq!(name("Models.azurecr.io").as_deref(), Some("models"));
        assert_eq!(name("models-x1.azurecr.io").as_deref(), Some("models-x1"));
        for host in [
            "azurecr.io",
            ".azurecr.io",
            "models.azurecr.io:5000",
            "a.b.azurecr.io",
            "--x.azurecr.io",
            "ghcr.io",
        ] {
            assert_eq!(name(host), None, "{host}");
        }
    }
}
