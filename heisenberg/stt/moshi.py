"""A recogniser that writes while somebody speaks: Kyutai's speech to text, in a worker of ours.

Each utterance has a task that holds one lease and one connection from its beginning to its end. What is fed goes to
the worker as it comes; words come back half a second later, and a flush brings the rest at once. A worker that dies
in mid-utterance is replaced, and hears from its successor on what was kept (``fed.py``). How the model works is the
worker's affair, how the two speak ``moshi_wire.py``'s, and when an utterance ends nobody's here.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from wyoming.client import AsyncClient

from heisenberg.core.audio import PIPELINE_RATE_HZ, Samples
from heisenberg.core.errors import HeisenbergError, TranscriptionError
from heisenberg.core.stages import LeaseService, OnWords, Recognition, ServiceLease, Transcript
from heisenberg.runner.connection import NOT_WYOMING, connected
from heisenberg.stt import moshi_wire as wire
from heisenberg.stt.fed import FedSound
from heisenberg.stt.moshi_text import StreamText
from heisenberg.stt.spoken_language import guessed_language

log = logging.getLogger(__name__)

SLOWEST = 0.9
"""Real-time factor above which words come later and later: there must be room for the flush, and for other programs."""

BLOCK_SAMPLES = PIPELINE_RATE_HZ
"""Audio is sent in blocks of at most one second."""

LINGER_S = 3.0
"""So long after a flush the worker is kept: a pause need not be the end. Less, if another utterance waits for it."""

SILENT_S = 5.0
"""A worker that had work and said nothing for so long is taken for stuck once somebody has waited in vain."""

ATTEMPTS = 2
"""Connections that may fail before whoever waits is told."""

RETRY_S, SLOWEST_RETRY_S = 0.1, 2.0
"""Between two attempts, at first and at most."""

LOOK_EVERY_S = 1.0

HEADS_WAKE_S = 12 * 0.08
"""The worker leaves the first twelve frames out, when the heads are wild (``moshi_pauses.py``)."""


@dataclass(slots=True)
class Signs:
    """What the worker lets us know besides words; one for all utterances of the assistant."""

    on_pause: Callable[[float], None] | None = None
    """Told after each frame how probable it is (0–1) that a pause of 2 s has begun, where the model knows that."""
    told: set[str] = field(default_factory=set)
    """Notices that are in the log already."""

    def pause(self, heard: wire.Heard) -> None:
        """A frame was processed. The heads say nothing in a stream's first second."""
        if heard.pause is not None and heard.at > HEADS_WAKE_S and self.on_pause is not None:
            self.on_pause(heard.pause)

    def notice(self, text: str) -> None:
        """Log *text*, once."""
        if text not in self.told:
            self.told.add(text)
            log.warning("%s", text)


class StreamingRecogniser:
    """Speech to text through our Moshi worker.

    Args:
        lease: gives the worker for the length of a block.
        language: ISO 639-1 code or ``auto``, which guesses it from the words.
        languages: what that guess may be.
        partials: whether to tell the words so far.
        timeout_s: longest wait for a final transcript, in seconds.
        signs: where pauses and notices are noted.
    """

    is_streaming = True

    def __init__(
        self,
        lease: LeaseService,
        *,
        language: str,
        languages: Sequence[str] = ("en", "fr"),
        partials: bool = True,
        timeout_s: float,
        signs: Signs | None = None,
    ) -> None:
        self._lease = lease
        self.language = language
        self._languages = tuple(languages)
        self._last_language = language if language != "auto" else self._languages[0]
        self._partials = partials
        self.timeout_s = timeout_s
        self.signs = signs or Signs()
        self._holders: set[StreamingRecognition] = set()
        self._waiting = 0

    def open(self, on_partial: Callable[[str], None], on_words: OnWords | None = None) -> Recognition:
        """Begin an utterance. Of two at a time, the second one waits until the first was flushed."""
        return StreamingRecognition(self, on_partial if self._partials else None, on_words)

    async def warm_up(self) -> None:
        """Start the worker; warns if it is too slow. Raises HeisenbergError."""
        async with self._lease() as service:
            await tell_speed(service, self.signs)

    @property
    def linger_s(self) -> float:
        """How long an utterance may keep the worker without using it."""
        return 0.0 if self._waiting else LINGER_S

    @asynccontextmanager
    async def service(self, utterance: "StreamingRecognition") -> AsyncIterator[ServiceLease]:
        """The worker, for *utterance*; others that only linger leave. Raises HeisenbergError."""
        async with contextlib.AsyncExitStack() as stack:
            self._waiting += 1
            try:
                for holder in self._holders:
                    holder.wake()
                service = await stack.enter_async_context(self._lease())
            finally:
                self._waiting -= 1
            self._holders.add(utterance)
            stack.callback(self._holders.discard, utterance)
            yield service

    def transcript(self, text: str) -> Transcript:
        """*text* with its language, which the model does not tell."""
        if self.language == "auto":
            self._last_language = guessed_language(text, self._languages, self._last_language)
        return Transcript(text.strip(), self._last_language)


class StreamingRecognition:
    """One utterance being recognised."""

    def __init__(
        self, recogniser: StreamingRecogniser, on_partial: Callable[[str], None] | None, on_words: OnWords | None
    ) -> None:
        self._recogniser = recogniser
        self._on_partial = on_partial
        self._sound = FedSound()
        self._text = StreamText(on_words)
        self._changed = asyncio.Event()
        self._origin = 0
        """Number of the sample with which the present stream began."""
        self._sent = 0
        """Of the first sample that the worker has not been given."""
        self._processed = 0
        self._done = 0
        """Up to this sample everything is in the text."""
        self._flush = self._flushed = 0
        """Numbers of the last flush that was wanted, and that was answered."""
        self._flushed_to = 0
        self._is_anew = False
        self._known: Transcript | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._service: ServiceLease | None = None
        self._read_at = 0.0
        self._failures = 0
        self._is_closed = False
        self._task: asyncio.Task[None] | None = asyncio.create_task(self._follow(), name="streaming transcript")

    def feed(self, samples: Samples) -> None:
        """More of the utterance; also behind a pause after which :meth:`finish` was called."""
        if not self._is_closed and len(samples):
            self._sound.feed(samples)
            self._known = None
            self.wake()

    async def finish(self, command: Samples) -> Transcript:
        """The final text: everything so far, at once.

        May be cancelled, and called again whether or not more was fed. An empty *command* stands for what was fed.
        """
        if len(command) and not self._sound.take(command):
            self._begin_anew()
        if self._sound.end == 0:
            return self._recogniser.transcript("")
        if self._known is None or self._done < self._sound.end:
            await self._flush_now()
            self._known = self._recogniser.transcript(self._text.whole)
        return self._known

    async def cancel(self) -> None:
        """Forget it."""
        self._is_closed = True
        self._on_partial = None
        self._text.on_words = None
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def wake(self) -> None:
        """Something has changed: there is more, or others wait for the worker."""
        self._changed.set()

    def _begin_anew(self) -> None:
        """It is another sound than the one that was fed."""
        self._is_anew = True
        self._done = self._processed = self._sent = 0
        self._text.clear()

    async def _flush_now(self) -> None:
        self._flush += 1
        self._failures = 0
        waiting = self._waiting = asyncio.get_running_loop().create_future()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._follow(), name="streaming transcript")
        self.wake()
        try:
            done, _ = await asyncio.wait({waiting}, timeout=self._recogniser.timeout_s)
            if not done and self._is_alive:  # a file may have been fed much faster than it can be heard
                await asyncio.wait({waiting}, timeout=(self._sound.end - self._processed) / PIPELINE_RATE_HZ)
            if not waiting.done():
                raise self._late()
            waiting.result()
        finally:
            waiting.cancel()
            if self._waiting is waiting:
                self._waiting = None

    @property
    def _is_alive(self) -> bool:
        """Whether the worker has said something of late."""
        return self._service is not None and _now() - self._read_at < min(SILENT_S, self._recogniser.timeout_s)

    def _late(self) -> TranscriptionError:
        within = f"within {self._recogniser.timeout_s:g} s. See stt.timeout_seconds."
        if self._service is None:
            return TranscriptionError(f"No recogniser was free {within}", code="stt-timeout")
        message = f"The recogniser did not answer {within}"
        if not self._is_alive:
            self._service.condemn(message)  # one that is merely slow goes on
        return TranscriptionError(message, code="stt-timeout")

    # ── the task ─────────────────────────────────────────────────────────────────────────────────

    async def _follow(self) -> None:
        """Keep a stream for as long as there is something to hear, one after the other if need be."""
        while True:
            try:
                async with self._recogniser.service(self) as service:
                    await self._leased(service)
            except HeisenbergError as exc:
                await self._failed(exc)
            except Exception as exc:
                log.exception("a transcript is lost")
                await self._failed(TranscriptionError(f"The recogniser cannot be used: {exc!r}."))
            while not self._is_wanted:
                self._changed.clear()
                await self._changed.wait()

    @property
    def _is_wanted(self) -> bool:
        return self._waiting is not None or self._sound.end > self._done

    async def _failed(self, error: HeisenbergError) -> None:
        """Tell whoever waits, if there is no use in trying again; wait a little before the next attempt."""
        self._failures += 1
        is_final = not isinstance(error, TranscriptionError) or error.code in ("usage", "upstream-error")
        waiting = self._waiting
        if waiting is None or waiting.done():
            level = logging.WARNING if self._failures == 1 else logging.DEBUG
            log.log(level, "what is being said has to be heard again: %s", error)
        elif is_final or self._failures >= ATTEMPTS:
            waiting.set_exception(error)
            self._waiting = None
            self._done = self._sound.end  # until he asks again, or more is said
        await asyncio.sleep(min(SLOWEST_RETRY_S, RETRY_S * 2 ** min(self._failures, 10)))

    async def _leased(self, service: ServiceLease) -> None:
        self._service = service
        try:
            await self._stream(service)
        except TranscriptionError as exc:
            if exc.code not in ("usage", "upstream-error"):
                service.condemn(exc.message)
            raise
        finally:
            self._service = None

    async def _stream(self, service: ServiceLease) -> None:
        """One connection, until it is not needed any more. Raises TranscriptionError."""
        self._read_at = _now()
        try:
            async with connected(service.url) as client:
                self._is_anew = False
                self._tell_skipped(self._processed, self._sound.first)
                self._origin = self._sent = self._processed = self._sound.first
                self._text.begin(self._origin)
                await wire.begin(client, self._recogniser.language)
                await self._converse(client)
        except NOT_WYOMING as exc:
            raise TranscriptionError(f"The recogniser at {service.url} cannot be reached: {exc}") from exc

    async def _converse(self, client: AsyncClient) -> None:
        tasks = {asyncio.create_task(self._write(client)), asyncio.create_task(self._read(client))}
        try:
            done: set[asyncio.Task[None]] = set()
            while not done:
                done, _ = await asyncio.wait(tasks, timeout=LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
                if not done and self._is_stuck:
                    seconds = self._recogniser.timeout_s
                    raise TranscriptionError(f"The recogniser was silent for {seconds:g} s.", code="stt-timeout")
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def _is_stuck(self) -> bool:
        has_work = self._flush > self._flushed or self._sent - self._processed > PIPELINE_RATE_HZ // 2
        return has_work and _now() - self._read_at >= self._recogniser.timeout_s

    async def _write(self, client: AsyncClient) -> None:
        """Pass on what is fed and asked; returns when the worker is not needed any more."""
        asked = self._flushed
        while not self._is_anew:
            self._changed.clear()
            await self._send(client)
            if self._is_anew:
                return
            if self._flush > asked:
                asked, self._flushed_to = self._flush, self._sent
                await wire.flush(client, asked)
            elif not await self._has_more():
                return

    async def _send(self, client: AsyncClient) -> None:
        while self._sent < self._sound.end and not self._is_anew:
            if self._sent < self._sound.first:
                self._skip()
                return
            block = self._sound.read(self._sent, self._sent + BLOCK_SAMPLES)
            self._sent += len(block)
            await wire.send(client, block)

    def _skip(self) -> None:
        """The worker is too far behind, and would only fall back further: go on with what is said now."""
        self._tell_skipped(self._sent, self._sound.end)
        self._processed = self._sound.end
        self._sound.forget()
        self._is_anew = True

    def _tell_skipped(self, start: int, stop: int) -> None:
        if start < stop:
            seconds = (stop - start) / PIPELINE_RATE_HZ
            log.warning("the recogniser cannot keep up: %.1f s of speech were not heard", seconds)

    async def _has_more(self) -> bool:
        """Wait for more; False if nobody speaks on after a flush."""
        is_over = self._flush == self._flushed and 0 < self._sound.end <= self._done
        try:
            async with asyncio.timeout(self._recogniser.linger_s if is_over else None):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    async def _read(self, client: AsyncClient) -> None:
        while (event := await client.read_event()) is not None:
            self._read_at = _now()
            if not self._is_anew:
                self._take(wire.understood(event))
        raise TranscriptionError("The recogniser ended in mid-sentence.")

    def _take(self, told: wire.Heard | wire.Flushed | wire.Notice | None) -> None:
        match told:
            case wire.Heard():
                self._failures = 0
                self._processed = self._origin + int(told.at * PIPELINE_RATE_HZ)
                self._sound.was_heard(self._processed)
                self._recogniser.signs.pause(told)
                self._text.add(told.text, told.words)
                if told.text.strip() and self._on_partial is not None:
                    self._on_partial(self._text.whole)
            case wire.Flushed():
                self._text.settle(told.text, told.words)
                self._finished(told.number)
            case wire.Notice(text):
                self._recogniser.signs.notice(text)

    def _finished(self, number: int) -> None:
        self._flushed = max(self._flushed, number)
        if number == self._flush:
            self._done = self._flushed_to
            if self._waiting is not None and not self._waiting.done():
                self._waiting.set_result(None)
            self.wake()


async def tell_speed(service: ServiceLease, signs: Signs) -> None:
    """Have *signs* tell what the worker noticed when it started, and whether it is too slow. Raises nothing."""
    measured = await wire.speed(service.url)
    if measured is None:
        return
    for notice in measured.notices:
        signs.notice(notice)
    if measured.real_time_factor > SLOWEST and not measured.notices:  # the worker has said so, else
        slower = measured.real_time_factor
        how = f"{slower:.1f} times slower than speech" if slower >= 1.05 else "barely as fast as speech"
        advice = 'Use stt.engine = "whisper", or a GPU.'
        signs.notice(f"The recogniser cannot keep up: it is {how} on {measured.device}. {advice}")


def _now() -> float:
    return asyncio.get_running_loop().time()
