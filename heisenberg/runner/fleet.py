"""Every model of this machine, ready to be leased: loaded when asked for, unloaded when it is not.

The one door through which the assistant and the server reach models. It knows what is in memory; what exists is the
catalog's affair (``catalog/index.py``), one model's process the keeper's (``supervisor/keeper.py``), and what is said
to a model that of whoever leases it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from heisenberg.core.config import Config
from heisenberg.core.errors import ModelNotFound
from heisenberg.runner import engines
from heisenberg.runner.catalog.entry import Model
from heisenberg.runner.catalog.index import Catalog
from heisenberg.runner.lanes import Lane, Lease, Priority
from heisenberg.runner.pool import Pool

Use = Literal["generate", "embed"]
"""What a language model is wanted for; a llama-server does one or the other."""

State = Literal["loading", "loaded", "unloading"]


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
    """The place in its llama-server that is reserved for this lease; None if there are no numbered places."""
    load_seconds: float = 0.0
    """How long it took to load for this lease; 0 if it was there."""
    _lease: Lease | None = None

    def condemn(self, reason: str) -> None:
        """It no longer answers; a fresh one is started for the next lease, or another server is asked."""
        if self._lease is not None:
            self._lease.condemn(reason)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in memory, or on its way in or out."""

    model: Model
    state: State
    expires_in_s: float | None
    """Seconds until it is unloaded if nobody uses it; None if never, or while it is in use."""
    in_use: int
    """Leases now."""
    memory_bytes: int = 0
    """What its process holds."""


class Fleet:
    """The models of this machine.

    Args:
        config: the whole configuration.
        catalog: what exists.
        pool: the processes.
        sockets: a short folder for sockets that only we may enter.
    """

    def __init__(self, config: Config, catalog: Catalog, pool: Pool, sockets: Path) -> None:
        self.catalog = catalog
        self._config = config
        self._pool = pool
        self._sockets = sockets

    @asynccontextmanager
    async def lease(
        self,
        model: Model,
        priority: Priority = Priority.API,
        *,
        use: Use = "generate",
        keep_alive_s: float | None = None,
    ) -> AsyncIterator[ModelLease]:
        """Wait for *model*: for room in memory, for its process, for a free place in it.

        Args:
            model: one of the catalog.
            priority: voice goes first.
            use: whether it is to generate text or to embed it.
            keep_alive_s: seconds it stays in memory after this lease, in place of its own; negative is for ever.

        Raises: HeisenbergError if it cannot be started, or if it was waited for too long.
        """
        if model.is_remote:
            yield ModelLease(model, model.urls[0], model.api_key, model.remote_name)
            return
        async with self._lane(model).lease(priority) as lease:
            yield ModelLease(model, lease.url, lease.api_key, model.name, _lease=lease)

    async def load(self, model: Model, *, keep_alive_s: float | None = None) -> float:
        """Bring *model* into memory; how many seconds that took. Raises HeisenbergError."""
        async with self.lease(model, keep_alive_s=keep_alive_s) as lease:
            return lease.load_seconds

    async def unload(self, model: Model) -> bool:
        """Take it out of memory, once nobody uses it; whether it was there."""
        lane = self._lane(model)
        was_there = lane.keeper.child is not None
        await lane.keeper.stop()
        return was_there

    def loaded(self) -> list[Loaded]:
        """What is in memory."""
        names = self._pool.pids()
        return [Loaded(model, "loaded", None, 0) for model in self.catalog.all() if model.name in names]

    def log_tail(self, model: Model) -> list[str]:
        """The last lines that its process printed, oldest first; empty if it never ran."""
        return []

    def _lane(self, model: Model) -> Lane:
        if model.path is None or model.kind != "llm":
            raise ModelNotFound(f"model '{model.name}' is no language model.")
        return self._pool.lane(model.name, engines.llama(model.name, model.path, self._config.llm))
