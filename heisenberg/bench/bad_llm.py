"""Stands between the brain and a language model's server, and now and then answers in its place, badly.

For ``chaos.py``, which arms one wrong answer at a time; everything else is passed on as it is, both ways. It knows
the OpenAI streaming format and nothing of turns.
"""

import asyncio
import json
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum, auto

import aiohttp
from aiohttp import web

from heisenberg.core.stages import LeaseService, ServiceLease

CONNECT_TIMEOUT_S = 5.0
ENDLESS_PIECE_S = 0.02
MOST_ARMED = 8


class Ending(Enum):
    """What comes after the last piece."""

    CLOSE = auto()
    """The answer is over, as HTTP has it."""
    ABORT = auto()
    """The connection breaks."""
    SILENCE = auto()
    """Nothing, until the client goes away."""
    REPEAT = auto()
    """The last piece, again and again, until the client goes away."""


@dataclass(frozen=True, slots=True)
class WrongAnswer:
    """An answer that no server should give."""

    pieces: tuple[bytes, ...]
    ending: Ending = Ending.CLOSE
    status: int = 200
    content_type: str = "text/event-stream"


def _said(text: str) -> bytes:
    """An event that adds *text*, in the form of both dialects."""
    choice = {"index": 0, "delta": {"content": text}, "text": text, "finish_reason": None}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


def _over(text: str) -> tuple[bytes, ...]:
    choice = {"index": 0, "delta": {}, "text": "", "finish_reason": "stop"}
    return _said(text), b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n", b"data: [DONE]\n\n"


WRONG_ANSWERS: dict[str, WrongAnswer] = {
    "no JSON": WrongAnswer(_over("I would rather talk about the weather.")),
    "another schema": WrongAnswer(_over('{"answer": ["a", {"b": null}], "mood": 7, "intensity": {"x": []}}')),
    "numbers that are none": WrongAnswer(_over('{"mood":"calm","intensity":NaN,"reply":"One.","prompt":1e999}')),
    "huge string": WrongAnswer(_over('{"mood":"calm","prompt":"' + "sea " * 60_000 + '","reply":"Huge."}')),
    "huge event": WrongAnswer((b"data: " + b"x" * 3_000_000,)),
    "empty": WrongAnswer(()),
    "nothing but the end": WrongAnswer((b"data: [DONE]\n\n",)),
    "not an event stream": WrongAnswer((b"<html>It works!</html>",), content_type="text/html"),
    "wrong encoding": WrongAnswer((b"data: \xff\xfe{\x00\xe9\x80\n\n",)),
    "cut off": WrongAnswer((_said('{"mood":"calm","intensity":0.5,"reply":"The sea is '),), Ending.ABORT),
    "ends early": WrongAnswer((_said('{"mood":"calm","intensity":0.5,"reply":"The sea is '),)),
    "an error in the stream": WrongAnswer((b'data: {"error": {"code": 500, "message": "out of memory"}}\n\n',)),
    "HTTP 500": WrongAnswer((b'{"error": {"message": "it broke"}}',), status=500, content_type="application/json"),
    "refused": WrongAnswer((), Ending.ABORT),
    "silent": WrongAnswer((), Ending.SILENCE),
    "silent in the middle": WrongAnswer((_said('{"mood":"calm","reply":"The sea'),), Ending.SILENCE),
    "endless": WrongAnswer((_said('{"mood":"calm","reply":"'), _said("and on ")), Ending.REPEAT),
    "endless space": WrongAnswer((_said("{"), _said(" " * 50)), Ending.REPEAT),
}
"""By name."""


class BadLlm:
    """The relay. Use as an async context manager."""

    def __init__(self) -> None:
        self.given: Counter[str] = Counter()
        """Wrong answers that were given, by name."""
        self.url = ""
        self._armed: deque[str] = deque(maxlen=MOST_ARMED)
        self._app: web.AppRunner | None = None
        self._http: aiohttp.ClientSession | None = None

    def arm(self, name: str) -> None:
        """Give the next question this one of :data:`WRONG_ANSWERS`, or the one after those that are armed already."""
        self._armed.append(name)

    def relent(self) -> None:
        """Give real answers from now on."""
        self._armed.clear()

    def through(self, url: str) -> str:
        """The address of the server at *url*, through this relay."""
        return f"{self.url}/{url.encode().hex()}"

    def leased(self, lease: LeaseService) -> LeaseService:
        """*lease*, whose service is reached through this relay."""

        @asynccontextmanager
        async def through_here() -> AsyncIterator[ServiceLease]:
            async with lease() as service:
                yield _Relayed(service, self.through(service.url))

        return through_here

    async def __aenter__(self) -> "BadLlm":
        app = web.Application()
        app.router.add_route("*", "/{server}/{path:.*}", self._answer)
        self._app = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.2, access_log=None)
        await self._app.setup()
        await web.TCPSite(self._app, "127.0.0.1", 0).start()
        host, port = self._app.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S)
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True), timeout=timeout)
        return self

    async def __aexit__(self, *failure: object) -> None:
        assert self._app is not None
        assert self._http is not None
        await self._app.cleanup()
        await self._http.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if not self._armed or not _is_question(body):
            return await self._pass_on(request, body)
        name = self._armed.popleft()
        self.given[name] += 1
        return await _misbehave(request, WRONG_ANSWERS[name])

    async def _pass_on(self, request: web.Request, body: bytes) -> web.StreamResponse:
        assert self._http is not None
        server = bytes.fromhex(request.match_info["server"]).decode()
        headers = {name: request.headers[name] for name in ("Authorization", "Content-Type") if name in request.headers}
        url = f"{server}/{request.match_info['path']}"
        try:
            async with self._http.request(request.method, url, data=body or None, headers=headers) as answer:
                response = web.StreamResponse(status=answer.status)
                response.content_type = answer.content_type
                await response.prepare(request)
                async for piece in answer.content.iter_any():
                    await response.write(piece)
                return response
        except (aiohttp.ClientError, OSError):  # as if it had happened to the client itself
            return _broken(request)


@dataclass(frozen=True, slots=True)
class _Relayed:
    """A lease with another address."""

    service: ServiceLease
    url: str

    @property
    def api_key(self) -> str:
        """The real one's."""
        return self.service.api_key

    def condemn(self, reason: str) -> None:
        """Condemn the real one."""
        self.service.condemn(reason)


def _is_question(body: bytes) -> bool:
    """Whether an answer is wanted; preparations ask for a token at most."""
    try:
        return int(json.loads(body).get("max_tokens", 0)) > 1
    except (ValueError, TypeError, AttributeError):
        return False


async def _misbehave(request: web.Request, wrong: WrongAnswer) -> web.StreamResponse:
    response = web.StreamResponse(status=wrong.status, headers={"Content-Type": wrong.content_type})
    if wrong.pieces or wrong.ending is not Ending.ABORT:
        await response.prepare(request)
    for piece in wrong.pieces:
        await response.write(piece)
    match wrong.ending:
        case Ending.ABORT:
            return _broken(request)
        case Ending.SILENCE:
            await asyncio.Event().wait()  # cancelled when the client goes away
        case Ending.REPEAT:
            while True:
                await response.write(wrong.pieces[-1])
                await asyncio.sleep(ENDLESS_PIECE_S)
    return response


def _broken(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
