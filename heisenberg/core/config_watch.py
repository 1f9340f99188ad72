"""Notices that the configuration file was changed, and reads it again.

A thread looks once a second, because not every file system tells of changes (network folders, some containers); a
signal makes it look at once. A file that is no valid configuration is one line in the log, and nothing changes. What a
changed configuration means is decided by whoever is told of it.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from pathlib import Path

from heisenberg.core.config import Config
from heisenberg.core.errors import ConfigError

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0

Stamp = tuple[int, int, int]
"""When it was written, its size, and which file it is (editors put another in its place)."""


class ConfigFile:
    """One configuration file, as it was when it was last read.

    Args:
        path: the file.
        load: reads all sources of the configuration again. Raises ConfigError.
    """

    def __init__(self, path: Path, load: Callable[[], Config]) -> None:
        self._path = path
        self._load = load
        self._read = self._seen = self._stamp()

    def look(self, *, at_once: bool = False) -> Config | None:
        """The configuration, if the file was changed and is valid; otherwise None.

        A file is read when it stayed the same from one look to the next, since somebody may be writing it; or
        *at_once*.
        """
        seen_before, self._seen = self._seen, self._stamp()
        is_settled = self._seen == seen_before or at_once
        if self._seen is None or self._seen == self._read or not is_settled:
            return None
        self._read = self._seen
        try:
            return self._load()
        except ConfigError as exc:
            log.error("%s The configuration stays as it was. [%s]", " ".join(exc.message.split("\n")), exc.code)
            return None

    def _stamp(self) -> Stamp | None:
        """None while there is no such file: an editor may be about to put it back."""
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino


class ConfigWatch:
    """The thread that looks at *file*, and tells *on_change* of it on *loop*."""

    def __init__(
        self,
        file: ConfigFile,
        on_change: Callable[[Config], None],
        loop: asyncio.AbstractEventLoop,
        *,
        poll_s: float = POLL_SECONDS,
    ) -> None:
        self._file = file
        self._on_change = on_change
        self._loop = loop
        self._poll_s = poll_s
        self._wake = threading.Event()
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name="configuration", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def look_now(self) -> None:
        """Do not wait for the next look. From any thread."""
        self._wake.set()

    def stop(self) -> None:
        """Look no more; waits for nothing, since a network folder may hang."""
        self._is_over = True
        self._wake.set()

    def _run(self) -> None:
        while not self._is_over:
            is_asked = self._wake.wait(self._poll_s)
            self._wake.clear()
            if self._is_over:
                return
            try:
                config = self._file.look(at_once=is_asked)
            except Exception:
                log.exception("the configuration file could not be looked at")
                continue
            if config is not None:
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is interested any more
                    self._loop.call_soon_threadsafe(self._on_change, config)
