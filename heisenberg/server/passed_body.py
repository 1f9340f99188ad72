"""A request's body on its way to the model's server: as it came, byte for byte, unless something has to change.

Pure. What has to be taken out is in ``request_guard.py``.
"""

import json
from dataclasses import dataclass
from typing import Any

from heisenberg.server import request_guard
from heisenberg.server.asgi import parse_object
from heisenberg.server.keep_alive import KEYS, asked_keep_alive_s

BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class PassedBody:
    """A body that was read once, and that is not changed without need."""

    request: dict[str, Any]
    """What it says, without what nobody may ask for."""
    keep_alive_s: float | None
    """How long its model is to stay in memory; None if it does not say."""
    _raw: bytes
    _is_changed: bool

    @property
    def is_streamed(self) -> bool:
        """Whether the answer is wanted piece by piece."""
        return self.request.get("stream") is True

    @property
    def model_name(self) -> str:
        """The model it names; empty if none."""
        name = self.request.get("model")
        return name if isinstance(name, str) else ""

    def told(self, *, supports_tools: bool, allows_web: bool) -> "PassedBody":
        """It, without what its model's server must not see. Raises BadRequest."""
        request_guard.refuse_remote_media(self.request, allows_web=allows_web)
        request = dict(self.request)
        is_changed = request_guard.take_out(request, supports_tools=supports_tools)
        return PassedBody(request, self.keep_alive_s, self._raw, self._is_changed or is_changed)

    def bytes_for(self, *, model: str | None = None, place: int | None = None) -> bytes:
        """What to send.

        Args:
            model: what the model is called there; None leaves the name as it came.
            place: of llama-server, where the request is to run.
        """
        if self._is_changed or (model is not None and model != self.request.get("model")) or not self.request:
            request = self.request if model is None else {**self.request, "model": model}
            return json.dumps(request if place is None else {**request, "id_slot": place}).encode()
        if place is None:
            return self._raw
        start = self._raw.index(b"{") + 1  # only blanks are before it
        return b"".join((self._raw[:start], b'"id_slot":%d,' % place, self._raw[start:]))


def read_passed(raw: bytes) -> PassedBody:
    """*raw* as a request. Raises BadRequest."""
    request = parse_object(raw)
    plain = raw.removeprefix(BOM)
    # Python also reads UTF-16 and 32, and numbers that are none; llama-server does not.
    is_changed = plain is not raw or json.detect_encoding(raw) != "utf-8"
    keep_alive_s = asked_keep_alive_s(request)
    for key in KEYS:
        if key in request:
            del request[key]
            is_changed = True
    return PassedBody(request, keep_alive_s, plain, is_changed)
