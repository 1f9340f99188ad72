"""A model's server that gives no answer: in every dialect it is asked once more, or another one is."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from heisenberg.server import upstream as asking
from tests.fakes.raw_upstream import HANG, RawUpstream, plain, raw_upstream, streamed
from tests.served import Served, served

HELLO = [{"role": "user", "content": "Hello"}]
CHUNKS = (
    b'data: {"choices":[{"index":0,"delta":{"content":"Good day"},"finish_reason":null}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
    b"data: [DONE]\n\n",
)
WHOLE = json.dumps({
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Good day"}, "finish_reason": "stop"}],
}).encode()  # fmt: skip
STREAMS = [
    ("/v1/chat/completions", {"messages": HELLO, "stream": True}),
    ("/api/v0/chat/completions", {"messages": HELLO, "stream": True}),
    ("/api/v1/chat", {"input": "Hello", "stream": True}),
    ("/api/chat", {"messages": HELLO}),
]
FOLDED = [("/api/v1/chat", {"input": "Hello"}), ("/api/chat", {"messages": HELLO, "stream": False})]
"""Answers in one piece that are a stream between us and the model's server."""
WHOLES = [(path, {"messages": HELLO}) for path in ("/v1/chat/completions", "/api/v0/chat/completions")]

EVERY = [
    *((path, body, streamed(*CHUNKS)) for path, body in (*STREAMS, *FOLDED)),
    *((path, body, [plain(WHOLE)]) for path, body in WHOLES),
]
every_dialect = pytest.mark.parametrize(("path", "body", "good"), EVERY)
FAILURES = {
    "cut": [b""],
    "cut-after-head": streamed(is_complete=False),
    "over-at-once": streamed(),
    "500": [plain(b'{"error": {"message": "out of memory"}}', status="500 Internal Server Error")],
    "503": [plain(b"<html>", status="503 Service Unavailable", kind="text/html")],
}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(20)) as session:
        yield session


async def ask(http: aiohttp.ClientSession, server: Served, path: str, body: dict[str, Any]) -> tuple[int, str]:
    async with http.post(server.url + path, json={"model": "tiny", **body}) as answer:
        return answer.status, await answer.text()


def serve(*upstreams: RawUpstream, **sections: Any) -> Any:
    """One model, which all of *upstreams* have."""
    models = {"catalog": {"tiny": {"urls": [upstream.url for upstream in upstreams]}}}
    return served({}, models={"folder": "/nonexistent", **models}, server={"port": 0, "ollama_port": 0}, **sections)


@every_dialect
async def test_one_whose_connection_breaks_is_asked_once_more(
    http: aiohttp.ClientSession, path: str, body: dict[str, Any], good: list[bytes]
) -> None:
    async with raw_upstream([b""], good) as upstream, serve(upstream) as server:
        status, said = await ask(http, server, path, body)

        assert (200, 2) == (status, len(upstream.asked))
        assert "Good day" in said
        assert "error" not in said


@every_dialect
@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
async def test_another_server_answers_for_one_that_fails(
    http: aiohttp.ClientSession, path: str, body: dict[str, Any], good: list[bytes], failure: list[bytes]
) -> None:
    """It is not asked again at once, though it accepts connections."""
    async with raw_upstream(failure) as bad, raw_upstream(good) as other, serve(bad, other) as server:
        answers = [await ask(http, server, path, body) for _ in range(3)]

        assert [200] * 3 == [status for status, _ in answers]
        assert all("Good day" in said for _, said in answers)
        assert (1, 3) == (len(bad.asked), len(other.asked))


@every_dialect
async def test_another_server_answers_for_one_that_says_nothing(
    http: aiohttp.ClientSession,
    path: str,
    body: dict[str, Any],
    good: list[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for bound in ("STREAM_SILENCE_S", "WHOLE_SILENCE_S"):
        monkeypatch.setattr(asking, bound, 0.2)
    async with raw_upstream([HANG]) as silent, raw_upstream(good) as other, serve(silent, other) as server:
        status, said = await ask(http, server, path, body)

        assert 200 == status
        assert "Good day" in said
        assert silent.cancelled.is_set(), "it works on, for nobody"


async def test_what_the_only_server_answers_is_told(http: aiohttp.ClientSession) -> None:
    async with raw_upstream(FAILURES["500"]) as upstream, serve(upstream) as server:
        status, said = await ask(http, server, "/v1/chat/completions", {"messages": HELLO})

        assert (500, 1) == (status, len(upstream.asked))
        assert "out of memory" in said


async def test_where_all_fail_the_last_ones_words_are_told(http: aiohttp.ClientSession) -> None:
    failure = FAILURES["500"]
    async with raw_upstream(failure) as one, raw_upstream(failure) as other, serve(one, other) as server:
        status, said = await ask(http, server, "/api/chat", {"messages": HELLO})

        assert 500 == status
        assert "out of memory" in said


async def test_a_chat_is_told_once_though_two_servers_were_asked(http: aiohttp.ClientSession) -> None:
    async with raw_upstream([b""], streamed(*CHUNKS)) as upstream, serve(upstream) as server:
        _, said = await ask(http, server, "/api/v1/chat", {"input": "Hello", "stream": True})
        names = [line.removeprefix("event: ") for line in said.splitlines() if line.startswith("event: ")]

        assert names == [
            "chat.start", "prompt_processing.start", "prompt_processing.progress", "prompt_processing.progress",
            "prompt_processing.end", "message.start", "message.delta", "message.end", "chat.end",
        ]  # fmt: skip


@pytest.mark.parametrize(("path", "body"), [STREAMS[2], STREAMS[3]])
async def test_an_error_within_a_stream_names_no_folders(
    http: aiohttp.ClientSession, path: str, body: dict[str, Any]
) -> None:
    broken = b'data: {"error": {"message": "cannot open /home/me/models/tiny.gguf"}}\n\n'
    async with raw_upstream(streamed(CHUNKS[0], broken)) as upstream, serve(upstream) as server:
        _, said = await ask(http, server, path, body)

        assert "cannot open tiny.gguf" in said
        assert "/home/me" not in said
