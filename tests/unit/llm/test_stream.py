"""The client against a server on loopback: every manner it may have, every way it may fail."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import aiohttp
import pytest

from heisenberg.core.errors import BrainError
from heisenberg.llm.deltas import Delta, Limits, Refused, Stalled, Unreachable
from heisenberg.llm.stream import address, stream
from tests.fakes.llama_server import COMMENT, DROP, STALL, Fail, FakeLlamaServer

PATIENT = Limits(first_s=10, next_s=10, total_s=20)


@pytest.fixture
async def server() -> AsyncIterator[FakeLlamaServer]:
    async with FakeLlamaServer() as running:
        yield running


async def read(
    server: FakeLlamaServer, limits: Limits = PATIENT, path: str = "/v1/chat/completions", **body: Any
) -> list[Delta]:
    async with aiohttp.ClientSession() as http:
        async with aclosing(stream(http, server.url + path, "secret", body, limits)) as deltas:
            return [delta async for delta in deltas]


def texts(deltas: list[Delta]) -> list[str]:
    return [delta.text for delta in deltas if delta.text]


async def test_tokens_arrive_with_the_reason_why_they_end_and_their_number(server: FakeLlamaServer) -> None:
    server.enqueue("Hel", "lo é😀", finish="length")
    deltas = await read(server, stream=True)

    assert [Delta("Hel", "", 0), Delta("lo é😀", "", 0), Delta("", "length", 2)] == deltas
    assert {"stream": True, "path": "/v1/chat/completions", "authorization": "Bearer secret"} == server.requests[0]


@pytest.mark.parametrize(
    "manners",
    [
        {"newline": "\r\n"},
        {"prefix": "data:"},
        {"is_done_sent": False},
        {"chunk_bytes": 1},
        {"chunk_bytes": 7, "newline": "\r\n"},
        {"is_streaming": False},
        {"content_type": "text/plain"},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
async def test_bad_manners_make_no_difference(server: FakeLlamaServer, manners: dict[str, Any], path: str) -> None:
    server.enqueue("Hel", COMMENT if manners.get("is_streaming", True) else "", "lo é😀", **manners)

    assert "Hello é😀" == "".join(texts(await read(server, path=path)))


async def test_an_error_in_the_middle_ends_the_stream_with_the_servers_words(server: FakeLlamaServer) -> None:
    server.enqueue("Hel", Fail("the slot was evicted"))
    with pytest.raises(BrainError, match="the slot was evicted") as caught:
        await read(server)

    assert "upstream-error" == caught.value.code


@pytest.mark.parametrize(
    ("status", "advice"), [(500, "boom"), (401, "llm.api_key"), (404, "llm.url and llm.model"), (503, "boom")]
)
async def test_an_http_error_is_told_with_its_reason_and_advice(
    server: FakeLlamaServer, status: int, advice: str
) -> None:
    server.enqueue(status=status, message="boom")
    with pytest.raises(Refused, match=advice) as caught:
        await read(server)

    assert ("upstream-error", status, "boom") == (caught.value.code, caught.value.status, caught.value.reason)


async def test_a_server_that_is_still_loading_is_waited_for(server: FakeLlamaServer) -> None:
    server.enqueue(status=503, message="Loading model")
    server.enqueue("Hello")

    assert ["Hello"] == texts(await read(server))


async def test_a_server_that_never_finishes_loading_is_given_up(server: FakeLlamaServer) -> None:
    server.enqueue(status=503, message="Loading model")
    with pytest.raises(BrainError) as caught:
        await read(server, Limits(first_s=10, next_s=10, total_s=0.05))

    assert "llm-timeout" == caught.value.code


async def test_a_dropped_connection_is_told(server: FakeLlamaServer) -> None:
    server.enqueue("Hel", DROP)
    with pytest.raises(Unreachable, match="broke off its answer") as caught:
        await read(server)

    assert "llm-failed" == caught.value.code


@pytest.mark.parametrize("url", ["nonsense", "http://", "http://h:99999", "ftp://h"])
async def test_an_address_that_is_none_is_told(url: str) -> None:
    with pytest.raises(Unreachable, match="llm.url"):
        await read(FakeLlamaServer(url=url))


async def test_nobody_listening_is_told() -> None:
    async with FakeLlamaServer() as server:
        pass
    with pytest.raises(Unreachable, match="Is the server running"):
        await read(server)


@pytest.mark.parametrize(
    ("tokens", "limits", "message"),
    [
        ([STALL], Limits(first_s=0.05, next_s=10, total_s=20), "silent for 0.05 s before its first token"),
        (["a", STALL], Limits(first_s=10, next_s=0.05, total_s=20), "silent for 0.05 s before its next token"),
        ([COMMENT, STALL], Limits(first_s=0.05, next_s=10, total_s=20), "first token"),
    ],
)
async def test_silence_is_bounded(server: FakeLlamaServer, tokens: list[str], limits: Limits, message: str) -> None:
    server.enqueue(*tokens)
    with pytest.raises(Stalled, match=message) as caught:
        await read(server, limits)

    assert "llm-timeout" == caught.value.code


async def test_the_whole_answer_is_bounded_and_its_server_not_blamed(server: FakeLlamaServer) -> None:
    server.enqueue("a", STALL)
    with pytest.raises(BrainError, match="longer than 0.2 s") as caught:
        await read(server, Limits(first_s=10, next_s=10, total_s=0.2))

    assert "llm-timeout" == caught.value.code
    assert not isinstance(caught.value, Stalled)


async def test_a_slow_consumer_is_not_the_models_fault(server: FakeLlamaServer) -> None:
    """The consumer takes longer than the whole bound; only waiting for the server counts."""
    server.enqueue(*"abc")
    async with aiohttp.ClientSession() as http:
        limits = Limits(first_s=10, next_s=10, total_s=0.5)
        async with aclosing(stream(http, f"{server.url}/v1/completions", "", {}, limits)) as deltas:
            first = await anext(deltas)
            await asyncio.sleep(0.6)
            rest = [delta async for delta in deltas]

    assert ["a", "b", "c"] == texts([first, *rest])


async def test_closing_the_stream_closes_the_connection_at_once(server: FakeLlamaServer) -> None:
    server.enqueue("a", STALL)
    async with aiohttp.ClientSession() as http:
        deltas = stream(http, f"{server.url}/v1/chat/completions", "", {}, PATIENT)
        await anext(deltas)
        await deltas.aclose()
        async with asyncio.timeout(5):
            await server.cancelled.wait()


async def test_cancelling_before_the_first_token_closes_the_connection(server: FakeLlamaServer) -> None:
    server.enqueue(STALL)
    reading = asyncio.create_task(read(server))
    async with asyncio.timeout(5):
        await server.asked.wait()
    reading.cancel()
    async with asyncio.timeout(5):
        await server.cancelled.wait()
        with pytest.raises(asyncio.CancelledError):
            await reading


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ('data: {"choices":[],"usage":{"completion_tokens":7}}', Delta("", "", 7)),
        ('data: {"choices":[{"delta":{"role":"assistant","content":null},"finish_reason":null}]}', Delta("", "", 0)),
        ('data: {"choices":[{"delta":{"reasoning_content":"hm"}}]}', Delta("", "", 0)),
        ('data: {"choices":[{"delta":{"content":"x"}}],"usage":null}', Delta("x", "", 0)),
    ],
)
async def test_chunks_of_other_servers_are_understood(server: FakeLlamaServer, data: str, expected: Delta) -> None:
    server.enqueue("", prefix=f"{data}\n\n:", finish="")

    assert [expected] * 2 == await read(server)


@pytest.mark.parametrize("data", ["data: oops", "data: [1]", 'data: {"choices":[7]}', 'data: {"choices":7}'])
async def test_what_is_no_completion_is_told(server: FakeLlamaServer, data: str) -> None:
    server.enqueue("", prefix=f"{data}\n\n:")
    with pytest.raises(BrainError, match="OpenAI-compatible"):
        await read(server)


async def test_a_web_page_is_no_stream(server: FakeLlamaServer) -> None:
    server.enqueue("", prefix="<html>", content_type="text/html")
    with pytest.raises(BrainError, match="answered with text/html"):
        await read(server)


@pytest.mark.parametrize("url", ["http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/"])
def test_a_server_may_be_given_with_or_without_its_version(url: str) -> None:
    assert "http://h:1/v1/completions" == address(url, "/v1/completions")
