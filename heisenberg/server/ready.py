"""Whether the models that are to be there from the start are there.

Only watches; loading them is the affair of whoever starts the server.
"""

from heisenberg.runner.fleet import Fleet


class Preloads:
    """What is still missing. A model that was there once counts for ever: it may be unloaded when nobody uses it."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._awaited = {model.name for model in fleet.catalog.all() if model.preload and not model.is_remote}

    def missing(self) -> list[str]:
        """Names of models that are not loaded yet, in alphabetical order."""
        if self._awaited:
            self._awaited -= {entry.model.name for entry in self._fleet.loaded() if entry.state == "loaded"}
        return sorted(self._awaited)
