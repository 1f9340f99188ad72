"""From a model of the catalog to its child: engine, places, name."""

from dataclasses import replace
from pathlib import Path

import pytest

from heisenberg.core.config import Config
from heisenberg.core.errors import ModelFailedToStart, ModelNotFound
from heisenberg.runner import engines, launch
from heisenberg.runner.catalog.entry import Model
from heisenberg.runner.launch import Use
from heisenberg.runner.supervisor.process import ChildSpec

SOCKETS = Path("/run/heisenberg")
LLM = Model("tiny", "llm", files=(Path("/models/tiny.gguf"),))
EMBEDDER = Model("bge", "embedding", files=(Path("/models/bge.gguf"),))


@pytest.fixture(autouse=True)
def _without_an_installed_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(engines, "has_embedded_llama", lambda: True)


def spec(model: Model, use: Use = "generate", config: Config | None = None, slots: int = 1) -> ChildSpec:
    return launch.new_spec(model, use, config or Config(), SOCKETS, slots)()


def program(folder: Path, name: str) -> Path:
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_a_language_model_generates_in_one_process_and_embeds_in_another() -> None:
    assert ("tiny", "tiny (embeddings)") == (launch.process_name(LLM, "generate"), launch.process_name(LLM, "embed"))
    assert "--embeddings" not in spec(LLM).argv
    assert "--embeddings --pooling mean" in " ".join(spec(LLM, "embed").argv)


def test_both_answer_under_the_models_own_name() -> None:
    argv = spec(LLM, "embed").argv

    assert "tiny" == argv[argv.index("--alias") + 1] == spec(LLM, "embed").address.model


def test_an_embedding_model_pools_as_it_says_itself() -> None:
    assert "bge" == launch.process_name(EMBEDDER, "embed") == launch.process_name(EMBEDDER, "generate")
    for use in ("generate", "embed"):
        argv = spec(EMBEDDER, use).argv  # type: ignore[arg-type]

        assert "--embeddings" in argv
        assert "--pooling" not in argv


def test_each_slot_has_the_whole_context_window() -> None:
    argv = spec(LLM, slots=3).argv

    assert ("3", "6144") == (argv[argv.index("--parallel") + 1], argv[argv.index("--ctx-size") + 1])


@pytest.mark.parametrize(
    ("use", "serves", "is_assistants", "expected"),
    [
        ("generate", False, True, (1, False)),
        ("generate", True, False, (4, False)),
        ("generate", True, True, (5, True)),
        ("embed", True, True, (1, False)),
    ],
)
def test_how_many_may_use_it_at_once(use: Use, serves: bool, is_assistants: bool, expected: tuple[int, bool]) -> None:
    config = Config.model_validate({"runner": {"parallel": 4}})
    places = launch.places(LLM, use, config, serves=serves, is_assistants=is_assistants)

    assert expected == (places.number, places.is_first_for_voice)


def test_a_voice_with_voices_beside_it_is_a_kokoro(tmp_path: Path) -> None:
    kokoro = Model("k", "tts", files=(tmp_path / "kokoro.onnx", tmp_path / "ff_siwis.bin"))
    piper = Model("p", "tts", files=(tmp_path / "joe.onnx", tmp_path / "joe.onnx.json"))

    assert "heisenberg.workers.kokoro" in spec(kokoro).argv
    assert "heisenberg.workers.piper" in spec(piper).argv


def test_speech_is_one_at_a_time() -> None:
    whisper = Model("w", "stt", files=(Path("/models/w"),))

    assert 1 == launch.places(whisper, "generate", Config(), serves=True, is_assistants=True).number


def test_a_model_runs_under_its_own_runtime_else_under_the_default_one(tmp_path: Path) -> None:
    own, default = program(tmp_path, "own"), program(tmp_path, "default")
    runtimes = {"own": {"path": str(own), "args": ["--mlock"]}, "default": {"path": str(default)}}
    config = Config.model_validate({"runner": {"runtimes": runtimes, "runtime": "default"}})

    assert str(default) in spec(LLM, config=config).argv
    argv = spec(replace(LLM, runtime="own"), config=config).argv
    assert str(own) in argv
    assert "--mlock" == argv[-1]


def test_the_embedded_server_may_be_asked_for(tmp_path: Path) -> None:
    runtimes = {"built-in": {"embedded": True}}
    installed = {"server_path": str(program(tmp_path, "llama-server"))}
    config = Config.model_validate({"llm": installed, "runner": {"runtimes": runtimes}})

    assert "heisenberg.workers.llama" in spec(replace(LLM, runtime="built-in"), config=config).argv
    assert "heisenberg.workers.llama" not in spec(LLM, config=config).argv


def test_speech_models_are_found_by_their_files(tmp_path: Path) -> None:
    whisper = Model("w", "stt", files=(tmp_path / "config.json", tmp_path / "model.bin"))
    voice = Model("v", "tts", files=(tmp_path / "v.onnx", tmp_path / "v.onnx.json"))

    assert str(tmp_path) in spec(whisper).argv
    assert str(tmp_path) in spec(replace(whisper, files=(tmp_path,))).argv
    assert str(tmp_path / "v.onnx") in spec(voice).argv


@pytest.mark.parametrize("model", [replace(LLM, files=()), replace(LLM, files=(Path("/models/readme.md"),))])
def test_what_has_no_weights_is_named(model: Model) -> None:
    with pytest.raises(ModelNotFound, match="model 'tiny' has no"):
        spec(model)


def test_a_runtime_that_does_not_exist_is_said_when_it_is_started(tmp_path: Path) -> None:
    config = Config.model_validate({"runner": {"runtimes": {"x": {"path": str(tmp_path / "no")}}, "runtime": "x"}})
    with pytest.raises(ModelFailedToStart, match="which is not a program"):
        spec(LLM, config=config)


@pytest.mark.parametrize(
    ("weights", "worker"),
    [("model.bin", "heisenberg.workers.whisper"), ("model.safetensors", "heisenberg.workers.moshi")],
)
def test_a_recogniser_runs_in_the_worker_that_its_files_are_for(
    weights: str, worker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever stt.engine says: clients of the server may ask for either."""
    monkeypatch.setattr(engines, "has_moshi", lambda: True)
    for name in ("config.json", weights):
        (tmp_path / name).write_bytes(b"{}")

    for files in ((tmp_path,), (tmp_path / weights, tmp_path / "config.json")):
        argv = spec(Model("ears", "stt", files=files)).argv

        assert worker in argv
        assert str(tmp_path) == argv[argv.index("--model") + 1]
