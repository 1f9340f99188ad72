"""The server as one ASGI application: which path is whose, and what happens to every request on its way there.

Both ports answer alike. Who may ask is decided in ``security.py``, what is said to models in ``dialects/``.
"""

import asyncio
import logging
import re
import secrets
from collections.abc import Sequence

import aiohttp

from heisenberg import __version__
from heisenberg.core.errors import HeisenbergError
from heisenberg.server import access_log
from heisenberg.server.access_log import printable
from heisenberg.server.asgi import (
    App,
    BadRequest,
    ClientGone,
    Header,
    Receive,
    Scope,
    Send,
    header,
    send_bytes,
    send_json,
    status_of,
    subject_of,
)
from heisenberg.server.audio import speeches, transcriptions
from heisenberg.server.context import Context
from heisenberg.server.dialects import openai
from heisenberg.server.dialects.lmstudio import routes as lmstudio
from heisenberg.server.dialects.ollama import routes as ollama
from heisenberg.server.exchange import Exchange
from heisenberg.server.folders import without_folders
from heisenberg.server.log_following import Followers
from heisenberg.server.metrics import Metrics
from heisenberg.server.origins import VARY, answer_headers, preflight_headers
from heisenberg.server.own import PATHS as OWN_PATHS
from heisenberg.server.own import own_app
from heisenberg.server.ready import Preloads
from heisenberg.server.routes import Route, Routes
from heisenberg.server.shapes import error_body, stream_end, unexpected_body

log = logging.getLogger(__name__)

ROUTES = (
    # ── OpenAI ──
    *openai.ROUTES,
    # ── LM Studio ──
    *lmstudio.ROUTES,
    # ── Ollama ──
    *ollama.ROUTES,
    # ── audio ──
    Route("POST", "/v1/audio/transcriptions", transcriptions.transcribe, "openai"),
    Route("POST", "/v1/audio/translations", transcriptions.translate, "openai"),
    Route("POST", "/v1/audio/speech", speeches.speak, "openai"),
    Route("GET", "/v1/audio/voices", speeches.list_voices, "openai"),
    Route("GET", "/v1/audio/models", speeches.list_models, "openai"),
)

LONGEST_URL = 8000
"""Bytes of a path and its query."""

LAST_WORDS_S = 1.0
"""How long the end of a stream that is cut may take."""

CLIENT_GONE = 499
"""In the log, of a request whose client left before the answer began."""

REQUEST_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)


class Server:
    """The ASGI application."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._policy = context.policy
        self._metrics = Metrics(context.fleet)
        missing = Preloads(context.fleet, context.config.models.catalog).missing
        own = own_app(context.fleet, self._metrics, missing, Followers(context.fleet, context.ending), ROUTES)
        self._routes = Routes([*ROUTES, Route("GET", "/", _root, "own"), *_own_routes(own)])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        started_s = asyncio.get_running_loop().time()
        request_id = _request_id(scope)
        origin = self._policy.allowed_origin(scope)
        headers = [(b"x-request-id", request_id.encode()), VARY, *(answer_headers(origin) if origin else ())]
        exchange = Exchange(scope, receive, send, headers)
        route = self._routes.find(scope["method"], scope["path"])
        self._metrics.begun()
        try:
            await self._answer_or_fail(exchange, route)
        finally:
            self._note(exchange, route, asyncio.get_running_loop().time() - started_s, request_id)

    async def _answer_or_fail(self, exchange: Exchange, route: Route | None) -> None:
        scope = exchange.scope
        try:
            await self._answer(exchange, route)
        except ClientGone:
            exchange.status = exchange.status or CLIENT_GONE
        except asyncio.CancelledError:
            # Only the server's end cancels a request, and this is its task's last step: nothing is swallowed.
            await _fail(exchange, "the server is ending", 503, is_patient=False)
        except BadRequest as exc:
            await _fail(exchange, exc.message, exc.status)
        except HeisenbergError as exc:
            await _fail(exchange, exc.message, status_of(exc))
        except aiohttp.ClientError as exc:
            log.warning("%s %s: %r", scope["method"], printable(scope["path"]), exc)
            await _fail(exchange, "the model's server cannot be reached, or broke off", 502)
        except Exception:
            log.exception("%s %s failed", scope["method"], printable(scope["path"]))
            await _fail(exchange, "a fault of the server; its log has more", 500)

    async def _answer(self, exchange: Exchange, route: Route | None) -> None:
        scope = exchange.scope
        method, path = scope["method"], scope["path"]
        refusal = self._policy.judge(scope)
        if refusal is not None:
            await _refuse(exchange, refusal.message, refusal.status, refusal.headers)
        elif len(scope.get("raw_path") or b"") + len(scope.get("query_string", b"")) > LONGEST_URL:
            await _refuse(exchange, f"the URL is longer than {LONGEST_URL} bytes", 414)
        elif method == "OPTIONS":
            await self._answer_options(exchange)
        elif route is not None:
            await route.handler(self._context, scope, exchange.receive, exchange.send)
        else:
            allowed = self._routes.methods(path)
            status, headers = (405, [(b"allow", ", ".join(allowed).encode())]) if allowed else (404, [])
            shown = printable(f"{method} {path}")
            await exchange.discard_body()
            await send_json(exchange.send, unexpected_body(path, shown, status), status, headers)

    async def _answer_options(self, exchange: Exchange) -> None:
        """A browser asks what a page may do. For unknown paths, too: so that the page sees their 404."""
        await exchange.discard_body()
        scope = exchange.scope
        methods = [*(self._routes.methods(scope["path"]) or ("GET", "HEAD", "POST")), "OPTIONS"]
        headers = [(b"allow", ", ".join(methods).encode())]
        if header(scope, b"access-control-request-method"):
            headers += preflight_headers(methods, scope["headers"])
        await exchange.send({"type": "http.response.start", "status": 204, "headers": headers})
        await exchange.send({"type": "http.response.body", "body": b""})

    def _note(self, exchange: Exchange, route: Route | None, seconds: float, request_id: str) -> None:
        subject = subject_of(exchange.scope)
        self._metrics.ended(route, exchange.status, seconds, subject)
        if self._context.config.server.access_log:
            access_log.write(exchange.scope, exchange.status, seconds, request_id, subject)


def _own_routes(own: App) -> list[Route]:
    async def answer(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD":  # which it does not know; uvicorn leaves the body out, which then has to end
            scope = {**scope, "method": "GET", "query_string": b""}
        await own(scope, receive, send)

    return [Route("GET", path, answer, "own") for path in OWN_PATHS]


async def _root(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """GET /: clients look here whether anybody is at home."""
    if context.ollama_port and (scope.get("server") or ("", 0))[1] == context.ollama_port:
        await send_bytes(send, b"Ollama is running", 200, [(b"content-type", b"text/plain; charset=utf-8")])
        return
    links = {"docs": "/docs", "models": "/models", "openai": "/v1/models", "ollama": "/api/tags", "health": "/health"}
    await send_json(send, {"name": "heisenberg", "version": __version__, "links": links})


def _request_id(scope: Scope) -> str:
    """The client's own, if it is fit to be repeated."""
    given = header(scope, b"x-request-id")
    return given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


async def _refuse(exchange: Exchange, message: str, status: int, headers: Sequence[Header] = ()) -> None:
    await exchange.discard_body()
    await send_json(exchange.send, error_body(exchange.scope["path"], message, status), status, headers)


async def _fail(exchange: Exchange, message: str, status: int, *, is_patient: bool = True) -> None:
    """Say it in the dialect of the path: as the whole answer, or as the end of what has begun."""
    path, message = exchange.scope["path"], without_folders(message)
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
