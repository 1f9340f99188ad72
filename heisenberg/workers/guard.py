"""Runs a program that does not watch its parent, and ends it when ours is gone.

Usage: python guard.py PROGRAM ARGS...

Used for llama-server. Standard library only and run by path, so that it starts in milliseconds. It leads
the process group; whatever ends the guard's parent ends the program within a moment. On Linux the program also ends
when the guard is killed. Elsewhere the parent notices that and ends the group; only if both are killed at once the
program stays, until the next start of Heisenberg sweeps it up (``runner/supervisor/sweep.py``).
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def main(argv: list[str]) -> int:
    """Run *argv*; its exit status."""
    _die_with_parent()
    started: list[subprocess.Popen[bytes]] = []
    is_asked_to_end = threading.Event()

    def end(*_: object) -> None:
        is_asked_to_end.set()
        for program in started:
            program.terminate()

    signal.signal(signal.SIGTERM, end)  # before there is a program that could be left behind
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent)
    started.append(child)
    if is_asked_to_end.is_set():
        child.terminate()

    def watch() -> None:
        while True:
            try:
                if not os.read(0, 4096):
                    break
            except OSError:
                break
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)  # all that the program started, and us
        child.kill()
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    status = child.wait()
    return 128 - status if status < 0 else status


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: guard.py PROGRAM ARGS...")
    try:
        sys.exit(main(sys.argv[1:]))
    except OSError as error:
        sys.exit(f"{sys.argv[1]}: {error.strerror}")
