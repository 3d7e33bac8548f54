//! The program's name: as it is installed, and as the user types it.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::OnceLock;

use clap::Command;

/// The name under which it is installed, and by which our words call it until they are said.
pub(crate) const PROGRAM: &str = "modelops-bundle";

/// What the Python tool is called as well.
const PYTHON_PROGRAM: &str = "mops-bundle";

/// The names under which shells are to know it.
pub(super) fn names() -> Vec<&'static str> {
    let mut names = vec![PROGRAM, PYTHON_PROGRAM];
    if !names.contains(&name()) {
        names.push(name());
    }
    names
}

/// The name by which the user has started it: a link may have any.
pub(crate) fn name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        let typed = std::env::args_os().next();
        typed.as_deref().and_then(name_in).unwrap_or(PROGRAM).to_owned()
    })
}

/// Words in which commands that may be typed, each behind a backtick, begin with the name that the user types.
pub(crate) fn as_typed(words: &str) -> Cow<'_, str> {
    renamed(words, name())
}

/// The command line with its examples as the user types them.
pub(super) fn with_typed_examples(command: Command) -> Command {
    if name() == PROGRAM {
        return command;
    }
    let examples = command.get_after_help().map(ToString::to_string);
    let command = match examples {
        Some(examples) => {
            command.after_help(examples.replace(&format!("{PROGRAM} "), &format!("{} ", name())))
        }
        None => command,
    };
    command.mut_subcommands(with_typed_examples)
}

fn renamed<'a>(words: &'a str, name: &str) -> Cow<'a, str> {
    let command = format!("`{PROGRAM} ");
    if name == PROGRAM || !words.contains(&command) {
        return Cow::Borrowed(words);
    }
    Cow::Owned(words.replace(&command, &format!("`{name} ")))
}

/// The name in the first word of a command line, if a shell takes it as it is.
fn name_in(typed: &OsStr) -> Option<&str> {
    let name = Path::new(typed).file_name()?.to_str()?;
    let name = name.strip_suffix(std::env::consts::EXE_SUFFIX).unwrap_or(name);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    (!name.is_empty() && !name.starts_with('-') && name.chars().all(is_plain)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_begin_with_what_was_typed() {
        let words = "track with `modelops-bundle add`; modelops-bundle wrote `.modelops-bundle/env`";
        assert_eq!(renamed(words, PROGRAM), words);
        assert_eq!(renamed(words, "mb"), "track with `mb add`; modelops-bundle wrote `.modelops-bundle/env`");
        for (typed, name) in [
            ("mops-bundle", Some("mops-bundle")),
            ("/opt/bin/mb", Some("mb")),
            ("./modelops-bundle", Some("modelops-bundle")),
            ("-bash", None),
            ("two words", None),
            ("", None),
        ] {
            assert_eq!(name_in(OsStr::new(typed)), name, "{typed}");
        }
    }
}
