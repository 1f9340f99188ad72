"""The connection to a Wyoming wake-word service: a thread that sends the sound and keeps what comes back.

The audio thread puts sound in and takes detections out; neither waits. A service that is gone is tried again after
longer and longer pauses, and both are said once. What a detection means in time is ``wyoming.py``'s affair.
"""

import asyncio
import contextlib
import logging
import socket
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wyoming.audio import AudioChunk, AudioStart
from wyoming.client import AsyncClient
from wyoming.error import Error
from wyoming.event import Event, Eventable
from wyoming.info import Describe, Info
from wyoming.wake import Detect, Detection

from heisenberg.core.audio import CHUNK_SAMPLES, PIPELINE_RATE_HZ, Samples
from heisenberg.core.drops import Drops
from heisenberg.core.errors import WakewordError
from heisenberg.runner.connection import NOT_WYOMING, connected
from heisenberg.wakeword.wyoming_words import Offered, known_words, word_called

log = logging.getLogger(__name__)

PAUSES_S = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Between attempts to connect."""

STEADY_S = 10.0
"""A connection that lasted so long was a good one: the next attempt comes soon again."""

ANSWER_S = 5.0
"""Longest wait for a connection, for a description, and for the service to take sound that it was sent."""

WAITING_CHUNKS = int(2.0 * PIPELINE_RATE_HZ / CHUNK_SAMPLES)
"""Two seconds of sound may wait for the service; then the oldest goes."""

UNSENT_BYTES = 1 << 16
"""The system would keep minutes of it, and a dead service would not be noticed for as long."""

DETECTIONS = 16
"""That may wait for the audio thread; it looks thirty times a second."""

CLOSE_S = 2.0

SAMPLES_PER_MS = PIPELINE_RATE_HZ // 1000


class _Lost(Exception):
    """The connection is of no use any more; its text says why."""


@dataclass(frozen=True, slots=True)
class Detected:
    """The service heard a word."""

    word: str
    """As the configuration calls it."""
    at: int | None
    """Number of the sample up to which it had listened, or of the chunk's first; None if it does not say."""


@dataclass(frozen=True, slots=True, eq=False)
class _Sound:
    stream: int
    at: int
    samples: Samples


async def offered_words(url: str) -> list[Offered]:
    """The words that the service at *url* knows. Raises one of NOT_WYOMING; waits as long as it takes."""
    async with connected(url) as client:
        return await _ask(client)


class Link:
    """One service, for as long as the engine lives.

    Args:
        url: ``tcp://`` or ``unix://``.
        words: as configured.
        drops: told of sound that the service was too slow for.
        pauses_s: between attempts; the last one counts for all that follow.
    """

    def __init__(self, url: str, words: Sequence[str], drops: Drops, pauses_s: Sequence[float]) -> None:
        self._url = url
        self._words = words
        self._drops = drops
        self._pauses_s = pauses_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sounds: deque[_Sound] = deque(maxlen=WAITING_CHUNKS)
        self._found: deque[Detected] = deque(maxlen=DETECTIONS)
        self._has_sound = asyncio.Event()
        self._is_closing = asyncio.Event()
        self._is_connected = self._is_lost = self._is_closed = False
        self._said_unknown: tuple[str, ...] = ()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="wake-word service", daemon=True)

    # ── from the audio thread ────────────────────────────────────────────────────────────────────

    def send(self, stream: int, at: int, samples: Samples) -> None:
        """Have *samples* sent, the first of which has the number *at*. A new *stream* begins anew. Never waits.

        Without a connection they are forgotten. Raises WakewordError if the thread has died.
        """
        if self._is_closed:
            return
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread.start()
        if self._failure is not None:
            raise WakewordError(f"The wake-word connection failed: {self._failure!r}") from self._failure
        if self._is_connected:
            if len(self._sounds) == WAITING_CHUNKS:
                self._drops.count("wakeword")
            self._sounds.append(_Sound(stream, at, samples))
            self._wake_up(self._loop, self._has_sound)

    def detected(self) -> Iterator[Detected]:
        """What was detected since the last call."""
        while self._found:
            yield self._found.popleft()

    def close(self) -> None:
        """End the connection and the thread. May be called twice."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._loop is not None:
            self._wake_up(self._loop, self._is_closing)
            self._thread.join(CLOSE_S)

    def _wake_up(self, loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(event.set)

    # ── the thread ───────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        try:
            loop = self._loop
            assert loop is not None
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(self._until_closed())
        except Exception as exc:  # whatever it is, nothing wakes any more; the audio thread is told
            log.exception("the thread of the wake-word service failed")
            self._failure = exc

    async def _until_closed(self) -> None:
        closing = asyncio.create_task(self._is_closing.wait())
        keeping = asyncio.create_task(self._keep_connected())
        await asyncio.wait({closing, keeping}, return_when=asyncio.FIRST_COMPLETED)
        if keeping.done():
            keeping.result()
        for task in (closing, keeping):
            task.cancel()
        await asyncio.gather(closing, keeping, return_exceptions=True)

    async def _keep_connected(self) -> None:
        loop, failures = asyncio.get_running_loop(), 0
        while True:
            began = loop.time()
            try:
                await self._serve()
            except (_Lost, *NOT_WYOMING) as exc:
                self._lost(exc)
            if loop.time() - began >= STEADY_S:
                failures = 0
            await asyncio.sleep(self._pauses_s[min(failures, len(self._pauses_s) - 1)])
            failures += 1

    async def _serve(self) -> None:
        """Use one connection until it is lost. Raises _Lost, or one of NOT_WYOMING."""
        async with contextlib.AsyncExitStack() as stack:
            async with asyncio.timeout(ANSWER_S):
                client = await stack.enter_async_context(connected(self._url))
                _keep_little(client)
                words = self._known(await _ask(client))
            self._sounds.clear()
            self._is_connected = True
            self._back()
            tasks = {asyncio.create_task(self._send(client, words)), asyncio.create_task(self._receive(client, words))}
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            finally:
                self._is_connected = False
                for task in tasks:
                    task.cancel()
                outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            for outcome in outcomes:
                if isinstance(outcome, Exception):
                    raise outcome

    async def _send(self, client: AsyncClient, words: dict[str, str]) -> None:
        stream: int | None = None
        while True:
            sound = await self._next_sound()
            if sound.stream != stream:
                stream = sound.stream
                await _tell(client, Detect(names=list(dict.fromkeys(words.values()))))
                await _tell(client, AudioStart(PIPELINE_RATE_HZ, 2, 1, timestamp=sound.at // SAMPLES_PER_MS))
            pcm = sound.samples.astype("<i2").tobytes()
            await _tell(client, AudioChunk(PIPELINE_RATE_HZ, 2, 1, pcm, timestamp=sound.at // SAMPLES_PER_MS))

    async def _next_sound(self) -> _Sound:
        while not self._sounds:
            self._has_sound.clear()
            await self._has_sound.wait()
        return self._sounds.popleft()

    async def _receive(self, client: AsyncClient, words: dict[str, str]) -> None:
        while (event := await client.read_event()) is not None:
            if Error.is_type(event.type):
                raise _Lost(f"it says: {Error.from_event(event).text}")
            if Detection.is_type(event.type) and (detected := _detected(event, words)) is not None:
                self._found.append(detected)
        raise _Lost("it has closed the connection, or sent what is no event")

    def _known(self, offered: Sequence[Offered]) -> dict[str, str]:
        words = known_words(self._words, offered)
        names = ", ".join(each.name for each in offered) or "none"
        if not words:
            raise _Lost(f"it knows none of wakeword.words; it has {names}")
        unknown = tuple(word for word in self._words if word not in words)
        if unknown and unknown != self._said_unknown:
            log.warning(
                "The wake-word service at %s does not know %s; it has %s.", self._url, ", ".join(unknown), names
            )
        self._said_unknown = unknown
        return words

    def _lost(self, error: Exception) -> None:
        if not self._is_lost:
            log.warning(
                "The wake-word service at %s cannot be used: %s. Nothing wakes until it can; it is tried again.",
                self._url,
                _why(error),
            )
        self._is_lost = True

    def _back(self) -> None:
        if self._is_lost:
            log.warning("The wake-word service at %s is back.", self._url)
        self._is_lost = False


def _keep_little(client: AsyncClient) -> None:
    """Have the system keep no more than two seconds of sound for a service that does not read."""
    writer: asyncio.StreamWriter | None = getattr(client, "_writer", None)
    found: socket.socket | None = None if writer is None else writer.get_extra_info("socket")
    if found is not None:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNSENT_BYTES)


async def _ask(client: AsyncClient) -> list[Offered]:
    """Which words it knows; none if it is a service for something else."""
    await client.write_event(Describe().event())
    while (event := await client.read_event()) is not None:
        if Info.is_type(event.type):
            models = [model for program in Info.from_event(event).wake for model in program.models]
            return [Offered(model.name, model.phrase or "") for model in models if model.installed]
    raise EOFError("it does not speak the Wyoming protocol")


async def _tell(client: AsyncClient, event: Eventable) -> None:
    """Raises OSError; TimeoutError if the service has stopped reading."""
    async with asyncio.timeout(ANSWER_S):
        await client.write_event(event.event())


def _detected(event: Event, words: dict[str, str]) -> Detected | None:
    """None for words that were not asked for: some services report all that they know."""
    name, at_ms = event.data.get("name"), event.data.get("timestamp")
    word = word_called(name if isinstance(name, str) else None, words)
    if word is None:
        return None
    return Detected(word, at_ms * SAMPLES_PER_MS if isinstance(at_ms, int) else None)


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"it does not answer within {ANSWER_S:g} s"
    return " ".join(str(error).split()) or type(error).__name__
