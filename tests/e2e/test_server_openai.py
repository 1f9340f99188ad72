"""OpenAI's own client against the server with a real model."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import openai
import pytest

from heisenberg.core.config import Config
from heisenberg.models import Runner
from heisenberg.runner.lanes import Priority
from heisenberg.server.serving import serving
from tests.served import Served, free_ports

pytestmark = pytest.mark.e2e

MODEL = "smollm2-135m"
HELLO: Any = [{"role": "user", "content": "Say hello."}]
ENDLESS: Any = {"model": MODEL, "messages": HELLO, "max_tokens": 1900, "extra_body": {"ignore_eos": True}}
PATIENCE_S = 60.0


@pytest.fixture
async def server() -> AsyncIterator[Served]:
    """The assistant's model and a place of its own are reserved, as in ``run --serve``."""
    config = Config.model_validate(
        {"llm": {"model": MODEL, "context_tokens": 2048}, "runner": {"parallel": 2}, "server": {"ollama_port": 0}}
    )
    async with (
        Runner(config, serves=True, assists=True) as runner,
        serving(config, runner.fleet, free_ports(config, has_second=False)) as addresses,
    ):
        yield Served(addresses[0], addresses[-1], runner.fleet)


@pytest.fixture
async def client(server: Served) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=PATIENCE_S
    ) as client:
        yield client


async def test_the_official_client_gets_what_it_asks_for(client: openai.AsyncOpenAI) -> None:
    """One conversation after the other, since loading the model is what takes time."""
    stream = await client.chat.completions.create(model=MODEL, messages=HELLO, stream=True, max_tokens=12)
    assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

    tool: Any = {
        "type": "function",
        "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
    }
    answer = await client.chat.completions.create(model=MODEL, messages=HELLO, tools=[tool], max_tokens=12)
    assert answer.usage
    assert answer.usage.completion_tokens > 0

    schema = {
        "type": "object", "properties": {"red": {"type": "integer", "minimum": 0, "maximum": 9}}, "required": ["red"],
        "additionalProperties": False,
    }  # fmt: skip
    shape: Any = {"type": "json_schema", "json_schema": {"name": "colour", "schema": schema, "strict": True}}
    answer = await client.chat.completions.create(
        model=MODEL, messages=HELLO, response_format=shape, max_tokens=40, temperature=0
    )
    assert json.loads(answer.choices[0].message.content or "")["red"] in range(10)

    assert (await client.completions.create(model=MODEL, prompt="Once upon", max_tokens=4)).choices[0].text
    assert (await client.responses.create(model=MODEL, input="Say hello.", max_output_tokens=8)).output

    vectors = await client.embeddings.create(model=MODEL, input=["a cat", "a dog"])
    assert [576, 576] == [len(entry.embedding) for entry in vectors.data]


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_who_leaves_is_not_worked_for(client: openai.AsyncOpenAI, server: Served, is_streamed: bool) -> None:
    """Scenario: all places are taken by clients that ask for long answers, and leave; the next one starts at once."""
    await client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=1)
    began = time.monotonic()
    whole = await client.chat.completions.create(**{**ENDLESS, "max_tokens": 100})
    long_s = (time.monotonic() - began) * 10
    assert whole.usage

    asking = [
        asyncio.create_task(client.chat.completions.create(**ENDLESS, stream=is_streamed))  # type: ignore[call-overload]
        for _ in range(2)
    ]
    model = server.fleet.catalog.find(MODEL)
    async with asyncio.timeout(PATIENCE_S):
        while server.fleet.loaded()[0].in_use < 2:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        began = time.monotonic()
        await client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=1)

    assert long_s > time.monotonic() - began
    assert 0 < len(server.fleet.log_tail(model))


async def test_the_voice_waits_for_nobody(client: openai.AsyncOpenAI, server: Served) -> None:
    """Scenario: eight streams want the model, and two may run; the voice's first word comes before their last."""
    model = server.fleet.catalog.find(MODEL)
    ended: list[str] = []

    async def stream() -> None:
        answer = await client.chat.completions.create(**{**ENDLESS, "max_tokens": 60}, stream=True)  # type: ignore[call-overload]
        ends = [chunk.choices[0].finish_reason async for chunk in answer if chunk.choices]
        assert "length" == ends[-1]
        ended.append("stream")

    async def voice() -> None:
        async with server.fleet.lease(model, Priority.VOICE) as lease, aiohttp.ClientSession() as http:
            request = {"messages": HELLO, "max_tokens": 1, "id_slot": lease.slot}
            headers = {"Authorization": f"Bearer {lease.api_key}"}
            async with http.post(f"{lease.url}/v1/chat/completions", json=request, headers=headers) as answer:
                assert 200 == answer.status
                assert 0 == lease.slot
        ended.append("voice")

    async with asyncio.timeout(PATIENCE_S), server.fleet.lease(model, Priority.VOICE):
        pass  # it is in memory
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        streams = [group.create_task(stream()) for _ in range(8)]
        while server.fleet.loaded()[0].in_use < len(streams):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
        group.create_task(voice())

    assert "voice" in ended[:3]
    assert 9 == len(ended)


async def test_the_voice_does_not_wait_for_who_sits_in_its_place(server: Served) -> None:
    """Scenario: /v1/messages is run wherever llama-server likes; it likes the slot in which the voice said the same."""
    model = server.fleet.catalog.find(MODEL)
    ended: list[str] = []
    said = {"model": MODEL, "messages": [{"role": "user", "content": "Tell a very long story about the sea."}]}
    async with aiohttp.ClientSession() as http:

        async def voice() -> None:
            async with server.fleet.lease(model, Priority.VOICE) as lease:
                request = {**said, "max_tokens": 1} | ({} if lease.slot is None else {"id_slot": lease.slot})
                headers = {"Authorization": f"Bearer {lease.api_key}"}
                async with http.post(f"{lease.url}/v1/chat/completions", json=request, headers=headers) as answer:
                    assert 200 == answer.status
            ended.append("voice")

        async def messages(begun: asyncio.Event) -> None:
            request = {**said, "max_tokens": 400, "stream": True}
            async with http.post(f"{server.url}/v1/messages", json=request) as answer:
                async for _ in answer.content.iter_any():
                    begun.set()
            ended.append("messages")

        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
            await voice()
            begun = [asyncio.Event(), asyncio.Event()]
            streams = [group.create_task(messages(event)) for event in begun]
            await asyncio.gather(*(event.wait() for event in begun))
            await voice()
            for stream in streams:
                stream.cancel()

    assert ["voice", "voice"] == ended
