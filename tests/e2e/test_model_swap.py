"""Real models under a limit of one: they swap, and nobody who streams from them loses a word."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import pytest

from heisenberg.core.config import Config
from heisenberg.core.errors import ModelNotFound
from heisenberg.models import Runner
from heisenberg.runner.catalog.entry import Model
from heisenberg.runner.fleet import ModelLease

pytestmark = pytest.mark.e2e

SMALL = "smollm2-135m"
OTHER = "gemma3-270m-base"
"""Another model; `make test` installs it."""

TOKENS = 12
ROUNDS = 2


@pytest.fixture
async def runner() -> AsyncIterator[Runner]:
    config = Config.model_validate({"runner": {"max_loaded": 1}, "llm": {"context_tokens": 512}})
    async with Runner(config, serves=True, assists=False) as made:
        yield made


def client_session() -> aiohttp.ClientSession:
    """As the server's own: without keeping connections, which llama-server closes after a stream."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True))


def two_models(runner: Runner) -> list[Model]:
    """Two installed ones; the same one twice, under two names, where there is but one."""
    small = runner.fleet.catalog.find(SMALL)
    try:
        return [small, runner.fleet.catalog.find(OTHER)]
    except ModelNotFound:
        return [small, replace(small, name="its-twin")]


async def answer(http: aiohttp.ClientSession, lease: ModelLease) -> int:
    """How many tokens the model says that it streamed, having seen each of them."""
    request = {
        "messages": [{"role": "user", "content": "Count to a hundred."}],
        "max_tokens": TOKENS, "ignore_eos": True, "stream": True, "stream_options": {"include_usage": True},
    }  # fmt: skip
    headers = {"Authorization": f"Bearer {lease.api_key}"}
    texts, tokens, is_done = [], 0, False
    async with http.post(f"{lease.url}/v1/chat/completions", json=request, headers=headers) as response:
        async for line in response.content:
            is_done = is_done or line.startswith(b"data: [DONE]")
            if line.startswith(b"data: {"):
                event = json.loads(line[6:])
                texts += [choice["delta"].get("content") or "" for choice in event["choices"]]
                tokens = (event.get("usage") or {}).get("completion_tokens", tokens)
    assert is_done
    assert "".join(texts)
    return tokens


async def test_two_models_swap_while_clients_stream_from_both(runner: Runner) -> None:
    models = two_models(runner)
    loads: list[float] = []

    async def client(http: aiohttp.ClientSession, model: Model) -> list[int]:
        heard = []
        for _ in range(ROUNDS):
            async with runner.fleet.lease(model) as lease:
                assert [model.name] == [loaded.model.name for loaded in runner.fleet.loaded()]
                loads.append(lease.load_seconds)
                heard.append(await answer(http, lease))
        return heard

    async with client_session() as http, asyncio.timeout(120):
        heard = await asyncio.gather(*(client(http, model) for model in models * 2))

    assert [[TOKENS] * ROUNDS] * 4 == heard
    assert any(loads)


async def test_a_language_model_answers_and_embeds(runner: Runner) -> None:
    model = runner.fleet.catalog.find(SMALL)
    async with client_session() as http, asyncio.timeout(120):
        async with runner.fleet.lease(model) as lease:
            assert TOKENS == await answer(http, lease)
        async with runner.fleet.lease(model, use="embed") as lease:
            headers = {"Authorization": f"Bearer {lease.api_key}"}
            async with http.post(
                f"{lease.url}/v1/embeddings", json={"input": ["a cat", "a dog"]}, headers=headers
            ) as response:
                vectors = [entry["embedding"] for entry in (await response.json())["data"]]

    assert [576, 576] == [len(vector) for vector in vectors]
