//! Text for people: what comes from elsewhere made harmless, and times in words.

use std::time::Duration;

/// Whether a terminal does what a character says instead of showing it: control characters, and those that set the
/// direction of text or break its lines (Unicode UAX #9, UAX #14).
pub fn is_obeyed(c: char) -> bool {
    let is_direction =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || is_direction || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Makes foreign text fit for a terminal and a log: no control characters, one line, at most 300 characters.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|c| if is_obeyed(c) { ' ' } else { c }).take(300).collect::<String>().trim().to_owned()
}

/// A time for people, in a unit that suits it.
pub fn spoken(time: Duration) -> String {
    let seconds = time.as_secs();
    for (unit, size) in [("days", 86_400), ("hours", 3_600), ("minutes", 60)] {
        if seconds >= 2 * size {
            return format!("{} {unit}", seconds / size);
        }
    }
    format!("{seconds} s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_made_harmless() {
        assert_eq!(harmless("a\u{1b}[31mb\r\nc\u{202e}"), "a [31mb  c");
        assert_eq!(harmless(&"x".repeat(1000)).len(), 300);
    }

    #[test]
    fn a_wait_is_said_in_a_unit_that_suits_it() {
        for (seconds, words) in [
            (1, "1 s"),
            (119, "119 s"),
            (3600, "60 minutes"),
            (7200, "2 hours"),
            (1_000_000_000, "11574 days"),
        ] {
            assert_eq!(spoken(Duration::from_secs(seconds)), words);
        }
    }
}
