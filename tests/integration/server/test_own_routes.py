"""What the server tells of itself."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
import schemathesis
from hypothesis import Phase, given, settings

from heisenberg import __version__
from heisenberg.runner.supervisor.process import KEPT_LINES
from tests.fakes.llama_server import FakeLlamaServer
from tests.integration.server.wire import ask, head
from tests.served import Served, served


@pytest.fixture
async def server() -> AsyncIterator[Served]:
    async with FakeLlamaServer() as fake, served({"tiny": fake.url, "org/big:Q4": fake.url}) as running:
        fake.enqueue("Hello")
        yield running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


class Printing:
    """In place of the keeper of a model's process: it prints what the test says."""

    def __init__(self, server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lines = ["loading"]
        lane = SimpleNamespace(keeper=self)
        monkeypatch.setattr(server.fleet._pool, "existing", lambda name: lane if name == "tiny" else None)

    def lines_after(self, number: int) -> tuple[list[str], int]:
        return self.lines[number:][-KEPT_LINES:], len(self.lines)


async def found(http: aiohttp.ClientSession, url: str, status: int = 200) -> Any:
    async with http.get(url) as answer:
        assert answer.status == status
        return await answer.json()


async def test_it_is_alive_and_ready(server: Served, http: aiohttp.ClientSession) -> None:
    assert await found(http, f"{server.url}/health") == {"status": "ok"}
    assert await found(http, f"{server.ollama_url}/ready") == {"status": "ready"}


async def test_a_preload_that_nobody_can_read_keeps_it_from_being_ready(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    """Named with the reason, and without its folder, since no key is asked for here."""
    (tmp_path / "bad.gguf").write_bytes(b"no model")
    entry = {"path": str(tmp_path / "bad.gguf"), "preload": True}
    async with served({}, tmp_path, models={"folder": str(tmp_path), "catalog": {"mine": entry}}) as server:
        said = (await found(http, f"{server.url}/ready", 503))["status"]

    assert said.startswith("mine cannot be loaded: ")
    assert "bad.gguf cannot be used as a model: it is not a GGUF file. Download it again or remove it." in said
    assert str(tmp_path) not in said


UNUSABLE = "model 'bad' cannot be used: bad.gguf cannot be used as a model: it is not a GGUF file."
PULL = "model 'whisper-small' not found. It can be had: heisenberg models pull whisper-small"
ASKED = [
    ("/v1/chat/completions", ("error", "message")),
    ("/v1/messages", ("error", "message")),
    ("/api/v0/chat/completions", ("error", "message")),
    ("/api/v1/chat", ("error", "message")),
    ("/api/chat", ("error",)),
    ("/api/show", ("error",)),
]


@pytest.mark.parametrize(("path", "where"), ASKED)
@pytest.mark.parametrize(("name", "why"), [("bad", UNUSABLE), ("whisper-small", PULL)])
async def test_every_dialect_says_why_a_model_cannot_be_had(
    tmp_path: Path, http: aiohttp.ClientSession, path: str, where: tuple[str, ...], name: str, why: str
) -> None:
    """One lies in the models folder and is damaged: it is not listed. The other one is known, and not here."""
    (tmp_path / "bad.gguf").write_bytes(b"no model")
    words = [{"role": "user", "content": "Hi"}]
    async with served({}, tmp_path) as server:
        listed = (await found(http, f"{server.url}/v1/models"))["data"]
        said = {"model": name, "messages": words, "input": "Hi"}
        async with http.post(server.url + path, json=said) as answer:
            status, told = answer.status, await answer.json()
    for key in where:
        told = told[key]

    assert ([], 404) == (listed, status)
    assert why in told


async def test_each_port_says_what_it_is(server: Served, http: aiohttp.ClientSession) -> None:
    """Ollama's clients look for its sentence."""
    ours = await found(http, server.url)
    async with http.get(server.ollama_url) as answer:
        theirs = await answer.text()

    assert (ours["name"], ours["version"], theirs) == ("heisenberg", __version__, "Ollama is running")


async def test_every_model_is_shown_with_its_state(server: Served, http: aiohttp.ClientSession) -> None:
    models = (await found(http, f"{server.url}/models"))["models"]

    assert [(model["name"], model["is_remote"]) for model in models] == [("org/big:Q4", True), ("tiny", True)]


async def test_a_model_has_a_log(server: Served, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{server.url}/models/org/big:Q4/log") as answer:
        assert (answer.status, answer.content_type, await answer.text()) == (200, "text/plain", "")

    assert "huge" in (await found(http, f"{server.url}/models/huge/log", 404))["error"]["message"]


async def followed(http: aiohttp.ClientSession, server: Served, keeper: Printing) -> None:
    """Someone who follows sees what is there, then what comes."""
    async with http.get(f"{server.url}/models/tiny/log?follow=1") as answer:
        assert "loading" == (await answer.content.readline()).decode().strip()
        keeper.lines.append("listening")
        assert "listening" == (await answer.content.readline()).decode().strip()


async def test_a_log_can_be_followed_until_the_client_leaves(
    server: Served, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More often than so many may follow at once, one after the other: who leaves makes room."""
    monkeypatch.setattr("heisenberg.server.log_following.MOST_FOLLOWERS", 1)
    keeper = Printing(server, monkeypatch)
    async with asyncio.timeout(20):
        await followed(http, server, keeper)
        async with http.get(f"{server.url}/models/tiny/log?follow=1") as answer:
            while answer.status == 503:
                await asyncio.sleep(0.01)
                answer = await http.get(f"{server.url}/models/tiny/log?follow=1")
            second = await found(http, f"{server.url}/models/tiny/log?follow=1", 503)
            answer.close()

    assert "too many follow logs" in second["error"]["message"]


async def test_lines_that_come_too_fast_are_counted(
    server: Served, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = Printing(server, monkeypatch)
    async with asyncio.timeout(20), http.get(f"{server.url}/models/tiny/log?follow=1") as answer:
        await answer.content.readline()
        keeper.lines += [f"line {number}" for number in range(250)]
        first, second = [(await answer.content.readline()).decode().strip() for _ in range(2)]

    assert ("… 50 lines are left out", "line 50") == (first, second)


async def test_following_does_not_keep_the_server_from_ending(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer ends in good order, and nobody has to be cut off."""
    async with FakeLlamaServer() as fake, served({"tiny": fake.url}) as server:
        Printing(server, monkeypatch)
        answer = await http.get(f"{server.url}/models/tiny/log?follow=1")
        await answer.content.readline()

    assert b"" == await answer.content.read()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_unknown_routes_and_methods_are_told(server: Served, http: aiohttp.ClientSession) -> None:
    missing = await found(http, f"{server.url}/api/nothing", 404)
    async with http.delete(f"{server.url}/v1/models") as wrong:
        allowed = wrong.headers["Allow"]

    assert missing["error"].startswith("Unexpected endpoint or method. (GET /api/nothing)")
    assert (wrong.status, {"GET", "HEAD"} <= set(allowed.split(", "))) == (405, True)


@pytest.mark.parametrize("path", ["/", "/health", "/models", "/v1/models", "/docs", "/metrics"])
async def test_where_get_is_head_is_too(server: Served, path: str) -> None:
    reply = await ask(server.url, head("HEAD", path))

    assert reply is not None
    assert (reply.status, int(reply.headers["content-length"]) > 0) == (200, True)


async def test_an_answer_bears_its_requests_number(server: Served, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{server.url}/v1/models", headers={"X-Request-Id": "mine-1"}) as answer:
        assert answer.headers["X-Request-Id"] == "mine-1"
    async with http.get(f"{server.url}/v1/models", headers={"X-Request-Id": "not <fit>"}) as answer:
        assert len(answer.headers["X-Request-Id"]) == 16


async def test_requests_are_counted_by_their_route(server: Served, http: aiohttp.ClientSession) -> None:
    said = {"model": "tiny", "messages": [], "stream": True}
    async with http.post(f"{server.url}/v1/chat/completions", json=said) as answer:
        await answer.read()
    for path in ("/nothing/1", "/nothing/2"):
        await found(http, server.url + path, 404)
    async with http.get(f"{server.url}/metrics") as answer:
        lines = (await answer.text()).splitlines()

    assert 'heisenberg_requests_total{dialect="none",route="none",status="404"} 2.0' in lines
    assert any(line.startswith('heisenberg_requests_total{dialect="openai"') for line in lines)
    assert "heisenberg_requests_open 1.0" in lines  # this one


async def test_two_servers_count_for_themselves(server: Served, http: aiohttp.ClientSession) -> None:
    async with served({}) as second, http.get(f"{second.url}/metrics") as answer:
        assert "heisenberg_request_seconds_count" not in await answer.text()


async def test_a_request_is_logged_without_what_was_said(
    server: Served, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "heisenberg.server")
    said = {"model": "tiny", "messages": [{"role": "user", "content": "open sesame"}], "stream": True}
    key = {"Authorization": "Bearer sesame"}
    async with http.post(f"{server.url}/v1/chat/completions?key=sesame", json=said, headers=key) as answer:
        await answer.read()
    await found(http, f"{server.url}/health")  # by now, the first one's line is written

    lines = [record.getMessage() for record in caplog.records]
    assert any(line.startswith("POST /v1/chat/completions 200 in") for line in lines)
    assert "sesame" not in json.dumps([vars(record) for record in caplog.records], default=str)


async def test_the_page_of_documentation_needs_no_network(server: Served, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{server.url}/docs") as answer:
        page = await answer.text()

    assert "/v1/models" in page
    assert all(f"As {name} has them" in page for name in ("OpenAI", "LM Studio", "Ollama"))
    assert "http" not in page.replace("</html>", "")


async def test_its_own_routes_are_as_they_are_described(server: Served) -> None:
    """schemathesis asks everything that the description allows, and much that it does not."""
    await asyncio.to_thread(explore, server.url)


def explore(url: str) -> None:
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    schema.raw_schema["paths"]["/models/{name}/log"]["get"]["parameters"][1]["schema"]["enum"] = [False]  # has an end
    for result in schema.get_all_operations():
        operation = result.ok()

        @settings(max_examples=20, deadline=None, database=None, phases=[Phase.generate], derandomize=True)
        @given(operation.as_strategy())
        def explored(case: schemathesis.Case) -> None:
            case.call_and_validate()

        explored()
