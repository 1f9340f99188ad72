"""Every model of this machine, ready to be leased: loaded when asked for, unloaded when it is not.

The one door through which the assistant and the server reach models. It knows what is in memory; what exists is the
catalog's affair (``catalog/index.py``), who gets a seat in memory the scheduler's (``residency.py``, ``seats.py``), a
place in the process the lane's (``lanes.py``), one model's process the keeper's (``supervisor/keeper.py``), and what
is said to a model that of whoever leases it.
"""

import asyncio
import functools
import logging
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from heisenberg.core.config import Config
from heisenberg.core.errors import HeisenbergError, UpstreamError
from heisenberg.runner import launch
from heisenberg.runner.catalog.entry import Model
from heisenberg.runner.catalog.index import Catalog
from heisenberg.runner.lanes import Lane, Priority
from heisenberg.runner.launch import Use
from heisenberg.runner.memory import Footprint
from heisenberg.runner.pool import Pool
from heisenberg.runner.remote import Remotes
from heisenberg.runner.residency import Phase, Seat, Terms
from heisenberg.runner.seats import Seats
from heisenberg.runner.supervisor.keeper import Watcher
from heisenberg.runner.supervisor.process import ChildSpec

log = logging.getLogger(__name__)

State = Literal["loading", "loaded", "unloading"]

_STATES: dict[Phase, State] = {Phase.LOADING: "loading", Phase.LOADED: "loaded", Phase.STOPPING: "unloading"}


@dataclass(frozen=True, slots=True)
class ModelLease:
    """The right to use a model for a while. A ``ServiceLease``."""

    model: Model
    url: str
    """Where it answers: ``http://``, ``unix://`` or ``tcp://``."""
    api_key: str = field(default="", repr=False)
    """What it wants to see with each request; empty for none."""
    remote_name: str = ""
    """What the server at *url* calls it."""
    slot: int | None = None
    """The place in its llama-server that is reserved for this lease; None if there are no numbered places, or if it
    roams."""
    roams: bool = False
    """Its llama-server has to choose a place itself: others are there that could not be told theirs."""
    load_seconds: float = 0.0
    """How long it took to load for this lease; 0 if it was there."""
    has_spare: bool = False
    """Whether another server could be asked in place of this one."""
    _condemn: Callable[[str], None] | None = field(default=None, repr=False)
    _praise: Callable[[], None] | None = field(default=None, repr=False)

    def condemn(self, reason: str) -> None:
        """It no longer answers; a fresh one is started for the next lease, or another server is asked."""
        if self._condemn is not None:
            self._condemn(reason)

    def praise(self) -> None:
        """It has answered."""
        if self._praise is not None:
            self._praise()


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in memory, or on its way in or out."""

    model: Model
    state: State
    expires_in_s: float | None
    """Seconds until it is unloaded if nobody uses it; None if never, or while it is in use."""
    in_use: int
    """Leases now, those included that wait for a place in it."""
    memory_bytes: int = 0
    """What its process holds."""
    stays_s: float = -1.0
    """Seconds it stays once it is idle, as things stand; negative is for ever."""


class Fleet:
    """The models of this machine.

    Args:
        config: the whole configuration.
        catalog: what exists.
        pool: the processes.
        sockets: a short folder for sockets that only we may enter.
        serves: whether clients use the models, too. The assistant alone has one place in each, and no limit.
        assistants: names of the models that the assistant will use. They stay in memory from its first lease on, and
            the first place in its language model is its own.
    """

    def __init__(
        self,
        config: Config,
        catalog: Catalog,
        pool: Pool,
        sockets: Path,
        *,
        serves: bool = False,
        assistants: Collection[str] = frozenset(),
    ) -> None:
        self.catalog = catalog
        self._config = config
        self._pool = pool
        self._sockets = sockets
        self._serves = serves
        self._assistants = frozenset(assistants)
        limit = config.runner.max_loaded
        self._seats = Seats(pool, max(limit, len(self._assistants)) if serves and limit else 0)
        self._remotes = Remotes()
        self._voices: set[str] = set()
        self._models: dict[str, Model] = {}
        self._footprints: dict[str, Footprint] = {}
        self._preloading: asyncio.Task[None] | None = None
        self.failed_preloads: dict[str, str] = {}
        """Models that were to be loaded at start and could not be: name → why, in one line."""

    @asynccontextmanager
    async def lease(
        self,
        model: Model,
        priority: Priority = Priority.API,
        *,
        use: Use = "generate",
        keep_alive_s: float | None = None,
        roams: bool = False,
    ) -> AsyncIterator[ModelLease]:
        """Wait for *model*: for room in memory, for its process, for a free place in it.

        Args:
            model: one of the catalog.
            priority: voice goes first. It is the assistant's: what it uses stays in memory, and is restarted at once.
            use: whether it is to generate text or to embed it.
            keep_alive_s: seconds it stays in memory once nobody uses it any more, in place of its own, until another
                lease says otherwise; negative is for ever, None does not say.
            roams: whether its llama-server cannot be told the place of this request.

        Raises: HeisenbergError if it cannot be started, or if it was waited for too long.
        """
        async with AsyncExitStack() as stack:
            async with self._bounded_wait(model):
                lease = await self._leased(stack, model, priority, use, keep_alive_s, roams=roams)
            yield lease

    async def load(self, model: Model, *, keep_alive_s: float | None = None) -> float:
        """Bring *model* into memory; how many seconds that took. One that is busy is there: no place is waited for.

        Args:
            keep_alive_s: as for :meth:`lease`.
        Raises: HeisenbergError if it cannot be started, or if there was no room for it for too long.
        """
        if model.is_remote:
            await self._remotes.choose(model.name, model.urls)
            return 0.0
        async with AsyncExitStack() as stack, self._bounded_wait(model):
            lane, load_seconds = await self._seated(stack, model, Priority.API, "generate", keep_alive_s)
            await lane.keeper.ready()
            return load_seconds

    async def unload(self, model: Model, *, waits: bool = True) -> bool:
        """Take it out of memory, once nobody uses it; whether it was there.

        Args:
            waits: until it is gone. Otherwise that is so only for a model that nobody uses.
        Raises: UpstreamError if the assistant needs it, or if it is in use for too long.
        """
        names = self._process_names(model)
        if self._voices.intersection(names):
            raise UpstreamError(f"model '{model.name}' stays in memory: the assistant uses it.", code="model-busy")
        try:
            async with asyncio.timeout(self._config.runner.wait_seconds):
                return any(await asyncio.gather(*(self._seats.empty(name, waits=waits) for name in names)))
        except TimeoutError:
            raise UpstreamError(f"model '{model.name}' is still in use. Try again later.", code="model-busy") from None

    def loaded(self) -> list[Loaded]:
        """What is in memory, by name."""
        return [self._as_loaded(name, seat) for name, seat in sorted(self._seats.taken.items())]

    @property
    def queue_length(self) -> int:
        """How many wait until their model is in memory."""
        return self._seats.queue_length

    def watch(self, watcher: Watcher) -> None:
        """Tell *watcher* when a model's process starts or fails: ``("started" | "failed", name, reason)``."""
        self._pool.watch(watcher)

    def log_tail(self, model: Model) -> list[str]:
        """The last lines that its process and those before it printed, oldest first; empty if it never ran."""
        lanes = [self._pool.existing(name) for name in self._process_names(model)]
        return [line for lane in lanes if lane is not None for line in lane.keeper.lines]

    def log_after(self, model: Model, seen: dict[str, int]) -> tuple[list[str], int]:
        """What its processes have printed since; how many lines more there were, which are not kept.

        Args:
            seen: how many lines of each process were seen, brought up to date; empty at first.
        """
        found, left_out = [], 0
        for name in self._process_names(model):
            if (lane := self._pool.existing(name)) is not None:
                is_first = name not in seen
                lines, count = lane.keeper.lines_after(seen.get(name, 0))
                left_out += 0 if is_first else count - seen[name] - len(lines)
                seen[name] = count
                found += lines
        return found, left_out

    async def give_up(self, model: Model) -> None:
        """The assistant will not use it any more, since it does not start: end its process at once."""
        self._voices.discard(model.name)
        if self._pool.existing(model.name) is not None:
            await self._seats.give_up(model.name)

    def preload(self) -> None:
        """Begin to load the models that are to be there from the start, behind everybody else."""
        self._preloading = asyncio.create_task(self._preload(), name="preloading models")

    async def close(self) -> None:
        """Stop what is under way; the pool ends the processes."""
        if self._preloading is not None:
            self._preloading.cancel()
            await asyncio.gather(self._preloading, return_exceptions=True)
        await self._seats.close()

    # ── leases ───────────────────────────────────────────────────────────────────────────────────

    async def _leased(
        self,
        stack: AsyncExitStack,
        model: Model,
        priority: Priority,
        use: Use,
        keep_s: float | None,
        *,
        roams: bool,
    ) -> ModelLease:
        """A lease that ends with *stack*."""
        if model.is_remote:
            url = await self._remotes.choose(model.name, model.urls)
            condemn, praise = (functools.partial(tell, url) for tell in (self._remotes.condemn, self._remotes.praise))
            has_spare = self._remotes.has_spare(url, model.urls)
            return ModelLease(
                model, url, model.api_key, model.remote_name, has_spare=has_spare, _condemn=condemn, _praise=praise
            )
        lane, load_seconds = await self._seated(stack, model, priority, use, keep_s)
        lease = await stack.enter_async_context(lane.lease(priority, roams=roams))
        slot = lease.place if lane.places.number > 1 and not lease.roams else None
        return ModelLease(
            model, lease.url, lease.api_key, model.name, slot, lease.roams, load_seconds, _condemn=lease.condemn
        )

    async def _seated(
        self, stack: AsyncExitStack, model: Model, priority: Priority, use: Use, keep_s: float | None
    ) -> tuple[Lane, float]:
        """The lane of *model*, which stays in memory until *stack* ends, and the seconds of its load."""
        name = launch.process_name(model, use)
        self._models[name] = model
        lane = self._lane(name, model, use)
        if priority is Priority.VOICE:
            self._voices.add(name)
            lane.keeper.restarts = True
        is_second = name != model.name  # which is neither a rival of the first, nor pinned with it
        is_pinned = (model.is_pinned and not is_second) or name in self._voices
        terms = Terms(name, "" if is_second else model.group, is_pinned, model.ttl_s)
        load_seconds = await stack.enter_async_context(self._seats.seat(terms, priority, keep_s))
        if load_seconds:
            await asyncio.to_thread(self._memory_bytes, name)  # looks for its descendants, which takes a while
        return lane, load_seconds

    @asynccontextmanager
    async def _bounded_wait(self, model: Model) -> AsyncIterator[None]:
        wait_s = self._config.runner.wait_seconds
        try:
            async with asyncio.timeout(wait_s):
                yield
        except TimeoutError:
            raise UpstreamError(
                f"model '{model.name}' was waited for in vain for {wait_s:g} s: it is loading, busy, or there is "
                "no room for it in memory. Try again later, or raise runner.wait_seconds.",
                code="model-busy",
            ) from None

    def _lane(self, name: str, model: Model, use: Use) -> Lane:
        is_assistants = not self._assistants.isdisjoint({model.name, *model.aliases})
        places = launch.places(model, use, self._config, serves=self._serves, is_assistants=is_assistants)

        def new_spec() -> ChildSpec:
            newest = self._models[name]  # the catalog may have found a newer file since the last start
            return launch.new_spec(newest, use, self._config, self._sockets, places.number)()

        return self._pool.lane(name, new_spec, places, restarts=False)

    async def _preload(self) -> None:
        try:
            for model in self.catalog.all():
                if model.preload and not model.is_remote:
                    await self._preload_one(model)
        except Exception:  # nobody waits for this task
            log.exception("models cannot be loaded at start")

    async def _preload_one(self, model: Model) -> None:
        try:
            async with self.lease(model, Priority.BACKGROUND):
                pass
        except HeisenbergError as exc:
            self.failed_preloads[model.name] = exc.message
            log.warning("%s is not loaded at start: %s", model.name, exc)

    # ── what there is ────────────────────────────────────────────────────────────────────────────

    def _process_names(self, model: Model) -> list[str]:
        return sorted({launch.process_name(model, "generate"), launch.process_name(model, "embed")})

    def _as_loaded(self, name: str, seat: Seat) -> Loaded:
        now = asyncio.get_running_loop().time()
        expires_in_s = None if seat.expires_at is None else max(0.0, seat.expires_at - now)
        model = replace(self._models[name], name=name)
        return Loaded(model, _STATES[seat.phase], expires_in_s, len(seat.users), self._memory_bytes(name), seat.stays_s)

    def _memory_bytes(self, name: str) -> int:
        lane = self._pool.existing(name)
        if lane is None or (child := lane.keeper.child) is None:
            return 0
        footprint = self._footprints.get(name)
        if footprint is None or footprint.pid != child.pid:
            footprint = self._footprints[name] = Footprint(child.pid)
        return footprint.measured_bytes()
