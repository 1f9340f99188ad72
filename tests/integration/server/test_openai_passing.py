"""What OpenAI's dialect passes on, what it holds back, and what becomes of failures."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from heisenberg.server import waiting
from heisenberg.server.dialects import openai as dialect
from tests.fakes.raw_upstream import HANG, plain, raw_upstream, streamed
from tests.served import Served, served

ONE_PORT = {"port": 0, "ollama_port": 0}
ODD = (
    b' \r\n{ "model" :"tiny",\t"x":1.50e+00,"\\u0061":"\\ud83d\\ude00 \xc3\xa9",'
    b'"big":123456789012345678901234567890,"x":[ ]} \n'
)
EVENTS = (
    b'data: {"a" : 1}\n\n',
    b": \xff\xfe\n\n",
    b'data: {"b":',
    b"2}\r\n\r\nevent: x\ndata:\n\n",
    b"data: [DONE]\n\n",
)
CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "Hello"}]}
STREAM = {**CHAT, "stream": True}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(20)) as session:
        yield session


async def asked(http: aiohttp.ClientSession, server: Served, path: str, body: Any) -> tuple[int, bytes]:
    """The status and the whole answer."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with http.post(server.url + path, data=data) as answer:
        return answer.status, await answer.read()


def message_of(body: bytes) -> str:
    return str(json.loads(body)["error"]["message"])


@pytest.mark.parametrize("path", sorted({*dialect.PASSED_ON} - {*dialect.RANKS}))
async def test_both_ways_every_byte_is_as_it_was(http: aiohttp.ClientSession, path: str) -> None:
    odd_answer = b'{"z": 1.0 ,\n"a":"\xff"}\n'
    async with raw_upstream([plain(odd_answer)]) as upstream, served({"tiny": upstream.url}, server=ONE_PORT) as server:
        assert (200, odd_answer) == await asked(http, server, path, ODD)
        head, body = upstream.asked[0]
        assert ODD == body
        assert head.startswith(f"POST {path} HTTP/1.1\r\n".encode())


async def test_a_stream_is_passed_on_as_it_is(http: aiohttp.ClientSession) -> None:
    """Comments, odd line ends, events cut in the middle, and bytes that are no text."""
    async with raw_upstream(streamed(*EVENTS)) as upstream, served({"tiny": upstream.url}, server=ONE_PORT) as server:
        async with http.post(f"{server.url}/v1/chat/completions", json=STREAM) as answer:
            assert b"".join(EVENTS) == await answer.read()
            assert "text/event-stream" == answer.headers["content-type"]
            assert "no-cache" == answer.headers["cache-control"]


async def test_a_refusal_is_passed_on_with_its_status(http: aiohttp.ClientSession) -> None:
    said = b'{"error":{"code":400,"message":"too long","type":"exceed_context_size_error","n_ctx":512}}'
    async with (
        raw_upstream([plain(said, status="400 Bad Request")]) as upstream,
        served({"tiny": upstream.url}, server=ONE_PORT) as server,
    ):
        assert (400, said) == await asked(http, server, "/v1/chat/completions", STREAM)


async def test_our_key_for_another_server_is_not_the_clients_affair(http: aiohttp.ClientSession) -> None:
    said = b'{"error":{"message":"wrong key"}}'
    async with (
        raw_upstream([plain(said, status="401 Unauthorized")]) as upstream,
        served({"tiny": upstream.url}, server=ONE_PORT) as server,
    ):
        status, body = await asked(http, server, "/v1/chat/completions", CHAT)

        assert (502, True) == (status, "wrong key" in message_of(body))


async def test_another_server_hears_its_own_name_and_nothing_of_memory(http: aiohttp.ClientSession) -> None:
    async with raw_upstream([plain(b"{}")]) as upstream:
        catalog = {"tiny": {"urls": [upstream.url], "remote_name": "vendor/x", "api_key": "secret"}}
        async with served({}, server=ONE_PORT, models={"folder": "/nonexistent", "catalog": catalog}) as server:
            await asked(http, server, "/v1/chat/completions", {**CHAT, "ttl": 60, "n_discard": -1})
            head, body = upstream.asked[0]

    assert {**CHAT, "model": "vendor/x"} == json.loads(body)
    assert b"Bearer secret" in head


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/images/generations", "/slots", "/v1/chat", "/props"])
async def test_what_nobody_speaks_is_not_passed_on(http: aiohttp.ClientSession, path: str) -> None:
    async with raw_upstream([plain(b"{}")]) as upstream, served({"tiny": upstream.url}, server=ONE_PORT) as server:
        status, body = await asked(http, server, path, CHAT)

        assert (404, True) == (status, path in message_of(body))
        assert [] == upstream.asked


@pytest.mark.parametrize(
    ("kind", "path", "hint"),
    [
        ("stt", "/v1/chat/completions", "/v1/audio/transcriptions"),
        ("tts", "/v1/completions", "/v1/audio/speech"),
        ("embedding", "/v1/chat/completions", "/v1/embeddings"),
        ("stt", "/v1/embeddings", "/v1/audio/transcriptions"),
        ("llm", "/v1/rerank", "/v1/chat/completions"),
    ],
)
async def test_a_model_is_not_asked_for_what_it_cannot_do(
    http: aiohttp.ClientSession, kind: str, path: str, hint: str
) -> None:
    catalog = {"it": {"urls": ["http://127.0.0.1:9"], "kind": kind}}
    async with served({}, server=ONE_PORT, models={"folder": "/nonexistent", "catalog": catalog}) as server:
        status, body = await asked(http, server, path, {**CHAT, "model": "it"})

        assert (400, True) == (status, hint in message_of(body))


async def test_pictures_from_the_web_are_refused_until_allowed(http: aiohttp.ClientSession) -> None:
    part = {"type": "image_url", "image_url": {"url": "http://127.0.0.1:1/a.png"}}
    request = {"model": "tiny", "messages": [{"role": "user", "content": [part]}]}
    async with raw_upstream([plain(b"{}")]) as upstream:
        async with served({"tiny": upstream.url}, server=ONE_PORT) as server:
            status, body = await asked(http, server, "/v1/chat/completions", request)
            assert (400, True) == (status, "data: URLs" in message_of(body))
        async with served({"tiny": upstream.url}, server={**ONE_PORT, "allow_remote_images": True}) as server:
            assert (200, b"{}") == await asked(http, server, "/v1/chat/completions", request)


async def test_clients_of_llama_server_need_not_name_the_only_model(http: aiohttp.ClientSession) -> None:
    async with raw_upstream([plain(b"{}")]) as upstream:
        async with served({"tiny": upstream.url}, server=ONE_PORT) as server:
            assert (200, b"{}") == await asked(http, server, "/infill", {"input_prefix": "x"})
            assert 400 == (await asked(http, server, "/v1/completions", {"prompt": "x"}))[0]
        async with served({"tiny": upstream.url, "other": upstream.url}, server=ONE_PORT) as server:
            assert 400 == (await asked(http, server, "/infill", {"input_prefix": "x"}))[0]


async def test_a_models_name_may_hold_slashes(http: aiohttp.ClientSession) -> None:
    catalog = {"vendor/x": {"urls": ["http://127.0.0.1:9"], "display_name": "X"}}
    async with served({}, server=ONE_PORT, models={"folder": "/nonexistent", "catalog": catalog}) as server:
        for name in ("vendor/x", "vendor%2Fx"):
            async with http.get(f"{server.url}/v1/models/{name}") as answer:
                shown = await answer.json()
                assert ("vendor/x", "X", "llm") == (shown["id"], shown["name"], shown["kind"])
        async with http.get(f"{server.url}/v1/models/vendor/y") as answer:
            assert 404 == answer.status


# ── failures ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_server_that_is_not_there_is_a_bad_gateway(http: aiohttp.ClientSession, unused_tcp_port: int) -> None:
    async with served({"tiny": f"http://127.0.0.1:{unused_tcp_port}"}, server=ONE_PORT) as server:
        status, body = await asked(http, server, "/v1/chat/completions", STREAM)

        assert (502, "server_error") == (status, json.loads(body)["error"]["type"])


@pytest.mark.parametrize("cut", [[b""], streamed(is_complete=False), [plain(b"{}" * 50)[:-10]]])
@pytest.mark.parametrize("request_", [CHAT, STREAM])
async def test_before_the_first_word_another_attempt_is_made(
    http: aiohttp.ClientSession, cut: list[bytes], request_: dict[str, Any]
) -> None:
    async with (
        raw_upstream(cut, [plain(b'{"said": 1}')]) as upstream,
        served({"tiny": upstream.url}, server=ONE_PORT) as server,
    ):
        assert (200, b'{"said": 1}') == await asked(http, server, "/v1/chat/completions", request_)
        assert 2 == len(upstream.asked)


async def test_one_more_attempt_is_enough(http: aiohttp.ClientSession) -> None:
    async with raw_upstream([b""]) as upstream, served({"tiny": upstream.url}, server=ONE_PORT) as server:
        assert 502 == (await asked(http, server, "/v1/chat/completions", CHAT))[0]
        assert 2 == len(upstream.asked)


@pytest.mark.parametrize(("path", "name"), [("/v1/chat/completions", b""), ("/v1/messages", b"event: error\n")])
async def test_a_stream_that_breaks_off_ends_with_an_error(http: aiohttp.ClientSession, path: str, name: bytes) -> None:
    async with (
        raw_upstream(streamed(EVENTS[0], is_complete=False)) as upstream,
        served({"tiny": upstream.url}, server=ONE_PORT) as server,
    ):
        status, body = await asked(http, server, path, STREAM)
        said, _, end = body.partition(b"\n\n\n\n")

        assert (200, EVENTS[0].strip()) == (status, said)
        assert end.startswith(name + b"data: {")
        assert end.endswith(b"}\n\n")
        assert "broke off" in message_of(end.removeprefix(name).removeprefix(b"data: "))
        assert 1 == len(upstream.asked)


# ── waiting and leaving ──────────────────────────────────────────────────────────────────────────────


async def test_who_waits_for_a_stream_hears_comments(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "FIRST_S", 0.0)
    monkeypatch.setattr(waiting, "EVERY_S", 0.01)
    async with raw_upstream([HANG]) as upstream, served({"tiny": upstream.url}, server=ONE_PORT) as server:
        async with http.post(f"{server.url}/v1/chat/completions", json=STREAM) as answer:
            assert waiting.COMMENT * 2 == await answer.content.readexactly(2 * len(waiting.COMMENT))
        async with asyncio.timeout(10):
            await upstream.cancelled.wait()


@pytest.mark.parametrize(
    ("answer", "end"),
    [
        (streamed(*EVENTS), b"".join(EVENTS)),
        (
            [plain(b'{"error":\n{"message": "no"}}', status="400 Bad Request")],
            b'data: {"error": {"message": "no"}}\n\n',
        ),
    ],
)
async def test_the_answer_follows_the_comments(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch, answer: list[bytes], end: bytes
) -> None:
    """Scenario: comments have begun, so the status is sent; then the server answers, or refuses."""
    monkeypatch.setattr(waiting, "FIRST_S", 0.0)
    go_on = asyncio.Event()
    async with raw_upstream(answer) as upstream, served({"tiny": upstream.url}, server=ONE_PORT) as server:
        real_lease = server.fleet.lease

        def late(*args: Any, **options: Any) -> Any:
            return After(go_on, real_lease(*args, **options))

        monkeypatch.setattr(type(server.fleet), "lease", lambda _, *args, **options: late(*args, **options))
        async with http.post(f"{server.url}/v1/chat/completions", json=STREAM) as found:
            assert waiting.COMMENT == await found.content.readexactly(len(waiting.COMMENT))
            go_on.set()
            assert end == await found.read()


class After:
    """A lease that comes when *event* does."""

    def __init__(self, event: asyncio.Event, lease: Any) -> None:
        self._event, self._lease = event, lease

    async def __aenter__(self) -> Any:
        await self._event.wait()
        return await self._lease.__aenter__()

    async def __aexit__(self, *failure: Any) -> Any:
        return await self._lease.__aexit__(*failure)


@pytest.mark.parametrize("request_", [CHAT, STREAM])
@pytest.mark.parametrize("answer", [[HANG], [streamed()[0], HANG], streamed(EVENTS[0], HANG, is_complete=False)])
async def test_who_leaves_is_not_worked_for(request_: dict[str, Any], answer: list[bytes]) -> None:
    """Before the status, before the first word, and in the middle; streaming or not."""
    async with raw_upstream(answer) as upstream, served({"tiny": upstream.url}, server=ONE_PORT) as server:
        async with aiohttp.ClientSession() as http:
            asking = asyncio.create_task(asked(http, server, "/v1/chat/completions", request_))
            async with asyncio.timeout(10):
                await upstream.begun.wait()
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
                await upstream.cancelled.wait()


@pytest.mark.parametrize("request_", [CHAT, STREAM])
async def test_who_leaves_the_queue_is_not_waited_for(
    request_: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Scenario: the model is not there yet; whoever leaves is nobody that it would be loaded for."""
    has_left, is_waiting = asyncio.Event(), asyncio.Event()

    class Never:
        async def __aenter__(self) -> None:
            is_waiting.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                has_left.set()
                raise

        async def __aexit__(self, *failure: object) -> None:
            raise AssertionError("it was never entered")

    async with served({"tiny": "http://127.0.0.1:9"}, server=ONE_PORT) as server:
        monkeypatch.setattr(type(server.fleet), "lease", lambda *args, **options: Never())
        async with aiohttp.ClientSession() as http, asyncio.timeout(10):
            asking = asyncio.create_task(asked(http, server, "/v1/chat/completions", request_))
            await is_waiting.wait()
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            await has_left.wait()
