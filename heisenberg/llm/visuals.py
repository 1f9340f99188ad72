"""The answer's form: the JSON schema that constrains the model, and the check of what it says.

Built from the configured fields (``visual.schema``). The schema makes a server that honours it answer well
within the ranges; the check holds for every server. It does not parse: ``partial.py`` does.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

from heisenberg.core.config import VisualField
from heisenberg.llm import clip_tokens
from heisenberg.llm.personalities import Example, Speech

MOST_LEVELS = 101
"""How many different numbers the model may choose from in a range."""

STRUCTURE_TOKENS = 16
"""What the names and brackets of an answer cost, besides its fields."""

FIELD_TOKENS = 8
"""What a number, a word of an enum, or the name of a field costs."""

CHARS_PER_TOKEN = 2.7
"""Few, so that a talkative answer still fits its tokens: English has more than 4."""

SHORTEST_REPLY_CHARS = 120
LONGEST_REPLY_CHARS = 1500
"""llama.cpp refuses a grammar that counts to more than 2000."""

COLOUR_FIELDS = frozenset({"palette", "color", "colour", "colors", "colours"})

Order = Literal["quick_first", "reply_first", "visual_first"]

TAKEN = frozenset({"reply", "visual"})
"""Keys of the answer itself; a field of such a name stays inside ``visual``."""

T = TypeVar("T")

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]+")


class VisualSchema:
    """The visual fields of an answer.

    Args:
        fields: the configured fields by name.
        max_tokens: the longest answer in tokens; bounds the reply, so that the visuals still fit.
        order: what is written first. What comes before the reply delays the voice; what comes after it, the picture.
        has_reply: whether something is said at all; where it is not, the fields come in their own order.
    """

    def __init__(
        self,
        fields: Mapping[str, VisualField],
        *,
        max_tokens: int,
        order: Order = "quick_first",
        has_reply: bool = True,
    ) -> None:
        self.fields = dict(fields)
        self._has_reply = has_reply
        self._is_visual_first = order == "visual_first" and has_reply
        self._quick = {name for name in self.fields if order == "quick_first" and self._is_quick(name)}
        if not has_reply:
            self._quick = set(self.fields) - TAKEN
        self.visual_tokens = STRUCTURE_TOKENS + sum(_tokens(field) for field in self.fields.values())
        """What the longest visuals cost, roughly."""
        left = max_tokens - self.visual_tokens
        self.reply_chars = min(max(round(left * CHARS_PER_TOKEN), SHORTEST_REPLY_CHARS), LONGEST_REPLY_CHARS)
        """Longest reply in characters."""

    def json_schema(self) -> dict[str, Any]:
        """The answer's form: everything required and nothing else allowed.

        ``{"reply": string, "visual": {…}}``; or with ``visual`` first; or with the quick fields before the reply,
        beside it, and in ``visual`` only the others: brackets are tokens that the voice would wait for. Where there
        is no reply, the fields alone.
        """
        reply = {"type": "string", "minLength": 1, "maxLength": self.reply_chars}
        return _object(self._ordered(reply, lambda name: _property(self.fields[name]), _object))

    def hint(self, speech: Speech) -> str:
        """The schema in words, for the prompt; short, because every token of it is read by the model."""
        parts = self._ordered(
            speech.spoken,
            lambda name: _described(name, self.fields[name], speech),
            lambda visual: "visual: " + ", ".join(visual.values()),
        )
        return f"{speech.form} {', '.join(parts.values())}."

    def example(self, example: Example) -> str:
        """A worked answer, as compact as the model shall write."""
        parts: dict[str, object] = self._ordered(
            example.reply, lambda name: _sample(name, self.fields[name], example), dict
        )
        return compact(parts)

    def accept(self, name: str, value: object) -> str | float | None:
        """*value* as the field *name* allows it, None if that cannot be.

        Text is cut to whole words within its longest length and loses control characters; a number is brought
        into its range; a word that an enum does not know, an empty text and what is no finite number are refused.
        """
        field = self.fields.get(name)
        if field is None:
            return None
        match field.type, value:
            case "float", bool():
                return None
            case "float", int() | float() | str() as number:
                return _number(number, field)
            case "enum", str() as word:
                return _word(word, field)
            case "string", str() as text:
                return _text(text, field)
        return None

    def _ordered(self, reply: T, part: Callable[[str], T], whole: Callable[[dict[str, T]], T]) -> dict[str, T]:
        """The parts of an answer in their order.

        Args:
            part: makes the part of a field.
            whole: makes one of those in ``visual``.
        """
        quick = {name: part(name) for name in self.fields if name in self._quick}
        others = {name: part(name) for name in self.fields if name not in self._quick}
        visual = {"visual": whole(others)} if others else {}
        spoken = {"reply": reply} if self._has_reply else {}
        return visual | spoken if self._is_visual_first else quick | spoken | visual

    def _is_quick(self, name: str) -> bool:
        """Whether the field takes a few tokens only."""
        return self.fields[name].type != "string" and name not in TAKEN


def compact(value: object) -> str:
    """*value* as JSON without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def levels(minimum: float, maximum: float) -> list[float]:
    """At most :data:`MOST_LEVELS` round numbers from *minimum* to *maximum*, both included.

    llama.cpp's grammars know no ranges for fractions: without this a small model writes -1 or 1000000.
    """
    span = maximum - minimum
    if not math.isfinite(span):
        return [minimum, maximum]
    step, digits = _round_step(span / (MOST_LEVELS - 1))
    first, last = math.ceil(minimum / step - 1e-9), math.floor(maximum / step + 1e-9)
    grid = {round(at * step, digits) for at in range(first, last + 1)}
    return sorted({minimum, maximum} | {level for level in grid if minimum < level < maximum})


def _round_step(least: float) -> tuple[float, int]:
    """The smallest of 1, 2, 5, 10, 20 … that is not below *least*, and how many decimals it has."""
    power = math.floor(math.log10(least))
    for digit, exponent in ((1, power), (2, power), (5, power), (1, power + 1)):
        step = digit * 10.0**exponent
        if step >= least * (1 - 1e-9):
            break
    return step, max(0, -exponent)


def _object(properties: Mapping[str, object]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def _property(field: VisualField) -> dict[str, Any]:
    described = {"description": field.description} if field.description else {}
    match field.type:
        case "float":
            allowed = [_json_number(level) for level in levels(field.minimum, field.maximum)]
            return {
                "type": "number",
                **described,
                "minimum": field.minimum,
                "maximum": field.maximum,
                "enum": allowed,
            }
        case "enum":
            return {"type": "string", **described, "enum": list(dict.fromkeys(field.values))}
        case "string":
            return {"type": "string", **described, "minLength": 1, "maxLength": field.max_length}


def _tokens(field: VisualField) -> int:
    """What the longest value of *field* costs, roughly."""
    return FIELD_TOKENS + (round(field.max_length / CHARS_PER_TOKEN) if field.type == "string" else FIELD_TOKENS)


def _described(name: str, field: VisualField, speech: Speech) -> str:
    details = [field.description] if field.description else []
    match field.type:
        case "enum":
            details.append(
                ", ".join(field.values[:-1]) + (speech.separator if field.values[:-1] else "") + field.values[-1]
            )
        case "float" if not any(digit in field.description for digit in "0123456789"):
            details.append(f"{_json_number(field.minimum)}{speech.to}{_json_number(field.maximum)}")
    return f"{name} ({': '.join(details)})" if details else name


def _sample(name: str, field: VisualField, example: Example) -> str | float:
    match field.type:
        case "float":
            allowed = levels(field.minimum, field.maximum)
            return _json_number(allowed[round(example.energy * (len(allowed) - 1))])
        case "enum":
            is_known = example.mood in field.values
            return example.mood if is_known else field.values[round(example.energy * (len(field.values) - 1))]
        case "string":
            known = {"style": example.style} | dict.fromkeys(COLOUR_FIELDS, example.palette)
            return known.get(name, example.scene)[: field.max_length].rstrip()


def _json_number(value: float) -> float | int:
    """Without a needless ``.0``, which is two tokens."""
    return int(value) if value.is_integer() and abs(value) < 1e15 else value


def _number(value: int | float | str, field: VisualField) -> float | None:
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return min(max(number, field.minimum), field.maximum) if math.isfinite(number) else None


def _word(word: str, field: VisualField) -> str | None:
    if word in field.values:
        return word
    return next((known for known in field.values if known.casefold() == word.strip().casefold()), None)


def _text(text: str, field: VisualField) -> str | None:
    text = " ".join(_CONTROL.sub(" ", text).split())
    if len(text) >= field.max_length and " " in text[: field.max_length]:  # its last word may be half of one
        text = text[: field.max_length].rsplit(" ", 1)[0].rstrip(" ,;:-")
    text = text[: field.max_length]
    return (clip_tokens.cut(text, field.clip_tokens) if field.clip_tokens else text) or None
