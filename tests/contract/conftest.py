"""Real workers for the contract suites, started once for each file of tests."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import openai
import platformdirs
import pytest

from heisenberg.core.config import RunnerConfig
from heisenberg.runner import engines
from heisenberg.runner.engines import NewSpec
from heisenberg.runner.lanes import Lane
from heisenberg.runner.pool import Pool
from heisenberg.runner.supervisor.process import Address
from heisenberg.runner.supervisor.sweep import Ledger
from tests import tiny_moshi
from tests.fakes.stages import FakeService

START_S = 120.0

StartWorker = Callable[[Callable[[Path], NewSpec]], FakeService]
PooledLane = Callable[[Callable[[Path], NewSpec]], AbstractAsyncContextManager[Lane]]


@pytest.fixture(scope="session")
def models() -> Path:
    """The models folder, with the starter kit in it."""
    configured = os.environ.get("HEISENBERG_MODELS__FOLDER")
    folder = (
        Path(configured) if configured else Path(platformdirs.user_data_dir("heisenberg", appauthor=False)) / "models"
    )
    if not (folder / "whisper-tiny.en").is_dir():
        pytest.skip("needs the starter kit: heisenberg models pull starter")
    return folder


@pytest.fixture(scope="session")
def tone_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recogniser of Kyutai's kind that hears tone words; made by the first test that asks, in 40 s of one core."""
    return tiny_moshi.trained_tones(tmp_path_factory)


@pytest.fixture(scope="module")
def start_worker() -> Iterator[StartWorker]:
    """Starts a worker that serves all tests of the file, without a supervisor: nothing here may need one."""
    folder = Path(tempfile.mkdtemp(prefix="h-"))
    started: list[subprocess.Popen[bytes]] = []

    def start(new_spec: Callable[[Path], NewSpec]) -> FakeService:
        spec = new_spec(folder)()
        process = subprocess.Popen(spec.argv, stdin=subprocess.PIPE, env={**os.environ, **spec.env})
        started.append(process)
        asyncio.run(_ready(spec.address, spec.is_ready, process))
        return FakeService(spec.address.url)

    yield start
    for process in started:
        with process:
            process.terminate()
    shutil.rmtree(folder)


async def _ready(address: Address, is_ready: Callable[[Address], object], process: subprocess.Popen[bytes]) -> None:
    async with asyncio.timeout(START_S):
        while not await is_ready(address):  # type: ignore[misc]
            assert process.poll() is None, "the worker ended"
            await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
def model_server(models: Path) -> Iterator[FakeService]:
    """``heisenberg serve`` itself: what engines that use an OpenAI-compatible server are tested against."""
    port = engines.free_port()
    argv = [sys.executable, "-m", "heisenberg", "serve", "--port", str(port), "--ollama-port", "0"]
    with subprocess.Popen(argv, env={**os.environ, "HEISENBERG_MODELS__FOLDER": str(models)}) as process:
        try:
            asyncio.run(_listening(port, process))
            _warm_up(f"http://127.0.0.1:{port}/v1")
            yield FakeService(f"http://127.0.0.1:{port}")
        finally:
            process.terminate()


def _warm_up(url: str) -> None:
    """Its speech models start now, so that no test seems to leave a process behind."""
    with openai.OpenAI(base_url=url, api_key="none") as client:
        said = client.audio.speech.create(model="tts-1", voice="alloy", input="Hello.", response_format="wav")
        client.audio.transcriptions.create(model="whisper-1", language="en", file=("said.wav", said.content))


async def _listening(port: int, process: "subprocess.Popen[bytes]") -> None:
    async with asyncio.timeout(START_S):
        while engines.is_free_port(port):
            assert process.poll() is None, "the server ended"
            await asyncio.sleep(0.05)


@pytest.fixture
def pooled_lane(tmp_path: Path) -> PooledLane:
    """A lane in a pool of its own, for tests that kill the worker."""

    @asynccontextmanager
    async def lane(new_spec: Callable[[Path], NewSpec]) -> AsyncIterator[Lane]:
        with tempfile.TemporaryDirectory(prefix="h-") as folder:
            pool = Pool(RunnerConfig(), Ledger(tmp_path), lambda *told: None)
            try:
                yield pool.lane("worker", new_spec(Path(folder)))
            finally:
                await pool.close()

    return lane
