"""The loudspeakers: queues sound, knows when it was heard, falls silent at once.

The stream is opened with the first sound and closed some seconds after the last, so that waiting for a wake word
costs nothing and the device may sleep. It makes no sound of its own and decides nothing about turns.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

import numpy as np

from heisenberg.audio import portaudio
from heisenberg.audio.devices import Device, choose_device, list_devices
from heisenberg.audio.pace import QUEUE_S
from heisenberg.audio.playback import PlaybackQueue
from heisenberg.audio.portaudio import Stream
from heisenberg.audio.resample import Resampler
from heisenberg.core.audio import AudioChunk, Meters, Samples
from heisenberg.core.config import AudioConfig
from heisenberg.core.errors import AudioError

log = logging.getLogger(__name__)

CAPACITY_S = 20.0
"""Room for one chunk beyond the queue: a whole sentence may come as one."""

BLOCK_S = 0.02
"""Sound per callback."""

IDLE_CLOSE_S = 10.0
"""The stream is closed when nothing was played for so long."""

LOST_S = 1.0
"""A device that takes nothing for so long counts as lost."""

FIRST_TAKE_S = 3.0
"""The same for one that was just opened: a Bluetooth headset needs time to wake."""

LONGEST_NAP_S = 0.1
"""How often a device that should be taking sound is looked at."""


class Speakers:
    """An AudioOutput that plays on a device.

    Args:
        config: which device.
        meters: its ``speaking_level`` follows what is played.

    Raises: AudioError: ``audio-no-device``, or ``audio-unavailable`` if PortAudio is missing. Later, from ``play``
        and ``drain``, if the device has vanished; the next ``play`` looks for it again.
    """

    def __init__(self, config: AudioConfig, meters: Meters | None = None) -> None:
        self._wanted = config.output_device
        self._meters = meters or Meters()
        self._name = choose_device(list_devices(), self._wanted, "output").name
        self._opened: _Opened | None = None
        self._resampler: Resampler | None = None
        self._opening: asyncio.Task[None] | None = None
        self._reply = 0
        self._counted_s = 0.0
        self._idle_timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def play(self, chunk: AudioChunk) -> None:
        """Queue *chunk*, when less than a second is waiting. See AudioOutput."""
        reply = self._reply
        self._stay_open()
        opened = await self._open()
        rest = self._resampled(chunk, opened.stream.rate_hz) if reply == self._reply else None
        while rest is not None and reply == self._reply:
            if opened.queue.waiting_s < QUEUE_S:
                rest = rest[opened.queue.write(rest) :]
                if not len(rest):
                    return
            await self._wait(opened, opened.queue.waiting_s - QUEUE_S)

    async def drain(self) -> float:
        """Wait until the last sample has left the loudspeaker; seconds. See AudioOutput."""
        reply, opened = self._reply, self._opened
        if opened is not None:
            await self._play_rest(opened, reply)
        if reply != self._reply:
            return 0.0
        self._close_when_idle()
        return self._take_counted(0.0)

    async def stop(self) -> float:
        """Fall silent within some 50 ms; seconds heard. See AudioOutput."""
        self._reply += 1
        self._resampler = None
        opened = self._opened
        if opened is None:
            return self._take_counted(0.0)
        if not opened.is_sounding:
            self._close_when_idle()
            return self._take_counted(0.0)
        opened.queue.discard()
        # Closing also empties the device's own buffers, which may hold much more than 50 ms.
        await self._close_stream()
        return self._take_counted(opened.stream.latency_s)

    async def close(self) -> None:
        """Release the device."""
        self._reply += 1
        self._stay_open()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._close_stream()

    # ── playing ──────────────────────────────────────────────────────────────────────────────────

    def _resampled(self, chunk: AudioChunk, rate_hz: int) -> Samples:
        """*chunk* at the device's rate, after what is left of a chunk of another rate."""
        before = self._resampler
        if before is None or (before.from_hz, before.to_hz) != (chunk.rate_hz, rate_hz):
            self._resampler = Resampler(chunk.rate_hz, rate_hz)
            if before is not None and before.to_hz == rate_hz:
                return np.concatenate([before.flush(), self._resampler.process(chunk.samples)])
            before = self._resampler
        return before.process(chunk.samples)

    async def _play_rest(self, opened: "_Opened", reply: int) -> None:
        if self._resampler is not None:
            opened.queue.write(self._resampler.flush())
            self._resampler = None
        opened.queue.end()
        was_sounding = opened.is_sounding
        while opened.queue.waiting_s > 0 and reply == self._reply:
            await self._wait(opened, opened.queue.waiting_s)
        if was_sounding and reply == self._reply:
            await asyncio.sleep(opened.stream.latency_s + BLOCK_S)
            opened.heard_s = opened.queue.played_s
        if opened.queue.underruns:
            log.debug("%d gaps in the reply", opened.queue.underruns)
            opened.queue.underruns = 0

    async def _wait(self, opened: "_Opened", seconds: float) -> None:
        """Let the device take about *seconds* of sound. Raises AudioError if it takes nothing any more."""
        await asyncio.sleep(min(max(seconds, 0.005), LONGEST_NAP_S))
        if opened is self._opened and opened.is_lost(asyncio.get_running_loop().time()):
            await self._close_stream()
            self._counted_s = 0.0
            raise AudioError(
                f'The loudspeaker "{self._name}" takes no sound any more. Check its plug, or set audio.output_device.',
                code="audio-unavailable",
            )

    def _take_counted(self, unheard_s: float) -> float:
        """Seconds heard since the last call, the device's *unheard_s* taken off."""
        played_s = self._counted_s + (self._opened.uncounted_s() if self._opened else 0.0)
        self._counted_s = 0.0
        return max(0.0, played_s - unheard_s)

    # ── the stream ───────────────────────────────────────────────────────────────────────────────

    async def _open(self) -> "_Opened":
        """The open device; opened now if need be. Raises AudioError."""
        if self._opened is not None and not self._opened.stream.is_open:
            await self._close_stream()  # It was closed under us, to look for other devices.
        while self._opened is None:
            if self._opening is None:
                self._opening = self._start(self._open_device(), "open the loudspeaker")
            # Shielded: a reply that is interrupted here must not leave a stream behind that nobody knows of.
            await asyncio.shield(self._opening)
        return self._opened

    async def _open_device(self) -> None:
        try:
            self._opened = await asyncio.to_thread(self._find_and_open)
            self._name = self._opened.name
        finally:
            self._opening = None

    def _find_and_open(self) -> "_Opened":
        try:
            return _Opened(choose_device(list_devices(), self._wanted, "output"), self._meters)
        except AudioError as exc:
            log.info("looking for the loudspeaker again: %s", exc)
            portaudio.refresh()
            return _Opened(choose_device(list_devices(), self._wanted, "output"), self._meters)

    async def _close_stream(self) -> None:
        opened, self._opened = self._opened, None
        self._resampler = None
        if opened is not None:
            opened.queue.discard()
            self._counted_s += opened.uncounted_s()
            await asyncio.to_thread(opened.stream.close)
            self._meters.speaking_level = 0.0

    def _close_when_idle(self) -> None:
        self._stay_open()
        self._idle_timer = asyncio.get_running_loop().call_later(IDLE_CLOSE_S, self._begin_to_close)

    def _stay_open(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None

    def _begin_to_close(self) -> None:
        self._start(self._close_stream(), "close the idle loudspeaker")

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.debug("could not %s: %s", task.get_name(), task.exception())


class _Opened:
    """One opening of a device, with all that must not outlive it."""

    def __init__(self, device: Device, meters: Meters) -> None:
        self.name = device.name
        rate_hz, channels = device.default_rate_hz, min(2, device.output_channels)
        self.queue = PlaybackQueue(rate_hz, channels, CAPACITY_S, meters)
        self.stream: Stream = portaudio.open_stream(
            "output",
            device.index,
            rate_hz,
            channels,
            round(BLOCK_S * rate_hz),
            self._wanted,
            self._may_interrupt,
            _ignore,
        )
        self.heard_s = 0.0
        """Of the queue's ``played_s``, what has also left the device."""
        self._counted_s = 0.0
        self._callbacks_seen = 0
        self._seen_at: float | None = None

    @property
    def is_sounding(self) -> bool:
        """Whether something can be heard, or is about to be."""
        return self.queue.waiting_s > 0 or self.queue.played_s > self.heard_s

    def uncounted_s(self) -> float:
        """Seconds played since the last call."""
        before, self._counted_s = self._counted_s, self.queue.played_s
        return self._counted_s - before

    def is_lost(self, now: float) -> bool:
        """Whether the device has stopped asking for sound."""
        callbacks = self.queue.callbacks
        if self._seen_at is None or callbacks != self._callbacks_seen:
            self._callbacks_seen, self._seen_at = callbacks, now
        return now - self._seen_at > (LOST_S if callbacks else FIRST_TAKE_S)

    def _wanted(self, data: Any, frames: int, times: Any, status: Any) -> None:
        """PortAudio's callback: copy, and nothing else."""
        self.queue.fill(np.frombuffer(data, dtype=np.int16))

    def _may_interrupt(self) -> bool:
        return not self.is_sounding


def _ignore() -> None:
    pass
