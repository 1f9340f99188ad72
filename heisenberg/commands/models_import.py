"""``heisenberg models import``: a llama-runner configuration becomes one of ours, on standard output or in a file."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from heisenberg.core import keys
from heisenberg.core.errors import ConfigError
from heisenberg.runner.catalog.llama_runner import imported

BYTES_MAX = 16 << 20


def import_configuration(source: Path, output: Path | None, *, force: bool) -> int:
    """Write what *source* says to *output*, or print it; what was left out goes to standard error.

    Raises: ConfigError if *source* cannot be read, or *output* not be written.
    """
    result = imported(_read(source))
    head = f"# From {source.name}, a llama-runner configuration. All keys: docs/reference/configuration.md\n"
    text = head + "".join(f"{line}\n" for line in as_toml(result.document))
    if output is None:
        print(text, end="")
    else:
        _write(output, text, force=force)
        print(f"Written to {output}. Use it with: heisenberg serve --config {output}", file=sys.stderr)
    for note in result.notes:
        print(f"heisenberg: {note}", file=sys.stderr)
    return 0


def as_toml(document: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[str]:
    """The lines of *document* as TOML: each table under its own heading, its plain keys first."""
    plain = {name: value for name, value in document.items() if not isinstance(value, Mapping)}
    tables = {name: value for name, value in document.items() if isinstance(value, Mapping)}
    if path and (plain or not tables):
        yield ""
        yield "[" + ".".join(map(keys.bare, path)) + "]"
    for name, value in plain.items():
        yield f"{keys.bare(name)} = {keys.toml(value)}"
    for name, table in tables.items():
        yield from as_toml(table, (*path, name))


def _read(source: Path) -> object:
    try:
        with source.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
        if len(content) > BYTES_MAX:
            raise ConfigError(f"{source} has more than {BYTES_MAX >> 20} MB, which no configuration has.")
        return json.loads(content.decode("utf-8-sig"))
    except OSError as exc:
        raise ConfigError(f"{source} cannot be read: {exc.strerror or exc}.", code="config-unreadable") from exc
    except (ValueError, RecursionError) as exc:
        raise ConfigError(f"{source} is not JSON: {exc}.", code="config-unreadable") from exc


def _write(output: Path, text: str, *, force: bool) -> None:
    if output.exists() and not force:
        raise ConfigError(f"{output} exists. Choose another name, or replace it with --force.")
    try:
        # It may hold a key: for its owner only.
        flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if force else os.O_EXCL)
        with os.fdopen(os.open(output, flags, 0o600), "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
    except OSError as exc:
        raise ConfigError(f"{output} cannot be written: {exc.strerror or exc}.") from exc
