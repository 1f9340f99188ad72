"""A recogniser that hears a whole command at once, and meanwhile guesses at what is there so far.

Whisper is not a streaming model, so partial transcripts are complete decodes of the command so far. They
run only while the recogniser is idle, and never more than half of the time, so that the final one
finds it free.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import numpy as np

from heisenberg.core.audio import PIPELINE_RATE_HZ, Samples
from heisenberg.core.errors import HeisenbergError, TranscriptionError
from heisenberg.core.stages import LeaseService, Recognition, Transcript
from heisenberg.stt.wyoming import Segment, segments, transcribe

log = logging.getLogger(__name__)

PARTIAL_EVERY_S = 0.5
"""New speech between two partial transcripts, in seconds of audio."""

LONGEST_PARTIAL_S = 20.0
"""A command longer than this is not guessed at any more: each guess would take too long."""


class BufferedRecogniser:
    """Speech to text through a Wyoming service.

    Args:
        lease: gives the service for the length of a block.
        language: ISO 639-1 code or ``auto``.
        partials: whether to transcribe while the user speaks.
        timeout_s: longest wait for a final transcript, in seconds.
    """

    def __init__(self, lease: LeaseService, *, language: str, partials: bool, timeout_s: float) -> None:
        self._lease = lease
        self._language = language
        self._partials = partials
        self._timeout_s = timeout_s

    def open(self, on_partial: Callable[[str], None]) -> Recognition:
        """Begin an utterance."""
        return BufferedRecognition(self, on_partial if self._partials else None)

    async def warm_up(self) -> None:
        """Start the service. Raises HeisenbergError."""
        async with self._lease():
            pass

    async def transcribe(self, samples: Samples, *, partial: bool = False) -> Transcript:
        """The words in 16 kHz *samples*. Raises TranscriptionError or RunnerError."""
        try:
            async with asyncio.timeout(self._timeout_s), self._lease() as service:
                try:
                    return await transcribe(
                        service.url,
                        samples,
                        self._language,
                        timeout_s=self._timeout_s * 0.9,
                        context={"partial": partial},
                    )
                except TranscriptionError as exc:
                    if exc.code != "upstream-error":
                        service.condemn(exc.message)
                    raise
        except TimeoutError as exc:
            raise TranscriptionError(
                f"No recogniser was free within {self._timeout_s:g} s. See stt.timeout_seconds.", code="stt-timeout"
            ) from exc

    async def segments(self, samples: Samples) -> AsyncGenerator[Segment, None]:
        """The segments of a whole recording. Raises TranscriptionError or RunnerError."""
        async with (
            self._lease() as service,
            aclosing(segments(service.url, samples, self._language, stall_s=self._timeout_s * 6)) as found,
        ):
            async for segment in found:
                yield segment


class BufferedRecognition:
    """One utterance being recognised."""

    def __init__(self, recogniser: BufferedRecogniser, on_partial: Callable[[str], None] | None) -> None:
        self._recogniser = recogniser
        self._on_partial = on_partial
        self._heard: list[Samples] = []
        self._heard_samples = 0
        self._decoded_samples = 0
        self._every_samples = int(PARTIAL_EVERY_S * PIPELINE_RATE_HZ)
        self._guess: asyncio.Task[None] | None = None

    def feed(self, samples: Samples) -> None:
        """More of the command."""
        self._heard.append(samples)
        self._heard_samples += len(samples)
        is_due = self._heard_samples - self._decoded_samples >= self._every_samples
        is_short = self._heard_samples <= LONGEST_PARTIAL_S * PIPELINE_RATE_HZ
        if self._on_partial is not None and is_due and is_short and (self._guess is None or self._guess.done()):
            self._decoded_samples = self._heard_samples
            self._guess = asyncio.create_task(self._guess_now(np.concatenate(self._heard)), name="partial transcript")

    async def finish(self, command: Samples) -> Transcript:
        """The final text."""
        self._on_partial = None  # a guess that is still under way comes too late
        return await self._recogniser.transcribe(command)

    async def cancel(self) -> None:
        """Forget it."""
        self._on_partial = None
        if self._guess is not None:
            self._guess.cancel()
            await asyncio.gather(self._guess, return_exceptions=True)

    async def _guess_now(self, samples: Samples) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            transcript = await self._recogniser.transcribe(samples, partial=True)
        except HeisenbergError as exc:
            log.debug("no partial transcript: %s", exc)
            return
        took_s = loop.time() - began
        self._every_samples = int(max(PARTIAL_EVERY_S, 2 * took_s) * PIPELINE_RATE_HZ)
        if self._on_partial is not None and transcript.text:
            self._on_partial(transcript.text)
