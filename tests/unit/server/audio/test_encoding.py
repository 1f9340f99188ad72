"""Every kind of file can be read by others, and is as long as what was said."""

import io
import wave

import av
import numpy as np
import pytest
import soundfile

from heisenberg.core.audio import AudioChunk
from heisenberg.server.audio.encoding import RATE_HZ, Container, Encoder

COMPRESSED = ["mp3", "opus", "aac", "flac", "wav"]


def tone(seconds: float, rate_hz: int) -> AudioChunk:
    samples = 8000 * np.sin(np.arange(round(seconds * rate_hz)) * 2 * np.pi * 440 / rate_hz)
    return AudioChunk(samples.astype(np.int16), rate_hz)


def encoded(container: Container, *chunks: AudioChunk) -> bytes:
    encoder = Encoder(container)
    return b"".join([encoder.encode(chunk) for chunk in chunks]) + encoder.finish()


def decoded(file: bytes) -> np.ndarray:
    resampler = av.AudioResampler("s16", "mono", RATE_HZ)
    with av.open(io.BytesIO(file)) as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
        return np.concatenate([frame.to_ndarray()[0] for frame in [*frames, *resampler.resample(None)]])


@pytest.mark.parametrize("container", COMPRESSED)
def test_what_was_said_can_be_heard(container: Container) -> None:
    sound = decoded(encoded(container, *[tone(0.25, 22_050) for _ in range(8)]))
    spectrum = np.abs(np.fft.rfft(sound[RATE_HZ // 2 : RATE_HZ * 3 // 2]))

    assert 2.0 == pytest.approx(len(sound) / RATE_HZ, abs=0.1)
    assert 8000 == pytest.approx(np.abs(sound).max(), rel=0.15)
    assert 440 == pytest.approx(int(np.argmax(spectrum)), abs=3)


def test_pcm_is_24_khz() -> None:
    assert 2 * RATE_HZ * 2 == pytest.approx(len(encoded("pcm", tone(2.0, 16_000))), abs=200)


@pytest.mark.parametrize("container", ["wav", "flac", "mp3", "opus"])
def test_libsndfile_reads_it(container: Container) -> None:
    sound, rate_hz = soundfile.read(io.BytesIO(encoded(container, tone(1.0, RATE_HZ))))

    assert 1.0 == pytest.approx(len(sound) / rate_hz, abs=0.1)


def test_pythons_own_wave_reads_the_wav() -> None:
    """Its length is stated as unknown: whoever reads to the end gets it all."""
    with wave.open(io.BytesIO(encoded("wav", tone(1.0, RATE_HZ)))) as sound:
        found = sound.getframerate(), sound.getnchannels(), len(sound.readframes(10 * RATE_HZ))

    assert (RATE_HZ, 1, RATE_HZ * 2) == found


@pytest.mark.parametrize("container", ["mp3", "opus", "aac", "wav"])
def test_it_can_be_sent_while_it_is_spoken(container: Container) -> None:
    encoder = Encoder(container)
    sent = [len(encoder.encode(tone(0.5, 22_050))) for _ in range(8)]

    assert sum(sent[:4]) > 0.25 * sum(sent)


@pytest.mark.parametrize("container", COMPRESSED)
def test_without_any_sound_it_is_a_file_all_the_same(container: Container) -> None:
    assert len(decoded(encoded(container))) > 0


def test_a_voice_that_changes_its_rate_keeps_its_pitch() -> None:
    """The fallback has another rate."""
    sound = decoded(encoded("wav", tone(1.0, 22_050), tone(1.0, 16_000)))
    last = np.abs(np.fft.rfft(sound[-RATE_HZ:]))

    assert 2.0 == pytest.approx(len(sound) / RATE_HZ, abs=0.01)
    assert 440 == pytest.approx(int(np.argmax(last)), abs=2)
