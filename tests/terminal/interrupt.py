"""Runs a program in a terminal of its own, presses Ctrl-C once it shows TEXT, and prints as JSON what came of it.

Usage: interrupt.py TEXT PROGRAM [ARGUMENT...]
"""

import os
import sys

from terminal import watch


def main() -> None:
    text, *command = sys.argv[1:]
    is_pressed = False

    def look(terminal: int, shown: bytes) -> None:
        nonlocal is_pressed
        if not is_pressed and text.encode() in shown:
            os.write(terminal, b"\x03")
            is_pressed = True

    watch(command, prepare=lambda terminal: None, look=look)


if __name__ == "__main__":
    main()
