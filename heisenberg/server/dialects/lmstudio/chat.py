"""LM Studio's ``POST /api/v1/chat``: from the request to the last event, and the conversation that is kept.

Leases the model, asks its server for a stream, tells it as LM Studio's events; an answer in one piece is the last of
them. What the bytes mean is in ``requested.py`` and ``events.py``.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from heisenberg.core.errors import HeisenbergError
from heisenberg.runner.catalog.entry import Model
from heisenberg.server.asgi import (
    STREAM_HEADERS,
    BadRequest,
    Receive,
    Scope,
    Send,
    parse_object,
    read_body,
    send_json,
    status_of,
    subject_of,
    while_connected,
)
from heisenberg.server.context import Context
from heisenberg.server.conversations import Message
from heisenberg.server.dialects.lmstudio import requested
from heisenberg.server.dialects.lmstudio.described import Residents
from heisenberg.server.dialects.lmstudio.errors import BadParameter, v1_error
from heisenberg.server.dialects.lmstudio.events import Event, Narrator, as_bytes
from heisenberg.server.folders import without_folders
from heisenberg.server.sse import COMMENT
from heisenberg.server.upstream import Refused, Unanswered, answering, payloads

COMMENT_EVERY_S = 10.0
"""While nothing is said: so that nobody takes the connection for dead."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One chat."""

    model: Model
    body: Mapping[str, Any]
    messages: Sequence[Message]
    """Those before it, and the one that is asked."""
    is_kept: bool
    keep_alive_s: float | None


async def chat(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """POST /api/v1/chat."""
    request = parse_object(await read_body(scope, receive, context.body_bytes))
    asked = _asked(context, request)
    subject_of(scope).model = asked.model.name
    answer = _stream if requested.flag(request, "stream") else _whole
    narrator = Narrator(asked.model.name, time.perf_counter)
    try:
        await while_connected(receive, answer(context, asked, narrator, send))
    finally:
        subject_of(scope).tokens = narrator.figures.output_tokens


def _asked(context: Context, request: Mapping[str, Any]) -> Asked:
    model = context.fleet.catalog.find(requested.model_name(request))
    if model.kind != "llm":
        raise BadParameter("model", f"{model.name} does not chat")
    body, messages = requested.chat(request, model, _before(context, request))
    is_kept = requested.flag(request, "store", default=True)
    return Asked(model, body, messages, is_kept, requested.ttl_s(request))


def _before(context: Context, request: Mapping[str, Any]) -> Sequence[Message]:
    identity = request.get("previous_response_id")
    if identity is None:
        return ()
    found = context.conversations.find(identity) if isinstance(identity, str) else None
    if found is None:
        raise BadParameter(
            "previous_response_id",
            "this response is not known, or not any more: conversations are kept in memory for a day, and at most 500",
            404,
            kind="invalid_request",
        )
    return found


async def _whole(context: Context, asked: Asked, narrator: Narrator, send: Send) -> None:
    async with contextlib.aclosing(_told(context, asked, narrator)) as told:
        async for _ in told:
            pass
    await send_json(send, _result(context, asked, narrator))


async def _stream(context: Context, asked: Asked, narrator: Narrator, send: Send) -> None:
    await send({
        "type": "http.response.start",
        "status": 200,
        "headers": [(b"content-type", b"text/event-stream"), *STREAM_HEADERS],
    })  # fmt: skip
    async with _comments(send):
        last = await _say_all(context, asked, narrator, send)
    await send({"type": "http.response.body", "body": as_bytes(last)})


async def _say_all(context: Context, asked: Asked, narrator: Narrator, send: Send) -> list[Event]:
    """The events that end the chat; all before them are sent."""
    try:
        async with contextlib.aclosing(_told(context, asked, narrator)) as told:
            async for events in told:
                if events:
                    await send({"type": "http.response.body", "body": as_bytes(events), "more_body": True})
    except BadRequest as exc:
        return narrator.fail(v1_error(without_folders(exc.message), exc.status))
    except HeisenbergError as exc:
        return narrator.fail(v1_error(without_folders(exc.message), status_of(exc)))
    return [{"type": "chat.end", "result": _result(context, asked, narrator)}]


async def _told(context: Context, asked: Asked, narrator: Narrator) -> AsyncGenerator[list[Event]]:
    """Every event but the last; a server that gives no answer is replaced, once. Raises BadRequest, HeisenbergError."""
    try:
        async with contextlib.aclosing(_attempt(context, asked, narrator)) as told:
            async for events in told:
                yield events
    except Unanswered:
        async with contextlib.aclosing(_attempt(context, asked, narrator)) as told:
            async for events in told:
                yield events


async def _attempt(context: Context, asked: Asked, narrator: Narrator) -> AsyncGenerator[list[Event]]:
    has_to_load = not Residents(context.fleet.loaded()).can_answer(asked.model)
    yield [*narrator.begin(), *(narrator.begin_loading() if has_to_load else ())]
    async with context.fleet.lease(asked.model, keep_alive_s=asked.keep_alive_s) as lease:
        if has_to_load or lease.load_seconds > 0:  # it can have been unloaded while this one waited
            announced = [] if has_to_load else narrator.begin_loading()
            yield [*announced, *narrator.end_loading(lease.load_seconds)]
        yield narrator.ask()
        async with answering(context, lease, "/v1/chat/completions", asked.body) as answer:
            async with contextlib.aclosing(payloads(answer)) as reads:
                async for found in reads:
                    events, failure = _heard(narrator, found)
                    yield events
                    if failure is not None:
                        raise failure
                    if narrator.is_over:
                        break
            yield narrator.finish()


def _heard(narrator: Narrator, found: Sequence[bytes]) -> tuple[list[Event], Refused | None]:
    """What came before a failure is told, too."""
    events: list[Event] = []
    try:
        for payload in found:
            events += narrator.hear(payload)
    except Refused as exc:
        return events, exc
    return events, None


def _result(context: Context, asked: Asked, narrator: Narrator) -> Event:
    if not asked.is_kept:
        return narrator.result()
    answer = {"role": "assistant", "content": narrator.message}
    return narrator.result(context.conversations.keep([*asked.messages, answer]))


@contextlib.asynccontextmanager
async def _comments(send: Send) -> AsyncIterator[None]:
    """Comments between the events, while the block runs."""

    async def comment() -> None:
        while True:
            await asyncio.sleep(COMMENT_EVERY_S)
            await send({"type": "http.response.body", "body": COMMENT, "more_body": True})

    commenting = asyncio.create_task(comment(), name="comments of a chat")
    try:
        yield
    finally:
        commenting.cancel()
        await asyncio.gather(commenting, return_exceptions=True)
