"""The audio thread's part of ambient mode: hands the sound of each segment on while it is spoken, and says when time
has passed in silence. What it means is for the event loop (``ambience.py``).

It rests while a command is captured and while the assistant has the word. Of a file that is read as fast as can be, it
tells the listener when the event loop has fallen behind, so that not a word is missed.
"""

import itertools
from collections.abc import Callable

from heisenberg.core.audio import CHUNK_SAMPLES, PIPELINE_RATE_HZ, Samples
from heisenberg.core.config import VadConfig
from heisenberg.core.stages import SampleRing
from heisenberg.orchestrator.ambient.segments import Cut, Segmenter, Shape
from heisenberg.orchestrator.reports import SegmentDone, SegmentHeard, SegmentReport, TimePassed

FEED_SAMPLES = 8 * CHUNK_SAMPLES
"""A segment is handed on in blocks of about a quarter of a second while it is spoken."""

TICK_SAMPLES = PIPELINE_RATE_HZ // 2
"""In silence, the time is told twice a second."""

MOST_AHEAD_S = 30.0
"""Of a file that is read as fast as can be, so much may wait to be understood; with a segment on top of it, its blocks
are still fewer than what the inbox holds."""


class Overhearing:
    """Listens to everything that is said, if it is asked to.

    Args:
        ring: holds what was heard.
        report: told of it.
        vad: thresholds of speech.
        preroll_s: seconds of sound that belong to a segment from before its speech was noticed.
    """

    def __init__(
        self, ring: SampleRing, report: Callable[[SegmentReport], None], vad: VadConfig, preroll_s: float
    ) -> None:
        self._ring = ring
        self._report = report
        self._vad = vad
        self._preroll_s = preroll_s
        self._segmenter: Segmenter | None = None
        self._numbers = itertools.count(1)
        self._segment: int | None = None
        self._fed_to = 0
        self._told_to = 0
        self._rests = True
        self._hears_from: int | None = 0
        self._reported_s = self._taken_s = 0.0

    @property
    def is_ahead(self) -> bool:
        """Whether too much of what was reported is still to be understood."""
        return self._reported_s - self._taken_s > MOST_AHEAD_S

    @property
    def is_open(self) -> bool:
        """Whether somebody is speaking."""
        return not self._rests and self._segment is not None

    def take(self, shape: Shape | None) -> None:
        """Cut what is said into segments of this *shape* from now on; None to overhear nothing."""
        self.rest()
        self._segmenter = None if shape is None else Segmenter(self._vad, self._preroll_s, shape)

    def taken(self, at_s: float) -> None:
        """What was reported up to *at_s* has been understood."""
        self._taken_s = max(self._taken_s, at_s)

    def hear(self, samples: Samples, probability: float, loudness: float, *, deaf_s: float) -> None:
        """Advance by one chunk, which the ring holds already; after a rest, nothing counts for *deaf_s* seconds."""
        segmenter, now = self._segmenter, self._ring.written
        if segmenter is None or (self._rests and not self._begins(segmenter, now - len(samples), deaf_s)):
            return
        cut = segmenter.hear(len(samples), probability, loudness)
        if cut is not None:
            self._end(cut)
        self._follow(segmenter, now)

    def rest(self) -> None:
        """Somebody else needs the words; a segment ends here."""
        if not self._rests:
            self._rests, self._hears_from = True, None
            assert self._segmenter is not None
            self._end(self._segmenter.finish())

    def rest_since_wake_phrase(self, late: int) -> None:
        """The same, because the wake phrase was said, which ended *late* samples ago and belongs to nobody else."""
        if not self._rests:
            self._rests, self._hears_from = True, None
            assert self._segmenter is not None
            self._end(self._segmenter.finish_before_wake_phrase(late))

    def _begins(self, segmenter: Segmenter, at: int, deaf_s: float) -> bool:
        """Whether it hears again, from sample *at*."""
        if self._hears_from is None:
            self._hears_from = at + int(deaf_s * PIPELINE_RATE_HZ)
        if at < self._hears_from:
            return False
        segmenter.reset(at)
        self._rests, self._told_to = False, at
        return True

    def _follow(self, segmenter: Segmenter, now: int) -> None:
        first = segmenter.first
        if first is None:
            if now - self._told_to >= TICK_SAMPLES:
                self._tell_time(now)
            return
        if self._segment is None:
            self._segment, self._fed_to = next(self._numbers), first
        if now - self._fed_to >= FEED_SAMPLES:
            begins_s = self._fed_to / PIPELINE_RATE_HZ
            self._report(SegmentHeard(self._segment, self._ring.read_range(self._fed_to, now), begins_s))
            self._fed_to = now

    def _end(self, cut: Cut | None) -> None:
        number, self._segment = self._segment, None
        now = self._ring.written
        self._told_to = now
        if cut is None and number is None:
            return
        if cut is None:  # it was the wake phrase
            cut = Cut(now, now, now, now, is_pause=True)
        first_s, from_s, to_s, now_s = (
            at / PIPELINE_RATE_HZ for at in (cut.first, cut.speech_from, cut.speech_to, now)
        )
        samples = self._ring.read_range(cut.first, cut.last)
        self._reported_s = now_s
        number = number if number is not None else next(self._numbers)
        self._report(SegmentDone(number, samples, first_s, from_s, to_s, now_s, cut.is_pause))

    def _tell_time(self, now: int) -> None:
        self._told_to = now
        self._reported_s = now / PIPELINE_RATE_HZ
        self._report(TimePassed(self._reported_s))
