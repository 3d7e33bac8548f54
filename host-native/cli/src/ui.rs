//! Where words go: results to standard output, everything else to standard error. The only file that prints.

use std::fmt::{Display, Write as _};
use std::io::{self, IsTerminal as _, Write};
use std::sync::Arc;

use modelops_bundle_report::FailedReport;
use serde::Serialize;

use super::echo::shown_again_after_a_signal;
use super::error::{CliError, Exit};
use super::lookalikes::is_to_be_numbered;
use super::program::as_typed;
use super::progress::{Board, Cleared, Watched, columns};
use super::signals::Run;
use super::wrap::wrap;
use modelops_bundle::progress::Progress;

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON document.
    Json,
}

/// How much is said besides results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Talk {
    /// What a person wants to know.
    Normal,
    /// Nothing but errors.
    Quiet,
}

/// Where results go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Surface {
    /// A terminal, which obeys control characters.
    Terminal,
    /// A file or another program.
    Other,
}

/// A command's voice.
#[derive(Clone)]
pub(crate) struct Ui {
    format: Format,
    talk: Talk,
    board: Arc<Board>,
    progress: Arc<dyn Progress>,
}

/// What a command found or did: one value for people and for machines.
pub(crate) trait Report: Serialize {
    /// Writes it for people.
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()>;

    /// Whether it tells what a command did, which its exit code says too, and not what somebody asked to know.
    fn is_account(&self) -> bool {
        false
    }
}

impl<R: Report> Report for FailedReport<'_, &R> {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        self.report.write_text(out)
    }
}

impl Ui {
    pub(crate) fn new(format: Format, talk: Talk, board: Board, run: Arc<Run>) -> Self {
        let board = Arc::new(board);
        let progress = Arc::new(Watched { board: Arc::clone(&board), run });
        Self { format, talk, progress, board }
    }

    /// Who is told how work gets on.
    pub(crate) fn progress(&self) -> &Arc<dyn Progress> {
        &self.progress
    }

    /// Where results go.
    pub(crate) fn surface(&self) -> Surface {
        if io::stdout().is_terminal() { Surface::Terminal } else { Surface::Other }
    }

    /// How results are printed.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Prints a command's result.
    pub(crate) fn report(&self, report: &impl Report) -> Result<(), CliError> {
        self.board.end();
        if self.format == Format::Text && self.talk == Talk::Quiet && report.is_account() {
            return Ok(());
        }
        let mut out = io::BufWriter::new(io::stdout().lock());
        match self.format {
            Format::Text => report.write_text(&mut out),
            Format::Json => serde_json::to_writer_pretty(&mut out, report)
                .map_err(io::Error::from)
                .and_then(|()| writeln!(out)),
        }
        .and_then(|()| out.flush())
        .or_else(|error| closed_is_fine(error).map_err(|error| CliError::unprinted(&error)))
    }

    /// Prints a result that is a failure as well, which it gives back: a machine gets one document, with the error in it.
    pub(crate) fn report_failed(&self, report: &impl Report, failure: CliError) -> CliError {
        match self.report(&FailedReport { report, failure: failure.document() }) {
            // People have read which paths it is about.
            Ok(()) if self.format == Format::Text => failure.paths([]),
            Ok(()) => failure.reported(),
            Err(unprinted) => unprinted,
        }
    }

    /// Prints text or bytes that are a result as they are.
    pub(crate) fn raw(&self, content: &[u8]) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        out.write_all(content)
            .and_then(|()| out.flush())
            .or_else(|error| closed_is_fine(error).map_err(|error| CliError::unprinted(&error)))
    }

    /// Says what goes on.
    pub(crate) fn note(&self, text: impl Display) {
        if self.talk == Talk::Normal {
            self.board.aside(|| say(&format!("{}\n", shown(&as_typed(&text.to_string())))));
        }
    }

    /// Says what the user should know although all went well.
    pub(crate) fn warning(&self, text: impl Display) {
        self.note(format_args!("warning: {text}"));
    }

    /// Says what the user must know, also one who wants to hear nothing.
    pub(crate) fn alarm(&self, text: impl Display) {
        self.board.aside(|| say(&format!("WARNING: {}\n", shown(&text.to_string()))));
    }

    /// Asks for the user's name at the terminal; `None` where there is none, or no answer.
    pub(crate) fn ask_user(&self, host: &str) -> Result<Option<String>, CliError> {
        if !io::stdin().is_terminal() {
            return Ok(None);
        }
        write!(io::stderr(), "User for {host}: ")?;
        let mut line = String::new();
        io::stdin().read_line(&mut line)?;
        Ok(Some(line.trim().to_owned()).filter(|user| !user.is_empty()))
    }

    /// Asks for a password at the terminal, which does not show it.
    pub(crate) fn ask_password(&self, host: &str) -> Result<String, CliError> {
        if !io::stdin().is_terminal() {
            return Err(CliError::new(Exit::Usage, "there is no terminal to ask for the password")
                .hint("give it on standard input, with --password-stdin"));
        }
        let shown_again = shown_again_after_a_signal();
        let password = rpassword::prompt_password(format!("Password for {host}: "));
        // Now it does so already.
        if let Some(shown_again) = shown_again {
            shown_again.keep();
        }
        password.map_err(|error| match error.kind() {
            // Ctrl-C, which comes as a key before it is a signal.
            io::ErrorKind::Interrupted => CliError::password_interrupted(),
            io::ErrorKind::UnexpectedEof => CliError::new(Exit::Usage, "no password was given")
                .hint("type it at the prompt, or give it on standard input, with --password-stdin"),
            _ => error.into(),
        })
    }

    /// Says that a key ended the command. Where no bar was in the way, the terminal shows the key behind what it showed last.
    pub(crate) fn interrupted(&self, error: &CliError) {
        if self.board.end() == Cleared::Nothing && io::stderr().is_terminal() {
            let _ = writeln!(io::stderr());
        }
        self.error(error);
    }

    /// Where the log goes: line by line, without a bar in its way.
    pub(crate) fn log(&self) -> impl Fn() -> LogLine + use<> {
        let board = Arc::clone(&self.board);
        move || LogLine(Arc::clone(&board))
    }

    /// Says why a command failed.
    pub(crate) fn error(&self, error: &CliError) {
        self.board.end();
        match self.format {
            Format::Text => self.error_aside(error),
            // There is one document, and it has been printed.
            Format::Json if error.is_reported => {}
            Format::Json => {
                let mut out = io::stdout().lock();
                let printed = serde_json::to_writer_pretty(&mut out, &error.document())
                    .map_err(io::Error::from)
                    .and_then(|()| writeln!(out));
                // Whoever reads documents does not get this one, as on a full disk: then a person is told.
                if printed.is_err() {
                    self.error_aside(error);
                }
            }
        }
    }

    /// Says it to a person, whatever the format is.
    pub(crate) fn error_aside(&self, error: &CliError) {
        say(&error.to_string());
    }
}

/// Writes sentences to standard error, on a terminal in lines that fit.
fn say(text: &str) {
    let stderr = io::stderr();
    let text = if stderr.is_terminal() { wrap(text, columns()) } else { text.to_owned() };
    // Nobody is there to be told that standard error is closed.
    let _ = stderr.lock().write_all(text.as_bytes());
}

/// A line of the log.
pub(crate) struct LogLine(Arc<Board>);

impl Write for LogLine {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let mut written = Ok(0);
        self.0.aside(|| written = io::stderr().write(text));
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Prints what a shell asked to know; nobody is there to be told that it could not be.
pub(crate) fn print_answer(kind: &str, lines: impl Iterator<Item = String>) {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let _ = writeln!(out, "{kind}");
    lines.for_each(|line| _ = writeln!(out, "{line}"));
    let _ = out.flush();
}

/// A reader that has seen enough, such as `head`, is no failure.
fn closed_is_fine(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }
}

/// Makes text from elsewhere fit for a terminal: control characters, and what cannot be seen, are shown by their numbers.
pub(crate) fn shown(text: &str) -> impl Display + '_ {
    Shown { text, obeyed: &[] }
}

/// The same for text of several lines, in which line ends and tabs are what they are.
pub(crate) fn shown_text(text: &str) -> impl Display + '_ {
    Shown { text, obeyed: &['\n', '\t'] }
}

struct Shown<'a> {
    text: &'a str,
    obeyed: &'static [char],
}

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Nearly every text, a hundred thousand times in a large project.
        if self.text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
            return f.write_str(self.text);
        }
        let mut before = None;
        let mut characters = self.text.chars().peekable();
        while let Some(c) = characters.next() {
            let after = characters.peek().copied();
            match is_to_be_numbered(before, c, after) && !self.obeyed.contains(&c) {
                true => write!(f, "{}", c.escape_unicode())?,
                false => f.write_char(c)?,
            }
            before = Some(c);
        }
        Ok(())
    }
}

/// How many paths a list for people names; a document names all.
const LISTED: usize = 50;

/// Writes one line a path, and at last how many more there are.
pub(crate) fn list(out: &mut dyn Write, verb: &str, paths: &[impl AsRef<str>]) -> io::Result<()> {
    for path in paths.iter().take(LISTED) {
        writeln!(out, "{verb} {}", shown(path.as_ref()))?;
    }
    match paths.len().saturating_sub(LISTED) {
        0 => Ok(()),
        more => writeln!(out, "{verb} {} more", counted(more, "file")),
    }
}

/// A number of bytes for people, in powers of 1024.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let unit = (count.ilog2() / 10).min(6) as usize;
    // Beyond 2^53 a digit of a rounded figure is lost, which nobody sees.
    let figure = count as f64 / (1u64 << (10 * unit)) as f64;
    format!("{figure:.1} {}", UNITS[unit - 1])
}

/// A count and its noun, `1 file` or `2 files`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_for_people() {
        for (count, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1 << 30, "1.0 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(bytes(count), text);
        }
        let mut out = Vec::new();
        list(&mut out, "wrote", &vec!["a".to_owned(); LISTED + 2]).unwrap();
        assert!(String::from_utf8(out).unwrap().ends_with("wrote a\nwrote 2 files more\n"));
        assert_eq!((counted(1, "file"), counted(0, "file")), ("1 file".to_owned(), "0 files".to_owned()));
    }
}
