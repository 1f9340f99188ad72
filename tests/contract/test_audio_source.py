"""What every AudioSource promises: files and a real microphone."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from heisenberg.audio.microphone import Microphone
from heisenberg.audio.wavfile import WavSource
from heisenberg.core.audio import CHUNK_SAMPLES
from heisenberg.core.config import AudioConfig
from heisenberg.core.stages import AudioSource
from tests import pulse
from tests.unit.audio.tones import AMPLITUDE, amplitude, pitch, tone


@pytest.fixture(scope="module", autouse=True)
def virtual_devices(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[pulse.PulseServer | None]:
    """Automatic, so that it begins before the watch over each test's child processes."""
    if pulse.missing() or not any(item.get_closest_marker("audio") for item in request.session.items):
        yield None
        return
    with pulse.in_this_process(tmp_path_factory.mktemp("pulse")) as server:
        yield server


@pytest.fixture(params=["file", "file, paced", pytest.param("microphone", marks=pytest.mark.audio)])
def source(
    request: pytest.FixtureRequest, tmp_path: Path, virtual_devices: pulse.PulseServer | None
) -> Iterator[AudioSource]:
    """Each hears a tone of 440 Hz."""
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone(6.0, 44_100), 44_100)
    if request.param.startswith("file"):
        made: AudioSource = WavSource(path, pacing="paced" in request.param)
        yield made
        made.close()
        return
    pulse.skip_if_missing()
    assert virtual_devices is not None
    playing = virtual_devices.start_playing(path)
    made = Microphone(AudioConfig(input_device=pulse.MICROPHONE))
    yield made
    made.close()
    playing.terminate()
    playing.wait()


def test_chunks_are_512_samples_of_16_khz_mono(source: AudioSource) -> None:
    chunks = [source.read() for _ in range(5)]

    assert all(chunk is not None and chunk.dtype == np.int16 and chunk.shape == (CHUNK_SAMPLES,) for chunk in chunks)


def test_what_sounds_is_what_is_heard(source: AudioSource) -> None:
    """The first chunks are left out: paplay needs a moment."""
    chunks = [source.read() for _ in range(60)]
    heard = np.concatenate([chunk for chunk in chunks[-25:] if chunk is not None])

    assert pitch(heard) == pytest.approx(440, abs=2)
    assert amplitude(heard) == pytest.approx(AMPLITUDE, rel=0.03)


def test_a_closed_source_has_ended(source: AudioSource) -> None:
    source.read()
    source.close()
    source.close()

    assert source.read() is None


def test_closing_from_another_thread_frees_the_reader(source: AudioSource) -> None:
    begun = threading.Event()

    def read() -> None:
        while source.read() is not None:
            begun.set()

    reader = threading.Thread(target=read)
    reader.start()
    begun.wait(5)
    source.close()
    reader.join(5)

    assert not reader.is_alive()
