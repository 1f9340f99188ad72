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
from heisenberg.server.sockets import Listening, open_ports


@dataclass(frozen=True, slots=True)
class Served:
    """A running server."""

    url: str
    """Of the first port."""
    ollama_url: str
    """Of the second one, that in Ollama's place."""
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
    """The server on free ports; *sections* are tables of the configuration (``server.ollama_port = 0`` is one port)."""
    config = server_config(folder, remote, sections)
    has_second = sections.get("server", {}).get("ollama_port") != 0
    async with (
        Runner(config, serves=True, assists=False) as runner,
        serving(config, runner.fleet, free_ports(config, has_second=has_second), speech=runner) as addresses,
    ):
        yield Served(addresses[0], addresses[-1], runner.fleet)


def free_ports(config: Config, *, has_second: bool = True) -> Listening:
    """Ours and that in Ollama's place, wherever there is room."""
    any_port = config.server.model_copy(update={"port": 0, "ollama_port": 0})
    opened = [open_ports(any_port) for _ in range(2 if has_second else 1)]
    return Listening(tuple(bound for one in opened for bound in one.sockets))
