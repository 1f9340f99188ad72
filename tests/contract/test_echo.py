"""What every EchoCanceller promises: WebRTC's, in a room where nothing and where something is played."""

import numpy as np
import pytest

from heisenberg.audio.echo import WebrtcEchoCanceller
from heisenberg.audio.played import PlayedSound
from heisenberg.core.audio import CHUNK_SAMPLES, PIPELINE_RATE_HZ, Samples
from heisenberg.core.stages import EchoCanceller

pytest.importorskip("pywebrtc_audio")

LONGEST_DELAY_SAMPLES = PIPELINE_RATE_HZ // 50


@pytest.fixture(params=["nothing is played", "silence is played", "something is played"])
def played(request: pytest.FixtureRequest) -> PlayedSound:
    return {"nothing is played": PlayedSound, "silence is played": Hum}.get(request.param, Loud)()


@pytest.fixture
def canceller(played: PlayedSound) -> EchoCanceller:
    return WebrtcEchoCanceller(played)


class Hum(PlayedSound):
    """A device that is played to whenever somebody listens."""

    loudness = 0

    def __init__(self) -> None:
        super().__init__()
        self._random = np.random.default_rng(3)
        self.opened(PIPELINE_RATE_HZ, 0.05)

    def read(self, count: int) -> Samples:
        self.played(self._random.integers(-self.loudness, self.loudness + 1, count).astype(np.int16))
        return super().read(count)


class Loud(Hum):
    """The same, and it can be heard."""

    loudness = 3000


def noise(chunks: int) -> list[Samples]:
    random = np.random.default_rng(5)
    return [random.integers(-8000, 8000, CHUNK_SAMPLES).astype(np.int16) for _ in range(chunks)]


def test_as_many_samples_come_out_as_go_in(canceller: EchoCanceller) -> None:
    cleaned = [canceller.process(chunk) for chunk in noise(40)]

    assert all(chunk.dtype == np.int16 and chunk.shape == (CHUNK_SAMPLES,) for chunk in cleaned)


def test_the_last_chunk_of_a_file_may_be_short(canceller: EchoCanceller) -> None:
    for chunk in noise(3):
        canceller.process(chunk)

    assert canceller.process(np.ones(100, dtype=np.int16)).shape == (100,)


def test_what_is_no_echo_comes_out_within_20_milliseconds(canceller: EchoCanceller) -> None:
    """The microphone hears a voice, the loudspeaker plays something else: the voice is late by always as much."""
    heard = np.concatenate(noise(60))
    cleaned = np.concatenate([canceller.process(chunk) for chunk in noise(60)])
    delays = [_delay(heard[start : start + 8000], cleaned[start : start + 8000]) for start in (0, 8000, 20_000)]

    assert delays[0] <= LONGEST_DELAY_SAMPLES
    assert delays == [delays[0]] * 3


def test_what_it_was_given_is_left_as_it_was(canceller: EchoCanceller) -> None:
    chunks = noise(5)
    for chunk in chunks:
        canceller.process(chunk)

    assert np.array_equal(noise(5), chunks)


def test_after_a_reset_nothing_of_what_was_heard_comes_out(canceller: EchoCanceller) -> None:
    for chunk in noise(10):
        canceller.process(chunk)
    canceller.reset()

    assert not canceller.process(np.zeros(CHUNK_SAMPLES, dtype=np.int16)).any()


def _delay(before: Samples, after: Samples) -> int:
    spectra = np.conj(np.fft.rfft(before, 16_384)) * np.fft.rfft(after, 16_384)
    return int(np.argmax(np.fft.irfft(spectra)[:1000]))
