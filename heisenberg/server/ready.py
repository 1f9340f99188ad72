"""Whether the models that are to be there from the start are there.

Only watches; loading them is the affair of whoever starts the server.
"""

from collections.abc import Mapping

from heisenberg.core.config import CatalogConfig
from heisenberg.runner.fleet import Fleet


class Preloads:
    """What is still missing. A model that was there once counts for ever: it may be unloaded when nobody uses it.

    Args:
        fleet: the models.
        configured: ``models.catalog``, where it says what is to be loaded at start, also of files that nobody can read.
    """

    def __init__(self, fleet: Fleet, configured: Mapping[str, CatalogConfig]) -> None:
        self._fleet = fleet
        self._awaited = {name for name, entry in configured.items() if entry.preload and not entry.urls}

    def missing(self) -> Mapping[str, str]:
        """The models that are not loaded, in alphabetical order: name → why it failed, empty while it may come yet."""
        if self._awaited:
            self._awaited -= {entry.model.name for entry in self._fleet.loaded() if entry.state == "loaded"}
        if not self._awaited:
            return {}
        failed = {**self._fleet.failed_preloads, **self._fleet.catalog.unusable}
        return {name: failed.get(name, "") for name in sorted(self._awaited)}
