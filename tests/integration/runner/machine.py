"""A fleet whose language models all run on ``tests/fakes/bad_llama_server.py``, each with habits of its own."""

import asyncio
import contextlib
import json
import shlex
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp

from heisenberg.core.config import Config
from heisenberg.runner.catalog.entry import Model
from heisenberg.runner.catalog.index import Catalog
from heisenberg.runner.catalog.store import Store
from heisenberg.runner.fleet import Fleet, ModelLease
from heisenberg.runner.pool import Pool
from heisenberg.runner.supervisor.sweep import Ledger
from tests.fakes.children import group, until

PROGRAM = Path(__file__).parents[2] / "fakes" / "bad_llama_server.py"
DEADLINE_S = 20.0


class Machine:
    """The fleet, and what the tests need besides."""

    def __init__(self, folder: Path, runner: dict[str, Any], **fleet: Any) -> None:
        self._folder = folder
        program = folder / "llama-server"
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -I -S {shlex.quote(str(PROGRAM))} "$@"\n')
        program.chmod(0o755)
        runtimes = {"runtime": "bad", "runtimes": {"bad": {"path": str(program)}}}
        bounds = {"stop_grace_seconds": 0.3, "start_timeout_seconds": 10.0}
        config = Config.model_validate(
            {"runner": bounds | runtimes | runner, "models": {"folder": str(folder / "models")}}
        )
        self.pool = Pool(config.runner, Ledger(folder / "children"), lambda *told: None)
        catalog = Catalog(config, Store(config.models.folder))
        self.fleet = Fleet(config, catalog, self.pool, folder, **{"serves": True, **fleet})

    def model(self, name: str, *habits: str, **properties: Any) -> Model:
        """A model whose server has *habits*."""
        file = self._folder / f"{name}.gguf"
        file.write_text("\n".join(habits))
        return replace(Model(name, "llm", files=(file,)), **properties)

    def starts(self, model: Model) -> list[int]:
        """Process ids of the servers that were started for *model*."""
        note = self._folder / f"{model.name}.gguf.starts"
        return [int(line) for line in note.read_text().split()] if note.exists() else []

    @property
    def states(self) -> dict[str, str]:
        """What is in memory, and how."""
        return {loaded.model.name: loaded.state for loaded in self.fleet.loaded()}

    async def close(self) -> None:
        """End everything; afterwards no process is left."""
        leaders = [lane.keeper.process.pid for lane in self.pool._lanes.values() if lane.keeper.process]
        await self.fleet.close()
        await self.pool.close()
        await until(lambda: not [pid for leader in leaders for pid in group(leader)])


@asynccontextmanager
async def machine(runner: dict[str, Any] | None = None, **fleet: Any) -> AsyncIterator[Machine]:
    """A machine that is switched off in bounded time."""
    folder = Path(tempfile.mkdtemp(prefix="h-"))
    made = Machine(folder, runner or {}, **fleet)
    try:
        async with asyncio.timeout(60):
            yield made
    finally:
        async with asyncio.timeout(DEADLINE_S):
            await made.close()
        shutil.rmtree(folder)


async def ask(lease: ModelLease, path: str = "/v1/chat/completions", **request: Any) -> dict[str, Any]:
    """What the server behind *lease* answers."""
    headers = {"Authorization": f"Bearer {lease.api_key}"}
    async with aiohttp.ClientSession(headers=headers) as http, http.post(lease.url + path, json=request) as answer:
        return dict(await answer.json())


async def ask_to(lease: ModelLease, path: str) -> None:
    """Make the server behind *lease* do something from which no answer comes back."""
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        async with asyncio.timeout(0.5):
            await ask(lease, path)


async def stream(lease: ModelLease) -> AsyncIterator[str]:
    """The words that the server behind *lease* streams. Raises aiohttp.ClientError if it breaks off."""
    headers = {"Authorization": f"Bearer {lease.api_key}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        async with http.post(lease.url + "/v1/chat/completions", json={"stream": True}) as answer:
            async for line in answer.content:
                if line.startswith(b"data: {"):
                    yield str(json.loads(line[6:])["choices"][0]["delta"]["content"])


async def listen(lease: ModelLease, heard: list[str]) -> None:
    """Append what the server behind *lease* streams to *heard*."""
    async for word in stream(lease):
        heard.append(word)
