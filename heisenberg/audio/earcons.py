"""Short sounds that say what the assistant is doing, computed from sines. Pure; when they sound is decided elsewhere.

They are soft, over in a moment, and no speech to a voice-activity detector, since a microphone near the loudspeaker
hears them, too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from heisenberg.core.audio import AudioChunk

Name = Literal["wake", "end", "error"]

RATE_HZ = 22_050
LEVEL = 10 ** (-18 / 20)
"""Root mean square, as a fraction of full scale: −18 dB, about as loud as a voice."""

EDGE_S = 0.012
"""Each note fades in and out in this time, so that it does not click."""

OVERTONE = 0.15
"""How much of the octave above each note holds; a pure sine is hard to hear on small loudspeakers."""

D5_HZ, E5_HZ, A5_HZ = 587.33, 659.26, 880.0
"""All above 500 Hz: below, where the pitch of voices lies, Silero takes a repeated note for speech."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Note:
    """A stretch of one pitch; 0 Hz is silence."""

    hz: float
    seconds: float


def wake() -> AudioChunk:
    """Two rising notes, 0.14 s: it heard the phrase. Over before anybody has begun a command."""
    return _sound((Note(E5_HZ, 0.065), Note(A5_HZ, 0.075)))


def end() -> AudioChunk:
    """Two falling notes, 0.18 s: it stops listening."""
    return _sound((Note(A5_HZ, 0.08), Note(E5_HZ, 0.1)))


def error() -> AudioChunk:
    """The same note twice, lower than the others, 0.26 s: something failed."""
    return _sound((Note(D5_HZ, 0.1), Note(0, 0.05), Note(D5_HZ, 0.11)))


EARCONS: Mapping[Name, Callable[[], AudioChunk]] = {"wake": wake, "end": end, "error": error}
"""By the names of ``audio.earcons``."""


def _sound(notes: Sequence[Note]) -> AudioChunk:
    """*notes*, one after the other, as int16 mono."""
    melody = np.concatenate([_waveform(note) for note in notes])
    loudness = np.sqrt(np.mean(np.square(melody)))
    return AudioChunk(np.rint(melody / loudness * LEVEL * 32767).astype(np.int16), RATE_HZ)


def _waveform(note: Note) -> Floats:
    at = np.arange(round(note.seconds * RATE_HZ)) / RATE_HZ
    if not note.hz:
        return np.zeros(len(at))
    phase = 2 * np.pi * note.hz * at
    return (np.sin(phase) + OVERTONE * np.sin(2 * phase)) * _envelope(at, note.seconds)


def _envelope(at: Floats, seconds: float) -> Floats:
    """A raised cosine at either end, and a slow decay in between, as of something struck softly."""
    edge = np.clip(np.minimum(at, seconds - at) / EDGE_S, 0.0, 1.0)
    return (0.5 - 0.5 * np.cos(np.pi * edge)) * np.exp(-6.0 * at)
