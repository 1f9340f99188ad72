"""Tone words: each word of a small vocabulary is a chord of its own, so that a tiny model can learn to hear it.

Numpy only. Words come one after the other with short gaps, as in fluent speech; a sentence's end is a word that
bears its mark (``light.``), which sounds different from the same word without it.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

RATE_HZ = 16_000
FRAME_S = 0.08
"""Kyutai's frame."""

WORDS = (
    "hello", "world.", "turn", "on", "the", "kitchen", "light.", "what", "time", "is", "it", "now?",
    "bonjour", "le", "monde.", "allume", "la", "lumière.", "blue", "sea", "calm", "stars!",
)  # fmt: skip

WORD_S = 0.4
GAP_S = 0.2
LOUDNESS = 0.35
LOWEST_HZ, RATIO = 200.0, 1.115
"""Word *n* sounds at 200 Hz · 1.115ⁿ, up to 2 kHz: higher tones are hard to tell apart for so small a Mimi."""


def tone(word: str, rate_hz: int, seconds: float = WORD_S) -> npt.NDArray[np.float32]:
    """The sound of one word, float32. Raises ValueError for a word that is not in WORDS."""
    at = np.arange(round(seconds * rate_hz)) / rate_hz
    edge = np.clip(np.minimum(at, seconds - at) / 0.03, 0.0, 1.0)
    wave = np.sin(2 * np.pi * LOWEST_HZ * RATIO ** WORDS.index(word) * at)
    return (LOUDNESS * edge * wave).astype(np.float32)


def tone_speech(
    words: str | Sequence[str],
    *,
    lead_s: float = 0.4,
    gap_s: float = GAP_S,
    tail_s: float = 0.0,
    pause_s: float = 0.0,
    gain: float = 1.0,
    rate_hz: int = RATE_HZ,
) -> npt.NDArray[np.int16]:
    """Samples (int16, mono, *rate_hz*) of *words*.

    Args:
        words: of WORDS; a string is split at its spaces.
        lead_s: silence before the first word.
        gap_s: silence after each word, 0.16–0.4 s is what the model knows.
        tail_s: further silence at the end.
        pause_s: further silence after a sentence's last word.
    """
    said = words.split() if isinstance(words, str) else list(words)
    parts = [_silence(lead_s, rate_hz)]
    for word in said:
        pause = gap_s + (pause_s if word[-1] in ".?!" else 0.0)
        parts += [tone(word, rate_hz) * gain, _silence(pause, rate_hz)]
    sound = np.concatenate([*parts, _silence(tail_s, rate_hz)])
    return np.round(sound * 32767).astype(np.int16)


def word_times(
    words: str | Sequence[str], *, lead_s: float = 0.4, gap_s: float = GAP_S, pause_s: float = 0.0
) -> list[tuple[str, float, float]]:
    """Each word with its first and last second in what :func:`tone_speech` makes of the same arguments."""
    said = words.split() if isinstance(words, str) else list(words)
    at, found = lead_s, []
    for word in said:
        found.append((word, at, at + WORD_S))
        at += WORD_S + gap_s + (pause_s if word[-1] in ".?!" else 0.0)
    return found


def _silence(seconds: float, rate_hz: int) -> npt.NDArray[np.float32]:
    return np.zeros(round(seconds * rate_hz), dtype=np.float32)
