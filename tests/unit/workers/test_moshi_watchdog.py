"""Somebody speaks and there is no word: the watchdog notices, and only then."""

import numpy as np
import pytest

from heisenberg.workers.moshi_watchdog import Verdict, Watchdog

FRAME = 1920
RNG = np.random.default_rng(3)


def voice(n: int) -> np.ndarray:
    """Loud and soft in turns, as syllables are."""
    return (RNG.normal(0, 0.1 if n % 4 < 2 else 0.002, FRAME)).astype(np.float32)


def fan(n: int) -> np.ndarray:
    return RNG.normal(0, 0.05, FRAME).astype(np.float32)


def quiet(n: int) -> np.ndarray:
    return RNG.normal(0, 0.0005, FRAME).astype(np.float32)


def verdicts(sound: object, seconds: float, words_every: int = 0) -> list[Verdict]:
    watchdog = Watchdog()
    frames = (
        watchdog.hear(sound(n), has_text=bool(words_every) and n % words_every == 0) for n in range(int(seconds * 12.5))
    )
    return [verdict for verdict in frames if verdict is not None]


@pytest.mark.parametrize("sound", [fan, quiet])
def test_what_is_no_voice_needs_no_words(sound: object) -> None:
    assert [] == verdicts(sound, 120)


def test_a_voice_without_words_is_tried_once_more_and_then_given_up() -> None:
    assert [Verdict.STUCK, Verdict.HOPELESS] == verdicts(voice, 120)


def test_a_voice_with_words_is_all_right() -> None:
    assert [] == verdicts(voice, 120, words_every=50)


def test_after_a_word_it_watches_anew() -> None:
    assert [Verdict.STUCK] * 3 == verdicts(voice, 75, words_every=300)
