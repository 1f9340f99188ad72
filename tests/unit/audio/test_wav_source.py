import io
import logging
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from heisenberg.audio.wavfile import WavSource, read_all, read_all_aside
from heisenberg.core.audio import Samples
from heisenberg.core.errors import AudioError
from tests.unit.audio.tones import AMPLITUDE, amplitude, pitch, tone

KINDS = [
    pytest.param(16_000, 1, "WAV", "PCM_16", id="16 kHz mono"),
    pytest.param(8_000, 1, "WAV", "PCM_16", id="8 kHz"),
    pytest.param(8_000, 1, "WAV", "ULAW", id="telephone"),
    pytest.param(44_100, 2, "WAV", "PCM_16", id="44.1 kHz stereo"),
    pytest.param(48_000, 6, "WAV", "PCM_24", id="24-bit surround"),
    pytest.param(22_050, 1, "WAV", "PCM_U8", id="8-bit"),
    pytest.param(96_000, 2, "WAV", "PCM_32", id="32-bit"),
    pytest.param(48_000, 1, "WAV", "FLOAT", id="float"),
    pytest.param(44_100, 2, "WAV", "DOUBLE", id="double"),
    pytest.param(44_100, 2, "FLAC", "PCM_24", id="FLAC"),
    pytest.param(48_000, 1, "OGG", "VORBIS", id="Ogg Vorbis"),
    pytest.param(44_100, 1, "AIFF", "PCM_16", id="AIFF"),
]


def write(
    path: Path, samples: Samples, rate_hz: int, channels: int = 1, form: str = "WAV", kind: str = "PCM_16"
) -> Path:
    frames = np.repeat(samples[:, np.newaxis] / 32768.0, channels, axis=1)
    soundfile.write(path, frames, rate_hz, format=form, subtype=kind)
    return path


def everything(source: WavSource) -> list[Samples]:
    chunks = []
    while (chunk := source.read()) is not None:
        chunks.append(chunk)
    return chunks


@pytest.mark.parametrize(("rate_hz", "channels", "form", "kind"), KINDS)
def test_every_kind_of_file_gives_the_same_tone(
    tmp_path: Path, rate_hz: int, channels: int, form: str, kind: str
) -> None:
    heard = read_all(write(tmp_path / "tone", tone(1.0, rate_hz), rate_hz, channels, form, kind))

    assert len(heard) == pytest.approx(16_000, abs=16)
    assert pitch(heard) == pytest.approx(440, abs=1)
    assert amplitude(heard) == pytest.approx(AMPLITUDE, rel=0.02)


def test_16_khz_is_not_touched(tmp_path: Path) -> None:
    noise = np.random.default_rng(2).integers(-32768, 32768, 20_000).astype(np.int16)
    path = write(tmp_path / "noise.wav", noise, 16_000)

    assert np.array_equal(read_all(path), noise)


def test_different_channels_are_averaged(tmp_path: Path) -> None:
    left = tone(0.5, 16_000)
    soundfile.write(tmp_path / "left.wav", np.stack([left, np.zeros_like(left)], axis=1), 16_000)

    assert amplitude(read_all(tmp_path / "left.wav")) == pytest.approx(AMPLITUDE / 2, rel=0.01)


def test_chunks_have_512_samples_and_the_last_one_the_rest(tmp_path: Path) -> None:
    source = WavSource(write(tmp_path / "a.wav", tone(1.0, 16_000)[:1300], 16_000), pacing=False)

    assert [len(chunk) for chunk in everything(source)] == [512, 512, 276]
    assert source.read() is None
    source.close()


def test_a_long_file_is_not_read_at_once(tmp_path: Path) -> None:
    path = write(tmp_path / "long.wav", np.zeros(16_000 * 60, dtype=np.int16), 16_000)
    source = WavSource(path, pacing=False)
    source.read()

    assert len(source._ready) < 16_000
    source.close()


def test_a_file_says_whether_time_passes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tone(0.1, 16_000), 16_000)
    paced, fast = WavSource(path, pacing=True), WavSource(path, pacing=False)

    assert (paced.live, fast.live) == (True, False)
    paced.close()
    fast.close()


def test_a_paced_file_stops_waiting_when_it_is_closed(tmp_path: Path) -> None:
    """Given a minute of sound read in real time. When it is closed. Then the reader is free at once."""
    source = WavSource(write(tmp_path / "a.wav", np.zeros(16_000 * 60, dtype=np.int16), 16_000), pacing=True)
    reader = threading.Thread(target=everything, args=[source])
    reader.start()
    source.close()
    source.close()
    reader.join(5)

    assert not reader.is_alive()
    assert source.read() is None


@pytest.mark.parametrize("name", ["missing.wav", "folder", "empty.wav", "text.wav", "text.raw", "cut.wav", "x/y.wav"])
def test_what_cannot_be_read_is_said_in_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("This is not a sound.\n" * 20)
    (tmp_path / "text.raw").write_text("This is not a sound.\n" * 20)
    whole = write(tmp_path / "whole.wav", tone(0.1, 16_000), 16_000).read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[:30])
    with pytest.raises(AudioError) as caught:
        WavSource(tmp_path / name)

    assert caught.value.code == "audio-file-unreadable"
    assert str(tmp_path / name) in caught.value.message
    assert "\n" not in caught.value.message
    reason = {"missing.wav": "no such file", "folder": "a folder", "empty.wav": "empty", "x/y.wav": "no such file"}
    assert reason.get(name, "not a sound file, or its header is damaged") in caught.value.message


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_said_in_one_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tone(0.1, 16_000), 16_000)
    path.chmod(0)
    with pytest.raises(AudioError, match="Permission denied"):
        WavSource(path)


@pytest.mark.parametrize("form", ["WAV", "FLAC"])
def test_a_truncated_file_is_read_as_far_as_it_goes(
    tmp_path: Path, form: str, caplog: pytest.LogCaptureFixture
) -> None:
    noise = np.random.default_rng(3).integers(-9000, 9000, 16_000 * 4).astype(np.int16)
    whole = write(tmp_path / "whole", noise, 16_000, form=form).read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    with caplog.at_level(logging.WARNING):
        heard = read_all(tmp_path / "cut")

    assert 16_000 < len(heard) < 16_000 * 2.2
    assert np.array_equal(heard, noise[: len(heard)])
    assert "is truncated" in caplog.text


def test_a_header_without_samples_is_silence_of_no_length(tmp_path: Path) -> None:
    assert len(read_all(write(tmp_path / "none.wav", tone(0.0, 16_000), 16_000))) == 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe_is_read_like_standard_input(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    buffer = io.BytesIO()
    soundfile.write(buffer, tone(0.5, 44_100), 44_100, format="WAV")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=[buffer.getvalue()])
    writer.start()
    heard = read_all(tmp_path / "pipe")
    writer.join()

    assert len(heard) == pytest.approx(8000, abs=2)
    assert pitch(heard) == pytest.approx(440, abs=2)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_that_nobody_writes_to_holds_nobody_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a pipe without a writer. Then the source is there at once; its reader waits, and says so, until closed."""
    os.mkfifo(tmp_path / "Pipe")
    source = WavSource(tmp_path / "Pipe")
    told = threading.Event()
    really_emit = caplog.handler.emit

    def emit(record: logging.LogRecord) -> None:
        really_emit(record)
        told.set()

    monkeypatch.setattr(caplog.handler, "emit", emit)
    with caplog.at_level(logging.INFO):
        reader = threading.Thread(target=everything, args=[source])
        reader.start()
        assert told.wait(5)
    source.close()
    reader.join(5)

    assert not reader.is_alive()
    assert source.read() is None
    assert caplog.messages == [f'Waiting for sound on "{tmp_path / "Pipe"}".']
    with (tmp_path / "Pipe").open("wb"):  # Lets the thread that opens it go.
        pass


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_that_was_never_read_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    WavSource(tmp_path / "pipe").close()
    with pytest.raises(OSError, match="No such device"):
        os.open(tmp_path / "pipe", os.O_WRONLY | os.O_NONBLOCK)


async def test_a_whole_file_is_read_without_holding_up_the_loop(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tone(0.5, 16_000), 16_000)

    assert np.array_equal(await read_all_aside(path), read_all(path))
