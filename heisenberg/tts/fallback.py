"""A voice that does not give up easily: once more with the first, then with the second."""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import aclosing

from heisenberg.core.audio import AudioChunk
from heisenberg.core.errors import HeisenbergError, ModelFailedToStart
from heisenberg.core.stages import Voice

log = logging.getLogger(__name__)


class FallbackVoice:
    """Speaks with *primary*; with *fallback* when that fails or does not know the language.

    Args:
        primary: the voice to prefer.
        primary_languages: ISO 639-1 codes that it speaks; empty for all.
        fallback: the voice to fall back on.
        give_up: called once if *primary* cannot even be started; it is not asked again, since waiting for it
            would delay every sentence.
    """

    def __init__(
        self,
        primary: Voice,
        primary_languages: Collection[str],
        fallback: Voice,
        give_up: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._primary = primary
        self._primary_languages = frozenset(primary_languages)
        self._fallback = fallback
        self._give_up = give_up
        self._has_started = False
        self._is_given_up = False

    async def speak(self, text: str, language: str | None = None) -> AsyncGenerator[AudioChunk, None]:
        """Stream *text* as sound. A failure after the first sound is not hidden. Raises SpeechError."""
        knows = not self._primary_languages or language is None or language in self._primary_languages
        attempts = 2 if knows else 0
        while attempts and not self._is_given_up:
            attempts -= 1
            has_sounded = False
            try:
                async with aclosing(self._primary.speak(text, language)) as sound:
                    async for chunk in sound:
                        self._has_started = has_sounded = True
                        yield chunk
                return
            except HeisenbergError as exc:
                if has_sounded:
                    raise
                await self._note_failure(exc)
        async with aclosing(self._fallback.speak(text, language)) as sound:
            async for chunk in sound:
                yield chunk

    async def warm_up(self) -> None:
        """Start the voice that is preferred, else make sure of the other. Raises HeisenbergError if neither works."""
        try:
            await self._primary.warm_up()
        except HeisenbergError as exc:
            await self._without_primary(exc)
            await self._fallback.warm_up()
        else:
            self._has_started = True

    async def _note_failure(self, exc: HeisenbergError) -> None:
        if isinstance(exc, ModelFailedToStart) and not self._has_started:
            await self._without_primary(exc)
        else:
            log.warning("the voice failed: %s", exc)

    async def _without_primary(self, exc: HeisenbergError) -> None:
        self._is_given_up = True
        log.warning("The voice cannot be started; the fallback speaks in its place. %s Try: heisenberg doctor", exc)
        if self._give_up is not None:
            await self._give_up()
