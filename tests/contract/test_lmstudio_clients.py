"""What strict LM Studio clients insist on, as JSON schemas: answers without it are thrown away whole.

Zed parses ``/api/v0`` with serde, so that one value it does not know loses the whole list; the shapes of ``/api/v1``
are those of LM Studio's documentation.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import jsonschema
import pytest

from heisenberg.server.dialects.lmstudio.completion import Ending
from tests.fakes.llama_server import Delta, FakeLlamaServer
from tests.served import Served, served

TEXT = {"type": "string"}
WHOLE = {"type": "integer", "minimum": 0}
NUMBER = {"type": "number", "minimum": 0}
SHARE = {"type": "number", "minimum": 0, "maximum": 1}
SWITCH = {"type": "boolean"}


def record(_optional: dict[str, Any] | None = None, /, **fields: Any) -> dict[str, Any]:
    """An object that has all of *fields*, and may have the optional ones."""
    return {"type": "object", "required": list(fields), "properties": {**fields, **(_optional or {})}}


def closed(_optional: dict[str, Any] | None = None, /, **fields: Any) -> dict[str, Any]:
    """The same, with nothing else."""
    return {**record(_optional, **fields), "additionalProperties": False}


def array(items: dict[str, Any], least: int = 0) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": least}


ZED_MODEL = record(
    {"loaded_context_length": WHOLE, "capabilities": array(TEXT)},
    id=TEXT,
    object={"const": "model"},
    type={"enum": ["llm", "vlm", "embeddings"]},
    publisher=TEXT,
    arch=TEXT,
    compatibility_type={"enum": ["gguf", "mlx"]},
    quantization=TEXT,
    state={"enum": ["loaded", "loading", "not-loaded"]},
    max_context_length={"type": "integer", "minimum": 1},
)
ZED_CHUNK = record(
    created=WHOLE,
    model=TEXT,
    object=TEXT,
    choices=array(
        record(
            {"finish_reason": {"type": ["string", "null"]}},
            index=WHOLE,
            delta=record({"role": {"enum": ["user", "assistant", "system", "tool", None]}}),
        )
    ),
)
V0_FIGURES = {
    "stats": closed(
        tokens_per_second=NUMBER, time_to_first_token=NUMBER, generation_time=NUMBER, stop_reason=TEXT
    ),
    "model_info": closed(arch=TEXT, quant=TEXT, format={"const": "gguf"}, context_length=WHOLE),
    "runtime": closed(name=TEXT, version=TEXT, supported_formats=array({"const": "gguf"}, 1)),
}  # fmt: skip
LOAD_CONFIG = closed(
    {
        "eval_batch_size": WHOLE,
        "parallel": WHOLE,
        "flash_attention": SWITCH,
        "num_experts": WHOLE,
        "offload_kv_cache_to_gpu": SWITCH,
    },
    context_length=WHOLE,
)
V1_MODEL = closed(
    {
        "architecture": {"type": ["string", "null"]},
        "capabilities": record({"reasoning": record()}, vision=SWITCH, trained_for_tool_use=SWITCH),
        "description": {"type": ["string", "null"]},
    },
    type={"enum": ["llm", "embedding"]},
    publisher=TEXT,
    key=TEXT,
    display_name=TEXT,
    quantization={"anyOf": [{"type": "null"}, closed(name=TEXT, bits_per_weight={"type": ["integer", "null"]})]},
    size_bytes=WHOLE,
    params_string={"type": ["string", "null"]},
    loaded_instances=array(closed(id=TEXT, config=LOAD_CONFIG)),
    max_context_length=WHOLE,
    format={"enum": ["gguf", "mlx", None]},
)
V1_STATS = closed(
    {"model_load_time_seconds": NUMBER},
    input_tokens=WHOLE,
    total_output_tokens=WHOLE,
    reasoning_output_tokens=WHOLE,
    tokens_per_second=NUMBER,
    time_to_first_token_seconds=NUMBER,
)
V1_RESULT = closed(
    {"response_id": {"type": "string", "pattern": "^resp_[0-9a-f]+$"}},
    model_instance_id=TEXT,
    output=array(
        {
            "oneOf": [
                closed(type={"enum": ["message", "reasoning"]}, content=TEXT),
                closed(type={"const": "invalid_tool_call"}, reason=TEXT, metadata=record(type=TEXT, tool_name=TEXT)),
            ]
        }
    ),
    stats=V1_STATS,
)
V1_ERROR = closed(
    {"code": TEXT, "param": TEXT},
    type={
        "enum": [
            "invalid_request", "unknown", "mcp_connection_error", "plugin_connection_error", "not_implemented",
            "model_not_found", "job_not_found", "internal_error",
        ]
    },
    message=TEXT,
)  # fmt: skip
V1_EVENTS: dict[str, dict[str, Any]] = {
    "chat.start": {"model_instance_id": TEXT},
    "model_load.start": {"model_instance_id": TEXT},
    "model_load.progress": {"model_instance_id": TEXT, "progress": SHARE},
    "model_load.end": {"model_instance_id": TEXT, "load_time_seconds": NUMBER},
    "prompt_processing.start": {},
    "prompt_processing.progress": {"progress": SHARE},
    "prompt_processing.end": {},
    **{f"{block}.{what}": {} for block in ("reasoning", "message") for what in ("start", "end")},
    **{f"{block}.delta": {"content": TEXT} for block in ("reasoning", "message")},
    "tool_call.start": {"tool": TEXT},
    "tool_call.arguments": {"tool": TEXT, "arguments": {"type": "object"}},
    "tool_call.failure": {"reason": TEXT, "metadata": {"type": "object"}},
    "error": {"error": V1_ERROR},
    "chat.end": {"result": V1_RESULT},
}


@pytest.fixture
async def upstream() -> AsyncIterator[FakeLlamaServer]:
    async with FakeLlamaServer() as fake:
        yield fake


@pytest.fixture
async def server(upstream: FakeLlamaServer) -> AsyncIterator[Served]:
    """With a model of every kind: those that have no place in LM Studio's lists must not be there."""
    catalog = {kind: {"urls": [upstream.url], "kind": kind} for kind in ("llm", "embedding", "stt", "tts")}
    ports = {"port": 0, "ollama_port": 0}
    async with served({}, server=ports, models={"folder": "/nonexistent", "catalog": catalog}) as running:
        yield running


async def answer(server: Served, path: str, body: object = None) -> tuple[int, Any]:
    method = "POST" if body else "GET"
    async with aiohttp.ClientSession() as http, http.request(method, server.url + path, json=body) as response:
        is_json = response.content_type == "application/json"
        return response.status, await (response.json() if is_json else response.text())


def payloads(text: str) -> list[str]:
    return [line.removeprefix("data: ") for line in text.split("\n") if line.startswith("data: ")]


async def test_zeds_list_of_models(server: Served) -> None:
    _, found = await answer(server, "/api/v0/models")

    jsonschema.validate(found, record(object={"const": "list"}, data=array(ZED_MODEL, 2)))
    assert ["embedding", "llm"] == [model["id"] for model in found["data"]]


def test_the_chunk_that_zed_reads_last() -> None:
    """What a model's server sends is handed on as it is; what we make of its last chunk must be as complete."""
    extra = {"created": 1, "model": "llm", "object": "chat.completion.chunk"}
    last = {**extra, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    ending = Ending(lambda: 0.0, {}, has_usage=False)
    ending.hear(json.dumps(last).encode())
    *chunks, done = payloads(ending.finish().decode())

    assert "[DONE]" == done
    jsonschema.validate(json.loads(chunks[-1]), ZED_CHUNK)


@pytest.mark.parametrize("is_chat", [True, False])
async def test_an_old_answer_has_its_figures(server: Served, upstream: FakeLlamaServer, is_chat: bool) -> None:
    upstream.enqueue("Hello", is_streaming=False)
    path = "/api/v0/chat/completions" if is_chat else "/api/v0/completions"
    said = {"messages": [{"role": "user", "content": "Hi"}]} if is_chat else {"prompt": "Hi"}

    _, found = await answer(server, path, {"model": "llm", **said})

    jsonschema.validate(found, record(choices=array(record(index=WHOLE), 1), **V0_FIGURES))


async def test_the_last_old_chunk_has_its_figures(server: Served, upstream: FakeLlamaServer) -> None:
    upstream.enqueue("Hello")
    body = {"model": "llm", "messages": [{"role": "user", "content": "Hi"}], "stream": True}

    _, text = await answer(server, "/api/v0/chat/completions", body)

    jsonschema.validate(json.loads(payloads(text)[-2]), record(choices=array(record(index=WHOLE), 1), **V0_FIGURES))


async def test_the_new_list_of_models(server: Served) -> None:
    _, found = await answer(server, "/api/v1/models")

    jsonschema.validate(found, closed(models=array(V1_MODEL, 2)))


async def test_the_new_load(server: Served) -> None:
    _, found = await answer(server, "/api/v1/models/load", {"model": "llm", "echo_load_config": True})

    schema = closed(
        type={"enum": ["llm", "embedding"]},
        instance_id=TEXT,
        load_time_seconds=NUMBER,
        status={"const": "loaded"},
        load_config=LOAD_CONFIG,
    )
    jsonschema.validate(found, schema)


async def test_the_new_chat(server: Served, upstream: FakeLlamaServer) -> None:
    upstream.enqueue(Delta({"reasoning_content": "Hm."}), "Hello")

    _, found = await answer(server, "/api/v1/chat", {"model": "llm", "input": "Hi"})

    jsonschema.validate(found, V1_RESULT)


@pytest.mark.parametrize("finish", ["stop", ""])
async def test_every_event_of_the_new_chat(server: Served, upstream: FakeLlamaServer, finish: str) -> None:
    """Without an end of the model's answer, an error is among them."""
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    upstream.enqueue(Delta({"reasoning_content": "Hm."}), "Hi", Delta({"tool_calls": [call]}), finish=finish)

    _, text = await answer(server, "/api/v1/chat", {"model": "llm", "input": "Hi", "stream": True})

    events = [json.loads(payload) for payload in payloads(text)]
    for event in events:
        name = event["type"]
        jsonschema.validate(event, closed(type={"const": name}, **V1_EVENTS[name]))
    assert ("chat.start", "chat.end") == (events[0]["type"], events[-1]["type"])
    assert (finish == "") == ("error" in {event["type"] for event in events})


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/chat", {"model": "huge", "input": "a"}),
        ("/api/v1/chat", {"model": "llm"}),
        ("/api/v1/chat", {"model": "llm", "input": "a", "integrations": ["mcp/x"]}),
        ("/api/v1/models/unload", {"instance_id": "llm"}),
        ("/api/v1/models/download/status/job_1", None),
    ],
)
async def test_errors_of_the_new_api(server: Served, path: str, body: object) -> None:
    status, found = await answer(server, path, body)

    assert status >= 400
    jsonschema.validate(found, closed(error=V1_ERROR))


async def test_errors_of_the_old_api(server: Served) -> None:
    _, found = await answer(server, "/api/v0/completions", {"model": "huge", "prompt": "a"})

    nothing = {"type": "null"}
    jsonschema.validate(found, closed(error=closed(message=TEXT, type=TEXT, param={"const": "model"}, code=nothing)))
