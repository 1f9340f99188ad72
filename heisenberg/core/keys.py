"""The configuration's keys in words: what each allows, and how its value is written.

Reads the JSON schema of ``core/config.py`` and nothing else, so an error message, the example file and
the reference page can never disagree with the code. It loads nothing and checks nothing.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from heisenberg.core.config import Config

Node = Mapping[str, Any]
"""A piece of JSON schema with its references resolved."""

_UNITS = {"seconds": "seconds", "hz": "Hz", "bytes": "bytes", "tokens": "tokens"}
_SECRET = re.compile(r"(key|token|secret|password|passwd|credentials?)$")
_URL_PASSWORD = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_LONGEST_SHOWN = 80


@cache
def schema() -> Node:
    """The whole configuration as JSON schema, references resolved."""
    document = Config.model_json_schema()
    definitions = document.pop("$defs")

    def resolved(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                node = {**definitions[node["$ref"].rsplit("/", 1)[1]], **{k: v for k, v in node.items() if k != "$ref"}}
            return {name: resolved(child) for name, child in node.items()}
        return [resolved(child) for child in node] if isinstance(node, list) else node

    tree: Node = resolved(document)
    return tree


def sections() -> Mapping[str, Node]:
    """Every table of the file by name, in the file's order."""
    found: Mapping[str, Node] = schema()["properties"]
    return found


def all_keys() -> Iterator[tuple[str, Node]]:
    """Every key as (``vad.silence_seconds``, its schema), in the file's order."""
    for section, table in sections().items():
        for name, node in table["properties"].items():
            yield f"{section}.{name}", node


def tables() -> Iterator[tuple[str, Node]]:
    """Every key whose value is a table of tables (``visual.schema``), with the schema of one of these."""
    for name, node in all_keys():
        inner = _child(node, "") if kind(node) == "object" else None
        if inner is not None and "properties" in inner:
            yield name, inner


def node_at(path: Sequence[str | int]) -> Node | None:
    """The schema at *path*, for example ``("osc", "targets", 0)``; None where nothing is allowed."""
    node: Node | None = schema()
    for part in path:
        node = _child(node, part) if node is not None else None
    return node


def _child(node: Node, part: str | int) -> Node | None:
    if "properties" in node:
        child: Node | None = node["properties"].get(part)
        return child
    inner = [*node.get("patternProperties", {}).values(), node.get("items"), node.get("additionalProperties")]
    return next((child for child in inner if isinstance(child, dict)), None)


def kind(node: Node) -> str:
    """The JSON type: ``string``, ``integer``, ``number``, ``boolean``, ``array`` or ``object``."""
    return str(_without_null(node).get("type", "string"))


def _without_null(node: Node) -> Node:
    choices: list[Node] = node.get("anyOf", [])
    return next((choice for choice in choices if choice.get("type") != "null"), node)


def choices(node: Node) -> list[str]:
    """The words that a key may be, or [] if it is free."""
    return [str(node["const"])] if "const" in node else [str(word) for word in node.get("enum", [])]


def allowed(node: Node, name: str) -> str:
    """What *name* may be, in words: ``seconds between 0.1 and 5.0``."""
    several = [allowed(choice, name) for choice in node.get("anyOf", []) if choice.get("type") != "null"]
    if len(several) > 1:
        return ", ".join(several[:-1]) + f" or {several[-1]}"
    node = _without_null(node)
    if words := choices(node):
        return ("one of " if len(words) > 1 else "") + ", ".join(toml(word) for word in words)
    if kind(node) == "array":
        return "a list of " + _plural(node["items"], name) + _at_least(node)
    if kind(node) == "object":
        return _allowed_table(node, name)
    if kind(node) == "boolean":
        return "true or false"
    if kind(node) == "string":
        return _text(node)
    return _number(node, name)


def _plural(node: Node, name: str) -> str:
    inner = allowed(node, name)
    return inner.replace("a number", "numbers").replace("a whole number", "whole numbers")


def _at_least(node: Node) -> str:
    fewest = node.get("minItems", 0)
    return f", at least {fewest}" if fewest else ""


def _allowed_table(node: Node, name: str) -> str:
    if "properties" in node:
        return "a table with the keys " + ", ".join(node["properties"])
    inner = _child(node, "")
    if inner is None:
        return "a table"
    return "a table of " + ("tables" if "properties" in inner else _plural(inner, name))


def _text(node: Node) -> str:
    text = "a path" if node.get("format") == "path" else "text"
    if "pattern" in node:
        text += f" matching {node['pattern']}"
    if "maxLength" in node:
        text += f" of at most {node['maxLength']} characters"
    return text


def _number(node: Node, name: str) -> str:
    is_whole = kind(node) == "integer"
    unit = _UNITS.get(name.rsplit(".", 1)[-1].rsplit("_", 1)[-1], "")
    noun = "a whole number" + (f" of {unit}" if unit else "") if is_whole else unit or "a number"
    bound = int if is_whole else float
    low = node.get("minimum", node.get("exclusiveMinimum"))
    high = node.get("maximum", node.get("exclusiveMaximum"))
    if low is not None and high is not None:
        return f"{noun} between {bound(low)} and {bound(high)}"
    if low is not None:
        return f"{noun}, {bound(low)} or more"
    return f"{noun}, {bound(high)} or less" if high is not None else noun


def example(node: Node) -> str:
    """A value that would be accepted, as TOML: the default; "" if there is none to show."""
    default = node.get("default")
    return "" if default in (None, "", [], {}) else toml(default)


def toml(value: object) -> str:
    """*value* as it is written in a TOML file, on one line (``unset`` for None, which TOML cannot say)."""
    match value:
        case None:
            return "unset"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case Mapping():
            inner = ", ".join(f"{bare(str(name))} = {toml(child)}" for name, child in value.items())
            return f"{{ {inner} }}" if inner else "{}"
        case list() | tuple():
            return "[" + ", ".join(toml(child) for child in value) + "]"
        case _:
            return _quoted(str(value))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def bare(name: str) -> str:
    """*name* as a TOML key, quoted where it must be."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quoted(name)


def is_secret(name: str) -> bool:
    """Whether the value of *name* must never be shown."""
    return bool(_SECRET.search(name.rsplit(".", 1)[-1].lower()))


def masked(name: str, value: object) -> object:
    """*value*, or ``"***"`` in its place where it is a secret (a password inside a URL is one too)."""
    if is_secret(name):
        return "***" if value else value
    if isinstance(value, Mapping):
        return {inner: masked(str(inner), child) for inner, child in value.items()}
    if isinstance(value, list | tuple):
        return [masked(name, child) for child in value]
    return _URL_PASSWORD.sub("***", value) if isinstance(value, str) else value


def shown(name: str, value: object) -> str:
    """*value* for a message: masked, as TOML, shortened to one comfortable line."""
    text = toml(masked(name, value))
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"
