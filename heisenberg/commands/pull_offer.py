"""Offers to pull a model that Ollama does not have, where somebody is there to be asked."""

import asyncio
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from heisenberg.core.config import Config

T = TypeVar("T")


def with_offer(config: "Config", work: Callable[[], T]) -> T:
    """Do *work*; if it failed for want of a model that somebody then agrees to pull, do it once more."""
    from heisenberg.llm.deltas import ModelMissing

    try:
        return work()
    except ModelMissing:
        if not offer(config):
            raise
    return work()


def offer(config: "Config") -> bool:
    """Ask whether the configured model is to be pulled, and do it; whether it is there now.

    Without a terminal nobody is asked. Raises: ModelPullFailed, BrainError.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    print(f"Ollama does not have {config.llm.model}. Pull it? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        return False
    asyncio.run(_pull(config))
    return True


async def _pull(config: "Config") -> None:
    from heisenberg.commands.pull_progress import Bars
    from heisenberg.llm.ollama_host import server_url
    from heisenberg.llm.ollama_pull import pull

    llm = config.llm
    with Bars() as bars:
        status = ""
        async for at in pull(server_url(llm.url), llm.api_key, llm.model):
            if at.status != status:
                status = at.status
                bars.start(status, at.total_bytes)
            bars.reach(at.done_bytes)
        bars.done()
