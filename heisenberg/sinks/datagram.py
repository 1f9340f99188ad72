"""Builds OSC datagrams that fit: an address and values in, bytes out. Sends nothing.

Values go through ``sanitise.py`` first, so building cannot fail. Sizes follow OSC 1.0: strings end with at least
one NUL and everything is padded to four bytes.
"""

import struct

from pythonosc.osc_message_builder import OscMessageBuilder

from heisenberg.sinks.sanitise import OscValue, as_json, clean, cut, split

PART_ADDRESS = "/heisenberg/json/part"


def encode(address: str, *values: object, max_bytes: int) -> tuple[bytes, bool]:
    """The datagram for *address* with *values*, and whether its longest text had to be cut to fit *max_bytes*.

    Args:
        address: valid (``sanitise.is_address``).
        max_bytes: at least the size of the address and four bytes for each value.
    """
    arguments = [clean(value) for value in values]
    excess = _size(address, arguments) - max_bytes
    if excess > 0:
        _cut_longest(arguments, excess)
    builder = OscMessageBuilder(address)
    for argument in arguments:
        builder.add_arg(argument, _tag(argument))
    return builder.build().dgram, excess > 0


class FloatDatagram:
    """The datagram of one number at *address*, built once: a meter changes its last four bytes only."""

    def __init__(self, address: str) -> None:
        self._before = encode(address, 0.0, max_bytes=1 << 16)[0][:-4]

    def of(self, value: float) -> bytes:
        """The datagram with *value*."""
        return self._before + struct.pack(">f", clean(float(value)))


def encode_json(address: str, value: object, turn: int, max_bytes: int) -> list[tuple[str, bytes]]:
    """*value* as JSON at *address*, or, if that is too long, in numbered pieces.

    A piece is ``/heisenberg/json/part [i turn, i number from 1, i pieces, s piece]``.

    Returns: addresses and datagrams, in the order to send them.
    """
    text = as_json(value)
    if _size(address, [text]) <= max_bytes:
        return [(address, encode(address, text, max_bytes=max_bytes)[0])]
    room = max_bytes - _size(PART_ADDRESS, [0, 0, 0, ""]) + 4  # the empty string is replaced
    pieces = split(text, room // 4 * 4 - 1)
    return [
        (PART_ADDRESS, encode(PART_ADDRESS, turn, number, len(pieces), piece, max_bytes=max_bytes)[0])
        for number, piece in enumerate(pieces, start=1)
    ]


def _cut_longest(arguments: list[OscValue], excess: int) -> None:
    """Shorten the longest text in *arguments* by at least *excess* bytes, as far as it goes."""
    lengths = [len(argument.encode()) if isinstance(argument, str) else -1 for argument in arguments]
    longest = max(range(len(arguments)), key=lengths.__getitem__)
    if lengths[longest] >= 0:
        text = arguments[longest]
        assert isinstance(text, str)
        arguments[longest] = cut(text, (_padded(lengths[longest]) - excess) // 4 * 4 - 1)


def _size(address: str, arguments: list[OscValue]) -> int:
    sizes = (_padded(len(argument.encode())) if isinstance(argument, str) else 4 for argument in arguments)
    return _padded(len(address)) + _padded(1 + len(arguments)) + sum(sizes)


def _padded(length: int) -> int:
    """Bytes that an OSC string of *length* bytes takes."""
    return (length // 4 + 1) * 4


def _tag(argument: OscValue) -> str:
    return "s" if isinstance(argument, str) else "f" if isinstance(argument, float) else "i"
