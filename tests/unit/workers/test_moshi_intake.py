"""Any client's sound becomes whole frames at 24 kHz, and none of it is lost."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heisenberg.workers.moshi_intake import Intake
from heisenberg.workers.moshi_stream import FRAME_SAMPLES, RATE_HZ


def sine(rate_hz: int, seconds: float) -> np.ndarray:
    at = np.arange(round(rate_hz * seconds)) / rate_hz
    return np.round(16000 * np.sin(2 * np.pi * 440 * at)).astype("<i2")


def taken(intake: Intake, pcm: np.ndarray, block: int) -> np.ndarray:
    """All that comes out, in order."""
    frames = [frame for at in range(0, len(pcm), block) for frame in intake.feed(pcm[at : at + block].tobytes())]
    assert all(frame.shape == (FRAME_SAMPLES,) for frame in frames)
    last, rest = intake.drain()
    assert len(rest) < FRAME_SAMPLES
    return np.concatenate([*frames, *last, rest])


@pytest.mark.parametrize("rate_hz", [8000, 16000, 22050, 24000, 44100, 48000])
def test_a_tone_stays_the_tone_it_was(rate_hz: int) -> None:
    sound = taken(Intake(rate_hz, 1), sine(rate_hz, 1.0), 512)

    assert abs(RATE_HZ - len(sound)) <= 2
    middle = slice(2400, 21600)
    expected = sine(RATE_HZ, 1.0)[: len(sound)] / 32768
    assert np.abs(sound - expected)[middle].max() < 0.01


@given(st.lists(st.integers(0, 5000), max_size=8))
def test_the_size_of_the_blocks_does_not_matter(blocks: list[int]) -> None:
    pcm = np.arange(sum(blocks)).astype("<i2")
    intake, at, found = Intake(RATE_HZ, 1), 0, []
    for size in blocks:
        found += intake.feed(pcm[at : at + size].tobytes())
        at += size
    last, rest = intake.drain()

    assert np.array_equal(pcm / np.float32(32768), np.concatenate([np.zeros(0), *found, *last, rest]))


def test_channels_are_mixed() -> None:
    stereo = np.tile(np.array([8192, 16384], dtype="<i2"), FRAME_SAMPLES)
    (frame,) = Intake(RATE_HZ, 2).feed(stereo.tobytes())

    assert np.allclose(frame, 0.375)


def test_after_a_drain_comes_new_sound_only() -> None:
    intake = Intake(RATE_HZ, 1)
    intake.feed(np.full(1000, 99, dtype="<i2").tobytes())
    intake.drain()
    (frame,) = intake.feed(np.zeros(FRAME_SAMPLES, dtype="<i2").tobytes())

    assert not frame.any()


@pytest.mark.parametrize(("rate_hz", "channels"), [(0, 1), (4000, 1), (1_000_000, 1), (16000, 0), (16000, 99)])
def test_what_is_no_sound_is_refused(rate_hz: int, channels: int) -> None:
    with pytest.raises(ValueError, match="it may have"):
        Intake(rate_hz, channels)
