"""Downloading models by LM Studio's REST API, from a hub that runs here."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.integration.test_models_pull import Site
from tests.served import Served

LINK = "https://huggingface.co/someone/a-GGUF"
DOWNLOAD = "/api/v1/models/download"
WAIT_S = 20.0


@pytest.fixture
async def http(pulling_server: Served) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(pulling_server.url) as session:
        yield session


async def begin(http: aiohttp.ClientSession, **request: Any) -> dict[str, Any]:
    async with http.post(DOWNLOAD, json=request) as response:
        found: dict[str, Any] = await response.json()
        return found


async def ended(http: aiohttp.ClientSession, identity: str) -> dict[str, Any]:
    """The job, once it is not under way any more."""
    async with asyncio.timeout(WAIT_S):
        while True:
            async with http.get(f"{DOWNLOAD}/status/{identity}") as response:
                found: dict[str, Any] = await response.json()
            if found["status"] != "downloading":
                return found


async def test_a_model_is_downloaded_and_then_there(http: aiohttp.ClientSession, weights: bytes) -> None:
    job = await begin(http, model=LINK)
    last = await ended(http, job["job_id"])

    assert ("downloading", len(weights)) == (job["status"], job["total_size_bytes"])
    assert ("completed", len(weights)) == (last["status"], last["downloaded_bytes"])
    assert last["completed_at"] >= last["started_at"]
    async with http.get("/api/v1/models") as response:
        assert ["a"] == [model["key"] for model in (await response.json())["models"]]
    assert {"status": "already_downloaded"} == await begin(http, model="someone/a-GGUF")


async def test_it_goes_on_without_its_client_and_is_one_job(
    http: aiohttp.ClientSession,
    hub: Site,
) -> None:
    hub.stalls = True
    first, second = [await begin(http, model=LINK) for _ in range(2)]
    async with http.get(f"{DOWNLOAD}/status") as response:
        running = (await response.json())["downloading"]
    hub.stalls = False
    hub.released.set()

    assert first["job_id"] == second["job_id"] == running[0]["job_id"]
    assert "completed" == (await ended(http, first["job_id"]))["status"]


async def test_why_a_download_failed_is_told(
    http: aiohttp.ClientSession,
    hub: Site,
) -> None:
    hub.files = {path: body for path, body in hub.files.items() if len(body) < 10_000}  # the list, but no weights

    job = await begin(http, model=LINK)
    last = await ended(http, job["job_id"])

    assert ("failed", True) == (last["status"], "could not be fetched" in last["error"])


async def test_a_quantisation_that_is_not_there_is_refused(http: aiohttp.ClientSession) -> None:
    async with http.post(DOWNLOAD, json={"model": LINK, "quantization": "Q9_9"}) as response:
        assert 400 <= response.status < 500
        assert "Q9_9" in (await response.json())["error"]["message"]
