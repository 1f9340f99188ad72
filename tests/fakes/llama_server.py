"""A scripted OpenAI-compatible server on loopback, with the bad manners of real ones.

``enqueue`` says how the next request is answered, in order; ``requests`` holds what was asked. Each piece of an
answer leaves in a write of its own. Without a script left, the last answer is given again.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from heisenberg.core.stages import ServiceLease

STALL = "\0stall"
"""Instead of a token: say nothing more until the client goes away."""

DROP = "\0drop"
"""Instead of a token: cut the connection."""

COMMENT = "\0comment"
"""Instead of a token: a comment frame, as llama-server sends to keep a connection alive."""


@dataclass(frozen=True, slots=True)
class Fail:
    """Instead of a token: an error in the middle of the stream."""

    message: str


@dataclass(frozen=True, slots=True)
class Delta:
    """Instead of a token: a chunk of a chat with this delta (``reasoning_content``, ``tool_calls``…)."""

    delta: Mapping[str, Any]


Token = str | Fail | Delta


@dataclass(frozen=True, slots=True)
class Script:
    """How one request is answered."""

    tokens: Sequence[Token]
    status: int = 200
    message: str = ""
    """The error's text, where the status is one."""
    finish: str = "stop"
    """``finish_reason`` of the last chunk; empty sends no such chunk."""
    is_done_sent: bool = True
    newline: str = "\n"
    prefix: str = "data: "
    is_streaming: bool = True
    content_type: str = "text/event-stream"
    chunk_bytes: int = 0
    """Cut the bytes into writes of this size; 0 is one write for each event."""
    timings: Mapping[str, float] = field(default_factory=dict)
    """More than ``predicted_n`` in the last chunk."""


@dataclass
class FakeLlamaServer:
    """Use as an async context manager."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    """Bodies, with the path under ``path`` and the key under ``authorization``."""
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    """A request has come."""
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    """A client went away before its answer was complete."""
    condemned: list[str] = field(default_factory=list)
    most_words: int = 0
    """A longer text is not embedded; 0 is no bound."""
    url: str = ""
    api_key: str = ""
    _scripts: list[Script] = field(default_factory=list)

    def enqueue(self, *tokens: Token, **manners: Any) -> None:
        """Answer the next request with *tokens*."""
        self._scripts.append(Script(tokens, **manners))

    def forget(self) -> None:
        """Drop the answers that wait."""
        self._scripts.clear()

    def condemn(self, reason: str) -> None:
        """As a lease: note that the client gave up on us."""
        self.condemned.append(reason)

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[ServiceLease]:
        """As a lane that is always free."""
        yield self

    async def __aenter__(self) -> "FakeLlamaServer":
        app = web.Application(middlewares=[_refuse_nonsense])
        app.router.add_post("/v1/{kind:completions|chat/completions}", self._answer)
        app.router.add_post("/v1/embeddings", self._embed)
        app.router.add_post("/tokenize", self._tokenize)
        app.router.add_post("/detokenize", self._detokenize)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        extra = {"path": request.path, "authorization": request.headers.get("Authorization", "")}
        self.requests.append({**body, **extra})
        self.asked.set()
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        if script.status != 200:
            error = {"code": script.status, "message": script.message, "type": "server_error"}
            return web.json_response({"error": error}, status=script.status)
        is_chat = request.path.endswith("chat/completions")
        is_plain = all(isinstance(token, str) and not token.startswith("\0") for token in script.tokens)
        wants_whole = "model" in body and body.get("stream") is not True  # our own brain names none, and streams
        if not script.is_streaming or (is_plain and wants_whole):
            text = "".join(str(token) for token in script.tokens)
            choice = {"index": 0, "finish_reason": script.finish, **(_said(text) if is_chat else {"text": text})}
            return web.json_response({"choices": [choice], "usage": {"completion_tokens": len(script.tokens)}})
        return await self._stream(request, script, is_chat)

    async def _stream(self, request: web.Request, script: Script, is_chat: bool) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": script.content_type})
        await response.prepare(request)
        try:
            for token in script.tokens:
                await self._send(request, response, script, token, is_chat)
            if script.finish:
                last = {
                    "choices": [_choice("", script.finish, is_chat)],
                    "timings": {"predicted_n": len(script.tokens), **script.timings},
                }
                await _write(response, script, last)
            if script.is_done_sent:
                await _write(response, script, "[DONE]")
        except (asyncio.CancelledError, ConnectionError):
            self.cancelled.set()
            raise
        return response

    async def _embed(self, request: web.Request) -> web.Response:
        """A text's vector is its number of words and its number of letters."""
        body = await request.json()
        self.requests.append({**body, "path": request.path})
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        longest = max(len(text.split()) for text in texts)
        if 0 < self.most_words < longest:
            message = f"request ({longest} tokens) exceeds the available context size"
            error = {"code": 400, "message": message, "type": "exceed_context_size_error", "n_ctx": self.most_words}
            return web.json_response({"error": error}, status=400)
        vectors = [[float(len(text.split())), float(len(text))] for text in texts]
        data = [{"object": "embedding", "index": n, "embedding": vector} for n, vector in enumerate(vectors)]
        count = sum(len(text.split()) for text in texts)
        usage = {"prompt_tokens": count, "total_tokens": count}
        return web.json_response({"object": "list", "data": data, "model": "fake", "usage": usage})

    async def _tokenize(self, request: web.Request) -> web.Response:
        """Each word is a token, whose id is the word."""
        return web.json_response({"tokens": (await request.json())["content"].split()})

    async def _detokenize(self, request: web.Request) -> web.Response:
        return web.json_response({"content": " ".join((await request.json())["tokens"])})

    async def _send(
        self, request: web.Request, response: web.StreamResponse, script: Script, token: Token, is_chat: bool
    ) -> None:
        match token:
            case Fail(message):
                await _write(response, script, {"error": {"code": 500, "message": message, "type": "server_error"}})
            case Delta(delta):
                choice = {"index": 0, "finish_reason": None, "delta": dict(delta)}
                await _write(response, script, {"choices": [choice]})
            case "\0stall":
                await asyncio.Event().wait()
            case "\0drop":
                assert request.transport is not None
                request.transport.abort()
            case "\0comment":
                await response.write(f":{script.newline * 2}".encode())
            case str():
                await _write(response, script, {"choices": [_choice(token, None, is_chat)]})


@web.middleware
async def _refuse_nonsense(request: web.Request, handler: Handler) -> web.StreamResponse:
    """As llama-server does, where something is missing or of the wrong type."""
    try:
        return await handler(request)
    except (LookupError, TypeError, ValueError, AttributeError) as exc:
        error = {"code": 400, "message": repr(exc), "type": "invalid_request_error"}
        return web.json_response({"error": error}, status=400)


def _said(text: str) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": text}}


def _choice(text: str, finish: str | None, is_chat: bool) -> dict[str, Any]:
    says: dict[str, Any] = {"delta": {"content": text} if text else {}} if is_chat else {"text": text}
    return {"index": 0, "finish_reason": finish, **says}


async def _write(response: web.StreamResponse, script: Script, data: object) -> None:
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    raw = f"{script.prefix}{text}{script.newline * 2}".encode()
    size = script.chunk_bytes or len(raw)
    for at in range(0, len(raw), size):
        await response.write(raw[at : at + size])
