"""An output that is recorded is the output it was; sound of any rate lands in one file."""

from pathlib import Path

import pytest
import soundfile

from heisenberg.audio.recorded import ChunkFile, RecordedOutput
from heisenberg.audio.wavfile import NoOutput, WavOutput
from heisenberg.core.audio import AudioChunk
from heisenberg.core.errors import AudioError
from tests.unit.audio.tones import tone


def chunk(seconds: float, rate_hz: int = 16_000) -> AudioChunk:
    return AudioChunk(tone(seconds, rate_hz), rate_hz)


async def test_what_was_taken_is_kept(tmp_path: Path) -> None:
    kept: list[AudioChunk] = []
    output = RecordedOutput(WavOutput(tmp_path / "heard.wav"), kept.append)
    first, second = chunk(0.1), chunk(0.2)
    await output.play(first)
    await output.play(second)

    assert pytest.approx(0.3, abs=0.01) == await output.drain()
    assert 0 == await output.stop()
    await output.close()
    assert [first, second] == kept
    assert pytest.approx(0.3, abs=0.01) == soundfile.info(tmp_path / "heard.wav").duration


async def test_what_was_refused_is_not_kept() -> None:
    class Broken(NoOutput):
        async def play(self, chunk: AudioChunk) -> None:
            raise AudioError("no device", code="audio-no-device")

    kept: list[AudioChunk] = []
    with pytest.raises(AudioError):
        await RecordedOutput(Broken(), kept.append).play(chunk(0.1))

    assert [] == kept


def test_rates_may_change_within_a_file(tmp_path: Path) -> None:
    file = ChunkFile(tmp_path / "reply.wav")
    for rate_hz in (22_050, 16_000, 48_000, 22_050):
        file.write(chunk(0.25, rate_hz))
    file.close()
    file.close()

    found = soundfile.info(tmp_path / "reply.wav")
    assert (22_050, 1) == (found.samplerate, found.channels)
    assert pytest.approx(1.0, abs=0.01) == found.duration


def test_a_file_without_sound_is_not_made(tmp_path: Path) -> None:
    ChunkFile(tmp_path / "reply.wav").close()

    assert [] == list(tmp_path.iterdir())
