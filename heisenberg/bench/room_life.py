"""People and noises in a room, for ``soak.py``: scenes drawn from a seeded deck. ``room.py`` plays them.

Every scene leaves the room quiet for long enough that its turn can end. Nothing here knows how the assistant answers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from heisenberg.bench import room_sounds as sounds
from heisenberg.bench.questions import speech_at_pipeline_rate
from heisenberg.core.audio import PIPELINE_RATE_HZ, Samples
from heisenberg.core.config import VadConfig
from heisenberg.models import Runner

WAKE = "Hey Jarvis."
QUESTIONS = (
    "What is the capital of France?",
    "Tell me about the ocean at night.",
    "Paint me a quiet forest in the morning.",
    "Who invented the telephone?",
)
WORDS = ("Stop!", "Yes.", "Never mind.")
TALK = (
    "I told her that we would come by train, but she wants us to take the car.",
    "The soup needs another ten minutes, and somebody has to lay the table.",
    "It rained the whole week, so the children played inside and broke a lamp.",
)
TAIL_S = 1.0


@dataclass(frozen=True, slots=True)
class Loss:
    """The device is gone for so many reads."""

    reads: int


Piece = Samples | Loss


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What happens in the room for a while."""

    kind: str
    pieces: Sequence[Piece]
    wakes: int = 0
    """How often the wake phrase is said so that it ought to be heard."""


Bank = Mapping[str, Samples]
"""Spoken sentences, 16 kHz."""


async def synthesise_bank(runner: Runner) -> Bank:
    """Everything that is said in the room, the same each time. Raises SpeechError."""
    texts = (WAKE, *QUESTIONS, *WORDS, *TALK)
    return {text: await speech_at_pipeline_rate(runner, text) for text in texts}


class Scenes:
    """Makes scenes, each kind as often as the others, in an order that the seed decides.

    Args:
        bank: what is said, from :func:`synthesise_bank`.
        vad: how long the assistant waits for the beginning and the end of a command.
        seed: of everything random.
    """

    def __init__(self, bank: Bank, vad: VadConfig, seed: int) -> None:
        self._bank = bank
        self._vad = vad
        self._random = np.random.default_rng(seed)
        self._deck: list[Callable[[], Scene]] = []

    def draw(self) -> Scene:
        """The next scene."""
        if not self._deck:
            kinds = [
                self.question, self.in_one_breath, self.nothing_said, self.one_word, self.with_pauses, self.ramble,
                self.held_open, self.talk, self.noises, self.muted, self.lost, self.lost_idle, self.wrong_level,
                self.interrupting,
            ]  # fmt: skip
            self._deck = [kinds[index] for index in self._random.permutation(len(kinds))]
        return self._deck.pop()()

    def pause(self, seconds: float) -> Samples:
        """Nothing happens."""
        return self._quiet(seconds)

    # ── kinds ────────────────────────────────────────────────────────────────────────────────────

    def question(self) -> Scene:
        """The wake phrase and a question, over some noise."""
        return Scene("question", [*self._woken(), self._over_noise(self._any(QUESTIONS)), self._end()], 1)

    def calm(self) -> Scene:
        """The same in a quiet room."""
        return Scene("calm question", [*self._woken(), self._any(QUESTIONS), self._end()], 1)

    def in_one_breath(self) -> Scene:
        """A question without a pause after the wake phrase."""
        return Scene("in one breath", [self._quiet(1), self._wake(), self._any(QUESTIONS), self._end()], 1)

    def nothing_said(self) -> Scene:
        """The wake phrase alone."""
        return Scene("nothing said", [*self._woken(), self._waited_out()], 1)

    def one_word(self) -> Scene:
        """A command of one word."""
        return Scene("one word", [*self._woken(), self._any(WORDS), self._waited_out()], 1)

    def with_pauses(self) -> Scene:
        """A question that breaks off in the middle and goes on; the pause may end it."""
        first, second = self._cut(self._any(QUESTIONS))
        pause = self._quiet(float(self._random.uniform(0.3, 1.0)))
        return Scene("with pauses", [*self._woken(), first, pause, second, self._waited_out()], 1)

    def ramble(self) -> Scene:
        """Somebody speaks for longer than a command may be."""
        speech = self._speech(self._vad.max_command_seconds + 3)
        return Scene("ramble", [*self._woken(), speech, self._waited_out()], 1)

    def held_open(self) -> Scene:
        """A question, and then other people talk on."""
        crowd = self._babble(self._vad.max_command_seconds)
        return Scene("held open by babble", [*self._woken(), self._any(QUESTIONS), crowd, self._waited_out()], 1)

    def talk(self) -> Scene:
        """Talk that is not meant for the assistant."""
        return Scene("talk", [self._quiet(1), self._speech(8), self._quiet(1)])

    def noises(self) -> Scene:
        """Noise without speech."""
        kind = str(self._random.choice(list(sounds.NOISES)))
        peak = float(self._random.uniform(0.05, 0.9))
        return Scene(f"noise: {kind}", [sounds.noise(kind, 6.0, self._random, peak), self._quiet(1)])

    def muted(self) -> Scene:
        """The microphone is switched off in the middle of a question."""
        first, _ = self._cut(self._any(QUESTIONS))
        off = sounds.muted(self._vad.no_speech_seconds + 2)
        return Scene("muted in mid-speech", [*self._woken(), first, off, self._quiet(1)], 1)

    def lost(self) -> Scene:
        """The device goes in the middle of a question, and comes back."""
        first, second = self._cut(self._any(QUESTIONS))
        pieces = [*self._woken(), first, self._loss(), second, self._waited_out()]
        return Scene("device lost in mid-speech", pieces, 1)

    def lost_idle(self) -> Scene:
        """The device goes while nobody speaks, and comes back."""
        return Scene("device lost while idle", [self._quiet(1), self._loss(), self._quiet(1)])

    def wrong_level(self) -> Scene:
        """Much too loud, or hardly to be heard; it need not be understood."""
        factor = float(self._random.choice((0.01, 30.0)))
        said = np.concatenate([self._wake(), self._quiet(0.3), self._any(QUESTIONS)])
        return Scene("wrong level", [self._quiet(1), sounds.louder(said, factor), self._waited_out()])

    def interrupting(self) -> Scene:
        """The wake phrase and "stop" soon after a question; a source that waits hears them as a second turn."""
        pieces = [*self._woken(), self._any(QUESTIONS), self._quiet(2.5), self._wake(), self._quiet(0.2)]
        return Scene("interrupting", [*pieces, self._bank[WORDS[0]], self._waited_out()], 2)

    # ── pieces ───────────────────────────────────────────────────────────────────────────────────

    def _woken(self) -> list[Piece]:
        return [self._quiet(1), self._wake(), self._quiet(0.3)]

    def _wake(self) -> Samples:
        return self._bank[WAKE]

    def _any(self, texts: Sequence[str]) -> Samples:
        return self._bank[texts[int(self._random.integers(len(texts)))]]

    def _over_noise(self, speech: Samples) -> Samples:
        kind = str(self._random.choice(("hum", "pink", "music", "typing")))
        room = sounds.noise(kind, len(speech) / PIPELINE_RATE_HZ, self._random)
        return sounds.over(speech, room, snr_db=float(self._random.uniform(12, 25)))

    def _cut(self, speech: Samples) -> tuple[Samples, Samples]:
        at = int(len(speech) * self._random.uniform(0.3, 0.7))
        return speech[:at], speech[at:]

    def _speech(self, seconds: float) -> Samples:
        order = self._random.permutation(len(TALK))
        said = np.concatenate([self._bank[TALK[index]] for index in order])
        return np.resize(said, round(seconds * PIPELINE_RATE_HZ))

    def _babble(self, seconds: float) -> Samples:
        return sounds.babble([self._bank[text] for text in TALK], seconds, self._random)

    def _loss(self) -> Loss:
        return Loss(int(self._random.integers(1, 60)))

    def _quiet(self, seconds: float) -> Samples:
        return sounds.quiet(seconds, self._random)

    def _end(self) -> Samples:
        """Silence that ends a command, however incomplete it sounds."""
        return self._quiet(self._vad.incomplete_silence_seconds + TAIL_S)

    def _waited_out(self) -> Samples:
        """Silence that ends a turn in which nothing (more) is said."""
        return self._quiet(self._vad.no_speech_seconds + TAIL_S)
