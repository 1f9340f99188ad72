"""What strict Ollama clients insist on, as JSON schemas: answers without it are thrown away whole.

Zed parses with serde (a missing or null field loses the list), VS Code's Copilot reads certain keys of ``model_info``.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import jsonschema
import pytest

from tests.fakes.llama_server import Delta, FakeLlamaServer
from tests.served import Served, served

TEXT = {"type": "string"}
WHOLE = {"type": "integer", "minimum": 0}
MOMENT = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$"}


def record(**fields: Any) -> dict[str, Any]:
    """An object that has all of *fields*."""
    return {"type": "object", "required": list(fields), "properties": fields}


ZED_TAGS = record(
    models={
        "type": "array",
        "minItems": 1,
        "items": record(
            name=TEXT,
            modified_at=MOMENT,
            size=WHOLE,
            digest={"type": "string", "pattern": "^[0-9a-f]{64}$"},
            details=record(format=TEXT, family=TEXT, parameter_size=TEXT, quantization_level=TEXT),
        ),
    }
)
ZED_SHOW = record(capabilities={"type": "array", "items": TEXT})
ZED_LINE = record(
    model=TEXT,
    created_at=MOMENT,
    message=record(role={"const": "assistant"}, content=TEXT),
    done={"type": "boolean"},
)
CALLING_LINE = record(
    message=record(
        tool_calls={
            "type": "array",
            "items": record(function=record(name=TEXT, arguments={"type": "object"})),
        }
    )
)
LAST_LINE = record(
    done={"const": True},
    done_reason={"enum": ["stop", "length"]},
    **dict.fromkeys(("total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration"), WHOLE),
    **dict.fromkeys(("eval_count", "eval_duration"), WHOLE),
)
COPILOT_VERSION = record(version={"type": "string", "pattern": r"^\d+\.\d+\.\d+$"})
COPILOT_TAGS = record(models={"type": "array", "minItems": 1, "items": record(model=TEXT)})
COPILOT_SHOW = record(
    capabilities={"type": "array", "items": TEXT},
    model_info={
        "type": "object",
        "required": ["general.architecture", "general.basename"],
        "additionalProperties": {"not": {"type": "object"}},
    },
)


@pytest.fixture
async def upstream() -> AsyncIterator[FakeLlamaServer]:
    async with FakeLlamaServer() as fake:
        yield fake


@pytest.fixture
async def server(upstream: FakeLlamaServer) -> AsyncIterator[Served]:
    async with served({"tiny": upstream.url}, server={"port": 0, "ollama_port": 0}) as running:
        yield running


@pytest.mark.parametrize(
    ("method", "path", "schema"),
    [
        ("GET", "/api/version", COPILOT_VERSION),
        ("GET", "/api/tags", ZED_TAGS),
        ("GET", "/api/tags", COPILOT_TAGS),
        ("POST", "/api/show", ZED_SHOW),
        ("POST", "/api/show", COPILOT_SHOW),
    ],
)
async def test_answers_have_what_clients_insist_on(
    server: Served, method: str, path: str, schema: dict[str, Any]
) -> None:
    body = {"model": "tiny"} if method == "POST" else None
    async with aiohttp.ClientSession() as http, http.request(method, server.url + path, json=body) as response:
        jsonschema.validate(await response.json(), schema)


async def test_every_line_of_a_chat_has_what_clients_insist_on(server: Served, upstream: FakeLlamaServer) -> None:
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    upstream.enqueue(Delta({"reasoning_content": "Hm."}), "Good", Delta({"tool_calls": [call]}))
    body = {"model": "tiny", "messages": [{"role": "user", "content": "Hello"}]}

    async with aiohttp.ClientSession() as http, http.post(f"{server.url}/api/chat", json=body) as response:
        kind, found = response.headers["Content-Type"], await response.text()

    assert "application/x-ndjson" == kind
    lines = [json.loads(line) for line in found.split("\n") if line]
    for line in lines:
        jsonschema.validate(line, ZED_LINE)
    jsonschema.validate(lines[-2], CALLING_LINE)
    jsonschema.validate(lines[-1], LAST_LINE)


async def test_copilot_finds_the_openai_dialect_on_the_same_port(server: Served) -> None:
    """It asks Ollama's port for the list and then OpenAI's path for the chat."""
    async with aiohttp.ClientSession() as http, http.get(f"{server.ollama_url}/v1/models") as response:
        assert "tiny" == (await response.json())["data"][0]["id"]
