"""espeak-ng as a voice: robotic, tiny, and fluent in a hundred languages. The fallback.

The program is run once per sentence. It is under the GPL and stays a separate program.
"""

import asyncio
import io
import re
import shutil
import wave
from collections.abc import AsyncGenerator

from heisenberg.core.audio import AudioChunk
from heisenberg.core.errors import SpeechError

WORDS_PER_MINUTE = 165
BLOCK_FRAMES = 4096

_LANGUAGE = re.compile(r"(?:.*/)?(?:mb-)?([a-z]{2,3})(?![a-z])", re.IGNORECASE)
"""Of a voice: ``en`` of ``en-gb+f3``, of ``gmw/en-US`` and of ``mb-en1``."""


class EspeakVoice:
    """Text to speech through the espeak-ng program.

    Args:
        voice: an espeak-ng voice such as ``fr`` or ``en-gb+f3``, for its own language and where none is known.
        speed: 1 is normal.
        timeout_s: longest wait for a sentence, in seconds.
    """

    def __init__(self, voice: str, *, speed: float, timeout_s: float) -> None:
        self._voice = voice
        known = _LANGUAGE.match(voice)
        self._voice_language = known[1].lower() if known else ""
        self._words_per_minute = round(WORDS_PER_MINUTE * speed)
        self._timeout_s = timeout_s

    async def speak(self, text: str, language: str | None = None) -> AsyncGenerator[AudioChunk, None]:
        """Stream *text* as sound, spoken in *language*. Raises SpeechError."""
        if not text.strip():
            return  # espeak-ng would give no sound at all, not even an empty file
        wav = await self._synthesise(text, self._voice_for(language))
        try:
            with wave.open(io.BytesIO(wav)) as sound:
                rate = sound.getframerate()
                # espeak-ng cannot seek in a pipe, so the header's length is wrong; read to the end.
                while block := sound.readframes(BLOCK_FRAMES):
                    yield AudioChunk.from_bytes(block, rate)
        except (wave.Error, EOFError) as exc:
            raise SpeechError(f"espeak-ng gave no sound: {exc}") from exc

    async def warm_up(self) -> None:
        """See that the program is there. Raises SpeechError."""
        _program()

    def _voice_for(self, language: str | None) -> str:
        """The configured voice where it speaks *language*, else espeak-ng's own for that."""
        return self._voice if language is None or language.lower() == self._voice_language else language

    async def _synthesise(self, text: str, voice: str) -> bytes:
        process = await asyncio.create_subprocess_exec(
            _program(), "-v", voice, "-s", str(self._words_per_minute), "--stdout", "--stdin",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(self._timeout_s):
                wav, said = await process.communicate(text.encode("utf-8", "replace"))
        except TimeoutError as exc:
            raise SpeechError(f"espeak-ng was silent for {self._timeout_s:g} s.", code="tts-timeout") from exc
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode or not wav:
            raise SpeechError(f"espeak-ng failed: {said.decode(errors='replace').strip() or process.returncode}")
        return wav


def _program() -> str:
    program = shutil.which("espeak-ng")
    if program is None:
        raise SpeechError(
            "espeak-ng is not installed. Install it (apt install espeak-ng, brew install espeak-ng) "
            'or set tts.fallback = "none".',
            code="missing-program",
        )
    return program
