"""Scripted stages: a test says what each of them does, they write down what was asked of them.

Scripts are played in order. An ``asyncio.Event`` in a script makes the stage wait until the test sets it, and an
exception is raised; so the order of everything is in the test's hands. In fake audio a chunk carries its
meaning: :data:`WAKE` is the end of the wake phrase, :data:`SPEECH` is speech, :data:`QUIET` is silence.
"""

import asyncio
import queue
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np

from heisenberg.core.audio import CHUNK_SAMPLES, PIPELINE_RATE_HZ, AudioChunk, Samples
from heisenberg.core.events import Event, StateChanged
from heisenberg.core.stages import (
    Answer,
    CommandEnded,
    CommandStarted,
    EndReason,
    Exchange,
    OnWords,
    ReplySentence,
    ReplyToken,
    Resumed,
    SoftEnded,
    Thought,
    Transcript,
    VisualField,
    Wake,
)
from heisenberg.orchestrator.ambient.segments import Shape
from heisenberg.orchestrator.reports import Report

CHUNK_S = CHUNK_SAMPLES / PIPELINE_RATE_HZ

QUIET, SPEECH, WAKE = 0, 2_000, 1_000


def chunks(meaning: int, seconds: float = CHUNK_S) -> list[Samples]:
    """*seconds* of chunks that mean QUIET, SPEECH or WAKE."""
    return [np.full(CHUNK_SAMPLES, meaning, dtype=np.int16) for _ in range(max(1, round(seconds / CHUNK_S)))]


# ── hearing ──────────────────────────────────────────────────────────────────────────────────────


class FakeSource:
    """Delivers a script of chunks and errors, then ends. A callable in the script is called, on the audio thread."""

    def __init__(self, script: Iterable[Samples | Exception | Callable[[], object]], *, live: bool = False) -> None:
        self.live = live
        self._script = deque(script)
        self.is_closed = False
        self.reads = 0

    def read(self) -> Samples | None:
        while self._script and not self.is_closed:
            item = self._script.popleft()
            if isinstance(item, Exception):
                raise item
            if not callable(item):
                self.reads += 1
                return item
            item()
        return None

    def close(self) -> None:
        self.is_closed = True


class FakeRing:
    """Remembers everything."""

    def __init__(self) -> None:
        self.samples: Samples = np.zeros(0, dtype=np.int16)

    @property
    def written(self) -> int:
        return len(self.samples)

    def write(self, samples: Samples) -> None:
        self.samples = np.concatenate((self.samples, samples))

    def read_range(self, start: int, end: int) -> Samples:
        return self.samples[max(0, start) : end].copy()


class FakeWakeword:
    """Wakes at every WAKE chunk, or raises *error* there."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error
        self.resets = 0
        self.is_closed = False

    def process(self, samples: Samples) -> Wake | None:
        if samples[0] != WAKE:
            return None
        if self._error is not None:
            raise self._error
        return Wake("hey_jarvis", 0.97)

    def reset(self) -> None:
        self.resets += 1

    def close(self) -> None:
        self.is_closed = True


class FakeVad:
    """Sure of itself."""

    def process(self, samples: Samples) -> float:
        assert len(samples) == CHUNK_SAMPLES
        return 1.0 if samples[0] in (SPEECH, WAKE) else 0.0

    def reset(self) -> None:
        """Nothing to forget."""


class FakeEndpointer:
    """Speech begins at once; it pauses after *soft_end_s*, ends after *silence_s*, or never came in *no_speech_s*."""

    def __init__(self, silence_s: float = 0.32, no_speech_s: float = 2.0, soft_end_s: float = 10.0) -> None:
        self._configured = silence_s, no_speech_s
        self._soft_end_s = soft_end_s
        self.reset()

    def process(self, seconds: float, probability: float) -> CommandStarted | SoftEnded | Resumed | CommandEnded | None:
        start, self._at = self._at, self._at + seconds
        if probability > 0.5:
            self._spoken_to = self._at
            if self._start is None:
                self._start = start
                return CommandStarted(start)
            if self._is_pausing:
                self._is_pausing = False
                return Resumed()
        elif self._start is not None and self._at - self._spoken_to > self._silence_s - 1e-6:
            return self.finish(EndReason.SILENCE)
        elif self._start is not None and not self._is_pausing and self._at - self._spoken_to > self._soft_end_s - 1e-6:
            self._is_pausing = True
            return SoftEnded(self._start, self._spoken_to)
        elif self._start is None and self._at > self._no_speech_s:
            return self.finish(EndReason.NO_SPEECH)
        return None

    def finish(self, reason: EndReason) -> CommandEnded:
        if self._start is None:
            return CommandEnded(reason, self._at, self._at)
        return CommandEnded(reason, self._start, self._spoken_to)

    def wait_for(self, silence_seconds: float) -> None:
        self._silence_s = silence_seconds

    def reset(self, no_speech_seconds: float | None = None) -> None:
        self._silence_s, self._no_speech_s = self._configured
        self._no_speech_s = no_speech_seconds or self._no_speech_s
        self._at = self._spoken_to = 0.0
        self._start: float | None = None
        self._is_pausing = False


class FakeListener:
    """Stands where the audio thread is: reports what the test says, writes down what it is told."""

    def __init__(self, report: Callable[[Report], None]) -> None:
        self.report = report
        self.orders: list[str] = []
        self.waits: list[tuple[int, int, float]] = []
        self.captures = 0
        self.is_live = True
        self.progress: int | None = 0
        self.understood_s = 0.0

    def start(self) -> None:
        self.orders.append("start")

    def arm(self, known: int) -> None:
        if known >= self.captures:
            self.orders.append("arm")

    def capture(self, *, no_speech_s: float | None = None, after_reply: bool = False) -> int:
        self.orders.append("capture" if no_speech_s is None else f"capture for {no_speech_s:g} s")
        self.captures += 1
        return self.captures

    def guard(self, known: int, *, is_sounding: bool = False) -> None:
        if known >= self.captures:
            self.orders.append("guard, sounding" if is_sounding else "guard")

    def wait_for(self, capture: int, pause: int, silence_s: float) -> None:
        self.waits.append((capture, pause, silence_s))

    def overhear(self, shape: Shape | None, *, minds_wake_word: bool = True) -> None:
        self.orders.append("overhear nothing" if shape is None else "overhear")

    def understood(self, at_s: float) -> None:
        self.understood_s = at_s

    def stop(self) -> None:
        self.orders.append("stop")

    def abandon(self) -> None:
        self.orders.append("abandon")


# ── understanding ────────────────────────────────────────────────────────────────────────────────


class FakeRecognition:
    """One utterance."""

    def __init__(self, script: deque[str | Transcript | Exception | asyncio.Event], on_partial: Callable[[str], None]):
        self._script = script
        self.on_partial = on_partial
        self.fed: list[Samples] = []
        self.commands: list[Samples] = []
        self.is_cancelled = False

    def feed(self, samples: Samples) -> None:
        self.fed.append(samples)
        self._partial(f"{len(self.fed)} heard")

    def _partial(self, text: str) -> None:
        if not self.is_cancelled and not self.commands:
            self.on_partial(text)

    async def finish(self, command: Samples) -> Transcript:
        self.commands.append(command)
        item = await _next(self._script)
        return item if isinstance(item, Transcript) else Transcript(item, "en")

    async def cancel(self) -> None:
        self.is_cancelled = True


class FakeRecogniser:
    """Says what was enqueued, one item for each ``finish``."""

    is_streaming = False

    def __init__(self) -> None:
        self._script: deque[str | Transcript | Exception | asyncio.Event] = deque()
        self.opened: list[FakeRecognition] = []

    def enqueue(self, *items: str | Transcript | Exception | asyncio.Event) -> None:
        self._script.extend(items)

    def open(self, on_partial: Callable[[str], None], on_words: OnWords | None = None) -> FakeRecognition:
        self.opened.append(FakeRecognition(self._script, on_partial))
        return self.opened[-1]

    async def warm_up(self) -> None:
        """Always warm."""


def reply(text: str, **visual: str | float) -> list[Thought]:
    """The thoughts of a plain answer: each sentence as a token and a sentence, then the fields."""
    sentences = [f"{part.strip()}." for part in text.split(".") if part.strip()]
    spoken = [thought for s in sentences for thought in (ReplyToken(s), ReplySentence(s))]
    fields = [VisualField(name, value) for name, value in visual.items()]
    return [*spoken, *fields, Answer(text, dict(visual), len(text.split()))]


class FakeBrain:
    """Thinks what was enqueued, one script for each question."""

    model = "fake"

    def __init__(self) -> None:
        self._scripts: deque[Sequence[Thought | Exception | asyncio.Event]] = deque()
        self.asked: list[tuple[str, tuple[Exchange, ...], str | None]] = []
        self.prepared: list[tuple[Exchange, ...]] = []
        self.closed = 0

    def enqueue(self, *script: Thought | Exception | asyncio.Event) -> None:
        self._scripts.append(script)

    async def think(
        self, question: str, history: Sequence[Exchange], language: str | None = None
    ) -> AsyncIterator[Thought]:
        self.asked.append((question, tuple(history), language))
        script = deque(self._scripts.popleft())
        try:
            while script:
                yield await _next(script)
        finally:
            self.closed += 1

    async def prepare(self, history: Sequence[Exchange]) -> None:
        self.prepared.append(tuple(history))

    async def warm_up(self) -> None:
        """Always warm."""


# ── answering ────────────────────────────────────────────────────────────────────────────────────


class FakeVoice:
    """A tenth of a second of sound for each word. ``enqueue`` an error or an event for the next sentence."""

    def __init__(self) -> None:
        self._script: deque[Exception | asyncio.Event | None] = deque()
        self.spoken: list[tuple[str, str | None]] = []
        self.open = 0
        """Sentences under way."""

    def enqueue(self, *items: Exception | asyncio.Event | None) -> None:
        """One item for each word to come: an error, an event to wait for, or None."""
        self._script.extend(items)

    async def speak(self, text: str, language: str | None = None) -> AsyncGenerator[AudioChunk, None]:
        self.open += 1
        try:
            for word in text.split():
                if self._script:
                    item = self._script.popleft()
                    if isinstance(item, Exception):
                        raise item
                    if item is not None:
                        await item.wait()
                if any(character.isalnum() for character in word):
                    yield AudioChunk(np.full(2205, len(word) * 100, dtype=np.int16), 22_050)
            self.spoken.append((text, language))
        finally:
            self.open -= 1

    async def warm_up(self) -> None:
        """Always warm."""


class FakeOutput:
    """Plays at once, or when the test sets :attr:`heard`."""

    def __init__(self) -> None:
        self.played: list[AudioChunk] = []
        self.heard = asyncio.Event()
        self.heard.set()
        self.stops = 0
        self.error: Exception | None = None
        self.underruns = 0
        self._may_play = asyncio.Event()
        self._may_play.set()
        self._since = 0.0

    @property
    def played_seconds(self) -> float:
        return self._since

    @property
    def is_paused(self) -> bool:
        return not self._may_play.is_set()

    async def pause(self) -> None:
        self._may_play.clear()

    async def resume(self) -> None:
        self._may_play.set()

    async def play(self, chunk: AudioChunk) -> None:
        if self.error is not None:
            raise self.error
        self.played.append(chunk)
        self._since += chunk.seconds

    async def drain(self) -> float:
        await self.heard.wait()
        await self._may_play.wait()
        played, self._since = self._since, 0.0
        return played

    async def stop(self) -> float:
        self.stops += 1
        self._may_play.set()
        played, self._since = self._since, 0.0
        return played

    async def close(self) -> None:
        """Nothing to release."""


class RecordingSink:
    """Remembers every event and lets a test wait for one.

    The first one, which says that the session is ready, only sets :attr:`is_ready`.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.is_ready = False
        self._more = asyncio.Event()

    def handle(self, event: Event) -> None:
        if isinstance(event, StateChanged) and event.previous == "starting":
            assert not self.events
            self.is_ready = True
            return
        self.events.append(event)
        self._more.set()

    async def close(self) -> None:
        """Nothing to flush."""

    def types(self, turn: int | None = None) -> list[str]:
        """What happened (in *turn*); state changes with their state."""
        return [_shown(event) for event in self.events if turn is None or event.turn == turn]

    async def until(self, shown: str, times: int = 1) -> Event:
        """Wait until *shown* (``turn_completed``, ``state_changed:idle``) happened so often."""
        while len(found := [event for event in self.events if _shown(event) == shown]) < times:
            self._more.clear()
            await self._more.wait()
        return found[times - 1]


# ── services ─────────────────────────────────────────────────────────────────────────────────────


@dataclass
class FakeService:
    """A service at *url* under a lease; remembers being condemned."""

    url: str
    api_key: str = ""
    condemned: list[str] = field(default_factory=list)
    leases: int = 0
    """How many are held now."""

    def condemn(self, reason: str) -> None:
        self.condemned.append(reason)

    @asynccontextmanager
    async def lease(self) -> AsyncIterator["FakeService"]:
        self.leases += 1
        try:
            yield self
        finally:
            self.leases -= 1


class Reports(queue.SimpleQueue[Report]):
    """What the audio thread reported; ``get`` waits for the next, for a while."""

    def next(self) -> Report:
        return self.get(timeout=5)


def _shown(event: Event) -> str:
    return f"{event.type}:{event.state}" if isinstance(event, StateChanged) else event.type


async def _next(script: deque):  # type: ignore[no-untyped-def,type-arg]
    """The script's next item, after its waits; raises what is an exception."""
    while isinstance(item := script.popleft(), asyncio.Event):
        await item.wait()
    if isinstance(item, Exception):
        raise item
    return item
