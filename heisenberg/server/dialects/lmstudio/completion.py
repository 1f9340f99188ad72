"""A model's answer as LM Studio's ``/api/v0`` has it: OpenAI's, with figures at its end.

Pure. Of a stream every event is handed on as it is, but for the last one that says something: it waits for the
figures, which come after it, and carries them.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from heisenberg.server.asgi import as_json
from heisenberg.server.dialects.lmstudio.figures import Figures
from heisenberg.server.sse import DONE, event
from heisenberg.server.upstream import Refused, parsed

UNFINISHED = (b'"finish_reason":null', b'"finish_reason": null')
"""Within a text of JSON a quotation mark has a backslash before it; so this is the key wherever it stands."""

FIGURES = (b'"timings"', b'"error"')

Extras = Mapping[str, Any]


class Ending:
    """Waits for the end of a stream and puts the figures there.

    Args:
        clock: seconds, monotonic.
        extras: ``model_info`` and ``runtime``.
        has_usage: whether the client asked for OpenAI's chunk of figures.
    """

    def __init__(self, clock: Callable[[], float], extras: Extras, *, has_usage: bool) -> None:
        self.figures = Figures(clock)
        self.is_over = False
        self._extras, self._has_usage = extras, has_usage
        self._last: dict[str, Any] | None = None
        self._usage: dict[str, Any] | None = None

    def hear(self, payload: bytes) -> bytes:
        """What one payload makes. Raises Refused if it is an error, or nonsense."""
        if self.is_over:
            return b""
        if payload == DONE:
            return self.finish()
        if any(mark in payload for mark in UNFINISHED) and not any(mark in payload for mark in FIGURES):
            self.figures.count()
            return event(payload)
        return self._special(parsed(payload), payload)

    def finish(self) -> bytes:
        """The end. Raises Refused if it came too early."""
        if self.is_over:
            return b""
        if self._last is None:
            raise Refused("the model's server broke off in the middle of its answer")
        self.is_over = True
        self.figures.end()
        self._last.pop("timings", None)
        out = event(as_json({**self._last, "stats": self.figures.v0(), **self._extras}))
        if self._has_usage and self._usage is not None:
            out += event(as_json(self._usage))
        return out + event(DONE)

    def _special(self, found: dict[str, Any], payload: bytes) -> bytes:
        self.figures.note(found)
        choices = found.get("choices")
        if not isinstance(choices, list):
            raise Refused(f"the model's server answered with nonsense: {payload[:80]!r}")
        if not choices:
            self._usage = {key: value for key, value in found.items() if key != "timings"}
            return b""
        finish = choices[0].get("finish_reason") if isinstance(choices[0], dict) else None
        if not finish:
            self.figures.count()
            return event(payload)
        self.figures.finish = str(finish)
        before, self._last = self._last, found
        return event(as_json(before)) if before is not None else b""


def whole(found: dict[str, Any], figures: Figures, extras: Extras) -> dict[str, Any]:
    """An answer in one piece, with its figures. Raises Refused if it is none."""
    choices = found.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise Refused(f"the model's server answered with nonsense: {json.dumps(found)[:80]}")
    figures.note(found)
    figures.finish = str(choices[0].get("finish_reason") or "")
    figures.end()
    kept = {key: value for key, value in found.items() if key != "timings"}
    return {**kept, "stats": figures.v0(), **extras}
