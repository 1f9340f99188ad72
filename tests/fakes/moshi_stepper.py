"""A Kyutai recogniser that hears marks instead of speech: a frame filled with *n*/100 is where word *n* begins."""

from collections import deque
from collections.abc import Iterable, Mapping

import numpy as np

from heisenberg.workers.moshi_stream import FRAME_S, FRAME_SAMPLES, Frame, Step

PADDING, WORD_BEGINS = 3, 0
FIRST_WORD = 10
DELAY_FRAMES = 6


class Pieces:
    """A vocabulary from a table."""

    def __init__(self, table: Mapping[int, str | bytes]) -> None:
        self._table = table

    def piece(self, token: int) -> str | bytes | None:
        return self._table.get(token)


class FakeStepper:
    """Says word *n* six frames after its mark.

    Args:
        words: what it knows; the first is word 1.
        fails_at: the step that raises, counted over its life.
        stuck_at: the step after which it says nothing until it is reset.
        pause: what its pause heads say; None has none.
    """

    dtype = "float32"
    word_begins = WORD_BEGINS

    def __init__(
        self,
        words: Iterable[str],
        *,
        device: str = "cpu",
        prefix_s: float = 0.0,
        fails_at: int | None = None,
        stuck_at: int | None = None,
        pause: float | None = None,
    ) -> None:
        self.device, self.prefix_s = device, prefix_s
        self.delay_s = DELAY_FRAMES * FRAME_S
        self.has_pauses = pause is not None
        self.vocabulary = Pieces({FIRST_WORD + n: f"▁{word}" for n, word in enumerate(words)})
        self.steps = self.resets = 0
        self._fails_at, self._stuck_at, self._pause = fails_at, stuck_at, pause
        self._waiting: deque[int] = deque()
        self._said: deque[int] = deque()
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True

    def reset(self) -> None:
        self.resets += 1
        if self._stuck_at is not None and self.steps >= self._stuck_at:
            self._stuck_at = None
        self._waiting = deque([0] * DELAY_FRAMES)
        self._said.clear()

    def step(self, frame: Frame) -> Step:
        assert frame.shape == (FRAME_SAMPLES,)
        self.steps += 1
        if self.steps == self._fails_at:
            raise RuntimeError(f"{self.device} is lost")
        self._waiting.append(round(float(frame[0]) * 100))
        mark = self._waiting.popleft()
        if mark > 0:
            self._said.extend([WORD_BEGINS, FIRST_WORD + mark - 1])
        token = self._said.popleft() if self._said else PADDING
        if self._stuck_at is not None and self.steps >= self._stuck_at:
            token = PADDING
        return Step(token, () if self._pause is None else (self._pause,) * 4)


def marked(frames: int, marks: Mapping[int, int]) -> list[Frame]:
    """So many silent frames, but for *marks*: frame number → word number."""
    return [np.full(FRAME_SAMPLES, marks.get(n, 0) / 100, dtype=np.float32) for n in range(frames)]
