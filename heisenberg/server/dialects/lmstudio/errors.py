"""What a failure looks like to LM Studio's clients, in the old API (v0) and in the new one (v1).

Pure shapes; who tells them is ``app.py`` or, where the parameter at fault is known, ``told`` below.
"""

import functools
from typing import Any

from heisenberg.core.errors import ModelNotFound
from heisenberg.server.asgi import BadRequest, Receive, Scope, Send, send_json
from heisenberg.server.context import Context
from heisenberg.server.folders import without_folders
from heisenberg.server.routes import Handler

V1 = "/api/v1/"


class BadParameter(BadRequest):
    """One parameter of the request cannot be used.

    Args:
        param: its name.
        message: what is wrong, for people.
        status: the HTTP status.
        kind: in v1's words; empty is what the status says.
        code: in v1's words.
    """

    def __init__(self, param: str, message: str, status: int = 400, *, kind: str = "", code: str = "") -> None:
        super().__init__(message, status)
        self.param, self.kind, self.code = param, kind, code


def v0_body(message: str, status: int) -> dict[str, Any]:
    """A failure of v0 whose parameter is not known."""
    return {"error": v0_error(message, status)}


def v1_body(message: str, status: int) -> dict[str, Any]:
    """A failure of v1 whose parameter is not known."""
    return {"error": v1_error(message, status)}


def unexpected(request: str) -> dict[str, Any]:
    """The body for an unknown route, as in ``GET /api/v0/x``. LM Studio sends it with status 200, we with 404."""
    return {"error": f"Unexpected endpoint or method. ({request})"}


def v0_error(message: str, status: int, param: str | None = None) -> dict[str, Any]:
    """As OpenAI's: Zed reads ``message``."""
    return {"message": message, "type": _v0_kind(status), "param": param, "code": None}


def v1_error(message: str, status: int, param: str = "", kind: str = "", code: str = "") -> dict[str, Any]:
    """``code`` and ``param`` are there only if they say something."""
    more = {"code": code, "param": param}
    return {
        "type": kind or _v1_kind(status),
        "message": message,
        **{key: value for key, value in more.items() if value},
    }


def not_found(path: str, error: ModelNotFound) -> dict[str, Any]:
    """There is no such model."""
    message = without_folders(error.message)
    if path.startswith(V1):
        return {"error": v1_error(message, 404, "model", "model_not_found")}
    return {"error": v0_error(message, 404, "model")}


def told(handler: Handler) -> Handler:
    """*handler*, with failures that name their parameter. Those have to come before its answer begins."""

    @functools.wraps(handler)
    async def answer(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        try:
            await handler(context, scope, receive, send)
        except BadParameter as exc:
            if path.startswith(V1):
                error = v1_error(exc.message, exc.status, exc.param, exc.kind, exc.code)
            else:
                error = v0_error(exc.message, exc.status, exc.param)
            await send_json(send, {"error": error}, exc.status)
        except ModelNotFound as exc:
            await send_json(send, not_found(path, exc), 404)

    return answer


def _v0_kind(status: int) -> str:
    if status in (401, 403):
        return "authentication_error"
    return "invalid_request_error" if status < 500 else "server_error"


def _v1_kind(status: int) -> str:
    if status == 501:
        return "not_implemented"
    return "invalid_request" if status < 500 else "internal_error"
