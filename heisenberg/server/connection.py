"""One client's connection: uvicorn's, with bounds where it has none.

uvicorn waits for ever for the head of a request, however long that grows, and for a client that does not read what it
asked for. Knows nothing of requests; how long a body may take is in ``exchange.py``.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_S = 15.0
"""How long a connection may be open, or a request's head be incomplete, without a request."""

HEAD_BYTES = 64_000
"""The longest head: its URL and all of its headers."""

UNREAD_S = 60.0
"""How long a client may read nothing of an answer that waits for it."""


class Connection(HttpToolsProtocol):
    """Closes itself on clients that only hold it."""

    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None
    _unread_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """asyncio's: a client is there."""
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_S, transport.close)

    def data_received(self, data: bytes) -> None:
        """asyncio's: the client says something."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._forget_head()
        elif not self.transport.is_closing():
            self._await_head(len(data))

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's: the client is gone."""
        self._forget_head()
        self._forget_unread()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """asyncio's: the client reads more slowly than we write."""
        super().pause_writing()
        self._unread_timer = self.loop.call_later(UNREAD_S, self.transport.abort)

    def resume_writing(self) -> None:
        """asyncio's: it has read."""
        self._forget_unread()
        super().resume_writing()

    def _await_head(self, new_bytes: int) -> None:
        self._head_bytes += new_bytes
        if self._head_bytes > HEAD_BYTES:
            self.transport.write(
                b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            )
            self.transport.close()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_S, self.transport.close)

    def _forget_head(self) -> None:
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _forget_unread(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None
