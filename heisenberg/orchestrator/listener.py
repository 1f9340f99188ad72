"""The audio thread: reads the source, waits for the wake word, has the command captured.

It owns the source, the echo canceller, the wake-word engine, the VAD, the endpointer and the ring, and counts
samples, never the clock. It reports to the session with one call per *event*; the session answers with orders
(:meth:`arm`, :meth:`capture`, :meth:`guard`…), which take effect at the next chunk. Each command that is captured
(``command.py``) has a number, which its reports bear: a report of an earlier one means nothing.

While the assistant thinks and speaks it is on *guard* (``guard.py``) for what may interrupt. That needs a live source;
a file that is read as fast as can be waits until the answer is over, so that no word of it is missed.
"""

import itertools
import logging
import queue
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

import numpy as np

from heisenberg.core.audio import CHUNK_SAMPLES, PIPELINE_RATE_HZ, Meters, Samples, level
from heisenberg.core.config import VadConfig
from heisenberg.core.errors import AudioError
from heisenberg.core.stages import (
    AudioSource,
    CommandEnded,
    EchoCanceller,
    Endpointer,
    EndReason,
    SampleRing,
    VadEngine,
    Wake,
    WakewordEngine,
)
from heisenberg.orchestrator.ambient.overhearing import Overhearing
from heisenberg.orchestrator.ambient.segments import Shape
from heisenberg.orchestrator.background import Background
from heisenberg.orchestrator.command import Command, samples_in
from heisenberg.orchestrator.cut import PAUSE_SEARCH_CHUNKS
from heisenberg.orchestrator.guard import BargeIn, Guard
from heisenberg.orchestrator.reports import (
    InputBack,
    InputEnded,
    InputGone,
    ListenerDied,
    Overheard,
    Report,
    SpokenOver,
    WakeHeard,
)

log = logging.getLogger(__name__)

WAKE_KEPT_S = 2.0
"""How much of what came before a detection is reported with it."""

LATEST_CHUNKS = int(2.0 * PIPELINE_RATE_HZ / CHUNK_SAMPLES)
"""A wake word that is reported later than two seconds after its detection counts as that late."""

ECHO_TAIL_S = 0.3
"""A room goes on sounding for so long after a reply; nothing in it is the beginning of a follow-up."""

STOP_TIMEOUT_S = 3.0


# ── orders ───────────────────────────────────────────────────────────────────────────────────────


class Mode(Enum):
    """What the thread is listening for."""

    WAKE = auto()
    COMMAND = auto()
    GUARD = auto()
    NOTHING = auto()


@dataclass(frozen=True, slots=True)
class _Enter:
    mode: Mode
    is_sounding: bool
    """The loudspeaker begins to sound."""
    known: int
    """The last capture that the sender knew of; a newer one is not given up for an old order."""


@dataclass(frozen=True, slots=True)
class _Capture:
    capture: int
    no_speech_s: float | None
    after_s: float


@dataclass(frozen=True, slots=True)
class _WaitFor:
    capture: int
    pause: int
    silence_s: float


@dataclass(frozen=True, slots=True)
class _Overhear:
    shape: Shape | None
    minds_wake_word: bool


@dataclass(frozen=True, slots=True)
class _Understood:
    at_s: float


_Order = _Enter | _Capture | _WaitFor | _Overhear | _Understood | None


@dataclass(slots=True)
class Ears:
    """The stages that the thread owns."""

    source: AudioSource
    wakeword: WakewordEngine
    vad: VadEngine
    endpointer: Endpointer
    ring: SampleRing
    background: Background = field(default_factory=Background)
    meters: Meters = field(default_factory=Meters)
    echo: EchoCanceller | None = None
    barge_in: BargeIn = BargeIn.WAKE_WORD
    speech: VadConfig = field(default_factory=VadConfig)
    """Thresholds for what is overheard in ambient mode."""
    follows_pauses: bool = False
    """Whether the recogniser is to hear the pauses of a command as they pass."""


class Listener:
    """The audio thread.

    Args:
        ears: the stages; closed when the thread ends.
        report: called on the thread, once per event; must not block.
        preroll_s: seconds of sound that belong to a command from before its speech was noticed.
    """

    def __init__(self, ears: Ears, report: Callable[[Report], None], *, preroll_s: float) -> None:
        self._ears = ears
        self._report = report
        self._mode = Mode.WAKE
        self._orders: queue.SimpleQueue[_Order] = queue.SimpleQueue()
        self._captures = itertools.count(1)
        self._thread = threading.Thread(target=self._run, name="audio", daemon=True)
        self._guard = Guard(ears.barge_in)
        self._command = Command(ears.ring, ears.endpointer, report, preroll_s, follows_pauses=ears.follows_pauses)
        self._overhearing = Overhearing(ears.ring, report, ears.speech, preroll_s)
        self._minds_wake_word = True
        self._is_lost = False
        self._rounds = 0
        self._is_waiting = False
        self._probabilities: deque[float | None] = deque(maxlen=PAUSE_SEARCH_CHUNKS + LATEST_CHUNKS)
        """Of speech in the last chunks; None where the VAD was not asked."""

    # ── from any thread ──────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Begin to listen for the wake word."""
        self._thread.start()

    def arm(self, known: int) -> None:
        """Listen for the wake word, unless a command after the one numbered *known* is being captured."""
        self._orders.put(_Enter(Mode.WAKE, False, known))

    def capture(self, *, no_speech_s: float | None = None, after_reply: bool = False) -> int:
        """Listen for a command without a wake word; the number that its reports will bear.

        Args:
            no_speech_s: how long to wait for its beginning, in place of what is configured.
            after_reply: whether a reply has just been heard, whose last echo must not count.
        """
        number = next(self._captures)
        self._orders.put(_Capture(number, no_speech_s, ECHO_TAIL_S if after_reply else 0.0))
        return number

    def wait_for(self, capture: int, pause: int, silence_s: float) -> None:
        """The *pause*-th pause of a command ends it after *silence_s* seconds; ignored once the user speaks on."""
        self._orders.put(_WaitFor(capture, pause, silence_s))

    def guard(self, known: int, *, is_sounding: bool = False) -> None:
        """The assistant thinks, or begins to speak: notice what may interrupt it. For *known* see :meth:`arm`."""
        self._orders.put(_Enter(self._on_guard, is_sounding, known))

    def overhear(self, shape: Shape | None, *, minds_wake_word: bool = True) -> None:
        """Report everything that is said while nobody commands, in segments of *shape*; None to report none of it.

        Args:
            minds_wake_word: whether the wake word begins a command nevertheless.
        """
        self._orders.put(_Overhear(shape, minds_wake_word))

    def understood(self, at_s: float) -> None:
        """What was overheard up to *at_s* seconds has been understood: a file that waits for that may go on."""
        self._orders.put(_Understood(at_s))

    def stop(self) -> None:
        """End the thread and release the source. Waits at most a few seconds."""
        self.abandon()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(STOP_TIMEOUT_S)

    def abandon(self) -> None:
        """End the thread if it still takes orders; waits for nothing."""
        self._orders.put(None)
        self._ears.source.close()

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def is_live(self) -> bool:
        """Whether its source can be opened again and go on (a file cannot)."""
        return self._ears.source.live

    @property
    def progress(self) -> int | None:
        """Grows while the thread works; None while it may rightly stand still (a file that waits, a lost device)."""
        return None if self._is_waiting or self._is_lost else self._rounds

    # ── the thread ───────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        try:
            while self._obey():
                self._rounds += 1
                try:
                    samples = self._ears.source.read()
                except AudioError as exc:
                    if exc.code == "audio-file-unreadable":
                        self._report(ListenerDied(exc))  # a pipe that is no sound: it will not come back
                        return
                    self._lose_input(exc)
                    continue
                if samples is None:
                    self._end_input()
                    return
                if self._is_lost:
                    self._regain_input()
                self._hear(samples)
        except Exception as exc:
            log.exception("the audio thread failed")
            self._report(ListenerDied(exc))
        finally:
            self._is_waiting = True
            self._ears.source.close()
            self._ears.wakeword.close()

    def _obey(self) -> bool:
        """Take orders; False to end. A file that is held waits here."""
        while True:
            # A command goes on in spite of that: nobody understands anything else before it is over.
            is_ahead = self._mode is Mode.WAKE and self._overhearing.is_ahead
            must_wait = self._mode is Mode.NOTHING or is_ahead
            self._is_waiting = must_wait and not self._ears.source.live
            try:
                order = self._orders.get(block=self._is_waiting)
            except queue.Empty:
                return True
            match order:
                case None:
                    return False
                case _Capture(number, no_speech_s, after_s):
                    self._mode = Mode.COMMAND
                    self._command.begin(number, no_speech_s=no_speech_s, after_s=after_s)
                case _WaitFor(capture, pause, silence_s):
                    self._command.wait_for(capture, pause, silence_s)
                case _Overhear(shape, minds_wake_word):
                    self._minds_wake_word = minds_wake_word
                    self._overhearing.take(shape)
                case _Understood(at_s):
                    self._overhearing.taken(at_s)
                case _Enter(mode, is_sounding, known):
                    if known >= self._command.number:
                        self._enter(mode)
                    if is_sounding and self._ears.echo is not None:
                        self._guard.settle()

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

    def _hear(self, samples: Samples) -> None:
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
        self._command.begin(next(self._captures), before=before[-PAUSE_SEARCH_CHUNKS:], heard=late * CHUNK_SAMPLES)
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
        self._command.begin(next(self._captures))
        self._report(SpokenOver(self._command.number))
        self._command.has_been_spoken_for(speech_s)

    def _last(self, seconds: float) -> Samples:
        end = self._ears.ring.written
        return self._ears.ring.read_range(end - samples_in(seconds), end)

    def _end_command(self, end: CommandEnded) -> None:
        self._enter(self._on_guard)
        self._command.end(end)

    @property
    def _on_guard(self) -> Mode:
        return Mode.GUARD if self._ears.source.live else Mode.NOTHING

    # ── the input ────────────────────────────────────────────────────────────────────────────────

    def _lose_input(self, error: AudioError) -> None:
        if self._mode is Mode.COMMAND:
            self._end_command(self._ears.endpointer.finish(EndReason.INPUT_LOST))
        self._overhearing.rest()
        self._ears.meters.level = self._ears.meters.vad = 0.0
        if not self._is_lost:
            self._is_lost = True
            self._report(InputGone(error))

    def _regain_input(self) -> None:
        self._is_lost = False
        self._ears.wakeword.reset()
        self._ears.vad.reset()
        if self._ears.echo is not None:
            self._ears.echo.reset()
        self._report(InputBack())

    def _end_input(self) -> None:
        if self._mode is Mode.COMMAND:
            self._end_command(self._ears.endpointer.finish(EndReason.END_OF_INPUT))
        self._overhearing.rest()
        self._report(InputEnded())


def _whole_chunk(samples: Samples) -> Samples:
    """The last chunk of a file may be short; the VAD wants 512 samples."""
    missing = CHUNK_SAMPLES - len(samples)
    return np.pad(samples, (0, missing)) if missing else samples
