"""The whole server on real loopback ports, with its models on a scripted llama-server.

async with served({"tiny": fake.url}) as server:
    answer = await openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none").chat.completions.create(...)
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heisenberg.core.config import Config
from heisenberg.models import Runner
from heisenberg.runner.fleet import Fleet
from heisenberg.server.serving import serving


@dataclass(frozen=True, slots=True)
class Served:
    """A running server."""

    url: str
    """Of the first port."""
    ollama_url: str
    """Of the second one."""
    fleet: Fleet


def server_config(folder: Path, remote: Mapping[str, str], sections: Mapping[str, Mapping[str, Any]]) -> Config:
    """A configuration with free ports, an own models folder, and a language model at each URL of *remote*.

    Args:
        folder: where models are looked for.
        remote: model name → URL of the server that has it.
        sections: more of the configuration, by table; keys are merged.
    """
    models = {"folder": str(folder), "catalog": {name: {"urls": [url]} for name, url in remote.items()}}
    tables: dict[str, dict[str, Any]] = {"models": models, "server": {"port": 0}}
    for name, keys in sections.items():
        tables[name] = {**tables.get(name, {}), **keys}
    return Config.model_validate(tables)


@asynccontextmanager
async def served(
    remote: Mapping[str, str], folder: Path = Path("/nonexistent"), **sections: Mapping[str, Any]
) -> AsyncIterator[Served]:
    """The server; *sections* are tables of the configuration."""
    config = server_config(folder, remote, sections)
    async with Runner(config) as runner, serving(config, runner.fleet) as addresses:
        yield Served(addresses[0], addresses[-1], runner.fleet)
