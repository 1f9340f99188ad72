"""The shape of sound between stages."""

import numpy as np
import pytest

from heisenberg.core.audio import AudioChunk, level


def test_a_chunk_knows_its_length_in_seconds() -> None:
    assert 0.5 == AudioChunk.silence(0.5, 22_050).seconds


def test_bytes_are_little_endian_and_an_odd_one_is_dropped() -> None:
    chunk = AudioChunk.from_bytes(b"\x01\x00\xff\xff\x07", 16_000)

    assert [1, -1] == chunk.samples.tolist()


@pytest.mark.parametrize(
    ("samples", "loudness"), [([], 0.0), ([0] * 4, 0.0), ([-32768] * 4, 1.0), ([16384, -16384], 0.5)]
)
def test_loudness_is_between_silence_and_full_scale(samples: list[int], loudness: float) -> None:
    assert loudness == pytest.approx(level(np.array(samples, dtype=np.int16)))
