"""Cuts what is being said into segments of speech, from speech probabilities and loudness alone.

Pure, and on the audio thread: it counts samples, and knows neither sound nor models. A segment ends at a pause. One
that gets long ends at the next short pause, and one that has none is cut where it was quietest: a recogniser that is
no streaming one never waits for more than twenty seconds of speech. A streaming one gets longer segments.
"""

from collections import deque
from dataclasses import dataclass

from heisenberg.core.audio import CHUNK_SAMPLES, PIPELINE_RATE_HZ
from heisenberg.core.config import VadConfig

TAIL_S = 0.2
"""So much of the silence stays behind a segment: Whisper wants to hear that the last word ends."""

WAKE_PHRASE_S = (1.6, 0.6)
"""A wake phrase began between these times before its detection; what is said before it is cut off there."""

_SMOOTH = 5
"""Chunks: quiet for so long (0.16 s) is a gap between words rather than the inside of one."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How long segments are, in seconds."""

    pause_s: float
    """A silence that ends a segment."""
    shorter: tuple[tuple[float, float], ...]
    """In a segment that is so long already, so short a silence is enough; the longest first."""
    longest_s: float
    """Without any, it is cut here, or where it was quietest just before."""
    search_s: float
    """How far back that may be; 0 if what was heard already cannot be taken back."""


WHOLE = Shape(pause_s=0.7, shorter=((12.0, 0.2), (5.0, 0.4)), longest_s=20.0, search_s=5.0)
"""For recognisers that hear a segment at once, as Whisper does."""

STREAMED = Shape(pause_s=1.2, shorter=((40.0, 0.4),), longest_s=60.0, search_s=0.0)
"""For those that hear while it is spoken. They begin anew with each, so that none is stuck for ever."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A segment, in sample numbers."""

    first: int
    """Where its sound begins, pre-roll included."""
    last: int
    """Where its sound ends (exclusive)."""
    speech_from: int
    speech_to: int
    is_pause: bool
    """Whether nobody speaks after it; otherwise the next one follows at once."""


class Segmenter:
    """One segment after the other.

    Args:
        vad: thresholds of speech.
        preroll_s: seconds of sound that belong to a segment from before its speech was noticed.
    """

    def __init__(self, vad: VadConfig, preroll_s: float, shape: Shape = WHOLE) -> None:
        self._vad = vad
        self._preroll = _samples(preroll_s)
        self._shape = shape
        self._loudness: deque[tuple[int, float]] = deque(maxlen=int(shape.longest_s * PIPELINE_RATE_HZ / CHUNK_SAMPLES))
        self._now = 0
        self._not_before = 0
        self._start: int | None = None
        self._spoken_to = 0
        self._candidate_start = 0
        self._candidate = 0

    @property
    def first(self) -> int | None:
        """Where the sound of the open segment begins; None if nobody speaks."""
        return None if self._start is None else max(self._not_before, self._start - self._preroll)

    def reset(self, at: int) -> None:
        """Nobody speaks; what was heard before sample *at* does not count."""
        self._now = self._not_before = at
        self._start = None
        self._candidate = 0
        self._loudness.clear()

    def hear(self, samples: int, probability: float, loudness: float) -> Cut | None:
        """Advance by one chunk of so many *samples*; the segment that ends with it."""
        began, self._now = self._now, self._now + samples
        self._loudness.append((self._now, loudness))
        if self._start is None:
            self._wait(began, samples, probability)
            return None
        if probability >= self._vad.end_threshold:
            self._spoken_to = self._now
        return self._end(self._start)

    def finish(self) -> Cut | None:
        """Nothing more is heard for now: the segment as far as it came."""
        return None if self._start is None else self._cut(self._start, self._spoken_to, is_pause=True)

    def finish_before_wake_phrase(self, late: int) -> Cut | None:
        """The wake phrase ended *late* samples ago: the segment as far as it was said before it, if it was."""
        if self._start is None:
            return None
        earliest, latest = (self._now - late - _samples(seconds) for seconds in WAKE_PHRASE_S)
        at = self._quietest(earliest, latest)
        if at - self._start < _samples(self._vad.min_speech_seconds):
            self._start = None
            return None
        return self._cut(self._start, min(self._spoken_to, at), is_pause=True, last=at)

    def _wait(self, began: int, samples: int, probability: float) -> None:
        if probability >= self._vad.start_threshold:
            if self._candidate <= 0:
                self._candidate_start = began
            self._candidate += samples
            if self._candidate >= _samples(self._vad.min_speech_seconds):
                self._start, self._spoken_to = self._candidate_start, self._now
        elif probability < self._vad.end_threshold:
            self._candidate = max(0, self._candidate - samples)

    def _end(self, start: int) -> Cut | None:
        silence, length = self._now - self._spoken_to, self._now - start
        if silence >= _samples(self._shape.pause_s):
            return self._cut(start, self._spoken_to, is_pause=True)
        if any(length >= _samples(long) and silence >= _samples(short) for long, short in self._shape.shorter):
            return self._cut(start, self._spoken_to, is_pause=False)
        if length < _samples(self._shape.longest_s):
            return None
        at = (
            self._quietest(self._now - _samples(self._shape.search_s), self._now) if self._shape.search_s else self._now
        )
        cut = self._cut(start, min(self._spoken_to, at), is_pause=False, last=at)
        self._start, self._spoken_to = at, max(at, self._spoken_to)
        return cut

    def _cut(self, start: int, to: int, *, is_pause: bool, last: int | None = None) -> Cut:
        first = max(self._not_before, start - self._preroll)
        last = min(self._now, to + _samples(TAIL_S)) if last is None else last
        self._start, self._candidate, self._not_before = None, 0, last
        return Cut(first, last, start, to, is_pause)

    def _quietest(self, earliest: int, latest: int) -> int:
        """The middle of the quietest moment between two samples; the latest, of several."""
        heard = list(self._loudness)
        best, best_at = float("inf"), latest
        for index in range(len(heard) - _SMOOTH + 1):
            moment = heard[index : index + _SMOOTH]
            middle = moment[_SMOOTH // 2][0] - CHUNK_SAMPLES // 2
            loudness = sum(loud for _, loud in moment)
            if earliest <= middle <= latest and loudness <= best:
                best, best_at = loudness, middle
        return best_at


def _samples(seconds: float) -> int:
    return int(seconds * PIPELINE_RATE_HZ)
