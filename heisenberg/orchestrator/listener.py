"""The audio thread: reads the source, waits for the wake word, cuts out the command.

It owns the source, the wake-word engine, the VAD, the endpointer and the ring, and counts samples, never
the clock. It reports to the session with one call per *event*; the session answers with :meth:`arm`,
:meth:`capture` and :meth:`hold`, which take effect at the next chunk. While held, a live source goes on
being read (and is ignored: half-duplex); a file waits, so that no word of it is missed.
"""

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

import numpy as np

from heisenberg.core.audio import CHUNK_SAMPLES, PIPELINE_RATE_HZ, Meters, Samples, level
from heisenberg.core.errors import AudioError
from heisenberg.core.stages import (
    AudioSource,
    CommandEnded,
    CommandStarted,
    Endpointer,
    EndReason,
    SampleRing,
    VadEngine,
    WakewordEngine,
)
from heisenberg.orchestrator.background import Background
from heisenberg.orchestrator.cut import PAUSE_SEARCH_CHUNKS, cut

log = logging.getLogger(__name__)

FEED_SAMPLES = 8 * CHUNK_SAMPLES
"""While a command is spoken it is handed on in blocks of about a quarter of a second."""

STOP_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class WakeHeard:
    """The wake phrase was heard."""

    name: str
    score: float
    audio_at: float
    """Seconds of audio since the input opened."""


@dataclass(frozen=True, slots=True)
class CommandBegan:
    """The user began to speak."""


@dataclass(frozen=True, slots=True, eq=False)
class CommandHeard:
    """More of the command."""

    samples: Samples


@dataclass(frozen=True, slots=True, eq=False)
class CommandDone:
    """The endpoint."""

    reason: EndReason
    samples: Samples
    """The command, trimmed to its speech with pre-roll; empty if there was none."""
    speech_seconds: float
    """How much of it is speech."""
    waited_seconds: float
    """Audio that passed between the true end of speech and now."""
    has_wake_phrase: bool
    """Whether *samples* begin with the wake phrase."""


@dataclass(frozen=True, slots=True)
class InputGone:
    """The microphone stopped delivering."""

    error: AudioError


@dataclass(frozen=True, slots=True)
class InputBack:
    """It delivers again."""


@dataclass(frozen=True, slots=True)
class InputEnded:
    """The file is over."""


@dataclass(frozen=True, slots=True)
class ListenerDied:
    """A fault in the audio thread; nothing is heard any more."""

    error: Exception


Report = WakeHeard | CommandBegan | CommandHeard | CommandDone | InputGone | InputBack | InputEnded | ListenerDied


class Mode(Enum):
    """What the thread is listening for."""

    WAKE = auto()
    COMMAND = auto()
    NOTHING = auto()


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
        self._preroll_s = preroll_s
        self._mode = Mode.WAKE
        self._orders: queue.SimpleQueue[Mode | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="audio", daemon=True)
        self._is_lost = False
        # Sample numbers of the command being captured.
        self._origin = 0
        self._fed_to: int | None = None
        self._cut_from = 0
        self._has_wake_phrase = False
        self._woken = False
        self._probabilities: deque[float | None] = deque(maxlen=PAUSE_SEARCH_CHUNKS)
        """Of speech in the last chunks before the detection; None where the VAD was not asked."""

    def start(self) -> None:
        """Begin to listen for the wake word."""
        self._thread.start()

    def arm(self) -> None:
        """Listen for the wake word."""
        self._orders.put(Mode.WAKE)

    def capture(self) -> None:
        """Listen for a command without a wake word."""
        self._orders.put(Mode.COMMAND)

    def hold(self) -> None:
        """Hear nothing (the assistant is thinking or speaking)."""
        self._orders.put(Mode.NOTHING)

    def stop(self) -> None:
        """End the thread and release the source. Waits at most a few seconds."""
        self._orders.put(None)
        self._ears.source.close()
        if self._thread.is_alive():
            self._thread.join(STOP_TIMEOUT_S)

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    # ── the thread ───────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        try:
            while self._obey():
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
                    self._is_lost = False
                    self._report(InputBack())
                self._hear(samples)
        except Exception as exc:
            log.exception("the audio thread failed")
            self._report(ListenerDied(exc))
        finally:
            self._ears.source.close()
            self._ears.wakeword.close()

    def _obey(self) -> bool:
        """Take orders; False to end. A file that is held waits here."""
        while True:
            must_wait = self._mode is Mode.NOTHING and not self._ears.source.live
            try:
                order = self._orders.get(block=must_wait)
            except queue.Empty:
                return True
            if order is None:
                return False
            self._enter(order)

    def _enter(self, mode: Mode) -> None:
        if mode is Mode.WAKE and self._mode is not Mode.WAKE:
            self._ears.wakeword.reset()
            self._ears.vad.reset()
            self._probabilities.clear()
        if mode is Mode.COMMAND:
            self._begin_command(woken=False)
        self._mode = mode

    def _hear(self, samples: Samples) -> None:
        ears = self._ears
        ears.ring.write(samples)
        loudness = level(samples)
        is_alone = ears.background.is_alone(loudness) and self._mode is not Mode.COMMAND
        probability = 0.0 if is_alone else ears.vad.process(_whole_chunk(samples))
        ears.meters.level, ears.meters.vad = loudness, probability
        if self._mode is Mode.WAKE:
            self._probabilities.append(None if is_alone else probability)
            wake = ears.wakeword.process(samples)
            if wake is not None:
                self._mode = Mode.COMMAND
                self._begin_command(woken=True)
                self._report(WakeHeard(wake.name, wake.score, ears.ring.written / PIPELINE_RATE_HZ))
        elif self._mode is Mode.COMMAND:
            said = ears.endpointer.process(len(samples) / PIPELINE_RATE_HZ, probability)
            if isinstance(said, CommandStarted):
                self._start_speech(said)
            elif isinstance(said, CommandEnded):
                self._end_command(said)
                return
            self._feed()

    def _begin_command(self, *, woken: bool) -> None:
        self._ears.endpointer.reset()
        self._origin = self._ears.ring.written
        self._fed_to = None
        self._woken = woken

    def _start_speech(self, said: CommandStarted) -> None:
        start_s = said.at_seconds
        begins_s, self._has_wake_phrase = cut(start_s, self._probabilities if self._woken else None, self._preroll_s)
        self._cut_from = max(0, self._origin + _samples(begins_s))
        self._fed_to = self._cut_from
        self._report(CommandBegan())

    def _feed(self) -> None:
        if self._fed_to is not None and self._ears.ring.written - self._fed_to >= FEED_SAMPLES:
            self._report(CommandHeard(self._ears.ring.read_range(self._fed_to, self._ears.ring.written)))
            self._fed_to = self._ears.ring.written

    def _end_command(self, end: CommandEnded) -> None:
        self._mode = Mode.NOTHING
        has_speech = end.reason is not EndReason.NO_SPEECH and end.end_seconds > end.start_seconds
        samples: Samples = np.zeros(0, dtype=np.int16)
        if has_speech:
            # A little of the silence stays: Whisper wants to hear that the last word ends.
            stop = min(self._ears.ring.written, self._origin + _samples(end.end_seconds + 0.2))
            samples = self._ears.ring.read_range(self._cut_from, stop)
        waited = (self._ears.ring.written - self._origin) / PIPELINE_RATE_HZ - end.end_seconds
        self._report(
            CommandDone(
                end.reason,
                samples,
                end.end_seconds - end.start_seconds if has_speech else 0.0,
                max(0.0, waited),
                self._has_wake_phrase and has_speech,
            )
        )

    def _lose_input(self, error: AudioError) -> None:
        if self._mode is Mode.COMMAND:
            self._end_command(self._ears.endpointer.finish(EndReason.INPUT_LOST))
        self._ears.meters.level = self._ears.meters.vad = 0.0
        if not self._is_lost:
            self._is_lost = True
            self._report(InputGone(error))

    def _end_input(self) -> None:
        if self._mode is Mode.COMMAND:
            self._end_command(self._ears.endpointer.finish(EndReason.END_OF_INPUT))
        self._report(InputEnded())


def _samples(seconds: float) -> int:
    return int(seconds * PIPELINE_RATE_HZ)


def _whole_chunk(samples: Samples) -> Samples:
    """The last chunk of a file may be short; the VAD wants 512 samples."""
    return np.pad(samples, (0, CHUNK_SAMPLES - len(samples)))
