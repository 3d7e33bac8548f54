//! `repos`: which repositories a registry has.

use std::io::{self, Write};

use bundle_core::name::reference::{Place, Reference};
use clap::Args;

use crate::error::{CliError, Exit};
use crate::session::{Session, configured_or_named};
use crate::ui::{Report, shown};
use modelops_bundle::ops::repos::{self, ReposOptions};
use modelops_bundle_report::ReposReport;

/// List the repositories of a registry
///
/// Without HOST it is the registry of the project's own remote. Many registries list their repositories to nobody, or only to
/// those who run them.
#[derive(Debug, Args)]
pub(crate) struct ReposArgs {
    /// The registry, HOST or HOST:PORT, or a namespace of it, HOST/NAMESPACE
    #[arg(value_name = "HOST")]
    registry: Option<String>,
    /// List at most N repositories
    #[arg(short = 'n', value_name = "N")]
    limit: Option<usize>,
}

impl Report for ReposReport {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.repositories.is_empty() && self.more == 0 {
            let namespace = self.namespace.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
            return writeln!(out, "{}{} has no repositories that it lists", self.host, shown(&namespace));
        }
        self.repositories.iter().try_for_each(|name| writeln!(out, "{}/{}", self.host, shown(name)))?;
        if self.more > 0 {
            writeln!(out, "and {} more: see -n", self.more)?;
        }
        Ok(())
    }
}

pub(crate) fn run(session: &Session<'_>, args: &ReposArgs) -> Result<(), CliError> {
    let (host, namespace) = registry(session, args.registry.as_deref())?;
    let options = ReposOptions::default().below(namespace.clone());
    let planned = repos::plan(&session.client()?, &host, options);
    let found = session.runtime()?.block_on(planned.apply())?;
    let total = found.names.len();
    let repositories: Vec<String> = found.names.into_iter().take(args.limit.unwrap_or(usize::MAX)).collect();
    let more = total - repositories.len();
    session.ui.report(&ReposReport { host, namespace, repositories, more, requests: found.requests })
}

/// What is put behind a host to make it a reference.
const ANY_NAME: &str = "x";

/// The host that is meant, and the namespace if there is one.
fn registry(session: &Session<'_>, text: Option<&str>) -> Result<(String, Option<String>), CliError> {
    let Some(text) = text else {
        let place = configured_or_named(&session.workspace()?)?.place;
        return Ok((split(place)?.0, None));
    };
    let text = text.trim_end_matches('/');
    let is_host = !text.trim_start_matches("oci://").contains('/') && !text.starts_with("oci:");
    if is_host {
        return Ok((split(format!("{text}/{ANY_NAME}").parse::<Reference>()?.place)?.0, None));
    }
    let reference: Reference = text.parse()?;
    if reference.tag.is_some() || reference.digest.is_some() {
        return Err(CliError::new(Exit::Usage, format_args!("{reference} names a bundle, and no registry"))
            .hint(format!(
                "name the registry or a namespace, as {place}; `modelops-bundle manifest {place}` lists the bundles of a repository",
                place = reference.place
            )));
    }
    let (host, name) = split(reference.place)?;
    Ok((host, Some(name)))
}

/// Host and name of a repository.
fn split(place: Place) -> Result<(String, String), CliError> {
    match place {
        Place::Repository { host, name } => Ok((host, name)),
        Place::Layout { .. } | Place::Archive { .. } => Err(CliError::new(
            Exit::Usage,
            "a layout or an archive is one place and has no repositories",
        )
        .hint(
            "name a registry, as HOST[:PORT]; see the bundles of a layout with `modelops-bundle manifest`",
        )),
    }
}
