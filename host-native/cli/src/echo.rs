//! The terminal's settings while a password is typed: a signal ends the program without giving them back.

use modelops_bundle::leftovers::Unfinished;

/// Has the terminal show again what is typed, should a signal end the program before the answer is here.
#[cfg(unix)]
pub(super) fn shown_again_after_a_signal() -> Option<Unfinished> {
    use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
    let terminal = std::fs::File::open("/dev/tty").ok()?;
    let settings = tcgetattr(&terminal).ok()?;
    // Half a password would be the shell's next command, so that is dropped.
    Some(Unfinished::new(move || _ = tcsetattr(&terminal, OptionalActions::Flush, &settings)))
}

/// Consoles of other systems end a line on their own.
#[cfg(not(unix))]
pub(super) fn shown_again_after_a_signal() -> Option<Unfinished> {
    None
}
