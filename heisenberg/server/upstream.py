"""Asks the server of a leased model: opens the request, and knows what it means if no answer comes.

All dialects ask through here; what is asked, and what is made of the answer, is their affair. Until the first word of
an answer nothing is lost by asking another server: ``twice`` does so. Answers that are handed on as they are go
through ``forward.py``.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp

from heisenberg.runner.fleet import ModelLease
from heisenberg.server.asgi import BadRequest
from heisenberg.server.context import Context
from heisenberg.server.sse import LineTooLong, Payloads

STREAM_SILENCE_S, WHOLE_SILENCE_S = 120.0, 600.0
"""So long a server may say nothing, of a stream or of an answer in one piece, before another one is asked. Where there
is no other, the client decides how long it waits."""

FAILURES = frozenset({500, 502, 503, 504})
"""What another server may do better."""

LONGEST_REFUSAL_BYTES = 64_000

PASSED_ON = frozenset({400, 404, 413, 422, 429, 501, 503})
"""What a model's server may answer to our clients; others, 401 for one, are between it and us."""

T = TypeVar("T")


class Refused(BadRequest):
    """The model's server said no, or something that is no answer.

    Args:
        reason: in its words.
        status: its HTTP status.
        body: its answer, of 64 kB at most.
    """

    def __init__(self, reason: str, status: int = 500, body: bytes = b"") -> None:
        super().__init__(reason, status if status in PASSED_ON else 500)
        self.body = body


class Unanswered(BadRequest):
    """The model's server gave no answer, and nothing of it was handed on: a fresh one, or another, may be asked."""

    def __init__(self, message: str) -> None:
        super().__init__(message, 502)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that has begun."""

    response: aiohttp.ClientResponse
    first: bytes
    """What was read first; all of it, unless it comes in pieces."""
    is_in_pieces: bool

    async def blocks(self) -> AsyncGenerator[bytes]:
        """Each read. Raises aiohttp.ClientError or OSError if the answer breaks off."""
        block = self.first
        while block:
            yield block
            block = await self.response.content.readany() if self.is_in_pieces else b""


async def twice(attempt: Callable[[], Awaitable[T]]) -> T:
    """*attempt*, which takes a lease; once more if the server that it got gives no answer. Raises what that raises."""
    try:
        return await attempt()
    except Unanswered:
        return await attempt()


@asynccontextmanager
async def posted(
    context: Context, lease: ModelLease, path: str, body: bytes, *, is_streamed: bool
) -> AsyncIterator[Answer]:
    """POST *body*; its answer, whatever its status.

    Leaving the block before the answer has ended closes the connection, so that the model stops at once.

    Args:
        is_streamed: whether the answer is to come in pieces.
    Raises: Unanswered; the lease is condemned then.
    """
    response: aiohttp.ClientResponse | None = None
    silence_s = (STREAM_SILENCE_S if is_streamed else WHOLE_SILENCE_S) if lease.has_spare else None
    try:
        try:
            async with asyncio.timeout(silence_s):
                response = await _post(context, lease, path, body)
                answer = await _begun(response, is_streamed=is_streamed)
        except TimeoutError as exc:
            raise _unanswered(lease, f"its server says nothing for {silence_s:g} s") from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise _unanswered(lease, f"its server does not answer ({exc or type(exc).__name__})") from exc
        _judge(lease, answer)
        yield answer
    finally:
        if response is not None:
            response.close()  # not release(): that would let the model finish what nobody reads


@asynccontextmanager
async def answering(context: Context, lease: ModelLease, path: str, body: Mapping[str, Any]) -> AsyncIterator[Answer]:
    """POST *body*, with the model's name there and its place; the answer, whose status is 200. As :func:`posted`.

    Raises: Refused, Unanswered.
    """
    asked = {**body, "model": lease.remote_name or lease.model.name}
    if lease.slot is not None:
        asked["id_slot"] = lease.slot
    is_streamed = body.get("stream") is True
    async with posted(context, lease, path, json.dumps(asked).encode(), is_streamed=is_streamed) as answer:
        if answer.response.status != 200:
            raw = answer.first[:LONGEST_REFUSAL_BYTES]
            raise Refused(reason_of(raw), answer.response.status, raw)
        yield answer


async def whole_answer(context: Context, lease: ModelLease, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """POST *body*; the answer, a JSON object. Raises Refused, Unanswered."""
    async with answering(context, lease, path, body) as answer:
        return _object(answer.first)


async def payloads(answer: Answer) -> AsyncGenerator[list[bytes]]:
    """The payloads of the events of *answer*, those of one read together. Raises Refused if it breaks off."""
    reader = Payloads()
    try:
        async for block in answer.blocks():
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
    found = _object(payload)
    if found.get("error"):
        raise Refused(reason_of(payload))
    return found


def reason_of(body: bytes) -> str:
    """What a server's refusal says."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return body[:300].decode(errors="replace").strip() or "the model's server gave no reason"
    return reason_in(found)


def reason_in(found: object) -> str:
    """What the JSON of a refusal, or of a failure within a stream, says."""
    error = found.get("error", found) if isinstance(found, dict) else found
    message = error.get("message", error) if isinstance(error, dict) else error
    return message if isinstance(message, str) and message else json.dumps(message)[:300]


async def _post(context: Context, lease: ModelLease, path: str, body: bytes) -> aiohttp.ClientResponse:
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
    if lease.api_key:
        headers["Authorization"] = f"Bearer {lease.api_key}"
    url = lease.url.rstrip("/") + path
    return await context.http.post(url, data=body, headers=headers, allow_redirects=False)


async def _begun(response: aiohttp.ClientResponse, *, is_streamed: bool) -> Answer:
    kind = response.content_type
    is_in_pieces = kind == "text/event-stream" or (is_streamed and kind != "application/json")
    return Answer(response, await (response.content.readany() if is_in_pieces else response.read()), is_in_pieces)


def _judge(lease: ModelLease, answer: Answer) -> None:
    """A failure that another server might not have is no answer, if there is another. Raises Unanswered."""
    status = answer.response.status
    if lease.has_spare and status in FAILURES:
        raise _unanswered(lease, f"its server answers {status}: {reason_of(answer.first)}")
    if lease.has_spare and answer.is_in_pieces and not answer.first:
        raise _unanswered(lease, "its server ends the answer before the first word")
    if status not in FAILURES:
        lease.praise()


def _unanswered(lease: ModelLease, reason: str) -> Unanswered:
    lease.condemn(reason)
    return Unanswered(f"{lease.model.name}: {reason}.")


def _object(raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError) as exc:
        raise Refused(f"the model's server answered with nonsense: {raw[:80]!r}") from exc
    if not isinstance(found, dict):
        raise Refused(f"the model's server answered with nonsense: {raw[:80]!r}")
    return found
