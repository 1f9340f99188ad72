"""Keeps account of a session's turns, and of what may leak: what ``soak.py`` judges a run by.

The ledger is a sink. It holds every turn to the same promises, whatever went wrong: one end with a known reason, no
state for longer than its bound, nothing said before it is certain. It remembers counts, not events.
"""

import asyncio
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from heisenberg.core.errors import CODES
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
    WorkerStarted,
)

DROP_REASONS = frozenset({"no_speech", "no_followup", "stt_empty", "stopped", "interrupted", "muted", "input_lost"})
"""Why a turn may end on purpose."""

BOUND_SLACK_S = 25.0
"""An apology and the end of cancelled work come on top of a state's bound."""

MOST_PROBLEMS = 50
KEPT_ENDS = 3


class TurnLedger:
    """A sink that notices broken promises.

    Args:
        bound_s: the longest stay in a state, in seconds; None where there is no bound.
    """

    def __init__(self, bound_s: Callable[[str], float | None]) -> None:
        self.ends: Counter[str] = Counter()
        """``completed``, ``dropped: <reason>`` or ``failed: <code>`` → turns."""
        self.healed: Counter[str] = Counter()
        """What came back → how often."""
        self.problems: list[str] = []
        self.events = 0
        self.longest_turn_s = 0.0
        self.last_ends: deque[str] = deque(maxlen=KEPT_ENDS)
        """How the latest turns ended."""
        self._bound_s = bound_s
        self._turn = 0
        self._began_at = 0.0
        self._turn_ends = 1
        self._is_committed = False
        self._state, self._state_since = "starting", 0.0

    @property
    def turns(self) -> int:
        """How many turns have begun."""
        return self._turn

    def handle(self, event: Event) -> None:
        """Take note of *event*."""
        self.events += 1
        if event.turn != self._turn:
            self._begin(event)
        match event:
            case TurnCompleted():
                self._end(event, "completed")
            case TurnDropped(reason=reason):
                self._end(event, f"dropped: {reason}", is_known=reason in DROP_REASONS)
            case Failed(code=code):
                self._end(event, f"failed: {code}", is_known=code in CODES and code != "internal")
            case TurnCommitted():
                self._is_committed = True
            case VisualUpdated() | SpeakingStarted() if not self._is_committed:
                self._complain(f"turn {event.turn}: {event.type} before it was certain")
            case StateChanged(state=state):
                self._enter(state, event.at)
            case WorkerStarted(model=model, reason="restart"):
                self.healed[f"{model} restarted"] += 1
            case InputRestored():
                self.healed["microphone restored"] += 1
            case Stalled(what=what, seconds=seconds):
                self._complain(f"turn {event.turn}: the {what} stood still for {seconds:g} s")

    async def close(self) -> None:
        """Nothing to release."""

    def finish(self) -> None:
        """The session is over: nothing may be open."""
        self._check_ended()
        if self._state not in ("idle", "starting"):
            self._complain(f"the session ended while {self._state}")

    def _begin(self, event: Event) -> None:
        if event.turn != self._turn + 1:
            self._complain(f"turn {event.turn} came after turn {self._turn}")
        self._check_ended()
        self._turn, self._began_at = event.turn, event.at
        self._turn_ends = 0
        self._is_committed = False

    def _end(self, event: Event, how: str, *, is_known: bool = True) -> None:
        self._turn_ends += 1
        self.ends[how] += 1
        self.last_ends.append(how)
        self.longest_turn_s = max(self.longest_turn_s, event.at - self._began_at)
        if self._turn_ends > 1:
            self._complain(f"turn {event.turn} ended again: {how}")
        if not is_known:
            self._complain(f"turn {event.turn} ended for an unknown reason: {how}")

    def _enter(self, state: str, at: float) -> None:
        bound_s = self._bound_s(self._state)
        if bound_s is not None and at - self._state_since > bound_s + BOUND_SLACK_S:
            self._complain(
                f"turn {self._turn} was {self._state} for {at - self._state_since:.0f} s, beyond {bound_s:g} s"
            )
        self._state, self._state_since = state, at

    def _check_ended(self) -> None:
        if self._turn_ends == 0:
            self._complain(f"turn {self._turn} never ended")

    def _complain(self, problem: str) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(problem)


@dataclass(frozen=True, slots=True)
class Census:
    """What a program holds at a moment."""

    threads: tuple[str, ...]
    """Names of Python's threads, sorted."""
    native_threads: int
    """Threads that the system counts, those of libraries included."""
    tasks: tuple[str, ...]
    """Names of asyncio's tasks, sorted."""
    children: int
    descriptors: int
    """Open files and sockets; 0 where the system does not say."""
    memory_mb: float
    """Resident set of this process; its children are not counted."""


def census() -> Census:
    """Count now. Call it on the event loop."""
    process = psutil.Process()
    descriptors = process.num_fds() if hasattr(process, "num_fds") else process.num_handles()
    tasks = (task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task())
    return Census(
        tuple(sorted(thread.name for thread in threading.enumerate() if not _is_pooled(thread))),
        process.num_threads(),
        tuple(sorted(tasks)),
        len([child for child in process.children(recursive=True) if _runs(child)]),
        descriptors,
        process.memory_info().rss / 1e6,
    )


def leaks(before: Census, after: Census) -> list[str]:
    """What *after* holds and *before* did not, one line each."""
    found = [f"thread left behind: {name}" for name in _added(before.threads, after.threads)]
    found += [f"task left behind: {name}" for name in _added(before.tasks, after.tasks)]
    if after.children > before.children:
        found.append(f"{after.children - before.children} child processes left behind")
    if after.descriptors > before.descriptors:
        found.append(f"{after.descriptors - before.descriptors} descriptors left open")
    return found


def _added(before: tuple[str, ...], after: tuple[str, ...]) -> list[str]:
    return sorted((Counter(after) - Counter(before)).elements())


def _is_pooled(thread: threading.Thread) -> bool:
    """The event loop's own workers: a bounded pool that lives as long as the loop."""
    return thread.name.startswith("asyncio_")


def _runs(child: psutil.Process) -> bool:
    """A zombie holds nothing; Python's resource tracker lives until the interpreter ends."""
    try:
        return child.status() != psutil.STATUS_ZOMBIE and "resource_tracker" not in " ".join(child.cmdline())
    except psutil.Error:
        return False
