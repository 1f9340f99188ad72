"""One lane per model: a priority queue in front of the process that runs it.

Voice goes first, then API calls, then background work; within a priority, first come first served.
A lease is the right to use the model; it ends when its block does. How long it may last is its holder's affair: every
stage bounds its wait for the model's next word, and condemns a model that is late. Meanwhile the keeper makes sure
that the model's process answers at all.
"""

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import IntEnum

from heisenberg.core.errors import UpstreamError
from heisenberg.runner.supervisor.keeper import Keeper
from heisenberg.runner.supervisor.process import ChildProcess

MOST_WAITING = 100


class Priority(IntEnum):
    """Who goes first; lower is sooner."""

    VOICE = 0
    API = 1
    BACKGROUND = 2


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to use a model for a while."""

    _keeper: Keeper
    _child: ChildProcess

    @property
    def url(self) -> str:
        """Where the model answers."""
        return self._child.spec.address.url

    @property
    def api_key(self) -> str:
        """What it wants to see with each request."""
        return self._child.spec.address.api_key

    def condemn(self, reason: str) -> None:
        """It no longer answers: kill it, so that the next lease gets a fresh one."""
        self._keeper.condemn(self._child, reason)


class Lane:
    """The queue in front of one model.

    Args:
        keeper: keeps the model's process alive.
        capacity: how many leases may run at once.
    """

    def __init__(self, keeper: Keeper, capacity: int = 1) -> None:
        self.keeper = keeper
        self._free = capacity
        self._order = itertools.count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def lease(self, priority: Priority = Priority.VOICE) -> AsyncIterator[Lease]:
        """Wait for a turn and for the process. Bound the wait with ``asyncio.timeout``.

        Raises: HeisenbergError if the model cannot be started, or if 100 others wait already.
        """
        await self._acquire(priority)
        try:
            child = await self.keeper.ready()
            with self.keeper.in_use():
                yield Lease(self.keeper, child)
        finally:
            self._release()

    async def _acquire(self, priority: Priority) -> None:
        if self._free > 0:
            self._free -= 1
            return
        if len(self._waiting) >= MOST_WAITING:
            raise UpstreamError(f"{self.keeper.name} has {MOST_WAITING} requests waiting already. Try again later.")
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (priority, next(self._order), place))
        try:
            await place
        except asyncio.CancelledError:
            self._waiting = [entry for entry in self._waiting if entry[2] is not place]
            heapq.heapify(self._waiting)
            if place.done() and not place.cancelled():
                self._release()  # it was given the lease in the moment it left
            raise

    def _release(self) -> None:
        while self._waiting:
            _, _, place = heapq.heappop(self._waiting)
            if not place.done():
                place.set_result(None)
                return
        self._free += 1
