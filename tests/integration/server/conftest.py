"""For tests that fetch models: a hub that runs here, and a server that pulls from it. No other one takes part."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.gguf_writer import Tensor, write_gguf
from tests.integration.test_models_pull import (  # noqa: F401 - fixtures
    Site,
    _only_these_servers,
    hub,
    hub_repo,
    new_site,
)
from tests.served import Served, served


@pytest.fixture
def weights(tmp_path: Path) -> bytes:
    """A model that can be read, of a megabyte."""
    fields: dict[str, object] = {"general.architecture": "llama", "llama.context_length": 4096}
    return write_gguf(tmp_path / "weights.gguf", fields, [Tensor(shape=(512, 512))]).read_bytes()


@pytest.fixture
async def pulling_server(hub: Site, weights: bytes, tmp_path: Path) -> AsyncIterator[Served]:  # noqa: F811
    """Without models, on one port; the hub has ``someone/a-GGUF``."""
    hub_repo(hub, "someone/a-GGUF", {"a.gguf": weights})
    settings = {"source_timeout_seconds": 1.0, "folder": str(tmp_path / "models")}
    async with served({}, server={"port": 0, "ollama_port": 0}, models=settings) as running:
        yield running
