"""Each engine's child is started with what the configuration says, and with nothing that others may read."""

import importlib.util
import sys
from pathlib import Path

import pytest

from heisenberg.core.config import LlmConfig, SttConfig, TtsConfig
from heisenberg.core.errors import ModelFailedToStart
from heisenberg.runner import engines
from heisenberg.runner.ready import llama_is_ready, wyoming_is_ready

SOCKETS = Path("/run/heisenberg")
MODEL = Path("/models/smollm2.gguf")


def option(argv: tuple[str, ...], name: str) -> str:
    """The value behind *name*."""
    return argv[argv.index(name) + 1]


@pytest.fixture
def llama_server(tmp_path: Path) -> Path:
    """A program of that name."""
    program = tmp_path / "llama-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return program


def test_moshi_gets_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "has_moshi", lambda: True)
    spec = engines.moshi("stt-1b-en_fr", str(tmp_path), SttConfig(engine="moshi", device="mps", threads=3), SOCKETS)()

    assert (sys.executable, "-m", "heisenberg.workers.moshi") == spec.argv[:3]
    assert "--device mps --threads 3" in " ".join(spec.argv)
    assert "1" == spec.env["HF_HUB_OFFLINE"]


@pytest.mark.parametrize("missing", ["moshi", "torch", "sentencepiece"])
def test_half_of_moshis_libraries_are_not_enough(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"moshi", "torch", "safetensors", "sentencepiece"} - {missing}
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: name if name in there else None)

    assert not engines.has_moshi()


def test_without_its_library_moshi_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "has_moshi", lambda: False)
    with pytest.raises(ModelFailedToStart, match="Run make moshi") as caught:
        engines.moshi("stt-1b-en_fr", "/models/stt-1b-en_fr", SttConfig(engine="moshi"), SOCKETS)

    assert "missing-program" == caught.value.code
    assert "\n" not in caught.value.message


def test_whisper_gets_the_configuration(tmp_path: Path) -> None:
    config = SttConfig(language="auto", languages=["en", "fr"], device="cpu", threads=3, beam_size=2)
    spec = engines.whisper("whisper-base", str(tmp_path), config, SOCKETS)()

    assert (sys.executable, "-m", "heisenberg.workers.whisper") == spec.argv[:3]
    assert str(tmp_path) == option(spec.argv, "--model")
    assert ("cpu", "3", "2", "en,fr") == tuple(
        option(spec.argv, name) for name in ("--device", "--threads", "--beam-size", "--languages")
    )
    assert spec.address.url == option(spec.argv, "--uri")
    assert wyoming_is_ready is spec.is_ready


def test_a_fixed_language_is_the_only_one() -> None:
    spec = engines.whisper("whisper-base", "/models/whisper-base", SttConfig(language="fr"), SOCKETS)()

    assert "fr" == option(spec.argv, "--languages")


def test_weights_that_are_here_are_not_looked_for_on_the_network(tmp_path: Path) -> None:
    here = engines.whisper("w", str(tmp_path), SttConfig(), SOCKETS)()
    hub = engines.whisper("w", "Systran/faster-whisper-tiny", SttConfig(), SOCKETS)()

    assert "1" == here.env["HF_HUB_OFFLINE"]
    assert "HF_HUB_OFFLINE" not in hub.env


def test_every_start_has_a_socket_of_its_own() -> None:
    """A socket that a killed child left behind does not hinder the next one."""
    new_spec = engines.piper("joe", Path("/models/joe.onnx"), TtsConfig(speed=1.2), SOCKETS)
    first, second = new_spec(), new_spec()

    assert first.address.url.startswith("unix:///run/heisenberg/piper-")
    assert first.address.url != second.address.url
    assert "1.2" == option(first.argv, "--speed")


@pytest.mark.parametrize(
    ("text", "languages"),
    [
        ('{"espeak": {"voice": "en-us"}}', {"en"}),
        ('{"espeak": {"voice": "fr"}}', {"fr"}),
        ("{}", set()),
        ("[]", set()),
        ("no json", set()),
    ],
)
def test_a_voice_tells_its_language(tmp_path: Path, text: str, languages: set[str]) -> None:
    (tmp_path / "voice.onnx.json").write_text(text)

    assert languages == engines.piper_languages(tmp_path / "voice.onnx")


def test_a_voice_without_a_description_speaks_anything(tmp_path: Path) -> None:
    assert frozenset() == engines.piper_languages(tmp_path / "voice.onnx")


def test_llama_gets_the_configuration(llama_server: Path) -> None:
    config = LlmConfig(
        server_path=str(llama_server), server_args=["--mlock"], context_tokens=4096, threads=3, gpu_layers=7
    )
    spec = engines.llama("smollm2", MODEL, config)()
    argv = spec.argv[spec.argv.index(str(llama_server)) :]

    assert (str(MODEL), "smollm2", "127.0.0.1", "4096", "1", "3", "7") == tuple(
        option(argv, name)
        for name in ("--model", "--alias", "--host", "--ctx-size", "--parallel", "--threads", "--gpu-layers")
    )
    assert "--mlock" == argv[-1]
    assert f"http://127.0.0.1:{option(argv, '--port')}" == spec.address.url
    assert llama_is_ready is spec.is_ready


def test_a_program_that_does_not_watch_us_is_guarded(llama_server: Path) -> None:
    spec = engines.llama("smollm2", MODEL, LlmConfig(server_path=str(llama_server)))()

    assert sys.executable == spec.argv[0]
    assert "guard.py" == Path(spec.argv[3]).name
    assert Path(spec.argv[3]).is_file()


def test_the_embedded_server_is_used_where_none_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(engines, "has_embedded_llama", lambda: True)
    spec = engines.llama("smollm2", MODEL, LlmConfig())()

    assert (sys.executable, "-m", "heisenberg.workers.llama") == spec.argv[:3]


def test_neither_an_installed_nor_an_embedded_server_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelFailedToStart, match="Install llama.cpp") as caught:
        engines.llama("smollm2", MODEL, LlmConfig())

    assert "missing-program" == caught.value.code


def test_a_configured_program_that_is_not_there_is_named() -> None:
    with pytest.raises(ModelFailedToStart, match='llm.server_path is "/nowhere/llama-server"') as caught:
        engines.llama("smollm2", MODEL, LlmConfig(server_path="/nowhere/llama-server"))

    assert "missing-program" == caught.value.code


def test_the_key_is_new_each_time_and_not_on_the_command_line(llama_server: Path) -> None:
    """Other users of the machine can read command lines."""
    new_spec = engines.llama("smollm2", MODEL, LlmConfig(server_path=str(llama_server)))
    first, second = new_spec(), new_spec()

    assert first.address.api_key == first.env["LLAMA_API_KEY"]
    assert first.address.api_key != second.address.api_key
    assert not any(first.address.api_key in word for word in first.argv)
    assert first.address.api_key not in repr(first.address)


def test_a_free_port_is_free() -> None:
    assert engines.is_free_port(engines.free_port())
