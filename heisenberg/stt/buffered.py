"""A recogniser that hears a whole command at once, and meanwhile guesses at what is there so far.

Whisper is not a streaming model, so partial transcripts are complete decodes of the command so far (of its last
seconds, where it is long). They run only while somebody speaks and the recogniser is idle, and as often as
``pace.py`` allows, so that the final one finds it free. A decode cannot be stopped: what is cancelled here is
answered to nobody, and the worker skips it if it has not begun.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import numpy as np

from heisenberg.core.audio import PIPELINE_RATE_HZ, Samples
from heisenberg.core.errors import HeisenbergError, TranscriptionError
from heisenberg.core.stages import LeaseService, OnWords, Recognition, ServiceLease, Transcript
from heisenberg.stt import wyoming
from heisenberg.stt.heard import Heard
from heisenberg.stt.pace import Pace

log = logging.getLogger(__name__)

CUT_MARK = "… "
"""Stands before a partial transcript that lacks its beginning."""


Ask = Callable[[ServiceLease, Samples, bool], Awaitable[Transcript]]
"""What a service understands of samples; True for a guess at a command that is not over. Raises TranscriptionError."""


class BufferedRecogniser:
    """Speech to text through a service: a Wyoming one, unless *ask* says how else it is asked.

    Args:
        lease: gives the service for the length of a block.
        language: ISO 639-1 code or ``auto``.
        partials: whether to transcribe while the user speaks.
        timeout_s: longest wait for a final transcript, in seconds.
    """

    is_streaming = False

    def __init__(
        self, lease: LeaseService, *, language: str, partials: bool, timeout_s: float, ask: Ask | None = None
    ) -> None:
        self._lease = lease
        self._ask = ask or self._ask_wyoming
        self._language = language
        self._partials = partials
        self._timeout_s = timeout_s
        self.pace = Pace()

    def open(self, on_partial: Callable[[str], None], on_words: OnWords | None = None) -> Recognition:
        """Begin an utterance. Its words are certain at its end only: *on_words* is not called."""
        return BufferedRecognition(self, on_partial if self._partials else None)

    async def warm_up(self) -> None:
        """Start the service. Raises HeisenbergError."""
        async with self._lease():
            pass

    async def transcribe(self, samples: Samples, *, partial: bool = False) -> Transcript:
        """The words in 16 kHz *samples*. Raises TranscriptionError or RunnerError."""
        async with AsyncExitStack() as stack:
            service = await self._wait_for_service(stack)
            try:
                return await self._ask(service, samples, partial)
            except TranscriptionError as exc:
                if exc.code != "upstream-error":
                    service.condemn(exc.message)
                raise

    async def _ask_wyoming(self, service: ServiceLease, samples: Samples, partial: bool) -> Transcript:
        context = {"partial": partial}
        return await wyoming.transcribe(
            service.url, samples, self._language, timeout_s=self._timeout_s, context=context
        )

    async def _wait_for_service(self, stack: AsyncExitStack) -> ServiceLease:
        """Its wait has a bound of its own: who waited long must still notice a recogniser that hangs."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await stack.enter_async_context(self._lease())
        except TimeoutError as exc:
            raise TranscriptionError(
                f"No recogniser was free within {self._timeout_s:g} s. See stt.timeout_seconds.", code="stt-timeout"
            ) from exc


class BufferedRecognition:
    """One utterance being recognised."""

    def __init__(self, recogniser: BufferedRecogniser, on_partial: Callable[[str], None] | None) -> None:
        self._recogniser = recogniser
        self._on_partial = on_partial
        self._heard = Heard()
        self._decoded_samples = 0
        self._guess: asyncio.Task[None] | None = None
        self._finishing = 0
        self._known: tuple[Samples, Transcript] | None = None

    def feed(self, samples: Samples) -> None:
        """More of the command."""
        self._heard.add(samples)
        if self._on_partial is not None and self._may_guess():
            self._decoded_samples = self._heard.samples
            self._guess = asyncio.create_task(self._guess_now(self._on_partial), name="partial transcript")

    async def finish(self, command: Samples) -> Transcript:
        """The final text.

        May be cancelled, and called again whether or not more was fed; the same samples are not decoded twice. A
        guess that is under way is dropped.
        """
        if self._known is not None and np.array_equal(self._known[0], command):
            return self._known[1]
        self._finishing += 1
        try:
            await self._stop_guess()
            self._decoded_samples = self._heard.samples
            began = _now()
            transcript = await self._recogniser.transcribe(command)
            self._recogniser.pace.finished(_now() - began)
        finally:
            self._finishing -= 1
        self._known = command, transcript
        return transcript

    async def cancel(self) -> None:
        """Forget it."""
        self._on_partial = None
        await self._stop_guess()

    def _may_guess(self) -> bool:
        pace = self._recogniser.pace
        is_idle = not self._finishing and (self._guess is None or self._guess.done())
        is_due = self._heard.samples - self._decoded_samples >= pace.every_s * PIPELINE_RATE_HZ
        return is_idle and is_due and not pace.is_off and not self._heard.is_pausing

    async def _guess_now(self, tell: Callable[[str], None]) -> None:
        samples, is_whole = self._heard.recent()
        began = _now()
        try:
            transcript = await self._recogniser.transcribe(samples, partial=True)
        except HeisenbergError as exc:
            log.debug("no partial transcript: %s", exc)
            return
        self._recogniser.pace.guessed(_now() - began)
        if transcript.text:
            tell(transcript.text if is_whole else CUT_MARK + transcript.text)

    async def _stop_guess(self) -> None:
        if self._guess is not None:
            self._guess.cancel()
            await asyncio.gather(self._guess, return_exceptions=True)


def _now() -> float:
    return asyncio.get_running_loop().time()
