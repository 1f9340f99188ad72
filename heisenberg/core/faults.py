"""What is wrong with a configuration, one line for each fault.

A line names who set the value (file, variable, command line), the key, the value seen and what is allowed.
It turns pydantic's findings into such lines; it finds nothing itself.
"""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from heisenberg.core import keys

KeyPath = tuple[str, ...]
OriginOf = Callable[[KeyPath], str | None]
"""Who set a key; None for a default."""

MOST_LINES = 5
_MENTIONED = re.compile(r"\b[a-z_]+\.[a-z_]+\b")


def wrong_value(origin: str, name: str, value: object, expected: str) -> str:
    """``config.toml: vad.silence_seconds is "fast"; expected seconds between 0.1 and 5.0.``"""
    return f"{origin}: {name} is {keys.shown(name, value)}; expected {expected}."


def lines(errors: Sequence[Mapping[str, Any]], origin_of: OriginOf) -> list[str]:
    """One line for each of pydantic's *errors*, each once."""
    return list(dict.fromkeys(_line(error, origin_of) for error in errors))


def joined(found: Sequence[str]) -> str:
    """The message of the ConfigError: at most five lines, the last says how many more there are."""
    shown = list(found[:MOST_LINES])
    if len(found) > MOST_LINES:
        shown[-1] += f" (And {len(found) - MOST_LINES} more.)"
    return "\n".join(shown)


def _line(error: Mapping[str, Any], origin_of: OriginOf) -> str:
    path = tuple(error["loc"])
    set_at = tuple(part for part in path if isinstance(part, str) and part != "[key]")
    origin = origin_of(set_at) or "configuration"
    value = error["input"]
    if error["type"] == "extra_forbidden":
        return unknown_key(origin, set_at, value)
    if error["type"] == "value_error":
        return _broken_rule(path, value, error["msg"].removeprefix("Value error, "), origin_of)
    if path[-1] == "[key]":
        return f"{origin}: {_dotted(path[:-2])} holds {keys.toml(value)}; expected names{_names_allowed(path[:-2])}."
    node = keys.node_at(path)
    name = _dotted(path)
    if node is None:
        return f"{origin}: {name} is {keys.shown(name, value)}; {error['msg'].lower()}."
    expected = keys.allowed(node, name)
    words = keys.choices(node)
    if near := _nearest(str(value), words):
        return wrong_value(origin, name, value, expected) + f" Did you mean {keys.toml(near)}?"
    return wrong_value(origin, name, value, expected if words else expected + _example(path))


def _example(path: Sequence[str | int]) -> str:
    """The default as an example; for an item of a list, that of the list."""
    whole = path[:-1] if isinstance(path[-1], int) else path
    sample = keys.example(keys.node_at(whole) or {})
    return f" (example: {sample})" if 0 < len(sample) < 60 else ""


def _dotted(path: Sequence[str | int]) -> str:
    """``osc.targets[1]`` for ("osc", "targets", 1)."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{keys.bare(part)}" for part in path)
    return text.removeprefix(".")


def _names_allowed(path: Sequence[str | int]) -> str:
    patterns = (keys.node_at(path) or {}).get("patternProperties", {})
    return "".join(f" matching {pattern}" for pattern in patterns)


# ── keys that do not exist ───────────────────────────────────────────────────────────────────────


def unknown_key(origin: str, path: KeyPath, value: object) -> str:
    """``config.toml: stt.modle is "base", but there is no such key. Did you mean stt.model?``"""
    return f"{origin}: " + (_unknown(path, value) if len(path) > 1 else _unknown_section(path[0], value))


def _unknown(path: KeyPath, value: object) -> str:
    name = _dotted(path)
    near = _suggestion(path)
    seen = '"***"' if near and keys.is_secret(near) else keys.shown(name, value)
    if near:
        return f"{name} is {seen}, but there is no such key. Did you mean {near}?"
    table = keys.node_at(path[:-1]) or {}
    known = ", ".join(table.get("properties", ()))
    return f"{name} is {seen}, but there is no such key. [{_dotted(path[:-1])}] has {known}."


def _unknown_section(name: str, value: object) -> str:
    homes = [f"[{section}]" for section, table in keys.sections().items() if name in table["properties"]]
    if homes and not isinstance(value, dict):
        return f"{name} is {keys.shown(name, value)}, outside of any section; expected below {' or '.join(homes)}."
    near = _nearest(name, list(keys.sections()))
    hint = f"Did you mean [{near}]?" if near else f"There are {', '.join(keys.sections())}."
    return f"[{keys.bare(name)}] is not a section. {hint}"


def _suggestion(path: KeyPath) -> str | None:
    *table, leaf = path
    homes = [f"{section}.{leaf}" for section, node in keys.sections().items() if leaf in node["properties"]]
    if homes:
        return " or ".join(homes)
    near = _nearest(leaf, list((keys.node_at(table) or {}).get("properties", ())))
    return _dotted([*table, near]) if near else None


def _nearest(word: str, words: Sequence[str]) -> str | None:
    longer = [candidate for candidate in words if len(word) > 2 and candidate.startswith(word.lower())]
    return next(iter(longer or difflib.get_close_matches(word.lower(), words, n=1, cutoff=0.6)), None)


# ── rules between keys ───────────────────────────────────────────────────────────────────────────


def _broken_rule(path: Sequence[str | int], value: Any, rule: str, origin_of: OriginOf) -> str:
    """A rule of a whole table: name the values of the keys that it mentions, or the table's."""
    mentioned = [name for name in _MENTIONED.findall(rule) if keys.node_at(name.split(".")) is not None]
    origin = _origins(mentioned, origin_of) or origin_of(tuple(str(part) for part in path)) or "configuration"
    if not mentioned:
        return f"{origin}: {_dotted(path)} is {keys.shown(_dotted(path), value)}; {rule}."
    return f"{origin}: {rule}: " + ", ".join(_seen(name, value, origin_of) for name in mentioned) + "."


def _origins(names: Sequence[str], origin_of: OriginOf) -> str:
    return " and ".join(dict.fromkeys(filter(None, (origin_of(tuple(name.split("."))) for name in names))))


def _seen(name: str, table: Any, origin_of: OriginOf) -> str:
    path = name.split(".")
    default = (keys.node_at(path) or {}).get("default")
    value = table.get(path[-1], default) if isinstance(table, dict) else default
    is_default = origin_of(tuple(path)) is None
    return f"{name} is {keys.shown(name, value)}" + (" by default" if is_default else "")
