"""Pulling and deleting models by Ollama's client, from a hub that runs here."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from threading import Event

import ollama
import pytest

from heisenberg.runner.catalog.progress import Abandoned
from heisenberg.server.dialects.ollama.pull import Telling
from tests.integration.test_models_pull import Site
from tests.served import Served

NAME = "hf.co/someone/a-GGUF"
WAIT_S = 20.0


@pytest.fixture
async def client(pulling_server: Served) -> AsyncIterator[ollama.AsyncClient]:
    async with ollama.AsyncClient(pulling_server.url) as client:
        yield client


async def test_a_pull_tells_how_far_it_is(client: ollama.AsyncClient, weights: bytes) -> None:
    first, *others, last = [part async for part in await client.pull(NAME, stream=True)]

    assert ("pulling manifest", "success") == (first.status, last.status)
    bars = [part for part in others if part.digest]
    assert {len(weights)} == {bar.total for bar in bars}
    assert len(weights) == bars[-1].completed
    assert ["a:latest"] == [model.model for model in (await client.list()).models]


async def test_a_pull_in_one_piece_and_a_second_one(client: ollama.AsyncClient, hub: Site) -> None:
    assert "success" == (await client.pull(NAME)).status
    asked = len(hub.ranges())

    assert "success" == (await client.pull(NAME)).status
    assert asked == len(hub.ranges())


async def test_a_pulled_model_can_be_deleted(client: ollama.AsyncClient, tmp_path: Path) -> None:
    await client.pull(NAME)

    await client.delete("a:latest")

    assert [] == (await client.list()).models
    assert not (tmp_path / "models" / "a").exists()


async def test_a_damaged_model_can_be_deleted(client: ollama.AsyncClient, tmp_path: Path) -> None:
    """Nobody can use it, so that it is not listed."""
    (tmp_path / "models").mkdir(exist_ok=True)
    (tmp_path / "models" / "bad.gguf").write_bytes(b"no model")
    with pytest.raises(ollama.ResponseError, match="'bad' cannot be used"):
        await client.show("bad")

    await client.delete("bad")

    assert not (tmp_path / "models" / "bad.gguf").exists()


async def test_a_pull_that_fails_says_so_in_the_last_line(
    client: ollama.AsyncClient,
    hub: Site,
) -> None:
    hub.status = 503

    with pytest.raises(ollama.ResponseError, match="could not be looked up"):
        _ = [part async for part in await client.pull(NAME, stream=True)]
    with pytest.raises(ollama.ResponseError, match="could not be looked up"):
        await client.pull(NAME)


async def test_a_client_that_leaves_ends_the_pull(pulling_server: Served, hub: Site) -> None:
    """What has come is kept, and whoever asks next gets the rest."""
    hub.stalls = True
    async with ollama.AsyncClient(pulling_server.url) as leaving:
        async for part in await leaving.pull(NAME, stream=True):
            if part.digest:
                break
    hub.stalls = False
    hub.released.set()

    async with asyncio.timeout(WAIT_S), ollama.AsyncClient(pulling_server.url) as client:
        while True:
            try:
                status = (await client.pull(NAME)).status
                break
            except ollama.ResponseError as exc:
                assert "is being pulled by another process" in exc.error  # noqa: PT017 - until it has ended

    assert "success" == status


def test_a_pull_that_nobody_waits_for_is_ended_at_its_next_word() -> None:
    abandoned = Event()
    progress = Telling(lambda line: None, abandoned)
    progress.start("a.gguf", 100)
    progress.reach(50)
    abandoned.set()

    for word in (lambda: progress.reach(60), lambda: progress.note("x"), progress.done, lambda: progress.start("b", 0)):
        with pytest.raises(Abandoned):
            word()
