//! Characters that cannot be seen, and make one name look like another: which of them a terminal is shown by number.

use bundle_core::name::path::is_zero_width;

use modelops_bundle::remote::text::is_obeyed;

/// Between letters, they say whether the one joins the other.
const JOINERS: [char; 2] = ['\u{200c}', '\u{200d}'];

/// Asks for the coloured form of the symbol before it.
const EMOJI_FORM: char = '\u{fe0f}';

/// The frame of a key, around the digit before it.
const KEYCAP: char = '\u{20e3}';

/// Whether the reader of a text has to be shown `c` by its number, with what stands `before` and `after` it.
///
/// Joiners in scripts that join letters, and in emoji, are spelling and change what is seen, as Persian words and families of
/// emoji have them; anywhere else they only hide.
pub(super) fn is_to_be_numbered(before: Option<char>, c: char, after: Option<char>) -> bool {
    is_obeyed(c) || is_unseen(c) && !is_spelling(before, c, after)
}

fn is_unseen(c: char) -> bool {
    // Annotations between the lines are not shown either.
    is_zero_width(c) || matches!(c, '\u{fff9}'..='\u{fffb}')
}

fn is_spelling(before: Option<char>, c: char, after: Option<char>) -> bool {
    let (Some(before), after) = (before, after.unwrap_or(' ')) else { return false };
    match c {
        '\u{200d}' if is_emoji(before) || before == EMOJI_FORM => is_emoji(after),
        c if JOINERS.contains(&c) => is_joined(before) && is_joined(after),
        EMOJI_FORM => {
            is_emoji(before) || after == KEYCAP && (before.is_ascii_digit() || "#*".contains(before))
        }
        // Mongolian picks forms of its letters by these.
        '\u{180b}'..='\u{180f}' => matches!(before, '\u{1820}'..='\u{18aa}'),
        _ => false,
    }
}

/// Whether `c` is of a script whose letters may join: Arabic and its neighbours, those of India and south of it, Mongolian.
fn is_joined(c: char) -> bool {
    let is_of_script = matches!(
        c,
        '\u{600}'..='\u{dff}'
            | '\u{1000}'..='\u{109f}'
            | '\u{1780}'..='\u{18af}'
            | '\u{1a00}'..='\u{1c4f}'
            | '\u{a800}'..='\u{abff}'
            | '\u{fb50}'..='\u{fdff}'
            | '\u{fe70}'..='\u{fefc}'
            | '\u{11000}'..='\u{11fff}'
            | '\u{1e900}'..='\u{1e95f}'
    );
    is_of_script && !is_zero_width(c)
}

/// Whether `c` is a symbol that may be coloured.
fn is_emoji(c: char) -> bool {
    matches!(
        c,
        '©' | '®'
            | '\u{203c}'
            | '\u{2049}'
            | '\u{2122}'
            | '\u{2139}'
            | '\u{2190}'..='\u{21ff}'
            | '\u{2300}'..='\u{23ff}'
            | '\u{24c2}'
            | '\u{25a0}'..='\u{27bf}'
            | '\u{2934}'..='\u{2935}'
            | '\u{2b00}'..='\u{2bff}'
            | '\u{3030}'
            | '\u{303d}'
            | '\u{3297}'
            | '\u{3299}'
            | '\u{1f000}'..='\u{1faff}'
    )
}

#[cfg(test)]
mod tests {
    use crate::ui::shown;

    #[test]
    fn what_cannot_be_seen_is_shown_by_its_number() {
        for (text, expected) in [
            ("a\u{1b}[31m", "a\\u{1b}[31m"),
            ("a\u{202e}b\u{2066}é", "a\\u{202e}b\\u{2066}é"),
            ("a\u{200b}b", "a\\u{200b}b"),
            ("a\u{200c}b", "a\\u{200c}b"),
            ("model\u{200d}.py", "model\\u{200d}.py"),
            ("a\u{2060}b\u{feff}", "a\\u{2060}b\\u{feff}"),
            ("a\u{2028}b\u{2029}", "a\\u{2028}b\\u{2029}"),
            ("a\u{200e}\u{200f}\u{61c}", "a\\u{200e}\\u{200f}\\u{61c}"),
            ("a\u{e0061}\u{e007f}", "a\\u{e0061}\\u{e007f}"),
            ("a\u{fe0f}b\u{fe00}", "a\\u{fe0f}b\\u{fe00}"),
            ("葛\u{e0100}", "葛\\u{e0100}"),
            ("soft\u{ad}hyphen", "soft\\u{ad}hyphen"),
            ("a\u{34f}b", "a\\u{34f}b"),
            ("a\u{3164}\u{115f}\u{ffa0}", "a\\u{3164}\\u{115f}\\u{ffa0}"),
            ("a\u{180b}", "a\\u{180b}"),
            ("a\u{fff9}b", "a\\u{fff9}b"),
            // A joiner at an end, or beside another script or another joiner, joins nothing.
            ("\u{200c}می", "\\u{200c}می"),
            ("می\u{200c}", "می\\u{200c}"),
            ("می\u{200c}.csv", "می\\u{200c}.csv"),
            ("می\u{200c}\u{200c}خ", "می\\u{200c}\\u{200c}خ"),
            ("👩\u{200d}", "👩\\u{200d}"),
            ("👩\u{200c}🔬", "👩\\u{200c}🔬"),
            ("1\u{fe0f}", "1\\u{fe0f}"),
        ] {
            assert_eq!(shown(text).to_string(), expected, "{text:?}");
        }
    }

    #[test]
    fn ordinary_names_of_any_script_are_as_they_are() {
        for text in [
            "données/été.csv",
            "e\u{301}te\u{301}",
            "مدل.csv",
            "می\u{200c}خواهم",
            "क्\u{200d}ष",
            "ශ්\u{200d}රී",
            "מודל",
            "한국어/日本語　資料/中文",
            "ᠮᠣᠩᠭᠣᠯ\u{180b}",
            "👩\u{200d}🔬.png",
            "👩🏽\u{200d}🔬",
            "❤\u{fe0f}\u{200d}🔥",
            "✔\u{fe0f} done",
            "1\u{fe0f}\u{20e3}",
            "12\u{202f}% de\u{a0}cas",
            "…",
        ] {
            assert_eq!(shown(text).to_string(), text);
        }
    }
}
