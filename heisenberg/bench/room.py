"""An AudioSource that plays the scenes of ``room_life.py`` and says how many wake phrases were in them."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from heisenberg.bench.room_life import Loss, Piece, Scene, Scenes
from heisenberg.core.audio import CHUNK_SAMPLES, PIPELINE_RATE_HZ, Samples
from heisenberg.core.errors import AudioError

CALM_QUESTIONS = 3
"""What is asked at the end, when nothing goes wrong any more."""

ANSWER_S = 6.0
"""Wall time that a live room leaves for the answer after each scene; some answers are talked over all the same."""

LOST_READ_S = 0.02


class Room:
    """An AudioSource of scenes; ends with a few calm questions.

    Args:
        scenes: what happens.
        seconds: how long it goes on, in seconds of audio.
        goes_on: whether it goes on beyond that, up to twice as long.
        speed: with a number the source is live and runs so many times as fast as real time, whether or not the
            assistant listens; with 0 it waits while the assistant answers, and is otherwise as fast as it is read.
    """

    def __init__(
        self, scenes: Scenes, seconds: float, goes_on: Callable[[], bool] = lambda: False, speed: float = 0.0
    ) -> None:
        self.live = speed > 0
        self.script: Counter[str] = Counter()
        """How often each kind of scene was begun."""
        self.wakes = 0
        """How often the wake phrase was begun to be said clearly."""
        self.is_calm = False
        """Whether only the calm questions are left."""
        self._scenes = scenes
        self._seconds = seconds
        self._goes_on = goes_on
        self._speed = speed
        self._pieces = self._all_pieces()
        self._ready: Samples = np.zeros(0, dtype=np.int16)
        self._lost_reads = 0
        self._delivered = 0
        self._began_at: float | None = None
        self._closing = threading.Event()

    @property
    def audio_seconds(self) -> float:
        """How much was heard so far."""
        return self._delivered / PIPELINE_RATE_HZ

    def read(self) -> Samples | None:
        """See AudioSource."""
        self._fill()
        if self._closing.is_set():
            return None
        if not len(self._ready) and self._lost_reads:
            self._lost_reads -= 1
            self._closing.wait(LOST_READ_S)
            raise AudioError("The microphone is gone, as the soak wants it.", code="audio-input-lost")
        chunk, self._ready = self._ready[:CHUNK_SAMPLES], self._ready[CHUNK_SAMPLES:]
        self._delivered += len(chunk)
        if self.live:
            self._wait_until_said()
        return chunk if len(chunk) and not self._closing.is_set() else None

    def close(self) -> None:
        """See AudioSource."""
        self._closing.set()

    def _fill(self) -> None:
        """Have a chunk ready, or less at the end and before a loss."""
        while len(self._ready) < CHUNK_SAMPLES and not self._lost_reads and not self._closing.is_set():
            piece = next(self._pieces, None)
            if piece is None:
                return
            if isinstance(piece, Loss):
                self._lost_reads = piece.reads
            else:
                self._ready = np.concatenate([self._ready, piece])

    def _all_pieces(self) -> Iterator[Piece]:
        while self.audio_seconds < self._seconds or (self._goes_on() and self.audio_seconds < 2 * self._seconds):
            yield from self._played(self._scenes.draw())
        self.is_calm = True
        for _ in range(CALM_QUESTIONS):
            yield from self._played(self._scenes.calm())

    def _played(self, scene: Scene) -> Sequence[Piece]:
        self.script[scene.kind] += 1
        self.wakes += scene.wakes
        if self.live:
            return [*scene.pieces, self._scenes.pause(ANSWER_S * self._speed)]
        return scene.pieces

    def _wait_until_said(self) -> None:
        now = time.monotonic()
        if self._began_at is None:
            self._began_at = now
        self._closing.wait(self._began_at + self.audio_seconds / self._speed - now)
