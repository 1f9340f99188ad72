"""A scripted Ollama on loopback, with the shapes that real ones answer in, of today and of years ago.

Used as ``FakeLlamaServer`` is: ``enqueue`` says how the next question is answered, ``requests`` holds what was asked.
A question without messages (or prompt) loads the model and takes no script.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from heisenberg.core.stages import ServiceLease
from tests.fakes.llama_server import DROP, STALL, Fail

CREATED_AT = "2025-11-21T13:55:57.123456789Z"
FIGURES = {
    "total_duration": 4883583458,
    "load_duration": 1334875,
    "prompt_eval_count": 26,
    "prompt_eval_duration": 342546000,
    "eval_duration": 4535599000,
}
NO_SCHEMA = "json: cannot unmarshal object into Go struct field ChatRequest.format of type string"
NO_FORMAT = "invalid format: json"


@dataclass(frozen=True, slots=True)
class Thinking:
    """Instead of a token: what a model thinks aloud."""

    text: str


Token = str | Fail | Thinking


@dataclass(frozen=True, slots=True)
class Script:
    """How one question is answered."""

    tokens: Sequence[Token]
    status: int = 200
    message: str = ""
    """The error's text, where the status is one."""
    finish: str = "stop"
    """``done_reason``; empty breaks off without a last line."""
    knows_done_reason: bool = True
    """Old servers only say that they are done."""
    raw: bytes = b""
    """In place of everything."""
    content_type: str = "application/x-ndjson"


@dataclass
class FakeOllama:
    """Use as an async context manager."""

    models: set[str] = field(default_factory=lambda: {"tiny"})
    pullable: set[str] = field(default_factory=set)
    formats: tuple[str, ...] = ("schema", "json")
    """What it takes for ``format``."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    """Bodies of questions, with the path under ``path`` and the key under ``authorization``."""
    loads: list[dict[str, Any]] = field(default_factory=list)
    """Bodies of requests that only load."""
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    """A client went away before its answer was complete."""
    condemned: list[str] = field(default_factory=list)
    url: str = ""
    api_key: str = ""
    _scripts: list[Script] = field(default_factory=list)

    def enqueue(self, *tokens: Token, **manners: Any) -> None:
        """Answer the next question with *tokens*; the last script is given again."""
        self._scripts.append(Script(tokens, **manners))

    def forget(self) -> None:
        """Drop the answers that wait."""
        self._scripts.clear()

    def condemn(self, reason: str) -> None:
        """As a lease: note that the client gave up on us."""
        self.condemned.append(reason)

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[ServiceLease]:
        """As a server that is always free."""
        yield self

    async def __aenter__(self) -> "FakeOllama":
        app = web.Application()
        app.router.add_post("/api/{kind:chat|generate}", self._answer)
        app.router.add_post("/api/show", self._show)
        app.router.add_post("/api/pull", self._pull)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        body |= {"path": request.path, "authorization": request.headers.get("Authorization", "")}
        is_load = not (body.get("messages") or body.get("prompt"))
        (self.loads if is_load else self.requests).append(body)
        if body["model"] not in self.models:
            return _error(404, f"model '{body['model']}' not found")
        if refusal := self._refused_format(body.get("format")):
            return _error(400, refusal)
        if is_load:
            return await self._stream(request, Script((), finish="load"))
        self.asked.set()
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        if script.status != 200:
            return _error(script.status, script.message)
        return await self._stream(request, script)

    def _refused_format(self, wanted: object) -> str:
        if isinstance(wanted, dict) and "schema" not in self.formats:
            return NO_SCHEMA
        return NO_FORMAT if wanted == "json" and "json" not in self.formats else ""

    async def _stream(self, request: web.Request, script: Script) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": script.content_type})
        await response.prepare(request)
        is_chat = request.path.endswith("chat")
        try:
            if script.raw:
                await response.write(script.raw)
                return response
            for token in script.tokens:
                await _send(request, response, token, is_chat)
            if script.finish:
                reason = {"done_reason": script.finish} if script.knows_done_reason else {}
                figures = {} if script.finish == "load" else {**FIGURES, "eval_count": len(script.tokens)}
                await _write(response, {**_said("", is_chat), **reason, "done": True, **figures})
        except (asyncio.CancelledError, ConnectionError):
            self.cancelled.set()
            raise
        return response

    async def _show(self, request: web.Request) -> web.Response:
        model = (await request.json())["model"]
        if model not in self.models:
            return _error(404, f"model '{model}' not found")
        return web.json_response({"details": {"family": "llama"}, "model_info": {}, "capabilities": ["completion"]})

    async def _pull(self, request: web.Request) -> web.StreamResponse:
        model = (await request.json())["model"]
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        await _write(response, {"status": "pulling manifest"})
        if model not in self.pullable:
            await _write(response, {"error": "pull model manifest: file does not exist"})
            return response
        for done in (0, 40, 100):
            part = {"digest": "sha256:abc", "total": 100, **({"completed": done} if done else {})}
            await _write(response, {"status": "pulling abc", **part})
        for status in ("verifying sha256 digest", "writing manifest", "success"):
            await _write(response, {"status": status})
        self.models.add(model)
        return response


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status)


async def _send(request: web.Request, response: web.StreamResponse, token: Token, is_chat: bool) -> None:
    match token:
        case Fail(message):
            await _write(response, {"error": message})
        case Thinking(text):
            await _write(response, {**_said("", is_chat, thinking=text), "done": False})
        case str() if token == STALL:
            await asyncio.Event().wait()
        case str() if token == DROP:
            assert request.transport is not None
            request.transport.abort()
        case str():
            await _write(response, {**_said(token, is_chat), "done": False})


def _said(text: str, is_chat: bool, **more: str) -> dict[str, Any]:
    said = {"message": {"role": "assistant", "content": text, **more}} if is_chat else {"response": text, **more}
    return {"model": "tiny", "created_at": CREATED_AT, **said}


async def _write(response: web.StreamResponse, line: object) -> None:
    await response.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
