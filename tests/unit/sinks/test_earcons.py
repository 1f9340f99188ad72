"""When the short sounds are heard: what a user at the loudspeaker notices of a turn."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heisenberg.audio import earcons
from heisenberg.audio.wavfile import NoOutput, WavOutput, read_all
from heisenberg.core import events
from heisenberg.core.audio import AudioChunk
from heisenberg.core.errors import AudioError
from heisenberg.core.events import Event
from heisenberg.core.stages import AudioOutput
from heisenberg.sinks.earcons import EarconSink
from tests.fakes.stages import FakeOutput

SOUNDS = {name: make() for name, make in earcons.EARCONS.items()}
NAMES = {id(sound): name for name, sound in SOUNDS.items()}


def happened(kind: type[Event], **fields: Any) -> Event:
    return kind(turn=1, at=1.0, **fields)


WOKE = happened(events.WakewordDetected, name="hey_jarvis", score=0.9, audio_at=1.0)
COMMITTED = happened(events.TurnCommitted, reason="silence")
FAILED = happened(events.Failed, code="llm-failed", message="It failed.")


def state(name: str, previous: str = "idle") -> Event:
    return happened(events.StateChanged, state=name, previous=previous)


def dropped(reason: str) -> Event:
    return happened(events.TurnDropped, reason=reason)


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
def output() -> FakeOutput:
    return FakeOutput()


@pytest.fixture
async def sink(output: FakeOutput) -> AsyncIterator[EarconSink]:
    made = EarconSink(output, SOUNDS)
    yield made
    await made.close()
    await made.close()


async def heard(sink: EarconSink, output: FakeOutput, *told: Event) -> list[str]:
    """What has been played by now, after *told* happened one after the other."""
    for event in told:
        sink.handle(event)
        await settle()
    return [NAMES[id(chunk)] for chunk in output.played]


async def test_it_says_that_it_woke(sink: EarconSink, output: FakeOutput) -> None:
    assert ["wake"] == await heard(sink, output, state("idle", "starting"), WOKE)


@pytest.mark.parametrize("reason", ["no_speech", "no_followup", "stt_empty", "stopped"])
async def test_it_says_that_it_no_longer_listens(sink: EarconSink, output: FakeOutput, reason: str) -> None:
    assert ["wake", "end"] == await heard(sink, output, WOKE, state("listening"), dropped(reason), state("idle"))


@pytest.mark.parametrize("reason", ["interrupted", "input_lost"])
async def test_a_turn_that_gives_way_to_another_ends_quietly(sink: EarconSink, output: FakeOutput, reason: str) -> None:
    assert [] == await heard(sink, output, state("listening"), dropped(reason), state("idle"))


async def test_it_says_that_something_failed(sink: EarconSink, output: FakeOutput) -> None:
    assert ["error"] == await heard(sink, output, FAILED)


async def test_an_answered_turn_has_no_sound_but_the_first(sink: EarconSink, output: FakeOutput) -> None:
    turn = [WOKE, state("listening"), state("thinking"), COMMITTED, state("speaking"), state("idle")]

    assert ["wake"] == await heard(sink, output, *turn)


async def test_nothing_sounds_over_a_reply(sink: EarconSink, output: FakeOutput) -> None:
    """Given a failure while the reply is spoken. Then its sound comes when the reply is over."""
    assert [] == await heard(sink, output, state("thinking"), COMMITTED, state("speaking"), FAILED)
    assert ["error"] == await heard(sink, output, state("idle"))


async def test_a_failure_is_not_hidden_by_the_end_that_it_causes(sink: EarconSink, output: FakeOutput) -> None:
    told = [state("thinking"), FAILED, dropped("stt_empty"), state("idle")]

    assert ["error"] == await heard(sink, output, *told)


async def test_the_wake_word_within_a_reply_sounds_when_the_reply_is_cut(sink: EarconSink, output: FakeOutput) -> None:
    told = [state("speaking"), dropped("interrupted"), WOKE, state("listening", "speaking")]

    assert ["wake"] == await heard(sink, output, *told)


async def test_the_newest_takes_the_place_of_what_still_sounds(sink: EarconSink, output: FakeOutput) -> None:
    """Given a loudspeaker that never finishes. Then one sound at most is under way."""
    output.heard.clear()
    await heard(sink, output, WOKE, dropped("no_speech"), WOKE)

    assert 1 == sum("earcon" in task.get_name() for task in asyncio.all_tasks())


async def test_a_sound_that_is_not_configured_is_not_played(output: FakeOutput) -> None:
    sink = EarconSink(output, {"wake": SOUNDS["wake"]})

    assert ["wake"] == await heard(sink, output, WOKE, dropped("no_speech"), FAILED)
    await sink.close()


async def test_a_loudspeaker_that_fails_is_no_failure(
    sink: EarconSink, output: FakeOutput, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "heisenberg.sinks.earcons")
    output.error = AudioError("The loudspeaker is gone.")

    assert [] == await heard(sink, output, WOKE)
    assert ["the sound for wake was not heard: The loudspeaker is gone."] == caplog.messages


async def test_closing_ends_what_still_sounds(output: FakeOutput) -> None:
    """The test fails if a task is left behind."""
    sink = EarconSink(output, SOUNDS)
    output.heard.clear()
    sink.handle(WOKE)
    await settle()
    await sink.close()

    assert ["wake"] == await heard(sink, output, FAILED, state("idle"))


# ── with real outputs ────────────────────────────────────────────────────────────────────────────


@pytest.fixture(params=["none", "none, paced", "file", "file, paced"])
async def real(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AudioOutput]:
    kind, _, paced = request.param.partition(", ")
    made = NoOutput(paced=bool(paced)) if kind == "none" else WavOutput(tmp_path / "reply.wav", paced=bool(paced))
    yield made
    await made.close()


REPLY = AudioChunk.silence(0.1, 22_050)


async def test_a_reply_does_not_count_the_sound_before_it(real: AudioOutput) -> None:
    sink = EarconSink(real, SOUNDS)
    sink.handle(WOKE)
    async with asyncio.timeout(5):
        await asyncio.gather(*(task for task in asyncio.all_tasks() if "earcon" in task.get_name()))

    assert 0 == real.played_seconds
    await real.play(REPLY)
    assert 0.1 == pytest.approx(await real.drain(), abs=0.01)
    assert 0 == real.underruns
    await sink.close()


async def test_a_reply_is_heard_whole_after_a_sound_that_is_under_way(real: AudioOutput) -> None:
    """Given a slow loudspeaker, which has just begun with the sound when the reply comes."""
    sink = EarconSink(real, SOUNDS)
    sink.handle(WOKE)
    await asyncio.sleep(0)
    sink.handle(COMMITTED)
    await real.play(REPLY)

    assert 0.1 - 0.01 <= await real.drain() <= 0.1 + SOUNDS["wake"].seconds + 0.01
    await sink.close()


async def test_the_sound_is_in_the_file_that_is_written(tmp_path: Path) -> None:
    """Whoever listens to the file hears what the user heard."""
    output = WavOutput(tmp_path / "reply.wav")
    sink = EarconSink(output, SOUNDS)
    sink.handle(WOKE)
    await settle()
    await sink.close()
    await output.close()

    assert 0.14 == pytest.approx(len(read_all(tmp_path / "reply.wav")) / 16_000, abs=0.01)
    assert np.abs(read_all(tmp_path / "reply.wav")).max() > 3_000
