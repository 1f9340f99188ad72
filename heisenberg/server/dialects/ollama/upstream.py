"""Asks a leased model's server on behalf of Ollama's routes; its errors become ours.

What is asked is decided elsewhere in the dialect; here is only the HTTP of it.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp

from heisenberg.core.errors import UpstreamError
from heisenberg.runner.fleet import ModelLease
from heisenberg.server.asgi import BadRequest
from heisenberg.server.context import Context
from heisenberg.server.dialects.ollama.stream import reason_of

LONGEST_ERROR_BYTES = 64_000

T = TypeVar("T")

PASSED_ON = frozenset({400, 404, 413, 422, 429, 501, 503})
"""What a model's server may answer to our clients; others, 401 for one, are between it and us."""


class Refused(BadRequest):
    """The model's server said no.

    Args:
        status: its HTTP status.
        reason: what it said.
        body: all of its answer, of 64 kB at most.
    """

    def __init__(self, status: int, reason: str, body: bytes = b"") -> None:
        super().__init__(reason, status if status in PASSED_ON else 500)
        self.body = body


class Unanswered(UpstreamError):
    """The model's server could not be reached, or said nothing: a fresh one, or another, may be asked."""


async def twice(attempt: Callable[[], Awaitable[T]]) -> T:
    """*attempt*, which takes a lease; once more if the server that it got gives no answer. Raises what that raises."""
    try:
        return await attempt()
    except Unanswered:
        return await attempt()


@asynccontextmanager
async def asked(
    context: Context, lease: ModelLease, path: str, body: Mapping[str, Any]
) -> AsyncIterator[aiohttp.ClientResponse]:
    """POST *body*; the answer, whose status is 200.

    Leaving the block before the answer has ended closes the connection, so that the model stops at once.
    Raises: Refused; Unanswered if it cannot be reached.
    """
    found = {**body, "model": lease.remote_name or lease.model.name}
    if lease.slot is not None:
        found["id_slot"] = lease.slot
    headers = {"Content-Type": "application/json"}
    if lease.api_key:
        headers["Authorization"] = f"Bearer {lease.api_key}"
    url = lease.url.rstrip("/") + path
    try:
        response = await context.http.post(url, data=json.dumps(found).encode(), headers=headers)
    except (aiohttp.ClientError, OSError) as exc:
        reason = f"its server does not answer ({exc or type(exc).__name__})"
        lease.condemn(reason)
        raise Unanswered(f"{lease.model.name}: {reason}.") from exc
    try:
        if response.status != 200:
            raw = await response.content.read(LONGEST_ERROR_BYTES)
            raise Refused(response.status, reason_of(raw), raw)
        yield response
    finally:
        response.close()


async def answer_of(context: Context, lease: ModelLease, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """POST *body*; the whole answer. Raises Refused, UpstreamError."""
    async with asked(context, lease, path, body) as response:
        try:
            found = json.loads(await response.read())
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            raise UpstreamError(f"{lease.model.name}: its server broke off or answered with nonsense.") from exc
        if not isinstance(found, dict):
            raise UpstreamError(f"{lease.model.name}: its server answered with something that is no JSON object.")
        return found
