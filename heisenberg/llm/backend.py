"""What a language model's server is asked, and who asks it. One backend speaks one protocol.

Prompts, parsing, limits and leases are everybody's (``model.py``, ``brain.py``, ``analyst.py``); backends differ only
in how a request is written and in how its deltas come.
"""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from heisenberg.core.stages import ServiceLease
from heisenberg.llm.deltas import Delta, Limits, Refused
from heisenberg.llm.prompts import Prompt


@dataclass(frozen=True, slots=True)
class Request:
    """One answer that is wanted."""

    prompt: Prompt
    max_tokens: int
    schema: Mapping[str, Any] | None
    """JSON schema of the answer; None lets the model write what it wants."""
    limits: Limits


class Backend(Protocol):
    """Asks a server of one kind."""

    @property
    def reads_ahead(self) -> bool:
        """Whether a prompt that is sent before its question makes the answer come sooner, and costs nobody money."""

    def deltas(self, service: ServiceLease, request: Request) -> AsyncGenerator[Delta, None]:
        """Ask, and yield what comes, as it comes. Closing the generator ends the generation at the server.

        Raises: BrainError with code ``llm-timeout``, ``upstream-error`` (the server reports a failure, or does not
            speak this protocol), ``model-not-found`` or ``llm-failed`` (no connection, or it broke).
        """

    def relax(self, refusal: Refused) -> bool:
        """Whether *refusal* is about the form of answers; less of it is asked for from then on."""

    async def load(self, service: ServiceLease) -> None:
        """Let the server load the model, if it does that only when asked. Raises BrainError."""

    async def close(self) -> None:
        """Close the connections that are ours. May be called twice."""
