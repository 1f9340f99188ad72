"""Which handler answers which request."""

import pytest

from heisenberg.server.asgi import Receive, Scope, Send
from heisenberg.server.context import Context
from heisenberg.server.routes import Route, Routes


async def nobody(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("nobody is asked")


ROUTES = Routes(
    Route(method, path, nobody, "test")
    for method, path in [
        ("GET", "/v1/models"),
        ("GET", "/v1/models/*"),
        ("POST", "/v1/*"),
        ("POST", "/v1/embeddings"),
        ("DELETE", "/api/delete"),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/v1/models", "/v1/models"),
        ("HEAD", "/v1/models", "/v1/models"),
        ("GET", "/v1/models/a/b:c", "/v1/models/*"),
        ("POST", "/v1/embeddings", "/v1/embeddings"),
        ("POST", "/v1/chat/completions", "/v1/*"),
        ("POST", "/v1/models", "/v1/*"),
        ("GET", "/v1/models/", None),
        ("GET", "/v1/chat/completions", None),
        ("POST", "/v2/chat", None),
        ("HEAD", "/api/delete", None),
        ("GET", "", None),
    ],
)
def test_the_nearest_route_answers(method: str, path: str, expected: str | None) -> None:
    found = ROUTES.find(method, path)

    assert expected == (found.path if found else None)


def test_what_may_be_asked_of_a_path() -> None:
    found = [ROUTES.methods(path) for path in ("/v1/models", "/v1/chat/completions", "/api/delete", "/nothing")]

    assert found == [["GET", "HEAD", "POST"], ["POST"], ["DELETE"], []]
