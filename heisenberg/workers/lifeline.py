"""A worker ends when its parent does, however the parent ends.

The parent holds our standard input open and never writes to it: its end means the parent is gone. On
Linux the kernel is also asked to kill us, which works even while a model holds the interpreter.
"""

import ctypes
import os
import signal
import sys
import threading

PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Call once, first thing. Returns at once; the process exits with status 0 when the parent is gone."""
    # Ctrl-C goes to the terminal's foreground group; the parent decides when we end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_watch_stdin, name="lifeline", daemon=True).start()


def _watch_stdin() -> None:
    while True:
        try:
            if not os.read(0, 4096):
                break
        except OSError:
            break
    os._exit(0)
