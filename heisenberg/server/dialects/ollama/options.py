"""Ollama's ``options`` as llama-server's sampling parameters: known ones only, and within bounds.

Whatever is asked for reaches C++ code; so nothing passes that is not named here, and no number leaves its range. What
is set when a model is loaded (``num_ctx``, ``num_gpu``, ``num_thread``…) cannot be asked for by request.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from heisenberg.server.asgi import BadRequest

MOST_STOPS = 64
MOST_STOP_CHARACTERS = 1024
LONGEST_MEMORY_TOKENS = 32_768
"""Of ``repeat_last_n``; llama-server keeps a buffer of this length for each request."""

DEFAULT_CONTEXT_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class Range:
    """A numeric option."""

    name: str
    """In llama-server's words."""
    least: float
    most: float
    is_whole: bool = False


RANGES: Mapping[str, Range] = {
    "temperature": Range("temperature", 0, 100),
    "top_k": Range("top_k", 0, 1_000_000, is_whole=True),
    "top_p": Range("top_p", 0, 1),
    "min_p": Range("min_p", 0, 1),
    "typical_p": Range("typical_p", 0, 1),
    "seed": Range("seed", -1, 2**32 - 1, is_whole=True),
    "repeat_penalty": Range("repeat_penalty", 0, 100),
    "presence_penalty": Range("presence_penalty", -100, 100),
    "frequency_penalty": Range("frequency_penalty", -100, 100),
    "mirostat": Range("mirostat", 0, 2, is_whole=True),
    "mirostat_tau": Range("mirostat_tau", 0, 100),
    "mirostat_eta": Range("mirostat_eta", 0, 100),
}


def sampling(options: object, context_tokens: int) -> dict[str, Any]:
    """llama-server's parameters for Ollama's *options*; an empty or missing one is its default.

    Args:
        context_tokens: the model's, for ``repeat_last_n`` −1; 0 if nobody knows.
    Raises: BadRequest if an option has the wrong type. A number out of range counts as the nearest one in it.
    """
    if options is None:
        return {}
    if not isinstance(options, dict):
        raise BadRequest("options has to be a JSON object")
    found: dict[str, Any] = {}
    for key, allowed in RANGES.items():
        if (value := options.get(key)) is not None:
            found[allowed.name] = _clamped(key, value, allowed)
    if (longest := options.get("num_predict")) is not None:
        tokens = _clamped("num_predict", longest, Range("", -2, 2**31 - 1, is_whole=True))
        if tokens > 0:  # the others mean: until the model or the context ends
            found["max_tokens"] = tokens
    if (memory := options.get("repeat_last_n")) is not None:
        tokens = _clamped("repeat_last_n", memory, Range("", -1, LONGEST_MEMORY_TOKENS, is_whole=True))
        whole = min(context_tokens or DEFAULT_CONTEXT_TOKENS, LONGEST_MEMORY_TOKENS)
        found["repeat_last_n"] = whole if tokens < 0 else tokens
    if stops := options.get("stop"):
        found["stop"] = _stops(stops)
    return found


def _clamped(key: str, value: object, allowed: Range) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or (isinstance(value, float) and value != value):
        raise BadRequest(f'option "{key}" must be a number')
    near = min(max(value, allowed.least), allowed.most)
    return int(near) if allowed.is_whole else near


def _stops(value: object) -> list[str]:
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise BadRequest('option "stop" must be a list of strings')
    if len(stops) > MOST_STOPS or any(len(stop) > MOST_STOP_CHARACTERS for stop in stops):
        raise BadRequest(f'option "stop" has at most {MOST_STOPS} entries of {MOST_STOP_CHARACTERS} characters')
    return [stop for stop in stops if stop]
