"""Reads what a transcription or a translation is asked to be; refuses what OpenAI refuses."""

import math
from dataclasses import dataclass
from typing import Literal, cast, get_args

from heisenberg.core.languages import code_of
from heisenberg.core.recordings import Task, Wanted
from heisenberg.server.asgi import BadRequest
from heisenberg.server.audio.upload import Form

Shape = Literal["json", "text", "srt", "verbose_json", "vtt"]

GRANULARITIES = ("word", "segment")
LONGEST_PROMPT = 4000
"""Characters; Whisper reads the last couple of hundred words."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of ``/v1/audio/transcriptions`` or ``/translations``."""

    model: str
    wanted: Wanted
    shape: Shape
    segments: bool = True
    """Whether ``verbose_json`` lists them."""
    is_streamed: bool = False

    @property
    def words(self) -> bool:
        """Whether ``verbose_json`` lists words."""
        return self.wanted.words


def read(form: Form, task: Task) -> Asked:
    """*form* as a request. Raises BadRequest."""
    if form.file is None:
        raise BadRequest("file is required")
    if not form.file_bytes:
        raise BadRequest("the file is empty")
    model = form.one("model")
    if not model:
        raise BadRequest("model is required")
    shape = form.one("response_format") or "json"
    if shape not in get_args(Shape):
        raise BadRequest(f"response_format is '{shape[:40]}'; expected one of {', '.join(get_args(Shape))}")
    granularities = _granularities(form, shape)
    wanted = Wanted(
        language=_language(form.one("language")) if task == "transcribe" else None,
        task=task,
        prompt=form.one("prompt")[-LONGEST_PROMPT:],
        temperature=_temperature(form.one("temperature")),
        words="word" in granularities,
    )
    # whisper-1 has always ignored "stream", and programs that name it count on one whole answer.
    is_streamed = task == "transcribe" and _flag(form.one("stream")) and model != "whisper-1"
    if is_streamed and shape not in ("json", "text"):
        raise BadRequest(f"stream is possible with response_format json and text, not with {shape}")
    return Asked(model, wanted, cast(Shape, shape), not granularities or "segment" in granularities, is_streamed)


def _granularities(form: Form, shape: str) -> list[str]:
    asked = [*form.fields.get("timestamp_granularities[]", []), *form.fields.get("timestamp_granularities", [])]
    found = [part.strip() for value in asked for part in value.split(",") if part.strip()]
    for name in found:
        if name not in GRANULARITIES:
            raise BadRequest(f"timestamp_granularities holds '{name[:40]}'; expected word or segment")
    if "word" in found and shape != "verbose_json":
        raise BadRequest("timestamp_granularities needs response_format verbose_json")
    return found


def _language(given: str) -> str | None:
    code = code_of(given)
    if code in ("", "auto"):
        return None
    if not (code.isascii() and code.isalpha() and 2 <= len(code) <= 3):
        raise BadRequest(f"language is '{given[:40]}'; expected an ISO 639-1 code such as en")
    return code


def _temperature(given: str) -> float:
    try:
        temperature = float(given or 0)
    except ValueError:
        temperature = math.nan
    if not 0 <= temperature <= 1:
        raise BadRequest(f"temperature is '{given[:40]}'; expected a number from 0 to 1")
    return temperature


def _flag(given: str) -> bool:
    return given.strip().lower() in ("true", "1", "yes", "on")
