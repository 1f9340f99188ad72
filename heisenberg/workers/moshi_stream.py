"""How a Kyutai recogniser is fed, whatever runs it: frames in, words and pauses out. Needs no model library.

A :class:`Stepper` is the model: one frame of 80 ms in, one token out. :class:`Listener` is everything around it: the
silence before the first word, the delay with which the model speaks and the silence that makes it finish at once
(the flush), the times of words in the caller's audio, and what happens when a device fails or the model is stuck.
"""

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from heisenberg.workers.moshi_pauses import PauseSmoother
from heisenberg.workers.moshi_text import Said, Vocabulary, Word, WordAssembly
from heisenberg.workers.moshi_watchdog import Verdict, Watchdog

log = logging.getLogger(__name__)

RATE_HZ = 24_000
FRAME_SAMPLES = 1920
FRAME_S = FRAME_SAMPLES / RATE_HZ

RING_S = 10.0
"""Sound that is kept, to be heard again by a model that lost its state."""

KEPT_S = 600.0
"""Text that is kept of a stream without an end."""

OLD_S = 600.0
"""A model's state older than this is made anew in the next pause: positions do not grow for ever."""

QUIET_S = 2.0
"""Without a new word for so long, nothing is lost by making a state anew."""

Frame = npt.NDArray[np.float32]
"""Mono, 24 kHz, shape (1920,), −1 to 1."""

FloatAudio = npt.NDArray[np.float32]
"""Mono, 24 kHz, shape (n,), −1 to 1."""


@dataclass(frozen=True, slots=True)
class Step:
    """What the model says after one frame."""

    token: int
    pauses: tuple[float, ...] = ()
    """Probabilities of a pause of 0.5, 1, 2 and 3 s; empty where the model has no such heads."""


class Stepper(Protocol):
    """A model with its state."""

    device: str
    dtype: str
    delay_s: float
    """How much later than the sound its words come."""
    prefix_s: float
    """Silence it wants to hear first."""
    has_pauses: bool
    vocabulary: Vocabulary
    word_begins: int
    """The token before each word."""

    def reset(self) -> None:
        """Forget all that was heard."""

    def step(self, frame: Frame) -> Step:
        """Hear one frame. Raises whatever the device does when it fails."""

    def close(self) -> None:
        """Give its memory back; it is not used any more."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What is new."""

    text: str = ""
    words: tuple[Word, ...] = ()
    at_s: float = 0.0
    """Seconds of the caller's audio that were processed."""
    pauses: tuple[float, ...] | None = None
    """Smoothed; None where the model has no such heads."""
    notices: tuple[str, ...] = ()
    """For the user."""


class Timeline:
    """Where in the caller's audio the model is: it also hears silence that the caller never sent. Counts samples."""

    def __init__(self, origin: int = 0) -> None:
        self.fed = 0
        """Samples that the model heard."""
        self._origin = origin
        self._pushed: deque[tuple[int, int]] = deque()

    def hear(self, samples: int) -> None:
        """The model hears so much of the caller's audio."""
        self.fed += samples

    def push(self, samples: int) -> None:
        """The model hears so much silence of ours."""
        self._pushed.append((self.fed, samples))
        self.fed += samples

    def audio_s(self, position: float) -> float:
        """The caller's second at the model's *position* (samples, never less than in an earlier call)."""
        while self._pushed and position >= sum(self._pushed[0]):
            self._origin -= self._pushed.popleft()[1]
        inside = sum(max(0.0, position - start) for start, _ in self._pushed)
        return max(0.0, (self._origin + position - inside) / RATE_HZ)


class Listener:
    """One utterance after the other, through one model. Used by one thread.

    Args:
        stepper: the model.
        fall_back: gives another model when *stepper* fails with the error, or raises.
    """

    def __init__(self, stepper: Stepper, fall_back: Callable[[Exception], Stepper] | None = None) -> None:
        self.stepper = stepper
        self._fall_back = fall_back
        self.begin()

    def begin(self, *, is_endless: bool = False) -> None:
        """A new utterance. Of an endless one only the last ten minutes of text are kept."""
        self._is_endless = is_endless
        self._assembly = WordAssembly(self.stepper.vocabulary, self.stepper.word_begins)
        self._watchdog = Watchdog()
        self._smoother = PauseSmoother()
        self._smooth: tuple[float, ...] | None = None
        self._ring: deque[FloatAudio] = deque(maxlen=round(RING_S / FRAME_S))
        self._heard = 0
        self._last_text = 0
        self._next_complaint = 0
        self._texts: deque[tuple[float, str]] = deque()
        self._words: deque[Word] = deque()
        self._notices: list[str] = []
        self._renew(Timeline())

    @property
    def text(self) -> str:
        """All that was understood of this utterance."""
        return "".join(text for _, text in self._texts).strip()

    @property
    def words(self) -> list[Word]:
        """All that were closed."""
        return list(self._words)

    @property
    def at_s(self) -> float:
        """Seconds of the caller's audio that were processed."""
        return self._heard / RATE_HZ

    def hear(self, frame: Frame) -> Heard:
        """Process one frame. Raises what the model raises, where nothing can take over."""
        said = self._take(frame, FRAME_SAMPLES)
        verdict = self._watchdog.hear(frame, has_text=bool(said.text))
        if verdict is Verdict.STUCK:
            said = _joined([said, *self._hear_again()])
        elif verdict is Verdict.HOPELESS and self._heard >= self._next_complaint:
            self._next_complaint = self._heard + round(KEPT_S * RATE_HZ)
            self._tell("The recogniser hears sound and finds no words in it. Is it speech, and in its language?")
        elif self._is_old() and self._heard - self._last_text > QUIET_S * RATE_HZ:
            said = _joined([said, *self._renewed(self._whole_frames(round(RATE_HZ * QUIET_S / 2)))])
        return self._new(said)

    def flush(self, rest: FloatAudio | None = None) -> Heard:
        """Process *rest* (less than a frame) too, and have all words out at once. The utterance may go on."""
        saids = []
        if rest is not None and len(rest):
            padded = np.zeros(FRAME_SAMPLES, dtype=np.float32)
            padded[: len(rest)] = rest
            saids.append(self._take(padded, len(rest)))
        silence = np.zeros(FRAME_SAMPLES, dtype=np.float32)
        for _ in range(math.ceil(self.stepper.delay_s / FRAME_S) + 1):
            saids.append(self._take(silence, 0))
        saids.append(self._assembly.end(self.at_s))
        if self._is_old():
            self._renewed([])  # all that was heard is written down
        return self._new(_joined(saids))

    def _take(self, frame: Frame, samples: int) -> Said:
        """One frame, of which so many samples are the caller's."""
        step = self._step(frame)
        if samples:
            self._ring.append(frame[:samples])
            self._heard += samples
        said = self._understand(step, samples)
        if said.text:
            self._last_text = self._heard
        return said

    def _understand(self, step: Step, samples: int) -> Said:
        # The token after a frame is about the sound a delay before that frame's beginning.
        at = self._timeline.fed - self.stepper.delay_s * RATE_HZ
        self._timeline.hear(samples)
        if samples < FRAME_SAMPLES:
            self._timeline.push(FRAME_SAMPLES - samples)
        elif step.pauses:
            self._smooth = tuple(self._smoother.hear(step.pauses))
        return self._assembly.hear(step.token, self._timeline.audio_s(at))

    def _step(self, frame: Frame) -> Step:
        try:
            return self.stepper.step(frame)
        except Exception as exc:  # a failing device raises whatever it likes
            if self._fall_back is None:
                raise
            failed = self.stepper.device
            self.stepper = self._fall_back(exc)
            self._tell(f"{failed} failed while it listened ({_line(exc)}); {self.stepper.device} goes on.")
        # What was understood stays; the new model only gets to know what it was about.
        self._fresh()
        for old in self._whole_frames(round(RING_S * RATE_HZ)):
            self.stepper.step(old)
        return self.stepper.step(frame)

    def _hear_again(self) -> list[Said]:
        """Reset the model and let it hear again what it found no words in."""
        log.info("Sound for a while and no words: the recogniser is reset and hears the last seconds again")
        closed = self._assembly.end(self.at_s)
        saids = [closed, *self._renewed(self._whole_frames(self._heard - self._last_text))]
        if any(said.text for said in saids):
            self._last_text = self._heard
            self._watchdog.calm()
            self._tell("The recogniser was stuck and was reset; it has heard the last seconds again.")
        return saids

    def _renewed(self, frames: list[Frame]) -> list[Said]:
        """What a model with a fresh state says to *frames*, the last that were heard."""
        self._renew(Timeline(self._heard - len(frames) * FRAME_SAMPLES))
        return [self._understand(self._step(frame), FRAME_SAMPLES) for frame in frames]

    def _renew(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._smoother.reset()
        self._fresh()

    def _fresh(self) -> None:
        self.stepper.reset()
        for _ in range(math.ceil(self.stepper.prefix_s / FRAME_S)):
            self.stepper.step(np.zeros(FRAME_SAMPLES, dtype=np.float32))

    def _is_old(self) -> bool:
        return self._timeline.fed > OLD_S * RATE_HZ

    def _whole_frames(self, most_samples: int) -> list[Frame]:
        """The last sound of the caller, oldest first."""
        if not self._ring:
            return []
        sound = np.concatenate(list(self._ring))
        frames = min(most_samples, len(sound)) // FRAME_SAMPLES
        return list(sound[len(sound) - frames * FRAME_SAMPLES :].reshape(frames, FRAME_SAMPLES))

    def _tell(self, notice: str) -> None:
        log.warning(notice)
        self._notices.append(notice)

    def _new(self, said: Said) -> Heard:
        if said.text:
            self._texts.append((self.at_s, said.text))
        self._words.extend(said.words)
        if self._is_endless:
            self._forget()
        notices, self._notices = tuple(self._notices), []
        return Heard(said.text, said.words, self.at_s, self._smooth, notices)

    def _forget(self) -> None:
        since = self.at_s - KEPT_S
        while self._texts and self._texts[0][0] < since:
            self._texts.popleft()
        while self._words and self._words[0].end_s < since:
            self._words.popleft()


def measured(stepper: Stepper, *, warm_up: int = 4, frames: int = 12) -> float:
    """Real-time factor: seconds of work for a second of sound. Leaves the model with a fresh state.

    Raises whatever the device does when it fails.
    """
    noise = np.random.default_rng(0).normal(0, 0.01, (warm_up + frames, FRAME_SAMPLES)).astype(np.float32)
    stepper.reset()
    for frame in noise[:warm_up]:
        stepper.step(frame)
    begun = time.perf_counter()
    for frame in noise[warm_up:]:
        stepper.step(frame)
    seconds = time.perf_counter() - begun
    stepper.reset()
    return seconds / (frames * FRAME_S)


def _joined(saids: Sequence[Said]) -> Said:
    return Said("".join(said.text for said in saids), tuple(word for said in saids for word in said.words))


def _line(error: Exception) -> str:
    """What an error says, in one line of bearable length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:199] + "…"
