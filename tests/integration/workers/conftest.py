"""Tiny recognisers, made once, and the worker around them in a process of its own."""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from wyoming.client import AsyncClient
from wyoming.info import Describe, Info

from tests import tiny_moshi

START_S = 120.0

StartMoshi = Callable[..., AbstractAsyncContextManager[str]]
"""Called with a folder and more arguments; gives the URI."""


@pytest.fixture(scope="session")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recogniser that hears tone words."""
    return tiny_moshi.trained_tones(tmp_path_factory)


@pytest.fixture(scope="session")
def nonsense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recogniser with random weights."""
    if tiny_moshi.WITHOUT_MOSHI:
        pytest.skip("needs: make moshi")
    return tiny_moshi.build_random(tmp_path_factory.mktemp("random"))


@pytest.fixture
def start_moshi() -> StartMoshi:
    @asynccontextmanager
    async def start(model: Path, *arguments: str) -> AsyncIterator[str]:
        with tempfile.TemporaryDirectory(prefix="h-") as folder:
            uri = f"unix://{folder}/moshi"
            options = ("--model", str(model), "--uri", uri, "--threads", "1", "--device", "cpu", *arguments)
            worker = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "heisenberg.workers.moshi", *options, stdin=asyncio.subprocess.PIPE
            )
            try:
                async with asyncio.timeout(START_S):
                    await _ready(uri, worker)
                yield uri
            finally:
                if worker.returncode is None:
                    worker.kill()
                await worker.wait()

    return start


async def _ready(uri: str, worker: asyncio.subprocess.Process) -> None:
    while True:
        assert worker.returncode is None, "the worker ended"
        try:
            async with AsyncClient.from_uri(uri) as client:
                await client.write_event(Describe().event())
                event = await client.read_event()
                assert event is not None
                assert "moshi" == Info.from_event(event).asr[0].name
                return
        except OSError:
            await asyncio.sleep(0.1)
