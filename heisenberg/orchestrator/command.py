"""The command being captured: follows the endpointer, hands the sound on while it is spoken, and cuts it out.

Part of the audio thread, which asks nobody else meanwhile; it counts in sample numbers of the ring. Where a command
begins behind the wake phrase is ``cut.py``'s affair; whether there is a command at all, and what comes after it, the
listener's.
"""

from collections.abc import Callable, Sequence

import numpy as np

from heisenberg.core.audio import CHUNK_SAMPLES, PIPELINE_RATE_HZ, Samples
from heisenberg.core.stages import CommandEnded, CommandStarted, Endpointer, Resumed, SampleRing, SoftEnded
from heisenberg.orchestrator.cut import cut
from heisenberg.orchestrator.reports import (
    CommandBegan,
    CommandDone,
    CommandHeard,
    CommandPaused,
    CommandReport,
    CommandResumed,
)

FEED_SAMPLES = 8 * CHUNK_SAMPLES
"""While a command is spoken it is handed on in blocks of about a quarter of a second."""

FOLLOWED_SAMPLES = 3 * CHUNK_SAMPLES
"""To a recogniser that writes while it hears, in blocks of about a tenth of a second."""

TAIL_S = 0.2
"""So much of the silence stays behind a command: Whisper wants to hear that the last word ends."""


class Command:
    """One command after the other.

    Args:
        ring: holds what was heard.
        endpointer: says where the command starts, pauses and ends.
        report: told of that, with the sound.
        preroll_s: seconds of sound that belong to a command from before its speech was noticed.
        follows_pauses: whether pauses are handed on as they pass, too, since somebody hears from them how long they
            will be.
    """

    def __init__(
        self,
        ring: SampleRing,
        endpointer: Endpointer,
        report: Callable[[CommandReport], None],
        preroll_s: float,
        *,
        follows_pauses: bool = False,
    ) -> None:
        self._ring = ring
        self._endpointer = endpointer
        self._report = report
        self._preroll_s = preroll_s
        self._follows_pauses = follows_pauses
        self.number = 0
        """Of the capture; 0 before the first."""
        self._origin = 0
        self._listens_from = 0
        self._fed_to: int | None = None
        self._cut_from = 0
        self._before: Sequence[float | None] | None = None
        self._has_wake_phrase = False
        self._pauses = 0
        self._is_pausing = False

    def begin(
        self,
        number: int,
        *,
        before: Sequence[float | None] | None = None,
        no_speech_s: float | None = None,
        after_s: float = 0.0,
        heard: int = 0,
    ) -> None:
        """The capture *number* begins now, or *heard* samples ago.

        Args:
            number: what its reports will bear.
            before: of a command behind the wake phrase, speech probabilities of the last chunks before the detection;
                see ``cut.py``.
            no_speech_s: how long to wait for its beginning, in place of what is configured.
            after_s: what is heard in so many seconds from now does not count.
            heard: so many samples of it are in the ring already; :meth:`follow` is to be called for them, too.
        """
        self._endpointer.reset(no_speech_s)
        self.number = number
        self._listens_from = self._origin = self._ring.written + samples_in(after_s) - heard
        self._fed_to = None
        self._before = before
        self._has_wake_phrase = False
        self._pauses = 0
        self._is_pausing = False

    def has_been_spoken_for(self, speech_s: float) -> None:
        """Its speech began *speech_s* seconds ago; it is captured from there."""
        self._origin -= samples_in(speech_s)
        said = self._endpointer.process(speech_s, 1.0)
        if isinstance(said, CommandStarted):
            self._start(said)

    def follow(self, samples: Samples, probability: float) -> CommandEnded | None:
        """Advance by one chunk, which the ring holds already; where it ends, :meth:`end` is to be called."""
        if self._ring.written <= self._listens_from:
            return None  # the echo of the reply
        said = self._endpointer.process(len(samples) / PIPELINE_RATE_HZ, probability)
        match said:
            case CommandStarted():
                self._start(said)
            case SoftEnded(start_s, end_s):
                self._pauses += 1
                self._is_pausing = True
                self._report(CommandPaused(*self._cut(start_s, end_s), self._pauses))
            case Resumed():
                self._is_pausing = False
                self._report(CommandResumed(self.number))
            case CommandEnded():
                return said
        self._feed()
        return None

    def wait_for(self, number: int, pause: int, silence_s: float) -> None:
        """That *pause* ends the command after *silence_s* seconds; ignored once the user speaks on."""
        if (number, pause) == (self.number, self._pauses) and self._is_pausing:
            self._endpointer.wait_for(silence_s)

    def end(self, end: CommandEnded) -> None:
        """Report the whole of it."""
        heard = self._ring.read_range(self._listens_from, self._ring.written)
        whole = self._cut(end.start_seconds, end.end_seconds)
        self._report(CommandDone(*whole, end.reason, self._is_pausing, heard))
        self._is_pausing = False

    def _start(self, said: CommandStarted) -> None:
        begins_s, self._has_wake_phrase = cut(said.at_seconds, self._before, self._preroll_s)
        self._fed_to = self._cut_from = max(0, self._origin + samples_in(begins_s))
        self._report(CommandBegan(self.number))

    def _feed(self) -> None:
        """Hand the command on while it is spoken; a pause usually once it turns out to be one."""
        if self._fed_to is None or (self._is_pausing and not self._follows_pauses):
            return
        if self._ring.written - self._fed_to >= (FOLLOWED_SAMPLES if self._follows_pauses else FEED_SAMPLES):
            self._report(CommandHeard(self.number, self._ring.read_range(self._fed_to, self._ring.written)))
            self._fed_to = self._ring.written

    def _cut(self, start_s: float, end_s: float) -> tuple[int, Samples, float, float, bool]:
        """What CommandCut holds of a command whose speech lies between two times."""
        has_speech = end_s > start_s
        samples: Samples = np.zeros(0, dtype=np.int16)
        if has_speech:
            stop = min(self._ring.written, self._origin + samples_in(end_s + TAIL_S))
            samples = self._ring.read_range(self._cut_from, stop)
        waited_s = max(0.0, (self._ring.written - self._origin) / PIPELINE_RATE_HZ - end_s)
        speech_s = end_s - start_s if has_speech else 0.0
        return self.number, samples, speech_s, waited_s, self._has_wake_phrase and has_speech


def samples_in(seconds: float) -> int:
    """How many samples *seconds* are, rounded down."""
    return int(seconds * PIPELINE_RATE_HZ)
