"""Asks the server of a leased model, where its answer is to be read and not only handed on.

The HTTP of it and nothing else: what is asked, and what is made of the answer, is the dialects' affair. Answers that
are handed on as they are go through ``forward.py``.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from heisenberg.core.errors import UpstreamError
from heisenberg.runner.fleet import ModelLease
from heisenberg.server.asgi import BadRequest
from heisenberg.server.context import Context
from heisenberg.server.sse import LineTooLong, Payloads

LONGEST_REFUSAL_BYTES = 64_000

DRAIN_S = 1.0

PASSED_ON = frozenset({400, 404, 413, 422, 429, 501, 503})
"""What a model's server may answer to our clients; others, 401 for one, are between it and us."""


class Refused(BadRequest):
    """The model's server said no, or something that is no answer.

    Args:
        reason: in its words.
        status: its HTTP status.
    """

    def __init__(self, reason: str, status: int = 500) -> None:
        super().__init__(reason, status if status in PASSED_ON else 500)


@asynccontextmanager
async def answering(
    context: Context, lease: ModelLease, path: str, body: Mapping[str, Any]
) -> AsyncIterator[aiohttp.ClientResponse]:
    """POST *body*, with the model's name there; the answer, whose status is 200.

    Leaving the block before the answer has ended closes the connection, so that the model stops at once.
    Raises: Refused; UpstreamError if the server cannot be reached.
    """
    try:
        response = await _post(context, lease, path, body)
    except (aiohttp.ClientError, OSError) as exc:
        reason = f"its server does not answer ({exc or type(exc).__name__})"
        lease.condemn(reason)
        raise UpstreamError(f"{lease.model.name}: {reason}.") from exc
    try:
        if response.status != 200:
            raise Refused(reason_of(await response.content.read(LONGEST_REFUSAL_BYTES)), response.status)
        yield response
    finally:
        response.close()


async def whole_answer(context: Context, lease: ModelLease, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """POST *body*; the answer, a JSON object. Raises Refused, UpstreamError."""
    async with answering(context, lease, path, body) as response:
        try:
            found = json.loads(await response.read())
        except (aiohttp.ClientError, OSError, ValueError, RecursionError) as exc:
            raise UpstreamError(f"{lease.model.name}: its server broke off, or answered with nonsense.") from exc
    if not isinstance(found, dict):
        raise UpstreamError(f"{lease.model.name}: its server answered with something that is no JSON object.")
    return found


async def drain(response: aiohttp.ClientResponse) -> None:
    """Wait a little for the end of an answer of which everything was read, so that its connection can be kept."""
    with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError):
        async with asyncio.timeout(DRAIN_S):
            while await response.content.readany():
                pass


async def payloads(response: aiohttp.ClientResponse) -> AsyncGenerator[list[bytes]]:
    """The payloads of the events of *response*, those of one read together. Raises Refused if it breaks off."""
    reader = Payloads()
    try:
        async for block in response.content.iter_any():
            if found := reader.feed(block):
                yield found
        if found := reader.finish():
            yield found
    except LineTooLong as exc:
        raise Refused("the model's server sent a line without end") from exc
    except (aiohttp.ClientError, OSError) as exc:
        raise Refused("the model's server broke off in the middle of its answer") from exc


def parsed(payload: bytes) -> dict[str, Any]:
    """The event *payload*. Raises Refused if it is none, or if it says that something failed."""
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError) as exc:
        raise Refused(f"the model's server answered with nonsense: {payload[:80]!r}") from exc
    if not isinstance(found, dict):
        raise Refused(f"the model's server answered with nonsense: {payload[:80]!r}")
    if found.get("error"):
        raise Refused(reason_of(payload))
    return found


def reason_of(body: bytes) -> str:
    """What a server's refusal says."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return body[:300].decode(errors="replace").strip() or "the model's server gave no reason"
    error = found.get("error", found) if isinstance(found, dict) else found
    message = error.get("message", error) if isinstance(error, dict) else error
    return message if isinstance(message, str) and message else json.dumps(message)[:300]


async def _post(context: Context, lease: ModelLease, path: str, body: Mapping[str, Any]) -> aiohttp.ClientResponse:
    asked = {**body, "model": lease.remote_name or lease.model.name}
    if lease.slot is not None:
        asked["id_slot"] = lease.slot
    headers = {"Content-Type": "application/json"}
    if lease.api_key:
        headers["Authorization"] = f"Bearer {lease.api_key}"
    url, data = lease.url.rstrip("/") + path, json.dumps(asked).encode()
    try:
        return await context.http.post(url, data=data, headers=headers)
    except aiohttp.ServerDisconnectedError:  # a kept connection, closed at the moment it was used again
        return await context.http.post(url, data=data, headers=headers)
