"""One client's connection: uvicorn's, with bounds where it has none.

uvicorn waits for ever for the head of a request, however long that grows, and for a client that does not read what it
asked for. It does not notice that a client left which has sent its next request already. Of a client that offers
another protocol it would lose the body: here it is answered in this one. Knows nothing of requests; how long a body
may take is in ``exchange.py``.
"""

import asyncio
import contextlib
import sys

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEAD_S = 15.0
"""How long a connection may be open, or a request's head be incomplete, without a request."""

HEAD_BYTES = 64_000
"""The longest head: its URL and all of its headers."""

OFFERS = frozenset({b"upgrade", b"http2-settings"})
"""Headers about another protocol."""

UNREAD_S = 60.0
"""How long a client may read nothing of an answer that waits for it."""


class Connection(HttpToolsProtocol):
    """Closes itself on clients that only hold it."""

    _data = b""
    """What is being read."""
    _is_deaf = False
    """Nothing more is taken in; the connection ends with the last answer."""
    _running: RequestResponseCycle | None = None
    """What is being answered; ``cycle`` is what came last."""
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None
    _unread_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """asyncio's: a client is there."""
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_S, transport.close)

    def data_received(self, data: bytes) -> None:
        """asyncio's: the client says something."""
        if self._is_deaf:
            return
        is_next = self._is_answering and not self.cycle.more_body
        self._data = data
        super().data_received(data)
        self._data = b""
        if self._is_answering and (is_next or self.pipeline):
            self._bound_next(len(data))
        elif self._is_answering:
            self._forget_head()
        elif not self.transport.is_closing():
            self._await_head(len(data))

    def on_headers_complete(self) -> None:
        """The parser's: the head of a request is complete."""
        if self._is_offered_another:
            return
        super().on_headers_complete()
        if self.pipeline:  # uvicorn reads no more, and so would not see that the client leaves
            self.flow.resume_reading()

    def on_message_complete(self) -> None:
        """The parser's: all of a request has come."""
        if not self._is_offered_another:
            super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's: the client is gone."""
        self._forget_head()
        self._forget_unread()
        super().connection_lost(exc)
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()

    def pause_writing(self) -> None:
        """asyncio's: the client reads more slowly than we write."""
        super().pause_writing()
        self._unread_timer = self.loop.call_later(UNREAD_S, self.transport.abort)

    def resume_writing(self) -> None:
        """asyncio's: it has read."""
        self._forget_unread()
        super().resume_writing()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        self._forget_head()
        super()._start_asgi_task(cycle, app)

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _bound_next(self, new_bytes: int) -> None:
        """Requests that come before the last one was answered wait in memory."""
        self._head_bytes += new_bytes
        if self._head_bytes > HEAD_BYTES:
            self._be_deaf()

    def _be_deaf(self) -> None:
        self._is_deaf, self.cycle.keep_alive = True, False

    @property
    def _is_offered_another(self) -> bool:
        return bool(self.parser.should_upgrade()) and self.parser.get_method() != b"CONNECT"

    def _unsupported_upgrade_warning(self) -> None:
        """uvicorn's: the parser ends with the head of a request that offers another protocol.

        Java's HttpClient does so with each request. It is read again as if it did not.
        """
        end = sys.exception()
        if not isinstance(end, httptools.HttpParserUpgrade):
            return
        if self._is_answering:
            self._be_deaf()
            return
        first = b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        headers = [b"%s: %s" % (name, _kept(name, value)) for name, value in self.headers if name not in OFFERS]
        self.parser = httptools.HttpRequestParser(self)
        with contextlib.suppress(AttributeError):  # as uvicorn's own; before httptools 0.6.3 there are none
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        super().data_received(b"\r\n".join([first, *headers, b"", b""]) + self._data[end.args[0] :])

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


def _kept(name: bytes, value: bytes) -> bytes:
    """*value* of header *name*, without the offer of another protocol."""
    if name != b"connection":
        return value
    return b", ".join(word for word in map(bytes.strip, value.split(b",")) if word.lower() not in OFFERS)
