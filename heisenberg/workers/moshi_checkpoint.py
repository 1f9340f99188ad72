"""Finds the files of a Kyutai recogniser, in a folder or on the hub, and refuses what is none.

Reads ``config.json`` only; the engines (``moshi_torch.py``, ``moshi_mlx_engine.py``) load the rest.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # they would fill the log

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError

DEFAULT_REPOSITORY = "kyutai/stt-1b-en_fr"
DIALOGUE_NAMES = ("moshiko", "moshika", "hibiki")
"""Beginnings of names of models whose text is their own."""

DEFAULT_FILES = {
    "moshi_name": "model.safetensors",
    "mimi_name": "tokenizer-e351c8d8-checkpoint125.safetensors",
    "tokenizer_name": "tokenizer_spm_32k_3.model",
    "config": "config.json",
}
"""Names that config.json may leave out."""


class Unusable(Exception):
    """A checkpoint that cannot be used; its message is for people."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A recogniser's files."""

    repository: str
    """``owner/name``, or for a folder its path."""
    folder: Path | None
    """None where the files are on the hub (or in its cache)."""
    config: Mapping[str, Any]
    """config.json."""

    @property
    def delay_s(self) -> float:
        """How much later than the sound the words come."""
        return float(self.config.get("stt_config", {}).get("audio_delay_seconds", 0.5))

    @property
    def prefix_s(self) -> float:
        """Silence that the model wants to hear first."""
        return float(self.config.get("stt_config", {}).get("audio_silence_prefix_seconds", 0.0))

    def file(self, key: str) -> Path | None:
        """The file that config.json names under *key*, fetched if need be; None if it names none.

        Raises: Unusable.
        """
        name = self.config.get(key) or DEFAULT_FILES.get(key)
        if name is None:
            return None
        if self.folder is None:
            return _fetched(self.repository, name)
        path = self.folder / name
        if not path.is_file():
            raise Unusable(f"{self.folder} lacks {name}, which its config.json names. Fetch the model again.")
        return path


def found(model: str) -> Checkpoint:
    """The recogniser *model*: a folder, a repository of the hub, or the name of one of Kyutai's.

    Raises: Unusable, also for a model that is no recogniser.
    """
    folder = Path(model).expanduser()
    _refuse_by_name(folder.name)
    if folder.is_dir():
        path = folder / "config.json"
        if not path.is_file():
            raise Unusable(f"{folder} has no config.json, so it is not a folder of {DEFAULT_REPOSITORY} or its like.")
        return _checked(Checkpoint(str(folder), folder, _read(path)))
    if folder.exists() or folder.is_absolute():
        raise Unusable(f"{folder} is not a folder with a recogniser's files. Name one, or {DEFAULT_REPOSITORY}.")
    repository = model if "/" in model else f"kyutai/{model}"
    return _checked(Checkpoint(repository, None, _read(_fetched(repository, "config.json"))))


def _read(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise Unusable(f"{path} cannot be read: {exc}") from exc
    if not isinstance(config, dict):
        raise Unusable(f"{path} is not the configuration of a model.")
    return config


def _fetched(repository: str, name: str) -> Path:
    try:
        return Path(hf_hub_download(repository, name))
    except EntryNotFoundError as exc:
        if "LocalEntryNotFound" not in type(exc).__name__:
            raise Unusable(f"{repository} has no {name}, so it is no recogniser of Kyutai's.") from exc
        raise _offline(repository, name) from exc
    except (OSError, ValueError, RuntimeError) as exc:
        raise _unavailable(repository, exc) from exc


def _offline(repository: str, name: str) -> Unusable:
    return Unusable(
        f"{name} of {repository} is not on this machine, and the hub cannot be reached. "
        "Connect to the network once, or set stt.model to a folder with the model's files."
    )


def _unavailable(repository: str, error: Exception) -> Unusable:
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return Unusable(f"{repository} cannot be had from the hub: {reason} Check stt.model; {DEFAULT_REPOSITORY} is one.")


def _refuse_by_name(name: str) -> None:
    if name.lower().startswith(DIALOGUE_NAMES):
        raise _not_a_recogniser(name)


def _checked(checkpoint: Checkpoint) -> Checkpoint:
    kind = checkpoint.config.get("model_type", "stt" if "stt_config" in checkpoint.config else "moshi")
    if kind != "stt" or checkpoint.config.get("dep_q", 8) > 0:
        raise _not_a_recogniser(checkpoint.repository, kind)
    missing = [key for key in ("n_q", "text_card", "delays") if key not in checkpoint.config]
    if missing:
        raise Unusable(f"The config.json of {checkpoint.repository} lacks {', '.join(missing)}.")
    return checkpoint


def _not_a_recogniser(name: str, kind: str = "dialogue") -> Unusable:
    return Unusable(
        f"{name} is a {kind} model, not a recogniser: its text is what it says itself, not a transcript. "
        f"Set stt.model to {DEFAULT_REPOSITORY} (or kyutai/stt-2.6b-en)."
    )
