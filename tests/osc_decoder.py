"""A decoder written from the OSC 1.0 specification alone, to check what we send against a second opinion.

It is strict: padding must be NUL, strings must be UTF-8, nothing may be left over.
"""

import struct

Message = tuple[str, str, list[object]]
"""Address, type tags without the comma, values."""


def decode_message(datagram: bytes) -> Message:
    """The message in *datagram*. Raises ValueError if a byte is not as the specification says."""
    if len(datagram) % 4:
        raise ValueError("the size of an OSC packet is a multiple of 4")
    address, rest = _string(datagram)
    if not address.startswith("/") or any(c in " #*,?[]{}" or not " " < c <= "~" for c in address):
        raise ValueError(f"{address!r} is no address")
    tags, rest = _string(rest)
    if not tags.startswith(","):
        raise ValueError("the type tags begin with a comma")
    values: list[object] = []
    for tag in tags[1:]:
        value, rest = _value(tag, rest)
        values.append(value)
    if rest:
        raise ValueError(f"{len(rest)} bytes are left over")
    return address, tags[1:], values


def _value(tag: str, data: bytes) -> tuple[object, bytes]:
    if tag == "s":
        return _string(data)
    if tag in "if":
        return struct.unpack(">" + tag, data[:4])[0], data[4:]
    raise ValueError(f"we do not send type {tag}")


def _string(data: bytes) -> tuple[str, bytes]:
    end = data.index(b"\0")
    total = (end + 4) // 4 * 4
    padding = data[end:total]
    if len(padding) != total - end or padding.strip(b"\0"):
        raise ValueError("a string is padded with NUL to a multiple of 4")
    return data[:end].decode("utf-8"), data[total:]
