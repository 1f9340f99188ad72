"""Which model belongs to which phrase, and the checks that keep a bad file from crashing the process.

Phrases are named as in the configuration: one of the package's own, or the path of a microWakeWord ``.json`` with
its ``.tflite`` beside it. TensorFlow Lite ends the process when it is given a file that it cannot read, so every
file is looked at before.
"""

import difflib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pymicro_wakeword import MicroWakeWord, Model

from heisenberg.core.config import WakewordConfig
from heisenberg.core.errors import WakewordError

AVAILABLE = tuple(sorted(model.value for model in Model))
"""The phrases that come with the package."""

FEATURE_STEP_MS = 10
"""What the features are made for; models of version 1 used 20."""

_ADVICE = "Get its .json and .tflite again, or change wakeword.words."


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase that can be listened for."""

    name: str
    """For example ``hey_jarvis``; for a path, the name of its model."""
    model: MicroWakeWord
    threshold: float
    """The smoothed probability (0–1) at which it counts."""


def load(config: WakewordConfig) -> list[Phrase]:
    """The configured phrases, each once.

    Raises: WakewordError (``wakeword-unknown``, ``wakeword-failed``).
    """
    models = {word: _open(word) for word in dict.fromkeys(config.words)}
    known = {*AVAILABLE, *models, *(model.id for model in models.values())}
    for name in config.thresholds:
        if name not in known:
            raise _unknown("wakeword.thresholds", name, sorted(known))
    return [Phrase(model.id, model, _threshold(config, word, model)) for word, model in models.items()]


def check_file(path: Path) -> None:
    """Raise WakewordError if *path* is not a file any more."""
    if not path.is_file():
        raise WakewordError(f"The wake-word model {path} is missing. Put it back, or change wakeword.words.")


def _threshold(config: WakewordConfig, word: str, model: MicroWakeWord) -> float:
    own = config.thresholds.get(word, config.thresholds.get(model.id))
    return own if own is not None else config.threshold or model.probability_cutoff


def _open(word: str) -> MicroWakeWord:
    if word in AVAILABLE:
        return _loaded(word, lambda: MicroWakeWord.from_builtin(Model(word)))
    if not word.endswith(".json"):
        raise _unknown("wakeword.words", word, AVAILABLE)
    path = Path(word).expanduser()
    if not path.is_file():
        raise _unknown("wakeword.words", word, AVAILABLE, "there is no such file")
    _check_model(path)
    return _loaded(word, lambda: MicroWakeWord.from_config(path))


def _loaded(word: str, load_model: Callable[[], MicroWakeWord]) -> MicroWakeWord:
    try:
        return load_model()
    except Exception as exc:  # a C library behind ctypes: anything may come up
        raise WakewordError(f'The wake word "{word}" cannot be loaded: {exc}. Change wakeword.words.') from exc


def _unknown(key: str, word: str, known: Sequence[str], why: str = "no model has that name") -> WakewordError:
    near = difflib.get_close_matches(word.lower().replace(" ", "_"), known, n=1, cutoff=0.5)
    hint = f' Did you mean "{near[0]}"?' if near else ""
    names = ", ".join(known)
    message = f'{key} holds "{word}", but {why}.{hint} There are {names}, or give the path of a microWakeWord .json.'
    return WakewordError(message, code="wakeword-unknown")


# ── files that others made ───────────────────────────────────────────────────────────────────────


def _check_model(path: Path) -> None:
    """Raise WakewordError for a description or a model that would fail later, or take the process down."""
    try:
        described = json.loads(path.read_text("utf-8"))
        micro = described["micro"]
        model = path.parent / described["model"]
        step_ms = micro.get("feature_step_size", FEATURE_STEP_MS)
        _ = described["wake_word"], float(micro["probability_cutoff"]), int(micro["sliding_window_size"])
    except (OSError, ValueError, TypeError, AttributeError) as exc:
        raise WakewordError(f"{path} is not a microWakeWord description: {exc}. {_ADVICE}") from exc
    except KeyError as exc:
        raise WakewordError(f"{path} has no key {exc}; a microWakeWord description needs it. {_ADVICE}") from exc
    if step_ms != FEATURE_STEP_MS:
        raise WakewordError(
            f"{path} has feature_step_size {step_ms}; expected {FEATURE_STEP_MS} (version 2). {_ADVICE}"
        )
    check_file(model)
    if not _is_readable(model):
        raise WakewordError(f"{model} is damaged or is not a TensorFlow Lite model. {_ADVICE}")


def _is_readable(model: Path) -> bool:
    """Whether TensorFlow Lite accepts the file; asked through the library of a model that is known to be good."""
    if model.read_bytes()[4:8] != b"TFL3":
        return False
    good = MicroWakeWord.from_builtin(Model.OKAY_NABU)
    try:
        handle = good.lib.TfLiteModelCreateFromFile(str(model.resolve()).encode())
        if handle:
            good.lib.TfLiteModelDelete(handle)
        return bool(handle)
    finally:
        good.close()
