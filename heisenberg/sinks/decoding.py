"""Reads OSC datagrams of anybody, however broken: bytes in, messages out. Receives nothing and understands nothing.

python-osc does the reading; what it would misread, or take for ever over, is refused before it is asked.
"""

import struct
from collections.abc import Iterator

from pythonosc import osc_message
from pythonosc.parsing import osc_types

KNOWN_TAGS = frozenset("ifsbhdtrmTFN[]")
NESTING_MAX = 32

_UNREADABLE = (
    osc_types.ParseError,
    osc_message.ParseError,
    ValueError,
    ArithmeticError,
    IndexError,
    struct.error,
)

Message = tuple[str, str, tuple[object, ...]]
"""Address, type tags without the comma, values."""


class Malformed(Exception):
    """A datagram is not OSC."""


def decode(datagram: bytes, depth: int = 0) -> list[Message]:
    """Address, type tags and values of each message; a bundle's time is ignored. Raises Malformed."""
    if depth > NESTING_MAX:
        raise Malformed("bundles are nested too deeply")
    if datagram.startswith(b"#bundle\0"):
        return [message for element in _elements(datagram) for message in decode(element, depth + 1)]
    if not datagram.startswith(b"/"):
        raise Malformed("it begins with neither / nor #bundle")
    try:
        address, index = osc_types.get_string(datagram, 0)
        tags = osc_types.get_string(datagram, index)[0] if datagram[index:] else ","
        _check_tags(address, tags[1:])
        return [(address, tags[1:], tuple(osc_message.OscMessage(datagram).params))]
    except _UNREADABLE as exc:
        raise Malformed(str(exc) or type(exc).__name__) from exc


def _check_tags(address: str, tags: str) -> None:
    """Refuse what python-osc would misread or what would nest without end. Raises Malformed."""
    if unknown := set(tags) - KNOWN_TAGS:
        raise Malformed(f"{address} has values of unknown type {' '.join(sorted(unknown))}")
    if tags.count("[") > NESTING_MAX:
        raise Malformed(f"{address} has too many arrays")


def _elements(bundle: bytes) -> Iterator[bytes]:
    """The parts of a bundle; each shorter than the whole, so that nesting ends."""
    index = 16
    if len(bundle) < index:
        raise Malformed("the bundle has no time tag")
    while index < len(bundle):
        size = int.from_bytes(bundle[index : index + 4], "big")
        element = bundle[index + 4 : index + 4 + size]
        if not size or len(element) < size:
            raise Malformed("a part of the bundle is incomplete")
        yield element
        index += 4 + size
