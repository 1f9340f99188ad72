import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heisenberg.audio.ring import HandOff, SampleRing
from heisenberg.core.audio import Samples


def numbered(start: int, end: int) -> Samples:
    """Samples that say which they are."""
    return (np.arange(start, end) % 30_000).astype(np.int16)


@given(st.integers(1, 50), st.lists(st.integers(0, 80), max_size=20), st.integers(-5, 400), st.integers(-5, 400))
def test_a_range_holds_exactly_what_is_still_there(capacity: int, writes: list[int], start: int, end: int) -> None:
    ring = SampleRing(capacity)
    for count in writes:
        ring.write(numbered(ring.written, ring.written + count))
    total = sum(writes)

    assert ring.written == total
    first = max(start, 0, total - capacity)
    assert ring.read_range(start, end).tolist() == numbered(first, max(first, min(end, total))).tolist()


def test_a_range_is_a_copy() -> None:
    ring = SampleRing(4)
    ring.write(numbered(1, 4))
    taken = ring.read_range(0, 3)
    ring.write(numbered(4, 8))

    assert taken.tolist() == [1, 2, 3]


def test_a_ring_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        SampleRing(0)


def test_what_was_put_is_taken_once() -> None:
    hand_off = HandOff(100)
    hand_off.put(numbered(0, 10))
    hand_off.put(numbered(10, 20))

    assert hand_off.take(0).tolist() == numbered(0, 20).tolist()
    assert len(hand_off.take(0)) == 0
    assert hand_off.lost_samples == 0


def test_a_reader_that_is_late_loses_the_oldest_and_it_is_counted() -> None:
    hand_off = HandOff(100)
    hand_off.put(numbered(0, 90))
    hand_off.put(numbered(90, 130))

    assert hand_off.take(0).tolist() == numbered(30, 130).tolist()
    assert hand_off.lost_samples == 30


def test_what_is_discarded_is_neither_taken_nor_counted() -> None:
    hand_off = HandOff(100)
    hand_off.put(numbered(0, 90))
    hand_off.put(numbered(90, 130))
    hand_off.discard()
    hand_off.put(numbered(130, 135))

    assert hand_off.take(0).tolist() == numbered(130, 135).tolist()
    assert hand_off.lost_samples == 0


def test_a_waiting_reader_is_woken_by_samples() -> None:
    hand_off = HandOff(100)
    taken: list[Samples] = []
    reader = threading.Thread(target=lambda: taken.append(hand_off.take(10)))
    reader.start()
    hand_off.put(numbered(0, 5))
    reader.join(5)

    assert [samples.tolist() for samples in taken] == [[0, 1, 2, 3, 4]]


def test_closing_wakes_the_reader_and_nobody_waits_any_more() -> None:
    hand_off = HandOff(100)
    reader = threading.Thread(target=lambda: hand_off.take(60))
    reader.start()
    hand_off.close()
    hand_off.close()
    reader.join(5)

    assert not reader.is_alive()
    assert len(hand_off.take(60)) == 0


def test_a_bell_rung_for_samples_already_taken_does_not_count() -> None:
    """Given samples that were taken without waiting. Then the next call waits for its whole timeout."""
    hand_off = HandOff(100)
    hand_off.put(numbered(0, 5))
    hand_off.take(0)
    later = threading.Timer(0.05, hand_off.put, [numbered(5, 8)])
    later.start()

    assert hand_off.take(10).tolist() == [5, 6, 7]
    later.join()


def test_samples_cross_threads_in_order_and_whole() -> None:
    """A fast writer laps the reader; what arrives is still ascending, and what is missing is counted."""
    hand_off = HandOff(1000)
    total = 200_000

    def write() -> None:
        for start in range(0, total, 100):
            hand_off.put(numbered(start, start + 100))
        hand_off.close()

    writer = threading.Thread(target=write)
    writer.start()
    seen = 0
    position = 0
    while seen + hand_off.lost_samples < total:
        lost_before = hand_off.lost_samples
        samples = hand_off.take(5)
        position += hand_off.lost_samples - lost_before
        assert samples.tolist() == numbered(position, position + len(samples)).tolist()
        position += len(samples)
        seen += len(samples)
    writer.join()
