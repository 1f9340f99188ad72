"""What was carried over from another program's configuration: our tables, and what could not be said in them.

Knows our side only: names and values of llama-server's options, and what our configuration allows. Whose configuration
it was is the affair of whoever fills it (``llama_runner.py``). Pure.
"""

import math
import re
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from heisenberg.core.config import Config
from heisenberg.core.errors import ConfigError
from heisenberg.runner import llama_options

Table = dict[str, Any]

_OPTION = re.compile(r"[a-z][a-z0-9-]{0,63}")


@dataclass(slots=True)
class Imported:
    """What became of a configuration."""

    document: Table = field(default_factory=dict)
    """Tables of ours, as TOML would have them."""
    notes: list[str] = field(default_factory=list)
    """What was left out or changed, one line each."""

    def put(self, *path: str, value: object) -> None:
        """Set the key at *path*, making the tables on the way."""
        table = self.document
        for name in path[:-1]:
            table = table.setdefault(name, {})
        table[path[-1]] = value

    def note(self, text: str) -> None:
        """Say it once."""
        if text not in self.notes:
            self.notes.append(text)


def options_of(result: Imported, where: str, value: object) -> Table:
    """llama-server's options under their long names; False where one is dropped."""
    options: Table = {}
    if not isinstance(value, dict):
        result.note(f"{where}: it is no table; it was left out.")
        return options
    for key, given in value.items():
        name = llama_options.long_name(key.strip().lstrip("-").replace("_", "-").lower())
        plain = _plain(given)
        if why := _why_not(name, plain, given):
            result.note(f"{where}.{key}: {why}; it was left out.")
            continue
        if name == "flash-attn" and plain is True:
            plain = "on"  # current builds want a word
        if name in options:
            result.note(f"{where}.{key}: it is the same as {name}, which is there, too; this one counts.")
        options[name] = plain
    return options


def _plain(given: object) -> bool | int | float | str | list[str] | None:
    """A value that our configuration takes; False for what drops an option, None for what cannot be said."""
    match given:
        case None | "" | []:
            return False
        case bool() | int() | str():
            return given
        case float():
            return given if math.isfinite(given) else None
        case list():
            return [str(each) for each in given]
    return None


def _why_not(name: str, plain: object, given: object) -> str:
    if not _OPTION.fullmatch(name):
        return "that is no name of an option"
    if plain is None:
        return f"{type(given).__name__} is no value for an option"
    if plain is False or (name == "embeddings" and plain is True):
        return ""
    if why := llama_options.OURS.get(name):
        return why
    if llama_options.is_unsafe(name):
        return "it is dangerous (runner.allow_unsafe_args)"
    return ""


def made_valid(result: Imported) -> Imported:
    """Without what our configuration does not allow, each named."""
    while True:
        try:
            llama_options.check(Config.model_validate(result.document))
            return result
        except ValidationError as exc:
            for error in exc.errors(include_url=False, include_context=False):
                _take_out(result, error["loc"], error["msg"])


def _take_out(result: Imported, path: tuple[str | int, ...], why: str) -> None:
    """Remove the deepest part of *path* that is there."""
    owner: Any = result.document
    for depth, part in enumerate(path):
        inner = owner.get(part) if isinstance(owner, dict) else None
        if not isinstance(inner, dict) or depth == len(path) - 1:
            break
        owner = inner
    shown = ".".join(map(str, path))
    if not isinstance(owner, dict) or part not in owner:
        raise ConfigError(f"{shown} cannot be carried over: {why}.")
    del owner[part]
    result.note(f"{shown}: {why}; it was left out.")
