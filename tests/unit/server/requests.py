"""Requests as ASGI shows them, for tests without a server."""

from collections.abc import Iterable

from heisenberg.server.asgi import Message, Receive, Scope


def request(
    method: str = "GET", path: str = "/v1/models", *, arrived_at: str = "127.0.0.1", **headers: str | None
) -> Scope:
    """A request; ``x_api_key="k"`` is a header, ``host=None`` leaves that one out."""
    given = {"host": "127.0.0.1:1234", **headers}
    return {
        "type": "http",
        "method": method,
        "path": path,
        "server": (arrived_at, 1234),
        "client": ("127.0.0.1", 50_000),
        "headers": [
            (name.replace("_", "-").encode(), value.encode()) for name, value in given.items() if value is not None
        ],
    }


def arriving(*messages: Message) -> Receive:
    """ASGI's ``receive`` for a body in these pieces; after them, nothing ever comes."""
    waiting = list(messages)

    async def receive() -> Message:
        if waiting:
            return waiting.pop(0)
        raise AssertionError("nobody is to wait for more")

    return receive


def pieces(parts: Iterable[bytes]) -> list[Message]:
    """The messages of a body."""
    found: list[Message] = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    found[-1]["more_body"] = False
    return found
