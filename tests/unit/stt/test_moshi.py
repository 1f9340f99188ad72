"""A streaming recogniser: words while somebody speaks, the rest at once in a pause, whatever the worker does."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import numpy as np
import pytest
from wyoming.error import Error

from heisenberg.core.audio import Samples
from heisenberg.core.errors import ModelFailedToStart, TranscriptionError
from heisenberg.core.recordings import TimedWord
from heisenberg.core.stages import Recognition
from heisenberg.stt import moshi
from heisenberg.stt.fed import FedSound
from heisenberg.stt.moshi import Signs, StreamingRecogniser
from tests.fakes.moshi_service import FRAME, moshi_service, spoken
from tests.fakes.stages import FakeService

THREE = spoken("alpha bravo charlie")


class Listener:
    """Opens utterances and keeps what is told."""

    def __init__(self, service: FakeService, *, language: str = "en", timeout_s: float = 5.0) -> None:
        self.signs = Signs()
        self.recogniser = StreamingRecogniser(service.lease, language=language, timeout_s=timeout_s, signs=self.signs)
        self.partials: list[str] = []
        self.words: list[TimedWord] = []

    @asynccontextmanager
    async def utterance(self) -> AsyncIterator[Recognition]:
        recognition = self.recogniser.open(self.partials.append, self._take)
        try:
            async with asyncio.timeout(10):
                yield recognition
        finally:
            await recognition.cancel()

    def _take(self, words: Sequence[TimedWord]) -> None:
        self.words += words


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - sockets are watched, which set no event of ours
            await asyncio.sleep(0.005)


def in_blocks(sound: Samples) -> list[Samples]:
    """As the audio thread hands it on: blocks that are no whole frames."""
    return [sound[at : at + 1536] for at in range(0, len(sound), 1536)]


async def test_words_come_while_it_is_spoken() -> None:
    async with moshi_service() as service:
        listener = Listener(service)
        async with listener.utterance() as recognition:
            for block in in_blocks(spoken("alpha bravo charlie", tail=4)):
                recognition.feed(block)
            await until(lambda: len(listener.partials) == 3)
    async_words = [word.word for word in listener.words]

    assert ["alpha", "alpha bravo", "alpha bravo charlie"] == listener.partials
    assert ["alpha", "bravo", "charlie"] == async_words
    assert [0.0, 0.4, 0.8] == [word.start for word in listener.words]


async def test_a_flush_brings_the_rest_at_once() -> None:
    """Given a command whose last word is not written yet, finish does not wait for more sound."""
    async with moshi_service() as service:
        listener = Listener(service)
        async with listener.utterance() as recognition:
            recognition.feed(THREE)
            found = await recognition.finish(THREE)

    assert ("alpha bravo charlie", "en") == (found.text, found.language)
    assert ["alpha", "bravo", "charlie"] == [word.word for word in listener.words]
    assert [1] == service.flushes


async def test_what_the_command_has_more_than_was_fed_is_heard_once() -> None:
    """The audio thread hands on blocks: the command's last quarter of a second comes with the pause, and then again."""
    whole = spoken("alpha bravo charlie delta")
    async with moshi_service() as service:
        listener = Listener(service)
        async with listener.utterance() as recognition:
            recognition.feed(whole[: 5 * FRAME])
            at_pause = await recognition.finish(whole[: 10 * FRAME])
            recognition.feed(whole[5 * FRAME :])
            in_the_end = await recognition.finish(whole)

    assert ("alpha bravo", "alpha bravo charlie delta") == (at_pause.text, in_the_end.text)
    assert 1 == len(service.heard)
    assert np.array_equal(whole, service.heard[0])


async def test_a_command_that_was_never_fed_is_heard() -> None:
    async with moshi_service() as service:
        async with Listener(service).utterance() as recognition:
            assert "alpha bravo charlie" == (await recognition.finish(THREE)).text


async def test_another_sound_than_the_one_fed_is_heard_from_its_beginning() -> None:
    async with moshi_service() as service:
        async with Listener(service).utterance() as recognition:
            recognition.feed(spoken("echo delta"))
            first = await recognition.finish(spoken("echo delta"))
            second = await recognition.finish(THREE)

    assert ("echo delta", "alpha bravo charlie") == (first.text, second.text)


async def test_nothing_is_asked_where_there_is_no_sound() -> None:
    async with moshi_service() as service:
        async with Listener(service).utterance() as recognition:
            assert "" == (await recognition.finish(np.zeros(0, dtype=np.int16))).text

    assert [] == service.flushes


async def test_the_same_is_not_flushed_twice() -> None:
    async with moshi_service() as service:
        async with Listener(service).utterance() as recognition:
            texts = [(await recognition.finish(THREE)).text for _ in range(2)]

    assert ["alpha bravo charlie"] * 2 == texts
    assert [1] == service.flushes


async def test_an_empty_command_stands_for_what_was_fed() -> None:
    async with moshi_service() as service:
        async with Listener(service).utterance() as recognition:
            recognition.feed(THREE)
            assert "alpha bravo charlie" == (await recognition.finish(THREE[:0])).text


# ── a worker that fails ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("after", [1, 7, 12])
async def test_a_worker_that_dies_in_mid_utterance_is_replaced_and_hears_it_again(after: int) -> None:
    """No word is lost, and none is told twice."""
    async with moshi_service() as service:
        service.deaths = [after]
        listener = Listener(service)
        async with listener.utterance() as recognition:
            for block in in_blocks(THREE):
                recognition.feed(block)
            found = await recognition.finish(THREE)

    assert "alpha bravo charlie" == found.text
    assert ["alpha", "bravo", "charlie"] == [word.word for word in listener.words]
    assert np.array_equal(THREE, service.heard[1])
    assert 1 == len(service.condemned)


async def test_a_worker_that_dies_while_nobody_waits_is_replaced_too() -> None:
    """As in ambient mode: nobody asks for a final text, words simply go on."""
    async with moshi_service() as service:
        service.deaths = [7]
        listener = Listener(service)
        async with listener.utterance() as recognition:
            recognition.feed(THREE)
            recognition.feed(spoken("delta", tail=4))
            await until(lambda: len(listener.words) == 4)

    assert ["alpha", "bravo", "charlie", "delta"] == [word.word for word in listener.words]
    assert "alpha bravo charlie delta" == listener.partials[-1]


async def test_a_worker_that_always_dies_is_an_error() -> None:
    async with moshi_service() as service:
        service.deaths = [1] * 9
        async with Listener(service).utterance() as recognition:
            with pytest.raises(TranscriptionError) as caught:
                await recognition.finish(THREE)
            service.deaths = []

            assert "stt-failed" == caught.value.code
            assert "alpha bravo charlie" == (await recognition.finish(THREE)).text


async def test_what_cannot_be_started_is_told_at_once() -> None:
    class Broken(FakeService):
        def lease(self):  # type: ignore[no-untyped-def]
            raise ModelFailedToStart("It cannot be started.")

    async with Listener(Broken("")).utterance() as recognition:
        with pytest.raises(ModelFailedToStart):
            await recognition.finish(THREE)


async def test_a_service_that_reports_a_failure_is_alive() -> None:
    async with moshi_service() as service:
        service.error = Error(text="the model is confused").event()
        async with Listener(service).utterance() as recognition:
            with pytest.raises(TranscriptionError, match="The recogniser failed: the model is confused") as caught:
                await recognition.finish(THREE)

    assert "upstream-error" == caught.value.code
    assert [] == service.condemned


async def test_a_service_that_is_silent_is_given_up_in_time() -> None:
    async with moshi_service() as service:
        service.is_stuck = True
        async with Listener(service, timeout_s=0.2).utterance() as recognition:
            with pytest.raises(TranscriptionError) as caught:
                await recognition.finish(THREE)

    assert "stt-timeout" == caught.value.code
    assert "did not answer within 0.2 s" in caught.value.message
    assert service.condemned


async def test_a_worker_that_falls_silent_while_nobody_waits_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moshi, "LOOK_EVERY_S", 0.05)
    async with moshi_service() as service:
        service.is_stuck = True
        listener = Listener(service, timeout_s=0.2)
        async with listener.utterance() as recognition:
            recognition.feed(THREE)
            await until(lambda: service.condemned)
            service.is_stuck = False
            recognition.feed(spoken("delta", tail=4))
            await until(lambda: len(listener.words) == 4)


async def test_nobody_waits_longer_for_a_lease_than_for_an_answer() -> None:
    busy = asyncio.Event()

    class Busy:
        async def __aenter__(self) -> FakeService:
            await busy.wait()
            return FakeService("")

        async def __aexit__(self, *failure: object) -> None:
            """Nothing was taken."""

    recognition = StreamingRecogniser(Busy, language="en", timeout_s=0.2).open(print)
    with pytest.raises(TranscriptionError, match="No recogniser was free within 0.2 s") as caught:
        await recognition.finish(THREE)
    await recognition.cancel()

    assert "stt-timeout" == caught.value.code


async def test_finish_may_be_cancelled_and_asked_again_when_more_was_said() -> None:
    """The speaker went on while the flush was under way."""
    async with moshi_service() as service:
        service.is_stuck = True
        async with Listener(service).utterance() as recognition:
            recognition.feed(THREE)
            attempt = asyncio.create_task(recognition.finish(THREE))
            await until(lambda: service.flushes)
            attempt.cancel()
            await asyncio.wait([attempt])
            service.is_stuck = False
            more = spoken("delta")
            recognition.feed(more)
            found = await recognition.finish(np.concatenate([THREE, more]))

    assert "alpha bravo charlie delta" == found.text
    assert [1, 2] == service.flushes
    assert 1 == len(service.heard)


async def test_after_cancel_nothing_is_told_and_the_worker_is_free() -> None:
    async with moshi_service() as service:
        listener = Listener(service)
        async with listener.utterance() as recognition:
            recognition.feed(THREE)
            await recognition.cancel()
            told = len(listener.partials), len(listener.words)
            recognition.feed(THREE)

            assert 0 == service.leases
            assert told == (len(listener.partials), len(listener.words))


# ── one worker for everybody ─────────────────────────────────────────────────────────────────────


async def test_an_utterance_that_is_over_makes_room_for_the_next() -> None:
    """The search for a stop word asks while the command's recognition is still open."""
    async with moshi_service() as service:
        one_place = asyncio.Lock()

        @asynccontextmanager
        async def lease() -> AsyncIterator[FakeService]:
            async with one_place, service.lease() as leased:
                yield leased

        recogniser = StreamingRecogniser(lease, language="en", timeout_s=5)
        first, second = recogniser.open(print), recogniser.open(print)
        texts = [(await first.finish(THREE)).text, (await second.finish(spoken("delta"))).text]
        more = spoken("echo")
        first.feed(more)  # and comes back when there is more
        texts.append((await first.finish(np.concatenate([THREE, more]))).text)
        await asyncio.gather(first.cancel(), second.cancel())

    assert ["alpha bravo charlie", "delta", "alpha bravo charlie echo"] == texts


async def test_the_worker_is_given_back_when_nobody_speaks_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moshi, "LINGER_S", 0.05)
    async with moshi_service() as service:
        async with Listener(service).utterance() as recognition:
            await recognition.finish(THREE)
            await until(lambda: service.leases == 0)


# ── what it lets us know ─────────────────────────────────────────────────────────────────────────


async def test_a_pause_that_the_model_hears_is_told() -> None:
    """The head for 2 s, and not in the stream's first second."""
    async with moshi_service() as service:
        service.pause = [0.9, 0.8, 0.7, 0.1]
        listener = Listener(service)
        told: list[float] = []
        listener.signs.on_pause = told.append
        async with listener.utterance() as recognition:
            recognition.feed(THREE)
            await recognition.finish(THREE)

    assert len(THREE) // FRAME - 12 == len(told)
    assert {0.7} == set(told)


async def test_a_model_without_pause_heads_tells_none() -> None:
    async with moshi_service() as service:
        listener = Listener(service)
        told: list[float] = []
        listener.signs.on_pause = told.append
        async with listener.utterance() as recognition:
            await recognition.finish(THREE)

    assert [] == told


async def test_a_notice_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async with moshi_service() as service:
        service.notices = ["mps failed; cpu goes on."] * 2
        async with Listener(service).utterance() as recognition:
            await recognition.finish(THREE)

    assert ["mps failed; cpu goes on."] == [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]


@pytest.mark.parametrize(
    ("factor", "expected"),
    [(0.9, ""), (0.95, "it is barely as fast as speech on cpu"), (3.8, "it is 3.8 times slower than speech on cpu")],
)
async def test_a_machine_that_cannot_keep_up_is_told_of_at_start(
    factor: float, expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with moshi_service() as service:
        service.speed = {"real_time_factor": factor, "device": "cpu"}
        await Listener(service).recogniser.warm_up()

    assert expected in caplog.text
    assert bool(expected) == ("cannot keep up" in caplog.text)
    assert "\n" not in caplog.text.strip()


async def test_what_the_worker_says_of_its_start_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """It has words of its own for being slow; two warnings of the same would be one too many."""
    async with moshi_service() as service:
        service.speed = {"real_time_factor": 3.8, "device": "cpu", "notices": ["It needs 3.8 s for a second of sound."]}
        await Listener(service).recogniser.warm_up()

    assert ["It needs 3.8 s for a second of sound."] == [r.getMessage() for r in caplog.records if r.levelno >= 30]


@pytest.mark.parametrize(("configured", "asked"), [("fr", "fr"), ("auto", None)])
async def test_the_language_is_asked_for(configured: str, asked: str | None) -> None:
    async with moshi_service() as service:
        async with Listener(service, language=configured).utterance() as recognition:
            found = await recognition.finish(THREE)

    assert [asked] == service.languages
    assert (asked or "en") == found.language


async def test_what_is_fed_faster_than_it_is_heard_waits() -> None:
    """A file may be read as fast as possible: nothing of its four minutes is lost."""
    async with moshi_service() as service:
        listener = Listener(service)
        async with listener.utterance() as recognition:
            recognition.feed(spoken("alpha"))
            for _ in range(3):
                recognition.feed(np.zeros(1_216_000, dtype=np.int16))
            recognition.feed(spoken("delta"))
            found = await recognition.finish(THREE[:0])

    assert "alpha delta" == found.text


async def test_a_service_that_is_hopelessly_behind_goes_on_with_what_is_said_now(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue has a bound: memory does not grow where the machine is too slow."""
    monkeypatch.setattr(moshi, "FedSound", lambda: FedSound(most_s=76.0))
    async with moshi_service() as service:
        listener = Listener(service)
        async with listener.utterance() as recognition:
            for _ in range(3):
                recognition.feed(np.zeros(1_216_000, dtype=np.int16))
            await until(lambda: "cannot keep up" in caplog.text)
            recognition.feed(spoken("delta", tail=4))
            await until(lambda: listener.words)

    assert [("delta", 228.0)] == [(word.word, round(word.start, 3)) for word in listener.words]
