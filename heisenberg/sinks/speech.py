"""Speaks a reply while it is still being written.

In: sentences, as the language model completes them; out: sound on the output, in order and without
gaps of ours. The first sound is made as early as can be, and held until the reply is released. It knows nothing
of turns; the session gives each turn a performance of its own and drops it to interrupt.
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
        self._released = asyncio.Event()
        self._has_sounded = False
        self._is_over = False
        self._is_halted = False
        self._spoken: list[tuple[str, float]] = []
        """Each sentence with the seconds of it that were given to the output."""

    async def say(self, sentence: str) -> None:
        """Speak *sentence* after what was said before; waits only if very many are pending."""
        if not self._is_over:
            await self._sentences.put(sentence)

    async def end(self) -> None:
        """No more sentences come."""
        if not self._is_over:
            await self._sentences.put(None)

    def release(self) -> None:
        """It may be heard from now on."""
        self._released.set()

    def halt(self) -> None:
        """Give the output nothing more, from this moment on."""
        self._is_halted = True

    async def run(self, language: str | None = None) -> float:
        """Speak until :meth:`end`, and until everything was heard; seconds played.

        Raises: SpeechError or AudioError; what was queued by then is still heard.
        """
        try:
            while (sentence := await self._sentences.get()) is not None:
                self._spoken.append((sentence, 0.0))
                async with aclosing(self._voice.speak(sentence, language)) as sound:
                    async for chunk in sound:
                        await self._play(chunk)
            await self._released.wait()
        finally:
            self._refuse_more()
        return await self._output.drain()

    def heard(self, played_s: float) -> str:
        """The words of the first *played_s* seconds; of the sentence that was cut, about as many as were said."""
        heard: list[str] = []
        for sentence, seconds in self._spoken:
            if seconds > 0 and played_s > 0:
                spoken = sentence.split()
                heard += spoken[: round(len(spoken) * min(1.0, played_s / seconds))]
            played_s -= seconds
        return " ".join(heard)

    def _refuse_more(self) -> None:
        """Nobody speaks any more: whoever still brings sentences must not wait for room."""
        self._is_over = True
        while not self._sentences.empty():
            self._sentences.get_nowait()

    async def _play(self, chunk: AudioChunk) -> None:
        if not len(chunk.samples):
            return
        is_first = not self._has_sounded
        if is_first:
            self._has_sounded = True
            self._on_progress("synthesised")
        await self._released.wait()
        if self._is_halted:
            return
        sentence, seconds = self._spoken[-1]
        self._spoken[-1] = (sentence, seconds + chunk.seconds)
        await self._output.play(chunk)
        if is_first:
            self._on_progress("sounded")
