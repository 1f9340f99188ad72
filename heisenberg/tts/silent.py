"""No voice: the answer is only printed."""

from collections.abc import AsyncGenerator

from heisenberg.core.audio import AudioChunk


class SilentVoice:
    """Says nothing, at once."""

    async def speak(self, text: str, language: str | None = None) -> AsyncGenerator[AudioChunk, None]:
        """No sound."""
        return
        yield  # an asynchronous generator all the same

    async def warm_up(self) -> None:
        """Nothing to start."""
