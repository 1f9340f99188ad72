"""The wake word through a service that is slow, rude, away, and back."""

import asyncio
import logging
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest
from wyoming.error import Error

from heisenberg.core.audio import CHUNK_SAMPLES, Samples
from heisenberg.core.config import WakewordConfig
from heisenberg.core.drops import Drops
from heisenberg.core.errors import WakewordError
from heisenberg.core.stages import Wake
from heisenberg.wakeword import wyoming_link
from heisenberg.wakeword.wyoming import WyomingWakeWordEngine, refuse_unknown_words
from tests.fakes.stages import CHUNK_S, QUIET, WAKE, chunks
from tests.fakes.wake_service import NOTHING, WakeService

SOON = (0.005,)
"""Pauses between attempts."""


@pytest.fixture
def service() -> WakeService:
    return WakeService()


async def until(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110 - another thread's doing has no event of ours
            await asyncio.sleep(0.002)


def config(url: str, *words: str, **more: float) -> WakewordConfig:
    return WakewordConfig(engine="wyoming", url=url, words=list(words or ("hey_jarvis",)), **more)  # type: ignore[arg-type]


@asynccontextmanager
async def listening(heard: WakewordConfig, drops: Drops | None = None) -> AsyncIterator[WyomingWakeWordEngine]:
    engine = WyomingWakeWordEngine(heard, drops, pauses_s=SOON)
    try:
        yield engine
    finally:
        await asyncio.to_thread(engine.close)


def hear(engine: WyomingWakeWordEngine, meaning: int, seconds: float = CHUNK_S) -> None:
    """Sound of which nothing is reported yet."""
    assert [] == [wake for chunk in chunks(meaning, seconds) if (wake := engine.process(chunk))]


async def connected(engine: WyomingWakeWordEngine, service: WakeService) -> None:
    """Feed quiet until it arrives: what was said before there is a connection is lost."""
    before = service.chunks

    def arrives() -> bool:
        engine.process(chunks(QUIET)[0])
        return service.chunks > before

    await until(arrives)


async def reported(engine: WyomingWakeWordEngine) -> Wake:
    found: list[Wake] = []

    def comes() -> bool:
        found.extend(wake for wake in [engine.process(NOTHING)] if wake)
        return bool(found)

    await until(comes)
    return found[0]


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("heisenberg")]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


# ── detections ───────────────────────────────────────────────────────────────────────────────────


async def test_a_word_is_reported_with_how_late_that_is(service: WakeService) -> None:
    """The service names the beginning of the chunk; ten more have passed when its answer comes."""
    async with service.serving() as url, listening(config(url)) as engine:
        await connected(engine, service)
        service.may_answer.clear()
        hear(engine, WAKE)
        hear(engine, QUIET, 10 * CHUNK_S)
        service.may_answer.set()
        wake = await reported(engine)

    assert ("hey_jarvis", 1.0, pytest.approx(11 * CHUNK_S)) == (wake.name, wake.score, wake.late_seconds)


@pytest.mark.parametrize("timestamp", [None, "soon", 10**15, 1.5])
async def test_a_time_that_says_nothing_means_now(service: WakeService, timestamp: object) -> None:
    """None at all, nonsense, or a clock of the service's own."""
    service.says_time = timestamp
    async with service.serving() as url, listening(config(url)) as engine:
        await connected(engine, service)
        hear(engine, WAKE)

        assert Wake("hey_jarvis", 1.0, 0.0) == await reported(engine)


async def test_the_words_are_asked_for_by_the_services_names() -> None:
    service = WakeService("alexa_v0.1", "hey_jarvis_v0.1")
    service.says = "hey_jarvis_v0.1"
    async with service.serving() as url, listening(config(url, "hey_jarvis", "alexa")) as engine:
        await connected(engine, service)
        hear(engine, WAKE)
        wake = await reported(engine)

    assert [["hey_jarvis_v0.1", "alexa_v0.1"]] == service.asked
    assert "hey_jarvis" == wake.name


async def test_words_that_were_not_asked_for_do_not_wake() -> None:
    """Some services report whatever they know. The second detection is the only one that counts."""
    service = WakeService("alexa", "hey_jarvis")
    async with service.serving() as url, listening(config(url)) as engine:
        await connected(engine, service)
        hear(engine, WAKE)
        await until(lambda: not engine._link._sounds)
        service.says = "hey_jarvis"
        hear(engine, WAKE)

        assert "hey_jarvis" == (await reported(engine)).name


async def test_an_utterance_is_reported_once(service: WakeService) -> None:
    """Two detections within the refractory time, a third after it."""
    async with service.serving() as url, listening(config(url, refractory_seconds=1.5)) as engine:
        await connected(engine, service)
        service.may_answer.clear()
        for meaning, seconds in ((WAKE, CHUNK_S), (QUIET, 0.32), (WAKE, CHUNK_S), (QUIET, 1.28), (WAKE, CHUNK_S)):
            hear(engine, meaning, seconds)
        service.may_answer.set()
        wakes = [await reported(engine), await reported(engine)]

    first_to_last_s = 0.32 + CHUNK_S + 1.28 + CHUNK_S
    assert pytest.approx(first_to_last_s) == wakes[0].late_seconds - wakes[1].late_seconds


async def test_what_was_heard_before_a_reset_is_not_reported(service: WakeService) -> None:
    async with service.serving() as url, listening(config(url)) as engine:
        await connected(engine, service)
        service.may_answer.clear()
        hear(engine, WAKE)
        engine.reset()
        hear(engine, QUIET, 5 * CHUNK_S)
        hear(engine, WAKE)
        service.may_answer.set()
        wake = await reported(engine)

    assert pytest.approx(CHUNK_S) == wake.late_seconds
    assert 2 == service.starts


async def test_an_answer_to_sound_of_long_ago_does_not_wake(service: WakeService) -> None:
    """A service that stood still, and hears afterwards what was said to somebody else."""
    async with service.serving() as url, listening(config(url)) as engine:
        await connected(engine, service)
        service.may_answer.clear()
        hear(engine, WAKE)
        engine.process(np.zeros(6 * 16_000, dtype=np.int16))
        hear(engine, WAKE)
        service.may_answer.set()

        assert pytest.approx(CHUNK_S) == (await reported(engine)).late_seconds


# ── a service that is away ───────────────────────────────────────────────────────────────────────


async def test_a_service_that_is_missing_is_said_once_and_used_when_it_comes(
    service: WakeService, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    with caplog.at_level(logging.WARNING):
        async with listening(config(f"tcp://127.0.0.1:{port}")) as engine:
            hear(engine, QUIET)
            await until(lambda: said(caplog))
            async with service.serving(port):
                await connected(engine, service)
                hear(engine, WAKE)
                wake = await reported(engine)
                missing, back = said(caplog)

    assert "hey_jarvis" == wake.name
    assert f"tcp://127.0.0.1:{port}" in missing
    assert "tried again" in missing
    assert "is back" in back


async def test_a_lost_connection_is_made_again(service: WakeService, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        async with service.serving() as url, listening(config(url)) as engine:
            await connected(engine, service)
            service.send_away()
            await connected(engine, service)
            hear(engine, WAKE)
            await reported(engine)

    assert 2 == service.visits
    lost, back = said(caplog)
    assert "cannot be used" in lost
    assert "is back" in back


RUDE = {
    "garbage in place of a description": ("answers_to_describe", b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "garbage in place of a detection": ("answers_to_sound", b"what?\n"),
    "half an event": ("answers_to_sound", b'{"type": "detection", "data_length": 100}\n{'),
    "an event that is no object": ("answers_to_sound", b"[1, 2]\n"),
    "a detection that is not one": ("answers_to_sound", b'{"type": "detection", "data": [1]}\n'),
    "an error": ("answers_to_sound", Error("out of memory").event()),
    "another service": ("answers_to_describe", b'{"type": "info", "data": {}}\n'),
}


@pytest.mark.parametrize("what", RUDE)
async def test_a_service_that_talks_nonsense_is_left_and_tried_again(
    service: WakeService, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    """It is asked again and again, and works once it has come to its senses."""
    setattr(service, *RUDE[what])
    with caplog.at_level(logging.WARNING):
        async with service.serving() as url, listening(config(url)) as engine:

            def is_asked_again() -> bool:
                engine.process(chunks(QUIET)[0])
                return service.visits >= 3

            await until(is_asked_again)
            service.answers_to_describe = service.answers_to_sound = None
            await connected(engine, service)
            hear(engine, WAKE)
            await reported(engine)

    assert "cannot be used" in said(caplog)[0]
    assert "back" in said(caplog)[-1]


async def test_what_the_service_says_is_wrong_is_told(service: WakeService, caplog: pytest.LogCaptureFixture) -> None:
    service.answers_to_sound = Error("out of memory").event()
    async with service.serving() as url, listening(config(url)) as engine:
        await connected(engine, service)
        await until(lambda: said(caplog))

    assert "it says: out of memory" in said(caplog)[0]


async def test_a_service_that_does_not_answer_is_given_up(
    service: WakeService, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wyoming_link, "ANSWER_S", 0.05)
    service.is_mute = True
    async with service.serving() as url, listening(config(url)) as engine:
        hear(engine, WAKE)
        await until(lambda: service.visits >= 2)

    assert "does not answer" in said(caplog)[0]


async def test_a_service_that_is_too_slow_loses_the_oldest_sound(service: WakeService) -> None:
    """It stops reading: what no longer fits anywhere is dropped and counted, and nobody waits for it."""
    drops = Drops()
    service.is_deaf = True
    async with service.serving() as url, listening(config(url), drops) as engine:
        hear(engine, QUIET)
        await until(lambda: engine._link._is_connected)
        for _ in range(wyoming_link.WAITING_CHUNKS + 8):
            engine.process(np.zeros(1_000_000, dtype=np.int16))

        assert 0 < drops.totals()["wakeword"]
        assert wyoming_link.WAITING_CHUNKS == len(engine._link._sounds)


async def test_words_that_a_service_no_longer_knows_are_told(
    service: WakeService, caplog: pytest.LogCaptureFixture
) -> None:
    service.words = ("alexa",)
    async with service.serving() as url, listening(config(url)) as engine:
        hear(engine, QUIET)
        await until(lambda: said(caplog))

    assert "knows none of wakeword.words; it has alexa" in said(caplog)[0]


async def test_one_word_of_two_is_enough(service: WakeService, caplog: pytest.LogCaptureFixture) -> None:
    async with service.serving() as url, listening(config(url, "hey_jarvis", "computer")) as engine:
        await connected(engine, service)

    (line,) = said(caplog)
    assert "does not know computer; it has hey_jarvis" in line


# ── the end ──────────────────────────────────────────────────────────────────────────────────────


async def test_after_closing_no_thread_and_no_connection_is_left(service: WakeService) -> None:
    async with service.serving() as url:
        before = threading.active_count()
        engine = WyomingWakeWordEngine(config(url))
        await connected(engine, service)
        await asyncio.to_thread(engine.close)
        await until(lambda: not service.connections)

        assert not any("wake-word" in thread.name for thread in threading.enumerate())
        assert before + 1 >= threading.active_count()  # one of to_thread's
        assert engine.process(np.full(CHUNK_SAMPLES, WAKE, dtype=np.int16)) is None


async def test_an_engine_that_waits_for_its_service_can_be_closed(service: WakeService) -> None:
    service.is_mute = True
    async with service.serving() as url, listening(config(url)) as engine:
        hear(engine, QUIET)
        await until(lambda: service.connections)


def test_an_engine_that_heard_nothing_has_nothing_to_close() -> None:
    engine = WyomingWakeWordEngine(config("tcp://127.0.0.1:1"))
    engine.close()
    engine.close()


async def test_the_death_of_its_thread_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(link: wyoming_link.Link) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(wyoming_link.Link, "_keep_connected", fail)
    engine = WyomingWakeWordEngine(config("tcp://127.0.0.1:1"))
    sound: Samples = chunks(QUIET)[0]
    engine.process(sound)
    await asyncio.to_thread(engine._link._thread.join, 10)

    with pytest.raises(WakewordError, match="a fault of ours") as caught:
        engine.process(sound)
    assert "wakeword-failed" == caught.value.code


# ── before the start ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("offered", ["alexa", ""])
async def test_a_service_that_knows_none_of_the_words_is_refused(service: WakeService, offered: str) -> None:
    service.words = (offered,)
    service.answers_to_describe = b'{"type": "info"}\n' if not offered else None
    async with service.serving() as url:
        with pytest.raises(WakewordError) as caught:
            await refuse_unknown_words(config(url))

    assert "wakeword-unknown" == caught.value.code
    assert f"It has {offered or 'none'}." in caught.value.message
    assert "wakeword.words" in caught.value.message


async def test_a_service_that_is_missing_is_no_reason_not_to_start() -> None:
    await refuse_unknown_words(config(f"tcp://127.0.0.1:{free_port()}"))


async def test_a_service_that_knows_a_word_is_accepted(service: WakeService) -> None:
    async with service.serving() as url:
        await refuse_unknown_words(config(url, "computer", "hey_jarvis"))

    assert 1 == service.visits


async def test_the_local_engine_asks_nobody() -> None:
    await refuse_unknown_words(WakewordConfig())
