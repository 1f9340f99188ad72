"""Tells a client that waits for a stream that it is not forgotten: comments, which its parser skips.

Nothing is sent in the first second, so that most requests can still fail with a status of their own.
"""

import asyncio
from types import TracebackType
from typing import Self

from heisenberg.server.asgi import STREAM_HEADERS, Send

FIRST_S = 1.0
EVERY_S = 10.0
COMMENT = b": waiting for the model\n\n"
STREAM_TYPE = (b"content-type", b"text/event-stream")


class Waiting:
    """From the request until its answer begins; use as an async context manager.

    Args:
        send: the client's.
        is_streamed: whether it would understand comments; otherwise this does nothing.
    """

    def __init__(self, send: Send, *, is_streamed: bool) -> None:
        self.has_begun = False
        """Whether the answer's status has been sent."""
        self._send = send
        self.is_streamed = is_streamed
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self.is_streamed:
            self._timer = asyncio.get_running_loop().call_later(FIRST_S, self._begin)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.end()

    async def end(self) -> None:
        """No more comments: the answer begins, or will not."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def _begin(self) -> None:
        self._task = asyncio.create_task(self._comment(), name="comments to a waiting client")

    async def _comment(self) -> None:
        await self._send({"type": "http.response.start", "status": 200, "headers": [STREAM_TYPE, *STREAM_HEADERS]})
        self.has_begun = True
        while True:
            await self._send({"type": "http.response.body", "body": COMMENT, "more_body": True})
            await asyncio.sleep(EVERY_S)
