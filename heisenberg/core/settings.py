"""Loading the configuration: defaults < TOML file < ``.env`` < environment < command line.

The keys are declared in ``core/config.py``, the sources are read in ``core/sources.py``, and faults are
put into words in ``core/faults.py``. This file only decides what wins. It watches nothing and keeps nothing.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from heisenberg.core import faults, keys, sources
from heisenberg.core.config import Config
from heisenberg.core.errors import ConfigError
from heisenberg.core.sources import KeyPath, Layer


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """The configuration, and where it came from."""

    config: Config
    path: Path | None
    """The TOML file that was read, None if there was none."""
    layers: Sequence[Layer] = field(default=(), repr=False)
    """The sources, the weakest first."""

    def origin(self, key: str) -> str:
        """Who set *key* (``stt.model``): ``default``, ``file``, ``.env``, ``environment`` or ``command line``."""
        return next((layer.name for layer in reversed(self.layers) if layer.origin(tuple(key.split(".")))), "default")

    def values(self) -> Iterator[tuple[str, object]]:
        """Every key with its value as plain TOML types; secrets are masked."""
        document = self.config.model_dump(mode="json", by_alias=True)
        for name, _ in keys.all_keys():
            section, key = name.split(".")
            yield name, keys.masked(name, document[section][key])


def load(config_path: Path | None = None, overrides: Mapping[str, object] | None = None) -> LoadedConfig:
    """Read every source and check the result.

    Args:
        config_path: the file of ``--config``; else $HEISENBERG_CONFIG, else ``./config.toml``, else the one
            in the user's configuration folder, else none.
        overrides: dotted keys from the command line, for example ``{"stt.model": "base"}``; None is "not given".
    Raises: ConfigError, one line for each fault (at most five), exit status 2.
    """
    dotenv = sources.dotenv(Path.cwd())
    path, shown_path = _find(config_path, dotenv)
    layers = [
        sources.from_file(path, shown_path) if path else Layer("file"),
        sources.from_environment(dotenv, ".env"),
        sources.from_environment(os.environ, "environment"),
        sources.from_command_line(overrides or {}),
    ]
    _take_ollamas_model(layers)
    return LoadedConfig(_validated(layers), path, layers)


def _take_ollamas_model(layers: Sequence[Layer]) -> None:
    """``OLLAMA_MODEL`` names one of Ollama's models: where it counts, Ollama is asked, if nobody says otherwise."""
    if any(layer.origin(("llm", "backend")) for layer in layers):
        return
    naming = next((layer for layer in reversed(layers) if layer.origin(("llm", "model"))), None)
    origin = naming.origin(("llm", "model")) if naming else None
    if naming is not None and origin == f"{naming.name} OLLAMA_MODEL":
        naming.put(("llm", "backend"), "ollama", origin)


def _find(config_path: Path | None, dotenv: Mapping[str, str | None]) -> tuple[Path | None, str]:
    """The file to read, and its name for messages. One that was asked for is read even if it is missing."""
    if config_path is not None:
        return config_path, str(config_path)
    named = os.environ.get("HEISENBERG_CONFIG") or dotenv.get("HEISENBERG_CONFIG")
    if named:
        return Path(named).expanduser(), f"{named} (named by HEISENBERG_CONFIG)"
    local = Path("config.toml")
    if local.exists():
        return local, str(local)
    users = user_file()
    return (users, str(users)) if users.exists() else (None, "")


def user_file() -> Path:
    """``config.toml`` in the user's configuration folder."""
    import platformdirs

    return platformdirs.user_config_path("heisenberg", appauthor=False) / "config.toml"


class _LayerSource(PydanticBaseSettingsSource):
    """A layer, as pydantic-settings wants to see it."""

    def __init__(self, settings_cls: type[BaseSettings], layer: Layer) -> None:
        super().__init__(settings_cls)
        self._layer = layer

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return self._layer.values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return self._layer.values


def _validated(layers: Sequence[Layer]) -> Config:
    class Settings(BaseSettings, Config):  # type: ignore[misc]  # both declare model_config; pydantic merges them
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *_: Any, **__: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return tuple(_LayerSource(settings_cls, layer) for layer in reversed(layers))

    def origin_of(path: KeyPath) -> str | None:
        return next((found for layer in reversed(layers) if (found := layer.origin(path))), None)

    found = [line for layer in layers for line in (*layer.faults, *_code_names(layer))]
    try:
        settings = Settings()
    except ValidationError as exc:
        errors = exc.errors(include_url=False, include_context=False)
        raise ConfigError(faults.joined(found + faults.lines(errors, origin_of))) from exc
    if found:
        raise ConfigError(faults.joined(found))
    return Config(**{name: getattr(settings, name) for name in Config.model_fields})


def _code_names(layer: Layer) -> Iterator[str]:
    """Keys under the name that they have in the code (``visual.fields``), which pydantic would accept."""
    for path, origin in layer.origins.items():
        section = Config.model_fields.get(path[0])
        fields: Mapping[str, FieldInfo] = getattr(section.annotation, "model_fields", {}) if section else {}
        if len(path) > 1 and path[1] in fields and (alias := fields[path[1]].alias):
            yield f"{origin}: {path[0]}.{path[1]} is called {path[0]}.{alias} here; rename it."
