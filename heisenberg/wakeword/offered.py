"""The phrases that other programs may have listened for: each of them gets an engine of its own.

For the server's Wyoming service, which is given this by ``heisenberg/serve.py``.
"""

from collections.abc import Sequence
from pathlib import Path

from heisenberg.core.config import WakewordConfig
from heisenberg.core.stages import WakewordEngine


class OfferedPhrases:
    """The configured phrases and those that come with microWakeWord. Its models are imported with the first client.

    Words that a service elsewhere hears for the assistant (``wakeword.engine = "wyoming"``) are not among them.
    """

    def __init__(self, config: WakewordConfig) -> None:
        is_local = config.engine == "microwakeword"
        self._config = config if is_local else config.model_copy(update={"words": [], "thresholds": {}})

    def names(self) -> list[str]:
        """Those that can be listened for, the configured ones first."""
        return list(self._words())

    def open(self, names: Sequence[str]) -> WakewordEngine:
        """An engine for *names*; if it knows none of them for the configured ones, or for all if there are none.

        Raises WakewordError.
        """
        from heisenberg.wakeword.microwakeword import MicroWakeWordEngine

        known = self._words()
        words = [known[name] for name in names if name in known] or self._config.words or list(known.values())
        return MicroWakeWordEngine(self._config.model_copy(update={"words": words}))

    def _words(self) -> dict[str, str]:
        """What the configuration calls it, by name."""
        from heisenberg.wakeword.phrases import AVAILABLE

        words = [*self._config.words, *AVAILABLE]
        return {Path(word).stem if word.endswith(".json") else word: word for word in words}
