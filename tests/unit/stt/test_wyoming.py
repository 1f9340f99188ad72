"""Speech to text over Wyoming: whatever the service does, the caller gets words or one clear error, in time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest
from wyoming.asr import Transcript as WyomingTranscript
from wyoming.error import Error
from wyoming.event import Event

from heisenberg.core.audio import Samples
from heisenberg.core.errors import TranscriptionError
from heisenberg.core.recordings import Passage, TimedWord, Wanted
from heisenberg.core.stages import Transcript
from heisenberg.stt.buffered import BufferedRecogniser
from heisenberg.stt.wyoming import passages
from tests.fakes.stages import FakeService
from tests.fakes.wyoming_service import WyomingService, wyoming_service

PLAIN = Wanted()
COMMAND: Samples = np.arange(24_000, dtype=np.int16)
"""A second and a half."""

HELLO = WyomingTranscript(text=" Hello there. ", language="en").event()


def recogniser(service: FakeService, *, language: str = "en", partials: bool = True, timeout_s: float = 5.0):  # type: ignore[no-untyped-def]
    return BufferedRecogniser(service.lease, language=language, partials=partials, timeout_s=timeout_s)


async def failure(service: FakeService, **how: float) -> TranscriptionError:
    """The error of a command that is not understood."""
    with pytest.raises(TranscriptionError) as caught:
        await recogniser(service, **how).open(print).finish(COMMAND)
    return caught.value


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - sockets are watched, which set no event of ours
            await asyncio.sleep(0.005)


async def test_the_command_goes_out_whole_and_its_words_come_back() -> None:
    async with wyoming_service() as service:
        service.enqueue(HELLO)
        transcript = await recogniser(service).open(print).finish(COMMAND)
    events = service.requests[0]
    pcm = b"".join(event.payload or b"" for event in events)

    assert Transcript("Hello there.", "en") == transcript
    assert ["transcribe", "audio-start", "audio-chunk", "audio-chunk", "audio-stop"] == [e.type for e in events]
    assert np.array_equal(COMMAND, np.frombuffer(pcm, dtype="<i2"))
    assert [] == service.condemned


@pytest.mark.parametrize(("configured", "asked"), [("fr", "fr"), ("auto", None)])
async def test_the_language_is_asked_for(configured: str, asked: str | None) -> None:
    async with wyoming_service() as service:
        service.enqueue(WyomingTranscript(text="Bonjour").event())
        transcript = await recogniser(service, language=configured).open(print).finish(COMMAND)

    assert asked == service.requests[0][0].data.get("language")
    assert (asked or "en") == transcript.language


async def test_a_service_that_reports_a_failure_is_alive() -> None:
    """It is not condemned: it would only fail again, and others use it."""
    async with wyoming_service() as service:
        service.enqueue(Error(text="the model is confused").event())
        error = await failure(service)

    assert ("upstream-error", "The recogniser failed: the model is confused") == (error.code, error.message)
    assert [] == service.condemned


async def test_a_service_that_dies_is_condemned() -> None:
    async with wyoming_service() as service:
        service.enqueue()
        error = await failure(service)

    assert "stt-failed" == error.code
    assert 1 == len(service.condemned)


async def test_a_service_that_is_not_there_is_named() -> None:
    service = FakeService("unix:///nowhere/whisper")
    error = await failure(service)

    assert "The recogniser at unix:///nowhere/whisper cannot be reached" in error.message
    assert "\n" not in error.message
    assert 1 == len(service.condemned)
    assert 0 == service.leases


async def test_a_service_that_is_silent_is_given_up_in_time() -> None:
    async with wyoming_service() as service:
        service.enqueue(service.released)
        error = await failure(service, timeout_s=0.3)

    assert "stt-timeout" == error.code
    assert 1 == len(service.condemned)


async def test_a_service_that_stops_reading_is_given_up_in_time() -> None:
    """Given more audio than the socket holds, leaving must not wait until it is sent."""
    async with wyoming_service() as service:
        service.is_deaf = True
        async with asyncio.timeout(5):
            with pytest.raises(TranscriptionError) as caught:
                await recogniser(service, timeout_s=0.3).open(print).finish(np.zeros(16_000 * 60, dtype=np.int16))

    assert "stt-timeout" == caught.value.code
    assert 1 == len(service.condemned)


@pytest.mark.parametrize(
    "rubbish",
    [b"not json\n", b"5\n", b"{}\n", b"[]\n", b'{"type": "transcript", "data": {}}\n', b'{"type": "x"', b"\xff\n"],
)
async def test_something_else_than_wyoming_is_one_clear_error(rubbish: bytes) -> None:
    async with wyoming_service() as service:
        service.enqueue(rubbish)
        error = await failure(service)

    assert "stt-failed" == error.code
    assert "\n" not in error.message


async def test_nobody_waits_longer_for_a_lease_than_for_an_answer() -> None:
    async with wyoming_service() as service:
        busy = asyncio.Event()

        class Busy:
            async def __aenter__(self) -> WyomingService:
                await busy.wait()
                return service

            async def __aexit__(self, *failure: object) -> None:
                """Nothing was taken."""

        waiting = BufferedRecogniser(Busy, language="en", partials=False, timeout_s=0.2)
        with pytest.raises(TranscriptionError, match="No recogniser was free within 0.2 s") as caught:
            await waiting.open(print).finish(COMMAND)

    assert "stt-timeout" == caught.value.code


async def test_finish_may_be_repeated_after_a_failure() -> None:
    async with wyoming_service() as service:
        service.enqueue()
        service.enqueue(HELLO)
        recognition = recogniser(service).open(print)
        with pytest.raises(TranscriptionError):
            await recognition.finish(COMMAND)

        assert "Hello there." == (await recognition.finish(COMMAND)).text


# ── partial transcripts ──────────────────────────────────────────────────────────────────────────


async def test_what_was_heard_so_far_is_guessed_at() -> None:
    partials: list[str] = []
    async with wyoming_service() as service:
        service.enqueue(HELLO)
        recognition = recogniser(service).open(partials.append)
        recognition.feed(COMMAND[:4000])

        assert [] == service.requests

        recognition.feed(COMMAND[4000:9000])
        await until(lambda: partials)

    assert ["Hello there."] == partials
    assert {"partial": True} == service.requests[0][0].data["context"]


async def test_one_guess_at_a_time() -> None:
    """Given a service that takes long, what is fed meanwhile is guessed at later, all at once."""
    partials, slow = [], asyncio.Event()
    async with wyoming_service() as service:
        service.enqueue(slow, HELLO)
        service.enqueue(WyomingTranscript(text="Hello there, you.").event())
        recognition = recogniser(service).open(partials.append)
        for _ in range(20):
            recognition.feed(COMMAND[:4000])
            await asyncio.sleep(0)
        await until(lambda: service.connections)

        assert 1 == len(service.requests)

        slow.set()
        await until(lambda: partials)
        recognition.feed(COMMAND)
        await until(lambda: len(partials) == 2)

    assert ["Hello there.", "Hello there, you."] == partials


async def test_a_guess_that_fails_is_no_failure() -> None:
    partials: list[str] = []
    async with wyoming_service() as service:
        service.enqueue(Error(text="no").event())
        service.enqueue(HELLO)
        recognition = recogniser(service).open(partials.append)
        recognition.feed(COMMAND)
        await until(lambda: len(service.requests) == 1 and not service.connections)

        assert "Hello there." == (await recognition.finish(COMMAND)).text
    assert [] == partials


async def test_a_guess_that_comes_after_the_end_is_not_told() -> None:
    partials, slow = [], asyncio.Event()
    async with wyoming_service() as service:
        service.enqueue(slow, HELLO)
        service.enqueue(HELLO)
        recognition = recogniser(service).open(partials.append)
        recognition.feed(COMMAND)
        await until(lambda: service.connections)
        await recognition.finish(COMMAND)
        slow.set()
        await until(lambda: not service.connections)
        await recognition.cancel()

    assert [] == partials


async def test_cancelling_ends_the_guess_and_gives_the_lease_back() -> None:
    partials: list[str] = []
    async with wyoming_service() as service:
        service.enqueue(service.released, HELLO)
        recognition = recogniser(service).open(partials.append)
        recognition.feed(COMMAND)
        await until(lambda: service.connections)
        await recognition.cancel()

        assert 0 == service.leases
        assert [] == service.condemned

        recognition.feed(COMMAND)  # is too late
        service.released.set()
    assert [] == partials
    assert 1 == len(service.requests)


async def test_without_partials_nothing_is_guessed() -> None:
    async with wyoming_service() as service:
        recogniser(service, partials=False).open(print).feed(COMMAND)
        await asyncio.sleep(0)

    assert [] == service.requests


async def test_of_a_very_long_command_the_last_seconds_are_guessed_at() -> None:
    """The dots say that something stood before them."""
    partials: list[str] = []
    async with wyoming_service() as service:
        service.enqueue(HELLO)
        recognition = recogniser(service).open(partials.append)
        recognition.feed(np.tile(COMMAND, 20))
        await until(lambda: partials)
    sent = sum(len(event.payload or b"") // 2 for event in service.requests[0])

    assert ["… Hello there."] == partials
    assert 8 * 16_000 <= sent <= 9 * 16_000


async def test_no_guess_begins_in_a_pause() -> None:
    """The command may be over: the final transcript shall find the recogniser free."""
    partials: list[str] = []
    async with wyoming_service() as service:
        service.enqueue(HELLO)
        recognition = recogniser(service).open(partials.append)
        recognition.feed(COMMAND[:7000])
        recognition.feed(COMMAND[:2000] // 100)
        await asyncio.sleep(0)

        assert [] == service.requests

        recognition.feed(COMMAND[:7000])
        await until(lambda: partials)

    assert ["Hello there."] == partials


async def test_where_guesses_are_too_slow_there_are_none() -> None:
    async with wyoming_service() as service:
        hears = recogniser(service)
        for _ in range(9):
            hears.pace.guessed(3.0)
        hears.open(print).feed(np.tile(COMMAND, 20))
        await asyncio.sleep(0)

    assert [] == service.requests


# ── pauses ───────────────────────────────────────────────────────────────────────────────────────


async def test_the_final_transcript_does_not_wait_for_a_guess() -> None:
    """Given one lease, held by a guess that gets no answer."""
    async with wyoming_service() as service:
        service.enqueue(service.released)
        service.enqueue(HELLO)
        free = asyncio.Lock()

        @asynccontextmanager
        async def lease() -> AsyncIterator[WyomingService]:
            async with free:
                yield service

        recognition = BufferedRecogniser(lease, language="en", partials=True, timeout_s=5).open(print)
        recognition.feed(COMMAND)
        await until(lambda: service.requests)

        assert "Hello there." == (await recognition.finish(COMMAND)).text
        assert [] == service.condemned


async def test_a_pause_may_be_followed_by_more() -> None:
    """A transcript of the first part is begun, cancelled, and then asked for the whole."""
    async with wyoming_service() as service:
        service.enqueue(service.released, WyomingTranscript(text="Hello").event())
        service.enqueue(HELLO)
        recognition = recogniser(service, partials=False).open(print)
        recognition.feed(COMMAND[:9000])
        first = asyncio.create_task(recognition.finish(COMMAND[:9000]))
        await until(lambda: service.requests)
        first.cancel()
        await asyncio.wait([first])
        recognition.feed(COMMAND[9000:])

        assert first.cancelled()
        assert "Hello there." == (await recognition.finish(COMMAND)).text
        assert [] == service.condemned


async def test_the_same_command_is_asked_for_once() -> None:
    async with wyoming_service() as service:
        service.enqueue(HELLO)
        service.enqueue(WyomingTranscript(text="Hello there, you.").event())
        recognition = recogniser(service).open(print)
        first, again = await recognition.finish(COMMAND), await recognition.finish(COMMAND.copy())
        longer = await recognition.finish(np.tile(COMMAND, 2))

    assert first == again
    assert "Hello there, you." == longer.text
    assert 2 == len(service.requests)


async def test_after_a_final_transcript_of_a_pause_guesses_go_on() -> None:
    partials: list[str] = []
    async with wyoming_service() as service:
        service.enqueue(HELLO)
        service.enqueue(WyomingTranscript(text="Hello there, you.").event())
        recognition = recogniser(service).open(partials.append)
        await recognition.finish(COMMAND)
        recognition.feed(COMMAND)
        await until(lambda: partials)

    assert ["Hello there, you."] == partials


async def test_while_a_final_transcript_is_made_nothing_is_guessed() -> None:
    slow = asyncio.Event()
    async with wyoming_service() as service:
        service.enqueue(slow, HELLO)
        recognition = recogniser(service).open(print)
        final = asyncio.create_task(recognition.finish(COMMAND))
        await until(lambda: service.requests)
        recognition.feed(COMMAND)
        slow.set()
        await final

    assert 1 == len(service.requests)


# ── recordings ───────────────────────────────────────────────────────────────────────────────────


def segment(number: int) -> Event:
    return Event(
        "transcript-chunk", data={"start": number, "end": number + 1, "text": f"Part {number}.", "language": "en"}
    )


async def stretch(service: FakeService, wanted: Wanted = PLAIN) -> list[Passage]:
    async with service.lease() as lease:
        return [passage async for passage in passages(lease, COMMAND, wanted, stall_s=5)]


async def test_a_recording_comes_segment_by_segment() -> None:
    async with wyoming_service() as service:
        service.enqueue(Event("transcript-start"), segment(0), segment(1), HELLO, Event("transcript-stop"))
        found = await stretch(service)

    assert [(0, 1, "Part 0."), (1, 2, "Part 1.")] == [(s.start, s.end, s.text) for s in found]
    assert {"segments": True} == service.requests[0][0].data["context"]


async def test_what_is_wanted_of_a_recording_reaches_the_service() -> None:
    async with wyoming_service() as service:
        service.enqueue(HELLO)
        await stretch(service, Wanted("fr", "translate", "Paris,", 0.2, words=True))

    asked = {"segments": True, "task": "translate", "prompt": "Paris,", "temperature": 0.2, "words": True}
    assert ("fr", asked) == (service.requests[0][0].data["language"], service.requests[0][0].data["context"])


async def test_a_service_that_tells_no_times_gives_one_passage() -> None:
    """Any other Wyoming service than ours; one that streams tells pieces of text first."""
    async with wyoming_service() as service:
        service.enqueue(Event("transcript-start"), Event("transcript-chunk", data={"text": "Hello "}), HELLO)
        found = await stretch(service)

    assert [Passage(0.0, 1.5, "Hello there.", "en")] == found


async def test_words_come_with_their_times() -> None:
    told = {"start": 0, "end": 1, "text": "Hello.", "language": "en", "words": [["Hello.", 0.1, 0.6, 0.9]]}
    async with wyoming_service() as service:
        service.enqueue(Event("transcript-chunk", data=told), HELLO)
        found = await stretch(service)

    assert (TimedWord("Hello.", 0.1, 0.6, 0.9),) == found[0].words


async def test_what_the_request_is_to_blame_for_is_told_apart() -> None:
    async with wyoming_service() as service:
        service.enqueue(Error(text="the model knows no language 'xx'", code="refused").event())
        with pytest.raises(TranscriptionError, match="no language 'xx'") as caught:
            await stretch(service)

    assert "usage" == caught.value.code


async def test_a_recording_that_breaks_off_is_an_error() -> None:
    async with wyoming_service() as service:
        service.enqueue(segment(0))
        async with service.lease() as lease:
            found = passages(lease, COMMAND, Wanted(), stall_s=5)

            assert "Part 0." == (await anext(found)).text

            with pytest.raises(TranscriptionError, match="ended before it was done"):
                await anext(found)


async def test_a_segment_without_its_times_is_one_clear_error() -> None:
    async with wyoming_service() as service:
        service.enqueue(segment(0), Event("transcript-chunk", data={"text": "Part 0."}))
        with pytest.raises(TranscriptionError, match="not understood"):
            await stretch(service)


async def test_who_leaves_a_recording_leaves_the_service() -> None:
    async with wyoming_service() as service:
        service.enqueue(segment(0), service.released, segment(1))
        async with service.lease() as lease:
            found = passages(lease, COMMAND, Wanted(), stall_s=5)
            await anext(found)
            await found.aclose()
