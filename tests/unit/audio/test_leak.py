"""Whether anything of what is played comes back."""

import numpy as np
import pytest

from heisenberg.audio.leak import Leak
from heisenberg.audio.resample import Floats
from heisenberg.core.audio import CHUNK_SAMPLES

ROOM = 1e-8
"""The power of the room's noise."""


def noise(power: float, seed: int, chunks: int = 60) -> Floats:
    samples = np.random.default_rng(seed).standard_normal(chunks * CHUNK_SAMPLES) * np.sqrt(power)
    return samples.astype(np.float32)


def hear(leak: Leak, heard: Floats, played: Floats) -> list[bool]:
    """Whether there was no echo, after each chunk."""
    certain = []
    for start in range(0, len(heard), CHUNK_SAMPLES):
        leak.hear(heard[start : start + CHUNK_SAMPLES], played[start : start + CHUNK_SAMPLES], ROOM)
        certain.append(leak.is_none)
    return certain


@pytest.fixture
def headset() -> Leak:
    """One that has already been found out."""
    leak = Leak()
    hear(leak, noise(ROOM, 1), noise(0.01, 2))
    return leak


def test_silence_while_something_loud_is_played_shows_that_nothing_comes_back() -> None:
    certain = hear(Leak(), noise(ROOM, 1), noise(0.01, 2))

    assert not any(certain[:8])
    assert all(certain[30:])


def test_silence_while_nothing_is_played_shows_nothing() -> None:
    assert not any(hear(Leak(), noise(ROOM, 1), noise(0, 2)))


def test_an_echo_that_comes_half_a_second_late_is_waited_for() -> None:
    played = noise(0.01, 2)
    late = np.concatenate([noise(ROOM, 1, chunks=15), 0.1 * played])[: len(played)]

    assert not any(hear(Leak(), late, played))


def test_somebody_who_speaks_is_no_echo(headset: Leak) -> None:
    assert all(hear(headset, noise(0.01, 3), noise(0.01, 4)))


def test_an_echo_is_noticed_within_a_tenth_of_a_second(headset: Leak) -> None:
    played = noise(0.01, 4)

    assert not any(hear(headset, 0.1 * np.roll(played, 800) + noise(ROOM, 5), played)[5:10])


def test_after_a_pause_it_is_still_known(headset: Leak) -> None:
    headset.forget_sound()

    assert all(hear(headset, noise(ROOM, 6), noise(0.01, 7)))
