"""Which server the assistant asks, by its configuration: whatever runs elsewhere starts nothing here."""

from pathlib import Path
from typing import Any

import pytest

from heisenberg.core.config import Config, PresetConfig
from heisenberg.core.stages import Answer
from heisenberg.models import Runner, assistants_models
from tests.fakes.llama_server import FakeLlamaServer
from tests.fakes.ollama_server import FakeOllama

ELSEWHERE = [("ollama", FakeOllama, "/api/chat"), ("openai", FakeLlamaServer, "/v1/chat/completions")]


def config(folder: Path, **llm: Any) -> Config:
    return Config.model_validate({"llm": {"model": "tiny", **llm}, "models": {"folder": str(folder)}})


@pytest.mark.parametrize(("backend", "fake", "path"), ELSEWHERE)
async def test_brain_and_analyst_ask_the_server_that_is_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str, fake: type[FakeOllama | FakeLlamaServer], path: str
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    async with fake() as server:
        server.enqueue('{"mood": "dark", "reply": "It is dark."}')
        async with Runner(config(tmp_path, backend=backend, url=server.url, api_key="secret")) as runner:
            brain, analyst = runner.brain(), runner.analyst()
            spoken = [thought async for thought in brain.think("How is the sea?", ())]
            seen = [found async for found in analyst.analyse("The sea is dark.", PresetConfig())]
            await brain.close()
            await analyst.close()

    assert Answer("It is dark.", {"mood": "dark"}, 1) == spoken[-1]
    assert Answer("", {"mood": "dark"}, 1) == seen[-1]
    assert [(path, "Bearer secret", "tiny")] * 2 == [
        (asked["path"], asked["authorization"], asked["model"]) for asked in server.requests
    ]


async def test_without_a_url_ollama_is_where_its_own_programs_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    async with FakeOllama() as server:
        server.enqueue('{"reply": "It is dark."}')
        monkeypatch.setenv("OLLAMA_HOST", server.url.removeprefix("http://"))
        async with Runner(config(tmp_path, backend="ollama")) as runner:
            brain = runner.brain()
            await brain.warm_up()
            await brain.close()

    assert 1 == len(server.loads) == len(server.requests)


@pytest.mark.parametrize(
    ("llm", "is_here"),
    [
        ({}, True),
        ({"url": "http://127.0.0.1:8080"}, False),
        ({"backend": "openai", "url": "http://127.0.0.1:8080"}, False),
        ({"backend": "ollama"}, False),
    ],
)
def test_only_a_model_without_a_server_is_started_here(tmp_path: Path, llm: dict[str, str], is_here: bool) -> None:
    assert is_here == ("tiny" in assistants_models(config(tmp_path, **llm)))
