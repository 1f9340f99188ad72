"""The catalog: every model that clients may ask for, by name.

From the models folder, the configuration (``models.catalog``) and the discovery folders. Names are looked up here,
they are never made into paths. Nothing is loaded.
"""

import difflib
from collections.abc import Iterable

from heisenberg.core.config import Config
from heisenberg.core.errors import ModelNotFound
from heisenberg.runner.catalog.entry import Capability, Model
from heisenberg.runner.catalog.store import InstalledModel, Store

_CAN: dict[str, frozenset[Capability]] = {
    "llm": frozenset({"completion"}),
    "stt": frozenset({"transcription"}),
    "tts": frozenset({"speech"}),
}


class Catalog:
    """The models of this machine.

    Args:
        config: names, paths, parameters and servers of models.
        store: the models folder.
    """

    def __init__(self, config: Config, store: Store) -> None:
        self._config = config
        self._store = store

    def all(self) -> list[Model]:
        """Every model, by name."""
        found = {model.name: model for model in self._found()}
        return [found[name] for name in sorted(found)]

    def find(self, name: str) -> Model:
        """The model called *name*: its name or an alias, with Ollama's ``:latest`` or without.

        Raises: ModelNotFound.
        """
        plain = name.removesuffix(":latest")
        models = self.all()
        for model in models:
            if plain == model.name or plain in model.aliases:
                return model
        similar = difflib.get_close_matches(plain, [model.name for model in models], n=1)
        hint = f' Did you mean "{similar[0]}"?' if similar else " See GET /v1/models."
        raise ModelNotFound(f"model '{name}' not found.{hint}")

    def _found(self) -> Iterable[Model]:
        for installed in self._store.installed():
            if installed.kind in _CAN:
                yield self._local(installed)
        for name, entry in self._config.models.catalog.items():
            if entry.urls:
                yield Model(
                    name=name,
                    kind=entry.kind,
                    display_name=entry.display_name or name,
                    aliases=tuple(entry.aliases),
                    urls=tuple(entry.urls),
                    remote_name=entry.remote_name or name,
                    api_key=entry.api_key,
                    capabilities=_CAN.get(entry.kind, frozenset()),
                )

    def _local(self, installed: InstalledModel) -> Model:
        return Model(
            name=installed.name,
            kind=installed.kind if installed.kind != "turn" else "llm",
            display_name=installed.name,
            files=installed.files,
            size_bytes=installed.size_bytes,
            modified_s=installed.files[0].stat().st_mtime,
            capabilities=_CAN[installed.kind],
            context_tokens=self._config.llm.context_tokens if installed.kind == "llm" else 0,
            ttl_s=self._config.runner.ttl_seconds,
        )
