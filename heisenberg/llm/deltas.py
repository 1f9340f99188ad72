"""What asking a language model gives, whatever the protocol: deltas within limits, or one of these failures.

Every wait has a bound, and only waiting counts: a consumer that takes its time does not make the model late.
It speaks no protocol; ``stream.py`` and ``ollama.py`` do.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

import aiohttp

from heisenberg.core.errors import BrainError

T = TypeVar("T")


class Unreachable(BrainError):
    """There is no connection, or it broke: whoever runs the server should look after it."""


class Stalled(BrainError):
    """The server is connected and says nothing."""


class Refused(BrainError):
    """The server answered with an HTTP error; it is alive.

    Args:
        status: the HTTP status.
        reason: the server's own words.
    """

    default_code = "upstream-error"

    def __init__(self, message: str, *, status: int, reason: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class ModelMissing(Refused):
    """The server is there and does not have the model; it could fetch it."""

    default_code = "model-not-found"


@dataclass(frozen=True, slots=True)
class Delta:
    """One event of the stream."""

    text: str
    """New text, perhaps none."""
    finish: str
    """Why the model stopped (``stop``, ``length``…); empty while it has not."""
    tokens: int
    """Tokens generated so far, as the server counts them; 0 if it does not say."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long to wait, in seconds."""

    first_s: float
    """For the first token: the server reads the prompt meanwhile."""
    next_s: float
    """For each further token."""
    total_s: float
    """For the whole answer, summed over all waits."""


class Patience:
    """Bounds each wait, and all of them together."""

    def __init__(self, limits: Limits) -> None:
        self._next_s, self._name = limits.first_s, "first token"
        self._limits = limits
        self._left_s = limits.total_s

    def has_begun(self) -> None:
        """A token came: from here on each wait is shorter."""
        self._next_s, self._name = self._limits.next_s, "next token"

    async def wait(self, answer: Awaitable[T]) -> T:
        """Wait for *answer*. Raises BrainError (``llm-timeout``)."""
        loop = asyncio.get_running_loop()
        began, bound_s = loop.time(), min(self._next_s, self._left_s)
        try:
            async with asyncio.timeout(bound_s):
                return await answer
        except aiohttp.ClientError:  # some of them are TimeoutErrors
            raise
        except TimeoutError as exc:
            raise self._timeout(is_total=bound_s < self._next_s) from exc
        finally:
            self._left_s -= loop.time() - began

    def _timeout(self, *, is_total: bool) -> BrainError:
        if is_total:
            text = f"The language model's answer took longer than {self._limits.total_s:g} s. See llm.timeout_seconds."
            return BrainError(text, code="llm-timeout")
        text = f"The language model was silent for {self._next_s:.3g} s before its {self._name}. See llm.stall_seconds."
        return Stalled(text, code="llm-timeout")
