"""Speaks a reply while it is still being written.

In: sentences, as the language model completes them; out: sound on the output, in order and without
gaps of ours. It knows nothing of turns; the session gives each turn a performance of its own and drops it
to interrupt.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from heisenberg.core.audio import AudioChunk
from heisenberg.core.stages import AudioOutput, Voice

MAX_WAITING_SENTENCES = 64


class Performance:
    """One reply being spoken.

    Args:
        voice: makes sound of sentences.
        output: where it is heard.
        on_progress: called once with ``synthesised`` when the first sound is there, and once with
            ``sounded`` when the first sample was handed to the output.
    """

    def __init__(self, voice: Voice, output: AudioOutput, on_progress: Callable[[str], None]) -> None:
        self._voice = voice
        self._output = output
        self._on_progress = on_progress
        self._sentences: asyncio.Queue[str | None] = asyncio.Queue(MAX_WAITING_SENTENCES)
        self._has_sounded = False
        self._is_over = False

    async def say(self, sentence: str) -> None:
        """Speak *sentence* after what was said before; waits only if very many are pending."""
        if not self._is_over:
            await self._sentences.put(sentence)

    async def end(self) -> None:
        """No more sentences come."""
        if not self._is_over:
            await self._sentences.put(None)

    async def run(self, language: str | None = None) -> float:
        """Speak until :meth:`end`, and until everything was heard; seconds played.

        Raises: SpeechError or AudioError; what was queued by then is still heard.
        """
        try:
            while (sentence := await self._sentences.get()) is not None:
                async with aclosing(self._voice.speak(sentence, language)) as sound:
                    async for chunk in sound:
                        await self._play(chunk)
        finally:
            self._refuse_more()
        return await self._output.drain()

    def _refuse_more(self) -> None:
        """Nobody speaks any more: whoever still brings sentences must not wait for room."""
        self._is_over = True
        while not self._sentences.empty():
            self._sentences.get_nowait()

    async def _play(self, chunk: AudioChunk) -> None:
        if self._has_sounded or not len(chunk.samples):
            await self._output.play(chunk)
            return
        self._has_sounded = True
        self._on_progress("synthesised")
        await self._output.play(chunk)
        self._on_progress("sounded")
