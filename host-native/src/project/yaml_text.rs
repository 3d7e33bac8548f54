//! One setting changed in the text of a YAML file, with everything else left as it is: comments, order and quotes.
//!
//! Knows the plain form that such files have, settings in lines and one level of nesting. Whoever uses it has to check
//! that the result says what it is to say, and to write the file anew where it does not.

use std::ops::Range;

/// The text with the setting at `path` changed to `value`, which is one line of YAML, or without it where there is none;
/// nothing where the text has another form.
pub(super) fn with_setting(text: &str, path: &[&str], value: Option<&str>) -> Option<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    match path {
        [key] => {
            let whole = 0..lines.len();
            set(&mut lines, whole, "", key, value);
        }
        [folder, key] => {
            let entry = match (entry(&lines, 0..lines.len(), "", folder), value) {
                (Some(entry), _) => entry,
                (None, Some(_)) => {
                    lines.push(format!("{folder}:"));
                    lines.len() - 1..lines.len()
                }
                (None, None) => return Some(text.to_owned()),
            };
            let (_, rest) = lines.get(entry.start)?.split_once(':')?;
            if !is_blank(rest) {
                return None;
            }
            let below = entry.start + 1..entry.end;
            let first = lines.get(below.clone())?.iter().find(|line| !is_blank(line));
            let indent = first.map_or("  ", |line| indent_of(line)).to_owned();
            set(&mut lines, below, &indent, key, value);
            // What would be left is no setting: its value is nothing.
            if let Some(left) = self::entry(&lines, 0..lines.len(), "", folder).filter(|left| left.len() == 1)
            {
                lines.drain(left);
            }
        }
        _ => return None,
    }
    lines.push(String::new());
    Some(lines.join("\n"))
}

/// Replaces, removes or adds a setting in a stretch of lines.
fn set(lines: &mut Vec<String>, within: Range<usize>, indent: &str, key: &str, value: Option<&str>) {
    let end = within.end;
    let found = entry(lines, within, indent, key);
    let comment = found.as_ref().map_or("", |found| match &lines[found.clone()] {
        [line] => comment_of(line),
        _ => "",
    });
    let line = value.map(|value| format!("{indent}{key}: {value}{comment}"));
    lines.splice(found.unwrap_or(end..end), line);
}

/// The lines of a setting: the one with its key, and those of its value that follow.
fn entry(lines: &[String], within: Range<usize>, indent: &str, key: &str) -> Option<Range<usize>> {
    let is_key = |line: &String| {
        let rest = line.strip_prefix(indent).and_then(|rest| rest.strip_prefix(key));
        let rest = rest.and_then(|rest| rest.strip_prefix(':'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    let start = within.start + lines.get(within.clone())?.iter().position(is_key)?;
    let belongs = |line: &&String| {
        let is_deeper = indent_of(line).len() > indent.len();
        let is_item = line.strip_prefix(indent).is_some_and(|rest| rest == "-" || rest.starts_with("- "));
        is_blank(line) || is_deeper || is_item
    };
    let following = lines.get(start + 1..within.end)?.iter().take_while(belongs);
    let length = following.enumerate().filter(|(_, line)| !is_blank(line)).map(|(at, _)| at + 1).last();
    Some(start..start + 1 + length.unwrap_or_default())
}

/// Whether a line, or the rest of one, holds nothing but perhaps a comment.
fn is_blank(text: &str) -> bool {
    let text = text.trim_start();
    text.is_empty() || text.starts_with('#')
}

fn indent_of(line: &str) -> &str {
    &line[..line.len() - line.trim_start_matches(' ').len()]
}

/// The comment at the end of a line, with the spaces before it.
fn comment_of(line: &str) -> &str {
    let hash = line.match_indices(" #").map(|(at, _)| at).find(|at| {
        let before = &line[..*at];
        // What is in quotes is no comment.
        ['"', '\''].iter().all(|quote| before.matches(*quote).count().is_multiple_of(2))
    });
    hash.map_or("", |at| &line[line[..at].trim_end().len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# ours\nregistry_ref: a.example/b  # the lab's\n\nstorage:\n  # large files\n  mode: auto\n  \
                        force_oci_patterns:\n  - '*.csv'\n  - b # why\n  prefix: 'x #1' # y\n# last\nsymlinks: inside";

    fn changed(path: &[&str], value: Option<&str>) -> String {
        with_setting(TEXT, path, value).unwrap()
    }

    #[test]
    fn one_line_changes_and_the_rest_stays() {
        for (path, value, old, new) in [
            (&["registry_ref"][..], Some("c.example/d"), "a.example/b  #", "c.example/d  #"),
            (&["registry_ref"], None, "registry_ref: a.example/b  # the lab's\n", ""),
            (&["symlinks"], Some("never"), "symlinks: inside", "symlinks: never"),
            (&["layout"], Some("files"), "inside", "inside\nlayout: files"),
            (&["storage", "mode"], Some("oci-only"), "mode: auto", "mode: oci-only"),
            (&["storage", "prefix"], Some("z"), "'x #1' # y", "z # y"),
            (&["storage", "provider"], Some("s3"), "# y\n", "# y\n  provider: s3\n"),
            (
                &["storage", "force_oci_patterns"],
                Some("[\"*\"]"),
                "patterns:\n  - '*.csv'\n  - b # why\n",
                "patterns: [\"*\"]\n",
            ),
            (&["roles", "all"], Some("[a]"), "inside", "inside\nroles:\n  all: [a]"),
            (&["roles", "all"], None, "", ""),
        ] {
            let mut expected = TEXT.replacen(old, new, 1);
            if !path.starts_with(&["roles"]) || value.is_some() {
                expected.push('\n');
            }
            assert_eq!(changed(path, value), expected, "{path:?}");
        }
        assert_eq!(with_setting("", &["a"], Some("1")).unwrap(), "a: 1\n");
        assert_eq!(with_setting("", &["a", "b"], Some("1")).unwrap(), "a:\n  b: 1\n");
        assert_eq!(with_setting("a:\n  b: 1\nc: 2\n", &["a", "b"], None).unwrap(), "c: 2\n");
    }

    #[test]
    fn another_form_is_left_to_others() {
        assert_eq!(with_setting("a: {b: 1}\n", &["a", "b"], Some("2")), None);
        assert_eq!(with_setting("a: 1\n", &["a", "b", "c"], Some("2")), None);
    }
}
