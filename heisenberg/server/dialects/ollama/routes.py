"""Ollama's dialect: its routes.

Answers what its clients (Open WebUI, Home Assistant, Zed, VS Code Copilot, LangChain) ask for. Short routes are here;
generating is in ``generation.py``, embedding in ``embed.py``, pulling in ``pull.py``. Failures
are told by ``app.py``.
"""

import asyncio
import contextlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from heisenberg.core.errors import ModelNotFound
from heisenberg.runner.catalog.index import Catalog
from heisenberg.runner.catalog.store import Store
from heisenberg.server.asgi import (
    BadRequest,
    Receive,
    Scope,
    Send,
    parse_object,
    read_body,
    send_bytes,
    send_json,
    subject_of,
)
from heisenberg.server.context import Context
from heisenberg.server.dialects.ollama import described, embed, generation, pull
from heisenberg.server.dialects.ollama.request import model_name
from heisenberg.server.routes import Handler, Route

VERSION = "0.12.6"
"""Which Ollama we speak like, not which Heisenberg this is. Clients compare it to know what they may ask: VS Code
Copilot wants 0.6.4 or newer, others 0.9 for ``think`` and 0.12 for tool call ids and logprobs."""


async def version(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """GET /api/version."""
    await send_json(send, {"version": VERSION})


async def tags(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """GET /api/tags: the models that there are."""
    catalog = context.fleet.catalog
    models = {model.name: model for model in described.for_text(catalog.all())}
    copies = [(name, models[of]) for name, of in catalog.copies.all().items() if of in models and name not in models]
    listed = [*models.values(), *(replace(model, name=name) for name, model in copies)]
    await send_json(send, {"models": [described.tag(model) for model in listed]})


async def running(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """GET /api/ps: the models in memory."""
    await send_json(send, {"models": described.all_running(context.fleet.loaded(), datetime.now(UTC))})


async def show(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """POST /api/show: everything about a model."""
    request = parse_object(await read_body(scope, receive, context.body_bytes))
    model = context.fleet.catalog.find(model_name(request))
    await send_json(send, described.shown(model, is_verbose=request.get("verbose") is True))


async def copy(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """POST /api/copy: a second name for a model. Weights are not copied."""
    request = parse_object(await read_body(scope, receive, context.body_bytes))
    source, destination = (_text(request, key) for key in ("source", "destination"))
    catalog = context.fleet.catalog
    model = catalog.find(source)
    name = destination.removesuffix(":latest")
    if name not in catalog.copies.all() and _is_taken(catalog, name):
        raise BadRequest(f"model '{destination}' exists already")
    await asyncio.to_thread(catalog.copies.add, name, model.name)
    await send_bytes(send, b"", 200, [])


def _text(request: dict[str, Any], key: str) -> str:
    if not isinstance(value := request.get(key), str) or not value:
        raise BadRequest(f"{key} is required")
    return value


def _is_taken(catalog: Catalog, name: str) -> bool:
    with contextlib.suppress(ModelNotFound):
        return bool(catalog.find(name))
    return False


async def delete(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """DELETE /api/delete, for copies and the models folder: what else there is was put where it is by the user."""
    request = parse_object(await read_body(scope, receive, context.body_bytes))
    catalog, name = context.fleet.catalog, model_name(request).removesuffix(":latest")
    if name in catalog.copies.all():
        await asyncio.to_thread(catalog.copies.remove, name)
        await send_bytes(send, b"", 200, [])
        return
    store = Store(context.config.models.folder)
    installed = {model.name for model in await asyncio.to_thread(store.installed)}
    if name not in installed or name not in catalog.unusable:  # a damaged one cannot be in memory
        model = catalog.find(name)
        subject_of(scope).model = name = model.name
        if name not in installed:
            raise BadRequest(f"model '{name}' is not in the models folder; remove it where it is configured")
        await context.fleet.unload(model)
    await asyncio.to_thread(store.remove, name)
    await send_bytes(send, b"", 200, [])


def _unsupported(what: str) -> Handler:
    async def refuse(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
        raise BadRequest(what, 501)

    return refuse


CREATE = "creating models is not supported; put a GGUF file into the models folder, or pull one"
PUSH = "pushing models is not supported"

ROUTES = (
    Route("GET", "/api/version", version, "ollama"),
    Route("GET", "/api/tags", tags, "ollama"),
    Route("GET", "/api/ps", running, "ollama"),
    Route("POST", "/api/show", show, "ollama"),
    Route("POST", "/api/chat", generation.chat, "ollama"),
    Route("POST", "/api/generate", generation.generate, "ollama"),
    Route("POST", "/api/embed", embed.embed, "ollama"),
    Route("POST", "/api/embeddings", embed.embeddings, "ollama"),
    Route("POST", "/api/pull", pull.answer, "ollama"),
    Route("DELETE", "/api/delete", delete, "ollama"),
    Route("POST", "/api/copy", copy, "ollama"),
    Route("POST", "/api/create", _unsupported(CREATE), "ollama"),
    Route("POST", "/api/push", _unsupported(PUSH), "ollama"),
    Route("GET", "/api/blobs/*", _unsupported(CREATE), "ollama"),
    Route("POST", "/api/blobs/*", _unsupported(CREATE), "ollama"),
)
"""Ollama's part of the route table; ``/`` is in ``app.py``."""
