//! The text of a patch: git's header, and hunks in the unified format
//! (<https://git-scm.com/docs/diff-format#generate_patch_text_with_p>).

use std::fmt::{self, Display, Write as _};
use std::ops::Range;

use bundle_core::file::File;
use imara_diff::{Algorithm, Diff, Hunk, InternedInput};

use super::Pair;

/// How many unchanged lines stand around what changed.
const CONTEXT: u32 = 3;

/// As far as git looks for a zero byte to tell binary content.
const LOOKED_AT: usize = 8000;

const NO_NEWLINE: &str = "\n\\ No newline at end of file\n";

/// What git's `index` lines call a file that is not there, and one that is empty.
const ABSENT: &str = "000000000000";
const EMPTY: &str = "e69de29bb2d1";

/// What the two files of a pair hold; the side where there is none holds nothing.
#[derive(Clone, Copy)]
pub(super) enum Content<'a> {
    /// The same.
    Same,
    /// These bytes.
    Bytes { old: &'a [u8], new: &'a [u8] },
    /// More than is shown.
    TooLarge,
}

/// Has `patch` say that it leaves the file out, and fail; it would else make an empty one of its header alone.
const NOT_HERE: &str = "GIT binary patch";

/// The patch of one path; empty where the two sides are the same.
pub(super) fn write_patch(pair: &Pair<'_>, content: Content<'_>) -> String {
    let mut out = String::new();
    // Text takes whatever is written to it.
    let _ = write(&mut out, pair, content);
    out
}

fn write(out: &mut String, pair: &Pair<'_>, content: Content<'_>) -> fmt::Result {
    let (a, b) = (Name { side: "a", pair }, Name { side: "b", pair });
    write_header(out, pair, &a, &b)?;
    let (old, new) = match content {
        Content::Same => return Ok(()),
        Content::TooLarge => {
            write_digests(out, pair)?;
            writeln!(out, "Files {} and {}, too large to show, differ", a.if_there(), b.if_there())?;
            return writeln!(out, "{NOT_HERE}");
        }
        Content::Bytes { old, new } => (old, new),
    };
    if old == new {
        return write_emptiness(out, pair);
    }
    let (Some(old), Some(new)) = (text(old), text(new)) else {
        write_digests(out, pair)?;
        writeln!(out, "Binary files {} and {} differ", a.if_there(), b.if_there())?;
        return writeln!(out, "{NOT_HERE}");
    };
    // A name with a space ends where the tab is.
    let end = if pair.path.as_str().contains(' ') { "\t" } else { "" };
    writeln!(out, "--- {}{}", a.if_there(), if pair.old.is_some() { end } else { "" })?;
    writeln!(out, "+++ {}{}", b.if_there(), if pair.new.is_some() { end } else { "" })?;
    write_hunks(out, old, new)
}

fn write_header(out: &mut String, pair: &Pair<'_>, a: &Name<'_>, b: &Name<'_>) -> fmt::Result {
    let mode = |file: &File| if file.executable == Some(true) { "100755" } else { "100644" };
    match (pair.old, pair.new) {
        (None, None) => Ok(()),
        (None, Some(new)) => writeln!(out, "diff --git {a} {b}\nnew file mode {}", mode(new)),
        (Some(old), None) => writeln!(out, "diff --git {a} {b}\ndeleted file mode {}", mode(old)),
        (Some(old), Some(new)) if old.is_same_as(new) => Ok(()),
        (Some(old), Some(new)) => {
            writeln!(out, "diff --git {a} {b}")?;
            // An unknown mode equals any.
            if old.executable.zip(new.executable).is_some_and(|(old, new)| old != new) {
                writeln!(out, "old mode {}\nnew mode {}", mode(old), mode(new))?;
            }
            Ok(())
        }
    }
}

/// Names both contents where no line of them follows: by the start of their digests, which are not git's own.
///
/// Git takes a header for one only where it has a second line, and refuses a patch that it cannot apply in full.
fn write_digests(out: &mut String, pair: &Pair<'_>) -> fmt::Result {
    let name = |file: Option<&File>| file.map_or_else(|| ABSENT.to_owned(), |file| file.digest.short());
    writeln!(out, "index {}..{}", name(pair.old), name(pair.new))
}

/// Says of an empty file that it comes or goes, as `patch` wants it: it is the name of nothing in git.
fn write_emptiness(out: &mut String, pair: &Pair<'_>) -> fmt::Result {
    match (pair.old, pair.new) {
        (None, Some(_)) => writeln!(out, "index {ABSENT}..{EMPTY}"),
        (Some(_), None) => writeln!(out, "index {EMPTY}..{ABSENT}"),
        _ => Ok(()),
    }
}

/// The name of a file on one side, quoted where git quotes it; letters beyond ASCII stay as they are.
struct Name<'a> {
    side: &'static str,
    pair: &'a Pair<'a>,
}

impl Name<'_> {
    /// The name, or what stands for a file that is not there.
    fn if_there(&self) -> impl Display {
        let file = if self.side == "a" { self.pair.old } else { self.pair.new };
        file.map_or_else(|| "/dev/null".to_owned(), |_| self.to_string())
    }
}

impl Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.pair.path.as_str();
        // A bundle's path holds no control character and no backslash.
        if path.contains('"') {
            return write!(f, "\"{}/{}\"", self.side, path.replace('"', "\\\""));
        }
        write!(f, "{}/{path}", self.side)
    }
}

/// The content as text, where it is some: git looks for a zero byte near its start, and this at UTF-8 too.
fn text(content: &[u8]) -> Option<&str> {
    if content.iter().take(LOOKED_AT).any(|byte| *byte == 0) {
        return None;
    }
    std::str::from_utf8(content).ok()
}

fn write_hunks(out: &mut String, old: &str, new: &str) -> fmt::Result {
    let lines = InternedInput::new(old, new);
    let mut diff = Diff::compute(Algorithm::Histogram, &lines);
    diff.postprocess_lines(&lines);
    let mut together: Vec<Hunk> = Vec::new();
    for hunk in diff.hunks() {
        if together.last().is_some_and(|last| last.before.end + 2 * CONTEXT < hunk.before.start) {
            write_hunk(out, &lines, &together)?;
            together.clear();
        }
        together.push(hunk);
    }
    write_hunk(out, &lines, &together)
}

/// Writes changes that lie so close together that they share their context.
fn write_hunk(out: &mut String, lines: &InternedInput<&str>, changes: &[Hunk]) -> fmt::Result {
    let (Some(first), Some(last)) = (changes.first(), changes.last()) else { return Ok(()) };
    let leading = first.before.start.min(CONTEXT);
    let trailing = (lines.before.len() as u32 - last.before.end).min(CONTEXT);
    let before = first.before.start - leading..last.before.end + trailing;
    let after = first.after.start - leading..last.after.end + trailing;
    writeln!(out, "@@ -{} +{} @@", Numbers(&before), Numbers(&after))?;
    let mut at = before.start;
    for change in changes {
        write_lines(out, ' ', lines, &lines.before, at..change.before.start)?;
        write_lines(out, '-', lines, &lines.before, change.before.clone())?;
        write_lines(out, '+', lines, &lines.after, change.after.clone())?;
        at = change.before.end;
    }
    write_lines(out, ' ', lines, &lines.before, at..before.end)
}

fn write_lines(
    out: &mut String,
    sign: char,
    lines: &InternedInput<&str>,
    side: &[imara_diff::Token],
    range: Range<u32>,
) -> fmt::Result {
    for token in side.get(range.start as usize..range.end as usize).unwrap_or_default() {
        let line = lines.interner[*token];
        let end = if line.ends_with('\n') { "" } else { NO_NEWLINE };
        write!(out, "{sign}{line}{end}")?;
    }
    Ok(())
}

/// Lines, given from 0, as a hunk's header names them: the first one, from 1, and how many unless there is one.
struct Numbers<'a>(&'a Range<u32>);

impl Display for Numbers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            // What comes after this line.
            0 => write!(f, "{},0", self.0.start),
            1 => write!(f, "{}", self.0.start + 1),
            count => write!(f, "{},{count}", self.0.start + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use bundle_core::digest::Digest;
    use bundle_core::name::path::BundlePath;
    use proptest::prelude::*;

    use super::*;

    fn patch(path: &str, old: Option<&str>, new: Option<&str>) -> String {
        let path: BundlePath = path.parse().unwrap();
        let file = |content: &str| File {
            path: path.clone(),
            digest: Digest::of(content.as_bytes()),
            size: content.len() as u64,
            executable: Some(content.starts_with("#!")),
        };
        let (before, after) = (old.map(file), new.map(file));
        let pair = Pair { path: &path, old: before.as_ref(), new: after.as_ref() };
        let [old, new] = [old, new].map(|content| content.unwrap_or_default().as_bytes());
        write_patch(&pair, Content::Bytes { old, new })
    }

    #[test]
    fn a_patch_is_as_git_prints_it() {
        for (path, old, new, expected) in [
            ("a", Some("1\n"), Some("2\n"), "diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-1\n+2\n"),
            (
                "a b",
                None,
                Some("1"),
                "diff --git a/a b b/a b\nnew file mode 100644\n--- /dev/null\n+++ b/a b\t\n@@ -0,0 +1 @@\n+1\n\\ No newline at end of file\n",
            ),
            (
                "q\"",
                Some("#!\n"),
                None,
                "diff --git \"a/q\\\"\" \"b/q\\\"\"\ndeleted file mode 100755\n--- \"a/q\\\"\"\n+++ /dev/null\n@@ -1 +0,0 @@\n-#!\n",
            ),
            (
                "e",
                None,
                Some(""),
                "diff --git a/e b/e\nnew file mode 100644\nindex 000000000000..e69de29bb2d1\n",
            ),
            (
                "b",
                None,
                Some("\0"),
                "diff --git a/b b/b\nnew file mode 100644\nindex 000000000000..6e340b9cffb3\nBinary files /dev/null and b/b differ\nGIT binary patch\n",
            ),
            ("same", Some("1"), Some("1"), ""),
        ] {
            assert_eq!(patch(path, old, new), expected, "{path}");
        }
    }

    /// What the lines of a patch say that either side is.
    fn sides(patch: &str) -> (String, String) {
        let body = patch.split_once("@@\n").map(|(_, body)| body).unwrap_or_default();
        let (mut old, mut new) = (String::new(), String::new());
        let mut lines = body.split_inclusive('\n').peekable();
        while let Some(line) = lines.next() {
            let is_last = lines.next_if(|next| next.starts_with('\\')).is_some();
            let (sign, line) = line.split_at(1);
            let line = if is_last { line.strip_suffix('\n').unwrap() } else { line };
            if sign != "+" {
                old.push_str(line);
            }
            if sign != "-" {
                new.push_str(line);
            }
        }
        (old, new)
    }

    proptest! {
        #[test]
        fn a_hunk_holds_both_sides(old in "[ab\n]{0,12}", new in "[ab\n]{0,12}") {
            // So short that all of both is in one hunk.
            let (old, new) = (old.replace("\n\n\n", "\n"), new.replace("\n\n\n", "\n"));
            prop_assume!(old.lines().count() <= 4 && new.lines().count() <= 4 && old != new);
            prop_assert_eq!(sides(&patch("x", Some(&old), Some(&new))), (old, new));
        }
    }
}
