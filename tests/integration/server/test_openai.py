"""OpenAI's own client, and LangChain's, unmodified, against the running server."""

import base64
import json
import struct
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pydantic
import pytest
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from tests.fakes.llama_server import Delta, Fail, FakeLlamaServer
from tests.fakes.raw_upstream import RawUpstream, plain, raw_upstream, streamed
from tests.served import served

HELLO: Any = [{"role": "user", "content": "Hello"}]
ONE_PORT = {"port": 0, "ollama_port": 0}


@pytest.fixture
async def upstream() -> AsyncIterator[FakeLlamaServer]:
    async with FakeLlamaServer() as fake:
        yield fake


@pytest.fixture
async def url(upstream: FakeLlamaServer) -> AsyncIterator[str]:
    async with served({"tiny": upstream.url}, server=ONE_PORT) as server:
        yield f"{server.url}/v1"


@pytest.fixture
async def client(url: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
        yield client


async def test_a_model_is_listed_and_shown(client: openai.AsyncOpenAI) -> None:
    names = [model.id async for model in client.models.list()]

    assert ["tiny"] == names
    assert "tiny" == (await client.models.retrieve("tiny")).id


async def test_a_chat_streams(client: openai.AsyncOpenAI, upstream: FakeLlamaServer) -> None:
    upstream.enqueue("Good", " evening", ".")
    stream = await client.chat.completions.create(model="tiny", messages=HELLO, stream=True)
    said = [chunk.choices[0].delta.content or "" async for chunk in stream]

    assert "Good evening." == "".join(said)


async def test_a_chat_is_answered_in_one_piece(client: openai.AsyncOpenAI, upstream: FakeLlamaServer) -> None:
    upstream.enqueue("Good evening.", is_streaming=False)
    answer = await client.chat.completions.create(model="tiny", messages=HELLO)

    assert ("Good evening.", "stop") == (answer.choices[0].message.content, answer.choices[0].finish_reason)


async def test_a_tool_is_called(client: openai.AsyncOpenAI, upstream: FakeLlamaServer) -> None:
    tool: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "weather", "arguments": ""}}
    upstream.enqueue(
        Delta({"tool_calls": [call]}),
        Delta({"tool_calls": [{"index": 0, "function": {"arguments": '{"city":'}}]}),
        Delta({"tool_calls": [{"index": 0, "function": {"arguments": ' "Rome"}'}}]}),
        finish="tool_calls",
    )
    stream = await client.chat.completions.create(model="tiny", messages=HELLO, tools=[tool], stream=True)
    calls = [call.function async for chunk in stream for call in chunk.choices[0].delta.tool_calls or ()]

    assert "weather" == "".join(call.name or "" for call in calls if call)
    assert {"city": "Rome"} == json.loads("".join(call.arguments or "" for call in calls if call))
    assert [tool] == upstream.requests[0]["tools"]


async def test_an_answer_has_the_shape_that_was_asked_for(
    client: openai.AsyncOpenAI, upstream: FakeLlamaServer
) -> None:
    class Colour(pydantic.BaseModel):
        red: float

    upstream.enqueue('{"red": 0.5}', is_streaming=False)
    answer = await client.chat.completions.parse(model="tiny", messages=HELLO, response_format=Colour)

    assert Colour(red=0.5) == answer.choices[0].message.parsed
    assert "Colour" == upstream.requests[0]["response_format"]["json_schema"]["name"]


async def test_a_completion_streams(client: openai.AsyncOpenAI, upstream: FakeLlamaServer) -> None:
    upstream.enqueue("Good", " evening")
    stream = await client.completions.create(model="tiny", prompt="Hello", stream=True)

    assert "Good evening" == "".join([chunk.choices[0].text async for chunk in stream if chunk.choices])


async def test_texts_are_embedded(client: openai.AsyncOpenAI) -> None:
    answer = await client.embeddings.create(model="tiny", input=["a cat", "sat"], encoding_format="float")

    assert [[2.0, 5.0], [1.0, 3.0]] == [entry.embedding for entry in answer.data]


async def test_vectors_in_base64_are_passed_on(openai_at_raw: tuple[openai.AsyncOpenAI, RawUpstream]) -> None:
    """OpenAI's client asks for them unless it is told otherwise."""
    client, upstream = openai_at_raw
    vector = base64.b64encode(struct.pack("<2f", 0.5, -1.0)).decode()
    entry = {"object": "embedding", "index": 0, "embedding": vector}
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    upstream.answers = [
        [plain(json.dumps({"object": "list", "data": [entry], "model": "tiny", "usage": usage}).encode())]
    ]

    answer = await client.embeddings.create(model="tiny", input="a cat")

    assert [0.5, -1.0] == answer.data[0].embedding
    assert "base64" == json.loads(upstream.asked[0][1])["encoding_format"]


async def test_responses_stream(openai_at_raw: tuple[openai.AsyncOpenAI, RawUpstream]) -> None:
    client, upstream = openai_at_raw
    event = {"type": "response.output_text.delta", "delta": "Hi", "item_id": "m", "output_index": 0,
             "content_index": 0, "sequence_number": 1, "logprobs": []}  # fmt: skip
    raw = json.dumps(event).encode()
    upstream.answers = [streamed(b"event: response.output_text.delta\ndata: " + raw + b"\n\n")]

    stream = await client.responses.create(model="tiny", input="Hello", stream=True)

    assert ["Hi"] == [found.delta async for found in stream if found.type == "response.output_text.delta"]


@pytest.fixture
async def openai_at_raw() -> AsyncIterator[tuple[openai.AsyncOpenAI, RawUpstream]]:
    async with raw_upstream() as raw, served({"tiny": raw.url}, server=ONE_PORT) as server:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
            yield client, raw


async def test_an_unknown_model_is_named(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="model 'huge' not found"):
        await client.chat.completions.create(model="huge", messages=HELLO)


@pytest.mark.parametrize("token", [Fail("the GPU is on fire"), "\0drop"])
async def test_a_failure_in_a_stream_is_raised(
    client: openai.AsyncOpenAI, upstream: FakeLlamaServer, token: str | Fail
) -> None:
    """Both what the model's server says itself, and what is said for it when it dies."""
    upstream.enqueue("Good", token)
    stream = await client.chat.completions.create(model="tiny", messages=HELLO, stream=True)
    words = (chunk.choices[0].delta.content async for chunk in stream)

    assert "Good" == await anext(words)
    with pytest.raises(
        openai.APIError,
        match="on fire" if isinstance(token, Fail) else "broke off in the middle of the answer. Ask again",
    ):
        await anext(words)


# ── LangChain ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """LangChain never closes its own."""
    async with httpx.AsyncClient() as client:
        yield client


async def test_langchain_chats(url: str, http: httpx.AsyncClient, upstream: FakeLlamaServer) -> None:
    upstream.enqueue("Good", " evening")
    model = ChatOpenAI(base_url=url, api_key=pydantic.SecretStr("none"), model="tiny", http_async_client=http)
    said = [chunk.content async for chunk in model.astream("Hello")]

    assert "Good evening" == "".join(str(part) for part in said)


async def test_langchain_embeds(url: str, http: httpx.AsyncClient) -> None:
    model = OpenAIEmbeddings(
        base_url=url, api_key=pydantic.SecretStr("none"), model="tiny", check_embedding_ctx_length=False,
        model_kwargs={"encoding_format": "float"}, http_async_client=http,
    )  # fmt: skip

    assert [[2.0, 5.0]] == await model.aembed_documents(["a cat"])
