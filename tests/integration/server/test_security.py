"""The rules, on real sockets: who is refused, how that is said, and what a web page may see."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest

from heisenberg.core.errors import ConfigError
from heisenberg.server.app import ROUTES
from heisenberg.server.asgi import Receive, Scope, Send, while_connected
from heisenberg.server.context import Context
from heisenberg.server.routes import Route
from tests.fakes.llama_server import FakeLlamaServer
from tests.integration.server.wire import ask, head, wired
from tests.served import Served, served

PAGE = "http://localhost:3000"
FOREIGN = "https://evil.example"


@pytest.fixture
async def server() -> AsyncIterator[Served]:
    async with served({"tiny": "http://127.0.0.1:9"}) as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.mark.parametrize("path", sorted({route.path.replace("*", "x") for route in ROUTES}))
async def test_a_preflight_is_answered_for_every_route(server: Served, http: aiohttp.ClientSession, path: str) -> None:
    """A browser asks before a page may; servers have answered 405 here, and no page could use them."""
    asked = {
        "Origin": PAGE,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-stainless-lang",
    }
    for url in (server.url, server.ollama_url):
        async with http.options(url + path, headers=asked) as answer:
            assert answer.status == 204
            assert answer.headers["Access-Control-Allow-Origin"] == PAGE
            assert answer.headers["Access-Control-Allow-Headers"] == asked["Access-Control-Request-Headers"]
            assert {"OPTIONS"} < set(answer.headers["Access-Control-Allow-Methods"].split(", "))
            assert answer.headers["Access-Control-Max-Age"] == "3600"
            assert "Access-Control-Allow-Credentials" not in answer.headers


async def test_a_known_page_sees_answers_and_failures(server: Served, http: aiohttp.ClientSession) -> None:
    for path, status in (("/v1/models", 200), ("/nothing", 404)):
        async with http.get(server.url + path, headers={"Origin": PAGE}) as answer:
            assert answer.status == status
            assert answer.headers["Access-Control-Allow-Origin"] == PAGE
            assert "Origin" in answer.headers["Vary"]


async def test_a_foreign_page_sees_nothing(server: Served, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{server.url}/v1/models", headers={"Origin": FOREIGN}) as answer:
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert "Origin" in answer.headers["Vary"]


async def test_a_foreign_page_changes_nothing() -> None:
    """A form with text/plain needs no preflight; the model must not hear of it."""
    async with FakeLlamaServer() as fake, served({"tiny": fake.url}) as server, aiohttp.ClientSession() as http:
        said = json.dumps({"model": "tiny", "messages": []})
        headers = {"Origin": FOREIGN, "Content-Type": "text/plain"}
        async with http.post(f"{server.url}/v1/chat/completions", data=said, headers=headers) as answer:
            assert answer.status == 403
            assert "server.cors_origins" in (await answer.json())["error"]["message"]

        assert fake.requests == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "OPTIONS"])
async def test_a_rebound_name_reaches_nothing(server: Served, method: str) -> None:
    """DNS rebinding: the browser thinks that it talks to evil.example."""
    reply = await ask(server.url, head(method, "/v1/models", host="evil.example"))

    assert reply is not None
    assert reply.status == 403


@pytest.mark.parametrize("line", ["Host:", "Host: :11434", "X-No-Host: 1"])
async def test_an_empty_host_is_refused(server: Served, line: str) -> None:
    reply = await ask(server.ollama_url, f"GET /api/tags HTTP/1.1\r\n{line}\r\n\r\n".encode())

    assert reply is not None
    assert reply.status in (400, 403)


async def test_refusals_speak_the_dialect_of_their_path(server: Served) -> None:
    replies = [await ask(server.url, head("GET", path, host="evil.example")) for path in ("/v1/models", "/api/tags")]
    openai, ollama = [json.loads(reply.body)["error"] for reply in replies if reply]

    assert "evil.example" in openai["message"]
    assert "evil.example" in ollama


async def test_a_refused_request_leaves_its_connection_usable(server: Served) -> None:
    async with wired(server.url) as wire:
        statuses = []
        for host in ("evil.example", "localhost", "evil.example"):
            await wire.say(head("POST", "/nothing", host=host, body=b"x" * 5000))
            reply = await wire.hear()
            statuses.append(reply.status if reply else 0)

        assert statuses == [403, 404, 403]


async def test_a_key_opens_the_models_and_another_one_the_rest(http: aiohttp.ClientSession) -> None:
    async with served({"tiny": "http://127.0.0.1:9"}, server={"api_key": "user", "admin_key": "admin"}) as server:

        async def status(path: str, **headers: str) -> int:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            async with http.get(server.url + path, headers=named) as answer:
                return answer.status

        assert await status("/health") == 200
        assert await status("/v1/models") == 401
        assert await status("/v1/models", authorization="Bearer user") == 200
        assert await status("/v1/models", x_api_key="user") == 200
        assert await status("/models/tiny/log", x_api_key="user") == 403
        assert await status("/models/tiny/log", x_api_key="admin") == 200


@pytest.mark.parametrize(
    ("path", "asked"), [("/api/generate", {"model": "tiny"}), ("/api/chat", {"model": "tiny", "messages": []})]
)
async def test_unloading_in_ollamas_words_needs_the_other_key(
    http: aiohttp.ClientSession, path: str, asked: dict[str, object]
) -> None:
    """By its path it is a generation; loading is anybody's."""
    async with served({"tiny": "http://127.0.0.1:9"}, server={"api_key": "user", "admin_key": "admin"}) as server:

        async def status(key: str, keep_alive: object) -> int:
            said = {**asked, "keep_alive": keep_alive}
            async with http.post(server.url + path, json=said, headers={"x-api-key": key}) as answer:
                return answer.status

        assert await status("user", 0) == 403
        assert await status("user", "0s") == 403
        assert await status("user", -1) == 200
        assert await status("admin", 0) == 200


async def test_an_open_address_without_a_key_never_opens_a_port() -> None:
    with pytest.raises(ConfigError, match=r"server\.api_key"):
        async with served({}, server={"host": "0.0.0.0"}):
            raise AssertionError("it serves")


async def test_a_url_without_end_is_refused(server: Served) -> None:
    reply = await ask(server.url, head("GET", "/v1/models/" + "x" * 9000))

    assert reply is not None
    assert reply.status == 414


async def test_a_large_body_is_refused_before_it_is_sent(http: aiohttp.ClientSession) -> None:
    async with served({"tiny": "http://127.0.0.1:9"}, server={"max_body_megabytes": 0.001}) as server:
        async with wired(server.url) as wire:
            await wire.say(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\n")
            reply = await wire.hear()

            assert reply is not None
            assert reply.status == 413
            assert reply.headers["connection"] == "close"
            assert await wire.is_closed()


async def test_a_head_without_end_is_cut_off(server: Served) -> None:
    async with wired(server.url) as wire:
        await wire.say(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X-Long: " + b"x" * 70_000)
        reply = await wire.hear()

        assert reply is not None
        assert reply.status in (400, 431)
        assert await wire.is_closed()


async def test_a_connection_that_only_waits_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow loris: whoever opens connections and says nothing, or half a request, holds them for a moment only."""
    monkeypatch.setattr("heisenberg.server.connection.HEAD_S", 0.05)
    async with served({}) as server:
        for begun in (b"", b"GET / HTTP/1.1\r\nHost: loc"):
            async with wired(server.url) as wire:
                await wire.say(begun)

                assert await wire.is_closed()


async def test_a_body_that_never_comes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heisenberg.server.exchange.SILENCE_S", 0.05)
    async with served({"tiny": "http://127.0.0.1:9"}) as server, wired(server.url) as wire:
        await wire.say(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{")
        reply = await wire.hear()

        assert reply is not None
        assert reply.status == 408
        assert await wire.is_closed()


async def test_a_client_that_does_not_read_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks for a long answer and takes none of it: the model it holds is wanted by others."""
    left = asyncio.Event()

    async def pour(send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})
            await asyncio.sleep(0)

    async def pours(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await while_connected(receive, pour(send))
        finally:
            left.set()

    monkeypatch.setattr("heisenberg.server.connection.UNREAD_S", 0.05)
    monkeypatch.setattr("heisenberg.server.app.ROUTES", (Route("GET", "/v1/pours", pours, "test"),))
    async with served({}) as server:
        with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as client:
            client.sendall(head("GET", "/v1/pours"))
            async with asyncio.timeout(10):
                await left.wait()


async def test_a_head_that_comes_in_pieces_is_understood(server: Served) -> None:
    async with wired(server.url) as wire:
        for piece in (b"GET /heal", b"th HTTP/1.1\r\nHo", b"st: localhost\r\n", b"\r\n"):
            await wire.say(piece)
            await asyncio.sleep(0)
        reply = await wire.hear()

        assert reply is not None
        assert reply.status == 200


async def test_requests_in_a_row_are_answered_in_their_order(server: Served) -> None:
    async with wired(server.url) as wire:
        await wire.say(head("GET", "/health") + head("GET", "/nothing") + head("GET", "/v1/models"))
        replies = [await wire.hear() for _ in range(3)]

        assert [reply.status for reply in replies if reply] == [200, 404, 200]
