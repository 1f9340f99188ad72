"""Wyoming's events on a connection with a stranger: the library's, but bounded in size and time.

An event is a line of JSON that tells how many bytes of JSON and how many of sound follow.
"""

import asyncio
import json
from typing import Any

from wyoming.event import Event, Eventable, async_write_event

from heisenberg.core.errors import HeisenbergError

LONGEST_LINE_BYTES = 64 * 1024
LONGEST_DATA_BYTES = 256 * 1024
LONGEST_PAYLOAD_BYTES = 1 << 20
"""Of sound in one event; clients send a few kB."""

WRITE_S = 30.0
"""Longest wait for a client to take what it asked for."""


class Malformed(Exception):
    """What came is no event."""


async def read_event(reader: asyncio.StreamReader) -> Event | None:
    """The next event, None at the end. Raises Malformed; OSError if the connection breaks."""
    try:
        line = await reader.readline()
        if not line:
            return None
        head = _object(line)
        data = head.get("data") or {}
        if size := _size(head, "data_length", LONGEST_DATA_BYTES):
            data = {**data, **_object(await reader.readexactly(size))}
        payload = None
        if size := _size(head, "payload_length", LONGEST_PAYLOAD_BYTES):
            payload = await reader.readexactly(size)
        if not isinstance(head.get("type"), str):
            raise Malformed("an event without a type")
        return Event(head["type"], data, payload)
    except asyncio.IncompleteReadError:
        return None
    except (ValueError, TypeError, RecursionError) as exc:
        raise Malformed(str(exc)) from exc


class Answers:
    """What a client is told."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    async def send(self, event: Eventable | Event) -> None:
        """Write *event*. Raises OSError (TimeoutError if the client does not read)."""
        async with asyncio.timeout(WRITE_S):
            await async_write_event(event if isinstance(event, Event) else event.event(), self._writer)


class Unusable(HeisenbergError):
    """The client asks for something that cannot be done."""

    default_code = "usage"


def _object(text: bytes) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise Malformed("an event that is no object")
    return found


def _size(head: dict[str, Any], name: str, most: int) -> int:
    size = head.get(name) or 0
    if not isinstance(size, int) or not 0 <= size <= most:
        raise Malformed(f"{name} is {str(size)[:40]}; at most {most} are taken")
    return size
