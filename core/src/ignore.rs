//! Ignore rules: which untracked files a project does not offer to track.
//!
//! The syntax and its precedence are those of gitignore(5): the last pattern that matches decides, a pattern of a
//! deeper folder comes after those above it, `!` takes back, and nothing below an ignored folder can be taken back.
//! Reading the files that hold such rules is the host's part.

mod pattern;

use std::sync::Arc;

use pattern::Pattern;

use crate::name::path::MODEL_REGISTRY;

/// Patterns that always apply, before any file's.
pub const DEFAULT_PATTERNS: &[&str] = &[
    ".DS_Store",
    ".cache/",
    ".idea/",
    ".ipynb_checkpoints/",
    ".mypy_cache/",
    ".pytest_cache/",
    ".ruff_cache/",
    ".tox/",
    ".venv/",
    ".vscode/",
    "*.egg-info/",
    "*.pyc",
    "*.pyo",
    "*.swp",
    "*.tmp",
    "*~",
    "Thumbs.db",
    "__pycache__/",
    "node_modules/",
    "venv/",
];

/// Files in which git or this tool keeps its own rules and settings; never offered for tracking by default.
const OWN_FOLDERS: &[&str] = &[".git/", ".modelops-bundle/"];

/// What lies at a path, as far as a pattern cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// Anything but a folder.
    File,
    /// A folder; only these match a pattern that ends with a slash.
    Folder,
}

/// An ordered list of rules, weakest first.
#[derive(Clone, Debug, Default)]
pub struct IgnoreRules {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    /// The folder whose file holds the rule: empty at the top, else ending with a slash.
    base: String,
    pattern: Pattern,
    anchored: bool,
    folders_only: bool,
    verdict: Verdict,
    /// Shared with whatever it decides about: one rule may ignore very many files.
    written: Arc<WrittenRule>,
}

/// What a rule says of the entries that it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They are ignored.
    Ignore,
    /// They are not, whatever weaker rules say.
    Keep,
}

/// A rule as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenRule {
    /// Its text, without blanks at the end.
    pub text: String,
    /// Where it stands.
    pub source: RuleSource,
}

/// Where a rule stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleSource {
    /// In no file: it applies in every project.
    BuiltIn,
    /// In an ignore file.
    File {
        /// The folder of that file, empty for the top.
        folder: String,
        /// The line, counted from one.
        line: usize,
    },
}

/// What rules decide about an entry, and which one does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What becomes of the entry.
    pub verdict: Verdict,
    /// The rule that decides: the last one that matches.
    pub rule: Arc<WrittenRule>,
}

impl IgnoreRules {
    /// The rules that apply in every project.
    pub fn defaults() -> Self {
        let mut rules = Self::default();
        for pattern in OWN_FOLDERS.iter().chain(DEFAULT_PATTERNS) {
            rules.add(String::new(), pattern, RuleSource::BuiltIn);
        }
        rules
    }

    /// Adds the rules in `text`, the content of an ignore file in the folder `folder` (empty for the top).
    ///
    /// Files are added from the top down, so that deeper ones win. A byte order mark at the start is no rule, and lines
    /// may end with CR LF.
    pub fn add_file(&mut self, folder: &str, text: &str) {
        let base = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        for (line, number) in text.strip_prefix('\u{feff}').unwrap_or(text).split('\n').zip(1..) {
            let source = RuleSource::File { folder: folder.to_owned(), line: number };
            self.add(base.clone(), line.strip_suffix('\r').unwrap_or(line), source);
        }
    }

    fn add(&mut self, base: String, line: &str, source: RuleSource) {
        let Some(mut line) = content(line) else { return };
        let written = WrittenRule { text: line.to_owned(), source };
        let mut verdict = Verdict::Ignore;
        if let Some(rest) = line.strip_prefix('!') {
            (line, verdict) = (rest, Verdict::Keep);
        }
        let folders_only = line.ends_with('/');
        let line = line.strip_suffix('/').unwrap_or(line);
        // A slash at the start or in the middle ties the pattern to the folder of its file.
        let anchored = line.contains('/');
        let line = line.strip_prefix('/').unwrap_or(line);
        if line.is_empty() {
            return;
        }
        let (pattern, written) = (Pattern::new(line), Arc::new(written));
        self.rules.push(Rule { base, pattern, anchored, folders_only, verdict, written });
    }

    /// Whether the entry at `path` is ignored, itself or with a folder that it lies in.
    pub fn is_ignored(&self, path: &str, kind: EntryKind) -> bool {
        self.deciding(path, kind).is_some_and(|rule| rule.verdict == Verdict::Ignore)
    }

    /// What is decided about the entry at `path`, itself or with a folder that it lies in; `None` where no rule matches it.
    pub fn decision(&self, path: &str, kind: EntryKind) -> Option<Decision> {
        self.deciding(path, kind).map(Rule::decision)
    }

    /// Like [`Self::is_ignored`], for a walk that has already found the folders above `path` not ignored.
    pub fn ignores(&self, path: &str, kind: EntryKind) -> bool {
        self.last_match(path, kind).is_some_and(|rule| rule.verdict == Verdict::Ignore)
    }

    /// Like [`Self::decision`], for the same walk.
    pub fn decision_here(&self, path: &str, kind: EntryKind) -> Option<Decision> {
        self.last_match(path, kind).map(Rule::decision)
    }

    /// [`MODEL_REGISTRY`] lies in a folder that is always ignored, and is asked about only by name: for it, just the
    /// rules that match the file itself count.
    fn deciding(&self, path: &str, kind: EntryKind) -> Option<&Rule> {
        let folders = path.match_indices('/').filter_map(|(at, _)| path.get(..at));
        folders
            .filter(|_| path != MODEL_REGISTRY)
            .filter_map(|folder| self.last_match(folder, EntryKind::Folder))
            .find(|rule| rule.verdict == Verdict::Ignore)
            .or_else(|| self.last_match(path, kind))
    }

    fn last_match(&self, path: &str, kind: EntryKind) -> Option<&Rule> {
        let name = path.rsplit('/').next().unwrap_or(path);
        self.rules.iter().rev().find(|rule| {
            (kind == EntryKind::Folder || !rule.folders_only)
                && path
                    .strip_prefix(rule.base.as_str())
                    .is_some_and(|below| rule.pattern.matches(if rule.anchored { below } else { name }))
        })
    }
}

impl Rule {
    fn decision(&self) -> Decision {
        Decision { verdict: self.verdict, rule: Arc::clone(&self.written) }
    }
}

/// What a line says, without trailing spaces that are not escaped; nothing for blank lines and comments.
fn content(line: &str) -> Option<&str> {
    let mut end = 0;
    let mut is_escaped = false;
    for (at, byte) in line.bytes().enumerate() {
        if byte != b' ' || is_escaped {
            end = at + 1;
        }
        is_escaped = byte == b'\\' && !is_escaped;
    }
    // Only a space, one byte, is ever left out.
    let line = line.get(..end)?;
    (!line.is_empty() && !line.starts_with('#')).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> IgnoreRules {
        let mut rules = IgnoreRules::default();
        rules.add_file("", text);
        rules
    }

    /// What `git check-ignore --no-index` says of the same patterns and paths (git 2.39).
    #[test]
    fn agrees_with_git() {
        for (text, path, ignored) in [
            ("*.log", "a/b/x.log", true),
            ("*.log", "x.logs", false),
            ("/x.log", "a/x.log", false),
            ("/x.log", "x.log", true),
            ("build/", "build/x", true),
            ("build/", "a/build/x", true),
            ("build/", "build", false),
            ("a/build", "b/a/build", false),
            ("a/*/c", "a/b/c", true),
            ("a/*/c", "a/b/b/c", false),
            ("a/**/c", "a/c", true),
            ("a/**/c", "a/b/b/c", true),
            ("**/c", "a/b/c", true),
            ("a/**", "a/b/c", true),
            ("a/**", "a", false),
            ("*.log\n!keep.log", "keep.log", false),
            ("!keep.log\n*.log", "keep.log", true),
            ("build/\n!build/keep", "build/keep", true),
            ("# comment", "# comment", false),
            ("\\#x", "#x", true),
            ("\\!x", "!x", true),
            ("trailing ", "trailing", true),
            ("trailing\\ ", "trailing ", true),
            ("x[0-9]", "x5", true),
            ("x[!0-9]", "x5", false),
            ("x?", "xé", false), // bytes, as git counts them
            ("{a,b}", "a", false),
            ("{a,b}", "{a,b}", true),
            ("*", "a/b", true),
            ("\u{feff}a\r\nb\r\n", "a", true),
            ("a\r\nb\r", "b", true),
            ("tab\t", "tab", false),
            ("tab\t", "tab\t", true),
            ("x\\\\ ", "x\\", true),
            ("x\\", "x", false),
            ("[a-", "[a-", false),
            ("[]a]", "]", true),
            ("[a\\]]", "]", true),
            ("[[:digit:]-x]", "-", true),
            ("[[:nonsense:]]", "n", false),
            ("[^a]", "b", true),
            ("a[/]b", "a/b", false),
            ("a?b/c", "a/b/c", false),
            ("**/b/c", "a/b/c", true),
            ("**/b/c", "b/c", true),
            ("a/**/b", "ab", false),
            ("a/b**c", "a/b/c", false),
            ("a/***", "a/b/c", true),
            ("//a", "a", false),
            ("a//", "a", false),
            ("/", "a", false),
        ] {
            assert_eq!(rules(text).is_ignored(path, EntryKind::File), ignored, "{text:?} on {path:?}");
        }
    }

    #[test]
    fn deeper_files_win() {
        let mut rules = rules("*.csv");
        rules.add_file("data", "!keep.csv\n/only-here");
        assert!(rules.is_ignored("keep.csv", EntryKind::File));
        assert!(!rules.is_ignored("data/keep.csv", EntryKind::File));
        assert!(!rules.is_ignored("data/x/keep.csv", EntryKind::File));
        assert!(rules.is_ignored("data/only-here", EntryKind::File));
        assert!(!rules.is_ignored("data/x/only-here", EntryKind::File));
        assert!(!rules.is_ignored("database/only-here", EntryKind::File));
    }

    #[test]
    fn the_last_rule_that_matches_is_named_with_its_place() {
        let mut rules = IgnoreRules::defaults();
        rules.add_file("", "\u{feff}# of the project\r\n*.log  \r\n\r\nbuild/\r\n!*.pyc");
        rules.add_file("data", "!keep.log\n/raw/*");
        let built_in = RuleSource::BuiltIn;
        let at = |folder: &str, line| RuleSource::File { folder: folder.to_owned(), line };
        for (path, kind, verdict, text, source) in [
            ("x.log", EntryKind::File, Verdict::Ignore, "*.log", at("", 2)),
            ("build", EntryKind::Folder, Verdict::Ignore, "build/", at("", 4)),
            // The outermost folder that is ignored decides, whatever stands below it.
            ("build/a/x.log", EntryKind::File, Verdict::Ignore, "build/", at("", 4)),
            ("data/keep.log", EntryKind::File, Verdict::Keep, "!keep.log", at("data", 1)),
            ("data/raw/keep.log", EntryKind::File, Verdict::Ignore, "/raw/*", at("data", 2)),
            ("a/x.pyc", EntryKind::File, Verdict::Keep, "!*.pyc", at("", 5)),
            ("a/x.swp", EntryKind::File, Verdict::Ignore, "*.swp", built_in.clone()),
            (".git/HEAD", EntryKind::File, Verdict::Ignore, ".git/", built_in),
        ] {
            let rule = Arc::new(WrittenRule { text: text.to_owned(), source });
            assert_eq!(rules.decision(path, kind), Some(Decision { verdict, rule }), "{path}");
            assert_eq!(rules.is_ignored(path, kind), verdict == Verdict::Ignore, "{path}");
        }
        for (path, kind) in [("x.csv", EntryKind::File), ("build", EntryKind::File)] {
            assert_eq!(rules.decision(path, kind), None, "{path}");
        }
        assert_eq!(rules.decision(MODEL_REGISTRY, EntryKind::File), None);
    }

    #[test]
    fn defaults_apply() {
        let rules = IgnoreRules::defaults();
        for path in
            ["src/__pycache__/x.pyc", ".venv/bin/python", "a/.DS_Store", ".modelops-bundle/env", ".git/HEAD"]
        {
            assert!(rules.is_ignored(path, EntryKind::File), "{path}");
        }
        for path in ["src/model.py", ".modelopsignore", ".gitignore", "data/pop.h5"] {
            assert!(!rules.is_ignored(path, EntryKind::File), "{path}");
        }
    }

    #[test]
    fn a_catastrophic_pattern_ends() {
        let rules = rules(&format!("{}b", "*a".repeat(40)));
        assert!(!rules.is_ignored(&"a".repeat(4000), EntryKind::File));
    }
}
