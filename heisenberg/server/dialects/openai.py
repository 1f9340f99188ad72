"""OpenAI's dialect: ``/v1/models`` is ours, everything else about language models is llama-server's own.

Requests are read for their model and for what must not reach it; answers are handed back as they are. Audio is in
``server/audio/``.
"""

from typing import Any

from heisenberg.core.errors import ModelNotFound
from heisenberg.runner.catalog.entry import Model
from heisenberg.runner.launch import Use
from heisenberg.server.asgi import (
    BadRequest,
    Receive,
    Scope,
    Send,
    read_body,
    send_json,
    subject_of,
    while_connected,
)
from heisenberg.server.context import Context
from heisenberg.server.forward import forward
from heisenberg.server.passed_body import PassedBody, read_passed
from heisenberg.server.request_guard import refuse_forced_tools, refuse_several_answers
from heisenberg.server.routes import Route
from heisenberg.server.upstream import twice
from heisenberg.server.waiting import Waiting

MESSAGES = "/v1/messages"
"""Anthropic's dialect, which llama-server speaks, too."""

GENERATES = (
    "/v1/chat/completions", "/chat/completions", "/v1/chat/completions/input_tokens", "/chat/completions/input_tokens",
    "/v1/completions", "/completions", "/completion", "/infill", "/v1/responses", "/responses",
    "/v1/responses/input_tokens", "/responses/input_tokens", "/v1/messages", "/v1/messages/count_tokens",
    "/apply-template",
)  # fmt: skip
"""For language models only."""

COUNTS = ("/tokenize", "/detokenize")
EMBEDS = ("/v1/embeddings", "/embeddings", "/embedding")
RANKS = ("/v1/rerank", "/v1/reranking", "/rerank", "/reranking")

PASSED_ON = (*GENERATES, *COUNTS, *EMBEDS, *RANKS)
"""POST to these is llama-server's to answer."""

NATIVE = frozenset({"/completion", "/infill", "/apply-template", "/embedding", *COUNTS, *RANKS})
"""Of llama-server's own clients, which name no model since it has but one."""

IN_A_PLACE = frozenset(path for path in GENERATES if "tokens" not in path) - {"/apply-template"}
"""What runs in one of llama-server's numbered places."""

ROAMING = frozenset({MESSAGES})
"""What llama-server runs in whatever place is free: it drops ``id_slot`` there."""

ABLE = {
    **dict.fromkeys(GENERATES, ("llm",)),
    **dict.fromkeys(COUNTS, ("llm", "embedding")),
    **dict.fromkeys(EMBEDS, ("llm", "embedding")),
    **dict.fromkeys(RANKS, ("embedding",)),
}
"""Kinds of models that a path is for."""

WHAT_FOR = {
    "llm": "writes text: use /v1/chat/completions",
    "embedding": "makes vectors of text: use /v1/embeddings",
    "stt": "turns speech into text: use /v1/audio/transcriptions",
    "tts": "turns text into speech: use /v1/audio/speech",
}


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


def messages_error_body(message: str, status: int) -> dict[str, Any]:
    """A failure, as Anthropic's clients expect it."""
    error = error_body(message, status)["error"]
    kind = "api_error" if status >= 500 else error["type"]
    return {"type": "error", "error": {"type": kind, "message": message}}


def described(model: Model) -> dict[str, Any]:
    """*model* as an entry of ``/v1/models``; what OpenAI has no key for is where other servers have it."""
    header = model.header
    trained = header.context_length if header else 0
    meta = {
        "n_ctx": model.context_tokens or trained,
        "n_ctx_train": trained,
        "n_embd": header.embedding_length if header else 0,
        "n_params": header.parameters if header else 0,
        "size": model.size_bytes,
    }
    return {
        "id": model.name,
        "object": "model",
        "created": int(model.modified_s),
        "owned_by": model.publisher,
        "name": model.display_name or model.name,
        "kind": model.kind,
        "aliases": list(model.aliases),
        "capabilities": sorted(model.capabilities),
        "context_length": meta["n_ctx"] or None,
        "meta": {key: value for key, value in meta.items() if value},
    }


async def list_models(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """GET /v1/models."""
    await send_json(send, {"object": "list", "data": [described(model) for model in context.fleet.catalog.all()]})


async def show_model(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """GET /v1/models/…: one of them; its name may hold slashes."""
    model = context.fleet.catalog.find(scope["path"].removeprefix("/v1/models/"))
    await send_json(send, described(model))


async def complete(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """POST to one of :data:`PASSED_ON`: whatever llama-server speaks."""
    path = scope["path"]
    body = read_passed(await read_body(scope, receive, context.body_bytes))
    model = _model(context, body, path)
    subject_of(scope).model = model.name
    if not model.is_remote:
        refuse_several_answers(body.request)
        if "tools" not in model.capabilities:
            refuse_forced_tools(body.request)
    told = body.told(supports_tools=model.supports_tools, allows_web=context.config.server.allow_remote_images)
    await while_connected(receive, _answer(context, model, told, scope, send))


def _model(context: Context, body: PassedBody, path: str) -> Model:
    """The model that *body* names. Raises BadRequest, ModelNotFound."""
    if body.model_name:
        model = context.fleet.catalog.find(body.model_name)
    elif path in NATIVE and "model" not in body.request:
        model = _only(context, path)
    else:
        raise BadRequest("model is required")
    if model.kind not in ABLE[path]:
        raise BadRequest(f"model '{model.name}' is not for {path}. It {WHAT_FOR[model.kind]}.")
    return model


def _only(context: Context, path: str) -> Model:
    """The one that is loaded, or that there is, if there is but one."""
    loaded = [entry.model.name for entry in context.fleet.loaded()]
    able = [model for model in context.fleet.catalog.all() if model.kind in ABLE[path]]
    for models in ([model for model in able if model.name in loaded], able):
        if len(models) == 1:
            return models[0]
    if not able:
        raise ModelNotFound(f"there is no model for {path}. See GET /v1/models.")
    raise BadRequest(f"model is required: there are {len(able)} for {path}. See GET /v1/models.")


async def _answer(context: Context, model: Model, body: PassedBody, scope: Scope, send: Send) -> None:
    """A server that dies before its first word is replaced and asked once more: nothing was said yet."""
    path: str = scope["path"]
    use: Use = "embed" if path in EMBEDS or path in RANKS else "generate"
    async with Waiting(send, is_streamed=body.is_streamed and path in IN_A_PLACE) as waiting:

        async def attempt() -> None:
            leased = context.fleet.lease(model, use=use, keep_alive_s=body.keep_alive_s, roams=path in ROAMING)
            async with leased as lease:
                name = (lease.remote_name or model.name) if model.is_remote else None
                raw = body.bytes_for(model=name, place=lease.slot if path in IN_A_PLACE else None)
                subject_of(scope).tokens = await forward(context, lease, path, raw, send, waiting)

        await twice(attempt)


ROUTES = (
    Route("GET", "/v1/models", list_models, "openai"),
    Route("GET", "/v1/models/*", show_model, "openai"),
    *(Route("POST", path, complete, "openai") for path in PASSED_ON),
)
