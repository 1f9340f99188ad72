"""What a failure looks like to whoever asked: in the words of the dialect that the path belongs to.

For failures that no dialect sees: refused by the rules of ``security.py``, unknown routes, faults of ours. How a
dialect tells its own is its own affair.
"""

from collections.abc import Callable
from typing import Any

from heisenberg.server import sse
from heisenberg.server.asgi import as_json
from heisenberg.server.dialects import openai
from heisenberg.server.dialects.lmstudio import errors as lmstudio

ErrorBody = Callable[[str, int], Any]


def _ollama(message: str, status: int) -> dict[str, str]:
    return {"error": message}


_SHAPES: tuple[tuple[str, ErrorBody], ...] = (
    ("/api/v0/", lmstudio.v0_body),
    ("/api/v1/", lmstudio.v1_body),
    ("/api/", _ollama),
    (openai.MESSAGES, openai.messages_error_body),
)
"""The first prefix that fits; all other paths speak like OpenAI."""


def error_body(path: str, message: str, status: int) -> Any:
    """A whole answer that says *message*."""
    for prefix, shape in _SHAPES:
        if path.startswith(prefix):
            return shape(message, status)
    return openai.error_body(message, status)


def unexpected_body(path: str, request: str, status: int) -> Any:
    """A whole answer to a *request* (as in ``GET /x``) that nobody knows; LM Studio's clients look for these words."""
    if path.startswith(("/api/v0/", "/api/v1/")):
        return lmstudio.unexpected(request)
    return error_body(path, f"Unexpected endpoint or method. ({request}) GET /docs lists them.", status)


def stream_end(path: str, content_type: str, message: str) -> bytes | None:
    """The last bytes of a stream that fails with *message*; None if its kind knows of no failure."""
    said = error_body(path, message, 500)
    if content_type.startswith("application/x-ndjson"):
        return as_json(said) + b"\n"
    if content_type.startswith("text/event-stream"):
        # A blank line first: the event before it may have been cut off.
        if path.startswith(lmstudio.V1):
            return b"\n\n" + sse.named_event("error", {"type": "error", **said})
        if path.startswith(openai.MESSAGES):
            return b"\n\n" + sse.named_event("error", said)
        return b"\n\n" + sse.event(as_json(said))
    return None
