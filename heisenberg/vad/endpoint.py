"""Where a command starts, pauses and ends, from speech probabilities alone.

Pure: it counts the seconds of audio that it is told of, never the clock, and knows neither samples nor models
(those are in ``vad/silero.py`` and ``vad/webrtc.py``). Each wait has a bound, so a command ends whatever the room
sounds like. What a pause means is decided elsewhere, from the words; this file is told how long to wait for.

Speech that is under way when listening begins is mostly the end of the wake phrase. The figures of how it is told
from a command that follows at once are in docs/decisions/0001-wake-word-tail.md.
"""

from collections.abc import Mapping

from heisenberg.core.config import VadConfig
from heisenberg.core.stages import CommandEnded, CommandStarted, EndReason, Resumed, SoftEnded

TAIL_SECONDS: Mapping[str, float] = {"silero": 0.09, "webrtc": 0.2}
"""Speech that was under way at the reset is a command once it has lasted so long; a wake phrase's own end is shorter
(at most 0.064 s with Silero, 0.192 s with WebRTC, which lags behind)."""

ADJACENT_SECONDS = 0.05
"""Speech that begins within this time of the reset was under way at the reset."""

UNDECIDED_SECONDS = 0.5
"""How much longer than ``no_speech_seconds`` a sound may be listened to that is not yet certain to be speech."""

RESUME_SECONDS = 0.06
"""So much more speech than silence after a soft end is the user speaking on; a single chunk of it is a click."""

_ROUNDING = 1e-6
"""Sums of chunk lengths are not exact."""

Said = CommandStarted | SoftEnded | Resumed | CommandEnded


class CommandEndpointer:
    """Reports the start, the pauses and the end of one command, then is silent until ``reset``.

    Speech is counted against silence until ``min_speech_seconds`` more of it was heard, so that single clicks do
    not start a command. ``soft_end_seconds`` of silence are a pause; the command ends when it has lasted
    ``silence_seconds``, or as long as ``wait_for`` says.
    """

    def __init__(self, config: VadConfig) -> None:
        self._config = config
        self.reset()

    def process(self, seconds: float, probability: float) -> Said | None:
        """Advance by *seconds* of audio whose speech probability is *probability* (0–1)."""
        if self._end is not None:
            return None
        began_at = self._now
        self._now += seconds
        if self._start is None:
            return self._wait(began_at, seconds, probability)
        return self._follow(self._start, seconds, probability)

    def wait_for(self, silence_seconds: float) -> None:
        """The current pause ends the command after so much silence; without a pause nothing changes."""
        if self._is_pausing and self._end is None:
            self._silence_s = silence_seconds

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

    def reset(self, no_speech_seconds: float | None = None) -> None:
        """Begin to wait for a new command, for *no_speech_seconds* in place of what is configured."""
        self._now = 0.0
        self._no_speech_s = self._config.no_speech_seconds if no_speech_seconds is None else no_speech_seconds
        self._start: float | None = None
        self._end: CommandEnded | None = None
        self._spoken_to = 0.0
        # Speech that is not yet certain: where it began, and how much more speech than silence it holds.
        self._candidate_start = 0.0
        self._candidate_seconds = 0.0
        self._is_pausing = False
        self._silence_s = self._config.silence_seconds

    def _wait(self, began_at: float, seconds: float, probability: float) -> CommandStarted | CommandEnded | None:
        self._weigh(began_at, seconds, probability)
        if self._candidate_seconds > 0 and self._candidate_seconds > self._needed() - _ROUNDING:
            self._start = self._candidate_start
            return CommandStarted(self._start)
        waited = self._now - self._no_speech_s + _ROUNDING
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

    def _follow(self, start: float, seconds: float, probability: float) -> SoftEnded | Resumed | CommandEnded | None:
        is_speech = probability >= self._config.end_threshold
        if self._now - start >= self._config.max_command_seconds - _ROUNDING:
            self._spoken_to = self._now if is_speech and not self._is_pausing else self._spoken_to
            return self._close(EndReason.TIMEOUT)
        if self._is_pausing:
            return self._pause(seconds, is_speech)
        if is_speech:
            self._spoken_to = self._now
        if self._now - self._spoken_to >= self._silence_s - _ROUNDING:
            return self._close(EndReason.SILENCE)
        if self._now - self._spoken_to >= self._config.soft_end_seconds - _ROUNDING:
            self._is_pausing, self._candidate_seconds = True, 0.0
            return SoftEnded(start, self._spoken_to)
        return None

    def _pause(self, seconds: float, is_speech: bool) -> Resumed | CommandEnded | None:
        self._candidate_seconds = max(0.0, self._candidate_seconds + (seconds if is_speech else -seconds))
        if self._candidate_seconds >= RESUME_SECONDS - _ROUNDING:
            self._is_pausing, self._silence_s = False, self._config.silence_seconds
            self._spoken_to = self._now
            return Resumed()
        # A sound that may turn out to be speech is heard to its end first.
        if not is_speech and self._now - self._spoken_to >= self._silence_s - _ROUNDING:
            is_early = self._silence_s < self._config.silence_seconds
            return self._close(EndReason.SEMANTIC if is_early else EndReason.SILENCE)
        return None

    def _close(self, reason: EndReason) -> CommandEnded:
        if self._start is None:
            self._end = CommandEnded(reason, self._now, self._now)
        else:
            self._end = CommandEnded(reason, self._start, self._spoken_to)
        return self._end
