"""The server as one ASGI application: which path is whose.

Both ports answer alike. What every request has to pass first is in ``security.py``, what is said to models in
``dialects/``.
"""

from heisenberg.server.asgi import ClientGone, Receive, Scope, Send, send_json
from heisenberg.server.context import Context
from heisenberg.server.dialects import openai


class Server:
    """The ASGI application."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        try:
            await self._route(scope, receive, send)
        except ClientGone:
            return

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        if (method, path) == ("GET", "/v1/models"):
            await openai.list_models(self._context, send)
        elif method == "POST" and path.startswith("/v1/"):
            await openai.complete(self._context, scope, receive, send)
        else:
            await send_json(send, {"error": f"Unexpected endpoint or method. ({method} {path})"}, 404)
