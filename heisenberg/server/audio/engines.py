"""What the audio routes need of the rest: somebody who writes down and somebody who speaks.

``heisenberg/models.py`` is it; the server imports neither ``stt/`` nor ``tts/``.
"""

from typing import Protocol

from heisenberg.core.errors import ModelNotFound
from heisenberg.core.recordings import FileTranscriber
from heisenberg.core.stages import Recogniser, Voice
from heisenberg.runner.catalog.entry import Model
from heisenberg.runner.lanes import Priority


class SpeechEngines(Protocol):
    """The speech models of this machine. The assistant goes before everybody who asks here."""

    def transcriber(self, model: Model | None = None) -> FileTranscriber:
        """Speech to text with *model*, None for the configured one. Raises ModelNotFound."""

    def recogniser(self, language: str | None = None, priority: Priority = Priority.VOICE) -> Recogniser:
        """The configured speech to text, for commands in *language*. Raises ModelNotFound."""

    def speaker(self, model: Model | None = None, speed: float = 1.0, voice: str = "") -> Voice:
        """Text to speech with *model*, None for the configured one.

        *speed* multiplies the configured one; *voice* is for models that have several. Raises ModelNotFound.
        """


class NoSpeech:
    """A server without speech models."""

    def transcriber(self, model: Model | None = None) -> FileTranscriber:
        """Raises ModelNotFound."""
        raise ModelNotFound("This server has no speech to text.")

    def speaker(self, model: Model | None = None, speed: float = 1.0, voice: str = "") -> Voice:
        """Raises ModelNotFound."""
        raise ModelNotFound("This server has no text to speech.")

    def recogniser(self, language: str | None = None, priority: Priority = Priority.VOICE) -> Recogniser:
        """Raises ModelNotFound."""
        raise ModelNotFound("This server has no speech to text.")
