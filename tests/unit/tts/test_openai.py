"""A voice of an OpenAI-compatible server: sound as it arrives, or one clear error."""

import asyncio
import io
import wave
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from heisenberg.core.audio import AudioChunk
from heisenberg.core.errors import SpeechError
from heisenberg.tts.openai import OpenAiVoice
from tests.fakes.stages import FakeService


def wav(samples: int = 22_050, rate_hz: int = 22_050, channels: int = 1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(channels)
        sound.setsampwidth(2)
        sound.setframerate(rate_hz)
        sound.writeframes(np.arange(samples * channels, dtype="<i2").tobytes())
    return file.getvalue()


class Upstream:
    """Sends the blocks that the test says."""

    def __init__(self) -> None:
        self.blocks: list[bytes | asyncio.Event] = [wav()]
        self.status = 200
        self.asked: list[Any] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(await request.json())
        response = web.StreamResponse(status=self.status)
        await response.prepare(request)
        for block in self.blocks:
            if isinstance(block, asyncio.Event):
                await block.wait()
            else:
                await response.write(block)
        return response


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
async def service(upstream: Upstream) -> AsyncIterator[FakeService]:
    app = web.Application()
    app.router.add_post("/v1/audio/speech", upstream.answer)
    async with TestServer(app) as server:
        yield FakeService(str(server.make_url("/")))


async def speak(service: FakeService, timeout_s: float = 5.0, text: str = "Hello.") -> list[AudioChunk]:
    voice = OpenAiVoice(service.lease, model="tts-1", voice="alloy", speed=1.5, timeout_s=timeout_s)
    return [chunk async for chunk in voice.speak(text)]


async def test_a_text_is_spoken(service: FakeService, upstream: Upstream) -> None:
    chunks = await speak(service)

    assert np.array_equal(np.arange(22_050, dtype=np.int16), np.concatenate([chunk.samples for chunk in chunks]))
    assert {22_050} == {chunk.rate_hz for chunk in chunks}
    assert [
        {"model": "tts-1", "voice": "alloy", "speed": 1.5, "response_format": "wav", "input": "Hello."}
    ] == upstream.asked


@pytest.mark.parametrize("size", [1, 7, 43, 44, 45, 1001])
async def test_it_does_not_matter_how_it_is_cut(service: FakeService, upstream: Upstream, size: int) -> None:
    whole = wav(600)
    upstream.blocks = [whole[at : at + size] for at in range(0, len(whole), size)]

    assert 600 == sum(len(chunk.samples) for chunk in await speak(service))


async def test_a_length_that_is_unknown_is_not_believed(service: FakeService, upstream: Upstream) -> None:
    whole = wav(600)
    upstream.blocks = [whole[:4] + b"\xff" * 4 + whole[8:40] + b"\xff" * 4 + whole[44:]]

    assert 600 == sum(len(chunk.samples) for chunk in await speak(service))


async def test_text_without_words_is_not_sent(service: FakeService, upstream: Upstream) -> None:
    assert [] == await speak(service, text="…")
    assert [] == upstream.asked


@pytest.mark.parametrize(
    ("blocks", "said"),
    [
        ([], "ended before it said anything"),
        ([b"ID3 mp3 all the same"], "WAV is needed"),
        ([wav(100, channels=2)], "16 bit mono is needed"),
        ([wav(100)[:30]], "something else than WAV"),
    ],
    ids=["nothing", "mp3", "stereo", "half a header"],
)
async def test_bad_sound_is_one_clear_error(
    service: FakeService, upstream: Upstream, blocks: list[bytes | asyncio.Event], said: str
) -> None:
    upstream.blocks = blocks
    with pytest.raises(SpeechError, match=said):
        await speak(service)


async def test_a_refusal_is_told(service: FakeService, upstream: Upstream) -> None:
    upstream.status, upstream.blocks = 404, [b"no such voice"]
    with pytest.raises(SpeechError, match="answered 404: no such voice") as caught:
        await speak(service)

    assert "upstream-error" == caught.value.code


async def test_a_server_that_falls_silent_is_given_up(service: FakeService, upstream: Upstream) -> None:
    release = asyncio.Event()
    upstream.blocks = [wav(100), release]
    with pytest.raises(SpeechError) as caught:
        await speak(service, timeout_s=0.1)
    release.set()

    assert "tts-timeout" == caught.value.code
