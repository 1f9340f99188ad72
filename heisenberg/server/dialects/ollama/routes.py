"""Ollama's dialect: its routes.

Answers what its clients (Open WebUI, Home Assistant, Zed, VS Code Copilot, LangChain) ask for. Short routes are here;
generating is in ``generation.py``, embedding in ``embed.py``, pulling in ``pull.py``. Failures
are told by ``app.py``.
"""

import asyncio
from datetime import UTC, datetime

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
    models = described.for_text(context.fleet.catalog.all())
    await send_json(send, {"models": [described.tag(model) for model in models]})


async def running(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """GET /api/ps: the models in memory."""
    now = datetime.now(UTC)
    loaded = [entry for entry in context.fleet.loaded() if entry.model.kind in described.TEXT]
    await send_json(send, {"models": [described.running(entry, now) for entry in loaded]})


async def show(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """POST /api/show: everything about a model."""
    request = parse_object(await read_body(scope, receive, context.body_bytes))
    model = context.fleet.catalog.find(model_name(request))
    await send_json(send, described.shown(model, is_verbose=request.get("verbose") is True))


async def delete(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """DELETE /api/delete, for the models folder only: what else there is was put where it is by the user."""
    request = parse_object(await read_body(scope, receive, context.body_bytes))
    model = context.fleet.catalog.find(model_name(request))
    subject_of(scope).model = model.name
    store = Store(context.config.models.folder)
    if all(installed.name != model.name for installed in await asyncio.to_thread(store.installed)):
        raise BadRequest(f"model '{model.name}' is not in the models folder; remove it where it is configured")
    await context.fleet.unload(model)
    await asyncio.to_thread(store.remove, model.name)
    await send_bytes(send, b"", 200, [])


def _unsupported(what: str) -> Handler:
    async def refuse(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
        raise BadRequest(what, 501)

    return refuse


COPY = "copying is not supported; give a model another name in the configuration: aliases of models.catalog"
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
    Route("POST", "/api/copy", _unsupported(COPY), "ollama"),
    Route("POST", "/api/create", _unsupported(CREATE), "ollama"),
    Route("POST", "/api/push", _unsupported(PUSH), "ollama"),
    Route("GET", "/api/blobs/*", _unsupported(CREATE), "ollama"),
    Route("POST", "/api/blobs/*", _unsupported(CREATE), "ollama"),
)
"""Ollama's part of the route table; ``/`` is in ``app.py``."""
