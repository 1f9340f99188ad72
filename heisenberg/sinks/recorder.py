"""Records each turn for diagnosis: what was heard, what was said, and everything that happened, a folder a turn.

In: the events, what was heard before and after the wake word (from the session), the reply (from the output).
Everything waits in one bounded queue for one thread, which alone touches the disk; what does not fit is dropped,
counted, and told in the turn's summary. A disk that refuses ends the recording, never a turn. How it looks on disk is
the affair of ``record_shelf.py``.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from heisenberg.core.audio import PIPELINE_RATE_HZ, AudioChunk, Samples
from heisenberg.core.config import Config
from heisenberg.core.drops import Drops
from heisenberg.core.errors import HeisenbergError
from heisenberg.core.events import Event
from heisenberg.sinks.record_shelf import RecordShelf
from heisenberg.sinks.recordings import COMMAND, REPLY, WAKE, settings_that_matter
from heisenberg.sinks.turn_folder import NewSoundFile

log = logging.getLogger(__name__)

DROPS_NAME = "recorder"
MAX_WAITING_BYTES = 8_000_000
"""Sound that may wait for the disk: four minutes of what was heard."""
MAX_WAITING_ITEMS = 10_000
CLOSE_SECONDS = 3.0

_FILES = {"wake": WAKE, "command": COMMAND}


def _wall_clock() -> datetime:
    return datetime.now().astimezone()


@dataclass(frozen=True, slots=True, eq=False)
class _Item:
    turn: int
    what: Event | AudioChunk
    name: str = ""
    """The file, for sound."""

    @property
    def sound_bytes(self) -> int:
        return self.what.samples.nbytes if isinstance(self.what, AudioChunk) else 0


class TurnRecorder:
    """A Sink, and a Recorder. Every method returns at once.

    Args:
        config: where to record (``debug.record_dir``), how much, and what to note of it.
        version: of this program.
        new_sound_file: makes the sound files.
        drops: counts what was lost, as ``recorder``.
        now: the wall clock.

    Raises: ConfigError if the folder cannot be written to.
    """

    def __init__(
        self,
        config: Config,
        version: str,
        new_sound_file: NewSoundFile,
        drops: Drops,
        now: Callable[[], datetime] = _wall_clock,
    ) -> None:
        about = {"version": version, "config": settings_that_matter(config)}
        self._shelf = RecordShelf(config.debug, about, new_sound_file, now)
        self._drops = drops
        self._waiting: deque[_Item] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._is_closing = False
        self._has_lost = False
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self.is_recording = True
        """False once it has given up, or was closed."""
        self.turn = 0
        """The newest turn that it was told of."""

    def handle(self, event: Event) -> None:
        """Keep *event*, if it belongs to a turn."""
        self.turn = max(self.turn, event.turn)
        self._put(_Item(event.turn, event))

    def heard(self, turn: int, what: str, samples: Samples) -> None:
        """Keep more of what was heard: 16 kHz; *what* is ``wake`` or ``command``. From any thread."""
        self._put(_Item(turn, AudioChunk(np.array(samples, dtype=np.int16), PIPELINE_RATE_HZ), _FILES[what]))

    def spoken(self, turn: int, chunk: AudioChunk) -> None:
        """Keep more of the reply."""
        self._put(_Item(turn, chunk, REPLY))

    async def close(self) -> None:
        """Write what waits, for :data:`CLOSE_SECONDS` at most. May be called twice."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        if self._thread.ident is None:
            return
        await asyncio.to_thread(self._thread.join, CLOSE_SECONDS)
        if self._thread.is_alive():
            log.warning("%s: the last recording is not complete: the disk is too slow.", self._shelf.folder)

    # ── the queue ────────────────────────────────────────────────────────────────────────────────

    def _put(self, item: _Item) -> None:
        if item.turn < 1:
            return
        with self._changed:
            if self._is_closing or not self.is_recording:
                return
            if len(self._waiting) >= MAX_WAITING_ITEMS or self._waiting_bytes + item.sound_bytes > MAX_WAITING_BYTES:
                self._lose(item)
                return
            self._waiting.append(item)
            self._waiting_bytes += item.sound_bytes
            self._changed.notify()
            if self._thread.ident is None:
                self._thread.start()

    def _lose(self, item: _Item) -> None:
        self._shelf.torn.add(item.turn)
        self._drops.count(DROPS_NAME)
        if not self._has_lost:
            self._has_lost = True
            log.warning("%s: the disk is too slow; recordings have gaps. This is said once.", self._shelf.folder)

    def _next(self) -> _Item | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closing)
            if not self._waiting:
                return None
            item = self._waiting.popleft()
            self._waiting_bytes -= item.sound_bytes
            return item

    # ── the thread ───────────────────────────────────────────────────────────────────────────────

    def _work(self) -> None:
        try:
            while (item := self._next()) is not None:
                self._shelf.put(item.turn, item.what, item.name)
            self._shelf.finish()
        except (OSError, HeisenbergError) as exc:
            log.warning(
                "debug.record_dir: %s: recording has stopped: %s. Heisenberg goes on without it; see to the folder and "
                "start it again.",
                self._shelf.folder,
                _reason(exc),
            )
        except Exception:
            log.exception("recording has stopped because of a fault in Heisenberg, which goes on without it")
        finally:
            with self._changed:
                self.is_recording = False
                self._waiting.clear()
            self._shelf.abandon()


def _reason(error: Exception) -> str:
    """What the system said: our own messages give advice that is meant for another place."""
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    return getattr(cause, "strerror", None) or str(cause)
