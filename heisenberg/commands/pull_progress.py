"""How the progress of a pull looks: bars on a terminal, a few plain lines in a log. Both on standard error."""

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

SMALL_BYTES = 5_000_000
"""What is smaller than this gets no line of its own."""
QUIET_S = 5.0
"""Between two lines about the same thing."""


class Lines:
    """A line when something big begins, and one from time to time while it takes long."""

    def __init__(self) -> None:
        self._what = ""
        self._total_bytes = 0
        self._said_at = 0.0

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *failure: object) -> None:
        return

    def start(self, what: str, total_bytes: int) -> None:
        """Say what begins."""
        self._what, self._total_bytes, self._said_at = what, total_bytes, time.monotonic()
        if total_bytes >= SMALL_BYTES:
            self.note(f"{what} ({total_bytes / 1e6:.0f} MB)")
        elif not total_bytes:
            self.note(what)

    def reach(self, done_bytes: int) -> None:
        """Say so, if nothing was said for a while."""
        now = time.monotonic()
        if now - self._said_at >= QUIET_S:
            self._said_at = now
            share = f" ({100 * done_bytes // self._total_bytes} %)" if self._total_bytes else ""
            self.note(f"{self._what}: {done_bytes / 1e6:.0f} MB{share}")

    def done(self) -> None:
        """Say nothing: the next line will tell."""

    def note(self, text: str) -> None:
        """Print *text*."""
        print(text, file=sys.stderr, flush=True)


class Bars:
    """One bar at a time; it goes when the thing is done."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, markup=False)
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        # Results go through the bars' console only where both are the same screen, else they would miss a pipe.
        is_same_screen = sys.stdout.isatty()
        self._bars = Progress(*columns, console=self._console, transient=True, redirect_stdout=is_same_screen)
        self._task: TaskID | None = None

    def __enter__(self) -> "Bars":
        self._bars.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._bars.stop()

    def start(self, what: str, total_bytes: int) -> None:
        """Show a new bar instead of the last one."""
        self.done()
        self._task = self._bars.add_task(what, total=total_bytes or None)

    def reach(self, done_bytes: int) -> None:
        """Fill it."""
        if self._task is not None:
            self._bars.update(self._task, completed=done_bytes)

    def done(self) -> None:
        """Remove it."""
        if self._task is not None:
            self._bars.remove_task(self._task)
        self._task = None

    def note(self, text: str) -> None:
        """Print *text* above the bar."""
        self._console.print(text, soft_wrap=True)
