"""Where configuration values come from: the TOML file, ``.env``, the environment, the command line.

Each source becomes a :class:`Layer`, a nested dict that remembers who set what. Nothing is validated here;
``core/settings.py`` puts the layers on top of each other and checks the result.
"""

import contextlib
import json
import logging
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heisenberg.core import faults, keys
from heisenberg.core.errors import ConfigError

log = logging.getLogger(__name__)

PREFIX = "HEISENBERG_"
ALIASES: Mapping[str, str] = {
    "AUDIO_SAMPLE_RATE": "audio.sample_rate",
    "AUDIO_CHANNELS": "audio.channels",
    "AUDIO_CHUNK_SIZE": "audio.chunk_size",
    "MOSHI_DEVICE": "stt.device",
    "OLLAMA_MODEL": "llm.model",
    "BRAIN_ANALYSIS_INTERVAL": "brain.analysis_interval",
}
"""Names from before Heisenberg had sections; the names with HEISENBERG_ win over them."""

KeyPath = tuple[str, ...]
_TWICE = re.compile(r"Cannot declare \((.+)\) twice")
"""tomllib's words for a section that begins a second time."""


@dataclass(frozen=True, slots=True)
class Layer:
    """The values of one source."""

    name: str
    """``file``, ``.env``, ``environment`` or ``command line``."""
    values: dict[str, Any] = field(default_factory=dict)
    """Nested as in the file."""
    origins: dict[KeyPath, str] = field(default_factory=dict)
    """Who set it, for messages: ``config.toml``, ``environment HEISENBERG_STT__MODEL``."""
    faults: list[str] = field(default_factory=list)
    """Values that could not even be read, as lines for people; they are not in ``values``."""

    def put(self, path: KeyPath, value: object, origin: str) -> None:
        """Set one value. A table in the way of a deeper key is kept, anything else is replaced."""
        table = self.values
        for part in path[:-1]:
            if not isinstance(table.get(part), dict):
                table[part] = {}
            table = table[part]
        table[path[-1]] = value
        self.origins[path] = origin

    def origin(self, path: KeyPath) -> str | None:
        """Who set *path*, something inside it or something around it; None if nobody did."""
        for known, origin in self.origins.items():
            shared = min(len(known), len(path))
            if known[:shared] == path[:shared]:
                return origin
        return None


def from_file(path: Path, shown_path: str) -> Layer:
    """Read a TOML file. Raises ConfigError (``config-unreadable``) naming line and column."""
    layer = Layer("file")
    for route, value in _leaves(_document(path, shown_path)):
        layer.put(route, value, shown_path)
    return layer


def _document(path: Path, shown_path: str) -> dict[str, Any]:
    text = _text(path, shown_path)
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as exc:
        where, what = _toml_fault(text, str(exc))
        raise _unreadable(f"{shown_path}{where}: not TOML: {what}.") from exc


def _text(path: Path, shown_path: str) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError as exc:
        raise _unreadable(f"{shown_path}: there is no such file. Copy config.example.toml to begin with.") from exc
    except IsADirectoryError as exc:
        raise _unreadable(f"{shown_path}: this is a folder; name the TOML file in it.") from exc
    except OSError as exc:
        raise _unreadable(f"{shown_path}: cannot be read: {exc.strerror or exc}.") from exc
    try:
        return content.decode("utf-8-sig")  # editors on Windows put a byte order mark in front
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        found = f"byte 0x{content[exc.start]:02x} on line {line}"
        raise _unreadable(f"{shown_path}: {found} is not UTF-8; save the file as UTF-8.") from exc


def _toml_fault(text: str, message: str) -> tuple[str, str]:
    """Where and what, from tomllib's ``Expected '=' (at line 3, column 5)``."""
    what, _, where = message.rstrip(")").partition(" (at ")
    if where == "end of document":
        lines = text.split("\n")
        where = f"line {len(lines)}, column {len(lines[-1]) + 1}"
    if twice := _TWICE.fullmatch(what):
        name = ".".join(re.findall(r"[^', ]+", twice[1]))
        what = f"there are two [{name}] sections; merge them into one"
    return (f" {where}" if where else ""), what[:1].lower() + what[1:]


def _unreadable(message: str) -> ConfigError:
    return ConfigError(message, code="config-unreadable")


def _leaves(table: Mapping[str, Any], above: KeyPath = ()) -> Iterable[tuple[KeyPath, Any]]:
    for name, value in table.items():
        path = (*above, name)
        if isinstance(value, dict) and value:
            yield from _leaves(value, path)
        else:
            yield path, value


def from_environment(variables: Mapping[str, str | None], name: str) -> Layer:
    """Take what is ours out of *variables*; empty ones do not count.

    Args:
        variables: the environment, or the contents of ``.env``.
        name: ``environment`` or ``.env``, for messages.
    """
    layer = Layer(name)
    ours = {variable: text for variable, text in variables.items() if text}
    for variable, key in ALIASES.items():
        if variable in ours and _is_usable(name, variable, key, ours[variable]):
            _put_variable(layer, variable, tuple(key.split(".")), ours[variable])
    for variable, text in sorted(ours.items()):  # HEISENBERG_A__B before HEISENBERG_A__B__C
        if variable.startswith(PREFIX) and "__" in variable[len(PREFIX) :]:
            _put_variable(layer, variable, tuple(variable[len(PREFIX) :].lower().split("__")), text)
    return layer


def _is_usable(name: str, variable: str, key: str, text: str) -> bool:
    """An old device name that this version does not know (``mps``) is no reason to refuse to start."""
    if variable != "MOSHI_DEVICE":
        return True
    words = keys.choices(keys.node_at(key.split(".")) or {})
    if text not in words:
        log.warning("%s %s: is %s, ignored; %s is one of %s", name, variable, keys.toml(text), key, ", ".join(words))
    return text in words


def _put_variable(layer: Layer, variable: str, path: KeyPath, text: str) -> None:
    _put_text(layer, path, text, f"{layer.name} {variable}")


def _put_text(layer: Layer, path: KeyPath, text: str, origin: str) -> None:
    try:
        value = decoded(path, text)
    except ValueError as exc:
        layer.faults.append(faults.wrong_value(origin, ".".join(path), text, str(exc)))
        return
    if isinstance(value, dict) and value:
        for inner, leaf in _leaves(value, path):
            layer.put(inner, leaf, origin)
    else:
        layer.put(path, value, origin)


_BOOLEANS = dict.fromkeys(("true", "1", "yes", "on"), True) | dict.fromkeys(("false", "0", "no", "off"), False)


def decoded(path: KeyPath, text: str) -> object:
    """*text* as the type that *path* wants; a word where a number belongs is left for validation to report.

    Raises: ValueError, saying what is expected, for a list or table that is not JSON.
    """
    node = keys.node_at(path)
    if node is None:
        return text
    match keys.kind(node):
        case "array":
            return _json(path, node, text, list)
        case "object":
            return _json(path, node, text, dict)
        case "boolean":
            return _BOOLEANS.get(text.lower(), text)
        case "integer":
            return int(text) if re.fullmatch(r"\s*[+-]?\d{1,18}\s*", text) else text
        case "number":
            with contextlib.suppress(ValueError):
                return float(text)
    return text


def _json(path: KeyPath, node: keys.Node, text: str, wanted: type) -> object:
    value: object = None
    with contextlib.suppress(ValueError, RecursionError):
        value = json.loads(text)
    if isinstance(value, wanted):
        return value
    sample = json.dumps(node.get("default") or wanted(), ensure_ascii=False)
    raise ValueError(f"{keys.allowed(node, path[-1])}, written as JSON (example: '{sample}')")


def from_command_line(overrides: Mapping[str, object]) -> Layer:
    """Take dotted keys (``stt.model``); None means that the option was not given."""
    layer = Layer("command line")
    for key, value in overrides.items():
        if value is None:
            continue
        path = tuple(key.split("."))
        if isinstance(value, str):
            _put_text(layer, path, value, layer.name)
        else:
            layer.put(path, value, layer.name)
    return layer


def dotenv(folder: Path) -> Mapping[str, str | None]:
    """The variables of ``.env`` in *folder*, none if there is no such file. Raises ConfigError."""
    path = folder / ".env"
    if not path.is_file():
        return {}
    from dotenv import dotenv_values

    try:
        return dotenv_values(path, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        raise _unreadable(f".env: cannot be read: {exc}.") from exc
