"""The worker as a process of its own: its wire (``workers/moshi.py``), with a recogniser that hears tone words."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncClient
from wyoming.event import Event

from heisenberg.core.errors import TranscriptionError
from heisenberg.stt import wyoming
from tests.integration.workers.conftest import StartMoshi
from tests.tiny_moshi import tone_speech, word_times

pytestmark = pytest.mark.e2e

SAID = "turn on the kitchen light."
ASKED = "what time is the sea blue now?"
LONGEST_S = 60.0


@pytest.fixture
async def uri(tones: Path, start_moshi: StartMoshi) -> AsyncIterator[str]:
    async with start_moshi(tones) as address:
        yield address


class Stream:
    """One connection."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def begin(self, **context: Any) -> None:
        await self._client.write_event(Transcribe(context=context).event())
        await self._client.write_event(AudioStart(rate=16000, width=2, channels=1).event())

    async def send(self, sound: np.ndarray, rate: int = 16000) -> None:
        for at in range(0, len(sound), 1600):
            block = sound[at : at + 1600].astype("<i2").tobytes()
            await self._client.write_event(AudioChunk(rate=rate, width=2, channels=1, audio=block).event())

    async def ask(self, event: Event, until: str) -> tuple[list[Event], Event]:
        """Send *event*; what comes before the answer, and the answer."""
        await self._client.write_event(event)
        before: list[Event] = []
        async with asyncio.timeout(LONGEST_S):
            while (answer := await self._client.read_event()) is not None:
                if answer.type == until:
                    return before, answer
                before.append(answer)
        raise AssertionError(f"no {until}, but {[one.type for one in before]}")

    async def flush(self, number: int = 1) -> tuple[list[Event], Event]:
        return await self.ask(Event("flush", data={"id": number}), "flushed")

    async def stop(self) -> tuple[list[Event], Event]:
        return await self.ask(AudioStop().event(), "transcript")


async def test_the_speed_is_known_before_anybody_speaks(uri: str) -> None:
    async with AsyncClient.from_uri(uri) as client:
        _, speed = await Stream(client).ask(Event("speed"), "speed")

    assert 0.0 < speed.data.pop("real_time_factor") < 5.0
    assert {"device": "cpu", "dtype": "float32", "delay_seconds": 0.5, "has_pauses": True} == {
        key: value for key, value in speed.data.items() if key != "notices"
    }


async def test_a_stream_tells_words_times_and_pauses_with_every_frame(uri: str) -> None:
    async with AsyncClient.from_uri(uri) as client:
        stream = Stream(client)
        await stream.begin(stream=True)
        await stream.send(tone_speech(SAID, tail_s=0.8))
        chunks, flushed = await stream.flush(7)

        assert {"transcript-chunk"} == {one.type for one in chunks}
        assert SAID == "".join(one.data["text"] for one in chunks) == flushed.data["text"]
        told = [word for one in chunks for word in one.data["words"]]
        assert told == flushed.data["words"]
        assert SAID.split() == [word for word, _, _ in told]
        wanted = [start for _, start, _ in word_times(SAID)]
        assert wanted == pytest.approx([start for _, start, _ in told], abs=0.13)
        assert 7 == flushed.data["id"]
        assert 4.2 == pytest.approx(flushed.data["at"], abs=0.01)
        assert [one.data["at"] for one in chunks] == sorted(one.data["at"] for one in chunks)
        assert chunks[-1].data["pause"][2] > 0.6
        assert all(one.data["pause"][2] < 0.6 for one in chunks[12:36])


async def test_after_a_flush_the_same_utterance_goes_on(uri: str) -> None:
    async with AsyncClient.from_uri(uri) as client:
        stream = Stream(client)
        await stream.begin(stream=True)
        await stream.send(tone_speech(SAID))
        await stream.flush()
        await stream.send(tone_speech(ASKED))
        _, flushed = await stream.flush(2)
        _, transcript = await stream.stop()

    offset = len(tone_speech(SAID)) / 16000
    wanted = [start + offset for _, start, _ in word_times(ASKED)]
    assert f"{SAID} {ASKED}" == flushed.data["text"] == transcript.data["text"]
    assert wanted == pytest.approx([start for _, start, _ in flushed.data["words"][-7:]], abs=0.13)


async def test_each_utterance_forgets_the_one_before_it(uri: str) -> None:
    async with AsyncClient.from_uri(uri) as client:
        stream = Stream(client)
        texts = []
        for said in (SAID, ASKED):
            await stream.begin(stream=True)
            await stream.send(tone_speech(said))
            texts.append((await stream.stop())[1].data["text"])

    assert [SAID, ASKED] == texts


async def test_any_wyoming_client_is_served(uri: str) -> None:
    """As our own client for Wyoming services asks; nothing comes before the transcript."""
    heard = await wyoming.transcribe(uri, tone_speech(SAID), "en", timeout_s=LONGEST_S)

    assert (SAID, "en") == (heard.text, heard.language)


async def test_a_recording_comes_in_sentences(uri: str) -> None:
    async with AsyncClient.from_uri(uri) as client:
        stream = Stream(client)
        await stream.begin(segments=True, words=True)
        await stream.send(tone_speech(f"{SAID} {ASKED}", pause_s=0.6))
        before, transcript = await stream.stop()

    passages = [one.data for one in before if one.type == "transcript-chunk"]
    assert [SAID, ASKED] == [one["text"] for one in passages]
    assert all(one["start"] < one["end"] for one in passages)
    assert 5 == len(passages[0]["words"])
    assert f"{SAID} {ASKED}" == transcript.data["text"]


async def test_sound_at_another_rate_is_the_same_sound(uri: str) -> None:
    async with AsyncClient.from_uri(uri) as client:
        stream = Stream(client)
        await stream.begin()
        await stream.send(tone_speech(SAID, rate_hz=48000), rate=48000)
        _, transcript = await stream.stop()

    assert SAID == transcript.data["text"]


async def test_who_comes_second_waits_and_who_hangs_up_makes_room(uri: str) -> None:
    async with AsyncClient.from_uri(uri) as first:
        await Stream(first).begin(stream=True)
        await Stream(first).send(tone_speech(SAID))
        waiting = asyncio.create_task(wyoming.transcribe(uri, tone_speech(ASKED), "en", timeout_s=LONGEST_S))
        await Stream(first).flush()

        assert not waiting.done()

    assert ASKED == (await waiting).text


async def test_what_it_cannot_do_is_the_requests_fault(uri: str) -> None:
    with pytest.raises(TranscriptionError, match="does not translate") as refused:
        await wyoming.transcribe(uri, tone_speech(SAID), "fr", timeout_s=LONGEST_S, context={"task": "translate"})

    assert "usage" == refused.value.code


async def test_a_missing_gpu_is_announced(tones: Path, start_moshi: StartMoshi) -> None:
    async with start_moshi(tones, "--device", "mps") as uri, AsyncClient.from_uri(uri) as client:
        stream = Stream(client)
        await stream.begin(stream=True)
        await stream.send(tone_speech("hello"))
        before, _ = await stream.flush()

    (notice,) = [one for one in before if one.type == "notice"]
    assert notice.data["text"].startswith("mps cannot run the recogniser")


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("kyutai/moshiko-pytorch-bf16", "its text is what it says itself, not a transcript"),
        ("kyutai/stt-1b-en_fr", "is not on this machine, and the hub cannot be reached"),
        ("/nowhere/at/all", "is not a folder"),
    ],
)
async def test_what_cannot_be_loaded_is_said_in_one_line(
    model: str, told: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    command = [sys.executable, "-m", "heisenberg.workers.moshi", "--model", model, "--uri", f"unix://{tmp_path}/s"]
    worker = await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert worker.stderr is not None
    async with asyncio.timeout(LONGEST_S):
        said = (await worker.stderr.read()).decode()
        status = await worker.wait()

    assert 1 == status
    assert told in said
    assert 1 == len(said.strip().splitlines())
