"""What each chunk of sound means to the audio thread: waiting for the wake word, a command, or on guard.

It hears what the echo canceller leaves of a chunk, and reports with one call per *event*. It runs on the audio thread,
counts samples, never the clock, and knows neither the thread nor where sound comes from: that is ``listener.py``. A
command that is being captured is the affair of ``command.py``, what may interrupt that of ``guard.py``, and what is
overheard in ambient mode that of ``ambient/overhearing.py``.
"""

import itertools
from collections import deque
from collections.abc import Callable, Iterator

import numpy as np

from heisenberg.core.audio import CHUNK_SAMPLES, PIPELINE_RATE_HZ, Samples, level
from heisenberg.core.stages import CommandEnded, EndReason, Wake
from heisenberg.orchestrator.ambient.overhearing import Overhearing
from heisenberg.orchestrator.command import Command, samples_in
from heisenberg.orchestrator.cut import PAUSE_SEARCH_CHUNKS
from heisenberg.orchestrator.ears import Ears
from heisenberg.orchestrator.guard import Guard
from heisenberg.orchestrator.orders import Capture, Enter, Mode, Order, Overhear, Understood, WaitFor
from heisenberg.orchestrator.reports import Overheard, Report, SpokenOver, WakeHeard

WAKE_KEPT_S = 2.0
"""How much of what came before a detection is reported with it."""

LATEST_CHUNKS = int(2.0 * PIPELINE_RATE_HZ / CHUNK_SAMPLES)
"""A wake word that is reported later than two seconds after its detection counts as that late."""

ECHO_TAIL_S = 0.3
"""A room goes on sounding for so long after a reply; nothing in it is the beginning of a follow-up."""


class Attention:
    """What is listened for, and what was heard of it.

    Args:
        ears: the stages; whoever has them opens and closes them.
        report: called once per event; must not block.
        numbers: of captures, from 1 on; shared with whoever orders one.
        preroll_s: seconds of sound that belong to a command from before its speech was noticed.
    """

    def __init__(
        self, ears: Ears, report: Callable[[Report], None], numbers: Iterator[int], *, preroll_s: float
    ) -> None:
        self._ears = ears
        self._report = report
        self._numbers = numbers
        self._mode = Mode.WAKE
        self._guard = Guard(ears.barge_in)
        self._command = Command(ears.ring, ears.endpointer, report, preroll_s, follows_pauses=ears.follows_pauses)
        self._overhearing = Overhearing(ears.ring, report, ears.speech, preroll_s)
        self._minds_wake_word = True
        self._probabilities: deque[float | None] = deque(maxlen=PAUSE_SEARCH_CHUNKS + LATEST_CHUNKS)
        """Of speech in the last chunks; None where the VAD was not asked."""

    @property
    def wants_no_more(self) -> bool:
        """Whether a source that can wait must: the assistant has the word, or too much is still to be understood."""
        # A command goes on in spite of that: nobody understands anything else before it is over.
        is_ahead = self._mode is Mode.WAKE and self._overhearing.is_ahead
        return self._mode is Mode.NOTHING or is_ahead

    def obey(self, order: Order) -> None:
        """Listen as *order* says, from the next chunk on."""
        match order:
            case Capture(number, no_speech_s, after_s):
                self._mode = Mode.COMMAND
                self._command.begin(number, no_speech_s=no_speech_s, after_s=after_s)
            case WaitFor(capture, pause, silence_s):
                self._command.wait_for(capture, pause, silence_s)
            case Overhear(shape, minds_wake_word):
                self._minds_wake_word = minds_wake_word
                self._overhearing.take(shape)
            case Understood(at_s):
                self._overhearing.taken(at_s)
            case Enter(mode, is_sounding, known):
                if known >= self._command.number:
                    self._enter(mode)
                if is_sounding and self._ears.echo is not None:
                    self._guard.settle()

    def hear(self, samples: Samples) -> None:
        """One more chunk: int16 mono at 16 kHz; the last one of a file may be short."""
        ears = self._ears
        if ears.echo is not None:
            samples = ears.echo.process(samples)
        ears.ring.write(samples)
        loudness = level(samples)
        is_followed = self._mode is Mode.COMMAND or self._overhearing.is_open
        is_alone = ears.background.is_alone(loudness) and not is_followed
        probability = 0.0 if is_alone else ears.vad.process(_whole_chunk(samples))
        ears.meters.level, ears.meters.vad = loudness, probability
        if self._mode is not Mode.WAKE:
            self._overhearing.rest()
        match self._mode:
            case Mode.WAKE:
                self._await_wake(samples, None if is_alone else probability)
                if self._mode is Mode.WAKE:
                    self._overhearing.hear(samples, probability, loudness, deaf_s=ECHO_TAIL_S)
            case Mode.COMMAND:
                ended = self._command.follow(samples, probability)
                if ended is not None:
                    self._end_command(ended)
            case Mode.GUARD:
                self._keep_guard(samples, probability, loudness)

    def end(self, reason: EndReason) -> None:
        """No more sound comes, for now or for ever: what was being said ends here."""
        if self._mode is Mode.COMMAND:
            self._end_command(self._ears.endpointer.finish(reason))
        self._overhearing.rest()

    def _enter(self, mode: Mode) -> None:
        if mode in (Mode.WAKE, Mode.GUARD) and self._mode is not mode:
            was_fed = self._mode is Mode.WAKE or (self._mode is Mode.GUARD and self._guard.minds_wake_word)
            if not was_fed:
                self._ears.wakeword.reset()
                self._probabilities.clear()
            self._guard.reset()
            if mode is Mode.WAKE:
                self._ears.vad.reset()
        self._mode = mode

    @property
    def on_guard(self) -> Mode:
        """What is listened for while the assistant has the word."""
        return Mode.GUARD if self._ears.source.live else Mode.NOTHING

    # ── waiting ──────────────────────────────────────────────────────────────────────────────────

    def _await_wake(self, samples: Samples, probability: float | None) -> None:
        self._probabilities.append(probability)
        wake = self._ears.wakeword.process(samples) if self._minds_wake_word else None
        if wake is not None:
            self._wake(wake)

    def _wake(self, wake: Wake) -> None:
        """The command begins at the detection, however late that is reported: what came since is followed now."""
        self._mode = Mode.COMMAND
        ring, chunks = self._ears.ring, list(self._probabilities)
        late = min(round(samples_in(wake.late_seconds) / CHUNK_SAMPLES), LATEST_CHUNKS, len(chunks))
        before, since = chunks[: len(chunks) - late], chunks[len(chunks) - late :]
        at = ring.written - late * CHUNK_SAMPLES
        self._overhearing.rest_since_wake_phrase(late * CHUNK_SAMPLES)
        self._command.begin(next(self._numbers), before=before[-PAUSE_SEARCH_CHUNKS:], heard=late * CHUNK_SAMPLES)
        phrase = ring.read_range(at - samples_in(WAKE_KEPT_S), at)
        self._report(WakeHeard(wake.name, wake.score, at / PIPELINE_RATE_HZ, self._command.number, phrase))
        for start, probability in zip(itertools.count(at, CHUNK_SAMPLES), since, strict=False):
            ended = self._command.follow(ring.read_range(start, start + CHUNK_SAMPLES), probability or 0.0)
            if ended is not None:
                self._end_command(ended)
                return

    def _keep_guard(self, samples: Samples, probability: float, loudness: float) -> None:
        guard = self._guard
        guard.hear(probability, loudness)
        if guard.minds_wake_word:
            self._probabilities.append(probability)
            wake = self._ears.wakeword.process(samples)
            if wake is not None:
                self._wake(wake)
                return
        if guard.is_spoken_over:
            self._capture_speech_under_way(guard.speech_s)
        elif guard.overheard_s:
            self._report(Overheard(self._last(guard.overheard_s)))

    def _capture_speech_under_way(self, speech_s: float) -> None:
        """What is being said has begun already; it is captured from there."""
        self._mode = Mode.COMMAND
        self._command.begin(next(self._numbers))
        self._report(SpokenOver(self._command.number))
        self._command.has_been_spoken_for(speech_s)

    def _last(self, seconds: float) -> Samples:
        end = self._ears.ring.written
        return self._ears.ring.read_range(end - samples_in(seconds), end)

    def _end_command(self, end: CommandEnded) -> None:
        self._enter(self.on_guard)
        self._command.end(end)


def _whole_chunk(samples: Samples) -> Samples:
    """The last chunk of a file may be short; the VAD wants 512 samples."""
    missing = CHUNK_SAMPLES - len(samples)
    return np.pad(samples, (0, missing)) if missing else samples
