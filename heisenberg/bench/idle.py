"""What idle listening costs: the processor share and memory of the main process and of its children.

A child runs ``heisenberg run`` on a paced recording of a quiet room with some noise, through the same code as
a microphone; it is watched from outside.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from heisenberg.bench.table import markdown
from heisenberg.core.audio import PIPELINE_RATE_HZ, AudioChunk
from heisenberg.core.errors import RunnerError

START_TIMEOUT_S = 120.0
SETTLE_S = 3.0


def measure(seconds: float) -> dict[str, float]:
    """``cpu_percent`` (of one core) and ``memory_mb`` of the main process, ``children_mb`` of the rest."""
    from heisenberg.main import write_wav

    with tempfile.TemporaryDirectory(prefix="heisenberg-bench-") as folder:
        wav, events = Path(folder) / "room.wav", Path(folder) / "events.jsonl"
        write_wav(wav, _quiet_room(seconds + SETTLE_S + 10))
        argv = [sys.executable, "-m", "heisenberg", "run", "--input", str(wav), "--output", "none", "--quiet"]
        child = subprocess.Popen([*argv, "--events", str(events)], stdin=subprocess.DEVNULL)
        try:
            main = psutil.Process(child.pid)
            _wait_until_listening(child, events)
            time.sleep(SETTLE_S)
            before, began = main.cpu_times(), time.monotonic()
            time.sleep(seconds)
            after, elapsed = main.cpu_times(), time.monotonic() - began
            used = after.user + after.system - before.user - before.system
            children = sum(process.memory_info().rss for process in main.children(recursive=True))
            return {
                "cpu_percent": 100 * used / elapsed,
                "memory_mb": main.memory_info().rss / 1e6,
                "children_mb": children / 1e6,
            }
        finally:
            child.terminate()
            child.wait(20)


def report(figures: dict[str, float]) -> str:
    """The figures as a table."""
    rows = [
        ["processor, main process, % of one core", f"{figures['cpu_percent']:.1f}"],
        ["memory, main process, MB", f"{figures['memory_mb']:.0f}"],
        ["memory, model processes, MB", f"{figures['children_mb']:.0f}"],
    ]
    return markdown(["idle listening, one wake word", ""], rows)


def _wait_until_listening(child: "subprocess.Popen[bytes]", events: Path) -> None:
    """The events file is made when the session begins."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while not events.exists():
        if child.poll() is not None or time.monotonic() > deadline:
            raise RunnerError("The assistant did not start; try heisenberg run and heisenberg doctor.")
        time.sleep(0.1)


def _quiet_room(seconds: float) -> AudioChunk:
    noise = np.random.default_rng(1).normal(0.0, 60.0, int(seconds * PIPELINE_RATE_HZ))
    return AudioChunk(noise.astype(np.int16), PIPELINE_RATE_HZ)
