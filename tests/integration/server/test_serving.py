"""Ports, faults of ours, and the server's end."""

import asyncio
import json
import logging
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import psutil
import pytest

from heisenberg.core.config import ServerConfig
from heisenberg.core.errors import ConfigError, PortInUse
from heisenberg.server import app, serving
from heisenberg.server.asgi import JSON_HEADER, STREAM_HEADERS, Receive, Scope, Send
from heisenberg.server.context import Context
from heisenberg.server.routes import Route
from heisenberg.server.sockets import open_ports
from tests.fakes.gguf_writer import write_gguf
from tests.fakes.llama_server import STALL, FakeLlamaServer
from tests.integration.server.wire import ask, head
from tests.served import served

EVENTS = (b"content-type", b"text/event-stream")
LINES = (b"content-type", b"application/x-ndjson")


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


# ── ports ──


def test_a_port_that_is_taken_is_named_with_its_owner() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortInUse, match=f"Port {port} on 127.0.0.1 .*process {psutil.Process().pid}"):
            open_ports(ServerConfig(port=port, ollama_port=0))


def test_a_second_port_that_is_taken_gives_the_first_one_back() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, socket.create_server(("127.0.0.1", 0)) as free:
        port, taken = free.getsockname()[1], other.getsockname()[1]
        free.close()
        with pytest.raises(PortInUse):
            open_ports(ServerConfig(port=port, ollama_port=taken))
        again = open_ports(ServerConfig(port=port, ollama_port=0))
        again.close()


def test_one_port_for_both_is_not_blamed_on_another_program() -> None:
    with pytest.raises(ConfigError, match="both 1234; they have to differ"):
        open_ports(ServerConfig(port=1234, ollama_port=1234))


@pytest.mark.parametrize("host", ["203.0.113.7", "no such name"])
def test_an_address_of_somebody_else_is_told(host: str) -> None:
    with pytest.raises(ConfigError, match="server.host is"):
        open_ports(ServerConfig(host=host, port=0, ollama_port=0))


@pytest.mark.parametrize(("host", "expected"), [("localhost", "http://127.0.0.1:"), ("127.0.0.1", "http://127.0.0.1:")])
def test_localhost_is_where_clients_look(host: str, expected: str) -> None:
    opened = open_ports(ServerConfig(host=host, port=0, ollama_port=0))
    urls = opened.urls
    opened.close()

    assert [url[: len(expected)] for url in urls] == [expected]


def test_an_ipv6_address_has_brackets() -> None:
    try:
        opened = open_ports(ServerConfig(host="::1", port=0, ollama_port=0))
    except ConfigError:
        pytest.skip("no IPv6 here")
    urls = opened.urls
    opened.close()

    assert [url[:13] for url in urls] == ["http://[::1]:"]


# ── faults of ours ──


async def breaks(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("a fault")


async def breaks_in_events(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [EVENTS, *STREAM_HEADERS]})
    await send({"type": "http.response.body", "body": b'data: {"x": 1}\n\n', "more_body": True})
    raise RuntimeError("a fault")


async def breaks_in_lines(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [LINES]})
    await send({"type": "http.response.body", "body": b'{"x": 1}\n', "more_body": True})
    raise RuntimeError("a fault")


async def breaks_in_json(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [JSON_HEADER]})
    await send({"type": "http.response.body", "body": b'{"x"', "more_body": True})
    raise RuntimeError("a fault")


async def loses_its_model(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    raise aiohttp.ServerDisconnectedError


BROKEN = (
    Route("GET", "/api/lost", loses_its_model, "test"),
    Route("GET", "/v1/breaks", breaks, "test"),
    Route("GET", "/api/breaks", breaks, "test"),
    Route("GET", "/v1/events", breaks_in_events, "test"),
    Route("GET", "/api/lines", breaks_in_lines, "test"),
    Route("GET", "/v1/json", breaks_in_json, "test"),
)


@pytest.fixture
async def broken(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    monkeypatch.setattr(app, "ROUTES", BROKEN)
    async with served({}) as server:
        yield server.url


async def test_a_fault_is_told_in_the_dialect_and_logged(
    broken: str, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    async with http.get(f"{broken}/v1/breaks") as one, http.get(f"{broken}/api/breaks") as other:
        openai, ollama = await one.json(), await other.json()

    assert (one.status, other.status) == (500, 500)
    assert openai["error"]["message"] == ollama["error"]
    assert "a fault" not in ollama["error"].replace("a fault of the server", "")
    assert [record.exc_info is not None for record in caplog.records if record.levelno == logging.ERROR] == [True] * 2


async def test_a_model_that_is_lost_is_no_fault_of_ours(broken: str, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{broken}/api/lost") as answer:
        assert answer.status == 502
        assert "the model's server" in (await answer.json())["error"]


async def test_a_stream_that_breaks_ends_with_an_error(broken: str, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{broken}/v1/events") as one, http.get(f"{broken}/api/lines") as other:
        events = [event for event in (await one.text()).split("\n\n") if event]
        lines = (await other.text()).splitlines()

    assert (len(events), "message" in json.loads(events[1].removeprefix("data: "))["error"]) == (2, True)
    assert (len(lines), list(json.loads(lines[1]))) == (2, ["error"])


async def test_an_answer_that_breaks_is_seen_to_be_broken(broken: str, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{broken}/v1/json") as answer:
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


@pytest.mark.skipif(sys.platform == "win32", reason="its server is a shell script")
async def test_a_model_that_does_not_start_tells_strangers_no_folders(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    write_gguf(tmp_path / "talk.gguf", {"general.architecture": "llama"})
    program = tmp_path / "llama-server"
    program.write_text("#!/bin/sh\necho cannot open $0; exit 1\n")
    program.chmod(0o755)
    said = {"model": "talk", "messages": [{"role": "user", "content": "hello"}]}
    async with served({}, tmp_path, llm={"server_path": str(program)}) as server:
        async with http.post(f"{server.url}/api/chat", json=said) as answer:
            error = (await answer.json())["error"]

    assert error == 'talk did not start: it exited with code 1. Last line: "cannot open llama-server"'


# ── the end ──


async def test_streams_are_cut_in_words_when_the_server_ends(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A model that dawdles does not keep the server; its client is told, and the model is let go."""
    monkeypatch.setattr(serving, "GRACE_S", 0.1)
    async with FakeLlamaServer() as fake:
        fake.enqueue("Good", STALL)
        with caplog.at_level(logging.WARNING):
            async with served({"tiny": fake.url}) as server:
                said = {"model": "tiny", "messages": [], "stream": True}
                answer = await http.post(f"{server.url}/v1/chat/completions", json=said)
                first = await answer.content.readuntil(b"\n\n")
        rest = await answer.text()
        async with asyncio.timeout(5):
            await fake.cancelled.wait()

    assert caplog.messages == ["Ending; answers under way (1) may go on for 0.1 s."]
    events = [event for event in rest.split("\n\n") if event]
    assert b"Good" in first
    assert json.loads(events[-1].removeprefix("data: "))["error"]["message"] == "the server is ending"


async def test_an_answer_under_way_may_end(http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server waits for it, within its grace."""
    asked, go = asyncio.Event(), asyncio.Event()

    async def dawdles(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
        asked.set()
        await go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [JSON_HEADER]})
        await send({"type": "http.response.body", "body": b"{}"})

    monkeypatch.setattr(app, "ROUTES", (Route("GET", "/v1/dawdles", dawdles, "test"),))
    async with served({}) as server:
        asking = asyncio.create_task(http.get(f"{server.url}/v1/dawdles"))
        await asked.wait()
        asyncio.get_running_loop().call_later(0.2, go.set)
    async with await asking as answer:
        assert await answer.json() == {}


async def test_after_the_end_nobody_answers() -> None:
    async with served({}) as server:
        assert await ask(server.url, head("GET", "/health"))

    with pytest.raises(ConnectionRefusedError):
        await ask(server.url, head("GET", "/health"))
