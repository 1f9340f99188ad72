"""What clients do with a connection beside asking one question at a time."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from tests.fakes.llama_server import STALL, FakeLlamaServer
from tests.integration.server.wire import PATIENCE_S, head, wired
from tests.served import Served, served

CHAT = json.dumps({"model": "tiny", "messages": [{"role": "user", "content": "hello"}], "stream": False}).encode()
OFFER = ("Content-Type: application/json", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAM")


@pytest.fixture
async def fake() -> AsyncIterator[FakeLlamaServer]:
    async with FakeLlamaServer() as running:
        yield running


@pytest.fixture
async def server(fake: FakeLlamaServer) -> AsyncIterator[Served]:
    async with served({"tiny": fake.url}) as running:
        yield running


@pytest.mark.parametrize("cut_at", [0, 30, -20, -len(CHAT), None])
async def test_a_client_that_offers_http_2_is_answered_in_http_1(
    fake: FakeLlamaServer, server: Served, cut_at: int | None
) -> None:
    """Java's HttpClient, and so LangChain4j and Spring, does so with each request, its body included."""
    fake.enqueue("Good", " day")
    said = head("POST", "/api/chat", *OFFER, body=CHAT)
    async with wired(server.url) as wire:
        for _ in range(2):
            await wire.say(said[:cut_at])
            if cut_at is not None:
                await asyncio.sleep(0.05)
                await wire.say(said[cut_at:])
            answer = await wire.hear()

            assert answer is not None
            assert (200, "Good day") == (answer.status, json.loads(answer.body)["message"]["content"])


async def test_one_that_asks_on_without_end_is_not_listened_to(fake: FakeLlamaServer, server: Served) -> None:
    """What it asked in time is answered; then the connection ends."""
    fake.enqueue("Good")
    async with wired(server.url) as wire:
        await wire.say(head("POST", "/api/chat", body=CHAT) * 2)
        await wire.say(head("GET", "/health", f"X-Long: {'x' * 60_000}") * 10)
        answers = []
        while (answer := await wire.hear()) is not None:
            answers.append(answer)

    assert [200, 200] == [answer.status for answer in answers[:2]]
    assert "close" == answers[-1].headers["connection"]
    assert len(answers) < 12


@pytest.mark.parametrize("more", [head("GET", "/health"), b"GET /he", head("POST", "/api/chat", body=CHAT)])
async def test_one_that_asked_on_and_leaves_stops_its_generation(
    fake: FakeLlamaServer, server: Served, more: bytes
) -> None:
    fake.enqueue(STALL)
    async with wired(server.url) as wire:
        await wire.say(head("POST", "/api/chat", body=CHAT))
        await fake.asked.wait()
        await wire.say(more)
        await asyncio.sleep(0.05)
    async with asyncio.timeout(PATIENCE_S):
        await fake.cancelled.wait()
