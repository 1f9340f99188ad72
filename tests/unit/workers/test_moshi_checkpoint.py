"""A recogniser's files are found, and what is none is refused with the reason and the way out."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("huggingface_hub")
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

from heisenberg.workers import moshi_checkpoint
from heisenberg.workers.moshi_checkpoint import Unusable, found

RECOGNISER: dict[str, Any] = {
    "model_type": "stt", "dep_q": 0, "n_q": 32, "text_card": 8000, "delays": [0], "mimi_name": "mimi.safetensors",
    "stt_config": {"audio_delay_seconds": 2.5, "audio_silence_prefix_seconds": 1.0},
}  # fmt: skip


def folder_of(tmp_path: Path, **changes: Any) -> str:
    config = {key: value for key, value in {**RECOGNISER, **changes}.items() if value is not None}
    (tmp_path / "config.json").write_text(json.dumps(config))
    return str(tmp_path)


def test_a_folder_says_its_delay_and_its_files(tmp_path: Path) -> None:
    (tmp_path / "mimi.safetensors").touch()
    checkpoint = found(folder_of(tmp_path))

    assert (2.5, 1.0) == (checkpoint.delay_s, checkpoint.prefix_s)
    assert tmp_path / "mimi.safetensors" == checkpoint.file("mimi_name")
    assert checkpoint.file("lora_name") is None


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match=r"lacks model\.safetensors"):
        found(folder_of(tmp_path)).file("moshi_name")


def test_a_recogniser_need_not_say_that_it_is_one(tmp_path: Path) -> None:
    assert 2.5 == found(folder_of(tmp_path, model_type=None)).delay_s


@pytest.mark.parametrize("name", ["kyutai/moshiko-pytorch-bf16", "moshika-mlx-q4", "kyutai/hibiki-1b-pytorch-bf16"])
def test_a_dialogue_model_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(Unusable, match="its text is what it says itself, not a transcript") as refused:
        found(name)

    assert "kyutai/stt-1b-en_fr" in str(refused.value)


@pytest.mark.parametrize("changes", [{"model_type": "moshi", "dep_q": 8}, {"dep_q": 8}, {"model_type": "hibiki"}])
def test_a_dialogue_model_is_refused_by_what_it_is(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(Unusable, match="not a recogniser"):
        found(folder_of(tmp_path, **changes))


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match=r"has no config\.json"):
        found(str(tmp_path))
    with pytest.raises(Unusable, match="is not a folder"):
        found(str(tmp_path / "nowhere"))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(Unusable, match="cannot be read"):
        found(str(tmp_path))
    with pytest.raises(Unusable, match="lacks n_q"):
        found(folder_of(tmp_path, n_q=None))


def test_a_bare_name_is_one_of_kyutais(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = Path(folder_of(tmp_path)) / "config.json"
    asked = []
    monkeypatch.setattr(moshi_checkpoint, "hf_hub_download", lambda *args: asked.append(args) or str(path))
    checkpoint = found("stt-1b-en_fr")

    assert [("kyutai/stt-1b-en_fr", "config.json")] == asked
    assert "kyutai/stt-1b-en_fr" == checkpoint.repository


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (LocalEntryNotFoundError("no"), "config.json of kyutai/stt-1b-en_fr is not on this machine, and the hub"),
        (EntryNotFoundError("no"), "has no config.json, so it is no recogniser"),
        (OSError("\n disk full\nand more"), "cannot be had from the hub: disk full Check stt.model"),
        (ValueError("bad name"), "cannot be had from the hub: bad name"),
    ],
)
def test_what_the_hub_refuses_is_one_line(monkeypatch: pytest.MonkeyPatch, error: Exception, told: str) -> None:
    def refuse(*args: str) -> str:
        raise error

    monkeypatch.setattr(moshi_checkpoint, "hf_hub_download", refuse)
    with pytest.raises(Unusable) as refused:
        found("kyutai/stt-1b-en_fr")

    assert told in str(refused.value)
    assert "\n" not in str(refused.value)
