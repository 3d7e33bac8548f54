//! `login`: has a registry's credentials checked, and kept for the commands to come.

use std::io::{self, Read as _, Write};

use bundle_core::name::reference::{Place, Reference, refuse_user};
use clap::Args;

use crate::args::Execution;
use crate::error::{CliError, Exit};
use crate::session::Session;
use crate::ui::{Report, shown};
use modelops_bundle::credentials::Kept;
use modelops_bundle::ops::login::{self, LoginOptions};
use modelops_bundle::remote::CheckedLogin;
use modelops_bundle_report::{LoginReport, StoredReport};

/// The longest password that is read.
const MAX_PASSWORD_BYTES: u64 = 64 << 10;

/// Log in to a registry
///
/// The password is asked for, or read from standard input; it is never an argument. It is checked with the registry, and
/// kept where Docker keeps it: with the credential helper that is configured, or else in Docker's configuration file.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
\x20 modelops-bundle login registry.example -u researcher\n\
\x20 modelops-bundle login registry.example -u ci --password-stdin < secret")]
pub(crate) struct LoginArgs {
    /// The registry, as HOST or HOST:PORT
    #[arg(value_name = "HOST")]
    host: String,
    /// The user's name; asked for at a terminal where it is left out
    #[arg(short, long, value_name = "USER", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    username: Option<String>,
    /// Read the password, or a token in its place, from standard input
    #[arg(long)]
    password_stdin: bool,
    /// Check the credentials, and keep nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// Where credentials are, for a document.
pub(super) fn stored(kept: Kept) -> StoredReport {
    match kept {
        Kept::Helper(program) => StoredReport::Helper { program },
        Kept::File(path) => StoredReport::File { path: path.display().to_string() },
    }
}

/// The same in words.
pub(super) fn stored_in_words(stored: &StoredReport) -> String {
    match stored {
        StoredReport::Helper { program } => format!("with {program}"),
        StoredReport::File { path } => format!("in {}", shown(path)),
    }
}

impl Report for LoginReport {
    fn is_account(&self) -> bool {
        !self.dry_run
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let verb = if self.dry_run { "Would log in" } else { "Logged in" };
        writeln!(out, "{verb} to {} as {}", self.host, shown(&self.user))?;
        if let Some(token_server) = &self.token_server {
            writeln!(out, "  checked by its token server, {token_server}")?;
        }
        let verb = if self.dry_run { "would be kept" } else { "kept" };
        writeln!(out, "  {verb} {}", stored_in_words(&self.stored))
    }
}

pub(crate) fn run(session: &Session<'_>, args: &LoginArgs) -> Result<(), CliError> {
    let named = named_registry(&args.host)?;
    let host = named.noted(session);
    let user = match &args.username {
        Some(user) => user.clone(),
        None if args.password_stdin => return Err(no_user()),
        None => session.ui.ask_user(host)?.ok_or_else(no_user)?,
    };
    let password = if args.password_stdin { piped_password()? } else { session.ui.ask_password(host)? };
    if password.is_empty() {
        return Err(CliError::new(Exit::Usage, "the password is empty; nothing was stored"));
    }
    let (client, store, runtime) = (session.client()?, session.credentials(), session.runtime()?);
    let planned = login::plan(&client, &store, host, &user, password, LoginOptions::default());
    let planned = runtime.block_on(planned)?;
    let (is_checked, token_server) = match planned.checked() {
        CheckedLogin::Accepted { token_server, .. } => (true, token_server.clone()),
        CheckedLogin::NotAsked => {
            session.ui.warning(format_args!("{host} asks nobody for a login; nothing was checked"));
            (false, None)
        }
    };
    let execution = Execution::of(args.dry_run);
    let kept = match execution {
        Execution::Apply => runtime.block_on(planned.apply())?,
        Execution::DryRun => planned.foresee()?,
    };
    if execution == Execution::Apply
        && let Kept::File(path) = &kept
    {
        session.ui.warning(format_args!(
            "the secret is kept as plain text in {}, where whoever can read that file can read it; \
             a credential helper (`credsStore` in that file) keeps it better",
            path.display()
        ));
    }
    session.ui.report(&LoginReport {
        host: host.to_owned(),
        user,
        checked: is_checked,
        token_server,
        stored: stored(kept),
        dry_run: args.dry_run,
    })
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

fn no_user() -> CliError {
    CliError::new(Exit::Usage, "no user is named, and there is no terminal to ask for one")
        .hint("name one with -u USER; in scripts, with --password-stdin")
}

/// A registry as it is named to `login` and `logout`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedRegistry {
    host: String,
    /// What stood behind the host: credentials are for all of a registry.
    left_out: Option<String>,
}

impl NamedRegistry {
    /// The host; says what does not count.
    pub(crate) fn noted(&self, session: &Session<'_>) -> &str {
        if let Some(path) = &self.left_out {
            session.ui.note(format_args!(
                "a login is for all of {}: `/{}` is left out",
                self.host,
                shown(path)
            ));
        }
        &self.host
    }
}

/// Understands a registry's name, also as Docker writes it, and as part of a URL or a reference.
///
/// Not while the command line is read: what is wrong there is quoted, and may be a password.
pub(crate) fn named_registry(text: &str) -> Result<NamedRegistry, CliError> {
    let rest = ["https://", "oci://"].iter().find_map(|scheme| text.strip_prefix(scheme)).unwrap_or(text);
    refuse_user(rest)?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = path.trim_matches('/');
    let host = if host == "index.docker.io" { "docker.io" } else { host };
    // Whatever makes a reference with a repository is a host.
    match format!("{host}/x").parse::<Reference>().map(|reference| reference.place) {
        Ok(Place::Repository { host, name }) if name == "x" => {
            Ok(NamedRegistry { host, left_out: (!matches!(path, "" | "v1" | "v2")).then(|| path.to_owned()) })
        }
        _ => {
            let error = CliError::new(Exit::Usage, format_args!("`{text}` names no registry"));
            Err(error.hint(match text.starts_with("http://") {
                true => {
                    "a registry is named HOST or HOST:PORT; one without TLS is spoken to with --plain-http"
                }
                false => "a registry is named HOST or HOST:PORT",
            }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_a_host() {
        for (text, host, left_out) in [
            ("r.example", "r.example", None),
            ("localhost:5000", "localhost:5000", None),
            ("https://r.example:5000/", "r.example:5000", None),
            ("https://r.example/v2/", "r.example", None),
            ("https://index.docker.io/v1/", "docker.io", None),
            ("r.example/team", "r.example", Some("team")),
            ("https://r.example:5000/team/model:v1", "r.example:5000", Some("team/model:v1")),
            ("oci://r.example/team", "r.example", Some("team")),
        ] {
            let expected = NamedRegistry { host: host.to_owned(), left_out: left_out.map(str::to_owned) };
            assert_eq!(named_registry(text).unwrap(), expected, "{text}");
        }
        for text in ["", "/team", "http://r.example", "oci:x", "r.example:x"] {
            assert!(named_registry(text).is_err(), "{text}");
        }
        for text in [
            "me:secret@r.example",
            "https://me:secret@r.example/v2/",
            "me:sec/secret@r.example",
            "http://me:secret@r",
        ] {
            let error = named_registry(text).unwrap_err();
            assert!(!error.to_string().contains("sec"), "{text}: {error}");
        }
    }
}
