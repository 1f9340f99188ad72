"""What follows from the moments of one turn."""

import numpy as np
import pytest

from heisenberg.bench.trace import (
    LlmCall,
    SttCall,
    Trace,
    TtsCall,
    answered_path,
    between,
    gaps,
    latencies,
    longest_gap,
    spans,
)
from heisenberg.core.audio import CHUNK_SAMPLES, PIPELINE_RATE_HZ
from heisenberg.core.events import OscSent, SpeechEnded, TurnCompleted

COMMAND = np.zeros(PIPELINE_RATE_HZ, dtype=np.int16)
BEGAN = 100.0
"""When the file began to play."""


def stt(asked: float, done: float | None) -> SttCall:
    return SttCall(asked, COMMAND, done)


def ended(at: float) -> tuple[float, SpeechEnded]:
    return at, SpeechEnded(turn=1, at=at, audio_seconds=1.0, reason="silence")


def sent(at: float, address: str) -> tuple[float, OscSent]:
    return at, OscSent(turn=1, at=at, address=address)


def completed(at: float, **latency: float) -> tuple[float, TurnCompleted]:
    return at, TurnCompleted(turn=1, at=at, latency=latency)


def worked_ahead() -> Trace:
    """Speech ends at 102.0; a soft end at 102.2 starts everything, the end is certain at 102.5."""
    return Trace(
        chunks=[(102.19, 0), (102.495, 0)],
        stt=[stt(101.0, 101.2), stt(102.2, 102.3)],
        llm=[LlmCall(101.2, "what is"), LlmCall(102.301, "why?", token=102.35, clause=102.4, field=102.38)],
        tts=[TtsCall(101.5, "An old draft.", 101.6), TtsCall(102.402, "Because.", 102.45)],
        played=[(102.506, 1.0)],
        events=[
            sent(101.0, "/heisenberg/state"),
            ended(102.5),
            sent(102.51, "/visual/mood"),
            completed(103.0, endpoint=0.4, first_audio=0.406),
        ],
    )


def test_speech_ends_when_its_last_sample_was_delivered_however_late_chunks_were_read() -> None:
    """The reader was held up for 30 ms at the first chunk and for 100 ms at the last one."""
    numbers = range(1, 101)
    late = {1: 0.03, 100: 0.1}
    chunks = [(BEGAN + n * CHUNK_SAMPLES / PIPELINE_RATE_HZ + late.get(n, 0.0005), n * CHUNK_SAMPLES) for n in numbers]

    assert BEGAN + 2.0 == pytest.approx(Trace(chunks=chunks).moment(2.0), abs=0.001)


def test_only_what_led_to_the_answer_counts() -> None:
    trace = worked_ahead()

    path = answered_path(trace)

    assert path is not None
    assert (trace.stt[1], trace.llm[1], trace.tts[1]) == (path.stt, path.llm, path.tts)


@pytest.mark.parametrize(
    "trace",
    [
        Trace(),
        Trace(stt=[stt(1.0, 2.0)]),
        Trace(llm=[LlmCall(1.0, "typed")]),
        Trace(stt=[stt(1.0, None)], llm=[LlmCall(2.0, "?")]),
    ],
    ids=["nothing", "no question", "no transcript", "a failed transcript"],
)
def test_without_a_whole_path_nothing_led_to_an_answer(trace: Trace) -> None:
    assert answered_path(trace) is None


def test_the_wait_for_the_certain_end_is_no_overhead() -> None:
    """The sound was ready 50 ms before the end was certain and left 6 ms after it."""
    trace = worked_ahead()
    path = answered_path(trace)
    assert path is not None

    found = gaps(trace, path)

    assert {
        "last chunk → end noticed": pytest.approx(0.005),
        "pause → recogniser asked": pytest.approx(0.01),
        "transcript → language model asked": pytest.approx(0.001),
        "clause → voice asked": pytest.approx(0.002),
        "sound → output": pytest.approx(0.006),
        "field → datagram": pytest.approx(0.01),
    } == found


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(1.0, 1.2, 0.2), (1.0, 2.3, 0.3), (2.5, 2.6, 0.1), (None, 2.0, None), (1.0, None, None)],
    ids=["both before the end", "waited for the end", "both after it", "never began", "never came"],
)
def test_a_gap_begins_when_it_may_end(before: float | None, after: float | None, expected: float | None) -> None:
    found = between(before, after, certain=2.0)

    assert (None if expected is None else pytest.approx(expected)) == found


def test_latencies_count_from_the_true_end_of_speech() -> None:
    """The endpointer believed that speech ended at 102.1, which is 0.1 s too late."""
    found, overhang = latencies(worked_ahead(), end=102.0)

    assert {"endpoint": pytest.approx(0.5), "first_audio": pytest.approx(0.506)} == found
    assert pytest.approx(0.1) == overhang


@pytest.mark.parametrize("events", [[], [ended(102.5)], [completed(103.0, first_audio=1.0)]])
def test_a_turn_without_an_answer_has_no_latency(events: list[tuple[float, SpeechEnded | TurnCompleted]]) -> None:
    assert ({}, 0.0) == latencies(Trace(events=list(events)), end=102.0)


def test_stages_lie_where_they_worked() -> None:
    trace = worked_ahead()
    path = answered_path(trace)
    assert path is not None

    found = spans(trace, path, end=102.0)

    assert (0.0, pytest.approx(0.5)) == found["endpoint"]
    assert (pytest.approx(0.2), pytest.approx(0.3)) == found["stt"]
    assert (pytest.approx(0.402), pytest.approx(0.45)) == found["tts"]


def test_a_silent_voice_leaves_its_stage_out() -> None:
    trace = worked_ahead()
    trace.tts.clear()
    path = answered_path(trace)
    assert path is not None

    assert "tts" not in spans(trace, path, end=102.0)
    assert {"clause → voice asked", "sound → output"}.isdisjoint(gaps(trace, path))


@pytest.mark.parametrize(
    ("played", "expected"),
    [([], 0.0), ([(1.0, 2.0), (1.1, 2.0)], 0.0), ([(1.0, 0.5), (2.0, 1.0), (3.2, 1.0)], 0.5)],
    ids=["nothing", "ahead of time", "half a second late"],
)
def test_sound_that_comes_too_late_is_a_silence(played: list[tuple[float, float]], expected: float) -> None:
    assert pytest.approx(expected) == longest_gap(played)
