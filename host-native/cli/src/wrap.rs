//! Breaks sentences for a terminal, at words and never within what somebody may want to copy.

use textwrap::core::Word;
use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};

/// What a quoted path or command stands between.
const QUOTE: char = '`';

/// Breaks each line of `text` that is longer than `columns`. Indented lines are lists of paths, and stay as they are.
pub(super) fn wrap(text: &str, columns: usize) -> String {
    let options = Options::new(columns.max(1))
        .break_words(false)
        .word_separator(WordSeparator::Custom(words))
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit);
    let lines = text.split('\n').map(|line| match line.starts_with("  ") {
        true => line.to_owned(),
        false => textwrap::fill(line, &options),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The words of a line; what is quoted is one, whatever it holds.
fn words(line: &str) -> Box<dyn Iterator<Item = Word<'_>> + '_> {
    let mut rest = line;
    Box::new(std::iter::from_fn(move || {
        let (word, after) = rest.split_at(word_end(rest));
        rest = after;
        (!word.is_empty()).then(|| Word::from(word))
    }))
}

/// Where the first word ends, the spaces behind it included.
fn word_end(text: &str) -> usize {
    let mut at = 0;
    while let Some(next) = text[at..].find([' ', QUOTE]).map(|next| at + next) {
        if text[next..].starts_with(QUOTE) {
            let inside = next + QUOTE.len_utf8();
            // One that is never closed quotes nothing.
            at = text[inside..].find(QUOTE).map_or(inside, |end| inside + end + QUOTE.len_utf8());
        } else {
            return text.len() - text[next..].trim_start_matches(' ').len();
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_words_and_never_within_a_quotation() {
        for (text, wrapped) in [
            ("error: a tag moved\nhint: pull\n", "error: a tag\nmoved\nhint: pull\n"),
            ("run `modelops-bundle pull x` again", "run\n`modelops-bundle pull x`\nagain"),
            ("see https://example/long/path now", "see\nhttps://example/long/path\nnow"),
            ("in (`a b`), then", "in (`a b`),\nthen"),
            ("an odd ` is no quotation", "an odd ` is\nno quotation"),
            ("  a path with spaces", "  a path with spaces"),
            ("日本 日本 日本", "日本 日本\n日本"),
            ("fits", "fits"),
            ("", ""),
        ] {
            assert_eq!(wrap(text, 12), wrapped);
        }
        assert_eq!(wrap("a b", 0), "a\nb");
    }
}
