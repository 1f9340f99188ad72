"""What every voice does: the fake that the other tests rely on, the real Piper and Kokoro, and the real espeak-ng."""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest

from heisenberg.core.audio import AudioChunk, level
from heisenberg.core.config import TtsConfig
from heisenberg.core.errors import SpeechError
from heisenberg.core.stages import Voice
from heisenberg.runner import engines
from heisenberg.runner.engines import NewSpec
from heisenberg.tts.espeak import EspeakVoice
from heisenberg.tts.openai import OpenAiVoice
from heisenberg.tts.wyoming import WyomingVoice
from tests.contract.conftest import PooledLane, StartWorker
from tests.fakes.stages import FakeService, FakeVoice

MODEL = "piper-en_US-joe-medium"
SENTENCE = "The lights are blue now, and they move slowly."
STORY = "Once there was a small ship. It sailed to the end of the sea. Nobody knows what it found there."
BOUND_S = 90.0
"""Nothing here may take longer, however slow the machine."""


def piper(models: Path) -> Callable[[Path], NewSpec]:
    return lambda sockets: engines.piper(MODEL, models / MODEL / "en_US-joe-medium.onnx", TtsConfig(), sockets)


def kokoro(models: Path) -> Callable[[Path], NewSpec]:
    folder = models / "kokoro-82m-int8"
    if not folder.is_dir():
        pytest.skip("needs the French kit: heisenberg models pull french")
    return lambda sockets: engines.kokoro(folder.name, folder / "kokoro.onnx", TtsConfig(), sockets)


def leased(service: FakeService) -> WyomingVoice:
    return WyomingVoice(service.lease, timeout_s=60)


@pytest.fixture(
    scope="module",
    params=["fake", *(pytest.param(name, marks=pytest.mark.e2e) for name in ("piper", "kokoro", "espeak", "openai"))],
)
def new_voice(request: pytest.FixtureRequest, start_worker: StartWorker) -> Callable[[], Voice]:
    match request.param:
        case "fake":
            return FakeVoice
        case "espeak":
            if shutil.which("espeak-ng") is None:
                pytest.skip("needs espeak-ng")
            return lambda: EspeakVoice("en", speed=1.0, timeout_s=60)
        case "openai":
            server = request.getfixturevalue("model_server")
            return lambda: OpenAiVoice(server.lease, model="tts-1", voice=MODEL, speed=1.0, timeout_s=60)
    worker = {"piper": piper, "kokoro": kokoro}[request.param]
    service = start_worker(worker(request.getfixturevalue("models")))
    return lambda: leased(service)


@pytest.fixture
def voice(new_voice: Callable[[], Voice]) -> Voice:
    return new_voice()


async def spoken(voice: Voice, text: str, language: str | None = "en") -> list[AudioChunk]:
    """Everything that is heard of *text*, in bounded time."""
    async with asyncio.timeout(BOUND_S), aclosing(voice.speak(text, language)) as sound:
        return [chunk async for chunk in sound]


def seconds(chunks: list[AudioChunk]) -> float:
    return sum(chunk.seconds for chunk in chunks)


async def test_a_sentence_has_a_plausible_length_and_is_heard(voice: Voice) -> None:
    chunks = await spoken(voice, SENTENCE)

    assert 0.08 * len(SENTENCE.split()) <= seconds(chunks) <= 0.8 * len(SENTENCE.split())
    assert level(np.concatenate([chunk.samples for chunk in chunks])) > 0.005


async def test_sound_is_mono_of_one_known_rate(voice: Voice) -> None:
    chunks = await spoken(voice, SENTENCE)

    assert {(np.dtype(np.int16), 1)} == {(chunk.samples.dtype, chunk.samples.ndim) for chunk in chunks}
    assert 1 == len({chunk.rate_hz for chunk in chunks})
    assert 8_000 <= chunks[0].rate_hz <= 48_000


async def test_more_text_is_more_sound(voice: Voice) -> None:
    assert seconds(await spoken(voice, SENTENCE)) * 1.3 < seconds(await spoken(voice, f"{STORY} {STORY}"))


async def test_a_long_text_comes_in_pieces(voice: Voice) -> None:
    """The first piece can be played while the rest is made."""
    chunks = await spoken(voice, STORY)

    assert len(chunks) > 1
    assert all(chunk.seconds < seconds(chunks) / 2 for chunk in chunks)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\n\t",
        ".",
        "…",
        "?!",
        "— – -",
        "''\"\"",
        "🙂",
        "🏳️‍🌈 👩‍👩‍👧 ✨",
        "\x00",
        "\x1b[31m",
        "‮",
        "<speak>",
        "[[x]]",
        "-v fr",
    ],
    ids=ascii,
)
async def test_text_without_words_neither_hangs_nor_crashes(voice: Voice, text: str) -> None:
    await spoken(voice, text)

    assert await spoken(voice, "Yes.")


async def test_half_an_emoji_is_at_worst_an_error(voice: Voice) -> None:
    """A language model can stop in the middle of a pair of surrogates."""
    with contextlib.suppress(SpeechError):
        await spoken(voice, "Good \ud83d")

    assert await spoken(voice, "Yes.")


async def test_words_among_emoji_are_spoken(voice: Voice) -> None:
    assert seconds(await spoken(voice, "Good 🙂 morning ✨ everybody!")) > 0.2


async def test_a_sentence_without_an_end_is_spoken_to_its_end(voice: Voice) -> None:
    short, long = "the ship sails on ", "the ship sails on " * 40

    assert seconds(await spoken(voice, long)) > 10 * seconds(await spoken(voice, short))


async def test_who_stops_listening_can_ask_again(voice: Voice) -> None:
    async with asyncio.timeout(BOUND_S):
        stream = voice.speak(STORY * 3)
        await anext(stream)
        await stream.aclose()

    assert await spoken(voice, "Yes.")


async def test_being_cancelled_in_mid_sentence_harms_nobody(voice: Voice) -> None:
    speaking = asyncio.create_task(spoken(voice, STORY * 3))
    await asyncio.wait({speaking}, timeout=0.05)
    speaking.cancel()
    await asyncio.gather(speaking, return_exceptions=True)

    assert await spoken(voice, "Yes.")


# ── what only a real voice can do, or suffer ─────────────────────────────────────────────────────


@pytest.mark.e2e
@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="needs espeak-ng")
async def test_espeak_speaks_french_as_french() -> None:
    """The same letters sound different."""
    voice = EspeakVoice("en", speed=1.0, timeout_s=60)
    text = "Quelle heure est-il aujourd'hui à Paris ?"
    english, french = [np.concatenate([c.samples for c in await spoken(voice, text, lang)]) for lang in ("en", "fr")]

    assert len(french) > 10_000
    assert len(french) != len(english)


@pytest.mark.e2e
@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="needs espeak-ng")
async def test_espeak_names_a_language_that_it_does_not_know() -> None:
    voice = EspeakVoice("en", speed=1.0, timeout_s=60)
    with pytest.raises(SpeechError, match="espeak-ng failed: .*") as caught:
        await spoken(voice, SENTENCE, "tlh-x")

    assert "\n" not in caught.value.message


@pytest.mark.e2e
@pytest.mark.parametrize("speed", [0.5, 2.0])
@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="needs espeak-ng")
async def test_espeak_speaks_faster_and_slower(speed: float) -> None:
    normal, other = [EspeakVoice("en", speed=s, timeout_s=60) for s in (1.0, speed)]
    ratio = seconds(await spoken(other, STORY)) / seconds(await spoken(normal, STORY))

    assert 0.6 / speed < ratio < 1.6 / speed


@pytest.mark.e2e
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=lambda how: how.name)
async def test_a_piper_that_is_lost_in_mid_stream_costs_one_sentence(
    how: signal.Signals, models: Path, pooled_lane: PooledLane
) -> None:
    """Killed, or stopped for good: the sentence fails in bounded time, the next one has a new worker."""
    async with pooled_lane(piper(models)) as lane:
        voice = WyomingVoice(lane.lease, timeout_s=4)
        await voice.warm_up()
        child = lane.keeper.child
        assert child is not None
        stream = voice.speak(" ".join([STORY] * 20), "en")
        await anext(stream)
        os.kill(child.pid, how)
        async with asyncio.timeout(BOUND_S):
            with pytest.raises(SpeechError):
                await _exhausted(stream)
        await voice.warm_up()  # the new worker may take its time

        assert await spoken(voice, "Yes.")
        assert child is not lane.keeper.child


async def _exhausted(stream: object) -> None:
    async for _ in stream:  # type: ignore[attr-defined]
        """What was on its way is still heard."""
