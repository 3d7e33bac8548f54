"""Asks a program for a password in a terminal and ends it there; prints as JSON what came of it.

Usage: password.py SIGNAL PROGRAM [ARGUMENT...], where SIGNAL is `key` for Ctrl-C as it is typed, or a name such as SIGTERM.
"""

import json
import os
import pty
import select
import signal
import sys
import termios
import time


def shows_typing(terminal: int) -> bool:
    wanted = termios.ECHO | termios.ICANON | termios.ISIG
    return termios.tcgetattr(terminal)[3] & wanted == wanted


def main() -> None:
    how, program, *arguments = sys.argv[1:]
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(program, [program, *arguments])
    at_first = shows_typing(terminal)
    deadline = time.monotonic() + 30
    shown = b""
    # The prompt comes a moment before the terminal stops to show what is typed.
    while (b"Password" not in shown or shows_typing(terminal)) and time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.02)[0]:
            shown += os.read(terminal, 65536)
    while_asked = shows_typing(terminal)
    if how == "key":
        os.write(terminal, b"sec\x03")
    else:
        os.write(terminal, b"sec")
        os.kill(child, signal.Signals[how])
    while time.monotonic() < deadline:
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            # How Linux says that nobody holds the other end any more.
            break
        shown += piece
    status = os.waitpid(child, 0)[1]
    print(
        json.dumps(
            {
                "exit": os.waitstatus_to_exitcode(status),
                "shown": shown.decode(errors="replace"),
                "shows_typing": [at_first, while_asked, shows_typing(terminal)],
            }
        )
    )


if __name__ == "__main__":
    main()
