"""Hands a request on to the server that has the model, and its answer back, byte for byte.

For every path that llama-server speaks itself. Of a stream nothing is parsed: each read is written at once. Which
model, and what may be asked of it, is decided by the dialect that calls this; how it is asked, in ``upstream.py``.
"""

import re
from collections.abc import Sequence

import aiohttp

from heisenberg.runner.fleet import ModelLease
from heisenberg.server.asgi import STREAM_HEADERS, BadRequest, Header, Send
from heisenberg.server.context import Context
from heisenberg.server.upstream import posted, reason_of
from heisenberg.server.waiting import Waiting

HANDED_BACK = frozenset({"content-type", "retry-after", "x-request-id"})
"""Headers of the answer that the client sees; the rest is between the two servers."""

BETWEEN_US = frozenset({401, 403, 407})
"""A refusal that our client could do nothing about: its key is not the one that failed."""

LAST_BYTES = 2000
"""Where a stream says how many tokens it had."""

_TOKENS = re.compile(rb'"(?:completion_tokens|output_tokens|predicted_n)"\s*:\s*(\d{1,9})')


async def forward(context: Context, lease: ModelLease, path: str, body: bytes, send: Send, waiting: Waiting) -> int:
    """POST *body* to *path* of the leased server; its answer goes to *send*. How many tokens it says it has.

    Cancelling this closes the connection, so that the model stops at once.
    Raises: Unanswered; BadRequest (502) if the answer breaks off, or if it is none.
    """
    async with posted(context, lease, path, body, is_streamed=waiting.is_streamed) as answer:
        response, first = answer.response, answer.first
        await waiting.end()
        if response.status in BETWEEN_US or 300 <= response.status < 400:
            raise BadRequest(f"{lease.model.name}: its server answers {response.status}: {reason_of(first)}", 502)
        if not answer.is_in_pieces:
            await _hand_back_whole(response, path, first, send, waiting)
            return _tokens(first)
        if not waiting.has_begun:
            await send({"type": "http.response.start", "status": response.status, "headers": _headers(response)})
        return await _hand_back(response, lease, first, send)


async def _hand_back(response: aiohttp.ClientResponse, lease: ModelLease, block: bytes, send: Send) -> int:
    """Each read, at once."""
    last = b""
    read = response.content.readany
    try:
        while block:
            await send({"type": "http.response.body", "body": block, "more_body": True})
            last, block = block, await read()
    except (aiohttp.ClientError, OSError) as exc:
        raise BadRequest(
            f"{lease.model.name}: its server broke off in the middle of the answer. Ask again.", 502
        ) from exc
    await send({"type": "http.response.body", "body": b""})
    return _tokens(last)


async def _hand_back_whole(
    response: aiohttp.ClientResponse, path: str, body: bytes, send: Send, waiting: Waiting
) -> None:
    if waiting.has_begun:
        await send({"type": "http.response.body", "body": _as_event(response.status, path, body)})
        return
    headers = [*_headers(response), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _headers(response: aiohttp.ClientResponse) -> Sequence[Header]:
    kept = [
        (name.lower().encode(), value.encode())
        for name, value in response.headers.items()
        if name.lower() in HANDED_BACK
    ]
    return [*kept, *STREAM_HEADERS] if response.content_type == "text/event-stream" else kept


def _as_event(status: int, path: str, body: bytes) -> bytes:
    """A whole answer where a stream has begun: an event, which has no line ends in it."""
    name = b"event: error\n" if status >= 400 and path.startswith("/v1/messages") else b""
    return name + b"data: " + b" ".join(body.splitlines()) + b"\n\n"


def _tokens(last: bytes) -> int:
    """What the end of an answer says; 0 if nothing."""
    found = _TOKENS.findall(last[-LAST_BYTES:])
    return int(found[-1]) if found else 0
