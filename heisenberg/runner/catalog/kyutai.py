"""Kyutai's models: which of them write down what they hear, and which engine a folder is for.

Their recognisers, their dialogue models (Moshi) and their interpreters (Hibiki) come in the same files; the name, and
``model_type`` in ``config.json``, say which it is. Weights are never opened here.
"""

import json
import re
from pathlib import Path

from heisenberg.core.errors import ModelNotFound
from heisenberg.runner.catalog.shapes import KYUTAI_NEEDS

RECOGNISER = "stt"
"""``model_type`` of those that write down what they hear."""

INSTEAD = 'Set stt.model = "stt-1b-en_fr" (heisenberg models pull stt-1b-en_fr).'

_SPEAKER = re.compile(r"\b(moshi|moshiko|moshika|hibiki|personaplex)\b|moshik[oa]|hibiki", re.IGNORECASE)


def refuse_speakers(name: str) -> None:
    """Raises ModelNotFound if *name* is that of a Kyutai model that speaks."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    if _SPEAKER.search(last) and RECOGNISER not in re.split(r"[^a-z0-9]+", last.lower()):
        raise ModelNotFound(
            f'stt.model is "{name}", a model that talks with you: its text is what it says itself, not what you said. '
            + INSTEAD
        )


def is_kyutai(folder: Path) -> bool:
    """Whether the model in *folder* is one of Kyutai's."""
    return all((folder / name).is_file() for name in KYUTAI_NEEDS)


def model_type(folder: Path) -> str:
    """What ``config.json`` in *folder* says that it is; ``moshi`` if it does not, as the library takes it."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(config.get("model_type", "moshi")) if isinstance(config, dict) else ""


def check_engine(name: str, folder: Path | None, engine: str) -> None:
    """Whether ``stt.engine`` *engine* can run the model *name* in *folder*. Raises ModelNotFound if it cannot."""
    if folder is None:
        return
    if not is_kyutai(folder):
        if engine == "moshi":
            raise ModelNotFound(f'stt.model "{name}" is a Whisper, which stt.engine = "whisper" runs. {INSTEAD}')
        return
    if engine == "whisper":
        raise ModelNotFound(
            f'stt.model "{name}" is a model of Kyutai\'s. Set stt.engine = "moshi", or stt.model = "whisper-tiny.en".'
        )
    if (found := model_type(folder)) != RECOGNISER:
        raise ModelNotFound(
            f'stt.model "{name}" is of the type "{found}" (config.json), not "{RECOGNISER}": its text is what it says '
            f"itself, not what you said. {INSTEAD}"
        )
