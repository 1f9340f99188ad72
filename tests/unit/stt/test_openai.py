"""Speech to text by an OpenAI-compatible server: whatever it answers, the caller gets words or one clear error."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from heisenberg.core.errors import TranscriptionError
from heisenberg.core.recordings import Passage, TimedWord, Wanted
from heisenberg.core.stages import Transcript
from heisenberg.stt.openai import OpenAiRecogniser
from tests.fakes.stages import FakeService

SECOND = np.ones(16_000, dtype=np.int16)


class Upstream:
    """Answers what the test says; remembers the forms."""

    def __init__(self) -> None:
        self.answers: list[Any] = []
        self.forms: list[dict[str, list[Any]]] = []
        self.headers: list[Any] = []
        self.sounds: list[bytes] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        self.forms.append({name: form.getall(name) for name in form})
        self.sounds.append(form["file"].file.read())  # type: ignore[union-attr]
        self.headers.append(request.headers)
        answer = self.answers.pop(0)
        if isinstance(answer, asyncio.Event):
            await answer.wait()
        return answer if isinstance(answer, web.StreamResponse) else web.json_response(answer)


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
async def service(upstream: Upstream) -> AsyncIterator[FakeService]:
    app = web.Application(client_max_size=10_000_000)
    app.router.add_post("/v1/audio/{kind}", upstream.answer)
    async with TestServer(app) as server:
        yield FakeService(str(server.make_url("/v1")), "secret")


async def stretch(service: FakeService, wanted: Wanted) -> list[Passage]:
    return [passage async for passage in OpenAiRecogniser("big", "en", 5).stretch(service, SECOND, wanted)]


async def test_a_command_goes_out_as_wav_with_its_key(service: FakeService, upstream: Upstream) -> None:
    upstream.answers = [{"text": " Hello. "}]
    heard = await OpenAiRecogniser("big", "fr", 5).command(service, SECOND, False)
    form = upstream.forms[0]

    assert Transcript("Hello.", "fr") == heard
    assert (["big"], ["fr"], ["json"]) == (form["model"], form["language"], form["response_format"])
    assert len(upstream.sounds[0]) == 44 + 2 * len(SECOND)
    assert "Bearer secret" == upstream.headers[0]["Authorization"]


async def test_a_minute_is_sent_whole(service: FakeService, upstream: Upstream) -> None:
    upstream.answers = [{"text": "Hello."}]
    await OpenAiRecogniser("big", "fr", 5).command(service, np.tile(SECOND, 60), False)

    assert len(upstream.sounds[0]) == 44 + 2 * 60 * len(SECOND)


async def test_next_to_nothing_is_not_sent(service: FakeService) -> None:
    assert Transcript("", "en") == await OpenAiRecogniser("big", "en", 5).command(service, SECOND[:10], False)


async def test_segments_and_words_keep_their_times(service: FakeService, upstream: Upstream) -> None:
    segments = [{"start": 0, "end": 0.5, "text": " One."}, {"start": 0.5, "end": 1, "text": " Two.", "tokens": [1]}]
    words = [{"word": "One.", "start": 0.0, "end": 0.4}, {"word": "Two.", "start": 0.6, "end": 1.2}]
    upstream.answers = [{"text": "One. Two.", "language": "english", "segments": segments, "words": words}]
    found = await stretch(service, Wanted(words=True))

    assert [
        Passage(0.0, 0.5, "One.", "en", (TimedWord("One.", 0.0, 0.4),)),
        Passage(0.5, 1.0, "Two.", "en", (TimedWord("Two.", 0.6, 1.2),), tokens=(1,)),
    ] == found
    assert ["segment", "word"] == upstream.forms[0]["timestamp_granularities[]"]


async def test_a_model_that_tells_no_times_is_asked_for_its_text(service: FakeService, upstream: Upstream) -> None:
    upstream.answers = [web.json_response({"error": {"message": "no verbose_json"}}, status=400), {"text": "Hello."}]

    assert [Passage(0.0, 1.0, "Hello.", "en")] == await stretch(service, Wanted())


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (web.Response(status=401, text="wrong key"), "answered 401: wrong key"),
        (web.Response(text="<html>"), "cannot be used"),
        ({"error": "later"}, "without a text"),
        ({"text": "Hm.", "segments": [{"text": "Hm."}]}, "not understood"),
    ],
    ids=["refused", "a page", "no text", "no times"],
)
async def test_bad_answers_are_one_clear_error(
    service: FakeService, upstream: Upstream, answer: Any, said: str
) -> None:
    upstream.answers = [answer]
    with pytest.raises(TranscriptionError, match=said):
        await stretch(service, Wanted())


async def test_a_server_that_hangs_is_given_up(service: FakeService, upstream: Upstream) -> None:
    release = asyncio.Event()
    upstream.answers = [release]
    with pytest.raises(TranscriptionError) as caught:
        await OpenAiRecogniser("big", "en", 0.05).command(service, SECOND, False)
    release.set()

    assert "stt-timeout" == caught.value.code


async def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(TranscriptionError, match=r"127\.0\.0\.1:1/v1/audio"):
        await OpenAiRecogniser("big", "en", 5).command(FakeService("http://127.0.0.1:1"), SECOND, False)
