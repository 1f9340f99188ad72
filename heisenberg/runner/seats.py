"""Seats in memory: carries out what the scheduler (``residency.py``) decides, with real processes, tasks and timers.

Every change is told to the scheduler, and every effect that it returns is begun at once; nothing is decided here.
"""

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any

from heisenberg.core.errors import HeisenbergError, ModelFailedToStart
from heisenberg.runner.lanes import Lane, Priority
from heisenberg.runner.pool import Pool
from heisenberg.runner.residency import Admit, Effect, Load, Refuse, Residency, Seat, Stop, Terms

log = logging.getLogger(__name__)


class Seats:
    """Who is in memory.

    Args:
        pool: the processes.
        limit: models in memory at once; 0 is no limit.
    """

    def __init__(self, pool: Pool, limit: int) -> None:
        self._pool = pool
        self._has_limit = limit > 0
        self._residency = Residency(limit)
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[float]] = {}
        self._loads: dict[str, asyncio.Task[None]] = {}
        self._stops: dict[str, asyncio.Task[None]] = {}
        self._goes: dict[str, asyncio.Event] = {}
        self._load_seconds = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        pool.watch(self._heard)

    @property
    def taken(self) -> dict[str, Seat]:
        """What takes up memory, by name."""
        return self._residency.seats

    @property
    def queue_length(self) -> int:
        """How many wait until their model is in memory."""
        return sum(not admitted.done() for admitted in self._waiting.values())

    @asynccontextmanager
    async def seat(self, terms: Terms, priority: Priority, keep_s: float | None) -> AsyncIterator[float]:
        """Wait until the model is in memory; it stays there as long as the block. Yields the seconds of its load.

        *keep_s* is how long it stays after that, and after whoever uses it as well; None does not say.
        Its lane has to exist. Raises: HeisenbergError if it cannot be loaded, or if there is no room to be had.
        """
        if self._is_closed:
            raise ModelFailedToStart("Heisenberg is ending.")
        number = next(self._numbers)
        admitted = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._carry_out(self._residency.ask(number, terms, priority, self._now, keep_s=keep_s))
            yield await admitted
        finally:
            self._waiting.pop(number, None)
            self._leave(terms.name, number)

    async def empty(self, name: str, *, waits: bool = True) -> bool:
        """Take model *name* out of memory as soon as nobody uses it; whether it was there.

        Args:
            waits: until it is gone. Otherwise that is so only if it goes at once.
        """
        if name not in self.taken:
            return False
        gone = self._goes.setdefault(name, asyncio.Event())
        self._carry_out(self._residency.unload(name, self._now))
        if waits or name in self._stops:
            await gone.wait()
        return True

    async def give_up(self, name: str) -> None:
        """End its process at once, whoever uses it; its seat is free when they have left."""
        keeper = self._lane(name).keeper
        keeper.restarts = False
        await keeper.stop()
        self._carry_out(self._residency.unload(name, self._now))
        if (stop := self._stops.get(name)) is not None:
            await asyncio.gather(stop, return_exceptions=True)

    async def close(self) -> None:
        """Stop what is under way, and tell those who wait. The processes themselves are ended by the pool."""
        self._is_closed = True
        for number in list(self._waiting):
            self._tell(number, ModelFailedToStart("Heisenberg is ending."))
        if self._timer is not None:
            self._timer.cancel()
        self._pool.unwatch(self._heard)
        tasks = [*self._loads.values(), *self._stops.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _lane(self, name: str) -> Lane:
        lane = self._pool.existing(name)
        assert lane is not None, f"{name} has no lane"
        return lane

    def _leave(self, name: str, number: int) -> None:
        self._carry_out(self._residency.leave(number, self._now))
        if (seat := self.taken.get(name)) is not None and seat.is_idle and self._is_gone(name):
            self._carry_out(self._residency.unload(name, self._now))  # its keeper may be about to start another

    # ── effects ──────────────────────────────────────────────────────────────────────────────────

    def _carry_out(self, effects: Iterable[Effect]) -> None:
        if self._is_closed:
            return
        for effect in effects:
            match effect:
                case Load(name):
                    self._loads[name] = self._begin(self._load(name), f"load of {name}")
                case Stop(name):
                    self._stops[name] = self._begin(self._stop(name), f"stop of {name}")
                case Admit(number):
                    self._tell(number, self._load_seconds)
                case Refuse(number, error):
                    self._tell(number, error)
        self._wind_timer()

    def _begin(self, work: Coroutine[Any, Any, None], what: str) -> "asyncio.Task[None]":
        return asyncio.create_task(work, name=what)

    def _tell(self, number: int, outcome: float | HeisenbergError) -> None:
        waiting = self._waiting.get(number)
        if waiting is None or waiting.done():
            return
        if isinstance(outcome, HeisenbergError):
            waiting.set_exception(outcome)
            waiting.exception()  # one who leaves at this moment must not make it a warning
        else:
            waiting.set_result(outcome)

    async def _load(self, name: str) -> None:
        began = self._now
        try:
            await self._lane(name).keeper.ready()
        except HeisenbergError as exc:
            if self._has_limit:  # what starts again by itself would have no seat
                await self._lane(name).keeper.stop()
            effects = self._residency.failed(name, exc, self._now)
        except Exception as exc:  # a fault of ours must not keep those who wait
            log.exception("%s cannot be loaded", name)
            error = ModelFailedToStart(f"{name} cannot be loaded: {exc!r}.", code="internal")
            effects = self._residency.failed(name, error, self._now)
        else:
            self._load_seconds = self._now - began
            effects = self._residency.loaded(name, self._now)
        self._loads.pop(name, None)
        if name not in self.taken and (waited_for := self._goes.pop(name, None)) is not None:
            waited_for.set()
        self._carry_out(effects)
        self._load_seconds = 0.0

    async def _stop(self, name: str) -> None:
        if (load := self._loads.pop(name, None)) is not None:
            load.cancel()
            await asyncio.gather(load, return_exceptions=True)
        try:
            await self._lane(name).keeper.stop()
        except Exception:  # a fault of ours must not cost a seat for ever
            log.exception("%s cannot be stopped in good order", name)
        self._stops.pop(name, None)
        self._gone(name)

    def _gone(self, name: str) -> None:
        """Its process has ended."""
        if (waited_for := self._goes.pop(name, None)) is not None:
            waited_for.set()
        self._carry_out(self._residency.stopped(name, self._now))

    # ── what happens by itself ───────────────────────────────────────────────────────────────────

    def _heard(self, what: str, name: str, reason: str) -> None:
        """A child that ended while nobody used it, and that does not come back by itself, has left its seat."""
        seat = self.taken.get(name)
        if what == "failed" and seat is not None and seat.is_idle and not self._lane(name).keeper.restarts:
            self._gone(name)

    def _is_gone(self, name: str) -> bool:
        keeper = self._lane(name).keeper
        return keeper.process is None and not keeper.restarts

    def _wind_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        at = self._residency.next_at(self._now)
        self._timer = None if at is None else asyncio.get_running_loop().call_at(at, self._ring)

    def _ring(self) -> None:
        self._carry_out(self._residency.tick(self._now))
