"""Two outputs at once: a reply is written to a file and heard."""

from heisenberg.core.audio import AudioChunk
from heisenberg.core.stages import AudioOutput


class BothOutputs:
    """Plays on *first* and *second*; the second one sets the pace.

    Args:
        first: takes sound at once, such as an unpaced file.
        second: takes it in real time.
    """

    def __init__(self, first: AudioOutput, second: AudioOutput) -> None:
        self._first = first
        self._second = second

    async def play(self, chunk: AudioChunk) -> None:
        """Queue sound on both."""
        await self._first.play(chunk)
        await self._second.play(chunk)

    async def drain(self) -> float:
        """Wait until both are done; seconds heard."""
        await self._first.drain()
        return await self._second.drain()

    async def stop(self) -> float:
        """Silence both; seconds heard."""
        await self._first.stop()
        return await self._second.stop()

    async def pause(self) -> None:
        """Silence both for a while; first the one that is heard."""
        await self._second.pause()
        await self._first.pause()

    async def resume(self) -> None:
        """Let both go on."""
        await self._first.resume()
        await self._second.resume()

    @property
    def played_seconds(self) -> float:
        """Seconds heard since the last drain or stop."""
        return self._second.played_seconds

    @property
    def underruns(self) -> int:
        """Gaps that were heard."""
        return self._second.underruns

    async def close(self) -> None:
        """Release both."""
        await self._first.close()
        await self._second.close()
