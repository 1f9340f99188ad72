"""Text to speech over Wyoming: sound as it comes, or one clear error, in time."""

import asyncio

import numpy as np
import pytest
from wyoming.audio import AudioChunk as WyomingChunk
from wyoming.audio import AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event

from heisenberg.core.audio import AudioChunk
from heisenberg.core.errors import SpeechError
from heisenberg.tts.wyoming import WyomingVoice
from tests.fakes.stages import FakeService
from tests.fakes.wyoming_service import WyomingService, wyoming_service

START = AudioStart(rate=22_050, width=2, channels=1).event()
STOP = AudioStop().event()


def sound(value: int, *, width: int = 2, channels: int = 1) -> Event:
    """A short chunk of one value."""
    audio = np.full(100, value, dtype="<i2").tobytes()
    return WyomingChunk(rate=22_050, width=width, channels=channels, audio=audio).event()


async def spoken(service: FakeService, text: str = "Hello.", timeout_s: float = 5.0) -> list[AudioChunk]:
    voice = WyomingVoice(service.lease, timeout_s=timeout_s, context={"noise_scale": 0.0})
    return [chunk async for chunk in voice.speak(text)]


async def failure(
    service: WyomingService, *script: Event | bytes | asyncio.Event, timeout_s: float = 5.0
) -> SpeechError:
    """The error of a sentence for which the service plays *script*."""
    service.enqueue(*script)
    with pytest.raises(SpeechError) as caught:
        await spoken(service, timeout_s=timeout_s)
    return caught.value


async def test_sound_comes_in_order_and_ends() -> None:
    async with wyoming_service() as service:
        service.enqueue(START, sound(1), sound(2), sound(3), STOP)
        chunks = await spoken(service, "Bonjour – 🙂")

    assert [1, 2, 3] == [int(chunk.samples[0]) for chunk in chunks]
    assert {22_050} == {chunk.rate_hz for chunk in chunks}
    assert ("Bonjour – 🙂", {"noise_scale": 0.0}) == tuple(service.requests[0][0].data[k] for k in ("text", "context"))
    assert [] == service.condemned


async def test_the_first_sound_is_there_before_the_last_is_made() -> None:
    async with wyoming_service() as service:
        rest = asyncio.Event()
        service.enqueue(START, sound(1), rest, sound(2), STOP)
        stream = WyomingVoice(service.lease, timeout_s=5).speak("Hello.")

        assert 1 == (await anext(stream)).samples[0]

        rest.set()

        assert [2] == [int(chunk.samples[0]) async for chunk in stream]


async def test_a_voice_that_reports_a_failure_is_alive() -> None:
    async with wyoming_service() as service:
        error = await failure(service, START, Error(text="no such phoneme").event())

    assert ("upstream-error", "The voice failed: no such phoneme") == (error.code, error.message)
    assert [] == service.condemned


async def test_a_voice_that_breaks_off_is_condemned() -> None:
    async with wyoming_service() as service:
        error = await failure(service, START, sound(1))

    assert ("tts-failed", "The voice ended in mid-sentence.") == (error.code, error.message)
    assert ["The voice ended in mid-sentence."] == service.condemned


async def test_a_voice_that_falls_silent_is_condemned() -> None:
    async with wyoming_service() as service:
        error = await failure(service, START, sound(1), service.released, timeout_s=0.3)

    assert "tts-timeout" == error.code
    assert 1 == len(service.condemned)


async def test_a_voice_that_stops_reading_is_given_up_in_time() -> None:
    async with wyoming_service() as service:
        service.is_deaf = True
        async with asyncio.timeout(5):
            with pytest.raises(SpeechError) as caught:
                await spoken(service, "word " * 1_000_000, timeout_s=0.3)

    assert "tts-timeout" == caught.value.code


async def test_a_voice_that_is_not_there_is_named() -> None:
    with pytest.raises(SpeechError, match="The voice at unix:///nowhere/piper cannot be reached"):
        await spoken(FakeService("unix:///nowhere/piper"))


@pytest.mark.parametrize("rubbish", [b"not json\n", b"5\n", b"{}\n", b'{"type": "audio-chunk"}\n'])
async def test_something_else_than_wyoming_is_one_clear_error(rubbish: bytes) -> None:
    async with wyoming_service() as service:
        error = await failure(service, rubbish)

    assert "tts-failed" == error.code


@pytest.mark.parametrize(("width", "channels", "said"), [(4, 1, "32 bit × 1"), (2, 2, "16 bit × 2")])
async def test_a_format_that_we_cannot_play_is_told(width: int, channels: int, said: str) -> None:
    async with wyoming_service() as service:
        error = await failure(service, START, sound(1, width=width, channels=channels))

    assert said in error.message


async def test_text_that_is_no_unicode_is_an_error_not_a_crash() -> None:
    async with wyoming_service() as service:
        with pytest.raises(SpeechError):
            await spoken(service, "half an emoji: \ud83d")


async def test_who_leaves_gives_the_lease_back_at_once() -> None:
    async with wyoming_service() as service:
        service.enqueue(START, sound(1), service.released, sound(2), STOP)
        stream = WyomingVoice(service.lease, timeout_s=5).speak("Hello.")
        await anext(stream)

        assert 1 == service.leases

        await stream.aclose()

        assert 0 == service.leases
        assert [] == service.condemned


async def test_the_language_chooses_the_voice_where_there_are_several() -> None:
    async with wyoming_service() as service:
        voice = WyomingVoice(service.lease, timeout_s=5, voice_for={"fr": "ff_siwis", None: "af_heart"}.__getitem__)
        for language in ("fr", None):
            service.enqueue(START, sound(1), STOP)
            assert 1 == len([chunk async for chunk in voice.speak("Hello.", language)])

    assert ["ff_siwis", "af_heart"] == [request[0].data["voice"]["name"] for request in service.requests]


async def test_a_service_with_one_voice_is_asked_for_none() -> None:
    async with wyoming_service() as service:
        service.enqueue(START, sound(1), STOP)
        await spoken(service)

    assert "voice" not in service.requests[0][0].data
