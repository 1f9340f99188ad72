"""Ollama's chat and generate: from the request to the last line of the answer.

Leases the model, asks its server for a stream, translates it read by read. An answer in one piece is the same stream,
folded. What the bytes mean is in ``request.py`` and ``stream.py``.
"""

import contextlib
import time
from collections.abc import AsyncGenerator

import aiohttp

from heisenberg.runner.catalog.entry import Model
from heisenberg.runner.fleet import ModelLease
from heisenberg.server.asgi import (
    JSON_HEADER,
    STREAM_HEADERS,
    BadRequest,
    Header,
    Receive,
    Scope,
    Send,
    parse_object,
    read_body,
    send_bytes,
    send_json,
    subject_of,
    while_connected,
)
from heisenberg.server.context import Context
from heisenberg.server.dialects.ollama import request as translated
from heisenberg.server.dialects.ollama.request import Asked, Request, is_streamed, model_name
from heisenberg.server.dialects.ollama.stream import Shape, Translator, as_line, fold, message_of, now
from heisenberg.server.keep_alive import keep_alive_s
from heisenberg.server.upstream import Answer, Refused, answering, twice

LINES: Header = (b"content-type", b"application/x-ndjson")


async def chat(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """POST /api/chat; without messages, load or unload the model."""
    request = parse_object(await read_body(scope, receive, context.body_bytes))
    model = _able(context, request, "chat")
    subject_of(scope).model = model.name
    if not request.get("messages"):
        await while_connected(receive, _load_or_unload(context, model, request, "chat", scope, send))
    else:
        await _converse(context, model, request, translated.chat(request, model), scope, receive, send)


async def generate(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """POST /api/generate; without a prompt, load or unload the model."""
    request = parse_object(await read_body(scope, receive, context.body_bytes))
    model = _able(context, request, "generate")
    subject_of(scope).model = model.name
    if not any(request.get(key) for key in ("prompt", "suffix", "images")):
        await while_connected(receive, _load_or_unload(context, model, request, "generate", scope, send))
    else:
        await _converse(context, model, request, translated.generate(request, model), scope, receive, send)


def _able(context: Context, request: Request, what: Shape) -> Model:
    model = context.fleet.catalog.find(model_name(request))
    if model.kind != "llm":
        raise BadRequest(f'"{model_name(request)}" does not support {what}')
    return model


async def _load_or_unload(
    context: Context, model: Model, request: Request, shape: Shape, scope: Scope, send: Send
) -> None:
    seconds = keep_alive_s(request.get("keep_alive"))
    if seconds == 0:
        context.policy.require_admin(scope)  # by path alone it is a generation
        await context.fleet.unload(model, waits=False)  # a busy one goes when it is idle
    else:
        await context.fleet.load(model, keep_alive_s=seconds)
    said = message_of(shape, "")
    reason = "unload" if seconds == 0 else "load"
    found = {"model": model_name(request), "created_at": now(), **said, "done": True, "done_reason": reason}
    await send_json(send, found)


async def _converse(
    context: Context, model: Model, request: Request, asked: Asked, scope: Scope, receive: Receive, send: Send
) -> None:
    began_s, seconds = time.perf_counter(), keep_alive_s(request.get("keep_alive"))
    answer = _stream if is_streamed(request) else _whole

    async def work() -> None:
        async with context.fleet.lease(model, keep_alive_s=seconds) as lease:
            translator = _translator(model_name(request), asked, lease, began_s)
            try:
                async with answering(context, lease, asked.path, asked.body) as found:
                    await answer(found, translator, send)
            finally:  # the client may be gone with the last line in its hands
                subject_of(scope).tokens = translator.tokens

    await while_connected(receive, twice(work))


def _translator(name: str, asked: Asked, lease: ModelLease, began_s: float) -> Translator:
    return Translator(
        name,
        asked.shape,
        clock=time.perf_counter,
        began_s=began_s,
        load_s=lease.load_seconds,
        conversation=asked.conversation,
    )


async def _stream(answer: Answer, translator: Translator, send: Send) -> None:
    is_started = False
    async with contextlib.aclosing(_lines(answer, translator)) as found:
        async for lines in found:
            if not is_started and lines == as_line({"error": translator.error}):
                raise Refused(translator.error)  # nothing was said yet: a status can still tell
            if not is_started:
                headers = [LINES, *STREAM_HEADERS]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                is_started = True
            await send({"type": "http.response.body", "body": lines, "more_body": not translator.is_over})


async def _whole(answer: Answer, translator: Translator, send: Send) -> None:
    lines = b"".join([lines async for lines in _lines(answer, translator)])
    if translator.error:
        raise Refused(translator.error)
    await send_bytes(send, as_line(fold(lines)), 200, [JSON_HEADER])


async def _lines(answer: Answer, translator: Translator) -> AsyncGenerator[bytes]:
    """What each read makes; the last one ends with the last line."""
    try:
        async for block in answer.blocks():
            if lines := translator.feed(block):
                yield lines
            if translator.is_over:
                return
    except (aiohttp.ClientError, OSError):
        yield translator.fail("the model's server broke off in the middle of its answer")
        return
    yield translator.finish()
