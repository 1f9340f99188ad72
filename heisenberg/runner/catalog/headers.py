"""Headers of GGUF files, each read once: what a file says of itself is kept on disk until the file changes.

Between ``gguf.py``, which takes up to 0.2 s for a header, and the catalog, which asks for all of them at every listing.
One small JSON file for each model, so that writing one never costs or endangers the others. Finds no models.
"""

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import platformdirs

from heisenberg.core.errors import ModelUnreadable
from heisenberg.runner.catalog.gguf import GgufHeader, read_header

log = logging.getLogger(__name__)

FORMAT = 1
"""Goes up when headers are read in another way, so that old ones are read again."""
ENTRIES_MAX = 4096
ENTRY_BYTES_MAX = 16 << 20
"""A larger entry is not ours: a header has a million letters at most, for each of which JSON may take 12 bytes."""

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class _Stamp:
    """Changes when the file does."""

    size_bytes: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a file as long as it has this *stamp*."""

    stamp: _Stamp
    header: GgufHeader | None
    fault: str = ""
    """What is wrong with it, if there is no header."""


class Headers:
    """What GGUF files say of themselves. May be asked from any thread; not from the event loop, as it reads files.

    Args:
        folder: where headers are kept; made when needed. By default in the user's cache folder.
        limit: more files than so many are not kept; the oldest are forgotten first.
    """

    def __init__(self, folder: Path | None = None, limit: int = ENTRIES_MAX) -> None:
        self._folder = folder or platformdirs.user_cache_path("heisenberg", appauthor=False) / "headers"
        self._limit = limit
        self._known: dict[Path, _Known] = {}
        self._warned: dict[Path, str] = {}

    def of(self, path: Path) -> GgufHeader | None:
        """What the file at *path* says of itself; None if it cannot be read, which is logged once until it changes."""
        try:
            facts = path.stat()
        except (OSError, ValueError) as exc:
            self._warn(path, f"{path} cannot be used as a model: {exc}")
            return None
        stamp = _Stamp(facts.st_size, facts.st_mtime_ns, facts.st_ino)
        known = self._known.get(path)
        if known is None or known.stamp != stamp:
            known = self._load(path, stamp) or self._read(path, stamp)
            self._remember(path, known)
        if known.header is None:
            self._warn(path, known.fault)
        else:
            self._warned.pop(path, None)
        return known.header

    def fault(self, path: Path) -> str:
        """Why the file at *path* could not be read, when it was last asked for; empty if it could."""
        return self._warned.get(path, "")

    def _read(self, path: Path, stamp: _Stamp) -> _Known:
        try:
            known = _Known(stamp, read_header(path))
        except ModelUnreadable as exc:
            if isinstance(exc.__cause__, OSError):
                # A file can become readable without a change of its content.
                return _Known(_Stamp(-1, -1, -1), None, exc.message)
            known = _Known(stamp, None, exc.message)
        self._store(path, known)
        return known

    def _remember(self, path: Path, known: _Known) -> None:
        _put(self._known, path, known, self._limit)

    def _warn(self, path: Path, message: str) -> None:
        if self._warned.get(path) != message:
            _put(self._warned, path, message, self._limit)
            log.warning("%s", message)

    def _entry(self, path: Path) -> Path:
        return self._folder / f"{hashlib.sha256(os.fsencode(path)).hexdigest()[:32]}.json"

    def _load(self, path: Path, stamp: _Stamp) -> _Known | None:
        """What is on disk; None if nothing is, or it is damaged, outdated or somebody else's."""
        entry = self._entry(path)
        try:
            if entry.stat().st_size > ENTRY_BYTES_MAX:
                return None
            return _decode(json.loads(entry.read_bytes()), path, stamp)
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None

    def _store(self, path: Path, known: _Known) -> None:
        """Keep it on disk, if that is possible; without, all works as well, only slower."""
        entry = self._entry(path)
        scratch = entry.with_suffix(f".{os.getpid()}-{threading.get_ident()}.part")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            scratch.write_text(json.dumps(_encode(path, known)), encoding="ascii")
            scratch.replace(entry)
            self._prune()
        except OSError as exc:
            log.debug("the header of %s is not kept: %s", path, exc)
            with contextlib.suppress(OSError):
                scratch.unlink(missing_ok=True)

    def _prune(self) -> None:
        """Forget the oldest, and what was left behind by a process that ended while writing."""
        with os.scandir(self._folder) as found:
            entries = list(found)
        if len(entries) <= self._limit:
            return
        oldest_first = sorted(entries, key=lambda entry: entry.stat().st_mtime_ns)
        for entry in oldest_first[: len(entries) - self._limit]:
            Path(entry.path).unlink(missing_ok=True)


def _put(known: dict[Path, Value], path: Path, value: Value, limit: int) -> None:
    """Keep *value* as the newest; forget the oldest beyond *limit*."""
    known.pop(path, None)
    known[path] = value
    for oldest in list(known)[: max(0, len(known) - limit)]:
        known.pop(oldest, None)


def _encode(path: Path, known: _Known) -> dict[str, object]:
    header = known.header and _fields(known.header) | {"capabilities": sorted(known.header.capabilities)}
    return {
        "format": FORMAT,
        "path": os.fspath(path),
        "stamp": dataclasses.astuple(known.stamp),
        "header": header,
        "fault": known.fault,
    }


def _decode(entry: dict[str, Any], path: Path, stamp: _Stamp) -> _Known | None:
    is_path = entry["path"] == os.fspath(path)
    if entry["format"] != FORMAT or not is_path or _Stamp(*entry["stamp"]) != stamp:
        return None
    fault, found = entry["fault"], entry["header"]
    if found is None:
        return _Known(stamp, None, fault) if isinstance(fault, str) and fault else None
    header = GgufHeader(**found | {"capabilities": frozenset(found["capabilities"])})
    # Types are those of an empty header: somebody may have edited the file.
    if [type(value) for value in _fields(header).values()] != [type(value) for value in _fields(GgufHeader()).values()]:
        return None
    return _Known(stamp, header)


def _fields(header: GgufHeader) -> dict[str, object]:
    return {each.name: getattr(header, each.name) for each in dataclasses.fields(header)}
