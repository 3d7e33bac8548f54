//! `login`: has a registry's credentials checked, and kept for the commands to come.

use std::io::{self, Read as _, Write};

use bundle_core::reference::{Place, Reference};
use clap::Args;
use serde::Serialize;

use crate::cli::error::{CliError, Exit};
use crate::cli::session::Session;
use crate::cli::ui::{Report, shown};
use crate::credentials::server::Server;
use crate::credentials::{Credentials, Kept};
use crate::remote::registry::check_login;
use crate::remote::{CheckedLogin, Login, RemoteOptions};

/// The longest password that is read.
const MAX_PASSWORD_BYTES: u64 = 64 << 10;

/// Log in to a registry
///
/// The password is asked for, or read from standard input; it is never an argument. It is checked with the registry, and
/// kept where Docker keeps it: with the credential helper that is configured, or else in Docker's configuration file.
#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// The registry, as HOST or HOST:PORT
    #[arg(value_name = "HOST", value_parser = host)]
    host: String,
    /// The user's name
    #[arg(short, long, value_name = "USER", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    username: String,
    /// Read the password, or a token in its place, from standard input
    #[arg(long)]
    password_stdin: bool,
}

#[derive(Serialize)]
struct LoginReport {
    host: String,
    user: String,
    /// Whether the registry took the credentials; not where it does not ask for any.
    checked: bool,
    /// The other host that was told the credentials, where the registry names one.
    token_server: Option<String>,
    stored: Stored,
}

/// Where credentials are.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Stored {
    /// With a helper.
    Helper { program: String },
    /// In a file.
    File { path: String },
}

impl From<Kept> for Stored {
    fn from(kept: Kept) -> Self {
        match kept {
            Kept::Helper(program) => Self::Helper { program },
            Kept::File(path) => Self::File { path: path.display().to_string() },
        }
    }
}

impl std::fmt::Display for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Helper { program } => write!(f, "with {program}"),
            Self::File { path } => write!(f, "in {}", shown(path)),
        }
    }
}

impl Report for LoginReport {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "Logged in to {} as {}", self.host, shown(&self.user))?;
        if let Some(token_server) = &self.token_server {
            writeln!(out, "  checked by its token server, {token_server}")?;
        }
        writeln!(out, "  kept {}", self.stored)
    }
}

pub(crate) fn run(session: &Session<'_>, args: &LoginArgs) -> Result<(), CliError> {
    let password =
        if args.password_stdin { piped_password()? } else { session.ui.ask_password(&args.host)? };
    if password.is_empty() {
        return Err(CliError::new(Exit::Usage, "the password is empty; nothing was stored"));
    }
    let (user, server) = (args.username.clone(), Server::new(&args.host, ""));
    let given = Credentials::Password { user: user.clone(), password };
    let options = RemoteOptions { login: Login::As(given.clone()), ..session.remote_options()? };
    let runtime = session.runtime()?;
    let checked = runtime.block_on(check_login(&args.host, &options))?;
    let (is_checked, token_server, identity_token) = match checked {
        CheckedLogin::Accepted { token_server, identity_token } => (true, token_server, identity_token),
        CheckedLogin::NotAsked => {
            session.ui.warning(format_args!("{} asks nobody for a login; nothing was checked", args.host));
            (false, None, None)
        }
    };
    // A token can be taken back and does less than a password.
    let kept = match identity_token {
        Some(token) => Credentials::IdentityToken { user: user.clone(), token },
        None => given,
    };
    let kept = runtime.block_on(session.credentials().save(&server, &kept))?;
    if let Kept::File(path) = &kept {
        session.ui.warning(format_args!(
            "the secret is kept as plain text in {}, where whoever can read that file can read it; \
             a credential helper (`credsStore` in that file) keeps it better",
            path.display()
        ));
    }
    let report =
        LoginReport { host: args.host.clone(), user, checked: is_checked, token_server, stored: kept.into() };
    session.ui.report(&report)
}

/// All of standard input but the line's end.
fn piped_password() -> Result<String, CliError> {
    let unreadable =
        || CliError::new(Exit::Usage, "standard input does not hold a password; nothing was stored");
    let mut password = String::new();
    let input = io::stdin().lock();
    let length =
        input.take(MAX_PASSWORD_BYTES + 1).read_to_string(&mut password).map_err(|_| unreadable())?;
    if length as u64 > MAX_PASSWORD_BYTES {
        return Err(unreadable());
    }
    let line = password.strip_suffix('\n').unwrap_or(&password);
    let line = line.strip_suffix('\r').unwrap_or(line);
    // Such a text cannot be a header, nor what was meant.
    if line.chars().any(char::is_control) { Err(unreadable()) } else { Ok(line.to_owned()) }
}

/// Understands a registry's name, also as Docker writes it.
pub(crate) fn host(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("https://").unwrap_or(text);
    let host = rest.trim_end_matches('/');
    let host = if host == "index.docker.io/v1" { "docker.io" } else { host };
    // Whatever makes a reference with a repository is a host.
    match format!("{host}/x").parse::<Reference>().map(|reference| reference.place) {
        Ok(Place::Repository { name, .. }) if name == "x" => Ok(host.to_owned()),
        _ => Err("a registry is named HOST or HOST:PORT".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_a_host() {
        for (text, name) in [
            ("r.example", "r.example"),
            ("localhost:5000", "localhost:5000"),
            ("https://r.example:5000/", "r.example:5000"),
            ("https://index.docker.io/v1/", "docker.io"),
        ] {
            assert_eq!(host(text).unwrap(), name);
        }
        for text in ["", "r.example/team", "http://r.example", "me:secret@r.example", "oci:x", "r.example:x"]
        {
            assert!(!host(text).unwrap_err().contains("secret"), "{text}");
        }
    }
}
