"""Ollama's own client and LangChain's, unmodified, against the running server."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import ollama
import pytest
from langchain_core.messages import AIMessageChunk
from langchain_ollama import ChatOllama

from tests.fakes.llama_server import COMMENT, DROP, STALL, Delta, Fail, FakeLlamaServer
from tests.served import Served, served

HELLO = [{"role": "user", "content": "Hello"}]
TIMINGS = {"cache_n": 4, "prompt_n": 6, "prompt_ms": 20.0, "predicted_ms": 30.0}
CALL = {
    "index": 0,
    "id": "call_1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city": "Oslo"}'},
}
WAIT_S = 10.0


@pytest.fixture
async def upstream() -> AsyncIterator[FakeLlamaServer]:
    async with FakeLlamaServer() as fake:
        yield fake


@pytest.fixture
async def server(upstream: FakeLlamaServer, tmp_path: Path) -> AsyncIterator[Served]:
    async with served({"tiny": upstream.url}, tmp_path, server={"port": 0, "ollama_port": 0}) as running:
        yield running


@pytest.fixture
async def client(server: Served) -> AsyncIterator[ollama.AsyncClient]:
    async with ollama.AsyncClient(server.url) as client:
        yield client


async def post(server: Served, path: str, body: object, method: str = "POST") -> tuple[int, Any]:
    """Status and JSON of an answer."""
    data = body if isinstance(body, str) else json.dumps(body)
    async with aiohttp.ClientSession() as http:
        async with http.request(method, server.url + path, data=data) as response:
            return response.status, await response.json()


# ── models ───────────────────────────────────────────────────────────────────────────────────────


async def test_a_copy_is_a_second_name(client: ollama.AsyncClient, upstream: FakeLlamaServer) -> None:
    """It is listed and answers; deleting it leaves the model."""
    upstream.enqueue("Yes.")

    await client.copy("tiny", "mine:7b")
    listed = [model.model for model in (await client.list()).models]
    answer = await client.chat("mine:7b", HELLO)
    await client.delete("mine:7b")
    left = [model.model for model in (await client.list()).models]

    assert ["tiny:latest", "mine:7b"] == listed
    assert ("mine:7b", "Yes.") == (answer.model, answer.message.content)
    assert ["tiny:latest"] == left


# ── chat ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_chat_streams(client: ollama.AsyncClient, upstream: FakeLlamaServer) -> None:
    upstream.enqueue("Good", COMMENT, " evening\u2028", "ツ", chunk_bytes=7, timings=TIMINGS)

    *pieces, last = [part async for part in await client.chat("tiny", HELLO, stream=True)]

    assert ["Good", " evening\u2028", "ツ"] == [piece.message.content for piece in pieces]
    assert (True, "stop", 10, 4) == (last.done, last.done_reason, last.prompt_eval_count, last.eval_count)
    assert (20_000_000, 30_000_000) == (last.prompt_eval_duration, last.eval_duration)
    assert last.total_duration is not None
    assert last.total_duration > 0


async def test_a_chat_in_one_piece(client: ollama.AsyncClient, upstream: FakeLlamaServer) -> None:
    upstream.enqueue(Delta({"reasoning_content": "Hm."}), "Good", " evening", finish="length")

    answer = await client.chat("tiny:latest", HELLO, options={"temperature": 0, "num_predict": 5}, keep_alive="5m")

    assert ("Good evening", "Hm.") == (answer.message.content, answer.message.thinking)
    assert ("tiny:latest", "length") == (answer.model, answer.done_reason)
    asked = upstream.requests[-1]
    assert ("tiny", 0, 5) == (asked["model"], asked["temperature"], asked["max_tokens"])


async def test_tools_are_called_and_answered(client: ollama.AsyncClient, upstream: FakeLlamaServer) -> None:
    def weather(city: str) -> str:
        """The weather.

        Args:
            city: where.
        """
        return f"rain in {city}"

    upstream.enqueue(Delta({"tool_calls": [CALL]}), finish="tool_calls")
    upstream.enqueue("It rains.")

    first = await client.chat("tiny", HELLO, tools=[weather])
    (call,) = first.message.tool_calls or ()
    said = {"role": "tool", "content": weather(**call.function.arguments), "tool_name": call.function.name}
    second = await client.chat("tiny", [*HELLO, first.message, said], tools=[weather])

    assert "It rains." == second.message.content
    assert "weather" == upstream.requests[0]["tools"][0]["function"]["name"]
    *_, assistant, tool = upstream.requests[1]["messages"]
    assert assistant["tool_calls"][0]["id"] == tool["tool_call_id"]
    assert "rain in Oslo" == tool["content"]


async def test_structured_output(client: ollama.AsyncClient, upstream: FakeLlamaServer) -> None:
    upstream.enqueue('{"a"', ": 1}")
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}

    answer = await client.chat("tiny", HELLO, format=schema)

    assert {"a": 1} == json.loads(answer.message.content or "")
    assert schema == upstream.requests[-1]["response_format"]["json_schema"]["schema"]


async def test_without_messages_the_model_is_loaded_or_unloaded(client: ollama.AsyncClient) -> None:
    assert "load" == (await client.chat("tiny", [])).done_reason
    assert "load" == (await client.generate("tiny", "", keep_alive=-1)).done_reason
    assert ["unload"] == [part.done_reason async for part in await client.chat("tiny", [], stream=True, keep_alive=0)]


async def test_langchain_speaks_to_us(server: Served, upstream: FakeLlamaServer) -> None:
    upstream.enqueue("Good", " evening", timings=TIMINGS)
    upstream.enqueue(Delta({"tool_calls": [CALL]}), finish="tool_calls")
    model = ChatOllama(model="tiny", base_url=server.url, temperature=0)

    chunks = [chunk async for chunk in model.astream("Hello")]
    called = await model.ainvoke("Weather?")
    await model._async_client.close()

    assert "Good evening" == "".join(str(chunk.content) for chunk in chunks)
    last = chunks[-1] if isinstance(chunks[-1], AIMessageChunk) else None
    figures = [chunk.usage_metadata for chunk in chunks if isinstance(chunk, AIMessageChunk) and chunk.usage_metadata]
    assert last is not None
    assert [10] == [figure["input_tokens"] for figure in figures]
    assert [{"city": "Oslo"}] == [call["args"] for call in called.tool_calls]


# ── generate and embed ───────────────────────────────────────────────────────────────────────────


async def test_a_prompt_is_answered_and_the_conversation_goes_on(
    client: ollama.AsyncClient, upstream: FakeLlamaServer
) -> None:
    upstream.enqueue("Hi ", "Bob.")

    first = await client.generate("tiny", "I am Bob.", system="Be brief.")
    parts = [part async for part in await client.generate("tiny", "And?", context=first.context, stream=True)]

    assert "Hi Bob." == first.response == "".join(part.response or "" for part in parts)
    said = [(message["role"], message["content"]) for message in upstream.requests[-1]["messages"]]
    assert [("system", "Be brief."), ("user", "I am Bob."), ("assistant", "Hi Bob."), ("user", "And?")] == said


async def test_a_raw_prompt_stays_as_it_is(client: ollama.AsyncClient, upstream: FakeLlamaServer) -> None:
    upstream.enqueue("b", "c")

    answer = await client.generate("tiny", "<s>a", raw=True)

    assert ("bc", "<s>a") == (answer.response, upstream.requests[-1]["prompt"])


async def test_texts_are_embedded(client: ollama.AsyncClient, upstream: FakeLlamaServer) -> None:
    texts = ["a b c", *(f"text {n}" for n in range(70))]

    answer = await client.embed("tiny", texts)

    assert (71, [3.0, 5.0], 143) == (len(answer.embeddings), answer.embeddings[0], answer.prompt_eval_count)
    assert [32, 32, 7] == [len(request["input"]) for request in upstream.requests]
    assert [[1.0]] == (await client.embed("tiny", "a", dimensions=1)).embeddings
    assert [1.0, 1.0] == (await client.embeddings("tiny", "a")).embedding


async def test_texts_that_are_too_long_are_cut_unless_that_is_not_wanted(
    client: ollama.AsyncClient, upstream: FakeLlamaServer
) -> None:
    upstream.most_words = 20

    answer = await client.embed("tiny", ["word " * 50, "short"])

    assert [12.0, 1.0] == [vector[0] for vector in answer.embeddings]  # some room is left for special tokens
    with pytest.raises(ollama.ResponseError, match="exceeds the available context size"):
        await client.embed("tiny", "word " * 50, truncate=False)


async def test_nothing_to_embed_is_nothing(client: ollama.AsyncClient, upstream: FakeLlamaServer) -> None:
    assert [] == (await client.embed("tiny", [])).embeddings
    assert [] == (await client.embeddings("tiny", "")).embedding
    assert [] == upstream.requests


# ── what there is ────────────────────────────────────────────────────────────────────────────────


async def test_models_are_listed_and_shown(client: ollama.AsyncClient) -> None:
    (model,) = (await client.list()).models
    shown = await client.show("tiny")

    assert ("tiny:latest", 64) == (model.model, len(model.digest or ""))
    assert shown.modelinfo is not None
    assert "tiny" == shown.modelinfo["general.basename"]
    assert "completion" in (shown.capabilities or ())
    assert [] == (await client.ps()).models


@pytest.mark.parametrize("path", ["/api/version", "/api/tags", "/api/ps"])
async def test_get_and_head(server: Served, path: str) -> None:
    async with aiohttp.ClientSession() as http:
        async with http.get(server.url + path) as got, http.head(server.url + path) as head:
            assert (200, 200) == (got.status, head.status)
            assert "application/json" == head.content_type


async def test_the_version_is_new_enough_for_copilot(server: Served) -> None:
    async with aiohttp.ClientSession() as http, http.get(f"{server.url}/api/version") as response:
        found = (await response.json())["version"]

    assert tuple(map(int, found.split("."))) >= (0, 6, 4)


# ── what goes wrong ──────────────────────────────────────────────────────────────────────────────


async def test_an_unknown_model_is_named(client: ollama.AsyncClient) -> None:
    with pytest.raises(ollama.ResponseError, match="model 'huge' not found") as failure:
        await client.chat("huge", HELLO)

    assert 404 == failure.value.status_code


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/chat", "", 400),
        ("POST", "/api/chat", "{", 400),
        ("POST", "/api/chat", [], 400),
        ("POST", "/api/chat", {"messages": HELLO}, 400),
        ("POST", "/api/chat", {"model": "tiny", "messages": HELLO, "stream": "no"}, 400),
        ("POST", "/api/generate", {"model": "tiny", "prompt": "x", "keep_alive": "soon"}, 400),
        ("POST", "/api/show", {"model": "huge"}, 404),
        ("POST", "/api/embed", {"model": "tiny", "input": {}}, 400),
        ("POST", "/api/embed", {"model": "tiny", "input": "a", "dimensions": -1}, 400),
        ("POST", "/api/pull", {"model": "huge"}, 404),
        ("DELETE", "/api/delete", {"model": "huge"}, 404),
        ("DELETE", "/api/delete", {"model": "tiny"}, 400),
        ("GET", "/api/chat", "", 405),
        ("POST", "/api/create", {"model": "x", "from": "tiny"}, 501),
        ("POST", "/api/copy", {"source": "tiny"}, 400),
        ("POST", "/api/copy", {"source": "tiny", "destination": "tiny"}, 400),
        ("POST", "/api/copy", {"source": "tiny", "destination": "../x"}, 400),
        ("POST", "/api/copy", {"source": "huge", "destination": "x"}, 404),
        ("POST", "/api/push", {"model": "tiny"}, 501),
        ("POST", "/api/blobs/sha256:00", "GGUF", 501),
        ("GET", "/api/unheard-of", "", 404),
    ],
)
async def test_refusals_are_in_ollamas_words(server: Served, method: str, path: str, body: object, status: int) -> None:
    found, answer = await post(server, path, body, method)

    assert (status, ["error"], str) == (found, list(answer), type(answer["error"]))


async def test_what_is_no_language_model_does_not_chat(upstream: FakeLlamaServer, tmp_path: Path) -> None:
    models = {"catalog": {"ears": {"urls": [upstream.url], "kind": "stt"}}, "folder": str(tmp_path)}
    async with served({}, tmp_path, models=models, server={"port": 0, "ollama_port": 0}) as server:
        async with ollama.AsyncClient(server.url) as client:
            with pytest.raises(ollama.ResponseError, match='"ears" does not support chat'):
                await client.chat("ears", HELLO)
            with pytest.raises(ollama.ResponseError, match='"ears" does not support embeddings'):
                await client.embed("ears", "a")
            assert [] == (await client.list()).models


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_the_models_server_says_why_it_refuses(
    server: Served, upstream: FakeLlamaServer, is_streamed: bool
) -> None:
    upstream.enqueue(status=400, message="the prompt is too long")

    body = {"model": "tiny", "messages": HELLO, "stream": is_streamed}

    assert (400, {"error": "the prompt is too long"}) == await post(server, "/api/chat", body)


async def test_a_key_that_is_wrong_between_servers_is_not_the_clients_fault(
    server: Served, upstream: FakeLlamaServer
) -> None:
    upstream.enqueue(status=401, message="wrong key")

    assert (500, {"error": "wrong key"}) == await post(server, "/api/chat", {"model": "tiny", "messages": HELLO})


@pytest.mark.parametrize("fault", [Fail("out of memory"), DROP])
async def test_a_failure_in_the_middle_is_the_last_line(
    client: ollama.AsyncClient, upstream: FakeLlamaServer, fault: Any
) -> None:
    upstream.enqueue("Good", fault)
    answer = await client.chat("tiny", HELLO, stream=True)

    assert "Good" == (await anext(answer)).message.content
    with pytest.raises(ollama.ResponseError, match=r"out of memory|broke off"):
        await anext(answer)


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_a_failure_at_the_start_has_a_status(
    server: Served, upstream: FakeLlamaServer, is_streamed: bool
) -> None:
    upstream.enqueue(Fail("out of memory"))

    body = {"model": "tiny", "messages": HELLO, "stream": is_streamed}

    assert (500, {"error": "out of memory"}) == await post(server, "/api/chat", body)


async def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    async with served({"gone": "http://127.0.0.1:1"}, tmp_path, server={"port": 0, "ollama_port": 0}) as server:
        status, answer = await post(server, "/api/chat", {"model": "gone", "messages": HELLO})

    assert 502 == status
    assert "gone" in answer["error"]


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_a_client_that_leaves_stops_the_model(
    server: Served, upstream: FakeLlamaServer, is_streamed: bool
) -> None:
    """Also before the first word, and where the answer would have come in one piece."""
    upstream.enqueue(STALL)
    body = {"model": "tiny", "messages": HELLO, "stream": is_streamed}
    asking = asyncio.create_task(post(server, "/api/chat", body))
    async with asyncio.timeout(WAIT_S):
        await upstream.asked.wait()

        asking.cancel()

        await upstream.cancelled.wait()


@pytest.mark.parametrize("path", ["chat", "embed"])
async def test_where_one_server_is_lost_another_answers_at_once(
    upstream: FakeLlamaServer, tmp_path: Path, path: str
) -> None:
    """Given two servers with the model, of which the first one ends just after it was found to be well."""
    upstream.enqueue("Good")
    asked = {"model": "both", "messages": HELLO, "stream": False, "input": "a"}
    async with FakeLlamaServer() as first:
        first.enqueue("Good")
        both = {"folder": str(tmp_path), "catalog": {"both": {"urls": [first.url, upstream.url]}}}
        async with served({}, tmp_path, models=both) as server:
            before, _ = await post(server, f"/api/{path}", asked)
            await first.__aexit__()
            after, _ = await post(server, f"/api/{path}", asked)

    assert (200, 200) == (before, after)
    assert (1, 1) == (len(first.requests), len(upstream.requests))
