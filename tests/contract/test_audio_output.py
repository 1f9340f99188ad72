"""What every AudioOutput promises: null objects, files, and real loudspeakers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from heisenberg.audio.both import BothOutputs
from heisenberg.audio.speakers import Speakers
from heisenberg.audio.wavfile import NoOutput, WavOutput
from heisenberg.core.audio import AudioChunk, Meters
from heisenberg.core.config import AudioConfig
from heisenberg.core.stages import AudioOutput
from tests import pulse
from tests.unit.audio.tones import tone


@pytest.fixture(scope="module", autouse=True)
def virtual_devices(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[pulse.PulseServer | None]:
    """Automatic, so that it begins before the watch over each test's child processes."""
    if pulse.missing() or not any(item.get_closest_marker("audio") for item in request.session.items):
        yield None
        return
    with pulse.in_this_process(tmp_path_factory.mktemp("pulse")) as server:
        yield server


@pytest.fixture(
    params=[
        "none",
        "none, paced",
        "file",
        "file, paced",
        "both, paced",
        pytest.param("speakers", marks=pytest.mark.audio),
    ]
)
async def output(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AudioOutput]:
    match request.param.split(", "):
        case ["none", *paced]:
            made: AudioOutput = NoOutput(paced=bool(paced))
        case ["file", *paced]:
            made = WavOutput(tmp_path / "reply.wav", paced=bool(paced))
        case ["both", *_]:
            made = BothOutputs(WavOutput(tmp_path / "reply.wav"), NoOutput(paced=True))
        case _:
            pulse.skip_if_missing()
            made = Speakers(AudioConfig(output_device=pulse.SPEAKERS), Meters())
    yield made
    await made.close()
    await made.close()


def chunk(seconds: float, rate_hz: int = 22_050) -> AudioChunk:
    return AudioChunk(tone(seconds, rate_hz), rate_hz)


async def test_draining_tells_how_much_was_heard(output: AudioOutput) -> None:
    await output.play(chunk(0.2))
    await output.play(chunk(0.1))

    assert await output.drain() == pytest.approx(0.3, abs=0.01)


async def test_counting_begins_anew_after_each_reply(output: AudioOutput) -> None:
    await output.play(chunk(0.2))
    await output.drain()
    await output.play(chunk(0.1))

    assert await output.drain() == pytest.approx(0.1, abs=0.01)


async def test_draining_nothing_returns_at_once(output: AudioOutput) -> None:
    assert await output.drain() == 0
    assert await output.drain() == 0


async def test_stopping_nothing_is_nothing(output: AudioOutput) -> None:
    assert await output.stop() == 0


async def test_rates_may_change_within_a_reply(output: AudioOutput) -> None:
    await output.play(chunk(0.1, 22_050))
    await output.play(chunk(0.1, 16_000))
    await output.play(chunk(0.1, 48_000))

    assert await output.drain() == pytest.approx(0.3, abs=0.01)


async def test_an_empty_chunk_does_no_harm(output: AudioOutput) -> None:
    await output.play(chunk(0.0))
    await output.play(chunk(0.1))
    await output.play(chunk(0.0))

    assert await output.drain() == pytest.approx(0.1, abs=0.01)


async def test_stopping_tells_at_most_what_was_queued(output: AudioOutput) -> None:
    await output.play(chunk(0.5))

    assert 0 <= await output.stop() <= 0.51
    assert await output.drain() == 0


async def test_a_reply_can_follow_an_interrupted_one(output: AudioOutput) -> None:
    await output.play(chunk(1.0))
    await output.stop()
    await output.play(chunk(0.1))

    assert await output.drain() == pytest.approx(0.1, abs=0.01)


async def test_a_voice_that_waits_for_room_can_be_interrupted(output: AudioOutput) -> None:
    """Given a voice that is seconds ahead. When its turn is dropped. Then the next reply is heard alone."""

    async def speak() -> None:
        for _ in range(100):
            await output.play(chunk(0.5))

    speaking = asyncio.create_task(speak())
    await asyncio.sleep(0)
    speaking.cancel()
    await output.stop()
    with contextlib.suppress(asyncio.CancelledError):
        await speaking
    await output.stop()
    await output.play(chunk(0.1))

    assert await output.drain() == pytest.approx(0.1, abs=0.01)


# ── pauses ───────────────────────────────────────────────────────────────────────────────────────


async def is_over(task: "asyncio.Task[float] | asyncio.Task[None]", *, after_s: float) -> bool:
    await asyncio.wait({task}, timeout=after_s)
    return task.done()


async def test_after_a_pause_the_rest_is_heard(output: AudioOutput) -> None:
    await output.play(chunk(0.5))
    await output.pause()
    await output.resume()

    assert await output.drain() == pytest.approx(0.5, abs=0.01)


async def test_nothing_is_heard_in_a_pause(output: AudioOutput) -> None:
    """What is queued meanwhile waits, too."""
    await output.play(chunk(0.4))
    await output.pause()
    before_s = output.played_seconds
    await output.play(chunk(0.3))
    await asyncio.sleep(0.3)

    assert output.played_seconds == pytest.approx(before_s, abs=0.001)
    await output.resume()
    assert await output.drain() == pytest.approx(0.7, abs=0.01)


async def test_draining_waits_for_the_end_of_a_pause(output: AudioOutput) -> None:
    await output.play(chunk(0.2))
    await output.pause()
    draining = asyncio.create_task(output.drain())

    assert not await is_over(draining, after_s=0.4)
    await output.resume()
    assert await asyncio.wait_for(draining, 10) == pytest.approx(0.2, abs=0.01)


async def test_a_pause_before_the_first_sound_holds_it(output: AudioOutput) -> None:
    await output.pause()
    await output.play(chunk(0.2))
    await asyncio.sleep(0.3)

    assert output.played_seconds == 0
    await output.resume()
    assert await output.drain() == pytest.approx(0.2, abs=0.01)


async def test_a_pause_may_come_twice_and_be_ended_twice(output: AudioOutput) -> None:
    await output.play(chunk(0.3))
    for _ in range(2):
        await output.pause()
        await output.pause()
        await output.resume()
        await output.resume()

    assert await output.drain() == pytest.approx(0.3, abs=0.01)


async def test_a_pause_holds_back_a_voice_that_is_far_ahead(output: AudioOutput) -> None:
    """It may go on for about a second, then it waits; nothing of it is lost."""
    await output.pause()

    async def speak() -> None:
        for _ in range(20):
            await output.play(chunk(0.1))

    speaking = asyncio.create_task(speak())

    assert not await is_over(speaking, after_s=0.3)
    await output.resume()
    await asyncio.wait_for(speaking, 10)
    assert await output.drain() == pytest.approx(2.0, abs=0.01)


async def test_stopping_ends_a_pause(output: AudioOutput) -> None:
    """Who waits is freed: a voice without queueing more, and who waits for the end."""
    await output.play(chunk(0.4))
    await output.pause()
    heard_s = output.played_seconds
    draining = asyncio.create_task(output.drain())
    await asyncio.sleep(0.05)

    assert await output.stop() == pytest.approx(heard_s, abs=0.001)
    assert await asyncio.wait_for(draining, 5) == 0
    await output.play(chunk(0.2))
    assert await output.drain() == pytest.approx(0.2, abs=0.01)


async def test_a_voice_that_waits_in_a_pause_is_freed_by_stopping(output: AudioOutput) -> None:
    await output.pause()

    async def speak() -> None:
        for _ in range(3):
            await output.play(chunk(1.0))

    speaking = asyncio.create_task(speak())

    assert not await is_over(speaking, after_s=0.1)
    await output.stop()
    speaking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await speaking
    await output.stop()
    assert await output.drain() == 0


async def test_closing_ends_a_pause(output: AudioOutput) -> None:
    await output.play(chunk(0.4))
    await output.pause()
    draining = asyncio.create_task(output.drain())
    await asyncio.sleep(0.05)
    await output.close()

    assert await asyncio.wait_for(draining, 5) == 0


async def test_what_was_heard_is_known_while_it_sounds(output: AudioOutput) -> None:
    assert output.played_seconds == 0
    await output.play(chunk(0.3))

    assert 0 <= output.played_seconds <= 0.301
    await output.drain()
    assert output.played_seconds == 0


async def test_a_reply_without_gaps_has_no_underruns(output: AudioOutput) -> None:
    """A pause is none, either."""
    before = output.underruns
    await output.play(chunk(0.4))
    await output.pause()
    await output.resume()
    await output.play(chunk(0.2))
    await output.drain()

    assert output.underruns == before
