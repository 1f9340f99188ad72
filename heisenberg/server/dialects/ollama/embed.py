"""Ollama's embeddings, old and new.

Texts are embedded a few at a time, so that a long list neither holds up the event loop nor other requests. One that
is too long is cut, as Ollama does, unless ``truncate`` is false.
"""

import json
import re
import time
from collections.abc import Sequence
from typing import Any

from heisenberg.runner.catalog.entry import Model
from heisenberg.runner.fleet import ModelLease
from heisenberg.server.asgi import (
    BadRequest,
    Receive,
    Scope,
    Send,
    parse_object,
    read_body,
    send_json,
    subject_of,
    while_connected,
)
from heisenberg.server.context import Context
from heisenberg.server.dialects.ollama.described import shortened
from heisenberg.server.dialects.ollama.request import Request, model_name
from heisenberg.server.keep_alive import keep_alive_s
from heisenberg.server.upstream import Refused, twice, whole_answer

TEXTS_AT_ONCE = 32
MOST_TEXTS = 10_000
SPECIAL_TOKENS = 8
"""Room for those that the model's server adds to a text."""

_BATCH = re.compile(r"batch size[^0-9]{0,20}(\d{1,9})")


async def embed(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """POST /api/embed."""
    began_s = time.perf_counter()
    request = parse_object(await read_body(scope, receive, context.body_bytes))
    model = _able(context, scope, request)
    texts = _texts(request.get("input"))
    dimensions = _dimensions(request.get("dimensions"))

    async def work() -> None:
        vectors, tokens, load_s = await _embedded(context, model, request, texts)
        if dimensions:
            vectors = [shortened(vector, dimensions) for vector in vectors]
        found = {
            "model": model_name(request),
            "embeddings": vectors,
            "total_duration": round((time.perf_counter() - began_s) * 1e9),
            "load_duration": round(load_s * 1e9),
            "prompt_eval_count": tokens,
        }
        await send_json(send, found)

    await while_connected(receive, twice(work))


async def embeddings(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """POST /api/embeddings, which is deprecated: one prompt."""
    request = parse_object(await read_body(scope, receive, context.body_bytes))
    model = _able(context, scope, request)
    prompt = request.get("prompt")
    if prompt is not None and not isinstance(prompt, str):
        raise BadRequest("prompt has to be a string")

    async def work() -> None:
        vectors, _, _ = await _embedded(context, model, request, [prompt] if prompt else [])
        await send_json(send, {"embedding": vectors[0] if vectors else []})

    await while_connected(receive, twice(work))


def _able(context: Context, scope: Scope, request: Request) -> Model:
    model = context.fleet.catalog.find(model_name(request))
    subject_of(scope).model = model.name
    if model.kind not in ("llm", "embedding"):
        raise BadRequest(f'"{model_name(request)}" does not support embeddings')
    return model


def _texts(found: object) -> list[str]:
    texts = [found] if isinstance(found, str) else found
    if texts is None or texts == [""]:
        return []
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise BadRequest("invalid input type: input has to be a string or a list of strings")
    if len(texts) > MOST_TEXTS:
        raise BadRequest(f"input has {len(texts)} texts; at most {MOST_TEXTS} are embedded at once")
    return texts


def _dimensions(found: object) -> int:
    if found is None:
        return 0
    if isinstance(found, bool) or not isinstance(found, int) or found < 0:
        raise BadRequest("dimensions has to be a positive number")
    return found


async def _embedded(
    context: Context, model: Model, request: Request, texts: Sequence[str]
) -> tuple[list[list[float]], int, float]:
    """The vectors, how many tokens they took, and seconds of loading."""
    seconds = keep_alive_s(request.get("keep_alive"))
    if not texts:
        return [], 0, 0.0
    vectors: list[list[float]] = []
    tokens = 0
    may_cut = request.get("truncate") is not False
    async with context.fleet.lease(model, use="embed", keep_alive_s=seconds) as lease:
        for at in range(0, len(texts), TEXTS_AT_ONCE):
            few = texts[at : at + TEXTS_AT_ONCE]
            found = await _answer(context, lease, model_name(request), few, may_cut=may_cut)
            vectors += _vectors(found, len(few))
            tokens += int((found.get("usage") or {}).get("prompt_tokens") or 0)
        return vectors, tokens, lease.load_seconds


async def _answer(
    context: Context, lease: ModelLease, name: str, texts: Sequence[str], *, may_cut: bool
) -> dict[str, Any]:
    try:
        return await whole_answer(context, lease, "/v1/embeddings", {"input": texts})
    except Refused as refused:
        if refused.status == 501:
            raise BadRequest(f'"{name}" does not support embeddings: {refused.message}') from refused
        most_tokens = _most_tokens(refused)
        if not may_cut or most_tokens == 0:
            raise
        try:
            cut = [await _cut(context, lease, text, most_tokens) for text in texts]
        except Refused:
            raise refused from None  # a server that is no llama-server cannot cut
    return await whole_answer(context, lease, "/v1/embeddings", {"input": cut})


def _vectors(found: dict[str, Any], count: int) -> list[list[float]]:
    try:
        vectors = [entry["embedding"] for entry in sorted(found["data"], key=lambda entry: int(entry["index"]))]
    except (KeyError, TypeError, ValueError) as exc:
        raise Refused("the model's server answered with something that holds no embeddings") from exc
    if len(vectors) != count:
        raise Refused(f"the model's server embedded {len(vectors)} texts of {count}")
    return vectors


def _most_tokens(refused: Refused) -> int:
    """How many tokens a text may have, if it was refused for its length; else 0."""
    try:
        error = json.loads(refused.body)["error"]
        most = error.get("n_ctx") or 0
    except (ValueError, KeyError, TypeError, AttributeError):
        most = 0
    match = _BATCH.search(refused.message)
    found = int(match[1]) if match else most if isinstance(most, int) else 0
    return max(0, found - SPECIAL_TOKENS)


async def _cut(context: Context, lease: ModelLease, text: str, most_tokens: int) -> str:
    tokens = (await whole_answer(context, lease, "/tokenize", {"content": text})).get("tokens") or []
    if len(tokens) <= most_tokens:
        return text
    found = await whole_answer(context, lease, "/detokenize", {"tokens": tokens[:most_tokens]})
    return str(found.get("content") or "")
