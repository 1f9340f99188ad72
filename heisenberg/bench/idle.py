"""What idle listening costs: the processor share and memory of the main process and of its children.

A child runs ``heisenberg run`` on a paced recording of a quiet room with some noise, through the same code as
a microphone; it is watched from outside.
"""

import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from heisenberg.bench.table import markdown
from heisenberg.core import keys, sources
from heisenberg.core.audio import PIPELINE_RATE_HZ, AudioChunk
from heisenberg.core.config import Config
from heisenberg.core.errors import RunnerError

log = logging.getLogger(__name__)

START_TIMEOUT_S = 120.0
SETTLE_S = 3.0
STOP_TIMEOUT_S = 20.0


def measure(config: Config, seconds: float) -> dict[str, float]:
    """``cpu_percent`` (of one core) and ``memory_mb`` of the main process, ``children_mb`` of the rest.

    Raises: RunnerError if the assistant does not start or ends early.
    """
    from heisenberg.bench.questions import write_wav

    with tempfile.TemporaryDirectory(prefix="heisenberg-bench-") as folder:
        wav, events = Path(folder) / "room.wav", Path(folder) / "events.jsonl"
        write_wav(wav, _quiet_room(seconds + SETTLE_S + 10))
        settings, environment = as_given(config, Path(folder))
        argv = [sys.executable, "-m", "heisenberg", "run", "--input", str(wav), "--output", "none", "--quiet"]
        argv += ["--events", str(events), *settings]
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, env=environment)
        try:
            _wait_until_listening(child, events)
            return _watched(psutil.Process(child.pid), seconds)
        except psutil.Error as exc:
            raise RunnerError("The assistant ended while it was watched; try heisenberg run.") from exc
        finally:
            end(child, STOP_TIMEOUT_S)


def as_given(config: Config, folder: Path) -> tuple[list[str], dict[str, str]]:
    """Arguments and environment that make a child's configuration *config*, whatever lies around.

    Everything goes on the command line, which wins over files and variables; but secrets go into the environment,
    where other users do not see them. An empty file in *folder* stands in for the user's.
    """
    nothing = folder / "nothing.toml"
    nothing.touch()
    arguments, environment = ["--config", str(nothing)], dict(os.environ)
    document = config.model_dump(mode="json", by_alias=True)
    for name, _ in keys.all_keys():
        section, key = name.split(".")
        value = document[section][key]
        if value is None:
            continue
        text = value if isinstance(value, str) else json.dumps(value)
        if keys.masked(name, value) == value:
            arguments += ["--set", f"{name}={text}"]
        else:
            environment[f"{sources.PREFIX}{section}__{key}".upper()] = text
    return arguments, environment


def end(child: "subprocess.Popen[bytes]", timeout_s: float) -> None:
    """Ask *child* to end, and make it end if it has not after *timeout_s* seconds."""
    child.terminate()
    try:
        child.wait(timeout_s)
    except subprocess.TimeoutExpired:
        log.warning("the assistant did not end within %g s and is killed", timeout_s)
    finally:  # also when we are interrupted meanwhile
        child.kill()
        child.wait()


def _watched(main: psutil.Process, seconds: float) -> dict[str, float]:
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
