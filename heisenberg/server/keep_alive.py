"""How long a request wants its model to stay in memory: ``ttl`` in LM Studio's words, ``keep_alive`` in Ollama's.

Requests in OpenAI's dialect may carry either. Pure.
"""

import re
from collections.abc import Mapping

from heisenberg.server.asgi import BadRequest

KEYS = ("ttl", "keep_alive")

FOREVER_S = -1.0
LONGEST_S = 1e9
"""More is for ever."""

_UNITS_S = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = r"(\d{1,12}(?:\.\d{0,9})?)(ms|s|m|h)"
_DURATION = re.compile(rf"(-?)((?:{_PART})+)", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,12}(?:\.\d{0,9})?", re.ASCII)


def asked_keep_alive_s(request: Mapping[str, object]) -> float | None:
    """Seconds that *request* asks for: None if it does not, negative is for ever.

    A number counts seconds; text is a number, or a duration such as ``5m`` or ``1h30m``. Raises BadRequest.
    """
    for key in KEYS:
        value = request.get(key)
        if value is not None and value != "":
            seconds = _seconds(value)
            if seconds is None:
                raise BadRequest(
                    f'{key} is {str(value)[:40]!r}; expected seconds, or a duration such as "5m" or "1h30m".'
                )
            return FOREVER_S if seconds < 0 or seconds > LONGEST_S else seconds
    return None


def _seconds(value: object) -> float | None:
    """None if *value* is no time."""
    if isinstance(value, str):
        return _of_text(value.strip())
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    return max(FOREVER_S, min(value, 2 * LONGEST_S))


def _of_text(text: str) -> float | None:
    if _NUMBER.fullmatch(text):
        return float(text)
    found = _DURATION.fullmatch(text)
    if found is None:
        return None
    seconds = sum(float(number) * _UNITS_S[unit] for number, unit in re.findall(_PART, found[2]))
    return -seconds if found[1] else seconds
