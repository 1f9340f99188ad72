"""The audio routes and the Wyoming services with the real Whisper and the real Piper."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import openai
import platformdirs
import pytest
import soundfile
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncClient
from wyoming.tts import Synthesize

from heisenberg.models import Runner
from heisenberg.runner.lanes import Priority
from heisenberg.server.serving import serving
from heisenberg.server.wyoming.listening import wyoming_serving
from heisenberg.wakeword.offered import OfferedPhrases
from tests import speech
from tests.served import free_ports, server_config
from tests.word_errors import word_error_rate

pytestmark = pytest.mark.e2e

SAID = "Turn all the lights blue and make them move slowly."
MODELS = Path(platformdirs.user_data_dir("heisenberg", appauthor=False)) / "models"


class Servers:
    """Everything that serves speech."""

    def __init__(self, runner: Runner, url: str, wyoming: list[str]) -> None:
        self.runner = runner
        self.openai = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        self.hearing, self.speaking, _ = wyoming


@pytest.fixture
async def servers() -> AsyncIterator[Servers]:
    if not (MODELS / "whisper-tiny.en").is_dir():
        pytest.skip("needs the starter kit: heisenberg models pull starter")
    config = server_config(MODELS, {}, {"server": {"wyoming_ports": [0, 0, 0]}, "stt": {"device": "cpu"}})
    async with (
        Runner(config, serves=True, assists=False) as runner,
        serving(config, runner.fleet, free_ports(config), speech=runner) as addresses,
        wyoming_serving(config, runner.fleet.catalog, runner, OfferedPhrases(config.wakeword)) as wyoming,
        asyncio.timeout(120),
    ):
        found = Servers(runner, addresses[0], wyoming)
        async with found.openai:
            yield found


async def test_what_is_said_is_written_down_again(servers: Servers) -> None:
    """Through the configured voice in three forms, and back through the recogniser: with words, streamed, as a text."""
    files = {}
    for form in ("mp3", "opus", "wav"):
        answer = await servers.openai.audio.speech.create(
            model="tts-1", voice="alloy", input=SAID, response_format=form, speed=0.9
        )
        files[form] = (f"said.{form}", answer.content)
    verbose = await servers.openai.audio.transcriptions.create(
        model="whisper-1",
        language="en",
        file=files["mp3"],
        response_format="verbose_json",
        timestamp_granularities=["word"],
    )
    stream = await servers.openai.audio.transcriptions.create(model="whisper-tiny.en", file=files["opus"], stream=True)
    deltas = [event.delta async for event in stream if event.type == "transcript.text.delta"]
    plain = await servers.openai.audio.transcriptions.create(model="whisper-1", language="en", file=files["wav"])

    assert [0, 0, 0] == [word_error_rate(SAID, text) for text in (verbose.text, "".join(deltas), plain.text)]
    starts = [word.start for word in verbose.words or ()]
    assert len(SAID.split()) == len(starts)
    assert sorted(starts) == starts
    assert 1.5 < starts[-1] < float(verbose.duration) < 6


async def test_what_is_said_again_and_again_is_written_as_often(servers: Servers) -> None:
    """A decoder in a loop would write the same, so that it used to be left out."""
    once = np.concatenate([speech.say("The sea is deep and dark tonight."), speech.silence(0.4)])
    sound = io.BytesIO()
    soundfile.write(sound, np.tile(once, 12), speech.RATE_HZ, format="WAV")
    found = await servers.openai.audio.transcriptions.create(
        model="whisper-tiny.en", file=("again.wav", sound.getvalue()), response_format="verbose_json"
    )

    assert 12 == found.text.lower().count("sea is deep and dark")
    starts = [segment.start for segment in found.segments or ()]
    assert sorted(starts) == starts


async def test_a_spoken_command_does_not_wait_for_a_long_recording(servers: Servers, tmp_path: Path) -> None:
    """It has its turn after one stretch of it; the recording is written down to its end all the same."""
    pause = speech.silence(27.0)
    path = speech.write_wav(tmp_path / "long.wav", speech.join(*[speech.join(speech.say(SAID), pause)] * 3))
    recogniser = servers.runner.recogniser(priority=Priority.VOICE)
    stream = await servers.openai.audio.transcriptions.create(model="whisper-tiny.en", file=path, stream=True)
    order: list[str] = []

    async def command() -> None:
        order.append((await recogniser.open(print).finish(speech.say("What time is it?"))).text)

    events = aiter(stream)
    order.append((await anext(events)).type)
    asked = asyncio.create_task(command())
    order += [event.type async for event in events]
    await asked

    assert ["transcript.text.delta"] * 3 == [what for what in order if what.endswith("delta")]
    assert order.index("What time is it?") < order.index("transcript.text.done")


async def test_a_file_that_is_no_audio_is_refused(servers: Servers) -> None:
    with pytest.raises(openai.BadRequestError, match="no audio that can be decoded"):
        await servers.openai.audio.transcriptions.create(model="whisper-1", file=("talk.mp3", b"<html>" * 100))
    with pytest.raises(openai.BadRequestError, match="knows no language 'fr'; it hears English only"):
        await servers.openai.audio.transcriptions.create(
            model="whisper-tiny.en", file=speech_file(speech.say(SAID)), language="fr"
        )


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # OpenAI's own server translates no more
async def test_openais_name_stands_for_a_model_of_many_languages(servers: Servers) -> None:
    """The configured model knows English only, whisper-base is installed, too."""
    french = speech_file(speech.say("Bonjour, quelle est la capitale de la France ?", voice="espeak:fr"))

    heard = await servers.openai.audio.transcriptions.create(model="whisper-1", file=french, language="fr")
    translated = await servers.openai.audio.translations.create(model="whisper-1", file=french)

    assert "quelle est la capitale" in heard.text
    assert "capital of" in translated.text


def speech_file(sound: speech.Sound) -> tuple[str, bytes]:
    file = io.BytesIO()
    soundfile.write(file, sound, speech.RATE_HZ, format="FLAC")
    return "said.flac", file.getvalue()


async def test_wyoming_speaks_and_understands(servers: Servers) -> None:
    async with AsyncClient.from_uri(servers.speaking) as speaker, AsyncClient.from_uri(servers.hearing) as listener:
        await speaker.write_event(Synthesize(SAID).event())
        await listener.write_event(Transcribe(language="en").event())
        while (event := await speaker.read_event()) is not None:
            await listener.write_event(event)  # the voice's sound is what the recogniser hears
            if AudioStop.is_type(event.type):
                break
            assert AudioStart.is_type(event.type) or AudioChunk.is_type(event.type)
        answer = await listener.read_event()

    assert answer is not None
    assert 0 == word_error_rate(SAID, Transcript.from_event(answer).text)
