"""One lane per model: a priority queue in front of the process that runs it.

Voice goes first, then API calls, then background work; within a priority, first come first served. A process that
serves several at once has numbered places, as llama-server has slots; the first one may be reserved for the voice,
which then waits for nobody and finds its prompt cache as it left it.
Some requests cannot be told a place (Anthropic's ``/v1/messages`` drops it): they roam, and may sit in anybody's. They
begin only while the voice has no place of its own, and as long as one runs nobody else is told a place either: since no
more run at once than there are places, one is free for whoever may begin.
A lease is the right to use the model; it ends when its block does. How long it may last is its holder's affair: every
stage bounds its wait for the model's next word, and condemns a model that is late. Meanwhile the keeper makes sure
that the model's process answers at all.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from enum import IntEnum

from heisenberg.core.errors import UpstreamError
from heisenberg.runner.supervisor.keeper import Keeper
from heisenberg.runner.supervisor.process import ChildProcess

MOST_WAITING = 512
"""Requests that wait for one model; as many as Ollama lets wait."""


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
    place: int = 0
    """Its number among those that use the model at once, from 0."""
    roams: bool = False
    """The process has to choose a place itself: the one of that number may be taken."""

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


@dataclass(frozen=True, slots=True)
class Places:
    """How many may use a model at once."""

    number: int = 1
    is_first_for_voice: bool = False
    """Place 0 is the voice's, and the voice uses no other."""

    def open_to(self, priority: Priority) -> range:
        """The places that a lease of *priority* may take."""
        if not self.is_first_for_voice:
            return range(self.number)
        return range(1) if priority is Priority.VOICE else range(1, self.number)


_Waiting = tuple[Priority, int, "asyncio.Future[int]"]


class Lane:
    """The queue in front of one model.

    Args:
        keeper: keeps the model's process alive.
        places: how many leases may run at once.
    """

    def __init__(self, keeper: Keeper, places: Places | int = 1) -> None:
        self.keeper = keeper
        self.places = Places(places) if isinstance(places, int) else places
        self._free = set(range(self.places.number))
        self._order = itertools.count()
        self._waiting: list[_Waiting] = []
        self._roaming = 0
        self._is_voice_placed = False
        self._voice_left = asyncio.Event()

    @asynccontextmanager
    async def lease(self, priority: Priority = Priority.VOICE, *, roams: bool = False) -> AsyncIterator[Lease]:
        """Wait for a turn and for the process. Bound the wait with ``asyncio.timeout``.

        Args:
            roams: whether it cannot tell the process which place it has.
        Raises: HeisenbergError if the model cannot be started, or if too many others wait already.
        """
        place = await self._acquire(priority)
        try:
            child = await self.keeper.ready()
            while roams and self._is_voice_placed:
                self._voice_left.clear()
                await self._voice_left.wait()
                child = await self.keeper.ready()
            # Nothing is awaited from here to the block: who roams and who has a place is decided at one moment.
            with self.keeper.in_use(), self._placed(place, roams=roams) as has_to_roam:
                yield Lease(self.keeper, child, place, has_to_roam)
        finally:
            self._release(place)

    @contextmanager
    def _placed(self, place: int, *, roams: bool) -> Iterator[bool]:
        """Within the block *place* is in use; whether it has to be left to the process which one it is."""
        has_to_roam = self.places.number > 1 and (roams or self._roaming > 0)
        is_voices = self.places.is_first_for_voice and place == 0 and not has_to_roam
        self._roaming += has_to_roam
        self._is_voice_placed |= is_voices
        try:
            yield has_to_roam
        finally:
            self._roaming -= has_to_roam
            if is_voices:
                self._is_voice_placed = False
                self._voice_left.set()

    async def _acquire(self, priority: Priority) -> int:
        if free := self._free.intersection(self.places.open_to(priority)):
            self._free.remove(place := min(free))
            return place
        if len(self._waiting) >= MOST_WAITING:
            raise UpstreamError(
                f"{self.keeper.name} has {MOST_WAITING} requests waiting already. Try again later.", code="model-busy"
            )
        given: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((priority, next(self._order), given))
        try:
            return await given
        except asyncio.CancelledError:
            self._waiting = [entry for entry in self._waiting if entry[2] is not given]
            if given.done() and not given.cancelled():
                self._release(given.result())  # it was given the lease in the moment it left
            raise

    def _release(self, place: int) -> None:
        """Give *place* to the first who may have it."""
        for entry in sorted(self._waiting):
            priority, _, given = entry
            if place in self.places.open_to(priority) and not given.done():
                self._waiting.remove(entry)
                given.set_result(place)
                return
        self._free.add(place)
