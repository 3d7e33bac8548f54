"""A program in a terminal of its own."""

import json
import os
import pty
from collections.abc import Callable


def watch(command: list[str], prepare: Callable[[int], None], look: Callable[[int, bytes], None]) -> None:
    """Runs `command`, and prints as JSON how it ended and all that it showed.

    `prepare` is called with the terminal as the program starts, `look` with it and all that was shown by then whenever
    there is more.
    """
    child, terminal = pty.fork()
    if child == 0:
        os.execv(command[0], command)
    prepare(terminal)
    shown = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            # How Linux says that nobody holds the other end any more.
            break
        if not piece:
            break
        shown += piece
        look(terminal, shown)
    status = os.waitpid(child, 0)[1]
    print(json.dumps({"exit": os.waitstatus_to_exitcode(status), "shown": shown.decode(errors="replace")}))
