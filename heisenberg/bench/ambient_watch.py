"""Looks at a running program once a second: memory, what waits, and how much of the processor others take.

In: a session; out: a ``Sample`` each time, and at the end the others' share. It judges nothing.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import psutil

from heisenberg.orchestrator.session import Session

SAMPLE_EVERY_S = 1.0
SAY_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the running program."""

    at_s: float
    memory_mb: float
    """Resident memory of this process."""
    children_mb: float
    """Of the models' processes together."""
    waiting: int
    """What waited to be understood."""


class Processor:
    """Who uses this machine's processor, from the object's making on."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._began = self._all_s()
        self._own_before = self._own_s()

    def others_share(self) -> float:
        """Share (0–1) of all cores' time that neither this program nor its models took, nor anybody left idle."""
        (busy, total), (busy_before, total_before) = self._all_s(), self._began
        own = self._own_s() - self._own_before
        return max(0.0, (busy - busy_before - own) / max(0.01, total - total_before))

    def _own_s(self) -> float:
        used = 0.0
        for process in (self._process, *self._process.children(recursive=True)):
            with suppress(psutil.Error):
                times = process.cpu_times()
                # Those that have ended count as their parent's children.
                used += times.user + times.system + times.children_user + times.children_system
        return used

    @staticmethod
    def _all_s() -> tuple[float, float]:
        times = psutil.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        total = sum(getattr(times, name) for name in times._fields if not name.startswith("guest"))
        return total - idle, total


async def watch(session: Session, samples: list[Sample], status: Callable[[], str], say: Callable[[str], None]) -> None:
    """Look until cancelled; *say* the *status* now and then."""
    process, began, said_at = psutil.Process(), time.monotonic(), 0.0
    while True:
        at_s = time.monotonic() - began
        memory_mb, children_mb = await asyncio.to_thread(_memory_mb, process)
        waiting = 0 if session.ambience is None else session.ambience.waiting
        samples.append(Sample(at_s, memory_mb, children_mb, waiting))
        if at_s - said_at >= SAY_EVERY_S:
            said_at = at_s
            say(f"{at_s:.0f} s: {status()}")
        await asyncio.sleep(SAMPLE_EVERY_S)


def _memory_mb(process: psutil.Process) -> tuple[float, float]:
    children = 0
    for child in process.children(recursive=True):
        with suppress(psutil.Error):
            children += child.memory_info().rss
    return process.memory_info().rss / 1e6, children / 1e6
