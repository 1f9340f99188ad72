"""Two hundred turns in one process: nothing grows and nothing is left behind."""

from pathlib import Path

import psutil
import pytest

from tests import speech
from tests.e2e.program import running
from tests.e2e.test_faults import events_in, wait_for

pytestmark = pytest.mark.e2e

TURNS = 200
WARM_TURNS = 40
"""Caches and pools fill during the first turns."""

NOISE_BYTES = 12_000_000
CHILDREN_NOISE_BYTES = 60_000_000
"""The language model's server keeps the prompts it has read, up to a bound of its own."""


def census(process: psutil.Process) -> dict[str, int]:
    """What could leak."""
    with process.oneshot():
        return {
            "memory": process.memory_info().rss,
            "descriptors": process.num_fds(),
            "threads": process.num_threads(),
            "children": len(process.children(recursive=True)),
            "children's memory": sum(child.memory_info().rss for child in process.children(recursive=True)),
        }


@pytest.mark.skipif(not hasattr(psutil.Process, "num_fds"), reason="counts file descriptors")
def test_two_hundred_turns_leak_nothing(tmp_path: Path) -> None:
    """Real engines, short answers, and nobody who reads its standard error.

    The census after 40 turns and the one after 200 are the same but for noise.
    """
    turn = speech.join(speech.say("Hey Jarvis."), speech.silence(0.2), speech.say("Lights!"), speech.silence(1.2))
    sound = speech.join(speech.silence(1.0), *[turn] * TURNS)
    wav, events = speech.write_wav(tmp_path / "many.wav", sound), tmp_path / "events.jsonl"
    arguments = ["run", "--input", str(wav), "--fast", "--output", "none", "--events", str(events), "--quiet"]
    arguments += ["--set", "llm.max_tokens=16", "--set", 'osc.targets=["127.0.0.1:9"]', "--set", "llm.history_turns=2"]

    def ended() -> int:
        return sum(e["type"] in ("turn_completed", "turn_dropped", "failed") for e in events_in(events))

    with running(*arguments) as process:
        main = psutil.Process(process.pid)
        wait_for(lambda: ended() >= WARM_TURNS or process.poll() is not None, "warm turns", 300)
        early = census(main)
        wait_for(lambda: ended() >= TURNS - 5 or process.poll() is not None, "all turns", 600)
        late = census(main)
        process.wait(60)

    assert process.returncode == 0
    assert ended() == TURNS
    assert late["children"] == early["children"]
    assert late["threads"] <= early["threads"] + 1
    assert late["descriptors"] <= early["descriptors"] + 3
    print(early, late)
    assert late["children's memory"] - early["children's memory"] < CHILDREN_NOISE_BYTES
    assert late["memory"] - early["memory"] < NOISE_BYTES
