"""LM Studio's dialect: its routes.

Answers what clients of its REST APIs ask for (Zed by v0; load progress, stats and stored conversations by v1). Short
routes are here; v0's generating is in ``v0.py``, v1's in ``chat.py``, downloads in
``downloads.py``. LM Studio's own SDKs speak another protocol, over a WebSocket, which is not here.
"""

from collections.abc import Mapping
from typing import Any

from heisenberg.runner.catalog.entry import Model
from heisenberg.server.asgi import Receive, Scope, Send, parse_object, read_body, send_json, subject_of, while_connected
from heisenberg.server.context import Context
from heisenberg.server.dialects.lmstudio import chat, described, downloads, requested, v0
from heisenberg.server.dialects.lmstudio.described import Residents
from heisenberg.server.dialects.lmstudio.errors import BadParameter, told
from heisenberg.server.dialects.lmstudio.requested import Range, clamped, flag, model_name
from heisenberg.server.routes import Handler, Route

COUNTS = ("context_length", "eval_batch_size", "num_experts")
SWITCHES = ("flash_attention", "offload_kv_cache_to_gpu")
LOAD_KEYS = frozenset({"model", "echo_load_config", "ttl", *COUNTS, *SWITCHES})


async def greeting(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """GET /lmstudio-greeting: by this its clients find it."""
    await send_json(send, {"lmstudio": True})


async def models(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """GET /api/v1/models."""
    residents = Residents(context.fleet.loaded())
    found = described.for_text(context.fleet.catalog.all())
    entries = [described.v1_entry(model, residents, context.config) for model in found]
    await send_json(send, {"models": entries})


async def load(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """POST /api/v1/models/load. How a model is loaded is the configuration's affair; the answer says what was not."""
    request = parse_object(await read_body(scope, receive, context.body_bytes))
    model = _text_model(context, model_name(request))
    subject_of(scope).model = model.name
    config = described.load_config(model, context.config)
    wanted, keep_s = _load_options(request, model), requested.ttl_s(request)
    is_echoed = flag(request, "echo_load_config")
    ignored = [key for key, value in wanted.items() if not _holds(key, value, config, model)]

    async def work() -> None:
        seconds = await context.fleet.load(model, keep_alive_s=keep_s)
        answer = {
            "type": described.v1_kind(model),
            "instance_id": model.name,
            "load_time_seconds": seconds,
            "status": "loaded",
            **({"load_config": config} if is_echoed else {}),
            **({"not_applied": ignored} if ignored else {}),
        }
        await send_json(send, answer)

    await while_connected(receive, work())


async def unload(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """POST /api/v1/models/unload."""
    request = parse_object(await read_body(scope, receive, context.body_bytes))
    name = model_name(request, "instance_id")
    model = _text_model(context, name, "instance_id")
    subject_of(scope).model = model.name
    if model.is_remote:
        raise BadParameter("instance_id", f"{model.name} is in the memory of another server")

    async def work() -> None:
        if not await context.fleet.unload(model):
            raise BadParameter("instance_id", f"{model.name} is not loaded", 404, kind="model_not_found")
        await send_json(send, {"instance_id": model.name})

    await while_connected(receive, work())


def _text_model(context: Context, name: str, param: str = "model") -> Model:
    model = context.fleet.catalog.find(name)
    if model.kind not in described.TEXT:
        raise BadParameter(param, f"{model.name} is no model of text")
    return model


def _load_options(request: Mapping[str, Any], model: Model) -> dict[str, Any]:
    """Those that are given. Raises BadParameter."""
    unknown = sorted(set(request) - LOAD_KEYS)
    if unknown:
        said = f"unknown: {', '.join(unknown)[:100]}; known are {', '.join(sorted(LOAD_KEYS))}"
        raise BadParameter(unknown[0][:100], said, code="unrecognized_keys")
    requested.check_context(request, model)
    counts = {
        key: clamped(key, request[key], Range(0, 2**31 - 1, is_whole=True))
        for key in COUNTS
        if request.get(key) is not None
    }
    return {**counts, **{key: flag(request, key) for key in SWITCHES if request.get(key) is not None}}


def _holds(key: str, value: float | bool, config: Mapping[str, Any], model: Model) -> bool:
    """Whether the model is loaded like that anyway."""
    if key == "context_length":
        return 0 < value <= model.context_tokens
    return bool(config.get(key) == value)


def _routes(*table: tuple[str, str, Handler]) -> tuple[Route, ...]:
    return tuple(Route(method, path, told(handler), "lmstudio") for method, path, handler in table)


ROUTES = _routes(
    ("GET", "/lmstudio-greeting", greeting),
    ("GET", "/api/v0/models", v0.models),
    ("GET", "/api/v0/models/*", v0.model),
    ("POST", "/api/v0/chat/completions", v0.chat),
    ("POST", "/api/v0/completions", v0.complete),
    ("POST", "/api/v0/embeddings", v0.embed),
    ("GET", "/api/v1/models", models),
    ("POST", "/api/v1/models/load", load),
    ("POST", "/api/v1/models/unload", unload),
    ("POST", "/api/v1/models/download", downloads.download),
    ("GET", "/api/v1/models/download/status", downloads.statuses),
    ("GET", "/api/v1/models/download/status/*", downloads.status),
    ("POST", "/api/v1/chat", chat.chat),
)
"""LM Studio's part of the route table."""
