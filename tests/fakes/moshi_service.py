"""A service that speaks our Moshi worker's wire, and hears words in numbers: a frame of the value n is the n-th word.

Like the real one it hears one stream at a time, writes two frames later than it hears, and catches up at a flush.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from wyoming.audio import AudioChunk, AudioStart
from wyoming.event import Event, async_read_event, async_write_event

from heisenberg.core.audio import Samples
from tests.fakes.stages import FakeService

FRAME = 1280
"""80 ms at 16 kHz."""
DELAY = 2
"""Frames between a word's sound and its text."""

WORDS = ("alpha", "bravo", "charlie", "delta", "echo")


def spoken(words: str, pause: int = 1, tail: int = 0) -> Samples:
    """Samples in which each of *words* lasts four frames, with *pause* frames after it and *tail* more at the end."""
    frames: list[int] = []
    for word in words.split():
        frames += [WORDS.index(word) + 1] * 4 + [0] * pause
    return np.repeat(np.array(frames + [0] * tail, dtype=np.int16), FRAME)


class MoshiService(FakeService):
    """Remembers what it heard, and has bad days."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"unix://{path}")
        self.heard: list[Samples] = []
        """All sound of each stream."""
        self.languages: list[str | None] = []
        self.flushes: list[int] = []
        self.deaths: list[int] = []
        """In each of the next streams: frames after which the connection breaks; 0 is never."""
        self.notices: list[str] = []
        self.error: Event | None = None
        """Answers each flush, in place of the words."""
        self.is_stuck = False
        """Reads, and says nothing."""
        self.pause: list[float] | None = None
        self.speed: dict[str, object] | None = {"real_time_factor": 0.3, "device": "cpu"}
        self.closed = asyncio.Event()
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (event := await async_read_event(reader)) is not None:
                if event.type == "speed" and self.speed is not None:
                    await async_write_event(Event("speed", self.speed), writer)
                elif event.type == "transcribe":
                    async with self._turn:
                        await self._hear(event, reader, writer)
                    return
        except (ConnectionError, EOFError):
            """The client left."""
        finally:
            writer.transport.abort()

    async def _hear(self, begin: Event, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert begin.data["context"] == {"stream": True}
        self.languages.append(begin.data.get("language"))
        stream = _Stream()
        self.heard.append(stream.samples)
        dies_after = self.deaths.pop(0) if self.deaths else 0
        number = len(self.heard) - 1
        while (event := await async_read_event(reader)) is not None:
            if AudioStart.is_type(event.type):
                assert (16_000, 2, 1) == tuple(event.data[key] for key in ("rate", "width", "channels"))
            elif AudioChunk.is_type(event.type):
                stream.take(np.frombuffer(event.payload or b"", dtype="<i2").astype(np.int16))
                self.heard[number] = stream.samples
                for told in stream.frames(self.pause):
                    if dies_after and stream.done > dies_after:
                        return
                    if not self.is_stuck:
                        await async_write_event(Event("transcript-chunk", told), writer)
            elif event.type == "flush":
                self.flushes.append(event.data["id"])
                for notice in self.notices:
                    await async_write_event(Event("notice", {"text": notice}), writer)
                answer = self.error or Event("flushed", {"id": event.data["id"], **stream.flush()})
                if not self.is_stuck:
                    await async_write_event(answer, writer)


class _Stream:
    """What one utterance says."""

    def __init__(self) -> None:
        self.samples: Samples = np.zeros(0, dtype=np.int16)
        self.done = 0
        self._told = 0
        self._words: list[list[object]] = []
        self._last = 0

    def take(self, samples: Samples) -> None:
        self.samples = np.concatenate([self.samples, samples])

    def frames(self, pause: Sequence[float] | None) -> list[dict[str, object]]:
        """An answer for each whole frame that is new."""
        answers = []
        while (self.done + 1) * FRAME <= len(self.samples):
            self._hear_frame()
            self.done += 1
            due = [word for word in self._words if word[1] <= (self.done - DELAY) * 0.08]  # type: ignore[operator]
            answers.append(self._answer(due[self._told :], pause))
            self._told = len(due)
        return answers

    def flush(self) -> dict[str, object]:
        self._told = len(self._words)
        text = " ".join(str(word[0]) for word in self._words)
        return {"text": text, "words": self._words, "at": len(self.samples) / 16_000}

    def _hear_frame(self) -> None:
        value = int(self.samples[self.done * FRAME])
        if value and value != self._last:
            at = round(self.done * 0.08, 3)
            self._words.append([WORDS[value - 1], at, at + 0.32])
        self._last = value

    def _answer(self, words: list[list[object]], pause: Sequence[float] | None) -> dict[str, object]:
        text = "".join(f" {word[0]}" for word in words)
        return {"text": text, "words": words, "at": self.done * 0.08, "pause": pause}


@asynccontextmanager
async def moshi_service() -> AsyncIterator[MoshiService]:
    """A service for the length of the block."""
    with tempfile.TemporaryDirectory(prefix="h-") as folder:
        service = MoshiService(Path(folder) / "s")
        server = await asyncio.start_unix_server(service.serve, Path(folder) / "s")
        try:
            yield service
        finally:
            server.close()
            async with asyncio.timeout(5):
                await server.wait_closed()
    assert 0 == service.leases, "a lease was not given back"
