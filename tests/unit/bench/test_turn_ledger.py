"""The judge of a soak sees what it is there to see: planted faults and planted leaks."""

import asyncio
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from heisenberg.bench.turn_ledger import BOUND_SLACK_S, DROP_REASONS, Census, TurnLedger, census, leaks
from heisenberg.core import events
from heisenberg.core.events import (
    Event,
    Failed,
    InputRestored,
    SpeakingStarted,
    Stalled,
    StateChanged,
    TurnCommitted,
    TurnCompleted,
    TurnDropped,
    VisualUpdated,
    WakewordDetected,
    WorkerStarted,
)


def woken(turn: int, at: float = 0.0) -> Event:
    return WakewordDetected(turn=turn, at=at, name="hey_jarvis", score=0.9, audio_at=at)


def state(now: str, before: str, at: float, turn: int = 1) -> Event:
    return StateChanged(turn=turn, at=at, state=now, previous=before)


def completed(turn: int, at: float = 1.0) -> Event:
    return TurnCompleted(turn=turn, at=at, latency={})


def told(*happened: Event) -> TurnLedger:
    """A ledger that was told of a whole session."""
    ledger = TurnLedger({"listening": 10.0, "thinking": 20.0}.get)
    for event in happened:
        ledger.handle(event)
    ledger.finish()
    return ledger


def test_turns_that_end_once_for_known_reasons_are_no_problem() -> None:
    ledger = told(
        state("idle", "starting", 0.0, turn=0),
        woken(1), TurnCommitted(turn=1, at=1, reason="silence"),
        VisualUpdated(turn=1, at=2, field="mood", value="calm"), SpeakingStarted(turn=1, at=2), completed(1, 3.0),
        woken(2), TurnDropped(turn=2, at=4, reason="no_speech"),
        woken(3), Failed(turn=3, at=5, code="stt-timeout", message="…"),
        WorkerStarted(turn=3, at=5, model="whisper-tiny.en", reason="restart"),
        WorkerStarted(turn=3, at=5, model="piper", reason="start"),
        InputRestored(turn=3, at=6),
    )  # fmt: skip

    assert [] == ledger.problems
    assert {"completed": 1, "dropped: no_speech": 1, "failed: stt-timeout": 1} == ledger.ends
    assert {"whisper-tiny.en restarted": 1, "microphone restored": 1} == ledger.healed
    assert 3 == ledger.turns


@pytest.mark.parametrize(
    ("happened", "problem"),
    [
        ([woken(1)], "turn 1 never ended"),
        ([woken(1), woken(2), completed(2)], "turn 1 never ended"),
        ([woken(1), completed(1), completed(1)], "turn 1 ended again: completed"),
        ([woken(1), TurnDropped(turn=1, at=1, reason="bored")], "turn 1 ended for an unknown reason: dropped: bored"),
        ([woken(1), Failed(turn=1, at=1, code="oops", message="")], "turn 1 ended for an unknown reason: failed: oops"),
        ([woken(1), Failed(turn=1, at=1, code="internal", message="")], "for an unknown reason: failed: internal"),
        ([woken(2), completed(2)], "turn 2 came after turn 0"),
        ([woken(1), SpeakingStarted(turn=1, at=1), completed(1)], "speaking_started before it was certain"),
        ([state("listening", "idle", 0), woken(1), completed(1)], "the session ended while listening"),
        ([Stalled(turn=0, at=1, what="loop", seconds=3)], "the loop stood still for 3 s"),
    ],
)
def test_a_broken_promise_is_noticed(happened: list[Event], problem: str) -> None:
    (found,) = {text for text in told(*happened).problems if problem in text}

    assert found


def test_a_turn_that_stays_in_a_state_beyond_its_bound_is_noticed() -> None:
    late_s = 20 + BOUND_SLACK_S
    in_time = told(state("thinking", "idle", 0.0), state("idle", "thinking", late_s - 1), completed(1))
    late = told(state("thinking", "idle", 0.0), state("idle", "thinking", late_s + 1), completed(1))

    assert [] == in_time.problems
    assert [f"turn 1 was thinking for {late_s + 1:.0f} s, beyond 20 s"] == late.problems


def test_idle_has_no_bound() -> None:
    assert (
        []
        == told(state("idle", "starting", 0.0, turn=0), state("listening", "idle", 9_999.0), completed(1)).problems[1:]
    )


def test_the_reasons_are_those_that_the_event_lists() -> None:
    source = Path(events.__file__).read_text(encoding="utf-8")
    listed = re.findall(r"``(\w+)``", source.partition("class TurnDropped")[2].partition("@dataclass")[0])

    assert set(listed) == DROP_REASONS


def test_many_problems_do_not_fill_the_memory() -> None:
    assert len(told(*(woken(turn) for turn in range(1, 1000))).problems) < 100


# ── leaks ────────────────────────────────────────────────────────────────────────────────────────


async def test_nothing_leaks_between_two_looks() -> None:
    assert [] == leaks(census(), census())


async def test_a_thread_that_is_left_is_noticed() -> None:
    before, end = census(), threading.Event()
    thread = threading.Thread(target=end.wait, name="left over")
    thread.start()
    after = census()
    end.set()
    thread.join()

    assert ["thread left behind: left over"] == leaks(before, after)


async def test_a_task_that_is_left_is_noticed() -> None:
    before = census()
    task = asyncio.create_task(asyncio.sleep(60), name="left over")
    after = census()
    task.cancel()

    assert ["task left behind: left over"] == leaks(before, after)


async def test_a_descriptor_that_is_left_is_noticed(tmp_path: Path) -> None:
    before = census()
    with (tmp_path / "open").open("w"):
        after = census()

    assert ["1 descriptors left open"] == leaks(before, after)


async def test_a_child_that_is_left_is_noticed() -> None:
    before = census()
    child = await asyncio.to_thread(subprocess.Popen, [sys.executable, "-c", "import time; time.sleep(60)"])
    after = census()
    child.kill()
    child.wait()

    assert ["1 child processes left behind"] == leaks(before, after)


async def test_the_event_loops_own_workers_are_no_leak() -> None:
    before = census()
    await asyncio.to_thread(int)

    assert [] == leaks(before, census())


def test_what_has_gone_is_no_leak() -> None:
    before = Census(("a", "b"), 4, ("t",), 3, 20, 100.0)
    after = Census(("a",), 3, (), 0, 10, 90.0)

    assert [] == leaks(before, after)
