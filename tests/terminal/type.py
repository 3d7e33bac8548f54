"""Types into a shell: `type.py SETUP TEXT EXPECTED SHELL [ARGUMENT…]`. Ends with 0 once EXPECTED is shown behind TEXT, else with 1
after a minute; prints what was shown."""
import os, pty, select, signal, struct, sys, termios, time, fcntl

setup, text, expected, *shell = sys.argv[1:]
child, terminal = pty.fork()
if child == 0:
    os.execvp(shell[0], shell)
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
deadline = time.monotonic() + 60
shown = ""


def wait_for(wanted, start):
    global shown
    while wanted not in shown[start:] and time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                shown += os.read(terminal, 65536).decode(errors="replace")
            except OSError:
                break
    return wanted in shown[start:]


# What is typed is shown too; so the words that are waited for are not typed as one.
os.write(terminal, f"{setup}; echo re''ady\n".encode())
ready = wait_for("ready", 0)
start = len(shown)
os.write(terminal, text.encode().decode("unicode_escape").encode())
found = ready and wait_for(expected, start)
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
print(shown)
sys.exit(0 if found else 1)
