//! What may come next on a command line, asked by the scripts that `completions` prints at each press of the key.
//!
//! An answer comes quickly or not at all: nothing asks for a password or runs a credential helper, nothing is put in
//! order or written, and a registry has a second and a half. What goes wrong leaves candidates out and is not told: it
//! would stand in the middle of what is being typed.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bundle_core::name::path::BundlePath;
use bundle_core::name::reference::{Place, Reference, Tag};
use clap::{Arg, Command, CommandFactory as _};
use clap_complete::engine::{
    ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter as _, complete,
};

use super::args::Cli;
use super::session::absolute;
use super::ui::print_answer;
use modelops_bundle::component::Core;
use modelops_bundle::credentials::{Environment, Store};
use modelops_bundle::environment::Environments;
use modelops_bundle::project::settings::SETTINGS;
use modelops_bundle::project::tracked::read_tracked;
use modelops_bundle::project::{Config, Project, State};
use modelops_bundle::remote::{Login, RemoteOptions, Transport, open};

/// The variable in which a script says for which shell it asks.
const VARIABLE: &str = "MODELOPS_BUNDLE_COMPLETE";

/// How long a remote may take to list its tags.
const PATIENCE: Duration = Duration::from_millis(1500);

/// As many paths are offered at most.
const MAX_PATHS: usize = 1000;

/// The longest file that is searched for the name of a credential helper, in bytes.
const MAX_AUTH_FILE: u64 = 1 << 20;

/// Candidates with this identity stand for all files, or folders, which the shell itself knows best.
const ALL_FILES: &str = "files";
const ALL_FOLDERS: &str = "folders";

/// What the value of an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Files,
    Folders,
    Reference,
    /// A reference, or an archive or layout by its path.
    ReferenceOrFile,
    Tag,
    Tracked,
    Setting,
    SettingValue,
    Environment,
    Function,
    Host,
}

/// Answers a script, if it is one that asks.
pub(super) fn answer() -> Option<ExitCode> {
    let shell = std::env::var_os(VARIABLE).filter(|shell| !shell.is_empty())?;
    let words: Vec<OsString> = std::env::args_os().skip_while(|word| word != "--").skip(1).collect();
    let words = if shell == "bash" { words.iter().map(|word| unquoted(word)).collect() } else { words };
    let (kind, candidates) = candidates(words);
    let lines = candidates.iter().filter_map(|candidate| line(candidate, &shell));
    print_answer(kind, lines);
    Some(ExitCode::SUCCESS)
}

/// What the last of `words` may become, and what kind of thing that is.
fn candidates(words: Vec<OsString>) -> (&'static str, Vec<CompletionCandidate>) {
    let Some(last) = words.len().checked_sub(1) else { return ("values", Vec::new()) };
    let current = words[last].clone();
    let facts = Arc::new(Facts::of(&words));
    let mut command = with_completers(Cli::command(), &facts);
    let Ok(mut found) = complete(&mut command, words, last, Some(&facts.cwd)) else {
        return ("values", Vec::new());
    };
    for kind in [ALL_FILES, ALL_FOLDERS] {
        if found.iter().any(|candidate| candidate.get_id().is_some_and(|id| id == kind)) {
            return (kind, Vec::new());
        }
    }
    // Who has typed nothing yet asks for what has to be there, not for options.
    let is_option =
        |candidate: &CompletionCandidate| candidate.get_value().as_encoded_bytes().starts_with(b"-");
    if current.is_empty() && !found.iter().all(is_option) {
        found.retain(|candidate| !is_option(candidate));
    }
    let are_paths =
        found.iter().any(|candidate| candidate.get_id().is_some_and(|id| id.starts_with("path:")));
    (if are_paths { "paths" } else { "values" }, found)
}

/// One candidate as a shell reads it; none where it would be read as another.
fn line(candidate: &CompletionCandidate, shell: &OsStr) -> Option<String> {
    let value = candidate.get_value().to_str()?;
    if value.is_empty() || value.chars().any(char::is_control) {
        return None;
    }
    if shell == "bash" {
        return Some(value.to_owned());
    }
    let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
    Some(format!("{value}\t{}", help.lines().next().unwrap_or_default()))
}

/// A word of bash without its quotes, of which the last may be open.
fn unquoted(word: &OsStr) -> OsString {
    let Some(text) = word.to_str() else { return word.to_owned() };
    let (mut plain, mut quote) = (String::new(), None);
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (c, quote) {
            ('\\', None | Some('"')) => plain.extend(characters.next()),
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            _ => plain.push(c),
        }
    }
    plain.into()
}

/// The command line with what the values of its arguments may be.
fn with_completers(command: Command, facts: &Arc<Facts>) -> Command {
    let name = command.get_name().to_owned();
    command
        .mut_args(|argument| match meaning(&name, &argument) {
            Some(meaning) => {
                let facts = Arc::clone(facts);
                let values = move |current: &OsStr| facts.values(meaning, current);
                argument.add(ArgValueCompleter::new(values))
            }
            None => argument,
        })
        .mut_subcommands(|command| with_completers(command, facts))
}

/// What an argument's value is, by the name that the help gives it.
fn meaning(command: &str, argument: &Arg) -> Option<Meaning> {
    let name = argument.get_value_names()?.first()?.as_str();
    Some(match (command, name) {
        ("inspect" | "verify" | "ui", "REF") | ("copy", "SRC") => Meaning::ReferenceOrFile,
        (_, "REF" | "SRC" | "DST") => Meaning::Reference,
        (_, "TAG" | "NEW") => Meaning::Tag,
        ("add" | "status", "PATH") | (_, "FILE") => Meaning::Files,
        (_, "PATH") => Meaning::Tracked,
        (_, "DIR") => Meaning::Folders,
        (_, "KEY") => Meaning::Setting,
        ("set", "VALUE") => Meaning::SettingValue,
        ("call", "NAME") => Meaning::Function,
        ("switch", _) | (_, "ENV") => Meaning::Environment,
        (_, "HOST") => Meaning::Host,
        _ => return None,
    })
}

/// What is known where the line is typed.
struct Facts {
    /// The folder that the command would work in.
    cwd: PathBuf,
    /// The words so far.
    words: Vec<OsString>,
}

impl Facts {
    fn of(words: &[OsString]) -> Self {
        let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
        let folder = option(words, "-C").or_else(|| option(words, "--directory"));
        let cwd = folder.map_or_else(|| here.clone(), |folder| here.join(folder));
        Self { cwd: cwd.canonicalize().unwrap_or(cwd), words: words.to_vec() }
    }

    fn values(&self, meaning: Meaning, current: &OsStr) -> Vec<CompletionCandidate> {
        let text = current.to_str().unwrap_or_default();
        match meaning {
            Meaning::Files => vec![all(ALL_FILES)],
            Meaning::Folders => vec![all(ALL_FOLDERS)],
            Meaning::Reference => self.references(text),
            Meaning::ReferenceOrFile => match self.references(text) {
                found if found.is_empty() => vec![all(ALL_FILES)],
                found => found,
            },
            Meaning::Tag => starting(text, self.project_tags()),
            Meaning::Tracked => self.tracked(text),
            Meaning::Setting => starting(text, self.settings()),
            Meaning::SettingValue => self.setting_values(text),
            Meaning::Environment => starting(text, environments()),
            Meaning::Function => starting(text, functions()),
            Meaning::Host => starting(text, self.hosts()),
        }
    }

    fn project(&self) -> Option<Project> {
        Project::find(&self.cwd).ok()
    }

    fn config(&self) -> Option<Config> {
        Config::read(&self.project()?).ok()
    }

    fn remote(&self) -> Option<Reference> {
        self.config()?.registry_ref
    }

    /// The tags of the project's remote, as far as it answers, and those that the project itself knows.
    fn project_tags(&self) -> Vec<String> {
        let mut tags = BTreeSet::new();
        if let Some(config) = self.config() {
            tags.insert(config.default_tag.to_string());
            if let Some(remote) = &config.registry_ref {
                tags.extend(self.tags_at(&remote.place));
            }
        }
        let state = self.project().and_then(|project| State::read(&project).ok());
        tags.extend(state.and_then(|state| state.synced_ref?.tag).map(|tag| tag.to_string()));
        tags.into_iter().collect()
    }

    fn tags_at(&self, place: &Place) -> Vec<String> {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
            return Vec::new();
        };
        let transport = match self.words.iter().any(|word| word == "--plain-http") {
            true => Transport::PlainHttp,
            false => Transport::Secure,
        };
        let options = RemoteOptions::default()
            .with_retries(0)
            .with_timeout(PATIENCE)
            .with_login(Login::Stored(Arc::new(Store::new(without_helpers()))))
            .with_transport(transport);
        let tags: Vec<Tag> = runtime.block_on(async {
            let Ok(remote) = open(place, &options) else { return Vec::new() };
            let listed = tokio::time::timeout(PATIENCE, remote.tags()).await;
            listed.ok().and_then(Result::ok).unwrap_or_default()
        });
        // A name that is being looked up would be waited for.
        runtime.shutdown_background();
        tags.iter().map(ToString::to_string).collect()
    }

    fn references(&self, text: &str) -> Vec<CompletionCandidate> {
        if let Some((place, _)) = text.rsplit_once(':').filter(|(_, tag)| !tag.contains(['/', '\\']))
            && let Ok(reference) = place.parse::<Reference>()
            && let Ok(reference) = absolute(reference, &self.cwd)
            && self.is_at_hand(&reference.place)
        {
            let tags = self.tags_at(&reference.place).into_iter();
            return starting(text, tags.map(|tag| format!("{place}:{tag}")));
        }
        if let Some(folder) = text.strip_prefix("oci:") {
            let folders = PathCompleter::dir().current_dir(&self.cwd).complete(OsStr::new(folder));
            return folders.into_iter().map(|folder| folder.add_prefix("oci:")).collect();
        }
        if let Some(file) = text.strip_prefix("oci-archive:") {
            let files = PathCompleter::any().current_dir(&self.cwd).complete(OsStr::new(file));
            return files.into_iter().map(|file| file.add_prefix("oci-archive:")).collect();
        }
        // A tag of the project's own remote may have its colon in front.
        if text.starts_with(':') {
            return starting(text, self.project_tags().into_iter().map(|tag| format!(":{tag}")));
        }
        let place = self.remote().map(|remote| format!("{}:", remote.place));
        let place = place.filter(|place| !text.is_empty() && place.starts_with(text));
        starting(text, self.project_tags().into_iter().chain(place))
    }

    /// A folder or file that is not there has no tags; a registry is only asked when it says so.
    fn is_at_hand(&self, place: &Place) -> bool {
        match place {
            Place::Repository { .. } => true,
            Place::Layout { directory: path } | Place::Archive { file: path } => Path::new(path).exists(),
        }
    }

    /// Tracked paths below the folder that the user is in, one part at a time as files are completed.
    fn tracked(&self, text: &str) -> Vec<CompletionCandidate> {
        let Some(project) = self.project() else { return Vec::new() };
        let Ok(tracked) = read_tracked(&project) else { return Vec::new() };
        let Ok(below) = self.cwd.strip_prefix(project.root()) else { return Vec::new() };
        let mut folder: String =
            below.iter().filter_map(OsStr::to_str).flat_map(|part| [part, "/"]).collect();
        let skipped = folder.len();
        folder.push_str(text);
        let mut parts = BTreeSet::new();
        for path in tracked.iter().map(BundlePath::as_str).filter(|path| path.starts_with(&folder)) {
            let end = path[folder.len()..].find('/').map_or(path.len(), |slash| folder.len() + slash + 1);
            parts.insert(&path[skipped..end]);
            if parts.len() >= MAX_PATHS {
                break;
            }
        }
        let candidate = |part: &str| CompletionCandidate::new(part).id(Some(format!("path:{part}")));
        parts.into_iter().map(candidate).collect()
    }

    fn settings(&self) -> Vec<String> {
        let mut keys: BTreeSet<String> = SETTINGS.iter().map(|setting| setting.key.to_owned()).collect();
        if let Some(config) = self.config() {
            keys.extend(config.values().into_iter().map(|(key, _)| key));
        }
        keys.into_iter().collect()
    }

    /// What the setting that the word before names can be.
    fn setting_values(&self, text: &str) -> Vec<CompletionCandidate> {
        let key = self.words.len().checked_sub(2).and_then(|before| self.words[before].to_str());
        let words: &[&str] = match key {
            Some("default_tag") => return starting(text, self.project_tags()),
            Some("registry_ref") => return self.references(text),
            Some("layout") => &["auto", "files", "packed"],
            Some("symlinks") => &["inside", "never", "always"],
            Some("cache_link_mode") => &["auto", "copy", "hardlink", "reflink", "symlink"],
            _ => &[],
        };
        starting(text, words.iter().map(|word| (*word).to_owned()))
    }

    fn hosts(&self) -> Vec<String> {
        match self.remote().map(|remote| remote.place) {
            Some(Place::Repository { host, .. }) => vec![host],
            Some(Place::Layout { .. } | Place::Archive { .. }) | None => Vec::new(),
        }
    }
}

fn environments() -> Vec<String> {
    let known = Environments::read().unwrap_or_default();
    known.environments.keys().map(|name| name.as_str().to_owned()).collect()
}

fn functions() -> Vec<String> {
    let Ok(core) = Core::embedded() else { return Vec::new() };
    core.functions().into_iter().map(|function| function.name).collect()
}

fn starting(text: &str, values: impl IntoIterator<Item = String>) -> Vec<CompletionCandidate> {
    values.into_iter().filter(|value| value.starts_with(text)).map(CompletionCandidate::new).collect()
}

fn all(kind: &str) -> CompletionCandidate {
    CompletionCandidate::new("").id(Some(kind.to_owned()))
}

/// The value of an option among `words`, each with its value as a word of its own.
fn option<'a>(words: &'a [OsString], name: &str) -> Option<&'a OsStr> {
    // The last word is being typed.
    let before = words.split_last().map_or(words, |(_, before)| before);
    let at = before.iter().position(|word| word == name)?;
    before.get(at + 1).map(OsString::as_os_str)
}

/// Where credentials may be looked for without a helper, which might ask for a password or show a window.
fn without_helpers() -> Environment {
    let environment = Environment::of_process();
    let docker = environment.docker_folder.iter().map(|folder| folder.join("config.json"));
    let podman = environment.podman_folders.iter().map(|folder| folder.join("containers").join("auth.json"));
    let mut files = environment.auth_file.iter().cloned().chain(docker).chain(podman);
    if environment.auth_config.as_deref().is_some_and(mentions_a_helper)
        || files.any(|file| names_a_helper(&file))
    {
        let mut variables = Environment::default();
        variables.user = environment.user;
        variables.python = environment.python;
        variables.password = environment.password;
        variables.registry = environment.registry;
        return variables;
    }
    environment
}

fn mentions_a_helper(text: &str) -> bool {
    text.contains("credsStore") || text.contains("credHelpers")
}

/// Whether a file of credentials may lead to a helper; one that cannot be read might.
fn names_a_helper(file: &Path) -> bool {
    match file.metadata() {
        Ok(metadata) if metadata.is_file() && metadata.len() <= MAX_AUTH_FILE => {
            std::fs::read_to_string(file).map_or(true, |text| mentions_a_helper(&text))
        }
        Ok(_) => true,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_bash_loses_its_quotes() {
        for (word, plain) in [("a\\ b", "a b"), ("'a b'/c", "a b/c"), ("\"a b", "a b"), ("oci:x", "oci:x")] {
            assert_eq!(unquoted(OsStr::new(word)), plain);
        }
    }

    #[test]
    fn every_value_that_the_help_names_is_completed_as_what_it_is() {
        let argument = |name: &'static str| Arg::new("x").value_name(name);
        assert_eq!(meaning("push", &argument("TAG")), Some(Meaning::Tag));
        assert_eq!(meaning("remove", &argument("PATH")), Some(Meaning::Tracked));
        assert_eq!(meaning("add", &argument("PATH")), Some(Meaning::Files));
        assert_eq!(meaning("inspect", &argument("REF")), Some(Meaning::ReferenceOrFile));
        assert_eq!(meaning("push", &argument("N")), None);
    }

    #[test]
    fn options_are_found_behind_any_command() {
        let words = ["modelops-bundle", "push", "--"].map(OsString::from).to_vec();
        let (kind, found) = candidates(words);
        assert_eq!(kind, "values");
        assert!(found.iter().any(|candidate| candidate.get_value() == "--bump"), "{found:?}");
        let words = ["modelops-bundle", "push", "--bump", "m"].map(OsString::from).to_vec();
        let found: Vec<_> = candidates(words).1.iter().map(|one| one.get_value().to_owned()).collect();
        assert_eq!(found, ["minor", "major"]);
        let words = ["modelops-bundle", "--ca-file", ""].map(OsString::from).to_vec();
        assert_eq!(candidates(words).0, "files");
    }
}
