"""Wyoming wake-word services: a scripted one, and our own in a thread, which an engine is kept in step with."""

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
from wyoming.audio import AudioChunk, AudioStart
from wyoming.event import Event, async_read_event, async_write_event
from wyoming.info import Attribution, Describe, Info, WakeModel, WakeProgram
from wyoming.wake import Detect, Detection

from heisenberg.core.audio import Samples
from heisenberg.core.config import WakewordConfig
from heisenberg.core.stages import Wake, WakewordEngine
from heisenberg.runner.catalog.index import Catalog
from heisenberg.runner.catalog.store import Store
from heisenberg.server.audio.engines import NoSpeech
from heisenberg.server.wyoming.listening import wyoming_serving
from heisenberg.server.wyoming.waking import WakeWords
from heisenberg.wakeword.offered import OfferedPhrases
from heisenberg.wakeword.wyoming import WyomingWakeWordEngine
from tests.fakes.stages import WAKE
from tests.served import server_config

NOTHING: Samples = np.zeros(0, dtype=np.int16)
PATIENCE_S = 20.0


class WakeService:
    """Detects its word in each chunk that means WAKE, and says the chunk's time, as openWakeWord's service does."""

    def __init__(self, *words: str) -> None:
        self.words = words or ("hey_jarvis",)
        self.says: str | None = self.words[0]
        """The name in its detections."""
        self.says_time: object = self
        """The time in its detections, in place of the chunk's."""
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.answers_to_describe: bytes | None = None
        """Sent in place of its description."""
        self.answers_to_sound: bytes | Event | None = None
        """Sent at the first chunk; then it closes the connection."""
        self.is_deaf = False
        """It describes itself and then reads nothing."""
        self.is_mute = False
        """It takes connections and does nothing."""
        self.asked: list[list[str] | None] = []
        self.starts = 0
        self.chunks = 0
        self.connections = 0
        self.visits = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[str]:
        """Its URL; at the end everybody is sent away."""
        server = await asyncio.start_server(self._enter, "127.0.0.1", port)
        try:
            yield f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            self.send_away()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=PATIENCE_S)

    def send_away(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self.visits += 1
        try:
            await self._talk(reader, writer)
        except (OSError, EOFError, asyncio.CancelledError):
            """Somebody left."""
        finally:
            self.connections -= 1
            self._tasks.discard(task)
            writer.transport.abort()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_mute:
            await asyncio.Event().wait()
        while (event := await async_read_event(reader)) is not None:
            if Describe.is_type(event.type):
                await self._describe(writer)
            elif Detect.is_type(event.type):
                self.asked.append(Detect.from_event(event).names)
            elif AudioStart.is_type(event.type):
                self.starts += 1
            elif AudioChunk.is_type(event.type):
                self.chunks += 1
                if self.answers_to_sound is not None:
                    await _send(writer, self.answers_to_sound)
                    return
                await self._hear(AudioChunk.from_event(event), writer)

    async def _describe(self, writer: asyncio.StreamWriter) -> None:
        await _send(writer, described(self.words) if self.answers_to_describe is None else self.answers_to_describe)
        if self.is_deaf:
            await asyncio.Event().wait()

    async def _hear(self, chunk: AudioChunk, writer: asyncio.StreamWriter) -> None:
        if np.frombuffer(chunk.audio, dtype="<i2")[0] == WAKE:
            await self.may_answer.wait()
            timestamp = chunk.timestamp if self.says_time is self else self.says_time
            await _send(writer, Event(Detection().event().type, {"name": self.says, "timestamp": timestamp}))


def described(words: Sequence[str]) -> Event:
    by = Attribution("", "")
    models = [WakeModel(word, by, True, None, None, ["en"], None) for word in words]
    return Info(wake=[WakeProgram("fake", by, True, None, None, models)]).event()


async def _send(writer: asyncio.StreamWriter, what: bytes | Event) -> None:
    if isinstance(what, Event):
        await async_write_event(what, writer)
    else:
        writer.write(what)
        await writer.drain()


# ── our own, and an engine in step with it ───────────────────────────────────────────────────────


class _CountedWords:
    """Our phrases; says how much was heard by the engine that was opened last."""

    def __init__(self) -> None:
        self._offered = OfferedPhrases(WakewordConfig())
        self.changed = threading.Condition()
        self.opened = self.heard = self.wakes = 0

    def names(self) -> list[str]:
        return self._offered.names()

    def open(self, names: Sequence[str]) -> WakewordEngine:
        with self.changed:
            self.opened += 1
            self.heard = self.wakes = 0
        return _Counted(self._offered.open(names), self)


class _Counted:
    def __init__(self, engine: WakewordEngine, words: _CountedWords) -> None:
        self._engine = engine
        self._words = words
        self.reset, self.close = engine.reset, engine.close

    def process(self, samples: Samples) -> Wake | None:
        wake = self._engine.process(samples)
        with self._words.changed:
            self._words.heard += len(samples)
            self._words.wakes += wake is not None
            self._words.changed.notify_all()
        return wake


class OwnService:
    """What ``heisenberg serve --wyoming`` offers for wake words, in a thread."""

    def __init__(self, words: WakeWords) -> None:
        self._words = words
        self._loop = asyncio.new_event_loop()
        self._is_over = asyncio.Event()
        urls: queue.Queue[str] = queue.Queue()
        self._thread = threading.Thread(target=self._run, args=(urls,), name="wake service")
        self._thread.start()
        self.url = urls.get(timeout=PATIENCE_S)

    def close(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._is_over.set)
            self._thread.join(PATIENCE_S)

    def _run(self, urls: queue.Queue[str]) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve(urls))

    async def _serve(self, urls: queue.Queue[str]) -> None:
        folder = Path("/nonexistent")
        config = server_config(folder, {}, {"server": {"wyoming_ports": [0, 0, 0]}})
        async with wyoming_serving(config, Catalog(config, Store(folder)), NoSpeech(), self._words) as addresses:
            urls.put(addresses[2])
            await self._is_over.wait()


class InStep:
    """The Wyoming engine with our own service behind it. Sound goes no faster than the service hears it.

    Tests run through minutes of sound in seconds; a service is only as fast as it is.
    """

    def __init__(self) -> None:
        self._words = _CountedWords()
        self._service = OwnService(self._words)
        self._engine = WyomingWakeWordEngine(WakewordConfig(engine="wyoming", url=self._service.url))
        self._resets = self._sent = self._told = 0
        self._connect()

    def process(self, samples: Samples) -> Wake | None:
        wake = self._engine.process(samples)
        self._sent += len(samples)
        words = self._words
        with words.changed:
            has_heard = words.changed.wait_for(
                lambda: words.opened > self._resets and words.heard >= self._sent, PATIENCE_S
            )
            is_found = words.wakes > self._told
            self._told = words.wakes
        assert has_heard, "the service does not hear"
        pause = threading.Event()
        for _ in range(round(PATIENCE_S * 1000)):
            if wake is not None or not is_found:
                break
            pause.wait(0.001)
            wake = self._engine.process(NOTHING)
        return wake

    def reset(self) -> None:
        self._engine.reset()
        self._resets = self._words.opened
        self._sent = self._told = 0

    def close(self) -> None:
        self._engine.close()
        self._service.close()

    def _connect(self) -> None:
        """What is heard before there is a connection is lost; so it is made first."""
        words = self._words
        with words.changed:
            while not words.changed.wait_for(lambda: words.heard, 0.02):
                self._engine.process(np.zeros(512, dtype=np.int16))
        self.reset()
