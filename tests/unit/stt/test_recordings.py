"""Whole recordings: any file is decoded, times count from its beginning, and others get their turn in between."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from heisenberg.core.audio import PIPELINE_RATE_HZ, Samples
from heisenberg.core.errors import AudioError, TranscriptionError
from heisenberg.core.recordings import Passage, RecordingEnd, TimedWord, Wanted
from heisenberg.core.stages import ServiceLease
from heisenberg.stt import decoding
from heisenberg.stt.decoding import decoded
from heisenberg.stt.recordings import RecordingTranscriber
from tests.fakes.stages import FakeService

RATE = PIPELINE_RATE_HZ
SERVICE = FakeService("tcp://nowhere")


class Engine:
    """Hears one word at second 1 of each stretch."""

    def __init__(self, language: str = "en") -> None:
        self.language = language
        self.wanted: list[Wanted] = []
        self.stretches: list[Samples] = []

    async def hear(self, service: ServiceLease, samples: Samples, wanted: Wanted) -> AsyncGenerator[Passage, None]:
        self.wanted.append(wanted)
        self.stretches.append(samples)
        yield Passage(1.0, 2.0, "word", self.language, (TimedWord("word", 1.0, 2.0),), seek=0)


def tone(seconds: float, rate_hz: int = RATE) -> Samples:
    return (8000 * np.sin(np.arange(round(seconds * rate_hz)) * 2 * np.pi * 440 / rate_hz)).astype(np.int16)


def written(path: Path, seconds: float = 2.0, rate_hz: int = 44_100, channels: int = 2) -> Path:
    sound = np.repeat(tone(seconds, rate_hz)[:, np.newaxis], channels, axis=1) / 32768
    soundfile.write(path, sound, rate_hz)
    return path


async def everything(file: Path) -> Samples:
    return np.concatenate([block async for block in decoded(file)])


# ── decoding ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("form", ["wav", "flac", "ogg", "mp3"])
async def test_files_of_any_form_become_the_pipelines_sound(tmp_path: Path, form: str) -> None:
    sound = await everything(written(tmp_path / f"sound.{form}"))

    assert 2.0 == pytest.approx(len(sound) / RATE, abs=0.1)
    assert 8000 == pytest.approx(np.abs(sound[RATE // 2 : RATE]).max(), rel=0.1)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not audio at all",
        b"RIFF\xff\xff\xff\xffWAVEfmt ",
        b"<html></html>" * 1000,
        np.random.default_rng(0).bytes(20_000),
        b"ffconcat version 1.0\nfile other.wav\n",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nother.wav\n#EXT-X-ENDLIST\n",
    ],
    ids=["empty", "text", "a header alone", "a page", "noise", "a list of files", "a playlist"],
)
async def test_what_is_no_audio_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    """Lists name other files: they are not followed, even to one that is audio."""
    written(tmp_path / "other.wav")
    (tmp_path / "file.wav").write_bytes(content)
    with pytest.raises(AudioError, match="no audio that can be decoded") as caught:
        await everything(tmp_path / "file.wav")

    assert "audio-file-unreadable" == caught.value.code


async def test_of_a_file_that_breaks_off_what_is_there_is_used(tmp_path: Path) -> None:
    whole = written(tmp_path / "sound.mp3", 4.0).read_bytes()
    (tmp_path / "half.mp3").write_bytes(whole[: len(whole) // 2])

    assert 2.0 == pytest.approx(len(await everything(tmp_path / "half.mp3")) / RATE, abs=0.3)


async def test_a_recording_that_is_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "LONGEST_S", 3600.0 / 3600)
    with pytest.raises(AudioError, match="longer than"):
        await everything(written(tmp_path / "sound.wav", 3.0))


async def test_who_leaves_ends_the_decoder(tmp_path: Path) -> None:
    """What is left behind fails the test: see tests/conftest.py."""
    blocks = decoded(written(tmp_path / "sound.wav", 60.0, RATE, 1))
    await anext(blocks)
    await blocks.aclose()


# ── writing down ─────────────────────────────────────────────────────────────────────────────────


async def test_times_count_from_the_beginning_of_the_recording(tmp_path: Path) -> None:
    engine = Engine()
    transcriber = RecordingTranscriber(SERVICE.lease, engine.hear, wait_s=5)
    file = written(tmp_path / "sound.wav", 70.0, RATE, 1)
    *found, end = [part async for part in transcriber.transcribe(file, Wanted())]
    starts = [0.0, *np.cumsum([len(samples) / RATE for samples in engine.stretches])[:-1]]

    assert RecordingEnd(pytest.approx(70.0, abs=0.01), "en") == end  # type: ignore[arg-type]
    assert [start + 1 for start in starts] == pytest.approx([p.start for p in found if isinstance(p, Passage)])
    assert [start + 2 for start in starts] == pytest.approx([p.words[0].end for p in found if isinstance(p, Passage)])
    assert 3 == len(found)


async def test_the_language_of_the_first_words_is_kept(tmp_path: Path) -> None:
    engine = Engine("fr")
    transcriber = RecordingTranscriber(SERVICE.lease, engine.hear, wait_s=5)
    file = written(tmp_path / "sound.wav", 40.0, RATE, 1)
    *_, end = [part async for part in transcriber.transcribe(file, Wanted())]

    assert [None, "fr"] == [wanted.language for wanted in engine.wanted]
    assert isinstance(end, RecordingEnd)
    assert "fr" == end.language


async def test_between_two_stretches_the_engine_is_free(tmp_path: Path) -> None:
    service = FakeService("tcp://nowhere")
    transcriber = RecordingTranscriber(service.lease, Engine().hear, wait_s=5)
    held = [service.leases async for _ in transcriber.transcribe(written(tmp_path / "s.wav", 40.0, RATE, 1), Wanted())]

    assert {0} == set(held)


async def test_who_waits_too_long_for_the_engine_is_told(tmp_path: Path) -> None:
    busy = asyncio.Lock()

    class Busy(FakeService):
        async def __aenter__(self) -> ServiceLease:
            await busy.acquire()
            return self

        async def __aexit__(self, *failure: object) -> None:
            busy.release()

    async with busy:
        transcriber = RecordingTranscriber(lambda: Busy("tcp://nowhere"), Engine().hear, wait_s=0.01)
        with pytest.raises(TranscriptionError, match="No recogniser was free"):
            await anext(transcriber.transcribe(written(tmp_path / "sound.wav"), Wanted()))


async def test_so_many_files_are_open_at_once_and_no_more(tmp_path: Path) -> None:
    """Each has a decoder of its own; a client that reads slowly keeps its own place only."""
    open_files = asyncio.Semaphore(1)
    file = written(tmp_path / "sound.wav")
    first, second = (
        RecordingTranscriber(SERVICE.lease, Engine().hear, wait_s=wait_s, open_files=open_files).transcribe(
            file, Wanted()
        )
        for wait_s in (5, 0.01)
    )
    await anext(first)
    with pytest.raises(TranscriptionError, match="No recogniser was free"):
        await anext(second)
    await first.aclose()

    assert not open_files.locked()
