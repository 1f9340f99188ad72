"""The answer's form: the JSON schema that constrains the model, and the check of what it says.

Built from the configured fields (``visual.schema``). The schema makes a server that honours it answer well
within the ranges; the check holds for every server. It does not parse: ``partial.py`` does.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from heisenberg.core.config import VisualField
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

T = TypeVar("T")
S = TypeVar("S")

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]+")


class VisualSchema:
    """The visual fields of an answer.

    Args:
        fields: the configured fields by name.
        max_tokens: the longest answer in tokens; bounds the reply, so that the visuals still fit.
        visual_first: whether the visuals come before the reply: the picture sooner, the voice later.
    """

    def __init__(self, fields: Mapping[str, VisualField], *, max_tokens: int, visual_first: bool = False) -> None:
        self.fields = dict(fields)
        self.visual_first = visual_first
        left = max_tokens - STRUCTURE_TOKENS - sum(_tokens(field) for field in self.fields.values())
        self.reply_chars = min(max(round(left * CHARS_PER_TOKEN), SHORTEST_REPLY_CHARS), LONGEST_REPLY_CHARS)
        """Longest reply in characters."""

    def json_schema(self) -> dict[str, Any]:
        """``{"reply": string, "visual": {…}}``, everything required and nothing else allowed."""
        reply = {"type": "string", "minLength": 1, "maxLength": self.reply_chars}
        if not self.fields:
            return _object({"reply": reply})
        visual = _object({name: _property(field) for name, field in self.fields.items()})
        return _object(self._ordered(reply, visual))

    def hint(self, speech: Speech) -> str:
        """The schema in words, for the prompt; short, because every token of it is read by the model."""
        if not self.fields:
            return f"{speech.form} {speech.spoken}."
        visual = "visual: " + ", ".join(_described(name, field, speech) for name, field in self.fields.items())
        return f"{speech.form} {', '.join(self._ordered(speech.spoken, visual).values())}."

    def example(self, example: Example) -> str:
        """A worked answer, as compact as the model shall write."""
        visual = {name: _sample(name, field, example) for name, field in self.fields.items()}
        return compact(self._ordered(example.reply, visual) if visual else {"reply": example.reply})

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

    def _ordered(self, reply: T, visual: S) -> dict[str, T | S]:
        both: dict[str, T | S] = {"reply": reply, "visual": visual}
        return dict(reversed(both.items())) if self.visual_first else both


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
    return text[: field.max_length] or None
