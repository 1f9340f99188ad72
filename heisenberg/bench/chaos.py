"""What goes wrong in a soak: children killed and stopped, wrong answers, receivers and loudspeakers that fail.

:class:`Mischief` is a sink: it draws a fault from a seeded deck at each wake word and strikes at the moment of the
turn that belongs to it. What goes wrong with the microphone is in ``room_life.py``. Nothing here judges the outcome.
"""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from heisenberg.bench.bad_llm import WRONG_ANSWERS, BadLlm
from heisenberg.bench.troubled_ends import OscEar, TroubledOutput
from heisenberg.core.events import Event, TurnCompleted, TurnDropped, WakewordDetected

MOMENTS = {
    "whisper": ("wakeword_detected", "speech_started", "speech_ended", "turn_committed"),
    "llama": ("speech_started", "speech_ended", "llm_started", "llm_token", "llm_sentence"),
    "piper": ("llm_started", "llm_sentence", "speaking_started"),
}
"""Events of a turn at which it hurts to lose each program."""

LONGEST_DELAY_S = 0.3
PAUSE_S = 1.0
MOST_ARMED = 5
OSC_CLOSED_TURNS = 2


@dataclass(frozen=True, slots=True)
class Victims:
    """What can be made to fail."""

    pids: Callable[[], dict[str, int]]
    """The models' processes: program (``whisper``, ``llama``, ``piper``) → process id; those that run now."""
    llm: BadLlm
    output: TroubledOutput
    osc: OscEar


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong."""

    name: str
    moment: str
    """The event at which it strikes."""
    strike: Callable[[], bool]
    """Do it; False if there was nothing to do it to."""


class Mischief:
    """A sink that makes things fail. Use as a context manager around the session.

    Args:
        victims: what can fail.
        seed: of the order of faults and of their moments.
        rate: how many faults come with each wake word, on average.
        is_over: whether nothing may go wrong any more.
    """

    def __init__(
        self, victims: Victims, seed: int, *, rate: float = 1.0, is_over: Callable[[], bool] = lambda: False
    ) -> None:
        self.struck: Counter[str] = Counter()
        """What went wrong so far. Wrong answers are counted where they are given."""
        self._victims = victims
        self._random = random.Random(seed)
        self._rate = rate
        self._is_over = is_over
        self._deck: list[str] = []
        self._armed: list[Fault] = []
        self._timers: set[asyncio.TimerHandle] = set()
        self._osc_back_after = 0
        self._reopening: asyncio.Task[None] | None = None
        self._kinds = [*PROCESS_FAULTS, *OTHER_FAULTS, *(f"answer: {name}" for name in WRONG_ANSWERS)]

    @property
    def faults(self) -> Counter[str]:
        """Everything that went wrong, by name."""
        return self.struck + Counter({f"answer: {name}": count for name, count in self._victims.llm.given.items()})

    @property
    def missing(self) -> list[str]:
        """What has not gone wrong yet."""
        return [kind for kind in self._kinds if not self.faults[kind]]

    def handle(self, event: Event) -> None:
        """Draw a fault at a wake word; let those strike whose moment has come."""
        if isinstance(event, WakewordDetected):
            self._begin_turn()
        elif isinstance(event, TurnCompleted | TurnDropped):
            self._end_turn()
        due = [fault for fault in self._armed if fault.moment == event.type]
        self._armed = [fault for fault in self._armed if fault.moment != event.type]
        for fault in due:
            self._after(self._random.uniform(0, LONGEST_DELAY_S), lambda fault=fault: self._strike(fault))  # type: ignore[misc]

    async def close(self) -> None:
        """Do nothing any more."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        if self._reopening is not None:
            await asyncio.gather(self._reopening, return_exceptions=True)
        self._victims.osc.close()

    # ── turns ────────────────────────────────────────────────────────────────────────────────────

    def _begin_turn(self) -> None:
        if self._is_over():
            self._armed.clear()
            self._victims.llm.relent()
            self._victims.output.fail(0)
            return
        due = int(self._rate) + (self._random.random() < self._rate % 1)
        self._armed += [self._draw() for _ in range(min(due, MOST_ARMED - len(self._armed)))]

    def _end_turn(self) -> None:
        if self._osc_back_after > 0:
            self._osc_back_after -= 1
            if self._osc_back_after == 0 or self._is_over():
                self._reopening = asyncio.create_task(self._reopen_osc(), name="OSC receiver returns")

    def _draw(self) -> Fault:
        if not self._deck:
            self._deck = self.missing or self._kinds.copy()
            self._random.shuffle(self._deck)
        name = self._deck.pop()
        if name in PROCESS_FAULTS:
            program = name.partition(" ")[2]
            return Fault(name, self._random.choice(MOMENTS[program]), lambda: self._hurt(name.split()[0], program))
        if name in OTHER_FAULTS:
            return Fault(name, OTHER_FAULTS[name], lambda: self._disturb(name))
        return Fault(name, "speech_started", lambda: self._spoil(name.partition(": ")[2]))

    def _strike(self, fault: Fault) -> None:
        if self._is_over():
            return
        if not fault.strike():
            self._armed.append(fault)  # its victim is away already; next time
        elif not fault.name.startswith("answer: "):
            self.struck[fault.name] += 1

    # ── faults ───────────────────────────────────────────────────────────────────────────────────

    def _hurt(self, how: str, program: str) -> bool:
        """Kill, stop or pause the program and what it started."""
        pid = self._victims.pids().get(program)
        if pid is None:
            return False
        processes = family(pid)
        if how == "pause":
            self._after(PAUSE_S, lambda: each(processes, psutil.Process.resume))
        return each(processes, psutil.Process.kill if how == "kill" else psutil.Process.suspend)

    def _spoil(self, name: str) -> bool:
        self._victims.llm.arm(name)
        return True

    def _disturb(self, name: str) -> bool:
        match name:
            case "output fails":
                self._victims.output.fail(self._random.randint(1, 6))
            case "output is slow":
                self._victims.output.dawdle(self._random.uniform(0.5, 3))
            case "OSC receiver closed":
                self._victims.osc.close()
                self._osc_back_after = OSC_CLOSED_TURNS
        return True

    async def _reopen_osc(self) -> None:
        with contextlib.suppress(OSError):  # somebody took the port; it stays closed
            await self._victims.osc.open()

    def _after(self, seconds: float, act: Callable[[], object]) -> None:
        def done() -> None:
            self._timers.discard(timer)
            act()

        timer = asyncio.get_running_loop().call_later(seconds, done)
        self._timers.add(timer)


PROCESS_FAULTS = tuple(f"{how} {program}" for how in ("kill", "stall", "pause") for program in MOMENTS)
OTHER_FAULTS = {"output fails": "llm_started", "output is slow": "llm_started", "OSC receiver closed": "speech_ended"}
"""By name, with the event at which each strikes."""


def family(pid: int) -> list[psutil.Process]:
    """The process and everything it started; empty if it is gone."""
    try:
        parent = psutil.Process(pid)
        return [*parent.children(recursive=True), parent]
    except psutil.Error:
        return []


def each(processes: list[psutil.Process], act: Callable[[psutil.Process], object]) -> bool:
    """Do *act* to each that still runs; whether there was one."""
    done = False
    for process in processes:
        with contextlib.suppress(psutil.Error):
            act(process)
            done = True
    return done
