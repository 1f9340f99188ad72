import numpy as np
import pytest

from heisenberg.audio.playback import PlaybackQueue
from heisenberg.core.audio import Meters, Samples
from tests.unit.audio.tones import tone

RATE_HZ = 3000


def queue(channels: int = 1, capacity_s: float = 1.0, meters: Meters | None = None) -> PlaybackQueue:
    return PlaybackQueue(RATE_HZ, channels, capacity_s, meters or Meters())


def take(playing: PlaybackQueue, frames: int, channels: int = 1) -> list[int]:
    """What the device gets; its buffer is full of rubbish before."""
    buffer = np.full(frames * channels, 99, dtype=np.int16)
    playing.fill(buffer)
    return list(buffer.tolist())


def samples(*values: int) -> Samples:
    return np.array(values, dtype=np.int16)


def test_sound_comes_out_in_order_and_then_silence() -> None:
    playing = queue()
    playing.write(samples(1, 2, 3))
    playing.write(samples(4))

    assert take(playing, 2) == [1, 2]
    assert take(playing, 4) == [3, 4, 0, 0]
    assert take(playing, 2) == [0, 0]


def test_every_channel_plays_the_same() -> None:
    playing = queue(channels=2)
    playing.write(samples(1, 2))

    assert take(playing, 3, channels=2) == [1, 1, 2, 2, 0, 0]


def test_only_what_was_played_counts() -> None:
    playing = queue()
    playing.write(tone(0.5, RATE_HZ))
    take(playing, RATE_HZ // 10)

    assert playing.played_s == pytest.approx(0.1)
    assert playing.waiting_s == pytest.approx(0.4)
    playing.discard()
    assert playing.waiting_s == 0
    take(playing, RATE_HZ)
    assert playing.played_s == pytest.approx(0.1)


def test_what_was_discarded_is_never_heard() -> None:
    playing = queue()
    playing.write(samples(1, 2, 3))
    playing.discard()
    playing.write(samples(7))

    assert take(playing, 2) == [7, 0]


def test_a_full_queue_takes_no_more() -> None:
    playing = queue(capacity_s=0.001)

    assert playing.write(samples(1, 2, 3, 4, 5)) == 3
    assert playing.write(samples(4)) == 0
    assert take(playing, 2) == [1, 2]
    assert playing.write(samples(4, 5, 6)) == 2
    assert take(playing, 4) == [3, 4, 5, 0]


def test_gaps_within_a_reply_are_counted_once_each() -> None:
    playing = queue()
    take(playing, 10)
    playing.write(samples(1))
    take(playing, 10)
    take(playing, 10)
    playing.write(samples(2))
    take(playing, 10)
    playing.write(samples(*range(10)))
    take(playing, 10)
    take(playing, 10)

    assert playing.underruns == 2


def test_the_end_of_a_reply_is_no_gap() -> None:
    playing = queue()
    playing.write(samples(1))
    playing.end()
    take(playing, 10)

    assert playing.underruns == 0


def test_the_meter_follows_what_is_played() -> None:
    """A quiet stretch, then a loud one, then nothing."""
    meters = Meters()
    playing = queue(meters=meters)
    playing.write(tone(0.2, RATE_HZ, amplitude=0.1))
    playing.write(tone(0.2, RATE_HZ, amplitude=0.8))
    playing.end()
    heard = []
    for _ in range(5):
        take(playing, RATE_HZ // 10)
        heard.append(meters.speaking_level)

    quiet, loud = 0.1 / 2**0.5, 0.8 / 2**0.5
    assert heard == pytest.approx([quiet, quiet, loud, loud, 0.0], abs=0.02)


# ── what is inside the device ────────────────────────────────────────────────────────────────────


def test_what_is_inside_the_device_was_not_heard_yet() -> None:
    playing = queue()
    playing.latency_s = 0.1
    playing.write(tone(0.5, RATE_HZ))
    take(playing, RATE_HZ // 4)

    assert playing.played_s == pytest.approx(0.25)
    assert playing.heard_s == pytest.approx(0.15)


def test_what_was_not_heard_can_be_taken_back() -> None:
    """Given a device that holds three frames. When it is emptied. Then these come out again, and nothing twice."""
    playing = queue()
    playing.latency_s = 3 / RATE_HZ
    playing.write(samples(*range(1, 11)))
    first = take(playing, 6)
    playing.take_back()
    second = take(playing, 8)

    assert first[:3] + second == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0]
    assert playing.played_s == pytest.approx(10 / RATE_HZ)


def test_silence_inside_the_device_is_not_taken_back() -> None:
    """Given a gap in the reply, whose silence fills half of what the device holds."""
    playing = queue()
    playing.latency_s = 4 / RATE_HZ
    playing.write(samples(1, 2, 3, 4))
    take(playing, 6)
    playing.take_back()

    assert take(playing, 4) == [3, 4, 0, 0]


def test_what_was_heard_in_full_is_not_taken_back() -> None:
    playing = queue()
    playing.latency_s = 4 / RATE_HZ
    playing.write(samples(1, 2, 3, 4))
    take(playing, 4)
    playing.all_was_heard()
    playing.write(samples(5, 6))
    take(playing, 1)
    playing.take_back()

    assert take(playing, 3) == [5, 6, 0]


def test_what_was_discarded_is_not_taken_back() -> None:
    playing = queue()
    playing.latency_s = 4 / RATE_HZ
    playing.write(samples(1, 2, 3, 4))
    take(playing, 2)
    playing.discard()
    playing.take_back()

    assert take(playing, 3) == [0, 0, 0]
    assert playing.waiting_s == 0


def test_a_full_queue_can_still_be_taken_back() -> None:
    """The place of what is inside the device is not given away."""
    playing = queue(capacity_s=10 / RATE_HZ)
    playing.latency_s = 4 / RATE_HZ
    playing.write(samples(*range(1, 11)))
    take(playing, 4)
    playing.write(samples(*range(11, 15)))
    playing.take_back()

    assert take(playing, 15) == [*range(1, 15), 0]


def test_a_queue_that_is_held_gives_silence_and_has_no_gaps() -> None:
    playing = queue()
    playing.write(samples(1, 2, 3))
    playing.is_held = True
    held = take(playing, 5)
    playing.is_held = False

    assert held == [0, 0, 0, 0, 0]
    assert take(playing, 3) == [1, 2, 3]
    assert playing.underruns == 0
