"""Makes any value fit to leave the program: the only door between our values and OSC or JSON.

TouchDesigner shows a NaN as a dead channel, a NUL ends a string early, and a dict sent naively arrives as its
keys; so every outgoing value passes through here. This file builds no datagrams (``datagram.py``) and sends
nothing.

What becomes of a value (:func:`clean`):

| value | sent as |
|---|---|
| ``bool`` | float 0.0 or 1.0 |
| ``int`` within 32 bits | int |
| other numbers | float; NaN and infinities are 0.0, the rest is kept within float32 |
| ``str``, ``bytes`` | string; NUL removed, broken UTF-16 and UTF-8 replaced by U+FFFD |
| ``None`` | empty string |
| numpy scalar, enum | as the Python value it holds |
| dict, list, tuple, set, array | string with JSON |
| anything else | string |
"""

import enum
import json
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

import numpy as np

OscValue = int | float | str
"""What an OSC message of ours may carry: ``i``, ``f`` or ``s``."""

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
FLOAT32_MAX = float(np.finfo(np.float32).max)
JSON_INT_MAX = 2**63 - 1
NAME_MAX = 64
DEPTH_MAX = 32

_NOT_IN_ADDRESS = re.compile(r"[^!-~]|[#*,?\[\]{}]")
"""OSC 1.0: printable ASCII without space and without ``# * , ? [ ] { }`` (``/`` separates)."""


def clean(value: object) -> OscValue:
    """*value* as an int within 32 bits, a finite float within float32, or text without NUL."""
    value = _unwrapped(value)
    match value:
        case bool():
            return float(value)
        case int() if INT32_MIN <= value <= INT32_MAX:
            return value
        case int() | float() | Decimal() | Fraction():
            return clean_number(value)
        case None:
            return ""
        case str():
            return clean_text(value)
        case bytes() | bytearray():
            return clean_text(bytes(value).decode("utf-8", "replace"))
        case Mapping() | list() | tuple() | set() | frozenset():
            return as_json(value)
        case _:
            return _text_of(value)


def clean_number(value: int | float | Decimal | Fraction, limit: float = FLOAT32_MAX) -> float:
    """*value* as a finite float within ±*limit*; 0.0 for NaN and infinities."""
    try:
        number = float(value)
    except OverflowError:
        return math.copysign(limit, 1 if value > 0 else -1)
    except ValueError:  # Decimal("sNaN")
        return 0.0
    return max(-limit, min(limit, number)) if math.isfinite(number) else 0.0


def clean_text(text: str) -> str:
    """*text* without NUL, and with U+FFFD for what UTF-8 cannot carry (lone surrogates)."""
    if not text.isascii():
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.replace("\0", "")


def as_json(value: object) -> str:
    """*value* as JSON that every parser accepts: no NaN, no lone surrogates, accents as they are."""
    return json.dumps(plain(value), ensure_ascii=False, allow_nan=False)


def plain(value: object, _around: tuple[int, ...] = ()) -> object:
    """*value* made of dicts, lists, strings, finite numbers, booleans and None; cycles and great depth cut off."""
    value = _unwrapped(value)
    if id(value) in _around or len(_around) > DEPTH_MAX:
        return "…"
    inside = (*_around, id(value))
    match value:
        case None | bool():
            return value
        case int() if -JSON_INT_MAX <= value <= JSON_INT_MAX:
            return value
        case int() | float() | Decimal() | Fraction():
            return clean_number(value, limit=1.7976931348623157e308)
        case Mapping():
            return {_text_of(key): plain(item, inside) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(item, inside) for item in value]
        case _:
            return clean(value)


def is_address(text: str) -> bool:
    """Whether *text* is an address that OSC 1.0 allows to be sent."""
    return text.startswith("/") and text != "/" and not _NOT_IN_ADDRESS.search(text)


def address_part(name: str) -> str:
    """*name* as one part of an address: what is not allowed there becomes ``_``."""
    return _NOT_IN_ADDRESS.sub("_", name).replace("/", "_")[:NAME_MAX] or "_"


def cut(text: str, max_bytes: int) -> str:
    """The longest beginning of *text* that takes at most *max_bytes* in UTF-8, without a broken character."""
    encoded = text.encode("utf-8")
    return text if len(encoded) <= max_bytes else encoded[: max(0, max_bytes)].decode("utf-8", "ignore")


def split(text: str, max_bytes: int) -> list[str]:
    """*text* in pieces of at most *max_bytes* (4 or more) in UTF-8, without broken characters."""
    pieces = []
    while text:
        piece = cut(text, max_bytes)
        pieces.append(piece)
        text = text[len(piece) :]
    return pieces


def printable(text: str) -> str:
    """*text* for a terminal: control characters cannot move its cursor or change its colours."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _unwrapped(value: object) -> object:
    """The Python value inside a numpy scalar or array, or an enum's member."""
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, np.floating):
        return float(value)  # longdouble's tolist() is itself
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return value


def _text_of(value: object) -> str:
    """*value* as text, whatever its ``__str__`` does."""
    try:
        return clean_text(str(value))
    except Exception:  # noqa: BLE001 - a foreign __str__ may raise anything, and a sink must not
        return type(value).__name__
