"""Kyutai's models: those that write down what they hear, and those that talk."""

import json
from pathlib import Path

import pytest

from heisenberg.core.errors import ModelNotFound
from heisenberg.runner.catalog import kyutai, shapes
from heisenberg.runner.catalog.discover import discover

HUB = ("config.json", "mimi-pytorch-e351c8d8@125.safetensors", "model.safetensors", "tokenizer_en_fr_audio_8000.model")
OLD = ("config.json", "model.safetensors", "tokenizer-e351c8d8-checkpoint125.safetensors", "tokenizer_spm_32k_3.model")


def checkpoint(folder: Path, **config: str) -> Path:
    folder.mkdir()
    for name in HUB:
        (folder / name).write_bytes(b"x")
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def whisper(folder: Path) -> Path:
    folder.mkdir()
    for name in ("config.json", "model.bin", "tokenizer.json", "vocabulary.txt"):
        (folder / name).write_bytes(b"{}")
    return folder


@pytest.mark.parametrize("names", [HUB, OLD, (*HUB, "mimi_config.json")])
def test_a_checkpoint_is_recognised_by_its_files(names: tuple[str, ...]) -> None:
    assert ("stt", tuple(sorted(names))) == shapes.recognise([*names, "README.md"])


@pytest.mark.parametrize("missing", HUB)
def test_a_checkpoint_that_lacks_a_file_is_none(missing: str) -> None:
    assert shapes.recognise(set(HUB) - {missing}) is None


@pytest.mark.parametrize(
    "name",
    [
        "moshi",
        "kyutai/moshiko-pytorch-bf16",
        "kyutai/moshika-pytorch-q8",
        "kyutai/hibiki-1b-pytorch-bf16",
        "hf:kyutai/moshiko-pytorch-bf16",
        "/models/moshiko/",
        "C:\\models\\Moshika",
    ],
)
def test_a_model_that_talks_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        kyutai.refuse_speakers(name)

    assert "what it says itself, not what you said" in caught.value.message
    assert "stt-1b-en_fr" in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "name", ["stt-1b-en_fr", "kyutai/stt-2.6b-en", "/home/moshi/models/stt-1b-en_fr", "my-moshi-stt", "tiny_moshi_stt"]
)
def test_a_recogniser_is_not(name: str) -> None:
    kyutai.refuse_speakers(name)


@pytest.mark.parametrize("config", [{"model_type": "moshi"}, {"model_type": "hibiki"}, {}])
def test_a_model_that_talks_is_refused_by_its_configuration(config: dict[str, str], tmp_path: Path) -> None:
    """Given a folder of the user's own, whose name says nothing."""
    folder = checkpoint(tmp_path / "mine", **config)
    with pytest.raises(ModelNotFound, match="what it says itself"):
        kyutai.check_engine("mine", folder, "moshi")

    assert [] == discover(tmp_path, print)


def test_a_recogniser_is_for_moshi(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "mine", model_type="stt")
    kyutai.check_engine("mine", folder, "moshi")
    with pytest.raises(ModelNotFound, match='Set stt.engine = "moshi"'):
        kyutai.check_engine("mine", folder, "whisper")

    assert [("mine", "stt")] == [(found.name, found.kind) for found in discover(tmp_path, print)]


def test_a_whisper_is_for_whisper(tmp_path: Path) -> None:
    folder = whisper(tmp_path / "mine")
    kyutai.check_engine("mine", folder, "whisper")
    with pytest.raises(ModelNotFound, match="is a Whisper"):
        kyutai.check_engine("mine", folder, "moshi")


def test_a_configuration_that_cannot_be_read_is_no_recognisers(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "mine")
    (folder / "config.json").write_bytes(b"\xff{")

    assert "" == kyutai.model_type(folder)
