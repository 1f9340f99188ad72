"""Children are killed in the middle of turns, and the parent, too: nothing hangs, nothing survives."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests import speech
from tests.e2e.program import running

pytestmark = pytest.mark.e2e

PATIENCE_S = 90.0
POLL_S = 0.02


def wait_for(condition: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
    """Poll until *condition* gives something; what another process does cannot be waited for otherwise."""
    deadline = time.monotonic() + patience_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"no {what} within {patience_s:g} s"
        time.sleep(POLL_S)
    return found


def events_in(path: Path) -> list[dict[str, Any]]:
    """The whole lines of an events file so far."""
    if not path.exists():
        return []
    return [
        json.loads(line) for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")
    ]


def child_running(parent: int, program: str) -> psutil.Process | None:
    """The child of *parent* with *program* in its command line."""
    for child in psutil.Process(parent).children(recursive=True):
        try:
            if program in " ".join(child.cmdline()):
                return child
        except psutil.Error:
            continue
    return None


def two_questions(folder: Path) -> Path:
    question = speech.join(speech.say("Hey Jarvis."), speech.silence(0.3), speech.say("Tell me about the ocean."))
    sound = speech.join(speech.silence(1.0), question, speech.silence(2.5), question, speech.silence(2.5))
    return speech.write_wav(folder / "two.wav", sound)


@pytest.mark.parametrize(
    ("program", "at"),
    [
        ("workers.whisper", "wakeword_detected"),
        ("workers.whisper", "speech_ended"),
        ("workers.llama", "speech_ended"),
        ("workers.llama", "llm_started"),
        ("workers.llama", "llm_sentence"),
        ("workers.piper", "llm_started"),
        ("workers.piper", "speaking_started"),
    ],
)
def test_a_killed_child_costs_at_most_its_turn(tmp_path: Path, program: str, at: str) -> None:
    """SIGKILL at a moment of the first turn: it is retried, or ends with `failed`; the second turn works."""
    events = tmp_path / "events.jsonl"
    arguments = ["run", "--input", str(two_questions(tmp_path)), "--fast", "--events", str(events)]
    arguments += ["--output", str(tmp_path / "answer.wav"), "--set", 'osc.targets=["127.0.0.1:9"]']
    with running(*arguments) as process:
        wait_for(lambda: [e for e in events_in(events) if e["type"] == at], at)
        victim = child_running(process.pid, program)
        assert victim is not None
        victim.kill()
        process.wait(PATIENCE_S)

    found = events_in(events)
    ends = {e["turn"]: e["type"] for e in found if e["type"] in ("turn_completed", "turn_dropped", "failed")}
    assert ends[1] in ("turn_completed", "failed")
    assert ends[2] == "turn_completed"
    assert [e["model"] for e in found if e["type"] == "worker_failed"]
    assert process.returncode == (0 if ends[1] == "turn_completed" else 1)
    assert not victim.is_running()


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_child_survives_its_parent(ending: signal.Signals) -> None:
    """However the parent ends, its children are gone a moment later."""
    process = subprocess.Popen(
        [sys.executable, "-m", "heisenberg", "run", "--text", "--output", "none", "--events", "-"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert process.stdin is not None
        process.stdin.write(b"Who are you?\n")
        process.stdin.flush()
        assert process.stdout is not None
        assert process.stdout.readline()  # the first event: everything is loaded
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 3
        process.send_signal(ending)
        process.wait(30)
        _, alive = psutil.wait_procs(children, timeout=10)

        assert alive == []
    finally:
        process.kill()
        process.communicate()
