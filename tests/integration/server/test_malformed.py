"""Thousands of requests that nobody should send: the server answers or hangs up, and keeps nothing of them."""

import asyncio
from collections.abc import Iterator

import psutil
import pytest

from heisenberg.server.app import ROUTES
from heisenberg.server.own import PATHS
from tests.fakes.llama_server import FakeLlamaServer
from tests.integration.server.malformed import malformed
from tests.integration.server.wire import Wire, ask, head, wired
from tests.served import served

COUNT = 10_000
CLIENTS = 16
LEAK_PATIENCE_S = 10.0

ROUTES_AND_MORE = sorted({*(route.path.replace("*", "tiny") for route in ROUTES), *PATHS, "/", "/nothing"})


@pytest.mark.parametrize("seed", [1])
async def test_nothing_that_is_sent_is_a_fault_of_ours(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over connections that are kept as long as the server keeps them. 501 is an honest answer; no other 5xx is."""
    monkeypatch.setattr("heisenberg.server.exchange.SILENCE_S", 0.02)  # some never send the rest
    monkeypatch.setattr("heisenberg.server.connection.HEAD_S", 0.2)
    before = open_files()
    async with FakeLlamaServer() as fake, served({"tiny": fake.url}) as server:
        fake.enqueue("Hello")
        waiting = malformed(seed, COUNT, ROUTES_AND_MORE)
        wrong: list[str] = []
        await asyncio.gather(*(client(server.url, waiting, wrong) for _ in range(CLIENTS)))

        assert [] == wrong[:10]
        assert await ask(server.url, head("GET", "/health"))
        await until_closed(int(server.url.rpartition(":")[2]))
    assert before >= open_files()


async def client(url: str, waiting: Iterator[bytes], wrong: list[str]) -> None:
    """Send what is waiting; what is answered by a fault goes to *wrong*."""
    for first in waiting:
        async with wired(url) as wire:
            raw: bytes | None = first
            while raw is not None and await is_kept(wire, raw, wrong):
                raw = next(waiting, None)


async def is_kept(wire: Wire, raw: bytes, wrong: list[str]) -> bool:
    """Send it and hear the answer; whether the connection may be used once more."""
    try:
        await wire.say(raw)
        reply = await wire.hear(has_body=not raw.startswith(b"HEAD "))
    except ConnectionError:
        return False
    except TimeoutError:
        wrong.append(f"nothing was the answer to {raw[:300]!r}")
        return False
    if reply is None:
        return False
    if reply.status >= 500 and reply.status != 501:
        wrong.append(f"{reply.status} {reply.body[:200]!r} was the answer to {raw[:300]!r}")
    is_one = raw.count(b" HTTP/1.1\r\n") == 1 and "transfer-encoding" not in reply.headers
    return is_one and reply.headers.get("connection") != "close"


def open_files() -> int:
    """Descriptors of this process; handles, on Windows."""
    process = psutil.Process()
    return int(process.num_fds() if hasattr(process, "num_fds") else process.num_handles())


async def until_closed(port: int) -> None:
    """Wait until nobody is connected to *port*; what we keep open towards models does not count."""
    process = psutil.Process()
    async with asyncio.timeout(LEAK_PATIENCE_S):
        while any(  # noqa: ASYNC110 - nobody tells of a connection's end
            found.laddr.port == port and found.status != psutil.CONN_LISTEN for found in process.net_connections("tcp")
        ):
            await asyncio.sleep(0.05)
