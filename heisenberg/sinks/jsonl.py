"""Writes every event as one JSON object on a line of its own, in UTF-8, each line flushed.

For scripts, the benchmark and the curious. It selects nothing and never stops a turn: a full disk is reported once,
and writing goes on when there is room again.
"""

import contextlib
import errno
import logging
import sys
from pathlib import Path
from typing import BinaryIO

from heisenberg.core.drops import Drops
from heisenberg.core.errors import SinkError
from heisenberg.core.events import Event
from heisenberg.sinks.sanitise import as_json
from heisenberg.sinks.writer import Writer

log = logging.getLogger(__name__)


class JsonLinesSink:
    """The events as JSON lines.

    Args:
        path: a file, which is replaced, or ``-`` for standard output.
        drops: told of each event that was not written because the file was too slow, under ``events``.

    Raises: SinkError (code ``sink-unwritable``) if the file cannot be opened.
    """

    def __init__(self, path: str | Path, *, drops: Drops | None = None) -> None:
        self._is_stdout = str(path) == "-"
        self._name = "standard output" if self._is_stdout else str(path)
        self._file: BinaryIO = _stdout() if self._is_stdout else _opened(Path(path))
        self._is_gone = False
        self._has_failed = False
        self._is_torn = False
        counted = drops or Drops()
        self._writer = Writer(self._write, "events", on_drop=lambda: counted.count("events"))

    def handle(self, event: Event) -> None:
        """Write *event*, soon and in order."""
        self._writer.put(as_json(event.as_dict()))

    async def close(self) -> None:
        """Write what waits and close the file."""
        await self._writer.close()
        if self._writer.dropped:
            log.warning("%s: %d events were not written; it was too slow", self._name, self._writer.dropped)
        self._is_gone = True
        if not self._is_stdout:
            with contextlib.suppress(OSError):
                self._file.close()

    def _write(self, line: str) -> None:
        if self._is_gone:
            return
        data = (b"\n" if self._is_torn else b"") + line.encode() + b"\n"
        try:
            _write_whole(self._file, data)
        except BrokenPipeError:
            self._is_gone = True  # the reader has left; that is its right
        except (OSError, ValueError) as exc:
            self._is_torn = True
            self._report(exc)
        else:
            self._is_torn = False

    def _report(self, exc: Exception) -> None:
        if not self._has_failed:
            self._has_failed = True
            reason = getattr(exc, "strerror", None) or exc
            log.error("%s: events cannot be written: %s. It is tried on; this is said once.", self._name, reason)


def _stdout() -> BinaryIO:
    """Standard output below its buffer: what a reader that left did not take is not tried again at exit."""
    sys.stdout.flush()
    raw: BinaryIO = getattr(sys.stdout.buffer, "raw", sys.stdout.buffer)
    return raw


def _opened(path: Path) -> BinaryIO:
    """*path* without a buffer: what could not be written is not kept, and cannot fail again when closing."""
    try:
        return path.expanduser().open("wb", buffering=0)
    except OSError as exc:
        raise SinkError(
            f"{path}: events cannot be written there: {exc.strerror or exc}. Give a file in a folder that exists and "
            'is writable, or "-" for standard output.'
        ) from exc


def _write_whole(file: BinaryIO, data: bytes) -> None:
    """A file without a buffer may take only the beginning."""
    rest = memoryview(data)
    while rest:
        written = file.write(rest)
        if not written:
            raise BlockingIOError(errno.EAGAIN, "it takes no more")
        rest = rest[written:]
    file.flush()
