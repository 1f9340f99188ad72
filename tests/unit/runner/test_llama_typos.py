"""Options that no llama-server has, told before a model fails because of them."""

from typing import Any

import pytest

from heisenberg.core.config import Config
from heisenberg.runner import llama_typos


@pytest.fixture(autouse=True)
def _has_no_llama_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama_typos, "find_llama_server", lambda configured: None)


def config(defaults: dict[str, Any], **catalog: Any) -> Config:
    return Config.model_validate({"runner": {"defaults": defaults}, "models": {"catalog": catalog}})


def test_a_slip_is_told_with_what_was_meant() -> None:
    found = config({"ctx-sise": 4096}, coder={"path": "coder.gguf", "parameters": {"flash-atn": "on", "top-k": 3}})

    assert [
        'runner.defaults.ctx-sise: the embedded server has no such option. Did you mean "ctx-size"?',
        'models.catalog.coder.parameters.flash-atn: the embedded server has no such option. Did you mean "flash-attn"?',
    ] == llama_typos.certain(found)


def test_what_only_an_installed_server_knows_is_told_where_there_is_none() -> None:
    [line] = llama_typos.certain(config({"mirostat": 2}))

    assert line.endswith("no such option. Take it out, or install llama-server.")


@pytest.mark.parametrize("options", [{"c": 4096, "ngl": 99}, {"no-mmap": True}, {"mirostat": False}, {"fa": "on"}])
def test_options_that_there_are_are_fine(options: dict[str, Any]) -> None:
    assert ([], []) == (llama_typos.certain(config(options)), llama_typos.doubtful(config(options)))


def test_an_installed_server_may_be_newer_than_we_know(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slip is doubted; what looks like nothing we know, and what is known, pass."""
    monkeypatch.setattr(llama_typos, "find_llama_server", lambda configured: "/usr/bin/llama-server")
    found = config({"ctx-sise": 4096, "quantum-leap": True, "mirostat": 2})

    assert [] == llama_typos.certain(found)
    assert [
        'runner.defaults.ctx-sise: llama-server has no such option, as far as is known. Did you mean "ctx-size"?'
    ] == llama_typos.doubtful(found)


def test_models_of_other_servers_are_not_our_affair() -> None:
    assert [] == llama_typos.certain(config({}, far={"urls": ["http://h:1"], "parameters": {"nothing-known": 1}}))
