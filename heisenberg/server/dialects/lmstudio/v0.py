"""LM Studio's old API, which Zed speaks: models, completions and embeddings below ``/api/v0``.

Leases the model and asks its server. What goes in is decided in ``requested.py``, what comes out in
``completion.py``. Failures are told by ``app.py``.
"""

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from heisenberg import __version__
from heisenberg.runner.catalog.entry import Model
from heisenberg.server.asgi import (
    STREAM_HEADERS,
    Receive,
    Scope,
    Send,
    Subject,
    parse_object,
    read_body,
    send_json,
    subject_of,
    while_connected,
)
from heisenberg.server.context import Context
from heisenberg.server.dialects.lmstudio import described, requested
from heisenberg.server.dialects.lmstudio.completion import Ending, whole
from heisenberg.server.dialects.lmstudio.described import Residents
from heisenberg.server.dialects.lmstudio.errors import BadParameter
from heisenberg.server.dialects.lmstudio.figures import Figures
from heisenberg.server.upstream import Answer, Refused, answering, payloads, twice, whole_answer
from heisenberg.server.waiting import STREAM_TYPE, Waiting

MODELS = "/api/v0/models/"


@dataclass(frozen=True, slots=True)
class Asked:
    """One completion."""

    model: Model
    path: str
    body: Mapping[str, Any]
    keep_alive_s: float | None
    has_usage: bool
    """Whether a stream is to end with OpenAI's chunk of figures."""


async def models(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """GET /api/v0/models."""
    residents = Residents(context.fleet.loaded())
    found = described.for_text(context.fleet.catalog.all())
    await send_json(send, {"object": "list", "data": [described.v0_entry(model, residents) for model in found]})


async def model(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """GET /api/v0/models/{id}; an id may hold slashes."""
    found = context.fleet.catalog.find(scope["path"].removeprefix(MODELS))
    if found.kind not in described.TEXT:
        raise BadParameter("model", f"{found.name} is no model of text", 404)
    await send_json(send, described.v0_entry(found, Residents(context.fleet.loaded())))


async def chat(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """POST /api/v0/chat/completions."""
    await _complete(context, scope, receive, send, is_chat=True)


async def complete(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """POST /api/v0/completions."""
    await _complete(context, scope, receive, send, is_chat=False)


async def embed(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """POST /api/v0/embeddings."""
    request = parse_object(await read_body(scope, receive, context.body_bytes))
    found = context.fleet.catalog.find(requested.model_name(request))
    if found.kind not in described.TEXT:
        raise BadParameter("model", f"{found.name} does not embed text")
    subject_of(scope).model = found.name
    body, keep_s = requested.embeddings(request), requested.ttl_s(request)

    async def attempt() -> dict[str, Any]:
        async with context.fleet.lease(found, use="embed", keep_alive_s=keep_s) as lease:
            return await whole_answer(context, lease, "/v1/embeddings", body)

    async def work() -> None:
        await send_json(send, {**await twice(attempt), "model": found.name})

    await while_connected(receive, work())


async def _complete(context: Context, scope: Scope, receive: Receive, send: Send, *, is_chat: bool) -> None:
    request = parse_object(await read_body(scope, receive, context.body_bytes))
    found = context.fleet.catalog.find(requested.model_name(request))
    if found.kind != "llm":
        raise BadParameter("model", f"{found.name} does not generate text")
    subject_of(scope).model = found.name
    allows_web = context.config.server.allow_remote_images
    asked = Asked(
        found,
        "/v1/chat/completions" if is_chat else "/v1/completions",
        requested.completion(request, found, is_chat=is_chat, allows_web=allows_web),
        requested.ttl_s(request),
        requested.wants_usage(request),
    )
    answer = _stream if asked.body.get("stream") else _whole
    await while_connected(receive, answer(context, asked, subject_of(scope), send))


async def _whole(context: Context, asked: Asked, subject: Subject, send: Send) -> None:
    async def attempt() -> tuple[dict[str, Any], Figures]:
        async with context.fleet.lease(asked.model, keep_alive_s=asked.keep_alive_s) as lease:
            figures = Figures(time.perf_counter)
            return await whole_answer(context, lease, asked.path, asked.body), figures

    found, figures = await twice(attempt)
    answer = whole(found, figures, _extras(asked.model))
    subject.tokens = figures.output_tokens
    await send_json(send, answer)


async def _stream(context: Context, asked: Asked, subject: Subject, send: Send) -> None:
    async with Waiting(send, is_streamed=True) as waiting:

        async def attempt() -> None:
            async with context.fleet.lease(asked.model, keep_alive_s=asked.keep_alive_s) as lease:
                ending = Ending(time.perf_counter, _extras(asked.model), has_usage=asked.has_usage)
                try:
                    async with answering(context, lease, asked.path, asked.body) as answer:
                        await _hand_on(answer, ending, waiting, send)
                finally:
                    subject.tokens = ending.figures.output_tokens

        await twice(attempt)


async def _hand_on(answer: Answer, ending: Ending, waiting: Waiting, send: Send) -> None:
    """Each read in one write; the status is sent with the first, so that a failure before it has its own."""
    async with contextlib.aclosing(payloads(answer)) as reads:
        async for found in reads:
            out, failure = _heard(ending, found)
            await _say(out, ending, waiting, send)
            if failure is not None:
                raise failure
            if ending.is_over:
                return
    await _say(ending.finish(), ending, waiting, send)


def _heard(ending: Ending, found: Sequence[bytes]) -> tuple[bytes, Refused | None]:
    """What came before a failure is said, too."""
    out: list[bytes] = []
    try:
        for payload in found:
            out.append(ending.hear(payload))
    except Refused as exc:
        return b"".join(out), exc
    return b"".join(out), None


async def _say(out: bytes, ending: Ending, waiting: Waiting, send: Send) -> None:
    if not out:
        return
    await waiting.end()
    if not waiting.has_begun:
        await send({"type": "http.response.start", "status": 200, "headers": [STREAM_TYPE, *STREAM_HEADERS]})
        waiting.has_begun = True
    await send({"type": "http.response.body", "body": out, "more_body": not ending.is_over})


def _extras(model: Model) -> dict[str, Any]:
    return {
        "model_info": described.v0_info(model),
        "runtime": described.v0_runtime(model, __version__),
    }
