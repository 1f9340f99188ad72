"""Writes down whole recordings: decodes them, cuts them into stretches, and has each one recognised.

The engine is leased for one stretch at a time, so that a spoken command waits for half a minute of the recording at
most, and a recording costs the same memory however long it is.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from heisenberg.core.audio import PIPELINE_RATE_HZ, Samples
from heisenberg.core.errors import TranscriptionError
from heisenberg.core.recordings import Passage, RecordingEnd, TimedWord, Wanted
from heisenberg.core.stages import LeaseService, ServiceLease
from heisenberg.stt.decoding import decoded
from heisenberg.stt.stretches import stretches

Entered = TypeVar("Entered")

RecogniseStretch = Callable[[ServiceLease, Samples, Wanted], AsyncGenerator[Passage, None]]
"""The passages of one stretch, with times from its beginning. Raises TranscriptionError."""


class RecordingTranscriber:
    """A ``FileTranscriber``.

    Args:
        lease: gives the engine for the length of a block.
        recognise: asks it.
        wait_s: longest wait for the engine, in seconds.
        open_files: how many files may be open at once, with others; each has a decoder. None is no bound.
    """

    def __init__(
        self,
        lease: LeaseService,
        recognise: RecogniseStretch,
        *,
        wait_s: float,
        open_files: asyncio.Semaphore | None = None,
    ) -> None:
        self._open_files = open_files
        self._lease = lease
        self._recognise = recognise
        self._wait_s = wait_s

    async def transcribe(self, file: Path, wanted: Wanted) -> AsyncGenerator[Passage | RecordingEnd, None]:
        """The passages of *file*, then its end. Raises AudioError, TranscriptionError, RunnerError."""
        async with AsyncExitStack() as stack:
            if self._open_files is not None:
                await self._wait(stack.enter_async_context(self._open_files))
            blocks = await stack.enter_async_context(aclosing(decoded(file)))
            async for part in await stack.enter_async_context(aclosing(self.listen(blocks, wanted))):
                yield part

    async def listen(
        self, blocks: AsyncIterator[Samples], wanted: Wanted
    ) -> AsyncGenerator[Passage | RecordingEnd, None]:
        """The same of sound (16 kHz) that is decoded already. Raises TranscriptionError, RunnerError."""
        samples_seen = 0
        spoken: Counter[str] = Counter()
        async with aclosing(stretches(blocks)) as found:
            async for at, samples in found:
                for passage in await self._passages(samples, wanted):
                    spoken[passage.language] += len(passage.text)
                    yield _shifted(passage, at)
                samples_seen = at + len(samples)
                if spoken and wanted.language is None:
                    wanted = replace(wanted, language=spoken.most_common(1)[0][0])
        language = spoken.most_common(1)[0][0] if spoken else wanted.language or "en"
        yield RecordingEnd(samples_seen / PIPELINE_RATE_HZ, language)

    async def _passages(self, samples: Samples, wanted: Wanted) -> list[Passage]:
        """All of one stretch: the engine is not held while a slow client reads."""
        async with AsyncExitStack() as stack:
            service = await self._wait(stack.enter_async_context(self._lease()))
            try:
                async with aclosing(self._recognise(service, samples, wanted)) as passages:
                    return [passage async for passage in passages]
            except TranscriptionError as exc:
                if exc.code not in ("upstream-error", "usage"):
                    service.condemn(exc.message)
                raise

    async def _wait(self, entering: Awaitable[Entered]) -> Entered:
        try:
            async with asyncio.timeout(self._wait_s):
                return await entering
        except TimeoutError as exc:
            raise TranscriptionError(
                f"No recogniser was free within {self._wait_s:g} s. See runner.wait_seconds.", code="stt-timeout"
            ) from exc


def _shifted(passage: Passage, samples: int) -> Passage:
    by = samples / PIPELINE_RATE_HZ
    words = tuple(TimedWord(w.word, w.start + by, w.end + by, w.probability) for w in passage.words)
    seek = passage.seek + round(by * 100)
    return replace(passage, start=passage.start + by, end=passage.end + by, seek=seek, words=words)
