"""The assistant and the server in one process: they share the processes of their models."""

import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from heisenberg.core.config import CatalogConfig, Config
from heisenberg.core.errors import UpstreamError
from heisenberg.models import Runner, assistants_models
from heisenberg.runner.lanes import Priority
from tests.fakes.gguf_writer import write_gguf
from tests.fakes.llama_server import FakeLlamaServer
from tests.integration.runner.machine import PROGRAM, ask

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="process groups are POSIX")


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> Iterator[Config]:
    """One language model, "talk", which the assistant uses."""
    folder = Path(tempfile.mkdtemp(prefix="h-"))
    monkeypatch.setattr("platformdirs.user_state_path", lambda *args, **options: folder / "state")
    program = folder / "llama-server"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -I -S {shlex.quote(str(PROGRAM))} "$@"\n')
    program.chmod(0o755)
    (folder / "models").mkdir()
    write_gguf(folder / "models" / "talk.gguf", {"general.architecture": "llama"})
    yield Config.model_validate(
        {
            "models": {"folder": str(folder / "models")},
            "llm": {"model": "talk", "server_path": str(program)},
            "stt": {"engine": "wyoming", "url": "tcp://127.0.0.1:1"},
            "tts": {"engine": "none"},
        }
    )
    shutil.rmtree(folder)


async def test_the_assistant_and_clients_use_one_process_for_the_same_model(config: Config) -> None:
    async with Runner(config, serves=True) as runner:
        model = runner.fleet.catalog.find("talk")
        async with runner._llama(Priority.VOICE)() as voice, runner.fleet.lease(model) as client:
            assert voice.url == client.url
            assert (0, 1) == (voice.slot, client.slot)  # type: ignore[attr-defined]
            assert "talk" == (await ask(client))["model"]
        with pytest.raises(UpstreamError, match="the assistant uses it"):
            await runner.fleet.unload(model)


async def test_the_assistant_has_its_place_whatever_clients_call_its_model(config: Config) -> None:
    """Given a catalog in which the model has another name, and a second entry for the same file."""
    models = config.models.model_dump() | {"catalog": {"work": {"path": "talk"}, "chat": {"path": "talk"}}}
    named = Config.model_validate(config.model_dump() | {"models": models})
    async with Runner(named, serves=True) as runner:
        async with (
            runner.fleet.lease(runner.fleet.catalog.find("work")) as client,
            runner._llama(Priority.VOICE)() as voice,
        ):
            assert ("work", voice.url) == (client.model.name, client.url)
            assert (0, 1) == (voice.slot, client.slot)  # type: ignore[attr-defined]


async def test_the_assistants_model_may_have_an_entry_of_its_own(config: Config) -> None:
    """Then it runs with the entry's options, under the entry's name, and the assistant has its place all the same."""
    entry = {"path": "talk", "parameters": {"ctx-size": 9000}}
    named = config.models.model_copy(update={"catalog": {"mine": CatalogConfig.model_validate(entry)}})
    async with Runner(config.model_copy(update={"models": named}), serves=True) as runner:
        model = runner.fleet.catalog.find("talk")
        assert ("mine", 3000) == (model.name, model.context_tokens)
        async with runner._llama(Priority.VOICE)() as voice, runner.fleet.lease(model) as client:
            assert voice.url == client.url
            assert (0, 1) == (voice.slot, client.slot)  # type: ignore[attr-defined]


async def test_the_assistant_may_use_a_model_of_the_catalog_by_its_name(config: Config) -> None:
    entry = CatalogConfig.model_validate({"path": "talk", "parameters": {"mlock": True}})
    named = config.models.model_copy(update={"catalog": {"mine": entry}})
    llm = config.llm.model_copy(update={"model": "mine"})
    async with Runner(config.model_copy(update={"models": named, "llm": llm})) as runner:
        async with runner._llama(Priority.VOICE)() as voice:
            assert "mine" == voice.model.name  # type: ignore[attr-defined]
            assert {"mlock": True} == voice.model.parameters  # type: ignore[attr-defined]


async def test_the_assistant_may_use_a_model_of_other_servers_by_its_name(config: Config) -> None:
    """The first of them is gone."""
    async with FakeLlamaServer() as upstream:
        upstream.enqueue('{"reply": "Good evening.", "mood": "calm", "intensity": 0.5, "prompt": "a lake"}')
        entry = CatalogConfig.model_validate({"urls": ["http://127.0.0.1:1", upstream.url], "remote_name": "theirs"})
        named = config.models.model_copy(update={"catalog": {"far": entry}})
        llm = config.llm.model_copy(update={"model": "far"})
        async with Runner(config.model_copy(update={"models": named, "llm": llm})) as runner:
            brain = runner.brain()
            *_, answer = [thought async for thought in brain.think("Hello", (), "en")]
            await brain.close()

    assert "theirs" == upstream.requests[-1]["model"]
    assert "Good evening." == answer.text  # type: ignore[union-attr]


def test_options_for_every_model_are_for_the_assistants_too(config: Config) -> None:
    told = config.runner.model_copy(update={"defaults": {"mlock": True}})
    runner = Runner(config.model_copy(update={"runner": told}))
    model = runner._model("talk", runner.store.find("talk"))

    assert {"mlock": True} == model.parameters


async def test_a_server_without_an_assistant_keeps_nothing(config: Config) -> None:
    async with Runner(config, serves=True, assists=False) as runner:
        model = runner.fleet.catalog.find("talk")
        await runner.fleet.load(model)

        assert await runner.fleet.unload(model)
        assert [] == runner.fleet.loaded()


async def test_the_assistant_alone_has_no_limit(config: Config) -> None:
    """Whisper, Piper and the language model are all needed, whatever runner.max_loaded says."""
    tight = config.model_copy(update={"runner": config.runner.model_copy(update={"max_loaded": 1})})
    async with Runner(tight) as runner:
        model = runner.fleet.catalog.find("talk")
        twin = type(model)("twin", "llm", files=model.files)
        for needed in (model, twin):
            async with runner.fleet.lease(needed, Priority.VOICE):
                pass

        assert ["talk", "twin"] == [loaded.model.name for loaded in runner.fleet.loaded()]


def test_models_that_run_elsewhere_are_not_the_assistants_here(config: Config) -> None:
    assert {"talk"} == assistants_models(config)
