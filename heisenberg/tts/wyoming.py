"""A voice over the Wyoming protocol: our own workers of Piper and Kokoro, or any service on the network."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack

from wyoming.audio import AudioChunk as WyomingChunk
from wyoming.audio import AudioStop
from wyoming.error import Error
from wyoming.tts import Synthesize, SynthesizeVoice

from heisenberg.core.audio import AudioChunk
from heisenberg.core.errors import SpeechError
from heisenberg.core.stages import LeaseService
from heisenberg.runner.connection import NOT_WYOMING, connected


class WyomingVoice:
    """Text to speech through a Wyoming service.

    Args:
        lease: gives the service for the length of a block.
        timeout_s: longest wait for the next stretch of sound, in seconds.
        context: hints that our own worker understands (``noise_scale``…).
        voice_for: names the service's voice for a language; None leaves the voice to the service.
    """

    def __init__(
        self,
        lease: LeaseService,
        *,
        timeout_s: float,
        context: dict[str, float] | None = None,
        voice_for: Callable[[str | None], str] | None = None,
    ) -> None:
        self._lease = lease
        self._timeout_s = timeout_s
        self._context = context or {}
        self._voice_for = voice_for

    async def speak(self, text: str, language: str | None = None) -> AsyncGenerator[AudioChunk, None]:
        """Stream *text* as sound, by the voice for *language*. Raises SpeechError or RunnerError."""
        voice = SynthesizeVoice(name=self._voice_for(language)) if self._voice_for else None
        asked = Synthesize(text=text, voice=voice, context=dict(self._context))
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self._timeout_s):
                    service = await stack.enter_async_context(self._lease())
            except TimeoutError as exc:
                raise SpeechError(f"No voice was ready within {self._timeout_s:g} s.", code="tts-timeout") from exc
            sound = self._stream(service.url, asked)
            try:
                while True:
                    async with asyncio.timeout(self._timeout_s):
                        chunk = await anext(sound, None)
                    if chunk is None:
                        return
                    yield chunk
            except TimeoutError as exc:
                reason = f"The voice was silent for {self._timeout_s:g} s. See tts.timeout_seconds."
                service.condemn(reason)
                raise SpeechError(reason, code="tts-timeout") from exc
            except SpeechError as exc:
                if exc.code != "upstream-error":
                    service.condemn(exc.message)
                raise
            finally:
                await sound.aclose()

    async def warm_up(self) -> None:
        """Start the service. Raises HeisenbergError."""
        async with self._lease():
            pass

    async def _stream(self, uri: str, asked: Synthesize) -> AsyncGenerator[AudioChunk, None]:
        try:
            async with connected(uri) as client:
                await client.write_event(asked.event())
                while (event := await client.read_event()) is not None:
                    if WyomingChunk.is_type(event.type):
                        yield _mono(WyomingChunk.from_event(event))
                    elif AudioStop.is_type(event.type):
                        return
                    elif Error.is_type(event.type):
                        raise SpeechError(f"The voice failed: {Error.from_event(event).text}", code="upstream-error")
        except NOT_WYOMING as exc:
            raise SpeechError(f"The voice at {uri} cannot be reached: {exc}") from exc
        raise SpeechError("The voice ended in mid-sentence.")


def _mono(chunk: WyomingChunk) -> AudioChunk:
    if chunk.width != 2 or chunk.channels != 1:
        raise SpeechError(f"The voice sends {8 * chunk.width} bit × {chunk.channels}; 16 bit mono is needed.")
    return AudioChunk.from_bytes(chunk.audio, chunk.rate)
