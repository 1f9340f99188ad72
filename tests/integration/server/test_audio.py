"""OpenAI's own client, unmodified, against the audio routes; who hears and speaks is a fake."""

import asyncio
import base64
import io
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import av
import openai
import pytest
from openai.types.audio import TranscriptionTextDoneEvent

from heisenberg.core.errors import AudioError, SpeechError, TranscriptionError
from heisenberg.core.recordings import Passage, RecordingEnd, TimedWord, Wanted
from heisenberg.models import Runner
from heisenberg.runner.catalog.entry import Model
from heisenberg.server.audio.engines import NoSpeech
from heisenberg.server.serving import serving
from tests.fakes.stages import FakeVoice
from tests.served import free_ports, server_config

PASSAGES = (
    Passage(
        0.0, 1.0, "Hello there.", "en", (TimedWord("Hello", 0.0, 0.5), TimedWord("there.", 0.5, 1.0)), tokens=(1, 2)
    ),
    Passage(1.0, 2.5, "How are you?", "en", tokens=(3, 4, 5)),
)
FILE = ("talk.wav", b"RIFF and so on")


class Ears:
    """A FileTranscriber that hears what the test says."""

    def __init__(self) -> None:
        self.parts: list[Passage | RecordingEnd | Exception | asyncio.Event] = [*PASSAGES, RecordingEnd(2.5, "en")]
        self.wanted: list[Wanted] = []
        self.files: list[bytes] = []
        self.open = 0

    async def transcribe(self, file: Path, wanted: Wanted) -> AsyncGenerator[Passage | RecordingEnd, None]:
        self.wanted.append(wanted)
        self.files.append(await asyncio.to_thread(file.read_bytes))
        self.open += 1
        try:
            for part in self.parts:
                if isinstance(part, Exception):
                    raise part
                if isinstance(part, asyncio.Event):
                    await part.wait()
                else:
                    yield part
        finally:
            self.open -= 1


class Engines(NoSpeech):
    def __init__(self) -> None:
        self.ears = Ears()
        self.voice = FakeVoice()
        self.asked: list[tuple[str | None, float]] = []

    def transcriber(self, model: Model | None = None) -> Ears:
        return self.ears

    def speaker(self, model: Model | None = None, speed: float = 1.0, voice: str = "") -> FakeVoice:
        self.asked.append((model.name if model else None, speed))
        return self.voice


@pytest.fixture
def engines() -> Engines:
    return Engines()


@pytest.fixture(params=["first port", "second port"])
async def url(engines: Engines, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """Both ports answer alike."""
    config = server_config(tmp_path, {"tiny": "http://127.0.0.1:9"}, {"server": {"max_upload_megabytes": 0.1}})
    async with (
        Runner(config, serves=True, assists=False) as runner,
        serving(config, runner.fleet, free_ports(config), speech=engines) as addresses,
    ):
        yield addresses[request.param == "second port"]


@pytest.fixture
async def client(url: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        yield client


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - another task's progress, which sets no event
            await asyncio.sleep(0.005)


# ── transcriptions ───────────────────────────────────────────────────────────────────────────────


async def test_a_file_is_written_down(client: openai.AsyncOpenAI, engines: Engines) -> None:
    found = await client.audio.transcriptions.create(model="whisper-1", file=FILE, language="en", prompt="Hm,")

    assert "Hello there. How are you?" == found.text
    assert [Wanted("en", "transcribe", "Hm,")] == engines.ears.wanted
    assert [FILE[1]] == engines.ears.files


@pytest.mark.parametrize(
    ("form", "beginning"),
    [
        ("text", "Hello there. How"),
        ("srt", "1\n00:00:00,000 --> 00:00:01,000\nHello"),
        ("vtt", "WEBVTT\n\n00:00:00.000"),
    ],
)
async def test_forms_that_are_text(client: openai.AsyncOpenAI, form: str, beginning: str) -> None:
    found: object = await client.audio.transcriptions.create(  # type: ignore[call-overload]
        model="whisper-1", file=FILE, response_format=form
    )

    assert str(found).startswith(beginning)


async def test_segments_and_words(client: openai.AsyncOpenAI) -> None:
    found = await client.audio.transcriptions.create(
        model="whisper-1", file=FILE, response_format="verbose_json", timestamp_granularities=["word", "segment"]
    )

    assert ("english", 2.5) == (found.language, float(found.duration))
    assert [(0.0, 1.0), (1.0, 2.5)] == [(s.start, s.end) for s in found.segments or ()]
    assert [("Hello", 0.0), ("there.", 0.5)] == [(w.word, w.start) for w in found.words or ()]


async def test_words_alone_leave_the_segments_out(client: openai.AsyncOpenAI) -> None:
    found = await client.audio.transcriptions.create(
        model="whisper-1", file=FILE, response_format="verbose_json", timestamp_granularities=["word"]
    )

    assert found.words
    assert found.segments is None


async def test_a_transcript_streams_while_the_rest_is_heard(client: openai.AsyncOpenAI, engines: Engines) -> None:
    later = asyncio.Event()
    engines.ears.parts.insert(1, later)
    stream = await client.audio.transcriptions.create(model="gpt-4o-transcribe", file=FILE, stream=True)
    events = []
    async for event in stream:
        events.append(event)
        later.set()

    assert ["Hello there.", " How are you?"] == [e.delta for e in events if e.type == "transcript.text.delta"]
    assert "transcript.text.done" == events[-1].type
    assert "Hello there. How are you?" == events[-1].text
    usage = TranscriptionTextDoneEvent.model_validate(events[-1].to_dict()).usage  # the client itself checks nothing
    assert usage is not None
    assert ("tokens", 25, 5, 30) == (usage.type, usage.input_tokens, usage.output_tokens, usage.total_tokens)


async def test_a_stream_of_an_engine_that_counts_no_tokens_tells_none(
    client: openai.AsyncOpenAI, engines: Engines
) -> None:
    engines.ears.parts = [Passage(0.0, 1.0, "Hello there.", "en"), RecordingEnd(2.5, "en")]
    stream = await client.audio.transcriptions.create(model="gpt-4o-transcribe", file=FILE, stream=True)
    *_, last = [event async for event in stream]

    assert last.type == "transcript.text.done"
    assert last.usage is None


async def test_the_length_of_a_recording_is_its_usage(client: openai.AsyncOpenAI) -> None:
    whole = await client.audio.transcriptions.create(model="whisper-1", file=FILE)
    found = await client.audio.transcriptions.create(model="whisper-1", file=FILE, response_format="verbose_json")

    assert whole.usage is not None
    assert found.usage is not None
    assert ("duration", 3) == (whole.usage.type, whole.usage.seconds) == (found.usage.type, found.usage.seconds)


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # for OpenAI's own server
async def test_a_translation(client: openai.AsyncOpenAI, engines: Engines) -> None:
    found = await client.audio.translations.create(model="whisper-1", file=FILE)

    assert "Hello there. How are you?" == found.text
    assert "translate" == engines.ears.wanted[0].task


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (AudioError("The file is no audio.", code="audio-file-unreadable"), 400),
        (TranscriptionError("It knows no Klingon.", code="usage"), 400),
        (TranscriptionError("Nobody was free.", code="stt-timeout"), 504),
        (TranscriptionError("It broke."), 500),
    ],
    ids=lambda value: str(value),
)
@pytest.mark.parametrize("stream", [False, True])
async def test_failures_are_told_as_openai_does(
    client: openai.AsyncOpenAI, engines: Engines, error: Exception, status: int, stream: bool
) -> None:
    engines.ears.parts = [error]
    with pytest.raises(openai.APIStatusError) as caught:
        await client.audio.transcriptions.create(model="gpt-4o-transcribe", file=FILE, stream=stream)

    assert (status, str(error)) == (caught.value.status_code, caught.value.body["message"])  # type: ignore[index]


async def test_a_failure_in_mid_stream_is_told(client: openai.AsyncOpenAI, engines: Engines) -> None:
    engines.ears.parts = [PASSAGES[0], TranscriptionError("It broke.")]
    stream = await client.audio.transcriptions.create(model="gpt-4o-transcribe", file=FILE, stream=True)
    with pytest.raises(openai.APIError, match="It broke"):
        _ = [event async for event in stream]


@pytest.mark.parametrize(
    ("model", "status", "said"),
    [("huge", 404, "model 'huge' not found"), ("tiny", 400, "model 'tiny' does no speech to text")],
)
async def test_a_model_that_cannot_is_named(client: openai.AsyncOpenAI, model: str, status: int, said: str) -> None:
    with pytest.raises(openai.APIStatusError, match=said) as caught:
        await client.audio.transcriptions.create(model=model, file=FILE)

    assert status == caught.value.status_code


async def test_a_file_that_is_too_large_is_refused(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.APIStatusError, match="max_upload_megabytes") as caught:
        await client.audio.transcriptions.create(model="whisper-1", file=("a.wav", bytes(3_000_000)))

    assert 413 == caught.value.status_code


@pytest.mark.parametrize("stream", ["false", "true"])
async def test_a_client_that_leaves_ends_the_work(url: str, engines: Engines, stream: str) -> None:
    engines.ears.parts = [PASSAGES[0], asyncio.Event()]
    form = aiohttp.FormData({"model": "gpt-4o-transcribe", "stream": stream})
    form.add_field("file", FILE[1], filename=FILE[0])
    async with aiohttp.ClientSession() as http:
        request = asyncio.create_task(_post(http, f"{url}/v1/audio/transcriptions", data=form))
        await until(lambda: engines.ears.open)
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)
    await until(lambda: not engines.ears.open)


async def _post(http: aiohttp.ClientSession, url: str, **body: Any) -> bytes:
    async with http.post(url, **body) as answer:
        return await answer.read()


# ── speech ───────────────────────────────────────────────────────────────────────────────────────


def seconds(file: bytes) -> float:
    with av.open(io.BytesIO(file)) as container:
        return sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))


@pytest.mark.parametrize("form", ["mp3", "opus", "aac", "flac", "wav"])
async def test_a_text_is_spoken_in_every_form(client: openai.AsyncOpenAI, engines: Engines, form: str) -> None:
    """A tenth of a second for each of the fake voice's words."""
    text = "One two three four five. Six seven eight nine ten."
    answer = await client.audio.speech.create(  # type: ignore[call-overload]
        model="tts-1", voice="alloy", input=text, response_format=form, speed=1.5
    )
    kinds = {"mp3": "audio/mpeg"}

    assert kinds.get(form, f"audio/{form}") == answer.response.headers["content-type"]
    assert 1.0 == pytest.approx(seconds(answer.content), abs=0.15)
    assert [(None, 1.5)] == engines.asked
    assert 2 == len(engines.voice.spoken)


async def test_pcm_and_what_is_sent_before_the_end(client: openai.AsyncOpenAI, engines: Engines) -> None:
    """The second sentence is not spoken before the first one has arrived."""
    later = asyncio.Event()
    engines.voice.enqueue(*[None] * 5, later)
    async with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="alloy", input="One two three four five. Six.", response_format="pcm"
    ) as answer:
        blocks = answer.iter_bytes()
        first = await anext(blocks)
        later.set()
        rest = b"".join([block async for block in blocks])

    assert 0.6 * 24_000 * 2 == pytest.approx(len(first + rest), abs=400)


async def test_speech_as_events(url: str) -> None:
    asked = {"model": "tts-1", "voice": "alloy", "input": "One two.", "response_format": "wav", "stream_format": "sse"}
    async with aiohttp.ClientSession() as http, http.post(f"{url}/v1/audio/speech", json=asked) as answer:
        lines = (await answer.text()).split("\n\n")
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line]
    sound = b"".join(base64.b64decode(e["audio"]) for e in events if e["type"] == "speech.audio.delta")

    assert "text/event-stream" == answer.content_type
    assert 0.2 == pytest.approx(seconds(sound), abs=0.01)
    assert "speech.audio.done" == events[-1]["type"]
    assert {"input_tokens", "output_tokens", "total_tokens"} == events[-1]["usage"].keys()


@pytest.mark.parametrize(
    ("changed", "status", "said"),
    [
        ({"input": ""}, 400, "input is required"),
        ({"input": "a" * 4097}, 400, "4097 characters"),
        ({"response_format": "midi"}, 400, "expected one of mp3"),
        ({"speed": 9}, 400, "0.25 to 4"),
        ({"voice": "darth"}, 400, "voice 'darth' not found. There are piper-en_US-joe-medium"),
        ({"model": "huge"}, 404, "model 'huge' not found"),
        ({"model": "tiny"}, 400, "model 'tiny' does no text to speech"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_what_cannot_be_said_is_refused(
    client: openai.AsyncOpenAI, changed: dict[str, object], status: int, said: str
) -> None:
    asked: dict[str, object] = {"model": "tts-1", "voice": "alloy", "input": "Hello.", **changed}
    with pytest.raises(openai.APIStatusError, match=said) as caught:
        await client.audio.speech.create(**asked)  # type: ignore[arg-type]

    assert status == caught.value.status_code


async def test_a_voice_that_fails_at_once_is_told_with_a_status(client: openai.AsyncOpenAI, engines: Engines) -> None:
    engines.voice.enqueue(SpeechError("The voice was silent.", code="tts-timeout"))
    with pytest.raises(openai.APIStatusError, match="was silent") as caught:
        await client.audio.speech.create(model="tts-1", voice="alloy", input="Hello.")

    assert 504 == caught.value.status_code


async def test_a_client_that_leaves_silences_the_voice(url: str, engines: Engines) -> None:
    engines.voice.enqueue(asyncio.Event())
    async with aiohttp.ClientSession() as http:
        asked = {"model": "tts-1", "voice": "alloy", "input": "Hello."}
        request = asyncio.create_task(_post(http, f"{url}/v1/audio/speech", json=asked))
        await until(lambda: engines.voice.open)
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)
    await until(lambda: not engines.voice.open)


async def test_voices_and_models_are_listed(url: str) -> None:
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{url}/v1/audio/voices") as answer:
            voices = [voice["id"] for voice in (await answer.json())["voices"]]
        async with http.get(f"{url}/v1/audio/models") as answer:
            models = [model["id"] for model in (await answer.json())["models"]]

    assert "piper-en_US-joe-medium" == voices[0]
    assert "alloy" in voices
    assert {"tts-1", "whisper-1"} == set(models)
