"""Which handler answers which request: methods and paths, looked up without regular expressions.

The table itself is in ``app.py``. What a handler does with the rest of a path (a model's name may hold slashes) is
its own affair.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from heisenberg.server.asgi import Receive, Scope, Send
from heisenberg.server.context import Context

Handler = Callable[[Context, Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path, and who answers."""

    method: str
    path: str
    """As in ``/v1/models``; with ``/*`` at its end it is everything below."""
    handler: Handler
    dialect: str
    """For the metrics."""


class Routes:
    """The whole table. A path of its own goes before ``/*``, and the longer ``/*`` before the shorter.

    Args:
        routes: in any order; where GET is, HEAD is too.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self._exact: dict[str, dict[str, Route]] = {}
        self._below: dict[str, dict[str, Route]] = {}
        for route in routes:
            is_below = route.path.endswith("/*")
            table = self._below if is_below else self._exact
            table.setdefault(route.path.removesuffix("*") if is_below else route.path, {})[route.method] = route
        self._prefixes = sorted(self._below, key=len, reverse=True)

    def find(self, method: str, path: str) -> Route | None:
        """Who answers; None if nobody does."""
        wanted = "GET" if method == "HEAD" else method
        for table in self._tables(path):
            if wanted in table:
                return table[wanted]
        return None

    def methods(self, path: str) -> list[str]:
        """What may be asked of *path*, in alphabetical order; empty if it is unknown."""
        found = {method for table in self._tables(path) for method in table}
        return sorted(found | {"HEAD"} if "GET" in found else found)

    def _tables(self, path: str) -> Iterable[dict[str, Route]]:
        if path in self._exact:
            yield self._exact[path]
        for prefix in self._prefixes:
            if path.startswith(prefix) and len(path) > len(prefix):
                yield self._below[prefix]
