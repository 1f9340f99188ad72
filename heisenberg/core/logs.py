"""Logs: readable on a terminal, JSON lines elsewhere, and always in a rotating file.

Logs go to standard error; standard output belongs to results. Called once by ``main.py`` or ``cli.py``; modules
only say ``log = logging.getLogger(__name__)``. It never decides what is logged. Importing this file is cheap.
"""

import contextlib
import json
import logging
import logging.handlers
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import TextIO

log = logging.getLogger(__name__)

FILE_BYTES = 2_000_000
FILES_KEPT = 5
WAITING_RECORDS = 1000
CLOSE_TIMEOUT_SECONDS = 1.0
"""How long the last records may take at the end."""

_turn: ContextVar[int] = ContextVar("heisenberg_turn", default=0)

_LEVEL_COLOURS = {"DEBUG": "\x1b[2m", "WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[1;31m"}
_PLAIN = "\x1b[0m"


# ── the turn ─────────────────────────────────────────────────────────────────────────────────────


def bind_turn(turn: int) -> None:
    """Put *turn* into the log records of this task (or thread) from now on; 0 takes it out."""
    _turn.set(turn)


@contextlib.contextmanager
def in_turn(turn: int) -> Iterator[None]:
    """Put *turn* into the log records made inside the block."""
    token = _turn.set(turn)
    try:
        yield
    finally:
        _turn.reset(token)


def _stamp(record: logging.LogRecord) -> bool:
    """Note the turn when the record is made, so that it survives queues and other threads."""
    if not hasattr(record, "turn"):
        record.turn = _turn.get()
    return True


# ── how a record looks ───────────────────────────────────────────────────────────────────────────


def _short(name: str) -> str:
    return name.removeprefix("heisenberg.")


class PrettyFormatter(logging.Formatter):
    """``12:34:56.789 WARNING audio.microphone: message (turn 3)``."""

    def __init__(self, is_coloured: bool) -> None:
        super().__init__(datefmt="%H:%M:%S")
        self._is_coloured = is_coloured

    def format(self, record: logging.LogRecord) -> str:
        when = f"{self.formatTime(record, self.datefmt)}.{int(record.msecs):03d}"
        turn = getattr(record, "turn", 0)
        line = f"{when} {record.levelname:<7} {_short(record.name)}: {record.getMessage()}"
        line += f" (turn {turn})" if turn else ""
        colour = _LEVEL_COLOURS.get(record.levelname, "") if self._is_coloured else ""
        if colour:
            line = f"{colour}{line}{_PLAIN}"
        return line + _traceback(self, record)


class JsonFormatter(logging.Formatter):
    """One JSON object per record: ``at`` (ISO 8601, local offset), ``level``, ``logger``, ``turn``, ``message``.

    Whoever logs may add more with ``extra={"fields": {...}}``.
    """

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {
            "at": f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03d}"
            + self.formatTime(record, "%z"),
            "level": record.levelname.lower(),
            "logger": _short(record.name),
            "message": record.getMessage(),
        }
        if turn := getattr(record, "turn", 0):
            fields["turn"] = turn
        fields.update(getattr(record, "fields", {}))
        if trace := _traceback(self, record):
            fields["traceback"] = trace.strip()
        return json.dumps(fields, ensure_ascii=False)


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    text = "\n" + formatter.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""
    return text + ("\n" + formatter.formatStack(record.stack_info) if record.stack_info else "")


# ── where records go ─────────────────────────────────────────────────────────────────────────────

_OURS = "heisenberg: "  # how our handlers on the root logger are told from those of others


class _LogFile(logging.handlers.RotatingFileHandler):
    """A rotating file that complains once, not per record, when the disk is full or gone."""

    _has_complained = False

    def handleError(self, record: logging.LogRecord) -> None:
        if not self._has_complained:
            self._has_complained = True
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.write(f"Cannot write the log file {self.baseFilename}: {sys.exc_info()[1]}\n")


def configure(
    level: str = "info", file: str = "", stream: TextIO | None = None, *, on_terminal: str | None = None
) -> None:
    """Send every log record to *stream* and to a file. Calling it again replaces what it did before.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``, for our own modules. Others: warnings and worse.
        file: path of the rotating log (5 files of 2 MB); "" is in the user's log folder, "none" writes none.
            One that cannot be written is a warning, not a failure.
        stream: standard error if not given.
        on_terminal: least level shown where *stream* is a terminal, which has the timeline to show as well;
            *level* if not given. The file has all.
    """
    reset()
    root = logging.getLogger()
    threshold = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(max(threshold, logging.WARNING))
    for ours in _our_loggers():
        ours.setLevel(threshold)
    _attach(root, _unblocked(_stream_handler(stream or sys.stderr, on_terminal or level)), "stream")
    if file != "none":
        _attach_file(root, Path(file).expanduser() if file else default_file())
    logging.captureWarnings(True)
    _install_hooks()


def reset() -> None:
    """Undo :func:`configure`: handlers, levels, hooks."""
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if (handler.name or "").startswith(_OURS)]:
        root.removeHandler(handler)
        handler.close()
        root.setLevel(logging.WARNING)
    for ours in _our_loggers():
        ours.setLevel(logging.NOTSET)
    logging.captureWarnings(False)
    _remove_hooks()


def default_file() -> Path:
    """``heisenberg.log`` in the user's log folder."""
    import platformdirs

    return platformdirs.user_log_path("heisenberg", appauthor=False) / "heisenberg.log"


def _our_loggers() -> tuple[logging.Logger, ...]:
    return logging.getLogger("heisenberg"), logging.getLogger("__main__")  # a worker is __main__ in its process


def _attach(root: logging.Logger, handler: logging.Handler, name: str) -> None:
    handler.name = _OURS + name
    handler.addFilter(_stamp)
    root.addHandler(handler)


def _stream_handler(stream: TextIO, on_terminal: str) -> "logging.StreamHandler[TextIO]":
    handler = logging.StreamHandler(stream)
    if stream.isatty():
        handler.setLevel(on_terminal.upper())
        is_coloured = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        handler.setFormatter(PrettyFormatter(is_coloured))
    else:
        handler.setFormatter(JsonFormatter())
    return handler


class _Unblocked(logging.Handler):
    """Hands records to *handler* on a thread of its own.

    Whoever should read our standard error may not: a full pipe or a stopped terminal must stop neither the event
    loop nor the audio thread. Beyond :data:`WAITING_RECORDS` the newest records are dropped, and counted.
    """

    def __init__(self, handler: "logging.StreamHandler[TextIO]") -> None:
        super().__init__(handler.level)
        self._handler = handler
        self._records: queue.Queue[logging.LogRecord | None] = queue.Queue(WAITING_RECORDS)
        self._dropped = 0
        self._thread = threading.Thread(target=self._work, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if self._dropped:
                lost = logging.makeLogRecord({"name": __name__, "levelno": logging.WARNING, "levelname": "WARNING"})
                lost.msg = f"{self._dropped} log records were dropped: nobody reads them."
                self._records.put_nowait(lost)
                self._dropped = 0
            self._records.put_nowait(record)
        except queue.Full:
            self._dropped += 1

    def close(self) -> None:
        with contextlib.suppress(queue.Full):  # nobody reads; the thread ends with the process
            self._records.put(None, timeout=CLOSE_TIMEOUT_SECONDS)
            self._thread.join(CLOSE_TIMEOUT_SECONDS)
        super().close()

    def _work(self) -> None:
        """Write below the stream's own buffer, whose lock would be held for ever by a write that blocks; Python waits
        for that lock when it exits."""
        descriptor = self._handler.stream.fileno()
        while (record := self._records.get()) is not None:
            try:
                line = self._handler.format(record).encode("utf-8", "backslashreplace") + b"\n"
                while line:
                    line = line[os.write(descriptor, line) :]
            except OSError:
                return  # the reader has left
            except Exception:  # noqa: BLE001 - a record that cannot be formatted must not end the thread
                self._handler.handleError(record)


def _unblocked(handler: "logging.StreamHandler[TextIO]") -> logging.Handler:
    """*handler*, on a thread if its stream is a real one; memory cannot block."""
    try:
        handler.stream.fileno()
    except (OSError, ValueError, AttributeError):
        return handler
    return _Unblocked(handler)


def _attach_file(root: logging.Logger, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handler = _LogFile(path, maxBytes=FILE_BYTES, backupCount=FILES_KEPT - 1, encoding="utf-8")
    except OSError as exc:
        log.warning('No log file: %s: %s. Set log.file to a writable path or to "none".', path, exc.strerror or exc)
        return
    handler.setFormatter(JsonFormatter())
    _attach(root, handler, "file")


# ── failures that nobody catches ─────────────────────────────────────────────────────────────────


class _ThreadHook:
    """An exception that ended a thread goes into the log."""

    def __init__(self, previous: Callable[[threading.ExceptHookArgs], object]) -> None:
        self.previous = previous

    def __call__(self, failure: threading.ExceptHookArgs) -> None:
        if failure.exc_type is SystemExit:
            return
        name = failure.thread.name if failure.thread else "unknown"
        info = _exc_info(failure.exc_value)
        log.critical("Thread %s ended: %r", name, failure.exc_value, exc_info=info)


class _UnraisableHook:
    """An exception that could not be raised (in ``__del__``, in a callback from C) goes into the log."""

    def __init__(self, previous: Callable[["sys.UnraisableHookArgs"], object]) -> None:
        self.previous = previous

    def __call__(self, failure: "sys.UnraisableHookArgs") -> None:
        what = failure.err_msg or "Exception ignored in"
        log.error("%s %r: %r", what, failure.object, failure.exc_value, exc_info=_exc_info(failure.exc_value))


def _exc_info(exc: BaseException | None) -> tuple[type[BaseException], BaseException, TracebackType | None] | None:
    return (type(exc), exc, exc.__traceback__) if exc else None


def _install_hooks() -> None:
    threading.excepthook = _ThreadHook(threading.excepthook)
    sys.unraisablehook = _UnraisableHook(sys.unraisablehook)


def _remove_hooks() -> None:
    if isinstance(threading.excepthook, _ThreadHook):
        threading.excepthook = threading.excepthook.previous
    if isinstance(sys.unraisablehook, _UnraisableHook):
        sys.unraisablehook = sys.unraisablehook.previous
