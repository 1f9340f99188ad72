"""What was played, in step with the microphone; and what happens where there is no canceller."""

import sys

import numpy as np
import pytest

from heisenberg.audio.echo import WebrtcEchoCanceller
from heisenberg.audio.played import KEPT_S, PlayedSound
from heisenberg.core.audio import CHUNK_SAMPLES, PIPELINE_RATE_HZ, Samples
from heisenberg.core.errors import AudioError
from tests.unit.audio.tones import pitch, tone

LATENCY_S = 0.1
MARGIN_SAMPLES = 800
BLOCK_SAMPLES = 320


@pytest.fixture
def played() -> PlayedSound:
    sound = PlayedSound()
    sound.opened(PIPELINE_RATE_HZ, LATENCY_S)
    return sound


def counting(start: int, count: int) -> Samples:
    """Sound whose samples tell when they were played, and are never silence."""
    return ((start + np.arange(count)) % 30_000 + 1).astype(np.int16)


class Device:
    """A loudspeaker whose clock runs *ratio* times as fast as the microphone's; it takes blocks of 20 ms."""

    def __init__(self, played: PlayedSound, ratio: float = 1.0) -> None:
        self._played = played
        self._ratio = ratio
        self._due = 0.0
        self._taken = 0
        self.stands_still = False
        played.read(CHUNK_SAMPLES)  # The microphone is listened to all the time.

    def pass_chunk(self) -> Samples:
        """One chunk's time passes; what is read for it."""
        self.pass_time(1)
        return self._played.read(CHUNK_SAMPLES)

    def pass_time(self, chunks: int) -> None:
        """The device takes what it plays in so much time."""
        self._due += chunks * CHUNK_SAMPLES * self._ratio
        while not self.stands_still and self._taken + BLOCK_SAMPLES <= self._due:
            self._played.played(counting(self._taken, BLOCK_SAMPLES))
            self._taken += BLOCK_SAMPLES


def offset(read: Samples, chunk: int) -> int:
    """How far what was read in a chunk is behind what was played in the same time."""
    at = chunk * CHUNK_SAMPLES

    assert set(np.diff(read[at : at + CHUNK_SAMPLES].astype(np.int64))) <= {1, -29_999}
    return (at - (int(read[at]) - 1)) % 30_000


def first_sound(samples: Samples) -> int:
    return int(np.flatnonzero(samples)[0])


def test_without_a_loudspeaker_there_is_silence() -> None:
    silence = PlayedSound().read(CHUNK_SAMPLES)

    assert silence.shape == (CHUNK_SAMPLES,)
    assert not silence.any()


def test_everything_that_was_played_comes_out_once_and_in_order(played: PlayedSound) -> None:
    """Once the first chunks have shown how long the device's bursts are."""
    device = Device(played)
    read = np.concatenate([device.pass_chunk() for _ in range(60)])

    assert {offset(read, 5)} == {offset(read, chunk) for chunk in range(5, 60)}


def test_it_comes_out_before_the_room_can_echo_it(played: PlayedSound) -> None:
    """The canceller can only take out what it knows already."""
    device = Device(played)
    read = np.concatenate([device.pass_chunk() for _ in range(60)])

    assert offset(read, 50) < LATENCY_S * PIPELINE_RATE_HZ


def test_any_rate_becomes_the_pipelines(played: PlayedSound) -> None:
    played.opened(48_000, LATENCY_S)
    played.read(CHUNK_SAMPLES)
    played.played(tone(1.0, 48_000))
    read = np.concatenate([played.read(CHUNK_SAMPLES) for _ in range(25)])

    assert pitch(read[-4096:]) == pytest.approx(440, abs=4)


def test_what_is_played_before_the_device_is_known_is_left_out() -> None:
    """A device asks for its first sound before whoever opens it gets it back."""
    played = PlayedSound()
    played.played(counting(0, 1000))
    played.opened(PIPELINE_RATE_HZ, LATENCY_S)

    assert not played.read(CHUNK_SAMPLES).any()


def test_a_closed_loudspeaker_is_silent(played: PlayedSound) -> None:
    device = Device(played)
    for _ in range(10):
        device.pass_chunk()
    played.closed()
    played.played(counting(0, 1000))

    assert not played.read(CHUNK_SAMPLES).any()


def test_a_loudspeaker_that_was_opened_again_begins_anew(played: PlayedSound) -> None:
    device = Device(played)
    for _ in range(10):
        device.pass_chunk()
    played.opened(PIPELINE_RATE_HZ, LATENCY_S)
    again = Device(played)
    read = np.concatenate([again.pass_chunk() for _ in range(10)])

    assert read[first_sound(read)] == 1


def test_a_late_callback_costs_its_own_sound_only(played: PlayedSound) -> None:
    """Given a computer that is too busy for 0.1 s. Then silence stands in, and everything after is where it was."""
    device = Device(played)
    read = [device.pass_chunk() for _ in range(60)]
    device.stands_still = True
    read += [device.pass_chunk() for _ in range(3)]
    device.stands_still = False
    read += [device.pass_chunk() for _ in range(60)]
    sound = np.concatenate(read)

    assert not read[62].any()
    assert {offset(sound, 50)} == {offset(sound, chunk) for chunk in range(64, 123)}


def test_a_late_reader_changes_nothing(played: PlayedSound) -> None:
    """The audio thread sleeps for half a second, then reads everything at once."""
    device = Device(played)
    read = [device.pass_chunk() for _ in range(60)]
    device.pass_time(15)
    read += [played.read(CHUNK_SAMPLES) for _ in range(15)]
    read += [device.pass_chunk() for _ in range(15)]
    sound = np.concatenate(read)

    assert {offset(sound, 50)} == {offset(sound, chunk) for chunk in range(50, 90)}


def test_a_reader_that_was_away_for_long_begins_anew(played: PlayedSound) -> None:
    device = Device(played)
    for _ in range(60):
        device.pass_chunk()
    for start in range(0, int(10 * KEPT_S * PIPELINE_RATE_HZ), BLOCK_SAMPLES):
        played.played(counting(start, BLOCK_SAMPLES))
    read = np.concatenate([played.read(CHUNK_SAMPLES) for _ in range(5)])

    assert first_sound(read) <= MARGIN_SAMPLES


@pytest.mark.parametrize("ratio", [1 - 300e-6, 1 + 300e-6])
def test_clocks_that_drift_apart_are_followed(ratio: float) -> None:
    """Given ten minutes at 300 ppm: 180 ms. Then no more than a tenth of a second of it remains, without a gap."""
    played = PlayedSound()
    played.opened(PIPELINE_RATE_HZ, LATENCY_S)
    device = Device(played, ratio)
    chunks = 10 * 60 * PIPELINE_RATE_HZ // CHUNK_SAMPLES
    for _ in range(chunks - 60):
        device.pass_chunk()
    read = np.concatenate([device.pass_chunk() for _ in range(60)])
    behind = int(counting(int((chunks - 1) * CHUNK_SAMPLES * ratio), 1)[0]) - int(read[-CHUNK_SAMPLES])

    assert read.all()
    assert abs(behind) < 0.1 * PIPELINE_RATE_HZ
    steps = np.diff(read.astype(np.int64))
    assert set(steps) <= {0, 1, 2, -29_999}


def test_a_loudspeaker_that_stood_still_is_found_again(played: PlayedSound) -> None:
    device = Device(played)
    for _ in range(60):
        device.pass_chunk()
    device.stands_still = True
    stalled = [device.pass_chunk() for _ in range(100)]
    again = Device(played)
    read = np.concatenate([again.pass_chunk() for _ in range(120)])

    assert not stalled[-1].any()
    assert read[-CHUNK_SAMPLES:].all()


def test_a_microphone_that_was_opened_anew_is_aligned_anew(played: PlayedSound) -> None:
    """What the loudspeaker played while there was no microphone has no echo in it."""
    device = Device(played)
    for _ in range(10):
        device.pass_chunk()
    played.played(counting(0, PIPELINE_RATE_HZ))
    played.realign()

    assert not played.read(CHUNK_SAMPLES).any()


def test_without_the_library_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pywebrtc_audio", None)
    with pytest.raises(AudioError) as caught:
        WebrtcEchoCanceller(PlayedSound())

    assert caught.value.code == "missing-program"
    assert "pip install pywebrtc-audio" in caught.value.message
    assert "audio.echo_cancellation = false" in caught.value.message
