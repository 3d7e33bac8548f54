//! `health`: whether a place can be used, and how well.

use std::io::{self, Write};

use bundle_core::name::reference::Reference;
use clap::Args;

use crate::error::{CliError, Exit};
use crate::session::{Needs, Session, configured_or_named};
use crate::ui::{Report, shown};
use modelops_bundle::health::{Aspect, Check, Depth, Finding, Verdict};
use modelops_bundle::ops::health::{self, Done, HealthOptions, Wanted};
use modelops_bundle::workspace::Workspace;
use modelops_bundle_report::{CheckReport, HealthReport};

/// Check whether a registry, layout or archive can be used
///
/// Asks a registry whether it is reachable, encrypts, lets you in, and lets you read and write the repository (an upload is
/// opened and cancelled); and about what makes some things faster or possible at all. Leaves nothing behind, unless --write is
/// given. Ends with the exit code of the first thing that fails and is needed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
\x20 modelops-bundle health registry.example/team/seir")]
pub(crate) struct HealthArgs {
    /// The place: a reference, without it the project's own remote
    #[arg(value_name = "REF")]
    reference: Option<String>,
    /// Do not ask for the right to write or delete
    #[arg(long, conflicts_with = "write")]
    read_only: bool,
    /// Write a small blob and a tag `health-check-…`, and delete the tag again; the blob stays until the registry collects it
    #[arg(long)]
    write: bool,
}

impl Report for HealthReport {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        // What a folder does not have is not worth a line.
        let checks = self.checks.iter().filter(|check| self.requests > 0 || check.verdict != "skipped");
        for CheckReport { check, verdict, reason, hint, .. } in checks {
            writeln!(out, "{verdict:<7}  {check:<9}  {}", shown(reason))?;
            if let Some(hint) = hint {
                writeln!(out, "{:20}{}", "", shown(hint))?;
            }
        }
        // Where it cannot, the error says so.
        if self.ok { writeln!(out, "{} can be used", self.reference) } else { Ok(()) }
    }
}

pub(crate) fn run(session: &Session<'_>, args: &HealthArgs) -> Result<(), CliError> {
    let reference = match &args.reference {
        Some(text) => {
            let workspace = session.workspace_for(text, Needs::Place)?;
            let default = workspace.as_ref().and_then(Workspace::default_reference);
            session.reference(text, default.as_ref())?
        }
        None => configured_or_named(&session.workspace()?)?,
    };
    let depth = match (args.read_only, args.write) {
        (true, _) => Depth::ReadOnly,
        (false, true) => Depth::Write,
        (false, false) => Depth::Rights,
    };
    let wanted = match &args.reference {
        Some(_) if reference.tag.is_some() || reference.digest.is_some() => Wanted::Named,
        _ => Wanted::Any,
    };
    let options = HealthOptions::default().depth(depth).wanting(wanted);
    let planned = health::plan(&session.client()?, &reference, options);
    let Done { checks, requests, .. } = session.runtime()?.block_on(planned.apply())?;
    report(session, &reference, checks, requests)
}

fn report(
    session: &Session<'_>,
    reference: &Reference,
    checks: Vec<Check>,
    requests: u64,
) -> Result<(), CliError> {
    let mut failed: Option<Exit> = None;
    let mut reports = Vec::new();
    for check in checks {
        let (aspect, verdict) = (check.aspect, check.verdict());
        let value = value(&check.finding);
        let words = CliError::of_finding(check.finding);
        if verdict == Verdict::Fail {
            failed = failed.or(Some(words.exit));
        }
        reports.push(CheckReport {
            check: name(aspect).into(),
            verdict: verdict_name(verdict).into(),
            reason: words.message().to_owned(),
            code: (verdict == Verdict::Fail).then_some(words.exit as u8),
            hint: words.into_hint().filter(|_| verdict != Verdict::Ok),
            value,
        });
    }
    let place = reference.without_version().to_string();
    let ok = failed.is_none();
    let report = HealthReport { reference: place.clone(), ok, checks: reports, requests };
    match failed {
        None => session.ui.report(&report),
        Some(exit) => Err(session.ui.report_failed(&report, CliError::unhealthy(exit, &place))),
    }
}

fn value(finding: &Finding) -> Option<f64> {
    match finding {
        // Thousandths of a millisecond mean nothing here.
        Finding::Latency(took) => Some((took.as_secs_f64() * 1e4).round() / 10.0),
        Finding::Skew(seconds) => Some(*seconds as f64),
        _ => None,
    }
}

fn name(aspect: Aspect) -> &'static str {
    match aspect {
        Aspect::Reachable => "reachable",
        Aspect::Tls => "tls",
        Aspect::Auth => "auth",
        Aspect::Pull => "pull",
        Aspect::Push => "push",
        Aspect::Ranges => "ranges",
        Aspect::Referrers => "referrers",
        Aspect::Delete => "delete",
        Aspect::Latency => "latency",
        Aspect::Clock => "clock",
    }
}

fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::Warn => "warn",
        Verdict::Fail => "fail",
        Verdict::Skipped => "skipped",
    }
}
