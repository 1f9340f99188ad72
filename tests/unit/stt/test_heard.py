"""What is kept of a command that grows, and when it pauses."""

import numpy as np
import pytest

from heisenberg.core.audio import Samples
from heisenberg.stt.heard import CUT_WITHIN_S, GUESSED_S, Heard
from tests import speech

RATE_HZ = 16_000


def tone(seconds: float, amplitude: int = 8000) -> Samples:
    return (amplitude * np.sin(np.arange(int(seconds * RATE_HZ)) * 0.2)).astype(np.int16)


def heard(*sounds: Samples, chunk: int = 4096) -> Heard:
    so_far = Heard()
    sound = np.concatenate(sounds)
    for at in range(0, len(sound), chunk):
        so_far.add(sound[at : at + chunk])
    return so_far


def test_a_short_command_is_kept_whole() -> None:
    sound = tone(4.096)
    kept, is_whole = heard(sound).recent()

    assert is_whole
    assert np.array_equal(sound, kept)


@pytest.mark.parametrize("chunk", [512, 4096, 16_000 * 40])
def test_a_long_command_is_cut_where_it_is_quietest(chunk: int) -> None:
    """Given a gap of 60 ms, 8.5 s before the end: what is guessed at begins within it."""
    after = tone(8.5)
    sound = np.concatenate((tone(20), tone(0.06, 10), after))
    so_far = heard(sound, chunk=chunk)
    kept, is_whole = so_far.recent()

    assert not is_whole
    assert len(after) <= len(kept) <= len(after) + 0.06 * RATE_HZ
    assert np.array_equal(sound[-len(kept) :], kept)
    assert len(sound) == so_far.samples


def test_a_command_of_an_hour_is_not_kept() -> None:
    so_far = Heard()
    for _ in range(3600):
        so_far.add(tone(1.0))

    assert (GUESSED_S + CUT_WITHIN_S + 1) * RATE_HZ >= so_far._kept_samples


def test_it_pauses_where_it_is_much_quieter_than_before() -> None:
    assert not heard(tone(1.0)).is_pausing
    assert heard(tone(1.0), tone(0.12, 100), chunk=512).is_pausing
    assert not heard(tone(1.0), tone(0.2, 100), tone(0.2, 3000), chunk=512).is_pausing


def test_nothing_and_silence_are_pauses() -> None:
    assert Heard().is_pausing
    assert heard(speech.silence(1.0)).is_pausing


def test_spoken_words_are_no_pause_and_what_follows_them_is() -> None:
    words = speech.say("Turn all the lights blue and make them move slowly.")

    assert not heard(words[: len(words) // 2]).is_pausing
    assert heard(words, speech.quieter(speech.noise("pink", 0.3), 30)).is_pausing
