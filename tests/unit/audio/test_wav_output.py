import asyncio
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from heisenberg.audio.pace import QUEUE_S
from heisenberg.audio.wavfile import NoOutput, WavOutput
from heisenberg.core.audio import AudioChunk
from heisenberg.core.errors import AudioError
from tests.unit.audio.tones import AMPLITUDE, amplitude, pitch, tone


def chunk(seconds: float, rate_hz: int = 22_050) -> AudioChunk:
    return AudioChunk(tone(seconds, rate_hz), rate_hz)


async def test_a_reply_is_written_at_the_rate_of_the_voice(tmp_path: Path) -> None:
    output = WavOutput(tmp_path / "a.wav")
    await output.play(chunk(0.3))
    await output.play(chunk(0.3))
    await output.drain()
    await output.close()
    samples, rate_hz = soundfile.read(tmp_path / "a.wav", dtype="int16")

    assert rate_hz == 22_050
    assert np.array_equal(samples, np.concatenate([chunk(0.3).samples] * 2))


async def test_a_voice_of_another_rate_is_converted(tmp_path: Path) -> None:
    """Given a reply by Piper and one by espeak. Then one file has both, each at its pitch."""
    output = WavOutput(tmp_path / "a.wav")
    await output.play(chunk(1.0, 22_050))
    await output.drain()
    await output.play(chunk(1.0, 16_000))
    await output.drain()
    await output.close()
    samples, _ = soundfile.read(tmp_path / "a.wav", dtype="int16")

    assert len(samples) == pytest.approx(44_100, abs=2)
    assert pitch(samples[22_050:], 22_050) == pytest.approx(440, abs=1)
    assert amplitude(samples[22_050:]) == pytest.approx(AMPLITUDE, rel=0.01)


async def test_the_file_can_be_played_at_every_moment(tmp_path: Path) -> None:
    output = WavOutput(tmp_path / "a.wav")
    lengths = [len(soundfile.read(tmp_path / "a.wav")[0])]
    for _ in range(3):
        await output.play(chunk(0.1))
        lengths.append(len(soundfile.read(tmp_path / "a.wav")[0]))
    await output.close()

    assert lengths == [0, 2205, 4410, 6615]


def test_a_killed_program_leaves_a_good_file(tmp_path: Path) -> None:
    code = """
import asyncio, os, signal, sys, numpy as np
from heisenberg.audio.wavfile import WavOutput
from heisenberg.core.audio import AudioChunk
asyncio.run(WavOutput(sys.argv[1]).play(AudioChunk(np.ones(16000, np.int16), 16000)))
os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.wav")], check=False)

    assert soundfile.info(tmp_path / "a.wav").frames == 16_000


async def test_what_was_not_heard_is_taken_back(tmp_path: Path) -> None:
    """Given a reply played in real time. When it is interrupted. Then the file ends where it was interrupted."""
    output = WavOutput(tmp_path / "a.wav", paced=True)
    await output.play(chunk(5.0))
    played = await output.stop()
    await output.play(chunk(0.01))
    await output.stop()
    await output.close()

    assert played < 2.5
    assert soundfile.info(tmp_path / "a.wav").duration == pytest.approx(played, abs=0.05)


@pytest.mark.parametrize("name", ["missing/a.wav", "."])
def test_a_file_that_cannot_be_written_is_said_at_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(AudioError) as caught:
        WavOutput(tmp_path / name)

    assert caught.value.code == "audio-file-unwritable"
    assert str(tmp_path / name) in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is full")
def test_a_full_disk_is_said_in_one_line() -> None:
    with pytest.raises(AudioError, match="No space left") as caught:
        WavOutput("/dev/full")

    assert caught.value.code == "audio-file-unwritable"


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="needs /dev/stdout")
def test_a_reply_can_be_piped() -> None:
    code = """
import asyncio, numpy as np
from heisenberg.audio.wavfile import WavOutput
from heisenberg.core.audio import AudioChunk
asyncio.run(WavOutput("/dev/stdout").play(AudioChunk(np.full(100, 7, np.int16), 16000)))
"""
    piped = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout

    assert piped[:4] == b"RIFF"
    assert piped[44:] == b"\x07\x00" * 100


async def test_a_paced_output_lets_the_voice_run_ahead_only_a_little() -> None:
    """The third chunk has to wait until less than the queue's length is left of the first two."""
    output = NoOutput(paced=True)
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(3):
        await output.play(chunk(0.5))
    waited = loop.time() - began
    await output.stop()

    assert waited >= 1.0 - QUEUE_S


async def test_a_paced_output_drains_in_real_time() -> None:
    output = NoOutput(paced=True)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await output.play(chunk(0.2))

    assert await output.drain() == pytest.approx(0.2)
    assert loop.time() - began >= 0.2
