"""A voice that does not give up easily: once more with the first, then with the second."""

import logging
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing

from heisenberg.core.audio import AudioChunk
from heisenberg.core.errors import HeisenbergError
from heisenberg.core.stages import Voice

log = logging.getLogger(__name__)


class FallbackVoice:
    """Speaks with *primary*; with *fallback* when that fails or does not know the language.

    Args:
        primary: the voice to prefer.
        primary_languages: ISO 639-1 codes that it speaks; empty for all.
        fallback: the voice to fall back on.
    """

    def __init__(self, primary: Voice, primary_languages: Collection[str], fallback: Voice) -> None:
        self._primary = primary
        self._primary_languages = frozenset(primary_languages)
        self._fallback = fallback

    async def speak(self, text: str, language: str | None = None) -> AsyncGenerator[AudioChunk, None]:
        """Stream *text* as sound. A failure after the first sound is not hidden. Raises SpeechError."""
        knows = not self._primary_languages or language is None or language in self._primary_languages
        for voice in (self._primary, self._primary) if knows else ():
            has_sounded = False
            try:
                async with aclosing(voice.speak(text, language)) as sound:
                    async for chunk in sound:
                        has_sounded = True
                        yield chunk
                return
            except HeisenbergError as exc:
                if has_sounded:
                    raise
                log.warning("the voice failed: %s", exc)
        async with aclosing(self._fallback.speak(text, language)) as sound:
            async for chunk in sound:
                yield chunk

    async def warm_up(self) -> None:
        """Start the voice that is preferred. Raises HeisenbergError."""
        await self._primary.warm_up()
