"""Ends a task that nobody needs any more, and waits for that no longer than a moment."""

import asyncio
import logging
from typing import Any

log = logging.getLogger(__name__)

CANCEL_BOUND_S = 1.5
"""A task that holds on longer is left alone: its work is out of date, and whatever it still says is ignored. Less than
``watchdog.stall_seconds``, since the session waits here while its inbox fills."""


async def end(task: asyncio.Task[Any] | None) -> None:
    """Cancel *task*, if there is one; wait until it is over, 1.5 s at most. What came of it is nobody's business."""
    if task is None:
        return
    task.add_done_callback(_take_no_notice)
    task.cancel()
    _, late = await asyncio.wait({task}, timeout=CANCEL_BOUND_S)
    if late:
        log.warning("%s does not let go; it is left behind", task.get_name())


def _take_no_notice(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()  # else asyncio reports it as never retrieved
