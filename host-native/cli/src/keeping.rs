//! What a command keeps for `undo`, as its arguments, the environment and the settings have it.

use bundle_core::name::path::BundlePath;

use super::args::Execution;
use super::error::{CliError, Exit};
use super::session::Session;
use super::ui::counted;
use modelops_bundle::project::journal::Before;
use modelops_bundle::project::keeping::{Keep, KeepError, Keeping, NewOperation, Policy, Purpose};
use modelops_bundle::project::settings::parse_size;
use modelops_bundle::project::undo::Kind;
use modelops_bundle::project::{Config, Project};
use modelops_bundle::workspace::Workspace;

/// Says how much is kept, in place of the setting.
const VARIABLE: &str = "MODELOPS_BUNDLE_UNDO_LIMIT";

/// What `--no-keep` asks for.
pub(crate) fn keep(no_keep: bool) -> Keep {
    if no_keep { Keep::No } else { Keep::AsSet }
}

/// How much is kept in place of what the settings say, where the environment says so.
pub(crate) fn limit() -> Result<Option<u64>, CliError> {
    let said = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
    said.map(|text| {
        parse_size(&text).map_err(|fault| {
            CliError::new(Exit::Usage, format_args!("{VARIABLE} is `{text}`: {fault}"))
                .hint("it is a size such as 512M or 2GiB; 0 keeps nothing")
        })
    })
    .transpose()
}

/// How much is kept in a project of these settings.
pub(crate) fn policy(config: &Config, keep: Keep) -> Result<Policy, CliError> {
    Ok(Policy::of(limit()?.unwrap_or(config.undo_limit), keep))
}

/// An operation of a command.
pub(crate) fn operation(
    workspace: &Workspace,
    kind: Kind,
    command: String,
    keep: Keep,
) -> Result<NewOperation, CliError> {
    Ok(workspace.operation(kind, command, policy(&workspace.config, keep)?))
}

/// Decides what is kept of `operation`, which takes away what is at the paths `taken`. One that takes nothing away goes on
/// where nothing can be kept.
pub(crate) fn plan<'b>(
    session: &Session<'_>,
    project: &Project,
    operation: NewOperation,
    taken: impl Iterator<Item = (&'b BundlePath, Before)> + Clone,
    execution: Execution,
) -> Result<Keeping, CliError> {
    let (keeping, not_kept) = Keeping::plan_where_needed(project, operation, taken, purpose(execution))?;
    tell_not_kept(session, not_kept);
    tell_expired(session, keeping.expired());
    Ok(keeping)
}

/// Says that an operation cannot be taken back.
pub(crate) fn tell_not_kept(session: &Session<'_>, why: Option<KeepError>) {
    if let Some(why) = why {
        let error = CliError::from(why);
        session.ui.warning(format_args!("this cannot be taken back with `undo`: {}", error.message()));
    }
}

/// Says that older operations can no longer be taken back.
pub(crate) fn tell_expired(session: &Session<'_>, expired: &[String]) {
    if !expired.is_empty() {
        let files = counted(expired.len(), "file");
        session.ui.note(format_args!(
            "what older operations took away makes room, and can no longer be brought back: {files}"
        ));
    }
}

/// What a plan is made for where a command does what it plans, or not.
pub(crate) fn purpose(execution: Execution) -> Purpose {
    match execution {
        Execution::Apply => Purpose::Apply,
        Execution::DryRun => Purpose::Foresee,
    }
}

/// A command and the paths that it is about, in one line.
pub(crate) fn about(command: &str, paths: &[impl AsRef<str>]) -> String {
    match paths {
        [] => command.to_owned(),
        [one] => format!("{command} {}", one.as_ref()),
        [first, others @ ..] => format!("{command} {} and {} more", first.as_ref(), others.len()),
    }
}
