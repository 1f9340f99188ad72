"""The server as one ASGI application: which path is whose, and what happens to every request on its way there.

Both ports answer alike. Who may ask is decided in ``security.py``, what is said to models in ``dialects/``.
"""

import asyncio
import logging
import re
import secrets

from heisenberg.core.errors import HeisenbergError
from heisenberg.server.asgi import BadRequest, ClientGone, Header, Receive, Scope, Send, header, send_json, status_of
from heisenberg.server.context import Context
from heisenberg.server.dialects import openai
from heisenberg.server.exchange import Exchange
from heisenberg.server.routes import Route, Routes
from heisenberg.server.shapes import error_body, stream_end

log = logging.getLogger(__name__)

ROUTES = (
    # ── OpenAI ──
    Route("GET", "/v1/models", openai.list_models, "openai"),
    Route("POST", "/v1/*", openai.complete, "openai"),
    # ── LM Studio ──
    # ── Ollama ──
    # ── audio ──
)

LONGEST_URL = 8000
"""Bytes of a path and its query."""

LAST_WORDS_S = 1.0
"""How long the end of a stream that is cut may take."""

REQUEST_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)


class Server:
    """The ASGI application."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._routes = Routes(ROUTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        exchange = Exchange(scope, receive, send, [_request_id(scope)])
        try:
            await self._answer(exchange)
        except ClientGone:
            return
        except asyncio.CancelledError:
            # Only the server's end cancels a request, and this is its task's last step: nothing is swallowed.
            await _fail(exchange, "the server is ending", 503, is_patient=False)
        except BadRequest as exc:
            await _fail(exchange, exc.message, exc.status)
        except HeisenbergError as exc:
            await _fail(exchange, exc.message, status_of(exc))
        except Exception:
            log.exception("%s %s failed", scope["method"], scope["path"])
            await _fail(exchange, "a fault of the server; its log has more", 500)

    async def _answer(self, exchange: Exchange) -> None:
        scope = exchange.scope
        method, path = scope["method"], scope["path"]
        if len(scope.get("raw_path") or b"") + len(scope.get("query_string", b"")) > LONGEST_URL:
            raise BadRequest(f"the URL is longer than {LONGEST_URL} bytes", 414)
        route = self._routes.find(method, path)
        if route is None:
            await self._refuse_route(exchange, method, path)
            return
        await route.handler(self._context, scope, exchange.receive, exchange.send)

    async def _refuse_route(self, exchange: Exchange, method: str, path: str) -> None:
        await exchange.discard_body()
        allowed = self._routes.methods(path)
        status, headers = (405, [(b"allow", ", ".join(allowed).encode())]) if allowed else (404, [])
        message = f"Unexpected endpoint or method. ({method} {path[:200]})"
        await send_json(exchange.send, error_body(path, message, status), status, headers)


def _request_id(scope: Scope) -> Header:
    """The client's own, if it is fit to be repeated."""
    given = header(scope, b"x-request-id")
    return b"x-request-id", (given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8)).encode()


async def _fail(exchange: Exchange, message: str, status: int, *, is_patient: bool = True) -> None:
    """Say it in the dialect of the path: as the whole answer, or as the end of what has begun."""
    path = exchange.scope["path"]
    if not exchange.has_begun:
        if is_patient:
            await exchange.discard_body()
        await send_json(exchange.send, error_body(path, message, status), status)
        return
    end = None if exchange.has_ended else stream_end(path, exchange.content_type, message)
    if end is not None:
        try:
            async with asyncio.timeout(LAST_WORDS_S):
                await exchange.send({"type": "http.response.body", "body": end})
        except TimeoutError:
            return  # the client does not read; the connection is closed with the server
