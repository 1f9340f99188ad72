"""What may be commanded from outside while the assistant runs: by OSC, a changed configuration, a window, a web page.

Whoever offers such controls depends on this Protocol; ``orchestrator/steering.py`` is what stands behind it.
"""

from typing import Protocol


class Controls(Protocol):
    """The assistant's knobs. Called on the event loop; no call waits, and what cannot be done now is ignored.

    Calls take effect in their order, together with everything else that happens to the session.
    """

    def listen(self) -> None:
        """Listen for a command, as after the wake word; ignored while a turn is under way, or muted."""

    def stop(self) -> None:
        """Fall silent at once and drop the turn; what was to be said or answered after it is forgotten, too."""

    def mute(self, is_muted: bool | None) -> None:
        """Ignore the microphone, or hear it again; None is the other way round. An answer goes on."""

    def say(self, text: str) -> None:
        """Say *text* as it is, as soon as no turn is under way; the visuals stay as they are."""

    def ask(self, text: str) -> None:
        """Answer *text*, as soon as no turn is under way."""

    def set_mode(self, name: str) -> None:
        """``assistant`` or ``ambient``. Raises ConfigError for another name."""

    def set_preset(self, name: str) -> None:
        """The style of ambient mode; "" is the plain one. Raises ConfigError."""

    def set_personality(self, name: str) -> None:
        """How the assistant speaks, from the next question on. Raises ConfigError."""
