"""When to analyse what is being said. Pure; the time is that of the audio.

A sentence that ends while the model is idle is looked at at once. What ends while it is busy waits until the interval
has passed since that analysis began, and all of it is one analysis, of whatever is newest then. So never two run at
once, nothing piles up, and a slow model makes analyses rarer, not later.
"""


class Schedule:
    """When the next analysis is due.

    Args:
        interval_s: least seconds of audio between two analyses, unless a sentence ended while none was under way.
    """

    def __init__(self, interval_s: float) -> None:
        self.interval_s = interval_s
        self._now_s = 0.0
        self._not_before_s = 0.0
        self._is_wanted = False
        self._is_busy = False
        self._is_retry = False
        self._has_ended = False

    @property
    def is_due(self) -> bool:
        """Whether to analyse now."""
        may_begin = self._now_s >= self._not_before_s or self._has_ended
        return self._is_wanted and not self._is_busy and may_begin

    @property
    def is_at_rest(self) -> bool:
        """Whether none is under way or wanted."""
        return not (self._is_wanted or self._is_busy)

    def sentence_ended(self) -> None:
        """There is something new to look at."""
        if not self._is_busy:
            self._not_before_s = 0.0
        self._is_wanted, self._is_retry = True, False

    def want_now(self) -> None:
        """What was said is to be looked at again, as soon as may be."""
        self._is_wanted, self._not_before_s = True, 0.0

    def pass_time(self, at_s: float) -> None:
        """It is *at_s* seconds of audio."""
        self._now_s = max(self._now_s, at_s)

    def started(self) -> None:
        """An analysis is under way."""
        self._is_busy, self._is_wanted = True, False
        self._not_before_s = self._now_s + self.interval_s

    def finished(self) -> None:
        """It is done."""
        self._is_busy, self._is_retry = False, False

    def interrupted(self) -> None:
        """It was given up for something more urgent; what it looked at is to be looked at again."""
        self._is_busy = False
        self.want_now()

    def failed(self) -> None:
        """It failed; it is tried once more, after the interval, unless there is something new to look at first."""
        self._is_busy = False
        self._is_wanted = self._is_wanted or not self._is_retry
        self._is_retry = True

    def forget(self) -> None:
        """Nothing is to be looked at."""
        self._is_wanted = False

    def end(self) -> None:
        """No more sentences come: what waits is looked at as soon as the model is idle."""
        self._has_ended = True
