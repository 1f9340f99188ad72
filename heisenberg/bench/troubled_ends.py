"""The two ends of the assistant that a soak can disturb: a loudspeaker and an OSC receiver. When: ``chaos.py``."""

import asyncio

from heisenberg.audio.wavfile import NoOutput
from heisenberg.core.audio import AudioChunk
from heisenberg.core.errors import AudioError
from heisenberg.core.stages import AudioOutput


class TroubledOutput:
    """An AudioOutput that nobody hears, and that fails or is slow when it is told to.

    Args:
        paced: take the time that a loudspeaker would take.
    """

    def __init__(self, *, paced: bool = False) -> None:
        self._inner: AudioOutput = NoOutput(paced=paced)
        self._failures_left = 0
        self._wait_s = 0.0

    def fail(self, calls: int) -> None:
        """The device is gone for the next so many sounds."""
        self._failures_left = calls

    def dawdle(self, seconds: float) -> None:
        """Take the next sound only after so many seconds."""
        self._wait_s = seconds

    async def play(self, chunk: AudioChunk) -> None:
        """See AudioOutput."""
        wait_s, self._wait_s = self._wait_s, 0.0
        await asyncio.sleep(wait_s)
        if self._failures_left > 0:
            self._failures_left -= 1
            raise AudioError("The loudspeaker is gone, as the soak wants it.")
        await self._inner.play(chunk)

    async def drain(self) -> float:
        """See AudioOutput."""
        return await self._inner.drain()

    async def stop(self) -> float:
        """See AudioOutput."""
        return await self._inner.stop()

    async def pause(self) -> None:
        """See AudioOutput."""
        await self._inner.pause()

    async def resume(self) -> None:
        """See AudioOutput."""
        await self._inner.resume()

    @property
    def played_seconds(self) -> float:
        """See AudioOutput."""
        return self._inner.played_seconds

    @property
    def underruns(self) -> int:
        """See AudioOutput."""
        return self._inner.underruns

    async def close(self) -> None:
        """See AudioOutput."""
        await self._inner.close()


class OscEar(asyncio.DatagramProtocol):
    """An OSC receiver on loopback that can go and come back."""

    def __init__(self) -> None:
        self.port = 0
        self.received = 0
        """Datagrams since it was last opened."""
        self.returns = 0
        """How often datagrams came again after it had been away."""
        self._was_away = False
        self._transport: asyncio.BaseTransport | None = None

    async def open(self) -> None:
        """Receive on the port that it had, or on a free one the first time."""
        if self._transport is None:
            loop = asyncio.get_running_loop()
            self._transport, _ = await loop.create_datagram_endpoint(lambda: self, ("127.0.0.1", self.port))
            self.port = self._transport.get_extra_info("sockname")[1]
            self.received = 0

    def close(self) -> None:
        """Go away; whoever sends is refused. May be called twice."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None
            self._was_away = True

    def datagram_received(self, data: bytes, addr: object) -> None:
        """Count it."""
        self.received += 1
        if self._was_away:
            self._was_away = False
            self.returns += 1
