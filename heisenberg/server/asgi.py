"""The little of ASGI that the streaming routes need: read a body, send JSON, stream, notice that the client left.

Plain ASGI, since frameworks add milliseconds and hide disconnects. Knows nothing of models or dialects.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any

from heisenberg.core.errors import HeisenbergError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

Header = tuple[bytes, bytes]

JSON_HEADER: Header = (b"content-type", b"application/json")

STREAM_HEADERS: tuple[Header, ...] = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))
"""Proxies that hold streams back are asked not to."""


class BadRequest(Exception):
    """The request cannot be used.

    Args:
        message: what is wrong, for people.
        status: the HTTP status.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class ClientGone(Exception):
    """The client has closed its connection; nobody waits for an answer."""


@dataclass(slots=True)
class Subject:
    """What a request is about, as far as its handler tells: for the access log and the metrics."""

    model: str = ""
    """A name of the catalog."""
    tokens: int = 0
    """Generated for it."""


def subject_of(scope: Scope) -> Subject:
    """The request's subject, to be filled in: ``subject_of(scope).model = model.name``."""
    found: Subject = scope.setdefault("state", {}).setdefault("subject", Subject())
    return found


def header(scope: Scope, name: bytes) -> str:
    """The value of header *name* (lower case), empty if it is not there."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


async def read_body(scope: Scope, receive: Receive, most_bytes: int) -> bytes:
    """The whole body. Raises BadRequest (413) if it is larger than *most_bytes*, ClientGone if it breaks off."""
    declared = header(scope, b"content-length")
    if declared.isdecimal() and int(declared) > most_bytes:
        raise _too_large(most_bytes)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most_bytes:
            raise _too_large(most_bytes)
        if not message.get("more_body", False):
            return b"".join(parts)


def parse_object(body: bytes) -> dict[str, Any]:
    """*body* as a JSON object. Raises BadRequest."""
    if not body.strip():
        raise BadRequest("missing request body")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise BadRequest(f"the body is not JSON: {exc}") from exc
    if not isinstance(found, dict):
        raise BadRequest("the body has to be a JSON object")
    return found


async def send_json(send: Send, found: object, status: int = 200, headers: Iterable[Header] = ()) -> None:
    """One whole answer."""
    await send_bytes(send, as_json(found), status, [JSON_HEADER, *headers])


def as_json(found: object) -> bytes:
    """*found* in UTF-8. Half a surrogate, which JSON can ask for and UTF-8 cannot hold, becomes a question mark."""
    return json.dumps(found, ensure_ascii=False).encode("utf-8", "replace")


async def send_bytes(send: Send, body: bytes, status: int, headers: Iterable[Header]) -> None:
    """One whole answer, as it is."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


async def until_gone(receive: Receive) -> None:
    """Returns when the client has closed its connection. Call it once the body was read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def while_connected(receive: Receive, work: Awaitable[None]) -> None:
    """Do *work*, but no longer than the client is there. Raises ClientGone, or what *work* raises."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.create_task(until_gone(receive), name="client's end")
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGone
        working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


def status_of(error: HeisenbergError) -> int:
    """The HTTP status that says what *error* is."""
    return {
        "model-not-found": 404,
        "usage": 400,
        "upstream-error": 503,
        "model-breaker-open": 503,
        "model-busy": 503,
        "model-start-failed": 500,
    }.get(error.code, 500)


def _too_large(most_bytes: int) -> BadRequest:
    return BadRequest(f"the body is larger than {most_bytes / 1e6:.0f} MB", 413)
