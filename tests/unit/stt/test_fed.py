"""The sound of an utterance, kept by sample number."""

import numpy as np

from heisenberg.core.audio import Samples
from heisenberg.stt.fed import FedSound


def ramp(start: int, stop: int) -> Samples:
    return np.arange(start, stop, dtype=np.int16)


def test_what_was_fed_can_be_read_from_anywhere() -> None:
    sound = FedSound()
    for start in (0, 10, 20):
        sound.feed(ramp(start, start + 10))

    assert np.array_equal(ramp(5, 25), sound.read(5, 25))
    assert np.array_equal(ramp(28, 30), sound.read(28, 99))
    assert 0 == len(sound.read(30, 40))


def test_only_the_last_stretch_is_kept() -> None:
    sound = FedSound(kept_s=20 / 16_000)
    for start in range(0, 100, 10):
        sound.feed(ramp(start, start + 10))
        sound.was_heard(start + 10)

    assert (80, 100) == (sound.first, sound.end)
    assert np.array_equal(ramp(80, 85), sound.read(0, 85))


def test_what_was_not_heard_yet_is_kept_longer_though_not_for_ever() -> None:
    """A file may be read much faster than it is heard."""
    sound = FedSound(kept_s=20 / 16_000, most_s=60 / 16_000)
    for start in range(0, 50, 10):
        sound.feed(ramp(start, start + 10))
    kept = sound.first
    for start in range(50, 100, 10):
        sound.feed(ramp(start, start + 10))
    bounded = sound.first
    sound.was_heard(95)

    assert (0, 40, 80) == (kept, bounded, sound.first)


def test_a_command_that_goes_on_adds_its_end_which_is_then_fed_again() -> None:
    sound = FedSound()
    sound.feed(ramp(0, 10))

    assert sound.take(ramp(0, 14))
    sound.feed(ramp(10, 20))
    assert np.array_equal(ramp(0, 20), sound.read(0, 99))


def test_a_command_that_is_trimmed_adds_nothing() -> None:
    sound = FedSound()
    sound.feed(ramp(0, 10))

    assert sound.take(ramp(0, 7))
    assert 10 == sound.end


def test_another_sound_takes_the_place_of_what_was_fed() -> None:
    sound = FedSound()
    sound.feed(ramp(0, 10))

    assert not sound.take(ramp(50, 55))
    sound.feed(ramp(55, 60))
    assert np.array_equal(ramp(50, 60), sound.read(0, 99))


def test_of_a_long_command_only_what_is_kept_is_compared() -> None:
    sound = FedSound(kept_s=20 / 16_000)
    for start in range(0, 100, 10):
        sound.feed(ramp(start, start + 10))
        sound.was_heard(start + 10)

    assert sound.take(ramp(0, 105))
    assert 105 == sound.end


def test_samples_are_copied() -> None:
    """The audio thread may use its buffer again."""
    sound, samples = FedSound(), ramp(0, 10)
    sound.feed(samples)
    samples[:] = 0

    assert np.array_equal(ramp(0, 10), sound.read(0, 10))
