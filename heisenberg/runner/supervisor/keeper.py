"""Keeps one model's child alive: starts it when first needed, restarts it with backoff, gives up for a while.

The first restart is immediate, since a single crash is usually bad luck; then 1, 2, 4 … 60 s. After
``breaker_failures`` in a row the model rests for a minute and whoever asks is told so at once.
"""

import asyncio
import logging
from collections.abc import Callable

from heisenberg.core.errors import HeisenbergError, ModelFailedToStart
from heisenberg.runner.supervisor.process import ChildProcess, ChildSpec

log = logging.getLogger(__name__)

LONGEST_BACKOFF_S = 60.0
HEALTHY_AFTER_S = 30.0
"""A child that lived this long starts again with a clean record."""

Watcher = Callable[[str, str, str], None]
"""Told ``("started" | "failed", model, reason)``."""


class Keeper:
    """The child behind one lane."""

    def __init__(
        self,
        name: str,
        new_spec: Callable[[], ChildSpec],
        *,
        start_timeout_s: float,
        stop_grace_s: float,
        breaker_failures: int,
        watcher: Watcher,
    ) -> None:
        self.name = name
        self._new_spec = new_spec
        self._start_timeout_s = start_timeout_s
        self._stop_grace_s = stop_grace_s
        self._breaker_failures = breaker_failures
        self._watcher = watcher
        self._failures = 0
        self._child: ChildProcess | None = None
        self._task: asyncio.Task[None] | None = None
        self._outcome: asyncio.Future[ChildProcess] | None = None

    @property
    def child(self) -> ChildProcess | None:
        """The child that is ready now, if any."""
        return self._child if self._child is not None and self._child.is_running else None

    async def ready(self) -> ChildProcess:
        """The running child, started if need be.

        Raises: HeisenbergError if the start under way fails or the model is resting.
        """
        if self.child is not None:
            return self.child
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._keep(), name=f"keeper of {self.name}")
        if self._outcome is None or self._outcome.done():
            self._outcome = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._outcome)

    def condemn(self, child: ChildProcess, reason: str) -> None:
        """Kill a child that no longer answers; who asks next gets a new one.

        Whoever talks to a dead child finds out before the operating system tells us.
        """
        if child is self._child:
            log.warning("%s is being restarted: %s", self.name, reason)
            self._child = None
            child.kill()

    async def stop(self) -> None:
        """End the child and stay stopped until :meth:`ready` is asked again."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._settle(ModelFailedToStart(f"{self.name} was stopped."))

    async def _keep(self) -> None:
        while True:
            if self._failures >= self._breaker_failures:
                await self._rest()
            await asyncio.sleep(self._backoff_s())
            try:
                child = await self._start()
            except HeisenbergError as exc:
                self._failed(exc.message)
                self._settle(exc)
                continue
            self._child = child
            self._watcher("started", self.name, "restart" if self._failures else "start")
            self._settle(child)
            try:
                how = await child.exited()
            finally:
                self._child = None
                await child.stop(self._stop_grace_s)  # also what it left behind in its group
            if asyncio.get_running_loop().time() - child.started_at > HEALTHY_AFTER_S:
                self._failures = 0
            self._failed(how)

    async def _start(self) -> ChildProcess:
        try:
            return await ChildProcess.start(self._new_spec(), self._start_timeout_s)
        except HeisenbergError:
            raise
        except Exception as exc:  # whoever waits must hear of it, whatever it is
            log.exception("%s cannot be started", self.name)
            raise ModelFailedToStart(f"{self.name} cannot be started: {exc!r}.") from exc

    def _backoff_s(self) -> float:
        return 0.0 if self._failures < 2 else min(LONGEST_BACKOFF_S, 2.0 ** (self._failures - 2))

    async def _rest(self) -> None:
        """The breaker is open: tell whoever asks, try again in a minute."""
        deadline = asyncio.get_running_loop().time() + LONGEST_BACKOFF_S
        while (left := deadline - asyncio.get_running_loop().time()) > 0:
            self._settle(
                ModelFailedToStart(
                    f"{self.name} failed {self._failures} times in a row and rests for {left:.0f} s. See the log.",
                    code="model-breaker-open",
                )
            )
            await asyncio.sleep(min(left, 0.25))
        self._failures = self._breaker_failures - 1

    def _failed(self, reason: str) -> None:
        self._failures += 1
        self._watcher("failed", self.name, reason)

    def _settle(self, outcome: ChildProcess | HeisenbergError) -> None:
        if self._outcome is None or self._outcome.done():
            return
        if isinstance(outcome, ChildProcess):
            self._outcome.set_result(outcome)
        else:
            self._outcome.set_exception(outcome)
            self._outcome.exception()  # a waiter that left must not make this a warning
