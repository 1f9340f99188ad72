"""Is a model there, and if not: let Ollama fetch it. For people at a terminal; nothing here belongs to a turn."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from heisenberg.core.errors import BrainError, ModelPullFailed
from heisenberg.llm.deltas import Limits, ModelMissing, Patience, Unreachable
from heisenberg.llm.ollama_client import CONNECT_TIMEOUT_S, connected, failures

PULL_SILENCE_S = 300.0
"""Longest wait for a pull's next sign of life: large files are checked without a word."""


@dataclass(frozen=True, slots=True)
class PullProgress:
    """What a pull is at."""

    status: str
    """In Ollama's words."""
    done_bytes: int
    """Of the file that is fetched now; 0 if none is."""
    total_bytes: int


async def is_missing(url: str, api_key: str, model: str) -> bool:
    """Whether the Ollama at *url* is there and does not have *model*. Raises BrainError if it does not answer."""
    client = connected(url, api_key)
    patience = Patience(Limits(CONNECT_TIMEOUT_S, CONNECT_TIMEOUT_S, CONNECT_TIMEOUT_S))
    try:
        with failures(url, model):
            await patience.wait(client.show(model))
    except ModelMissing:
        return True
    finally:
        await client.close()  # type: ignore[no-untyped-call]
    return False


async def pull(url: str, api_key: str, model: str) -> AsyncGenerator[PullProgress, None]:
    """Let the Ollama at *url* fetch *model*. Closing the generator ends that; the next pull goes on from there.

    Raises: ModelPullFailed; BrainError if there is no Ollama.
    """
    client = connected(url, api_key)
    patience = Patience(Limits(PULL_SILENCE_S, PULL_SILENCE_S, float("inf")))
    try:
        with failures(url, model):
            parts: Any = await client.pull(model, stream=True)
            async with aclosing(parts):
                while (part := await patience.wait(anext(parts, None))) is not None:
                    yield PullProgress(part.status or "", part.completed or 0, part.total or 0)
    except Unreachable:
        raise
    except BrainError as exc:
        raise ModelPullFailed(f'Ollama could not pull "{model}". {exc.message}') from exc
    finally:
        await client.close()  # type: ignore[no-untyped-call]
