"""One look at all folders: from the configuration, the models folder and the discovery folders to a listing.

Reads the disk and takes its time, from milliseconds to minutes for hundreds of headers that nobody has read before;
``index.py`` sees to it that nobody waits for that who need not.
"""

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from heisenberg.core.config import CatalogConfig
from heisenberg.core.errors import HeisenbergError, ModelNotFound, ModelUnreadable
from heisenberg.runner.catalog import described
from heisenberg.runner.catalog.described import Rules
from heisenberg.runner.catalog.discover import LOCAL, Found, discover, projector_beside, unique
from heisenberg.runner.catalog.entry import Model
from heisenberg.runner.catalog.gguf import GgufHeader
from heisenberg.runner.catalog.listing import Listing, assembled
from heisenberg.runner.catalog.newer import Candidate, newest
from heisenberg.runner.catalog.store import InstalledModel, Store

log = logging.getLogger(__name__)

ReadHeader = Callable[[Path], GgufHeader | None]
"""What a GGUF file says of itself; None if nobody has read it yet. Raises ModelUnreadable."""

_ORIGIN = re.compile(r"hf:(?P<owner>[^/]+)/.+")


class Scan:
    """Looks at the folders, again and again; says once what is wrong with them.

    Args:
        rules: the configuration.
        store: the models folder.
    """

    def __init__(self, rules: Rules, store: Store) -> None:
        self._rules = rules
        self._store = store
        self._said: set[str] = set()
        self._saying: set[str] = set()

    @property
    def roots(self) -> list[Path]:
        """The folders in which models come and go."""
        named = [Path(folder).expanduser().absolute() for folder in self._rules.config.runner.discovery]
        return [self._store.folder, *named]

    def look(self) -> "Sight":
        """What is on the disk, by the names in its folders."""
        self._saying = set()
        installed = {model.name: model for model in self._store.installed()}
        discovered = [found for root in self.roots[1:] for found in self._discovered(root)]
        return Sight(installed, unique([*map(_as_found, installed.values()), *discovered]))

    def listing(self, sight: "Sight", read: ReadHeader) -> Listing:
        """The models in *sight*, with what *read* knows of their headers."""
        missing: dict[str, str] = {}
        configured = list(self._configured(sight, read, missing))
        found = list(self._found(sight, read, missing))
        listing = assembled(configured, found, missing, self._warn)
        self._said &= self._saying  # what was mended may break again, and is said again then
        return listing

    def _discovered(self, root: Path) -> list[Found]:
        if root.is_dir():
            return discover(root, self._warn)
        self._warn(f"runner.discovery has {root}, which is not a folder.")
        return []

    def _found(self, sight: "Sight", read: ReadHeader, missing: dict[str, str]) -> Iterator[Model]:
        for found in sight.found:
            try:
                header = self._header(found, read)
            except ModelUnreadable as exc:  # whoever reads headers has said so in the log
                missing.setdefault(found.name, exc.message)
                continue
            if found.kind == "turn" or (header is not None and not described.is_model(header)):
                continue
            try:
                yield described.local(found.name, found, header, self._rules)
            except OSError as exc:
                self._warn(f"{found.files[0]} cannot be used as a model: {exc.strerror or exc}.")

    def _header(self, found: Found, read: ReadHeader) -> GgufHeader | None:
        return read(found.files[0]) if found.kind == "llm" else None

    def _configured(self, sight: "Sight", read: ReadHeader, missing: dict[str, str]) -> Iterator[Model]:
        for name, entry in self._rules.config.models.catalog.items():
            if entry.urls:
                yield described.remote(name, entry, self._rules)
                continue
            try:
                yield self._from_path(name, entry, sight, read)
            except (ModelNotFound, ModelUnreadable, OSError) as exc:
                why = exc.message if isinstance(exc, HeisenbergError) else str(exc)
                missing[name] = f"models.catalog.{name}.path: {why}"
                self._warn(missing[name])

    def _from_path(self, name: str, entry: CatalogConfig, sight: "Sight", read: ReadHeader) -> Model:
        found = sight.named(entry.path) or self._at(entry.path)
        is_speech = found.kind in ("stt", "tts")
        if found.kind == "turn" or ("kind" in entry.model_fields_set and is_speech != (entry.kind in ("stt", "tts"))):
            raise ModelNotFound(f'"{entry.path}" is no model of kind {entry.kind}.')
        header = self._header(found, read)
        if entry.auto_update and header is not None:
            found, header = self._newest(name, found, header, sight, read)
        return described.local(name, found, header, self._rules, entry)

    def _at(self, path: str) -> Found:
        """Raises ModelNotFound."""
        return _as_found(self._store.at(path) or self._store.find(path))

    def _newest(
        self, name: str, found: Found, header: GgufHeader, sight: "Sight", read: ReadHeader
    ) -> tuple[Found, GgufHeader]:
        current = Candidate(found, header, found.files[0].stat().st_mtime)
        best = newest(current, _candidates(sight.found, read))
        if best is not current:
            self._say(logging.INFO, f"{name} follows to the newer file {best.found.files[0]}.")
        return best.found, best.header

    def _warn(self, message: str) -> None:
        self._say(logging.WARNING, message)

    def _say(self, level: int, message: str) -> None:
        self._saying.add(message)
        if message not in self._said:
            self._said.add(message)
            log.log(level, "%s", message)


class Sight:
    """What one look at the disk found.

    Args:
        installed: the models folder, by name.
        found: all models, those that are installed first.
    """

    def __init__(self, installed: Mapping[str, InstalledModel], found: Sequence[Found]) -> None:
        self.found = found
        self._installed = installed
        self._by_name = {each.name: each for each in reversed(found)}

    def named(self, name: str) -> Found | None:
        """The model called *name*, or pulled from the hub repository *name*; None if there is none."""
        if (found := self._by_name.get(name)) is not None:
            return found
        origins = (f"hf:{name.removeprefix('hf:')}", name)
        return next((_as_found(model) for model in self._installed.values() if model.origin in origins), None)


def _candidates(found: Sequence[Found], read: ReadHeader) -> Iterator[Candidate]:
    for each in found:
        try:
            if each.kind == "llm" and (header := read(each.files[0])) is not None:
                yield Candidate(each, header, each.files[0].stat().st_mtime)
        except (ModelUnreadable, OSError):
            continue


def _as_found(model: InstalledModel) -> Found:
    match = _ORIGIN.fullmatch(model.origin)
    projector = projector_beside(model.files[0]) if model.kind == "llm" else None
    return Found(model.name, model.kind, model.files, projector, match["owner"] if match else LOCAL)
