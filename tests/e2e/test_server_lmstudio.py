"""LM Studio's REST API against the program with a real model: load, chat, unload."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.e2e.program import running
from tests.e2e.test_serve import ANY_PORT, address, ended

pytestmark = pytest.mark.e2e

MODEL = "smollm2-135m"
WAIT_S = 60.0


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client of `heisenberg serve` on free ports."""
    with running("serve", *ANY_PORT) as process:
        timeout = aiohttp.ClientTimeout(WAIT_S)
        async with aiohttp.ClientSession(await asyncio.to_thread(address, process), timeout=timeout) as session:
            yield session
        assert 0 == await asyncio.to_thread(ended, process)


async def post(http: aiohttp.ClientSession, path: str, **body: Any) -> Any:
    async with http.post(path, json=body) as response:
        return await response.json()


async def events(http: aiohttp.ClientSession, **body: Any) -> list[Any]:
    async with http.post("/api/v1/chat", json={"model": MODEL, "stream": True, "temperature": 0, **body}) as response:
        return [json.loads(line[6:]) async for line in response.content if line.startswith(b"data: ")]


async def state(http: aiohttp.ClientSession) -> Any:
    async with http.get(f"/api/v0/models/{MODEL}") as response:
        return (await response.json())["state"]


async def test_a_model_is_loaded_for_a_chat_that_goes_on_and_unloaded(http: aiohttp.ClientSession) -> None:
    before = await state(http)
    told = await events(http, input="What is the capital of France?", max_output_tokens=24)
    names = [event["type"] for event in told]
    result = told[-1]["result"]

    assert ("not-loaded", "loaded") == (before, await state(http))
    loading = ["model_load.start", "model_load.progress", "model_load.progress", "model_load.end"]
    assert ["chat.start", *loading, "prompt_processing.start"] == names[:6]
    assert names.index("prompt_processing.end") < names.index("message.start") < names.index("message.end")
    said = "".join(event["content"] for event in told if event["type"] == "message.delta")
    assert [{"type": "message", "content": said}] == result["output"]
    assert 0 < result["stats"]["total_output_tokens"] <= 24
    assert result["stats"]["input_tokens"] > 5
    assert result["stats"]["model_load_time_seconds"] > 0

    again = await post(
        http, "/api/v1/chat", model=MODEL, input="Say it again.", previous_response_id=result["response_id"]
    )
    assert again["stats"]["input_tokens"] > result["stats"]["input_tokens"] + result["stats"]["total_output_tokens"]
    assert "model_load_time_seconds" not in again["stats"]

    assert {"instance_id": MODEL} == await post(http, "/api/v1/models/unload", instance_id=MODEL)
    assert "not-loaded" == await state(http)


async def test_the_old_api_streams_with_stats(http: aiohttp.ClientSession) -> None:
    loaded = await post(http, "/api/v1/models/load", model=MODEL, echo_load_config=True)
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8, "stream": True}

    async with http.post("/api/v0/chat/completions", json=body) as response:
        chunks = [json.loads(line[6:]) async for line in response.content if line.startswith(b"data: {")]

    assert ("loaded", True) == (loaded["status"], loaded["load_time_seconds"] > 0)
    assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
    assert chunks[-1]["stats"]["tokens_per_second"] > 0
    assert "maxPredictedTokensReached" == chunks[-1]["stats"]["stop_reason"]
