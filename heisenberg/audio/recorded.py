"""An output that also keeps what it was given to play, and the files in which a recording keeps sound.

In: the reply, chunk by chunk; out: the same, to the real output, and each chunk to whoever records. It opens no folder
and knows no turns.
"""

from collections.abc import Callable
from pathlib import Path

from heisenberg.audio.resample import Resampler
from heisenberg.audio.wavwriter import WavWriter
from heisenberg.core.audio import AudioChunk
from heisenberg.core.stages import AudioOutput


class RecordedOutput:
    """Plays on *output*, and tells *keep* of every chunk that it took.

    Args:
        output: the real one; closed with this one.
        keep: must not block.
    """

    def __init__(self, output: AudioOutput, keep: Callable[[AudioChunk], None]) -> None:
        self._output = output
        self._keep = keep

    async def play(self, chunk: AudioChunk) -> None:
        """Queue sound, and keep it."""
        await self._output.play(chunk)
        self._keep(chunk)

    async def drain(self) -> float:
        """Wait until everything was heard; seconds."""
        return await self._output.drain()

    async def stop(self) -> float:
        """Fall silent; seconds heard. What was not heard was kept, too."""
        return await self._output.stop()

    async def pause(self) -> None:
        """Fall silent, and keep the rest for later."""
        await self._output.pause()

    async def resume(self) -> None:
        """Go on."""
        await self._output.resume()

    @property
    def played_seconds(self) -> float:
        """Seconds heard since the last drain or stop."""
        return self._output.played_seconds

    @property
    def underruns(self) -> int:
        """Gaps because sound came too late."""
        return self._output.underruns

    async def close(self) -> None:
        """Release the real output."""
        await self._output.close()


class ChunkFile:
    """A WAV file of chunks. It has the rate of the first; the others are resampled.

    Args:
        path: the file; an existing one is replaced.

    Raises: AudioError (code ``audio-file-unwritable``), here and from every method.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: WavWriter | None = None
        self._rate_hz = 0
        self._resampler: Resampler | None = None

    def write(self, chunk: AudioChunk) -> None:
        """Append *chunk*."""
        if self._writer is None:
            self._rate_hz = chunk.rate_hz
            self._writer = WavWriter(self._path, chunk.rate_hz)
        if self._resampler is None or self._resampler.from_hz != chunk.rate_hz:
            self._flush()
            self._resampler = Resampler(chunk.rate_hz, self._rate_hz)
        self._writer.write(self._resampler.process(chunk.samples))

    def close(self) -> None:
        """Finish the file. May be called twice."""
        if self._writer is not None:
            self._flush()
            self._writer.close()
            self._writer = None

    def _flush(self) -> None:
        if self._resampler is not None and self._writer is not None:
            self._writer.write(self._resampler.flush())
        self._resampler = None
