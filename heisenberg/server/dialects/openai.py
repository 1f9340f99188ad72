"""OpenAI's dialect: ``/v1/models`` is ours, everything else about language models is llama-server's own.

Requests are read for their model and for what must not reach it; answers are handed back as they are. Audio is in
``server/audio/``.
"""

from typing import Any

from heisenberg.core.errors import HeisenbergError
from heisenberg.runner.catalog.entry import Model
from heisenberg.server.asgi import (
    BadRequest,
    Receive,
    Scope,
    Send,
    parse_object,
    read_body,
    send_json,
    status_of,
    while_connected,
)
from heisenberg.server.context import Context
from heisenberg.server.forward import forward

EMBEDS = frozenset({"/v1/embeddings"})


def error_body(message: str, status: int) -> dict[str, Any]:
    """A failure, as OpenAI's clients expect it."""
    kinds = {
        400: "invalid_request_error",
        401: "authentication_error",
        403: "authentication_error",
        404: "not_found_error",
    }
    kind = kinds.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def described(model: Model) -> dict[str, Any]:
    """*model* as an entry of ``/v1/models``."""
    return {"id": model.name, "object": "model", "created": int(model.modified_s), "owned_by": model.publisher}


async def list_models(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """GET /v1/models."""
    await send_json(send, {"object": "list", "data": [described(model) for model in context.fleet.catalog.all()]})


async def complete(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """POST /v1/…: whatever llama-server speaks."""
    try:
        body = await read_body(scope, receive, context.body_bytes)
        model = _model(context, parse_object(body))
        await while_connected(receive, _answer(context, model, scope["path"], body, send))
    except BadRequest as exc:
        await send_json(send, error_body(exc.message, exc.status), exc.status)
    except HeisenbergError as exc:
        await send_json(send, error_body(exc.message, status_of(exc)), status_of(exc))


def _model(context: Context, request: dict[str, Any]) -> Model:
    name = request.get("model")
    if not isinstance(name, str) or not name:
        raise BadRequest("model is required")
    return context.fleet.catalog.find(name)


async def _answer(context: Context, model: Model, path: str, body: bytes, send: Send) -> None:
    async with context.fleet.lease(model, use="embed" if path in EMBEDS else "generate") as lease:
        await forward(context, lease, path, body, send)
