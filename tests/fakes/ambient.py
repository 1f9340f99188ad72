"""A talk whose sound carries its words, for ambient mode: each word is a stretch of chunks with a number of its own.

:class:`TalkRecogniser` reads the numbers, as Whisper would (a segment at once) or as a streaming recogniser does
(each word when it has been said); :class:`FakeAnalyst` makes a picture of the last sentence.
"""

import asyncio
import functools
import random
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

import numpy as np

from heisenberg.core.audio import CHUNK_SAMPLES, PIPELINE_RATE_HZ, Samples
from heisenberg.core.config import PresetConfig
from heisenberg.core.recordings import TimedWord
from heisenberg.core.stages import Answer, OnWords, Transcript, VisualField
from tests.fakes.stages import CHUNK_S, QUIET, FakeSource

FIRST_WORD = 3_000
WORD_CHUNKS = 10
"""A third of a second."""


class Talk:
    """Words and pauses (in seconds), and their sound."""

    def __init__(self, *parts: str | float) -> None:
        self.words: list[str] = []
        self.chunks: list[Samples] = []
        self.add(*parts)

    def add(self, *parts: str | float) -> None:
        """More of it."""
        for part in parts:
            if isinstance(part, str):
                for word in part.split():
                    self._add(FIRST_WORD + len(self.words), WORD_CHUNKS)
                    self.words.append(word)
            else:
                self._add(QUIET, round(part / CHUNK_S))

    def _add(self, value: int, count: int) -> None:
        self.chunks += [np.full(CHUNK_SAMPLES, value, dtype=np.int16)] * count

    def source(self, *, live: bool = False) -> FakeSource:
        """As fast as can be, or about thirty times as fast as it is spoken, whoever is ready for it."""
        if not live:
            return FakeSource(self.chunks)
        tick = threading.Event()
        script: list[Samples | Exception | Callable[[], object]] = []
        for number, chunk in enumerate(self.chunks):
            script.append(chunk)
            if number % 8 == 0:
                script.append(functools.partial(tick.wait, 8 * CHUNK_S / 30))
        return FakeSource(script, live=True)


class TalkVad:
    """Sure of itself."""

    def process(self, samples: Samples) -> float:
        return 1.0 if samples[-1] >= FIRST_WORD else 0.0

    def reset(self) -> None:
        """Nothing to forget."""


class TalkRecogniser:
    """Reads a talk. *delays* are waited before each answer; errors among them are raised."""

    def __init__(self, talk: Talk, *, is_streaming: bool = False, seed: int | None = None) -> None:
        self.talk = talk
        self.is_streaming = is_streaming
        self.random = None if seed is None else random.Random(seed)
        self.failures: deque[Exception] = deque()
        self.finished: list[float] = []
        """The lengths of the segments, in seconds."""

    def open(self, on_partial: Callable[[str], None], on_words: OnWords | None = None) -> "TalkRecognition":
        return TalkRecognition(self, on_partial, on_words if self.is_streaming else None)

    async def warm_up(self) -> None:
        """Always warm."""


class TalkRecognition:
    """One segment."""

    def __init__(self, recogniser: TalkRecogniser, on_partial: Callable[[str], None], on_words: OnWords | None) -> None:
        self._recogniser = recogniser
        self._on_partial = on_partial
        self._on_words = on_words
        self._fed: Samples = np.zeros(0, dtype=np.int16)
        self._told = 0

    def feed(self, samples: Samples) -> None:
        self._fed = np.concatenate((self._fed, samples))
        self._tell(until=len(self._fed) - CHUNK_SAMPLES)

    async def finish(self, command: Samples) -> Transcript:
        recogniser = self._recogniser
        if recogniser.random is not None:
            await asyncio.sleep(recogniser.random.choice([0, 0.001, 0.02, 0.06]))
        if recogniser.failures:
            raise recogniser.failures.popleft()
        self._fed = command if len(command) else self._fed
        recogniser.finished.append(len(self._fed) / PIPELINE_RATE_HZ)
        self._tell(until=len(self._fed))
        return Transcript(" ".join(word.word for word in self._timed(len(self._fed))), "en")

    async def cancel(self) -> None:
        self._on_words = None

    def _tell(self, until: int) -> None:
        words = self._timed(until)
        if self._on_words is not None and words[self._told :]:
            self._on_words(words[self._told :])
            self._on_partial(" ".join(word.word for word in words))
        self._told = max(self._told, len(words))

    def _timed(self, until: int) -> list[TimedWord]:
        """The words that have been said whole."""
        found = []
        for code in sorted(set(self._fed[:until].tolist())):
            at = np.flatnonzero(self._fed[:until] == code)
            if code >= FIRST_WORD and len(at) >= WORD_CHUNKS * CHUNK_SAMPLES // 2:
                word = self._recogniser.talk.words[code - FIRST_WORD]
                found.append(TimedWord(word, at[0] / PIPELINE_RATE_HZ, (at[-1] + 1) / PIPELINE_RATE_HZ))
        return found


class FakeAnalyst:
    """Sees what was said last. Scripts (fields, events to wait for, errors) come first, one for each analysis."""

    model = "fake"

    def __init__(self, takes_s: float = 0.0) -> None:
        self.takes_s = takes_s
        self.asked: list[tuple[str, PresetConfig]] = []
        self.scripts: deque[Sequence[VisualField | Answer | Exception | asyncio.Event]] = deque()
        self.under_way = self.most_under_way = 0

    def enqueue(self, *script: VisualField | Answer | Exception | asyncio.Event) -> None:
        self.scripts.append(script)

    async def analyse(self, context: str, preset: PresetConfig) -> AsyncIterator[VisualField | Answer]:
        self.asked.append((context, preset))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            for item in self.scripts.popleft() if self.scripts else self._seen(context):
                if isinstance(item, Exception):
                    raise item
                if isinstance(item, asyncio.Event):
                    await item.wait()
                else:
                    await asyncio.sleep(self.takes_s / 3)
                    yield item
        finally:
            self.under_way -= 1

    def _seen(self, context: str) -> Iterable[VisualField | Answer]:
        visual: dict[str, str | float] = {"prompt": context.splitlines()[-1], "mood": "calm"}
        return [*(VisualField(name, value) for name, value in visual.items()), Answer("", visual, 5)]

    async def warm_up(self) -> None:
        """Always warm."""
