"""Ends a task that nobody needs any more."""

import asyncio
from typing import Any


async def end(task: asyncio.Task[Any] | None) -> None:
    """Cancel *task*, if there is one, and wait until it is over; what came of it is nobody's business."""
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
