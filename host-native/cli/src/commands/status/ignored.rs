//! Which rule ignores what: a part of the document of `status`, and the document of `status --explain PATH`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bundle_core::ignore::{Decision, EntryKind, RuleSource, Verdict, WrittenRule};

use crate::error::CliError;
use crate::ui::{Report, shown};
use modelops_bundle::project::disk_path::{Place, resolve_argument, to_disk};
use modelops_bundle::project::ignore_file::{IGNORE_FILE, rules_of};
use modelops_bundle::scan::IgnoredEntry;
use modelops_bundle::scan::select::SelectError;
use modelops_bundle::workspace::Workspace;
use modelops_bundle_report::{ExplainReport, ExplainedPath, IgnoredReport, RuleReport};

/// What a rule leaves out, for a document.
pub(super) fn ignored(entry: &IgnoredEntry) -> IgnoredReport {
    let slash = if entry.kind == EntryKind::Folder { "/" } else { "" };
    IgnoredReport { path: format!("{}{slash}", entry.path), rule: rule(&entry.rule) }
}

fn rule(rule: &WrittenRule) -> RuleReport {
    let (source, line) = match &rule.source {
        RuleSource::BuiltIn => ("default".to_owned(), None),
        RuleSource::File { folder, line } if folder.is_empty() => (IGNORE_FILE.to_owned(), Some(*line)),
        RuleSource::File { folder, line } => (format!("{folder}/{IGNORE_FILE}"), Some(*line)),
    };
    RuleReport { rule: rule.text.clone(), source, line }
}

/// A rule, in words.
pub(super) fn rule_in_words(RuleReport { rule, source, line }: &RuleReport) -> String {
    match line {
        Some(line) => format!("`{}`, line {line} of {}", shown(rule), shown(source)),
        None => format!("`{}`, which applies in every project", shown(rule)),
    }
}

impl Report for ExplainReport {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        for ExplainedPath { path, tracked, ignored, rule } in &self.explained {
            write!(out, "{}: ", shown(path))?;
            match (rule.as_ref().map(rule_in_words), ignored, tracked) {
                (Some(rule), true, true) => writeln!(out, "tracked, although this would ignore it: {rule}")?,
                (Some(rule), true, false) => writeln!(out, "ignored by {rule}")?,
                (Some(rule), false, _) => writeln!(out, "not ignored, because of {rule}")?,
                (None, _, true) => writeln!(out, "tracked; no rule is about it")?,
                (None, _, false) => writeln!(out, "not ignored: no rule is about it")?,
            }
        }
        Ok(())
    }
}

/// Finds out which rule decides about each of `paths`, as a user in the folder `cwd` names them.
pub(super) fn explain(
    workspace: &Workspace,
    cwd: &Path,
    paths: &[PathBuf],
) -> Result<ExplainReport, CliError> {
    let explained = paths.iter().map(|path| explain_path(workspace, cwd, path)).collect::<Result<_, _>>()?;
    Ok(ExplainReport { explained })
}

fn explain_path(workspace: &Workspace, cwd: &Path, named: &Path) -> Result<ExplainedPath, CliError> {
    let root = workspace.project.root();
    let Place::Below(path) = resolve_argument(root, cwd, named)? else {
        return Ok(ExplainedPath { path: ".".to_owned(), tracked: false, ignored: false, rule: None });
    };
    let rules = rules_of(root, path.folders().last().unwrap_or_default())
        .map_err(|source| SelectError::IgnoreFile { source })?;
    let decision = rules.decision(path.as_str(), kind_of(&to_disk(root, &path), named));
    Ok(ExplainedPath {
        path: path.to_string(),
        tracked: workspace.tracked.at(&path).is_some(),
        ignored: matches!(decision, Some(Decision { verdict: Verdict::Ignore, .. })),
        rule: decision.map(|decision| rule(&decision.rule)),
    })
}

/// What lies at `disk`, or would by the way in which it is `named`.
fn kind_of(disk: &Path, named: &Path) -> EntryKind {
    let ends_as_folder = || named.to_string_lossy().ends_with(std::path::is_separator);
    match disk.metadata() {
        Ok(found) if found.is_dir() => EntryKind::Folder,
        Err(_) if ends_as_folder() => EntryKind::Folder,
        Ok(_) | Err(_) => EntryKind::File,
    }
}
