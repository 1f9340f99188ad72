"""Hours of room life in minutes, with faults: the whole assistant runs, and afterwards everything is accounted for.

In: a configuration and a seed; out: a report that says whether each turn ended for a known reason and nothing was
left behind. The room is ``room_life.py``, the faults are ``chaos.py``, the judge is ``turn_ledger.py``. The assistant
is the product's own composition; only the lane of the language model leads through a relay.
"""

import asyncio
import contextlib
import logging
import statistics
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from heisenberg.bench.bad_llm import BadLlm
from heisenberg.bench.chaos import Mischief, Victims
from heisenberg.bench.room import Room
from heisenberg.bench.room_life import Bank, Scenes, synthesise_bank
from heisenberg.bench.soak_report import MEMORY_BOUND_MB, SoakReport, report
from heisenberg.bench.troubled_ends import OscEar, TroubledOutput
from heisenberg.bench.turn_ledger import Census, TurnLedger, census, leaks
from heisenberg.core.config import Config
from heisenberg.core.errors import HeisenbergError
from heisenberg.core.stages import LeaseService
from heisenberg.main import run_session
from heisenberg.models import Runner
from heisenberg.orchestrator.states import State
from heisenberg.runner.lanes import Priority
from heisenberg.wiring.options import RunOptions
from heisenberg.wiring.turns import bounds

__all__ = ["SoakReport", "report", "soak"]

log = logging.getLogger(__name__)

STUCK_S = 300.0
"""So long without any event, nothing moves any more: longer than every bound."""

SAY_EVERY_S = 30.0
POLL_S = 0.25
SETTLE_S = 5.0
"""What is ending when the session is over may take so long."""

WAKES_HEARD = 0.8
"""So many of the wake phrases must have begun a turn; of a live room, which talks over the answers, half as many."""

REHEARSAL_PATIENCE = 4.0
"""Nothing is made to fail while questions are synthesised; the voice may take its time, on a busy machine, too."""

NOWHERE = f"{'x' * 64}.invalid:7000"
"""A name that cannot be looked up, on any network or without one: a label has at most 63 characters."""


async def soak(
    config: Config,
    *,
    minutes: float,
    seed: int,
    say: Callable[[str], None],
    fault_rate: float = 0.6,
    wants_all_faults: bool = False,
    live_speed: float = 0.0,
    patience: float = 1.0,
) -> SoakReport:
    """Live through *minutes* of audio.

    Args:
        config: models and voices are taken from it; timeouts, OSC targets and the answers' length are the soak's.
        minutes: of audio; the calm questions at the end come on top.
        seed: of the room and of the faults. What strikes when also depends on how fast the machine is.
        say: told how far it is, now and then.
        fault_rate: how many faults come with each wake word, on average.
        wants_all_faults: go on until each fault struck once, up to twice as long.
        live_speed: with a number the room does not wait for answers, and is so many times as fast as real time.
        patience: the timeouts of the services, as a factor.

    Raises: HeisenbergError if the models cannot be started at all.
    """
    say("synthesising what is said in the room, and trying whether it is answered")
    bank = await _rehearse(hurried(config, [NOWHERE], REHEARSAL_PATIENCE), seed)
    before = census()
    began = asyncio.get_running_loop().time()
    run = _Run(config, minutes, seed, fault_rate, wants_all_faults, live_speed, patience)
    async with run.everything_ready(bank):
        await run.live(say)
    await _settle(before)
    return run.report(before, census(), asyncio.get_running_loop().time() - began)


def hurried(config: Config, osc_targets: list[str], patience: float = 1.0) -> Config:
    """*config* with timeouts that make a stalled child cost seconds, and short answers.

    The watchdog has more patience than usual: a machine that runs a soak may be busy otherwise, too.
    """
    changes: dict[str, dict[str, object]] = {
        "stt": {"timeout_seconds": 8.0 * patience},
        "llm": {"timeout_seconds": 16.0 * patience, "stall_seconds": 4.0 * patience, "max_tokens": 48},
        "tts": {"timeout_seconds": 6.0 * patience},
        "osc": {"targets": osc_targets},
        "runner": {"breaker_failures": 50},
        "watchdog": {"stall_seconds": 20.0},
    }
    sections = {name: getattr(config, name).model_copy(update=change) for name, change in changes.items()}
    return config.model_copy(update=sections)


async def _rehearse(config: Config, seed: int) -> Bank:
    """What is said in the room. Some of it is asked as well: every library is loaded before anything is counted."""
    async with Runner(config) as runner:
        bank = await synthesise_bank(runner)
        room, output = Room(Scenes(bank, config.vad, seed), 0.0), TroubledOutput()
        await run_session(config, runner, RunOptions(source=room, sound_output=output, is_quiet=True))
    return bank


# ── one soak ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Memory:
    """The main process's size, now and then."""

    every_turns: int = 1
    samples_mb: list[float] = field(default_factory=list)
    _next_turn: int = 0

    def note(self, turns: int, memory_mb: Callable[[], float]) -> None:
        """Take a sample if it is time; half of them are forgotten when there are many."""
        if turns < self._next_turn:
            return
        self.samples_mb.append(memory_mb())
        if len(self.samples_mb) > 600:
            self.samples_mb = self.samples_mb[::2]
            self.every_turns *= 2
        self._next_turn = turns + self.every_turns

    @property
    def growth_mb(self) -> float:
        """From the first third, after the first turns, to the last; 0 if there is too little to tell."""
        third = len(self.samples_mb) // 3
        if third < 2:
            return 0.0
        early, late = self.samples_mb[third : 2 * third], self.samples_mb[-third:]
        return statistics.median(late) - statistics.median(early)


class _Run:
    """The parts of one soak and what they tell."""

    def __init__(
        self,
        config: Config,
        minutes: float,
        seed: int,
        fault_rate: float,
        wants_all_faults: bool,
        live_speed: float,
        patience: float,
    ) -> None:
        self._config = config
        self._seconds = minutes * 60
        self._seed = seed
        self._fault_rate = fault_rate
        self._wants_all_faults = wants_all_faults
        self._live_speed = live_speed
        self._patience = patience
        self._memory = _Memory()
        self._osc = OscEar()
        self._output = TroubledOutput(paced=live_speed > 0)

    @asynccontextmanager
    async def everything_ready(self, bank: Bank) -> AsyncIterator[None]:
        """Relay, receiver, models and room."""
        async with AsyncExitStack() as stack:
            await self._osc.open()
            stack.callback(self._osc.close)
            llm = await stack.enter_async_context(BadLlm())
            self._hurried = hurried(self._config, [f"127.0.0.1:{self._osc.port}", NOWHERE], self._patience)
            self._runner = await stack.enter_async_context(_RelayedRunner(self._hurried, llm))
            limits = bounds(self._hurried)
            self._ledger = TurnLedger(lambda state: limits.of(State(state)) if state in set(State) else None)
            victims = Victims(self._pids, llm, self._output, self._osc)
            scenes = Scenes(bank, self._hurried.vad, self._seed)
            room = self._room = Room(scenes, self._seconds, self._goes_on, self._live_speed)
            self._mischief = Mischief(victims, self._seed, rate=self._fault_rate, is_over=lambda: room.is_calm)
            stack.push_async_callback(self._mischief.close)
            yield

    async def live(self, say: Callable[[str], None]) -> None:
        """Run the session until the room is over, or nothing moves any more."""
        options = RunOptions(
            source=self._room, sound_output=self._output, is_quiet=True, sinks=(self._ledger, self._mischief)
        )
        session = asyncio.create_task(run_session(self._hurried, self._runner, options), name="soaked session")
        try:
            await self._watch(session, say)
        finally:
            session.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._outcome(session)
        self._ledger.finish()
        self._check()

    def report(self, before: Census, after: Census, wall_seconds: float) -> SoakReport:
        """Everything that is known now."""
        growth_mb = self._memory.growth_mb
        problems = [*self._ledger.problems, *leaks(before, after)]
        if growth_mb > MEMORY_BOUND_MB:
            problems.append(f"memory grew by {growth_mb:.0f} MB, allowed are {MEMORY_BOUND_MB:g} MB")
        healed = self._ledger.healed + Counter({"OSC receiver heard again": self._osc.returns})
        return SoakReport(
            self._seed, self._room.audio_seconds, wall_seconds, dict(self._room.script), self._room.wakes,
            self._ledger.turns, dict(self._ledger.ends), self._ledger.longest_turn_s, dict(self._mischief.faults),
            tuple(self._mischief.missing), dict(healed), before, after, growth_mb, tuple(problems),
        )  # fmt: skip

    def _goes_on(self) -> bool:
        return self._wants_all_faults and bool(self._mischief.missing)

    def _pids(self) -> dict[str, int]:
        config, running = self._hurried, self._runner.pool.pids()
        names = {"whisper": config.stt.model, "llama": config.llm.model, "piper": config.tts.voice}
        return {program: running[name] for program, name in names.items() if name in running}

    async def _watch(self, session: "asyncio.Task[object]", say: Callable[[str], None]) -> None:
        loop = asyncio.get_running_loop()
        events, moved_at, say_at = 0, loop.time(), loop.time()
        while not (await asyncio.wait({session}, timeout=POLL_S))[0]:
            now = loop.time()
            if self._ledger.events != events:
                events, moved_at = self._ledger.events, now
            if now - moved_at > STUCK_S:
                self._ledger.problems.append(f"nothing has moved for {STUCK_S:g} s")
                return
            self._memory.note(self._ledger.turns, lambda: census().memory_mb)
            if now >= say_at:
                say(self._progress())
                say_at = now + SAY_EVERY_S

    def _progress(self) -> str:
        heard = f"{self._room.audio_seconds / 60:.1f} of {self._seconds / 60:g} min of audio"
        return f"{heard}, {self._ledger.turns} turns, {self._mischief.faults.total()} faults"

    async def _outcome(self, session: "asyncio.Task[object]") -> None:
        try:
            await session
        except HeisenbergError as exc:
            log.warning("the session ended: %s", exc)
            self._ledger.problems.append(f"the session ended ({exc.code}): {exc}")

    def _check(self) -> None:
        room, ledger = self._room, self._ledger
        share = WAKES_HEARD / 2 if room.live else WAKES_HEARD
        if ledger.turns < share * room.wakes:
            ledger.problems.append(f"{ledger.turns} turns came of {room.wakes} wake phrases")
        if "completed" not in ledger.last_ends:
            ledger.problems.append(f"the last questions, asked when all was calm again: {', '.join(ledger.last_ends)}")
        if self._mischief.faults["OSC receiver closed"] and not self._osc.returns:
            ledger.problems.append("no OSC datagram arrived any more after the receiver was away")


async def _settle(before: Census) -> None:
    """Wait until what is ending has ended."""
    for _ in range(round(SETTLE_S / POLL_S)):
        if not leaks(before, census()):
            return
        await asyncio.sleep(POLL_S)


class _RelayedRunner(Runner):
    """The product's runner, whose language model is reached through *relay*."""

    def __init__(self, config: Config, relay: BadLlm) -> None:
        if config.llm.url:
            url = relay.through(config.llm.url)
            config = config.model_copy(update={"llm": config.llm.model_copy(update={"url": url})})
        super().__init__(config)
        self._relay = relay

    def _llama(self, priority: Priority) -> LeaseService:
        return self._relay.leased(super()._llama(priority))
