"""A model's log as an answer without an end: what is there, then each line as it is printed.

Ends when the client leaves or the server does. It keeps nothing: lines that come faster than they are looked at are
counted and left out.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from heisenberg.runner.catalog.entry import Model
from heisenberg.runner.fleet import Fleet
from heisenberg.server.asgi import STREAM_HEADERS, ClientGone, Send, while_connected

LOOK_EVERY_S = 0.25

MOST_FOLLOWERS = 16

TEXT = (b"content-type", b"text/plain; charset=utf-8")


class Followers:
    """Who follows logs at the moment; a bounded number.

    Args:
        fleet: the models.
        ending: set when the server ends.
    """

    def __init__(self, fleet: Fleet, ending: asyncio.Event) -> None:
        self._fleet = fleet
        self._ending = ending
        self._number = 0

    @property
    def is_full(self) -> bool:
        """Whether no more may come."""
        return self._number >= MOST_FOLLOWERS

    def answer(self, model: Model) -> Response:
        """The log of *model*, from the lines that are kept on."""
        return _Following(self, model)

    async def follow(self, model: Model, send: Send) -> None:
        """Send the lines of *model* until the server ends."""
        self._number += 1
        try:
            await send({"type": "http.response.start", "status": 200, "headers": [TEXT, *STREAM_HEADERS]})
            await self._send_lines(model, send)
            await send({"type": "http.response.body", "body": b""})
        finally:
            self._number -= 1

    async def _send_lines(self, model: Model, send: Send) -> None:
        seen: dict[str, int] = {}
        while not self._ending.is_set():
            lines, left_out = self._fleet.log_after(model, seen)
            if lines or left_out:
                await send({"type": "http.response.body", "body": _as_text(lines, left_out), "more_body": True})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._ending.wait()


class _Following(Response):
    """Takes the place of an answer that is whole."""

    def __init__(self, followers: Followers, model: Model) -> None:
        super().__init__()
        self._followers = followers
        self._model = model

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI's."""
        with contextlib.suppress(ClientGone):  # which is how this usually ends
            await while_connected(receive, self._followers.follow(self._model, send))


def _as_text(lines: Sequence[str], left_out: int) -> bytes:
    note = [f"… {left_out} lines are left out"] if left_out else []
    return "".join(f"{line}\n" for line in [*note, *lines]).encode("utf-8", "replace")
