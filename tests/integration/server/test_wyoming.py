"""Wyoming's own client, unmodified, against the running services; the engines are fakes, the wake words are real."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import numpy as np
import pytest
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncClient
from wyoming.error import Error
from wyoming.event import Event, Eventable
from wyoming.info import Describe, Info
from wyoming.tts import (
    Synthesize,
    SynthesizeChunk,
    SynthesizeStart,
    SynthesizeStop,
    SynthesizeStopped,
    SynthesizeVoice,
)
from wyoming.wake import Detect, Detection, NotDetected

from heisenberg.core.errors import PortInUse, TranscriptionError
from heisenberg.runner.catalog.entry import Model
from heisenberg.runner.catalog.index import Catalog
from heisenberg.runner.catalog.store import Store
from heisenberg.runner.lanes import Priority
from heisenberg.server.audio.engines import NoSpeech
from heisenberg.server.wyoming import listening
from heisenberg.server.wyoming.listening import wyoming_serving
from heisenberg.wakeword.offered import OfferedPhrases
from tests import speech
from tests.fakes.stages import FakeRecogniser, FakeVoice
from tests.served import server_config


class Engines(NoSpeech):
    """What the fakes hear and say."""

    def __init__(self) -> None:
        self.ears = FakeRecogniser()
        self.voice = FakeVoice()
        self.asked: list[tuple[str | None, Priority]] = []

    def recogniser(self, language: str | None = None, priority: Priority = Priority.VOICE) -> FakeRecogniser:
        self.asked.append((language, priority))
        return self.ears

    def speaker(self, model: Model | None = None, speed: float = 1.0, voice: str = "") -> FakeVoice:
        return self.voice


class Services:
    """Where they are."""

    def __init__(self, engines: Engines, addresses: list[str]) -> None:
        self.engines = engines
        self.hearing, self.speaking, self.waking = addresses


@pytest.fixture
async def services(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Services]:
    folder = tmp_path_factory.mktemp("models")
    config = server_config(folder, {}, {"server": {"wyoming_ports": [0, 0, 0]}})
    engines = Engines()
    catalog = Catalog(config, Store(folder))
    async with wyoming_serving(config, catalog, engines, OfferedPhrases(config.wakeword)) as addresses:
        yield Services(engines, addresses)


@asynccontextmanager
async def client(address: str) -> AsyncIterator[AsyncClient]:
    async with asyncio.timeout(30), AsyncClient.from_uri(address) as connected:
        yield connected


async def tell(connected: AsyncClient, *events: Eventable) -> None:
    for event in events:
        await connected.write_event(event.event())


async def answer(connected: AsyncClient) -> Event:
    event = await connected.read_event()
    assert event is not None, "the connection was closed"
    return event


def sound(samples: speech.Sound, rate_hz: int = 16_000, channels: int = 1) -> list[Eventable]:
    """*samples* as a client sends them."""
    pcm = np.repeat(samples, channels).astype("<i2").tobytes()
    step = 2048 * channels
    chunks = [AudioChunk(rate_hz, 2, channels, pcm[at : at + step]) for at in range(0, len(pcm), step)]
    return [AudioStart(rate_hz, 2, channels), *chunks, AudioStop()]


# ── what there is ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("which", ["hearing", "speaking", "waking"])
async def test_each_service_describes_itself_and_nothing_else(services: Services, which: str) -> None:
    async with client(getattr(services, which)) as connected:
        await tell(connected, Describe())
        info = Info.from_event(await answer(connected))

    offered = {"hearing": info.asr, "speaking": info.tts, "waking": info.wake}
    assert [which] == [name for name, programs in offered.items() if programs]


async def test_the_configured_models_are_offered(services: Services) -> None:
    found = []
    for address in (services.hearing, services.speaking, services.waking):
        async with client(address) as connected:
            await tell(connected, Describe())
            found.append(Info.from_event(await answer(connected)))

    assert "whisper-tiny.en" == found[0].asr[0].models[0].name
    assert ("piper-en_US-joe-medium", ["en_US"]) == (
        found[1].tts[0].voices[0].name,
        found[1].tts[0].voices[0].languages,
    )
    assert found[1].tts[0].supports_synthesize_streaming
    assert "hey_jarvis" == found[2].wake[0].models[0].name


# ── speech to text ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("rate_hz", "channels"), [(16_000, 1), (48_000, 2)])
async def test_a_command_is_written_down(services: Services, rate_hz: int, channels: int) -> None:
    services.engines.ears.enqueue("Turn on the light.")
    async with client(services.hearing) as connected:
        await tell(connected, Transcribe(language="en-US"), *sound(speech.silence(1.0, rate_hz), rate_hz, channels))
        heard = Transcript.from_event(await answer(connected))

    assert ("Turn on the light.", "en") == (heard.text, heard.language)
    assert 16_000 == pytest.approx(len(services.engines.ears.opened[0].commands[0]), abs=20)
    assert [("en", Priority.API)] == services.engines.asked


async def test_a_connection_serves_one_command_after_the_other(services: Services) -> None:
    services.engines.ears.enqueue("One.", "Two.")
    heard = []
    async with client(services.hearing) as connected:
        for _ in range(2):
            await tell(connected, Transcribe(), *sound(speech.silence(0.1)))
            heard.append(Transcript.from_event(await answer(connected)).text)

    assert ["One.", "Two."] == heard


async def test_a_failure_is_told(services: Services) -> None:
    services.engines.ears.enqueue(TranscriptionError("The recogniser is ill."))
    async with client(services.hearing) as connected:
        await tell(connected, Transcribe(), *sound(speech.silence(0.1)))
        error = Error.from_event(await answer(connected))

    assert ("The recogniser is ill.", "stt-failed") == (error.text, error.code)


async def test_a_client_that_leaves_ends_its_request(services: Services) -> None:
    services.engines.ears.enqueue(asyncio.Event())
    async with client(services.hearing) as connected:
        await tell(connected, Transcribe(), *sound(speech.silence(0.1)))
        async with asyncio.timeout(5):
            while not services.engines.ears.opened or not services.engines.ears.opened[0].commands:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
    async with asyncio.timeout(5):
        while not services.engines.ears.opened[0].is_cancelled:  # noqa: ASYNC110 - a socket is watched
            await asyncio.sleep(0.005)


async def test_a_command_without_end_is_refused(services: Services) -> None:
    async with client(services.hearing) as connected:
        await tell(connected, Transcribe(), AudioStart(16_000, 2, 1))
        block = AudioChunk(16_000, 2, 1, bytes(960_000))
        await tell(connected, block, block, block)
        error = Error.from_event(await answer(connected))

    assert "longer than 60 s" in error.text


async def test_clients_are_served_at_the_same_time(services: Services) -> None:
    """One whose command takes long holds up nobody else."""
    slow = asyncio.Event()
    services.engines.ears.enqueue(slow, "First.")
    async with client(services.hearing) as first, client(services.hearing) as second:
        await tell(first, Transcribe(), *sound(speech.silence(0.1)))
        await tell(second, Describe())

        assert Info.is_type((await answer(second)).type)

        slow.set()
        assert "First." == Transcript.from_event(await answer(first)).text


# ── text to speech ───────────────────────────────────────────────────────────────────────────────


async def spoken(connected: AsyncClient, last: type[Eventable]) -> tuple[list[str], float]:
    """What comes until *last*: the kinds of events, and the seconds of sound."""
    kinds: list[str] = []
    seconds = 0.0
    while True:
        event = await answer(connected)
        if AudioChunk.is_type(event.type):
            seconds += AudioChunk.from_event(event).seconds
        if not kinds or kinds[-1] != event.type:
            kinds.append(event.type)
        if last.is_type(event.type):
            return kinds, seconds


async def test_a_text_is_spoken(services: Services) -> None:
    async with client(services.speaking) as connected:
        await tell(connected, Synthesize("Hello there. How are you?", SynthesizeVoice("piper-en_US-joe-medium")))
        kinds, seconds = await spoken(connected, AudioStop)

    assert ["audio-start", "audio-chunk", "audio-stop"] == kinds
    assert 0.5 == pytest.approx(seconds)
    assert ["Hello there.", "How are you?"] == [text for text, _ in services.engines.voice.spoken]


async def test_a_text_that_grows_is_spoken_sentence_by_sentence(services: Services) -> None:
    """The first sentence is heard before the last is written; the whole text, sent for older servers, is not said."""
    async with client(services.speaking) as connected:
        await tell(connected, SynthesizeStart(), SynthesizeChunk("Hello the"), SynthesizeChunk("re. How are "))
        began = [(await answer(connected)).type for _ in range(3)]
        await tell(connected, SynthesizeChunk("you"), Synthesize("Hello there. How are you"), SynthesizeStop())
        kinds, _ = await spoken(connected, SynthesizeStopped)

    assert ["audio-start", "audio-chunk", "audio-chunk"] == began
    assert ["audio-chunk", "audio-stop", "synthesize-stopped"] == kinds
    assert ["Hello there.", "How are you"] == [text for text, _ in services.engines.voice.spoken]


@pytest.mark.parametrize("text", ["", "…", "🙂"])
async def test_a_text_without_words_is_no_sound(services: Services, text: str) -> None:
    async with client(services.speaking) as connected:
        await tell(connected, Synthesize(text))
        kinds, _ = await spoken(connected, AudioStop)

    assert ["audio-start", "audio-stop"] == kinds


# ── wake words ───────────────────────────────────────────────────────────────────────────────────


def hey_jarvis() -> speech.Sound:
    return speech.join(speech.silence(1.0), speech.say("Hey Jarvis!"), speech.silence(1.0))


async def test_the_wake_word_is_detected(services: Services) -> None:
    async with client(services.waking) as connected:
        await tell(connected, Detect(["hey_jarvis"]), *sound(hey_jarvis()))
        detection = Detection.from_event(await answer(connected))

    assert "hey_jarvis" == detection.name
    assert detection.timestamp is not None
    assert 1000 < detection.timestamp < 3000


async def test_where_nobody_says_it_nothing_is_detected(services: Services) -> None:
    async with client(services.waking) as connected:
        await tell(connected, Detect(["okay_nabu"]), *sound(hey_jarvis()))

        assert NotDetected.is_type((await answer(connected)).type)


# ── bad clients ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"[]\n",
        b"{}\n",
        b"x" * 200_000,
        json.dumps({"type": "audio-chunk", "payload_length": 10**12}).encode() + b"\n",
        json.dumps({"type": "describe", "data_length": -5}).encode() + b"\n",
    ],
    ids=["http", "a list", "no type", "no end of line", "endless sound", "less than nothing"],
)
async def test_what_is_no_event_ends_the_connection_and_nothing_else(services: Services, sent: bytes) -> None:
    parts = urlsplit(services.hearing)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(sent)
    async with asyncio.timeout(10):
        try:
            rest = await reader.read()
        except ConnectionResetError:
            rest = b""
    writer.close()
    async with client(services.hearing) as connected:
        await tell(connected, Describe())

        assert Info.is_type((await answer(connected)).type)
    assert b"" == rest


@pytest.mark.parametrize(
    "event",
    [
        Event("audio-chunk", {"rate": 0, "width": 2, "channels": 1}, b"1234"),
        Event("audio-chunk", {"rate": 16_000, "width": 3, "channels": 99}, b"1234"),
        Event("audio-chunk", {}, b"1234"),
    ],
    ids=["no rate", "99 channels", "nothing"],
)
async def test_sound_that_cannot_be_used_is_named(services: Services, event: Event) -> None:
    async with client(services.hearing) as connected:
        await connected.write_event(event)

        assert "16000 Hz, 2 bytes × 1 is best" in Error.from_event(await answer(connected)).text


async def test_an_event_that_lacks_its_text_is_told_so(services: Services) -> None:
    async with client(services.speaking) as connected:
        await connected.write_event(Event("synthesize", {}))

        assert "not understood" in Error.from_event(await answer(connected)).text


async def test_too_many_clients_are_turned_away(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "CONNECTIONS", 1)
    async with client(services.hearing) as first:
        await tell(first, Describe())
        await answer(first)
        async with client(services.hearing) as second:
            try:
                assert await second.read_event() is None
            except ConnectionResetError:
                """Turned away just as well."""


async def test_a_port_that_is_taken_is_named(services: Services, tmp_path_factory: pytest.TempPathFactory) -> None:
    taken = urlsplit(services.hearing).port
    folder = tmp_path_factory.mktemp("none")
    config = server_config(folder, {}, {"server": {"wyoming_ports": [0, taken, 0]}})
    with pytest.raises(PortInUse, match=r"server\.wyoming_ports"):
        async with wyoming_serving(config, Catalog(config, Store(folder)), NoSpeech(), OfferedPhrases(config.wakeword)):
            """Never."""
