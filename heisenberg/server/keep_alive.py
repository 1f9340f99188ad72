"""How long a request wants its model to stay in memory: ``ttl`` in LM Studio's words, ``keep_alive`` in Ollama's.

Requests in OpenAI's dialect may carry either. Pure. What such a wish leads to is ``runner/residency.py``'s affair.
"""

import re
from collections.abc import Mapping

from heisenberg.server.asgi import BadRequest

KEYS = ("ttl", "keep_alive")

FOREVER_S = -1.0
LONGEST_S = 1e9
"""More is for ever."""

_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
"""Go's, with both of the letters that look like a mu."""

_NUMBER = r"(?:\d{1,18}(?:\.\d{0,18})?|\.\d{1,18})"
_PART = re.compile(rf"({_NUMBER})({'|'.join(_UNITS_S)})", re.ASCII)
_TIME = re.compile(rf"([+-]?)((?:{_PART.pattern})+|{_NUMBER})", re.ASCII)


def asked_keep_alive_s(request: Mapping[str, object]) -> float | None:
    """Seconds that *request* asks for, by any of :data:`KEYS`; as :func:`keep_alive_s`."""
    for key in KEYS:
        if (seconds := keep_alive_s(request.get(key), key)) is not None:
            return seconds
    return None


def keep_alive_s(value: object, key: str = "keep_alive") -> float | None:
    """Seconds that *value*, of the request's *key*, asks for: None if it does not, negative is for ever.

    A number counts seconds; text is a number, or one of Go's durations such as ``5m`` or ``1h30m``. Raises BadRequest.
    """
    if value is None or value == "":
        return None
    seconds = _seconds(value)
    if seconds is None:
        raise BadRequest(f'{key} is {str(value)[:40]!r}; expected seconds, or a duration such as "5m" or "1h30m".')
    return FOREVER_S if seconds < 0 or seconds > LONGEST_S else seconds


def _seconds(value: object) -> float | None:
    """None if *value* is no time."""
    if isinstance(value, str):
        return _of_text(value.strip())
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    return float(max(FOREVER_S, min(value, 2 * LONGEST_S)))  # integers can be larger than any float


def _of_text(text: str) -> float | None:
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    parts = _PART.findall(found[2])
    seconds = sum(float(number) * _UNITS_S[unit] for number, unit in parts) if parts else float(found[2])
    return -seconds if found[1] == "-" else seconds
