"""Somebody who speaks French, with what the French kit brings: Kokoro's ff_siwis speaks, Whisper base understands.

Real models; the server and the runner as in the program. A synthesised voice says little about people in rooms.
"""

import io
import wave
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import numpy as np
import openai
import platformdirs
import pytest
from wyoming.client import AsyncClient
from wyoming.info import Describe, Info

from heisenberg.core.config import Config
from heisenberg.core.stages import Voice
from heisenberg.models import Runner
from heisenberg.server.wyoming.listening import wyoming_serving
from heisenberg.wakeword.offered import OfferedPhrases
from tests import speech
from tests.served import served
from tests.word_errors import mistakes, words

pytestmark = pytest.mark.e2e

SENTENCES = (
    "Bonjour, je voudrais voir une forêt dorée sous la pluie.",
    "Imaginez une ville de verre, pleine de lumière et de musique.",
    "Nous marchons lentement dans le sable chaud du désert.",
)
KOKORO_HZ = 24_000


@pytest.fixture
def models() -> Path:
    """The models folder, with the French kit in it."""
    folder = Path(platformdirs.user_data_dir("heisenberg", appauthor=False)) / "models"
    if not all((folder / name).is_dir() for name in ("kokoro-82m-int8", "whisper-base")):
        pytest.skip("needs the French kit: heisenberg models pull french")
    return folder


@asynccontextmanager
async def speaking(**tts: str) -> AsyncIterator[Voice]:
    """The assistant's voice."""
    async with Runner(Config.model_validate({"tts": {"timeout_seconds": 60, **tts}})) as runner:
        yield runner.voice()


async def rate_hz(voice: Voice, text: str, language: str | None) -> int:
    async with aclosing(voice.speak(text, language)) as sound:
        (rate,) = {chunk.rate_hz async for chunk in sound}
    return rate


async def test_french_over_the_api_is_understood_over_the_api(models: Path) -> None:
    """Given a server whose own voice is another one / When clients ask for Kokoro's / Then most words come back."""
    stt = {"model": "whisper-base", "language": "fr", "timeout_seconds": 60}
    async with (
        served({}, models, stt=stt, tts={"timeout_seconds": 60}) as server,
        openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client,
    ):
        heard: list[str] = []
        for sentence in SENTENCES:
            said = await client.audio.speech.create(
                model="kokoro", voice="ff_siwis", input=sentence, response_format="wav"
            )
            file = ("said.wav", said.content)
            heard.append((await client.audio.transcriptions.create(model="whisper-1", language="fr", file=file)).text)

    with wave.open(io.BytesIO(said.content)) as sound:
        assert KOKORO_HZ == sound.getframerate()
    assert mistakes(SENTENCES, heard) <= 0.15 * sum(len(words(sentence)) for sentence in SENTENCES), heard


async def test_the_assistant_answers_each_language_with_a_voice_of_its_own(models: Path) -> None:
    """Given a French voice / Then English is spoken by another one of Kokoro's, and German by espeak-ng."""
    async with speaking(engine="kokoro", voice="ff_siwis") as voice:
        spoken = [await rate_hz(voice, text, code) for text, code in (("Oui.", "fr"), ("Yes.", "en"), ("Ja.", "de"))]

    assert [KOKORO_HZ, KOKORO_HZ, 22_050] == spoken


async def test_a_voice_that_does_not_exist_is_said_and_espeak_speaks(
    models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with speaking(engine="kokoro", voice="ff_siwiss") as voice:
        assert 22_050 == await rate_hz(voice, "Oui.", "fr")

    assert 'Kokoro has no voice "ff_siwiss" here. There are af_bella' in caplog.text


async def test_each_of_its_voices_is_offered_to_wyoming_clients(models: Path) -> None:
    config = Config.model_validate({"server": {"wyoming_ports": [0, 0, 0]}})
    async with (
        Runner(config, serves=True, assists=False) as runner,
        wyoming_serving(config, runner.fleet.catalog, runner, OfferedPhrases(config.wakeword)) as addresses,
        AsyncClient.from_uri(addresses[1]) as client,
    ):
        await client.write_event(Describe().event())
        event = await client.read_event()
        assert event is not None
        (program,) = Info.from_event(event).tts

    assert ["fr"] == next(voice.languages for voice in program.voices if voice.name == "ff_siwis")
    assert "kokoro-82m-int8" not in {voice.name for voice in program.voices}


def test_test_speech_in_french_is_as_long_as_it_takes() -> None:
    """What other tests speak French with."""
    sound = speech.say_french(SENTENCES[0])

    assert 2.0 < len(sound) / speech.RATE_HZ < 6.0
    assert np.abs(sound).max() > 10_000
