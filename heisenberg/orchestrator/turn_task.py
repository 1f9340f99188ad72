"""The one task in which a turn's work goes on: each piece of work takes the place of the one before."""

import asyncio
import logging
from collections.abc import Callable, Coroutine

from heisenberg.orchestrator.ending import end

log = logging.getLogger(__name__)


class TurnTask:
    """At most one task.

    Args:
        on_fault: told of an error that the work itself did not handle. One of work that was replaced is only logged.
    """

    def __init__(self, on_fault: Callable[[BaseException], None]) -> None:
        self._on_fault = on_fault
        self._task: asyncio.Task[None] | None = None

    async def begin(self, work: Coroutine[None, None, None], name: str) -> None:
        """Do *work*, in place of what was under way."""
        await self.cancel()
        self._task = asyncio.create_task(work, name=name)
        self._task.add_done_callback(self._ended)

    async def cancel(self) -> None:
        """Do nothing more; see :func:`~heisenberg.orchestrator.ending.end`."""
        task, self._task = self._task, None
        await end(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        log.error("%s failed", task.get_name(), exc_info=error)
        if task is self._task:
            self._on_fault(error)
