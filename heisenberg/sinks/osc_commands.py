"""What an OSC message commands: address and values in, a :class:`Command` out, or the reason why it means nothing.

Pure. TouchDesigner sends buttons as 1.0 and 0.0, and texts as one string or several; all of that is understood here.
Where messages come from, how many may come and who obeys is ``osc_input.py``'s affair.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from heisenberg.sinks.sanitise import clean_text

PREFIX = "/heisenberg/in/"

PULSES = frozenset({"listen", "stop", "ping", "state"})
"""Something to do now. A 0 with it is a button that is let go, and means nothing."""

TEXTS = frozenset({"say", "ask"})

NAMES = frozenset({"mode", "preset", "personality"})

MOST_TEXT_CHARS = 2000
MOST_NAME_CHARS = 64
"""Longer ones are refused, not cut: half a sentence is not what anybody meant."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]+")
_WORDS = dict.fromkeys(("1", "on", "true", "yes"), True) | dict.fromkeys(("0", "off", "false", "no"), False)


class Nonsense(Exception):
    """The message means nothing; says why, in half a sentence."""


@dataclass(frozen=True, slots=True)
class Command:
    """What somebody wants."""

    name: str
    """The last part of its address, for example ``say``."""
    text: str = ""
    """For ``say``, ``ask``, ``mode``, ``preset`` and ``personality``."""
    is_on: bool | None = None
    """For ``mute``; None is the other way round."""


def understood(address: str, values: Sequence[object]) -> Command | None:
    """The command, None for a button that is let go. Raises Nonsense."""
    name = address.removeprefix(PREFIX)
    if not address.startswith(PREFIX) or name not in PULSES | TEXTS | NAMES | {"mute"}:
        raise Nonsense("there is no such command")
    if name in PULSES:
        return None if _flag(values) is False else Command(name)
    if name == "mute":
        return Command(name, is_on=_flag(values))
    text = _text(values, MOST_TEXT_CHARS if name in TEXTS else MOST_NAME_CHARS)
    if not text and name != "preset":
        raise Nonsense("it needs a text")
    return Command(name, text)


def _flag(values: Sequence[object]) -> bool | None:
    """What the first value says; None without one. Others are left alone: TouchDesigner may add some."""
    match values[:1]:
        case []:
            return None
        case [bool() as flag]:
            return flag
        case [int() | float() as number] if math.isfinite(number):
            return number != 0
        case [str() as word] if word.strip().lower() in _WORDS:
            return _WORDS[word.strip().lower()]
    raise Nonsense("its value is neither 0 nor 1")


def _text(values: Sequence[object], most_chars: int) -> str:
    """All values in one line."""
    text = " ".join(" ".join(_CONTROL.sub(" ", clean_text(_word(value))) for value in values).split())
    if len(text) > most_chars:
        raise Nonsense(f"its text has {len(text)} characters, and at most {most_chars} are taken")
    return text


def _word(value: object) -> str:
    match value:
        case str():
            return value
        case bool():
            return str(int(value))
        case int() | float() if math.isfinite(value):
            return f"{value:.6g}" if isinstance(value, float) else str(value)
    raise Nonsense("its values are neither texts nor numbers")
