"""A voice of an OpenAI-compatible server on the network: ``POST /v1/audio/speech``.

WAV is asked for, since its header tells the rate; the sound is passed on as it arrives.
"""

import asyncio
import struct
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack

import aiohttp

from heisenberg.core.audio import AudioChunk
from heisenberg.core.errors import SpeechError
from heisenberg.core.stages import LeaseService, ServiceLease

BLOCK_S = 0.25
LONGEST_HEADER_BYTES = 64 * 1024
LONGEST_REASON = 300
"""Characters of a server's error that are shown."""


class OpenAiVoice:
    """Text to speech through an OpenAI-compatible server.

    Args:
        lease: gives the server for the length of a block.
        model: the server's name for it.
        voice: the server's name for it.
        speed: 1 is normal.
        timeout_s: longest wait for the next stretch of sound, in seconds.
    """

    def __init__(self, lease: LeaseService, *, model: str, voice: str, speed: float, timeout_s: float) -> None:
        self._lease = lease
        self._body = {"model": model, "voice": voice, "speed": speed, "response_format": "wav"}
        self._timeout_s = timeout_s

    async def speak(self, text: str, language: str | None = None) -> AsyncGenerator[AudioChunk, None]:
        """Stream *text* as sound; *language* is the server's affair. Raises SpeechError or RunnerError."""
        if not any(character.isalnum() for character in text):
            return  # servers differ in what they do then, and some answer with an error
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self._timeout_s):
                    service = await stack.enter_async_context(self._lease())
                response = await self._request(stack, service, text.encode("utf-8", "replace").decode())
                blocks = response.content.iter_any()
                rate_hz, sound = await _header(blocks)
                step = int(BLOCK_S * rate_hz) * 2
                async for block in blocks:
                    sound += block
                    while len(sound) >= step:
                        yield AudioChunk.from_bytes(sound[:step], rate_hz)
                        sound = sound[step:]
                if len(sound) >= 2:
                    yield AudioChunk.from_bytes(sound, rate_hz)
            except TimeoutError as exc:
                reason = f"The voice was silent for {self._timeout_s:g} s. See tts.timeout_seconds."
                raise SpeechError(reason, code="tts-timeout") from exc
            except (aiohttp.ClientError, OSError) as exc:
                raise SpeechError(f"The voice cannot be used: {exc}") from exc

    async def warm_up(self) -> None:
        """Nothing to start here."""

    async def _request(self, stack: AsyncExitStack, service: ServiceLease, text: str) -> aiohttp.ClientResponse:
        url = f"{service.url.rstrip('/').removesuffix('/v1').rstrip('/')}/v1/audio/speech"
        headers = {"Authorization": f"Bearer {service.api_key}"} if service.api_key else {}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._timeout_s, sock_read=self._timeout_s)
        http = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout, headers=headers))
        response = await stack.enter_async_context(http.post(url, json={**self._body, "input": text}))
        if response.status != 200:
            reason = " ".join((await response.text(errors="replace"))[:LONGEST_REASON].split())
            raise SpeechError(f"The voice at {url} answered {response.status}: {reason}", code="upstream-error")
        return response


async def _header(blocks: AsyncIterator[bytes]) -> tuple[int, bytes]:
    """The rate in Hz, and what came of the sound already. Raises SpeechError."""
    got = b""
    async for block in blocks:
        got += block
        if (found := _parse(got)) is not None:
            return found
        if len(got) > LONGEST_HEADER_BYTES:
            break
    if not got:
        raise SpeechError("The voice ended before it said anything.")
    raise SpeechError("The voice sends something else than WAV.")


def _parse(got: bytes) -> tuple[int, bytes] | None:
    """The same, None if the header is not complete. The lengths of a streamed WAV mean nothing, so none is believed."""
    if len(got) < 12:
        return None
    if got[:4] != b"RIFF" or got[8:12] != b"WAVE":
        raise SpeechError(f"The voice sends {got[:12]!r}…; WAV is needed.")
    at, rate_hz = 12, 0
    while len(got) >= at + 8:
        name, size = struct.unpack_from("<4sI", got, at)
        if name == b"data":
            return (rate_hz, got[at + 8 :]) if rate_hz else None
        if len(got) < at + 8 + size:
            return None
        if name == b"fmt ":
            rate_hz = _rate(got[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    return None


def _rate(fmt: bytes) -> int:
    if len(fmt) < 16:
        raise SpeechError("The voice sends a damaged WAV header.")
    _, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", fmt)
    if (channels, bits) != (1, 16) or not 4_000 <= rate_hz <= 192_000:
        raise SpeechError(f"The voice sends {bits} bit × {channels} at {rate_hz} Hz; 16 bit mono is needed.")
    return int(rate_hz)
