"""In the place of a wake-word engine where none is wanted: ambient mode without spoken commands."""

from heisenberg.core.audio import Samples
from heisenberg.core.stages import Wake


class NoWakeWord:
    """Hears no wake word, and costs nothing."""

    def process(self, samples: Samples) -> Wake | None:
        """Nothing."""
        return None

    def reset(self) -> None:
        """Nothing to forget."""

    def close(self) -> None:
        """Nothing to free."""
