"""Where a command starts and ends, from speech probabilities alone.

Pure: it counts the seconds of audio that it is told of, never the clock, and knows neither samples nor models
(those are in ``vad/silero.py`` and ``vad/webrtc.py``). Each wait has a bound, so a command ends whatever the room
sounds like.

After a wake word the end of the phrase itself sounds like the beginning of a command. How the two are told apart,
and the measurements behind the numbers, are in docs/decisions/0001-wake-word-tail.md.
"""

from collections.abc import Mapping

from heisenberg.core.config import VadConfig
from heisenberg.core.stages import CommandEnded, CommandStarted, EndReason

TAIL_SECONDS: Mapping[str, float] = {"silero": 0.09, "webrtc": 0.2}
"""Speech that was under way at the reset is a command once it has lasted so long; a wake phrase's own end is shorter
(at most 0.064 s with Silero, 0.192 s with WebRTC, which lags behind)."""

ADJACENT_SECONDS = 0.05
"""Speech that begins within this time of the reset was under way at the reset."""

UNDECIDED_SECONDS = 0.5
"""How much longer than ``no_speech_seconds`` a sound may be listened to that is not yet certain to be speech."""

_ROUNDING = 1e-6
"""Sums of chunk lengths are not exact."""


class CommandEndpointer:
    """Reports the start and the end of one command, then is silent until ``reset``.

    Speech is counted against silence until ``min_speech_seconds`` more of it was heard, so that single clicks do
    not start a command; then the command lasts until ``silence_seconds`` without speech.
    """

    def __init__(self, config: VadConfig) -> None:
        self._config = config
        self.reset()

    def process(self, seconds: float, probability: float) -> CommandStarted | CommandEnded | None:
        """Advance by *seconds* of audio whose speech probability is *probability* (0–1)."""
        if self._end is not None:
            return None
        began_at = self._now
        self._now += seconds
        if self._start is None:
            return self._wait(began_at, seconds, probability)
        return self._follow(probability)

    def finish(self, reason: EndReason) -> CommandEnded:
        """The input ended or was lost; say what was there.

        The reason of the answer is *reason* if a command was under way, NO_SPEECH if the input simply ended
        without one, and the earlier one if the command had ended already.
        """
        if self._end is None:
            nothing_came = self._start is None and reason is EndReason.END_OF_INPUT
            self._close(EndReason.NO_SPEECH if nothing_came else reason)
        assert self._end is not None
        return self._end

    def reset(self) -> None:
        """Begin to wait for a new command."""
        self._now = 0.0
        self._start: float | None = None
        self._end: CommandEnded | None = None
        self._spoken_to = 0.0
        # Speech that is not yet certain: where it began, and how much more speech than silence it holds.
        self._candidate_start = 0.0
        self._candidate_seconds = 0.0

    def _wait(self, began_at: float, seconds: float, probability: float) -> CommandStarted | CommandEnded | None:
        self._weigh(began_at, seconds, probability)
        if self._candidate_seconds > 0 and self._candidate_seconds > self._needed() - _ROUNDING:
            self._start = self._candidate_start
            return CommandStarted(self._start)
        waited = self._now - self._config.no_speech_seconds + _ROUNDING
        if waited >= (UNDECIDED_SECONDS if self._candidate_seconds > 0 else 0):
            return self._close(EndReason.NO_SPEECH)
        return None

    def _weigh(self, began_at: float, seconds: float, probability: float) -> None:
        if probability >= self._config.start_threshold:
            if self._candidate_seconds <= 0:
                self._candidate_start = began_at
            self._candidate_seconds += seconds
            self._spoken_to = self._now
        elif probability < self._config.end_threshold:
            self._candidate_seconds = max(0.0, self._candidate_seconds - seconds)

    def _needed(self) -> float:
        was_under_way = self._candidate_start < ADJACENT_SECONDS
        return TAIL_SECONDS[self._config.engine] if was_under_way else self._config.min_speech_seconds

    def _follow(self, probability: float) -> CommandEnded | None:
        if probability >= self._config.end_threshold:
            self._spoken_to = self._now
        if self._now - self._spoken_to >= self._config.silence_seconds - _ROUNDING:
            return self._close(EndReason.SILENCE)
        assert self._start is not None
        if self._now - self._start >= self._config.max_command_seconds - _ROUNDING:
            return self._close(EndReason.TIMEOUT)
        return None

    def _close(self, reason: EndReason) -> CommandEnded:
        if self._start is None:
            self._end = CommandEnded(reason, self._now, self._now)
        else:
            self._end = CommandEnded(reason, self._start, self._spoken_to)
        return self._end
