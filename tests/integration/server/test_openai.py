"""OpenAI's own client, unmodified, against the running server."""

from collections.abc import AsyncIterator

import openai
import pytest

from tests.fakes.llama_server import FakeLlamaServer
from tests.served import served


@pytest.fixture
async def upstream() -> AsyncIterator[FakeLlamaServer]:
    async with FakeLlamaServer() as fake:
        fake.enqueue("Good", " evening", ".")
        yield fake


@pytest.fixture
async def client(upstream: FakeLlamaServer) -> AsyncIterator[openai.AsyncOpenAI]:
    async with served({"tiny": upstream.url}, server={"port": 0, "ollama_port": 0}) as server:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
            yield client


async def test_a_model_is_listed(client: openai.AsyncOpenAI) -> None:
    names = [model.id async for model in client.models.list()]

    assert ["tiny"] == names


async def test_a_chat_streams(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": "Hello"}], stream=True
    )
    said = [chunk.choices[0].delta.content or "" async for chunk in stream]

    assert "Good evening." == "".join(said)


async def test_an_unknown_model_is_named(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="model 'huge' not found"):
        await client.chat.completions.create(model="huge", messages=[{"role": "user", "content": "Hello"}])
