"""Segments become sentences: the recogniser's part of ambient mode, one segment after the other, in order.

What waits is bounded: from a microphone the oldest segment that nobody has begun with is lost; a file that is read as
fast as can be waits (``overhearing.py``). Only the times of the sound count, so both give the same sentences.
"""

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from heisenberg.core.audio import PIPELINE_RATE_HZ, Samples
from heisenberg.core.errors import HeisenbergError
from heisenberg.core.recordings import TimedWord
from heisenberg.core.stages import Recogniser, Recognition
from heisenberg.orchestrator.ambient.repeats import Repeats
from heisenberg.orchestrator.ambient.sentences import Sentence, Sentences, spread
from heisenberg.orchestrator.ending import end
from heisenberg.orchestrator.reports import SegmentDone, SegmentHeard, SegmentReport, TimePassed

log = logging.getLogger(__name__)

MOST_WAITING = 4
"""Segments that may wait behind the one that is being understood."""

ATTEMPTS = 2
"""A recogniser that died is started again meanwhile."""


@dataclass(slots=True, eq=False)
class _Segment:
    number: int
    from_s: float
    blocks: deque[Samples] = field(default_factory=deque)
    done: SegmentDone | None = None
    is_given_up: bool = False
    more: asyncio.Event = field(default_factory=asyncio.Event)
    fed: int = 0
    """Samples that the recogniser was given while they were spoken."""

    @property
    def until_s(self) -> float:
        """Where it ends, as far as that is known; what was fed of it beyond, the wake phrase, does not count."""
        if self.done is None:
            return math.inf
        length_s = len(self.done.samples) / PIPELINE_RATE_HZ
        return self.done.from_s + length_s if length_s else self.from_s


@dataclass(frozen=True, slots=True)
class _End:
    """The input is over."""


@dataclass(frozen=True, slots=True)
class _Gap:
    """Some of what was said was not heard."""


class Understanding:
    """What was overheard, on its way to being sentences.

    Args:
        recogniser: understands it.
        timeout_s: see ``Sentences``.
        is_live: whether the sound comes whether or not anybody is ready for it.
        tell: given each sentence.
        tell_partial: given what is understood of a sentence that is not over.
        lost: called when a segment was lost.
        understood: called with the time, in seconds of audio, up to which everything was understood.
    """

    def __init__(
        self,
        recogniser: Recogniser,
        timeout_s: float,
        *,
        is_live: Callable[[], bool],
        tell: Callable[[Sentence], None],
        tell_partial: Callable[[str], None],
        lost: Callable[[], None],
        understood: Callable[[float], None],
    ) -> None:
        self._recogniser = recogniser
        self._sentences = Sentences(timeout_s)
        self._repeats = Repeats()
        self._is_live = is_live
        self._tell = tell
        self._tell_partial = tell_partial
        self._lost = lost
        self._understood = understood
        self._queue: deque[_Segment | TimePassed | _Gap | _End] = deque()
        self._current: _Segment | None = None
        self._more = asyncio.Event()
        self._may_work = asyncio.Event()
        self._may_work.set()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is being understood."""
        return not self._queue and self._current is None

    @property
    def waiting(self) -> int:
        """What waits, in segments and reports of the time."""
        return len(self._queue)

    def take(self, report: SegmentReport) -> None:
        """What the audio thread reports, in order."""
        match report:
            case SegmentHeard(number, samples, from_s):
                segment = self._segment(number, from_s)
                if self._wants_blocks(segment):
                    segment.blocks.append(samples)
                segment.more.set()
            case SegmentDone(number, from_s=from_s):
                segment = self._segment(number, from_s)
                segment.done = report
                segment.more.set()
                self._make_room()
            case TimePassed():
                if self._queue and isinstance(self._queue[-1], TimePassed):
                    self._queue.pop()
                self._put(report)

    def end(self) -> None:
        """The input is over: what is unfinished is all there is of it."""
        self._put(_End())

    def break_off(self) -> None:
        """The microphone is gone: what is said when it is back does not go on with what was being said."""
        self._put(_Gap())

    def set_timeout(self, timeout_s: float) -> None:
        """See ``Sentences``; from now on."""
        self._sentences.timeout_s = timeout_s

    def hold(self) -> None:
        """Begin with no further segment: a spoken command needs the recogniser."""
        self._may_work.clear()

    def go_on(self) -> None:
        """Go on with what waits."""
        self._may_work.set()

    def give_up_open_segment(self) -> None:
        """Nobody hears any more of the segment that is being spoken."""
        for item in (self._current, *self._queue):
            if isinstance(item, _Segment) and item.done is None:
                item.is_given_up = True
                item.more.set()

    async def forget(self) -> None:
        """Nothing of what was heard is wanted any more."""
        task, self._task = self._task, None
        await end(task)
        self._queue.clear()
        self._current = None
        self._sentences.flush("silence")

    # ── the queue ────────────────────────────────────────────────────────────────────────────────

    def _segment(self, number: int, from_s: float) -> _Segment:
        """The segment of that number: the newest one, or a new one."""
        newest = next((item for item in reversed(self._queue) if isinstance(item, _Segment)), self._current)
        if newest is not None and newest.number == number:
            return newest
        segment = _Segment(number, from_s)
        self._put(segment)
        return segment

    def _put(self, item: _Segment | TimePassed | _Gap | _End) -> None:
        self._queue.append(item)
        self._more.set()
        if self._task is None:
            self._task = asyncio.create_task(self._work(), name="ambient hearing")

    def _wants_blocks(self, segment: _Segment) -> bool:
        """A streaming recogniser needs them; another one only for what it shows meanwhile, so never a backlog."""
        return self._recogniser.is_streaming or (self._is_live() and segment is self._current)

    def _make_room(self) -> None:
        waiting = [item for item in self._queue if isinstance(item, _Segment) and item.done is not None]
        if self._is_live() and len(waiting) > MOST_WAITING:
            self._queue.remove(waiting[0])
            self._lost()

    # ── the work ─────────────────────────────────────────────────────────────────────────────────

    async def _work(self) -> None:
        while True:
            while not self._queue:
                self._more.clear()
                await self._more.wait()
            await self._may_work.wait()
            if self._queue:
                item = self._queue.popleft()
                await self._handle(item)

    async def _handle(self, item: _Segment | TimePassed | _Gap | _End) -> None:
        match item:
            case _Segment():
                await self._understand(item)
            case TimePassed(at_s):
                self._tell_all(self._sentences.pass_time(at_s))
                self._understood(at_s)
            case _Gap():
                self._tell_all(self._sentences.flush("silence"))
            case _End():
                self._tell_all(self._sentences.flush("end_of_input"))
                self._understood(float("inf"))

    async def _understand(self, segment: _Segment) -> None:
        self._current = segment
        try:
            await self._recognise(segment)
        except HeisenbergError as exc:
            log.warning("What was said is lost: %s", exc)
            self._lost()
        except Exception:  # a fault of ours costs one segment, not the evening
            log.exception("a segment could not be understood")
            self._lost()
        finally:
            self._current = None
        if segment.done is not None:
            if segment.done.is_pause:
                self._tell_all([*self._sentences.settle(), *self._sentences.pass_time(segment.done.at_s)])
            self._understood(segment.done.at_s)

    async def _recognise(self, segment: _Segment) -> None:
        has_words = False

        def on_words(words: Sequence[TimedWord]) -> None:
            nonlocal has_words
            has_words = has_words or bool(words)
            known = [_at(word, segment.from_s) for word in words]
            self._tell_all(self._sentences.hear([word for word in known if word.start < segment.until_s]))

        recognition = self._recogniser.open(self._partial, on_words)
        try:
            done = await self._feed(recognition, segment)
            self._sentences.unsay(segment.until_s)
            text = await self._finish(recognition, segment) if done is not None and len(done.samples) else ""
        finally:
            await recognition.cancel()
        if done is None or has_words or not text.strip():
            return
        if self._repeats.is_one_too_many(text):
            log.info("the recogniser says the same again and again; it is ignored: %s", text)
            return
        self._tell_all(self._sentences.hear_stretch(spread(text, done.start_s, done.end_s)))

    def _partial(self, text: str) -> None:
        """Of a long segment that is heard as it is spoken, only the sentence that is not told yet."""
        shown = self._sentences.unfinished if self._recogniser.is_streaming else text
        if shown:
            self._tell_partial(shown)

    async def _feed(self, recognition: Recognition, segment: _Segment) -> SegmentDone | None:
        """Hand on what is heard of *segment* until it is over; None if it never will be."""
        while True:
            while segment.blocks:
                block = segment.blocks.popleft()
                segment.fed += len(block)
                recognition.feed(block)
            if segment.done is not None or segment.is_given_up:
                return segment.done
            segment.more.clear()
            await segment.more.wait()

    async def _finish(self, recognition: Recognition, segment: _Segment) -> str:
        """The text. A streaming recogniser has heard it already. Raises HeisenbergError."""
        assert segment.done is not None
        samples = segment.done.samples
        if self._recogniser.is_streaming:
            if len(samples) > segment.fed:
                recognition.feed(samples[segment.fed :])
            samples = samples[:0]
        for _ in range(ATTEMPTS - 1):
            try:
                return (await recognition.finish(samples)).text
            except HeisenbergError as exc:
                log.info("once more, since %s", exc)
        return (await recognition.finish(samples)).text

    def _tell_all(self, sentences: Sequence[Sentence]) -> None:
        for sentence in sentences:
            self._tell(sentence)


def _at(word: TimedWord, origin_s: float) -> TimedWord:
    return TimedWord(word.word, word.start + origin_s, word.end + origin_s, word.probability)
