"""Writes the folder of one turn: its sound, its events, and a summary of what became of it.

Everything is on disk as soon as it was handed over, so that a killed program leaves files that can be read. It knows
neither queues nor threads (``recorder.py``), nor the other turns (``recordings.py``).
"""

import contextlib
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from heisenberg.core.audio import AudioChunk
from heisenberg.core.events import Event
from heisenberg.sinks.outcome import Outcome
from heisenberg.sinks.recordings import EVENTS, SUMMARY, UNFINISHED_SUMMARY
from heisenberg.sinks.sanitise import as_json, plain


class SoundFile(Protocol):
    """A sound file being written."""

    def write(self, chunk: AudioChunk) -> None:
        """Append *chunk*, of any rate. Raises AudioError."""

    def close(self) -> None:
        """Finish the file. Raises AudioError."""


NewSoundFile = Callable[[Path], SoundFile]
"""Makes one. Raises AudioError."""


class TurnFolder:
    """One turn being written.

    Args:
        folder: an empty folder.
        turn: the turn's number.
        began: when, by the wall clock.
        about: what else belongs into the summary.
        new_sound_file: makes the files for its sound.
        is_incomplete: whether something of the turn was lost.

    Raises: OSError or AudioError, here and from every method but :meth:`close`.
    """

    def __init__(
        self,
        folder: Path,
        turn: int,
        began: datetime,
        about: Mapping[str, Any],
        new_sound_file: NewSoundFile,
        is_incomplete: Callable[[], bool],
    ) -> None:
        self.folder = folder
        self._outcome = Outcome()
        self._is_incomplete = is_incomplete
        self._about = {"turn": turn, "began": began.isoformat(timespec="seconds"), **about}
        self._new_sound_file = new_sound_file
        self._sounds: dict[str, SoundFile] = {}
        self._summarise()
        self._events = (folder / EVENTS).open("w", encoding="utf-8")

    def add_event(self, event: Event) -> None:
        """Append *event*; its end is also told in the summary."""
        was_over = self._outcome.is_over
        told = event.as_dict()
        self._events.write(as_json(told) + "\n")
        self._events.flush()
        self._outcome.take(told)
        if self._outcome.is_over and not was_over:
            self._summarise()

    def add_sound(self, name: str, chunk: AudioChunk) -> None:
        """Append *chunk* to the file of that name."""
        if name not in self._sounds:
            self._sounds[name] = self._new_sound_file(self.folder / name)
        self._sounds[name].write(chunk)

    def finish(self) -> None:
        """Nothing more comes."""
        for sound in self._sounds.values():
            sound.close()
        self._events.close()
        self._summarise()

    def close(self) -> None:
        """Release the files, whatever state they are in."""
        for close in (*(sound.close for sound in self._sounds.values()), self._events.close):
            with contextlib.suppress(Exception):
                close()

    def _summarise(self) -> None:
        """Write the summary anew; there is always a whole one."""
        summary = {**self._about, "incomplete": self._is_incomplete(), "outcome": self._outcome.as_dict()}
        part = self.folder / UNFINISHED_SUMMARY
        part.write_text(json.dumps(plain(summary), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        part.replace(self.folder / SUMMARY)
