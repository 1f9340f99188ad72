"""The folder that holds all recorded turns: opens one for each turn, closes it in time, keeps all of them small enough.

Used by one thread, that of ``recorder.py``; it touches the disk and may wait for it.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from heisenberg.core.audio import AudioChunk
from heisenberg.core.config import DebugConfig
from heisenberg.core.errors import ConfigError
from heisenberg.core.events import Event
from heisenberg.sinks.recordings import new_folder, remove_oldest
from heisenberg.sinks.turn_folder import NewSoundFile, TurnFolder

log = logging.getLogger(__name__)

OPEN_TURNS = 2
"""A turn that interrupts another one begins before the last of the other was told."""

LOOK_EVERY_BYTES = 500_000
"""After so much sound the size of all turns is looked at, even within one."""


class RecordShelf:
    """All recorded turns, of which a few are open.

    Args:
        debug: where they are, and how large they may be together.
        about: what belongs into the summary of each.
        new_sound_file: makes their sound files.
        now: the wall clock.

    Raises: ConfigError if the folder cannot be written to; OSError and AudioError from :meth:`put` and :meth:`finish`.
    """

    def __init__(
        self, debug: DebugConfig, about: Mapping[str, Any], new_sound_file: NewSoundFile, now: Callable[[], datetime]
    ) -> None:
        self.folder = _prepared(debug.record_dir)
        self.torn: set[int] = set()
        """Turns of which something was lost; whoever loses it adds to them."""
        self._max_bytes = debug.max_megabytes * 1e6
        self._about = about
        self._new_sound_file = new_sound_file
        self._now = now
        self._open: dict[int, TurnFolder] = {}
        self._newest = 0
        self._unseen_bytes = 0

    def put(self, turn: int, what: Event | AudioChunk, name: str = "") -> None:
        """Write an event, or sound into the file of that *name*."""
        folder = self._open.get(turn) or self._opened(turn)
        if folder is None:
            log.debug("turn %d is closed; not recorded: %s", turn, name or what)
        elif isinstance(what, AudioChunk):
            folder.add_sound(name, what)
            self._unseen_bytes += what.samples.nbytes
            if self._unseen_bytes >= LOOK_EVERY_BYTES:
                self._shrink()
        else:
            folder.add_event(what)

    def finish(self) -> None:
        """Nothing more comes."""
        while self._open:
            self._finish_turn(min(self._open))
        self._shrink()

    def abandon(self) -> None:
        """Release the files, whatever state they are in."""
        for folder in self._open.values():
            folder.close()

    def _opened(self, turn: int) -> TurnFolder | None:
        if turn <= self._newest - OPEN_TURNS:
            return None
        self._newest = max(self._newest, turn)
        for old in [number for number in self._open if number <= self._newest - OPEN_TURNS]:
            self._finish_turn(old)
        began = self._now()
        path = new_folder(self.folder, turn, began)
        folder = TurnFolder(path, turn, began, self._about, self._new_sound_file, lambda: turn in self.torn)
        self._open[turn] = folder
        self._shrink()
        return folder

    def _finish_turn(self, turn: int) -> None:
        self._open[turn].finish()
        del self._open[turn]
        self.torn.discard(turn)

    def _shrink(self) -> None:
        self._unseen_bytes = 0
        remove_oldest(self.folder, self._max_bytes, keep={folder.folder for folder in self._open.values()})


def _prepared(record_dir: str) -> Path:
    """The folder, made if need be, after a try to write there."""
    folder = Path(record_dir).expanduser()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            return folder
    except OSError as exc:
        raise ConfigError(
            f'debug.record_dir is "{record_dir}", but nothing can be recorded there: {exc.strerror or exc}. Expected a '
            'folder that can be written to, or "" to record nothing.'
        ) from exc
