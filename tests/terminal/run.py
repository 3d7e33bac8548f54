"""Runs a program in a terminal of its own, makes that narrower on the way, and prints as JSON what came of it.

Usage: run.py PROGRAM [ARGUMENT...]
"""

import fcntl
import struct
import sys
import termios

from terminal import watch


def resize(terminal: int, rows: int, columns: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def main() -> None:
    is_small = False

    def look(terminal: int, shown: bytes) -> None:
        nonlocal is_small
        if not is_small and len(shown) >= 200:
            resize(terminal, 10, 30)
            is_small = True

    watch(sys.argv[1:], prepare=lambda terminal: resize(terminal, 24, 100), look=look)


if __name__ == "__main__":
    main()
