"""What a failure looks like to whoever asked: in the words of the dialect that the path belongs to.

For failures that no dialect sees: refused by the rules of ``security.py``, unknown routes, faults of ours. How a
dialect tells its own is its own affair.
"""

from collections.abc import Callable
from typing import Any

from heisenberg.server.asgi import as_json
from heisenberg.server.dialects import openai

ErrorBody = Callable[[str, int], Any]


def _ollama(message: str, status: int) -> dict[str, str]:
    return {"error": message}


_SHAPES: tuple[tuple[str, ErrorBody], ...] = (
    ("/api/v0/", openai.error_body),
    ("/api/v1/", openai.error_body),
    ("/api/", _ollama),
)
"""The first prefix that fits; all other paths speak like OpenAI."""


def error_body(path: str, message: str, status: int) -> Any:
    """A whole answer that says *message*."""
    for prefix, shape in _SHAPES:
        if path.startswith(prefix):
            return shape(message, status)
    return openai.error_body(message, status)


def stream_end(path: str, content_type: str, message: str) -> bytes | None:
    """The last bytes of a stream that fails with *message*; None if its kind knows of no failure."""
    said = as_json(error_body(path, message, 500))
    if content_type.startswith("application/x-ndjson"):
        return said + b"\n"
    if content_type.startswith("text/event-stream"):
        # A blank line first: the event before it may have been cut off.
        event = b"event: error\n" if path.startswith("/api/v1/") else b""
        return b"\n\n" + event + b"data: " + said + b"\n\n"
    return None
