import io
import logging
import os
import signal
import struct
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import soundfile

from heisenberg.audio import pipe
from heisenberg.audio.pipe import PipeBlocks
from heisenberg.audio.resample import resample
from heisenberg.core.audio import Samples
from heisenberg.core.errors import AudioError
from tests.unit.audio.tones import AMPLITUDE, amplitude, pitch, tone

Pipe = Callable[[bytes], PipeBlocks]


@pytest.fixture
def piped() -> Iterator[Pipe]:
    """Reads bytes through a real pipe."""
    writers: list[threading.Thread] = []

    def open_pipe(data: bytes) -> PipeBlocks:
        reading, writing = os.pipe()

        def write() -> None:
            with os.fdopen(writing, "wb") as file:
                file.write(data)

        writers.append(threading.Thread(target=write))
        writers[-1].start()
        return PipeBlocks(reading)

    yield open_pipe
    for writer in writers:
        writer.join(5)


def wav(samples: Samples, rate_hz: int, channels: int = 1, kind: str = "PCM_16", form: str = "WAV") -> bytes:
    buffer = io.BytesIO()
    frames = np.repeat(samples[:, np.newaxis] / 32768.0, channels, axis=1)
    soundfile.write(buffer, frames, rate_hz, format=form, subtype=kind)
    return buffer.getvalue()


def everything(blocks: PipeBlocks) -> Samples:
    heard = []
    while (block := blocks.read()) is not None:
        heard.append(resample(block, blocks.rate_hz, blocks.rate_hz))
    return np.concatenate([*heard, np.zeros(0, dtype=np.int16)])


@pytest.mark.parametrize("kind", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize(("form", "channels"), [("WAV", 1), ("WAV", 2), ("WAVEX", 3)])
def test_a_piped_wav_gives_its_tone(piped: Pipe, kind: str, form: str, channels: int) -> None:
    blocks = piped(wav(tone(0.5, 44_100), 44_100, channels, kind, form))
    heard = everything(blocks)

    assert blocks.rate_hz == 44_100
    assert len(heard) == 22_050
    assert pitch(heard, 44_100) == pytest.approx(440, abs=2)
    assert amplitude(heard) == pytest.approx(AMPLITUDE, rel=0.01)


@pytest.mark.parametrize("stated", [0, 0x7FFF_FFFF, 0xFFFF_FFFF])
def test_a_wav_of_unknown_length_is_read_to_the_end(piped: Pipe, stated: int) -> None:
    """Programs that write to a pipe cannot know how long it will be."""
    data = bytearray(wav(tone(0.5, 16_000), 16_000))
    struct.pack_into("<I", data, 40, stated)

    assert np.array_equal(everything(piped(bytes(data))), tone(0.5, 16_000))


def test_what_comes_after_the_sound_is_not_heard(piped: Pipe) -> None:
    """Recorders append a chunk with the title."""
    data = wav(tone(0.5, 16_000), 16_000) + b"LIST" + struct.pack("<I", 400) + b"\x7f" * 400

    assert np.array_equal(everything(piped(data)), tone(0.5, 16_000))


def test_bytes_without_a_header_are_16_khz_samples(piped: Pipe) -> None:
    blocks = piped(tone(0.5, 16_000).tobytes() + b"\x01")

    assert blocks.rate_hz == 16_000
    assert np.array_equal(everything(blocks), tone(0.5, 16_000))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (b"fLaC" + b"\0" * 100, "it holds FLAC"),
        (b"ID3" + b"\0" * 100, "it holds MP3"),
        (wav(tone(0.1, 16_000), 16_000)[:20], "header is incomplete"),
        (wav(tone(0.1, 8_000), 8_000, kind="ULAW"), "format 7 with 8 bits"),
    ],
    ids=["nothing", "FLAC", "MP3", "cut", "telephone"],
)
def test_what_cannot_be_decoded_is_said_in_one_line(piped: Pipe, data: bytes, reason: str) -> None:
    """It is said once; then the pipe has ended."""
    blocks = piped(data)
    with pytest.raises(AudioError, match=reason) as caught:
        blocks.read()

    assert caught.value.code == "audio-file-unreadable"
    assert "\n" not in caught.value.message
    assert blocks.read() is None


def test_what_a_header_states_is_not_kept_in_memory(piped: Pipe) -> None:
    """Given 8 MB of something else before the format, and as much in the format. Then the tone is heard."""
    whole, much = wav(tone(0.1, 16_000), 16_000), 8_000_000
    form = b"fmt " + struct.pack("<I", 16 + much) + whole[20:36] + bytes(much)
    blocks = piped(whole[:12] + b"JUNK" + struct.pack("<I", much - 1) + bytes(much) + form + whole[36:])
    tracemalloc.start()
    heard = everything(blocks)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert np.array_equal(heard, tone(0.1, 16_000))
    assert peak_bytes < 4_000_000


def test_a_pipe_that_falls_silent_is_lost_input_and_may_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipe, "SILENT_S", 0.05)
    reading, writing = os.pipe()
    os.write(writing, tone(0.1, 16_000).tobytes())
    blocks = PipeBlocks(reading)
    blocks.read()
    with pytest.raises(AudioError) as caught:
        blocks.read()
    os.write(writing, tone(0.1, 16_000).tobytes())
    again = blocks.read()
    os.close(writing)

    assert caught.value.code == "audio-input-lost"
    assert again is not None
    assert len(again) == 1600
    assert blocks.read() is None


def test_whoever_wants_the_whole_pipe_waits_for_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Given a producer that hesitates before the header, in it, and between two sounds. Then all of it is heard."""
    monkeypatch.setattr(pipe, "SILENT_S", 0.02)
    reading, writing = os.pipe()
    data = wav(tone(0.2, 16_000), 16_000)
    pieces, waits = iter([data[:6], data[6:3000], data[3000:]]), []
    blocks = PipeBlocks(reading, is_live=False)

    def hesitate(may_wait: bool) -> None:
        waits.append(may_wait)
        really_stand_by(may_wait)
        if len(waits) % 3 == 0:
            if (piece := next(pieces, None)) is None:
                os.close(writing)
            else:
                os.write(writing, piece)

    really_stand_by = blocks._stand_by
    monkeypatch.setattr(blocks, "_stand_by", hesitate)
    with caplog.at_level(logging.INFO):
        heard = everything(blocks)

    assert np.array_equal(heard, tone(0.2, 16_000))
    assert caplog.messages == ["Waiting for sound on standard input."]


@pytest.mark.parametrize("is_live", [True, False], ids=["live", "whole"])
@pytest.mark.parametrize("before", [b"", b"RIFF", tone(0.1, 16_000).tobytes()], ids=["nothing", "header", "sound"])
def test_closing_frees_a_reader_that_waits(monkeypatch: pytest.MonkeyPatch, before: bytes, is_live: bool) -> None:
    monkeypatch.setattr(pipe, "SILENT_S", 60.0)
    reading, writing = os.pipe()
    os.write(writing, before)
    blocks = PipeBlocks(reading, is_live=is_live)
    heard: list[Samples] = []
    reader = threading.Thread(target=lambda: heard.append(everything(blocks)))
    reader.start()
    blocks.close()
    reader.join(5)
    os.close(writing)

    assert not reader.is_alive()
    assert len(heard) == 1


def test_standard_input_is_dash() -> None:
    """As in ``sox … -t wav - | heisenberg run --input -``."""
    code = "from heisenberg.audio.wavfile import read_all; import sys; sys.stdout.buffer.write(read_all('-').tobytes())"
    heard = subprocess.run(
        [sys.executable, "-c", code], input=wav(tone(0.5, 16_000), 16_000), capture_output=True, check=True
    )

    assert np.array_equal(np.frombuffer(heard.stdout, dtype=np.int16), tone(0.5, 16_000))
    assert heard.stderr == b""


@pytest.mark.skipif(os.name == "nt", reason="needs signals")
def test_ctrl_c_ends_the_wait_for_standard_input() -> None:
    """Given a producer that says nothing and does not end. Then one Ctrl-C is enough."""
    code = """
import asyncio, logging
from heisenberg.audio import pipe
from heisenberg.audio.wavfile import read_all_aside
logging.basicConfig(level="INFO", format="%(message)s")
pipe.SILENT_S = 0.05
try:
    asyncio.run(read_all_aside("-"))
except KeyboardInterrupt:
    print("interrupted")
"""
    program = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert program.stderr is not None
    said = program.stderr.readline()
    program.send_signal(signal.SIGINT)
    status = program.wait(10)  # Before its standard input is closed, which would end it, too.
    printed, rest = program.communicate()

    assert (said, printed, rest) == (b"Waiting for sound on standard input.\n", b"interrupted\n", b"")
    assert status == 0


def test_a_program_can_end_while_its_standard_input_is_silent() -> None:
    """Python must not wait for, or trip over, the thread that reads a pipe."""
    code = "from heisenberg.audio.wavfile import WavSource; s = WavSource('-'); s.read(); s.close(); print('done')"
    program = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert program.stdin is not None
    program.stdin.write(tone(0.1, 16_000).tobytes())
    program.stdin.flush()
    assert program.stdout is not None
    said = program.stdout.read()
    status = program.wait(10)
    program.stdin.close()
    program.stdout.close()

    assert (said.strip(), status) == (b"done", 0)
