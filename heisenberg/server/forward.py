"""Hands a request on to the server that has the model, and its answer back, byte for byte.

For every path that llama-server speaks itself. Of the answer nothing is parsed: each read is written at once. Which
model, and what may be asked of it, is decided by the dialect that calls this.
"""

import asyncio
from collections.abc import Sequence

import aiohttp

from heisenberg.runner.fleet import ModelLease
from heisenberg.server.asgi import STREAM_HEADERS, Header, Send
from heisenberg.server.context import Context

HANDED_BACK = frozenset({"content-type", "retry-after", "x-request-id"})
"""Headers of the answer that the client sees; the rest is between the two servers."""


async def forward(context: Context, lease: ModelLease, path: str, body: bytes, send: Send) -> None:
    """POST *body* to *path* of the leased server; its answer goes to *send*.

    Cancelling this closes the connection, so that the model stops at once.
    Raises: aiohttp.ClientError or OSError if the connection breaks; nothing was sent if it does before an answer.
    """
    headers = {"Content-Type": "application/json"}
    if lease.api_key:
        headers["Authorization"] = f"Bearer {lease.api_key}"
    response = await context.http.post(lease.url.rstrip("/") + path, data=body, headers=headers)
    try:
        await send({"type": "http.response.start", "status": response.status, "headers": _headers(response)})
        async for block in response.content.iter_any():
            await send({"type": "http.response.body", "body": block, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    except asyncio.CancelledError:
        response.close()  # not release(): that would let the model finish what nobody reads
        raise
    finally:
        response.release()


def _headers(response: aiohttp.ClientResponse) -> Sequence[Header]:
    kept = [
        (name.lower().encode(), value.encode())
        for name, value in response.headers.items()
        if name.lower() in HANDED_BACK
    ]
    return [*kept, *STREAM_HEADERS] if response.content_type == "text/event-stream" else kept
