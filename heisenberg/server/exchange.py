"""One request and its answer, as the application sees them: how far both are, and headers that every answer has.

Wraps ASGI's ``receive`` and ``send``. It bounds how long a body may take; what is in it, it does not look at.
"""

import asyncio
from collections.abc import Sequence

from heisenberg.server.asgi import BadRequest, Header, Message, Receive, Scope, Send

SILENCE_S = 20.0
"""The longest wait for the next piece of a body."""

BODY_S = 60.0
BODY_BYTES_PER_S = 20_000.0
"""A body may take a minute, and a second more for each 20 kB of it."""

DISCARDED_BYTES = 1_000_000
DISCARD_S = 2.0
"""How much of the body of a refused request is read away, so that its connection stays usable."""

NO_MORE: Header = (b"connection", b"close")


class Exchange:
    """One request and its answer.

    Args:
        scope: of the request.
        receive: the server's.
        send: the server's.
        headers: for every answer, in place of the handler's of the same name.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, headers: Sequence[Header]) -> None:
        self.scope = scope
        self.status = 0
        """Of the answer; 0 before it begins."""
        self.content_type = ""
        self.has_ended = False
        """Whether the answer is complete."""
        self._receive = receive
        self._send = send
        self._headers = headers
        self._replaced = {name for name, _ in headers} - {b"vary"}
        self._is_read = not _has_body(scope)
        self._bytes_read = 0
        self._started_s = asyncio.get_running_loop().time()

    @property
    def has_begun(self) -> bool:
        """Whether the answer's status has been sent."""
        return self.status != 0

    async def receive(self) -> Message:
        """ASGI's. Raises BadRequest (408) if the body takes too long."""
        if self._is_read:
            return await self._receive()
        loop = asyncio.get_running_loop()
        latest_s = self._started_s + BODY_S + self._bytes_read / BODY_BYTES_PER_S
        try:
            async with asyncio.timeout_at(min(latest_s, loop.time() + SILENCE_S)):
                message = await self._receive()
        except TimeoutError as exc:
            raise BadRequest("the body takes too long to arrive", 408) from exc
        self._bytes_read += len(message.get("body", b""))
        self._is_read = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """ASGI's."""
        if message["type"] == "http.response.start":
            message = {**message, "headers": self._with_ours(message.get("headers", ()))}
            self.status = message["status"]
        elif not message.get("more_body", False):
            self.has_ended = True
        await self._send(message)

    async def discard_body(self) -> None:
        """Read away what nobody wants to see, if it is not too much."""
        try:
            async with asyncio.timeout(DISCARD_S):
                while not self._is_read and self._bytes_read < DISCARDED_BYTES:
                    await self.receive()
        except (TimeoutError, BadRequest):
            return

    def _with_ours(self, headers: Sequence[Header]) -> list[Header]:
        self.content_type = next((value.decode("latin-1") for name, value in headers if name == b"content-type"), "")
        kept = [(name, value) for name, value in headers if name not in self._replaced]
        # Whoever has not sent all of a request that is answered could hold its connection for ever.
        return [*kept, *self._headers] if self._is_read else [*kept, *self._headers, NO_MORE]


def _has_body(scope: Scope) -> bool:
    sizes = {name: value for name, value in scope["headers"] if name in (b"content-length", b"transfer-encoding")}
    return bool(sizes) and sizes != {b"content-length": b"0"}
