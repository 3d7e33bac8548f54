"""Runs a program in a terminal of its own, presses Ctrl-C once it shows TEXT, and prints as JSON what came of it.

Usage: interrupt.py TEXT PROGRAM [ARGUMENT...]
"""

import json
import os
import pty
import sys


def main() -> None:
    text, program, *arguments = sys.argv[1:]
    child, terminal = pty.fork()
    if child == 0:
        os.execv(program, [program, *arguments])
    shown = b""
    is_pressed = False
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            # How Linux says that nobody holds the other end any more.
            break
        if not piece:
            break
        shown += piece
        if not is_pressed and text.encode() in shown:
            os.write(terminal, b"\x03")
            is_pressed = True
    status = os.waitpid(child, 0)[1]
    print(json.dumps({"exit": os.waitstatus_to_exitcode(status), "shown": shown.decode(errors="replace")}))


if __name__ == "__main__":
    main()
