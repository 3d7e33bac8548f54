//! Lines at the bottom of a terminal that are drawn again and again.
//!
//! Between two drawings the cursor rests where the first line begins. A terminal that becomes narrower breaks longer lines
//! or cuts them, and moves what lies above; but the cursor stays with its line, so that all below it is ours to clear, and
//! nobody has to know how many rows the lines take now.

/// Clears from the cursor to the end of the line, and to the end of the screen.
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";

/// Clears from the line of the cursor on. Not from the very first cell, which tmux takes for the end of a whole screen: that
/// would go into its history with all the pieces of lines.
const CLEAR_ALL: &str = "\r\x1b[K\x1b[C\x1b[J\r";

/// Whether a line that does not fit goes on in the next row. Off while lines are drawn: the terminal may have become narrower
/// since somebody asked.
const WRAP_OFF: &str = "\x1b[?7l";
const WRAP_ON: &str = "\x1b[?7h";

/// How large a terminal is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) columns: usize,
    pub(super) rows: usize,
}

/// What is drawn now.
#[derive(Debug, Default)]
pub(super) struct Screen {
    lines: Vec<String>,
    size: Size,
}

impl Screen {
    /// What the terminal is to be sent, so that it shows `lines` instead of those that it shows.
    pub(super) fn draw(&mut self, mut lines: Vec<String>, size: Size) -> String {
        // A row that has gone out at the top cannot be reached any more.
        lines.truncate(size.rows);
        if lines == self.lines && (size == self.size || lines.is_empty()) {
            return String::new();
        }
        let mut sent = if size == self.size { String::new() } else { self.clear() };
        self.size = size;
        if lines.is_empty() {
            sent.push_str(&self.clear());
            return sent;
        }
        let text = lines.join(&format!("{CLEAR_LINE}\r\n"));
        sent.push_str(&format!("\r{WRAP_OFF}{text}{CLEAR_BELOW}\r"));
        if lines.len() > 1 {
            sent.push_str(&format!("\x1b[{}A", lines.len() - 1));
        }
        sent.push_str(WRAP_ON);
        self.lines = lines;
        sent
    }

    /// What the terminal is to be sent, so that it shows none of the lines; nothing where it does not.
    pub(super) fn clear(&mut self) -> String {
        if std::mem::take(&mut self.lines).is_empty() { String::new() } else { CLEAR_ALL.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[&str]) -> Vec<String> {
        text.iter().copied().map(str::to_owned).collect()
    }

    #[test]
    fn the_cursor_rests_where_the_lines_begin() {
        let size = Size { columns: 80, rows: 24 };
        let mut screen = Screen::default();
        assert_eq!(screen.clear(), "");
        assert_eq!(screen.draw(lines(&[]), size), "");
        assert_eq!(screen.draw(lines(&["a"]), size), "\r\x1b[?7la\x1b[J\r\x1b[?7h");
        assert_eq!(screen.draw(lines(&["a"]), size), "");
        assert_eq!(screen.draw(lines(&["b", "c"]), size), "\r\x1b[?7lb\x1b[K\r\nc\x1b[J\r\x1b[1A\x1b[?7h");
        assert_eq!(screen.clear(), CLEAR_ALL);
        assert_eq!(screen.clear(), "");
        assert_eq!(screen.draw(lines(&["d"]), size), "\r\x1b[?7ld\x1b[J\r\x1b[?7h");
        assert_eq!(screen.draw(lines(&[]), size), CLEAR_ALL);
    }

    #[test]
    fn what_a_terminal_broke_is_cleared_before_the_next_drawing() {
        let mut screen = Screen::default();
        let _ = screen.draw(lines(&["a", "b"]), Size { columns: 80, rows: 24 });
        let narrower = Size { columns: 40, rows: 24 };
        assert!(screen.draw(lines(&["a", "b"]), narrower).starts_with(CLEAR_ALL));
        assert_eq!(screen.draw(lines(&["a", "b"]), narrower), "");
        let lower = screen.draw(lines(&["a", "b"]), Size { columns: 40, rows: 1 });
        assert_eq!(lower, format!("{CLEAR_ALL}\r\x1b[?7la\x1b[J\r\x1b[?7h"));
    }
}
