"""What becomes of Kokoro's sound before it leaves; how it sounds is in tests/contract and tests/e2e."""

import numpy as np

from heisenberg.workers.kokoro import RATE_HZ, trimmed


def test_a_sentence_begins_almost_at_once_and_ends_with_a_pause() -> None:
    silence, speech = np.zeros(RATE_HZ, dtype=np.float32), np.full(RATE_HZ, 0.3, dtype=np.float32)

    left = trimmed(np.concatenate([silence, speech, silence]))

    assert round(1.25 * RATE_HZ) - 1 == len(left)
    assert 0.05 * RATE_HZ == np.flatnonzero(left)[0]


def test_nothing_is_cut_where_there_is_no_silence() -> None:
    assert 100 == len(trimmed(np.full(100, -0.3, dtype=np.float32)))


def test_a_sentence_without_a_sound_is_empty() -> None:
    assert 0 == len(trimmed(np.full(100, 0.001, dtype=np.float32)))
