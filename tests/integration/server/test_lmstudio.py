"""LM Studio's REST APIs against the running server."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.fakes.llama_server import COMMENT, DROP, STALL, Delta, Fail, FakeLlamaServer
from tests.served import Served, served

HELLO = [{"role": "user", "content": "Hello"}]
WAIT_S = 10.0
READ = ["prompt_processing.start", *["prompt_processing.progress"] * 2, "prompt_processing.end"]


@pytest.fixture
async def upstream() -> AsyncIterator[FakeLlamaServer]:
    async with FakeLlamaServer() as fake:
        yield fake


@pytest.fixture
async def server(upstream: FakeLlamaServer, tmp_path: Path) -> AsyncIterator[Served]:
    models = {"tiny": upstream.url, "someone/a-model": upstream.url}
    async with served(models, tmp_path, server={"port": 0, "ollama_port": 0}) as running:
        yield running


async def get(server: Served, path: str) -> tuple[int, Any]:
    """Status and JSON of an answer."""
    async with aiohttp.ClientSession() as http, http.get(server.url + path) as response:
        return response.status, await response.json()


async def post(server: Served, path: str, body: object) -> tuple[int, Any]:
    """Status and JSON of an answer."""
    data = body if isinstance(body, str) else json.dumps(body)
    async with aiohttp.ClientSession() as http, http.post(server.url + path, data=data) as response:
        return response.status, await response.json()


async def stream(server: Served, path: str, **body: Any) -> list[tuple[str, Any]]:
    """Names and data of the events of an answer."""
    request = {"model": "tiny", "stream": True, **body}
    async with aiohttp.ClientSession() as http, http.post(server.url + path, json=request) as response:
        assert "text/event-stream" == response.content_type
        text = await response.text()
    return [event_of(block) for block in text.split("\n\n") if block.strip() and not block.startswith(":")]


def event_of(block: str) -> tuple[str, Any]:
    fields = dict(line.split(": ", 1) for line in block.strip().split("\n"))
    return fields.get("event", ""), fields["data"] if fields["data"] == "[DONE]" else json.loads(fields["data"])


# ── v0 ───────────────────────────────────────────────────────────────────────────────────────────


async def test_clients_find_it(server: Served) -> None:
    assert (200, {"lmstudio": True}) == await get(server, "/lmstudio-greeting")


async def test_models_are_listed_and_found_by_names_with_slashes(server: Served) -> None:
    _, listed = await get(server, "/api/v0/models")
    status, one = await get(server, "/api/v0/models/someone/a-model")

    assert ["someone/a-model", "tiny"] == [entry["id"] for entry in listed["data"]]
    assert (200, listed["data"][0]) == (status, one)


async def test_a_chat_in_one_piece_has_stats(server: Served, upstream: FakeLlamaServer) -> None:
    upstream.enqueue("Good evening", is_streaming=False, finish="length")

    status, answer = await post(server, "/api/v0/chat/completions", {"model": "tiny", "messages": HELLO, "ttl": 60})

    assert (200, "Good evening") == (status, answer["choices"][0]["message"]["content"])
    assert "maxPredictedTokensReached" == answer["stats"]["stop_reason"]
    assert {"model_info", "runtime"} <= set(answer)
    assert "ttl" not in upstream.requests[-1]


async def test_a_chat_streams_with_stats_at_its_end(server: Served, upstream: FakeLlamaServer) -> None:
    upstream.enqueue("Good", COMMENT, " evening", chunk_bytes=7)

    *pieces, (_, last), (_, done) = await stream(server, "/api/v0/chat/completions", messages=HELLO)

    assert ["Good", " evening"] == [piece["choices"][0]["delta"]["content"] for _, piece in pieces]
    assert ("stop", "eosFound") == (last["choices"][0]["finish_reason"], last["stats"]["stop_reason"])
    assert all("stats" not in piece for _, piece in pieces)
    assert "[DONE]" == done


async def test_a_prompt_is_completed(server: Served, upstream: FakeLlamaServer) -> None:
    upstream.enqueue("b", "c")

    events = await stream(server, "/api/v0/completions", prompt="a")

    assert "bc" == "".join(data["choices"][0]["text"] for _, data in events[:-1])
    assert ("/v1/completions", "a") == (upstream.requests[-1]["path"], upstream.requests[-1]["prompt"])


async def test_texts_are_embedded(server: Served) -> None:
    status, answer = await post(server, "/api/v0/embeddings", {"model": "tiny", "input": ["a b", "c"]})

    assert (200, [2.0, 3.0], "tiny") == (status, answer["data"][0]["embedding"], answer["model"])


async def test_a_v0_stream_that_fails_says_so_in_its_last_event(server: Served, upstream: FakeLlamaServer) -> None:
    """Zed reads ``error.message``."""
    upstream.enqueue("Good", Fail("out of memory"))

    (_, first), (_, last) = await stream(server, "/api/v0/chat/completions", messages=HELLO)

    assert "Good" == first["choices"][0]["delta"]["content"]
    assert "out of memory" == last["error"]["message"]


async def test_a_refusal_before_the_first_word_has_its_own_status(server: Served, upstream: FakeLlamaServer) -> None:
    upstream.enqueue("", status=400, message="the prompt is too long")

    request = {"model": "tiny", "messages": HELLO, "stream": True}
    status, answer = await post(server, "/api/v0/chat/completions", request)

    assert (400, "the prompt is too long") == (status, answer["error"]["message"])


# ── v1: the order of events ──────────────────────────────────────────────────────────────────────


async def test_a_chat_is_told_from_its_start_to_its_end(server: Served, upstream: FakeLlamaServer) -> None:
    upstream.enqueue(Delta({"reasoning_content": "Hm."}), "Good", COMMENT, " evening", chunk_bytes=5)

    events = await stream(server, "/api/v1/chat", input="Hello")

    reasoning = ["reasoning.start", "reasoning.delta", "reasoning.end"]
    message = ["message.start", "message.delta", "message.delta", "message.end"]
    assert ["chat.start", *READ, *reasoning, *message, "chat.end"] == [name for name, _ in events]
    assert all(name == data["type"] for name, data in events)
    assert [{"type": "reasoning", "content": "Hm."}, {"type": "message", "content": "Good evening"}] == events[-1][1][
        "result"
    ]["output"]


async def test_a_failure_in_the_middle_is_told_before_the_end(server: Served, upstream: FakeLlamaServer) -> None:
    upstream.enqueue("Good", DROP)

    events = await stream(server, "/api/v1/chat", input="Hello")

    said = ["message.start", "message.delta", "message.end"]
    assert ["chat.start", *READ, *said, "error", "chat.end"] == [name for name, _ in events]
    assert "internal_error" == events[-2][1]["error"]["type"]
    assert "Good" == events[-1][1]["result"]["output"][0]["content"]


async def test_a_server_that_is_not_there_is_told_in_an_event(tmp_path: Path) -> None:
    async with served({"tiny": "http://127.0.0.1:9"}, tmp_path, server={"port": 0, "ollama_port": 0}) as server:
        events = await stream(server, "/api/v1/chat", input="Hello")

    assert ["chat.start", *READ[:2], "error", "chat.end"] == [name for name, _ in events]
    assert "does not answer" in events[-2][1]["error"]["message"]


async def test_who_waits_hears_comments(server: Served, upstream: FakeLlamaServer, monkeypatch: Any) -> None:
    monkeypatch.setattr("heisenberg.server.dialects.lmstudio.chat.COMMENT_EVERY_S", 0.01)
    upstream.enqueue(STALL)
    request = {"model": "tiny", "input": "Hello", "stream": True}

    async with aiohttp.ClientSession() as http, asyncio.timeout(WAIT_S):
        async with http.post(f"{server.url}/api/v1/chat", json=request) as response:
            while await response.content.readline() != b":\n":
                pass


# ── v1: conversations ────────────────────────────────────────────────────────────────────────────


async def test_a_conversation_goes_on_from_any_of_its_answers(server: Served, upstream: FakeLlamaServer) -> None:
    upstream.enqueue("Hi.")
    ask = {"model": "tiny", "input": "Hello", "system_prompt": "Be brief."}

    _, first = await post(server, "/api/v1/chat", ask)
    asked = {"model": "tiny", "previous_response_id": first["response_id"]}
    _, second = await post(server, "/api/v1/chat", {**asked, "input": "And?"})
    *_, (_, end) = await stream(server, "/api/v1/chat", input="Or?", previous_response_id=first["response_id"])

    said = [[message["content"] for message in request["messages"]] for request in upstream.requests]
    before = ["Be brief.", "Hello", "Hi."]
    assert [before[:2], [*before, "And?"], [*before, "Or?"]] == said
    assert 3 == len({first["response_id"], second["response_id"], end["result"]["response_id"]})


async def test_what_is_not_stored_has_no_identity(server: Served, upstream: FakeLlamaServer) -> None:
    upstream.enqueue("Hi.")

    _, answer = await post(server, "/api/v1/chat", {"model": "tiny", "input": "Hello", "store": False})

    assert {"model_instance_id", "output", "stats"} == set(answer)


# ── v1: models ───────────────────────────────────────────────────────────────────────────────────


async def test_what_a_load_cannot_change_is_told(server: Served) -> None:
    request = {"model": "tiny", "flash_attention": True, "echo_load_config": True}

    status, answer = await post(server, "/api/v1/models/load", request)

    assert (200, "tiny", "loaded", ["flash_attention"]) == (
        status, answer["instance_id"], answer["status"], answer["not_applied"],
    )  # fmt: skip
    assert {"context_length": 4096} == answer["load_config"]


# ── leaving ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("is_streamed", [True, False])
@pytest.mark.parametrize(
    ("path", "body"), [("/api/v1/chat", {"input": "Hello"}), ("/api/v0/chat/completions", {"messages": HELLO})]
)
async def test_a_client_that_leaves_stops_its_model(
    server: Served, upstream: FakeLlamaServer, path: str, body: dict[str, Any], is_streamed: bool
) -> None:
    upstream.enqueue("Good", STALL)
    request = {"model": "tiny", "stream": is_streamed, **body}

    async def ask(http: aiohttp.ClientSession) -> None:
        async with http.post(server.url + path, json=request) as response:
            await response.read()

    async with aiohttp.ClientSession() as http, asyncio.timeout(WAIT_S):
        asking = asyncio.create_task(ask(http))
        await upstream.asked.wait()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    async with asyncio.timeout(WAIT_S):
        await upstream.cancelled.wait()


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        ("/api/v0/chat/completions", {"model": "huge", "messages": HELLO}, 404, "model"),
        ("/api/v0/chat/completions", {"messages": HELLO}, 400, "model"),
        ("/api/v0/chat/completions", {"model": "tiny"}, 400, "messages"),
        ("/api/v0/chat/completions", "{", 400, None),
        ("/api/v0/completions", {"model": "tiny"}, 400, "prompt"),
        ("/api/v0/embeddings", {"model": "tiny"}, 400, "input"),
        ("/api/v0/embeddings", {"model": "tiny", "input": "a", "ttl": -1}, 400, "ttl"),
    ],
)
async def test_refusals_of_the_old_api(server: Served, path: str, body: object, status: int, param: str | None) -> None:
    found, answer = await post(server, path, body)

    assert (status, "invalid_request_error", param) == (found, answer["error"]["type"], answer["error"]["param"])


@pytest.mark.parametrize(
    ("path", "body", "status", "kind"),
    [
        ("/api/v1/chat", {"model": "huge", "input": "a"}, 404, "model_not_found"),
        ("/api/v1/chat", {"model": "huge", "input": "a", "stream": True}, 404, "model_not_found"),
        ("/api/v1/chat", {"model": "tiny"}, 400, "invalid_request"),
        ("/api/v1/chat", "", 400, "invalid_request"),
        ("/api/v1/chat", {"model": "tiny", "input": "a", "integrations": ["mcp/x"]}, 501, "not_implemented"),
        ("/api/v1/chat", {"model": "tiny", "input": "a", "previous_response_id": "resp_1"}, 404, "invalid_request"),
        ("/api/v1/models/load", {"model": "huge"}, 404, "model_not_found"),
        ("/api/v1/models/load", {"model": "tiny", "log-file": "/tmp/x"}, 400, "invalid_request"),
        ("/api/v1/models/load", {"model": "tiny", "context_length": "long"}, 400, "invalid_request"),
        ("/api/v1/models/unload", {"instance_id": "tiny"}, 400, "invalid_request"),
        ("/api/v1/models/unload", {}, 400, "invalid_request"),
        ("/api/v1/models/download", {"model": "huge"}, 404, "model_not_found"),
        ("/api/v1/models/download", {}, 400, "invalid_request"),
    ],
)
async def test_refusals_of_the_new_api(server: Served, path: str, body: object, status: int, kind: str) -> None:
    found, answer = await post(server, path, body)

    assert (status, kind) == (found, answer["error"]["type"])
    assert answer["error"]["message"]


@pytest.mark.parametrize("path", ["/api/v0/unheard-of", "/api/v1/unheard-of"])
async def test_unknown_routes_are_in_lm_studios_words(server: Served, path: str) -> None:
    assert (404, {"error": f"Unexpected endpoint or method. (GET {path})"}) == await get(server, path)


async def test_a_download_that_nobody_began_is_not_found(server: Served) -> None:
    status, answer = await get(server, "/api/v1/models/download/status/job_1")

    assert (404, "job_not_found") == (status, answer["error"]["type"])
    assert 200 == (await get(server, "/api/v1/models/download/status"))[0]


async def test_loading_needs_the_admin_key(upstream: FakeLlamaServer, tmp_path: Path) -> None:
    keys = {"port": 0, "ollama_port": 0, "api_key": "a" * 20, "admin_key": "b" * 20}
    async with served({"tiny": upstream.url}, tmp_path, server=keys) as server:
        for what in ("load", "unload", "download"):
            async with aiohttp.ClientSession(headers={"x-api-key": "a" * 20}) as http:
                async with http.post(f"{server.url}/api/v1/models/{what}", json={"model": "tiny"}) as response:
                    assert (403, "invalid_request") == (response.status, (await response.json())["error"]["type"])
