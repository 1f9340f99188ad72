"""The talk that ambient mode is measured with: written for this purpose, in English and in French.

The English half is spoken by the plain voice of this machine, so that it is known to the word and to the moment. No
French voice comes with the starter kit whose speech Whisper understands; the French half is measured as text.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from heisenberg.audio.wavwriter import WavWriter
from heisenberg.bench.questions import speech_at_pipeline_rate
from heisenberg.core.audio import PIPELINE_RATE_HZ, Samples
from heisenberg.models import Runner

ENGLISH = (
    "Welcome to the old harbour.",
    "Tonight we walk along the sea, and we listen to what the water says.",
    "The first boats left before dawn.",
    "Their lamps were yellow, and the fog was thick and blue.",
    "Can you see the lighthouse on the rocks?",
    "It turns once every ten seconds.",
    "My grandmother told me that it never sleeps!",
    "Then a storm comes up from the west.",
    "Lightning breaks over the black water, again and again.",
    "The whole village stands at the window.",
    "Somebody sings an old song, very quietly.",
    "And in the morning, everything is calm.",
    "A small red boat drifts into the harbour.",
    "There is nobody on board.",
    "Who put the flowers on the deck?",
    "The children run down the stairs to look at it.",
    "Golden light falls on the wet stones.",
    "We follow a narrow path up into the forest.",
    "Under the trees it is green and cool.",
    "A fox looks at us for a moment, and then it is gone.",
    "Far away, the bells of the city begin to ring.",
    "The mountains behind it are white with snow.",
    "What would you paint, if you had only one colour?",
    "I would take the blue of that first morning.",
)

FRENCH = (
    "Bienvenue au vieux port !",
    "Ce soir, nous marchons le long de la mer, et nous écoutons l'eau.",
    "Les premiers bateaux sont partis avant l'aube.",
    "Vous voyez le phare, là-bas ?",
    "M. Lefèvre l'a construit en 1883 ; il mesure 41,5 mètres.",
    "« Il ne dort jamais », disait Mme Royer.",
    "Puis un orage arrive de l'ouest…",
    "Les éclairs tombent sur l'eau noire, p. ex. près du cap St. Jean.",
    "Quelle nuit !",
    "« Qui chante ? » demande un enfant.",
    "Au matin, tout est calme.",
    "Un petit bateau rouge, le no. 7, entre dans le port.",
    "Il n'y a personne à bord, ni marin, ni chien, etc.",
    "La lumière est dorée sur les pierres mouillées.",
    "Nous montons par un sentier étroit, cf. la carte.",
    "Sous les arbres, il fait vert et frais.",
)

PAUSES_S = (0.9, 0.4, 1.2, 0.8, 2.5, 0.5, 1.0, 4.0)
"""Behind the sentences, in turn: some too short to end a segment, some long."""

LEAD_S, TAIL_S = 1.0, 2.0


@dataclass(frozen=True, slots=True)
class Spoken:
    """A sentence of the talk."""

    text: str
    end_s: float
    """Where it ends, in seconds of audio."""


async def write_talk(runner: Runner, path: Path, seconds: float, say: Callable[[str], None]) -> list[Spoken]:
    """Speak about so many *seconds* into *path*; what is said there. Raises SpeechError."""
    say("synthesising the talk")
    sounds = {text: await speech_at_pipeline_rate(runner, text) for text in ENGLISH}
    spoken: list[Spoken] = []
    writer = WavWriter(path, PIPELINE_RATE_HZ)
    try:
        for text, samples, at_s in _parts(sounds, seconds):
            writer.write(samples)
            if text:
                spoken.append(Spoken(text, at_s))
    finally:
        writer.close()
    return spoken


def _parts(sounds: dict[str, Samples], seconds: float) -> Iterator[tuple[str, Samples, float]]:
    """Text (empty for silence), sound and where it ends."""
    at = _samples(LEAD_S)
    yield "", np.zeros(at, dtype=np.int16), LEAD_S
    pauses = itertools.cycle(PAUSES_S)
    for text in itertools.cycle(ENGLISH):
        sound, pause = sounds[text], _samples(next(pauses))
        if at and at + len(sound) + pause > _samples(seconds - TAIL_S) and at > _samples(LEAD_S):
            break
        at += len(sound)
        yield text, sound, at / PIPELINE_RATE_HZ
        at += pause
        yield "", np.zeros(pause, dtype=np.int16), at / PIPELINE_RATE_HZ
    yield "", np.zeros(_samples(TAIL_S), dtype=np.int16), at / PIPELINE_RATE_HZ + TAIL_S


def _samples(seconds: float) -> int:
    return round(seconds * PIPELINE_RATE_HZ)
