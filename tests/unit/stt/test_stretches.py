"""Long recordings are cut where nobody speaks, and nothing is lost or changed."""

from collections.abc import AsyncIterator

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from heisenberg.core.audio import PIPELINE_RATE_HZ, Samples
from heisenberg.stt.stretches import CUT_WITHIN_S, LONGEST_S, stretches

RATE = PIPELINE_RATE_HZ


async def in_blocks(sound: Samples, size: int) -> AsyncIterator[Samples]:
    for at in range(0, len(sound), size):
        yield sound[at : at + size]


def noise(seconds: float, seed: int = 0) -> Samples:
    return np.random.default_rng(seed).integers(-8000, 8000, round(seconds * RATE)).astype(np.int16)


async def test_the_cut_is_made_in_the_pause() -> None:
    sound = noise(60)
    sound[24 * RATE : 24 * RATE + RATE // 2] = 0
    found = [piece async for piece in stretches(in_blocks(sound, RATE))]

    assert 24 * RATE <= found[1][0] <= 24 * RATE + RATE // 2


async def test_of_a_long_silence_the_longest_stretch_is_made() -> None:
    found = [piece async for piece in stretches(in_blocks(np.zeros(70 * RATE, dtype=np.int16), RATE))]

    assert [30, 30, 10] == [round(len(samples) / RATE) for _, samples in found]


async def test_nothing_gives_nothing() -> None:
    assert [] == [piece async for piece in stretches(in_blocks(np.zeros(0, dtype=np.int16), RATE))]


@settings(max_examples=20, deadline=None)
@given(seconds=st.floats(0.01, 100), size=st.integers(1000, 3 * RATE), seed=st.integers(0, 9))
async def test_the_stretches_are_the_recording(seconds: float, size: int, seed: int) -> None:
    sound = noise(seconds, seed)
    found = [piece async for piece in stretches(in_blocks(sound, size))]

    assert np.array_equal(sound, np.concatenate([samples for _, samples in found]))
    assert [at for at, _ in found] == [0, *np.cumsum([len(samples) for _, samples in found])[:-1]]
    assert all(len(samples) <= LONGEST_S * RATE for _, samples in found)
    assert all(len(samples) >= (LONGEST_S - CUT_WITHIN_S) * RATE for _, samples in found[:-1])
