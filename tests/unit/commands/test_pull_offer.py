"""A model that Ollama does not have is offered to whoever sits at a terminal, and to nobody else."""

import asyncio
import io
import sys
import threading
from collections.abc import Iterator

import pytest

from heisenberg.commands.pull_offer import offer, with_offer
from heisenberg.core.config import Config
from heisenberg.llm.deltas import ModelMissing
from tests.fakes.ollama_server import FakeOllama


class Terminal(io.StringIO):
    """A person who types what is given."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def server() -> Iterator[FakeOllama]:
    """On an event loop of its own: what is tested makes another one."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="ollama")
    thread.start()
    fake = FakeOllama(pullable={"llama3.2"})
    asyncio.run_coroutine_threadsafe(fake.__aenter__(), loop).result(10)
    yield fake
    asyncio.run_coroutine_threadsafe(fake.__aexit__(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def config(server: FakeOllama) -> Config:
    return Config.model_validate({"llm": {"backend": "ollama", "model": "llama3.2", "url": server.url}})


def at_a_terminal(monkeypatch: pytest.MonkeyPatch, types: str) -> Terminal:
    """What is then on the screen."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stdin", Terminal(types))
    monkeypatch.setattr(sys, "stderr", screen)
    return screen


def missing() -> None:
    raise ModelMissing("it is not there", status=404, reason="not found")


def test_yes_pulls_the_model_and_goes_on(server: FakeOllama, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = at_a_terminal(monkeypatch, "y\n")

    def work() -> str:
        if "llama3.2" not in server.models:
            missing()
        return "done"

    assert "done" == with_offer(config(server), work)
    assert "Ollama does not have llama3.2. Pull it? [y/N]" in screen.getvalue()


@pytest.mark.parametrize("types", ["\n", "n\n", ""])
def test_anything_else_does_not(server: FakeOllama, monkeypatch: pytest.MonkeyPatch, types: str) -> None:
    at_a_terminal(monkeypatch, types)
    with pytest.raises(ModelMissing):
        with_offer(config(server), missing)

    assert "llama3.2" not in server.models


def test_without_a_terminal_nobody_is_asked(
    server: FakeOllama, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))

    assert not offer(config(server))
    assert "" == capsys.readouterr().err
